# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Choose tests of warned ports: on every managed host, from a host that must not reach the port."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from ansible_collections.hpc.ports.plugins.plugin_utils._expectations.selection import Selection, turned
from ansible_collections.hpc.ports.plugins.plugin_utils._expectations.warned_ports import WarnedPort, warned_ports
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.connections import FILTERED, Expectation
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.host_classes import HostClass

# At most this many classes take turns as the source that must not reach a port of another class.
_TURNS = 12


@dataclass
class WarnedByClass:
    """Adds warned ports to a selection. Sources are unmanaged hosts or, for ports of a cluster, other clusters."""

    selection: Selection
    _blocked: dict[tuple[str, int, WarnedPort], list[HostClass]] = field(default_factory=dict)
    _untried: Counter[WarnedPort] = field(default_factory=Counter)

    def choose(self) -> None:
        """Add each port of each managed host at one of its addresses, and note the ports without a blocked source."""
        connections = self.selection.connections
        ports = warned_ports(connections.plan.catalogue.services)
        targets = ((target, host) for target in self.selection.classes if target.policy for host in target.members)
        for number, (target, host) in enumerate(targets):
            for index, port in enumerate(ports):
                expectation = self._blocked_connection(target, host, port, number, index)
                if expectation:
                    self.selection.add(expectation)
                else:
                    self._untried[port] += 1
        for port, count in self._untried.items():
            connections.skip(
                "",
                "",
                f"{port.title} ({port.port}/{port.protocol}) on {count} hosts: {port.reason}, but the plan blocks no "
                "other host of this run.",
                count,
            )

    def _blocked_connection(
        self, target: HostClass, host: str, port: WarnedPort, number: int, index: int
    ) -> Expectation | None:
        """Return a blocked connection. Families take turns by port and sources by host, so few pairs are examined."""
        for kind in turned(sorted(self.selection.kinds(host)), number + index):
            for turn, source in self._sources(target, kind, port, number):
                for member in turned(source.members, turn):
                    if member != host and not self.selection.connections.why_not(member, host):
                        return self.selection.expectation((member, host), kind, port.protocol, port.port)
        return None

    def _sources(self, target: HostClass, kind: int, port: WarnedPort, number: int) -> Iterator[tuple[int, HostClass]]:
        """Yield source classes with the turn of their members. A member's turn is over when all classes had their turn.

        The preferred classes come first. The others follow, because all members of the preferred classes may be on
        the machine of the target.
        """
        preferred = self._first_sources(target, kind, port)
        for source in turned(preferred, number):
            yield number // len(preferred), source
        for source in self.selection.classes if preferred else ():
            if self._is_blocked(source, target, kind, port, strict=False):
                yield number, source

    def _first_sources(self, target: HostClass, kind: int, port: WarnedPort) -> list[HostClass]:
        key = (target.name, kind, port)
        if key not in self._blocked:
            candidates_in_order = (
                (strict, classes) for strict in (True, False) for classes in self._preferences(target, port)
            )
            candidates = (
                list(
                    islice(
                        (source for source in classes if self._is_blocked(source, target, kind, port, strict)), _TURNS
                    )
                )
                for strict, classes in candidates_in_order
            )
            self._blocked[key] = next(filter(None, candidates), [])
        return self._blocked[key]

    def _preferences(self, target: HostClass, port: WarnedPort) -> Iterator[Sequence[HostClass]]:
        """Yield groups of classes in order of preference. Each target starts with another class of a group."""
        classes = turned(self.selection.classes, self.selection.classes.index(target))
        outsiders = [host_class for host_class in classes if not host_class.policy]
        managed = [host_class for host_class in classes if host_class.policy]
        if port.cluster:
            yield [host_class for host_class in managed if not host_class.clusters & target.clusters]
        yield outsiders
        yield managed

    def _is_blocked(self, source: HostClass, target: HostClass, kind: int, port: WarnedPort, strict: bool) -> bool:
        """Return whether the plan blocks the connection; with `strict`, only by the target, not by the source."""
        pair = self.selection.some_pair(source, target)
        expectation = self.selection.expectation(pair, kind, port.protocol, port.port)
        if not pair or expectation is None or expectation.expected != FILTERED:
            return False
        address = self.selection.kinds(pair[1])[kind][0]
        return (
            not strict
            or expectation.denied_by == "target"
            and self.selection.connections.judgement(pair[0], "out", port.protocol, port.port, address).passes
        )
