# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections that are chosen one by one, with the members of a class of hosts taking turns."""

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
# By policy, the ports to try on its hosts.
Ports = Mapping[str, Sequence[tuple[str, int]]]


@dataclass
class Selection:
    """The connections chosen so far, and the hosts that have one, as source or as target."""

    connections: Connections
    classes: Sequence[HostClass]
    found: dict[Expectation, None] = field(default_factory=dict)
    sources: set[str] = field(default_factory=set)
    targets: set[str] = field(default_factory=set)
    _turns: Counter[tuple[str, str]] = field(default_factory=Counter)
    _some: dict[Pair, Pair | None] = field(default_factory=dict)
    _kinds: dict[str, dict[int, list[Address]]] = field(default_factory=dict)

    def add(self, item: Expectation) -> None:
        """Take a connection."""
        self.found[item] = None
        self.sources.add(item.source)
        self.targets.add(item.target)

    def pair(self, source: HostClass, target: HostClass) -> Pair | None:
        """Return the two whose turn it is; None where nothing can be expected of any two."""
        return self._first(self._turned("from", source), self._turned("to", target))

    def pair_with(self, host: str, other: HostClass, is_source: bool) -> Pair | None:
        """Return a host, as source or else as target, and the one of a class whose turn it is; None as above."""
        if is_source:
            return self._first([host], self._turned("to", other))
        return self._first(self._turned("from", other), [host])

    def some_pair(self, source: HostClass, target: HostClass) -> Pair | None:
        """Return the first two of whom something can be expected, which stand for all; nobody's turn is over."""
        key = (source.name, target.name)
        if key not in self._some:
            self._some[key] = self._first(source.members, target.members)
        return self._some[key]

    def _turned(self, side: str, found: HostClass) -> list[str]:
        self._turns[side, found.name] += 1
        return turned(found.members, self._turns[side, found.name] - 1)

    def _first(self, sources: Sequence[str], targets: Sequence[str]) -> Pair | None:
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
        """Return the addresses where a host is reached by their kind."""
        if host not in self._kinds:
            self._kinds[host] = by_kind(self.connections.reached[host])
        return self._kinds[host]

    def address(self, pair: Pair, kind: int) -> Address | None:
        """Return an address of this kind of the target; None where the source has none of that family."""
        addresses = self.kinds(pair[1])[kind]
        if not self.connections.froms(pair[0], addresses[0]):
            return None
        return addresses[len(self.found) % len(addresses)]

    def ask(self, pair: Pair | None, kind: int, protocol: str, port: int) -> Expectation | None:
        """Return what is expected of a connection of two hosts; None where nothing can be."""
        address = self.address(pair, kind) if pair else None
        return self.connections.expectation(*pair, address, protocol, port) if pair and address else None

    def skip_dependent(self, pair: Pair | None, kind: int) -> None:
        """Note a connection of which nothing is expected though the source has an address of the family."""
        address = self.address(pair, kind) if pair else None
        if pair and address:
            self.connections.skip_dependent(*pair, address)

    def complete(self, ports: Ports) -> None:
        """Take a connection of each host that has none yet, as source and, where it is managed, as target."""
        managed = [item for item in self.classes if item.policy]
        for found in self.classes:
            for host in found.members:
                if host not in self.sources:
                    self._add_any((self.pair_with(host, other, is_source=True) for other in managed), ports)
                if found.policy and host not in self.targets:
                    self._add_any((self.pair_with(host, other, is_source=False) for other in self.classes), ports)

    def _add_any(self, pairs: Iterable[Pair | None], ports: Ports) -> None:
        item = next((item for pair in pairs if pair for item in self._all_of(pair, ports)), None)
        if item:
            self.add(item)

    def _all_of(self, pair: Pair, ports: Ports) -> Iterator[Expectation]:
        for kind in self.kinds(pair[1]):
            for protocol, port in ports[self.connections.plan.hosts[pair[1]]]:
                item = self.ask(pair, kind, protocol, port)
                if item:
                    yield item


def turned(items: Sequence[T], turn: int) -> list[T]:
    """Return the items beginning with another one each turn."""
    start = turn % len(items) if items else 0
    return [*items[start:], *items[:start]]
