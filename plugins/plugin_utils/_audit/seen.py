# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections that hosts opened, in groups that read like flows: from these hosts to those on these ports."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._model.ports import PortRange, merged
from ansible_collections.hpc.ports.plugins.plugin_utils._audit.cover import Groups
from ansible_collections.hpc.ports.plugins.plugin_utils._audit.ends import ADDRESS, ENDPOINT, HOST, End
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.canonical_groups import CANONICAL_GROUPS

if TYPE_CHECKING:
    from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan

# Programs take ports from here on at random (Linux: 32768-60999; srun may have ports behind them).
EPHEMERAL = 32768


class Count(NamedTuple):
    """How many packets or connections the target and the source saw, and the seconds since the last one."""

    arrived: int
    left: int
    last_seconds: int

    def plus(self, other: Count) -> Count:
        """Return both together."""
        last = min(self.last_seconds, other.last_seconds)
        return Count(self.arrived + other.arrived, self.left + other.left, last)


# The sources of connections to a target, and the targets of connections to one port.
Sources = Mapping[End, Count]
Targets = Mapping[End, Sources]


class Openings(dict[tuple[str, int], dict[End, dict[End, Count]]]):
    """Connections by protocol and port, by target, and by source."""

    def add(self, key: tuple[str, int], target: End, source: End, count: Count) -> None:
        """Add connections to those between the same ends."""
        sources = self.setdefault(key, {}).setdefault(target, {})
        sources[source] = sources[source].plus(count) if source in sources else count


_Names = tuple[tuple[str, ...], ...]


class Side(NamedTuple):
    """The hosts and addresses on one side of connections. All are sorted.

    `groups` cover the hosts that are not in `rest`. `endpoints` have the addresses that are not in `addresses`.
    """

    groups: tuple[str, ...]
    rest: tuple[str, ...]
    endpoints: tuple[str, ...]
    addresses: tuple[str, ...]
    hosts: tuple[str, ...]

    @property
    def names(self) -> _Names:
        """Return all but the hosts that groups cover."""
        return self[:4]


class Seen(NamedTuple):
    """Connections from hosts to others on ports, with the programs that hold the ports now.

    `within_cluster` is whether all of them stayed within a cluster. `number` is how many packets or connections there
    were, and `last_seconds` the time since the last one.
    """

    sources: Side
    targets: Side
    ports: tuple[PortRange, ...]
    within_cluster: bool
    listeners: tuple[str, ...]
    number: int
    last_seconds: int


class _Common(NamedTuple):
    """What connections of a group have in common."""

    within_cluster: bool
    listeners: tuple[str, ...]


@dataclass
class _Group:
    """Connections that belong together, while they are collected."""

    sources: set[End] = field(default_factory=set)
    targets: set[End] = field(default_factory=set)
    ports: list[PortRange] = field(default_factory=list)
    count: Count = Count(0, 0, 2**62)

    def add(self, other: _Group) -> None:
        self.sources |= other.sources
        self.targets |= other.targets
        self.ports += other.ports
        self.count = self.count.plus(other.count)


def seen_of(plan: Plan, openings: Openings, served: Mapping[str, Iterable[tuple[PortRange, str]]]) -> list[Seen]:
    """Return the connections in groups, the lowest ports first. `served` are ports of each host with who holds them."""
    return _Grouping(plan, served).seen(openings)


