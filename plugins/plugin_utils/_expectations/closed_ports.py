# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Closed ports by role: each once for every role of source and of target, while there is room."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any, NamedTuple

from ansible_collections.hpc.ports.plugins.plugin_utils._expectations.selection import Ports, Selection, turned
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.connections import FILTERED, Expectation
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.host_classes import HostClass

# So many pairs of classes are asked for one where a port is closed.
_ASKED = 12


class Roles(NamedTuple):
    """The roles of a source and a target, and whether the two have a cluster in common."""

    source: tuple[Any, ...]
    target: tuple[Any, ...]
    share_cluster: bool


@dataclass
class ClosedByRole:
    """Chooses the ports that are closed; `left` are those for which there was no room."""

    choice: Selection
    ports: Ports
    left: int = 0
    _pairs: dict[Roles, list[tuple[HostClass, HostClass]]] = field(default_factory=lambda: defaultdict(list))
    _turns: Counter[Roles] = field(default_factory=Counter)

    def choose(self, most: int) -> None:
        """Take closed ports until there are `most` connections, a port of each two roles in turn."""
        done = self._done()
        self._sort_by_roles()
        for roles, (protocol, port) in self._in_turn():
            item = None if (roles, protocol, port) in done else self._closed(roles, protocol, port)
            if item and len(self.choice.found) < most:
                self.choice.add(item)
            elif item:
                self.left += 1

    def _done(self) -> set[tuple[Roles, str, int]]:
        by_host = {host: found for found in self.choice.classes for host in found.members}
        return {
            (roles_of(by_host[item.source], by_host[item.target]), item.protocol, item.port)
            for item in self.choice.found
            if item.expected == FILTERED
        }

    def _sort_by_roles(self) -> None:
        for target in self.choice.classes:
            for source in self.choice.classes if target.policy else ():
                self._pairs[roles_of(source, target)].append((source, target))

    def _in_turn(self) -> Iterator[tuple[Roles, tuple[str, int]]]:
        """Each two roles begin with another port, so that all ports have a turn where there is little room."""
        by_roles = [
            [(roles, port) for port in turned(self._ports_of(pairs), number)]
            for number, (roles, pairs) in enumerate(self._pairs.items())
        ]
        return (item for items in zip_longest(*by_roles) for item in items if item)

    def _ports_of(self, pairs: Sequence[tuple[HostClass, HostClass]]) -> list[tuple[str, int]]:
        policies: Collection[str] = {target.policy for source, target in pairs}
        return sorted({port for policy in policies for port in self.ports[policy]})

    def _closed(self, roles: Roles, protocol: str, port: int) -> Expectation | None:
        """The first connection that is filtered, of classes and families that take turns."""
        self._turns[roles] += 1
        turn = self._turns[roles]
        pairs = turned(self._pairs[roles], turn)
        for source, target in pairs[:: max(1, len(pairs) // _ASKED)]:
            pair = self.choice.pair(source, target)
            for kind in turned(sorted(self.choice.kinds(pair[1])), turn) if pair else ():
                item = self.choice.ask(pair, kind, protocol, port)
                if item and item.expected == FILTERED:
                    return item
        return None


def roles_of(source: HostClass, target: HostClass) -> Roles:
    """Return what a connection of two classes stands for."""
    return Roles(source.role, target.role, bool(source.clusters & target.clusters))
