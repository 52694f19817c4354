# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A selection of connections to test, in which the members of a class of hosts take turns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.connections import (
    Address,
    Connections,
    Expectation,
    by_kind,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.host_classes import HostClass

T = TypeVar("T")
# A source and a target.
Pair = tuple[str, str]
# The ports to test on the hosts of each policy.
Ports = Mapping[str, Sequence[tuple[str, int]]]


@dataclass
class Selection:
    """The connections selected so far, and the hosts that are a source or a target of one."""

    connections: Connections
    classes: Sequence[HostClass]
    chosen: dict[Expectation, None] = field(default_factory=dict)
    sources: set[str] = field(default_factory=set)
    targets: set[str] = field(default_factory=set)
    _turns: Counter[tuple[str, str]] = field(default_factory=Counter)
    _some_pairs: dict[Pair, Pair | None] = field(default_factory=dict)
    _kinds: dict[str, dict[int, list[Address]]] = field(default_factory=dict)

    def add(self, expectation: Expectation) -> None:
        """Add a connection."""
        self.chosen[expectation] = None
        self.sources.add(expectation.source)
        self.targets.add(expectation.target)

    def pair(self, source: HostClass, target: HostClass) -> Pair | None:
        """Return the next source and target, or None if nothing can be expected of any pair."""
        return self._first_pair(self._members_in_turn("from", source), self._members_in_turn("to", target))

    def pair_with(self, host: str, other: HostClass, is_source: bool) -> Pair | None:
        """Return this host as source or target, and the next host of the other class, or None as above."""
        if is_source:
            return self._first_pair([host], self._members_in_turn("to", other))
        return self._first_pair(self._members_in_turn("from", other), [host])

    def some_pair(self, source: HostClass, target: HostClass) -> Pair | None:
        """Return the first pair for which something can be expected. It represents all pairs, and uses up no turn."""
        key = (source.name, target.name)
        if key not in self._some_pairs:
            self._some_pairs[key] = self._first_pair(source.members, target.members)
        return self._some_pairs[key]

    def _members_in_turn(self, side: str, host_class: HostClass) -> list[str]:
        self._turns[side, host_class.name] += 1
        return turned(host_class.members, self._turns[side, host_class.name] - 1)

    def _first_pair(self, sources: Sequence[str], targets: Sequence[str]) -> Pair | None:
        return next(
            (
                (source, target)
                for target in targets
                for source in sources
                if source != target and not self.connections.why_not(source, target)
            ),
            None,
        )

    def kinds(self, host: str) -> dict[int, list[Address]]:
        """Return the addresses of a host, by kind."""
        if host not in self._kinds:
            self._kinds[host] = by_kind(self.connections.reached[host])
        return self._kinds[host]

    def address(self, pair: Pair, kind: int) -> Address | None:
        """Return an address of this kind of the target, or None if the source has no address of that family."""
        addresses = self.kinds(pair[1])[kind]
        if not self.connections.source_addresses(pair[0], addresses[0]):
            return None
        return addresses[len(self.chosen) % len(addresses)]

    def expectation(self, pair: Pair | None, kind: int, protocol: str, port: int) -> Expectation | None:
        """Return the expectation of a connection between two hosts, or None if there is none."""
        address = self.address(pair, kind) if pair else None
        return self.connections.expectation(*pair, address, protocol, port) if pair and address else None

    def skip_dependent(self, pair: Pair | None, kind: int) -> None:
        """Note a connection without expectation, although the source has an address of the family."""
        address = self.address(pair, kind) if pair else None
        if pair and address:
            self.connections.skip_dependent(*pair, address)

    def complete(self, ports: Ports) -> None:
        """Add a connection for each host that is not yet a source or, if it is managed, not yet a target."""
        managed = [host_class for host_class in self.classes if host_class.policy]
        for host_class in self.classes:
            for host in host_class.members:
                if host not in self.sources:
                    self._add_any((self.pair_with(host, other, is_source=True) for other in managed), ports)
                if host_class.policy and host not in self.targets:
                    self._add_any((self.pair_with(host, other, is_source=False) for other in self.classes), ports)

    def _add_any(self, pairs: Iterable[Pair | None], ports: Ports) -> None:
        expectation = next(
            (expectation for pair in pairs if pair for expectation in self._expectations_of(pair, ports)), None
        )
        if expectation:
            self.add(expectation)

    def _expectations_of(self, pair: Pair, ports: Ports) -> Iterator[Expectation]:
        for kind in self.kinds(pair[1]):
            for protocol, port in ports[self.connections.plan.hosts[pair[1]]]:
                expectation = self.expectation(pair, kind, protocol, port)
                if expectation:
                    yield expectation


def turned(members: Sequence[T], turn: int) -> list[T]:
    """Return the members in a rotated order: each turn starts with the next member."""
    start = turn % len(members) if members else 0
    return [*members[start:], *members[:start]]