class _Grouping:
    def __init__(self, plan: Plan, served: Mapping[str, Iterable[tuple[PortRange, str]]]) -> None:
        self._inventory = plan.inventory
        self._groups = Groups(plan)
        self._single = {
            (ports.protocol, ports.first)
            for service in plan.catalogue.services.values()
            for ports in service.ports
            if ports.first == ports.last
        }
        self._holders: dict[tuple[str, str, int], set[str]] = defaultdict(set)
        self._ranges: dict[str, list[tuple[PortRange, str]]] = defaultdict(list)
        for host, held in served.items():
            for ports, holder in held:
                if ports.first == ports.last:
                    self._holders[host, ports.protocol, ports.first].add(holder)
                else:
                    self._ranges[host].append((ports, holder))
        self._kind = cache(self._uncached_kind)

    def seen(self, openings: Openings) -> list[Seen]:
        """Return the groups: ports with the same ends are in one."""
        found: dict[tuple[_Common, _Names, _Names], _Group] = defaultdict(_Group)
        for targets, ports_of in self._by_port(openings):
            for common, group in self._of_one_port(targets, ports_of):
                sources, ends = self._sides(group, common.within_cluster)
                found[common, sources.names, ends.names].add(group)
        seen = (self._seen(group, common) for (common, _sources, _targets), group in found.items())
        return sorted(seen, key=lambda item: (item.ports, item.targets, item.sources))

    def _seen(self, group: _Group, common: _Common) -> Seen:
        sources, targets = self._sides(group, common.within_cluster)
        number = max(group.count.arrived, group.count.left)  # if both ends saw them, they count once
        return Seen(sources, targets, tuple(merged(group.ports)), *common, number, group.count.last_seconds)

    # ---- which connections belong together

    def _by_port(self, openings: Openings) -> Iterator[tuple[Targets, Mapping[End, list[PortRange]]]]:
        """Yield the connections of each port, with the ports of each target. Ephemeral ports count as one."""
        loose: dict[str, dict[End, dict[End, Count]]] = defaultdict(lambda: defaultdict(dict))
        loose_ports: dict[str, dict[End, list[PortRange]]] = defaultdict(lambda: defaultdict(list))
        for (protocol, port), targets in sorted(openings.items()):
            ports = PortRange(protocol, port, port)
            if not self._is_loose(ports, targets):
                yield targets, dict.fromkeys(targets, [ports])
                continue
            for target, sources in targets.items():
                loose_ports[protocol][target].append(ports)
                together = loose[protocol][target]
                for source, count in sources.items():
                    together[source] = together[source].plus(count) if source in together else count
        yield from ((targets, loose_ports[protocol]) for protocol, targets in loose.items())

    def _is_loose(self, ports: PortRange, targets: Iterable[End]) -> bool:
        """Return whether a port is ephemeral, and nobody holds it."""
        key = (ports.protocol, ports.first)
        if ports.protocol == "ip" or ports.first < EPHEMERAL or key in self._single:
            return False
        return not any(self._is_held(target, ports) for target in targets)

    def _of_one_port(
        self, targets: Targets, ports_of: Mapping[End, list[PortRange]]
    ) -> Iterator[tuple[_Common, _Group]]:
        """Yield the groups of the connections to one port, with what is the same for all of a group.

        Targets of one kind whose sources have the same names are together, then all targets with the same sources.
        """
        of_kind: dict[tuple[object, _Common, object], _Group] = defaultdict(_Group)
        for target, sources in targets.items():
            ports = ports_of[target]
            group = _Group(set(sources), {target}, list(ports))
            for count in sources.values():
                group.count = group.count.plus(count)
            within = self._is_within(group)
            side, _target = self._sides(group, within)
            common = _Common(within, self._held(target, ports[0]) if len(ports) == 1 else ())
            names = (side.groups, bool(side.rest), side.endpoints, bool(side.addresses))
            of_kind[self._kind(target), common, names].add(group)
        of_sources: dict[tuple[_Common, _Names], _Group] = defaultdict(_Group)
        for (_kind, common, _some), group in of_kind.items():
            of_sources[common, self._sides(group, common.within_cluster)[0].names].add(group)
        for (common, _all), group in of_sources.items():
            yield common, group

    def _is_held(self, target: End, port: PortRange) -> bool:
        return (target.name, port.protocol, port.first) in self._holders or bool(self._in_ranges(target, port))

    def _held(self, target: End, port: PortRange) -> tuple[str, ...]:
        """Return who holds a port of a target, as far as it is known."""
        held = self._holders.get((target.name, port.protocol, port.first), set())
        return tuple(sorted({*held, *self._in_ranges(target, port)} - {""}))

    def _in_ranges(self, target: End, port: PortRange) -> list[str]:
        ranges = self._ranges.get(target.name, ())
        return [holder for ports, holder in ranges if ports.covers(port.protocol, port.first)]

    def _uncached_kind(self, end: End) -> object:
        """Return what is the same for targets of one kind: the groups of this collection that a host is in."""
        if end.kind != HOST:
            return end if end.kind == ENDPOINT else ADDRESS
        groups = self._inventory.groups
        return frozenset(name for name in CANONICAL_GROUPS if end.name in groups.get(name, ())) or end

    def _is_within(self, group: _Group) -> bool:
        """Return whether all connections stay within a cluster."""
        return all(
            target.kind == source.kind == HOST and bool(self._clusters(source.name) & self._clusters(target.name))
            for target in group.targets
            for source in group.sources
        )

    def _clusters(self, host: str) -> frozenset[str]:
        return self._inventory.hosts[host].clusters if host in self._inventory.managed else frozenset()

    # ---- the names of both sides

    def _sides(self, group: _Group, within: bool) -> tuple[Side, Side]:
        """Return sources and targets. Within clusters, hosts of other clusters do not count in a group."""
        clusters = frozenset().union(*(self._clusters(end.name) for end in group.targets)) if within else frozenset()
        among = {host for host in self._inventory.managed if self._clusters(host) & clusters} if within else None
        return self._side(group.sources, among), self._side(group.targets, among)

    def _side(self, ends: Collection[End], among: Collection[str] | None) -> Side:
        names: dict[str, list[str]] = {HOST: [], ENDPOINT: [], ADDRESS: []}
        for end in ends:
            names[end.kind].append(end.name)
        hosts, endpoints, addresses = (tuple(sorted(found)) for found in names.values())
        groups, rest = self._groups.cover(hosts, among)
        return Side(groups, rest, endpoints, addresses, hosts)
