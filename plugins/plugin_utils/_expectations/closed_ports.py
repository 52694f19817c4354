# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Choose closed ports to test: each once per pair of roles of source and target, up to a maximum."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any, NamedTuple

from ansible_collections.hpc.ports.plugins.plugin_utils._expectations.selection import Ports, Selection, turned
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.connections import FILTERED, Expectation
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.host_classes import HostClass

# At most about this many pairs of classes are searched for one where a port is closed.
_MOST_PAIRS = 12


class Roles(NamedTuple):
    """The roles of a source and a target, and whether the two share a cluster."""

    source: tuple[Any, ...]
    target: tuple[Any, ...]
    share_cluster: bool


@dataclass
class ClosedByRole:
    """Adds connections to closed ports to a selection. `left` counts the ports beyond the maximum."""

    selection: Selection
    ports: Ports
    left: int = 0
    _pairs: dict[Roles, list[tuple[HostClass, HostClass]]] = field(default_factory=lambda: defaultdict(list))
    _turns: Counter[Roles] = field(default_factory=Counter)

    def choose(self, most: int) -> None:
        """Add closed ports until the selection has `most` connections. Pairs of roles take turns."""
        covered = self._covered()
        self._sort_by_roles()
        for roles, (protocol, port) in self._ports_in_turn():
            expectation = None if (roles, protocol, port) in covered else self._closed_connection(roles, protocol, port)
            if expectation and len(self.selection.chosen) < most:
                self.selection.add(expectation)
            elif expectation:
                self.left += 1

    def _covered(self) -> set[tuple[Roles, str, int]]:
        by_host = {host: host_class for host_class in self.selection.classes for host in host_class.members}
        return {
            (roles_of(by_host[expectation.source], by_host[expectation.target]), expectation.protocol, expectation.port)
            for expectation in self.selection.chosen
            if expectation.expected == FILTERED
        }

    def _sort_by_roles(self) -> None:
        for target in self.selection.classes:
            for source in self.selection.classes if target.policy else ():
                self._pairs[roles_of(source, target)].append((source, target))

    def _ports_in_turn(self) -> Iterator[tuple[Roles, tuple[str, int]]]:
        """Yield ports with their roles. Pairs of roles start with different ports, so even a low maximum covers all."""
        by_roles = [
            [(roles, port) for port in turned(self._ports_of(pairs), number)]
            for number, (roles, pairs) in enumerate(self._pairs.items())
        ]
        return (role_port for turn in zip_longest(*by_roles) for role_port in turn if role_port)

    def _ports_of(self, pairs: Sequence[tuple[HostClass, HostClass]]) -> list[tuple[str, int]]:
        policies: Collection[str] = {target.policy for source, target in pairs}
        return sorted({port for policy in policies for port in self.ports[policy]})

    def _closed_connection(self, roles: Roles, protocol: str, port: int) -> Expectation | None:
        """Return the first filtered connection. Classes and address families take turns."""
        self._turns[roles] += 1
        turn = self._turns[roles]
        pairs = turned(self._pairs[roles], turn)
        for source, target in pairs[:: max(1, len(pairs) // _MOST_PAIRS)]:
            pair = self.selection.pair(source, target)
            for kind in turned(sorted(self.selection.kinds(pair[1])), turn) if pair else ():
                expectation = self.selection.expectation(pair, kind, protocol, port)
                if expectation and expectation.expected == FILTERED:
                    return expectation
        return None


def roles_of(source: HostClass, target: HostClass) -> Roles:
    """Return the roles of a connection between two classes."""
    return Roles(source.role, target.role, bool(source.clusters & target.clusters))
