# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find which flows cover each flow, by their endpoints and ports.

A comparison of each flow with each other flow takes minutes for thousands of flows. Here a set of flows is an int with
one bit for each flow. Each group, address, network and port range has the set of the flows that contain it. The flows
that cover a flow are in the sets of all that it has.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from functools import reduce
from itertools import accumulate
from operator import and_, xor
from typing import NamedTuple, TypeVar

from ansible_collections.hpc.ports.plugins.module_utils._model.policy import MANAGEMENT_FLOW
from ansible_collections.hpc.ports.plugins.module_utils._model.ports import merged
from ansible_collections.hpc.ports.plugins.plugin_utils._lint.networks import groups_of, named_ports, outside_networks
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.catalogue import Flow

Key = TypeVar("Key", bound=Hashable)
# Ports of a protocol or addresses of an IP version, from first to last.
Span = tuple[str, int, int]


class Part(NamedTuple):
    """The sources, the targets or the ports of a flow.

    `names` are groups and addresses of managed hosts. A managed host is on a side by its exact address only; a network
    around the address does not count. `spans` are all addresses or ports, as few as possible and sorted.
    """

    names: frozenset[Hashable]
    spans: tuple[Span, ...]


class Extent(NamedTuple):
    """What a flow opens. Flows with equal extents cover each other."""

    sources: Part
    targets: Part
    ports: Part
    within_cluster: bool


def first_covering(plan: Plan, flows: Sequence[Flow]) -> dict[str, str]:
    """Return the first of these flows that covers a flow, by the names of the flows that are covered.

    A flow covers another by its endpoints, not by the hosts that are in the groups today. Of flows that cover each
    other, the first by name stays, and the management flow before all others. Equal flows do not count. Nor do two
    flows whose endpoints are the shipped ones: the site only filled in the networks, and one network may have several
    roles.
    """
    extents = _extents(plan, flows)
    coverage, alike = _Coverage(extents), _sets(extents)
    equal, changed = _sets(map(sides_and_services, flows)), _sets(flow.changed_by_site for flow in flows)[True]
    before = _before(flows, extents)
    result = {}
    for flow, extent, earlier in zip(flows, extents, before):
        candidates = coverage.covering(extent) & (~alike[extent] | earlier) & ~equal[sides_and_services(flow)]
        if not flow.changed_by_site:
            candidates &= changed
        if candidates:
            result[flow.name] = flows[_lowest(candidates)].name
    return result


def sides_and_services(flow: Flow) -> tuple[object, ...]:
    """Return what two equal flows have in common."""
    return frozenset(flow.sources), frozenset(flow.targets), frozenset(flow.services), flow.within_cluster


def _sets(keys: Iterable[Key]) -> Mapping[Key, int]:
    """Return the set of the flows with each key, by their numbers."""
    result: dict[Key, int] = defaultdict(int)
    for number, key in enumerate(keys):
        result[key] |= 1 << number
    return result


def _before(flows: Sequence[Flow], extents: Sequence[Extent]) -> list[int]:
    """Return, for each flow, the set of the flows with the same extent that stay before it."""
    result = [0] * len(flows)
    seen: dict[Extent, int] = defaultdict(int)
    for number in sorted(range(len(flows)), key=lambda number: _rank(flows[number])):
        result[number] = seen[extents[number]]
        seen[extents[number]] |= 1 << number
    return result


def _rank(flow: Flow) -> tuple[bool, str]:
    """Return the sort key of flows that cover each other: the first stays, the management flow before all others."""
    return flow.name != MANAGEMENT_FLOW, flow.name


def _lowest(flows: int) -> int:
    return (flows & -flows).bit_length() - 1


def _extents(plan: Plan, flows: Iterable[Flow]) -> list[Extent]:
    sides: dict[tuple[tuple[str, ...], bool], Part] = {}

    def side(flow: Flow, names: tuple[str, ...]) -> Part:
        key = (names, flow.within_cluster)
        if key not in sides:
            sides[key] = _side(plan, flow, names)
        return sides[key]

    return [
        Extent(side(flow, flow.sources), side(flow, flow.targets), _ports(plan, flow), flow.within_cluster)
        for flow in flows
    ]


def _side(plan: Plan, flow: Flow, names: Iterable[str]) -> Part:
    networks = outside_networks(plan, flow, names)
    addresses = [network for network in networks if network in plan.addresses.hosts_by_address]
    spans = ((str(network.version), network.first, network.last) for network in networks)
    return Part(frozenset([*groups_of(plan, names), *addresses]), _joined(spans))


def _ports(plan: Plan, flow: Flow) -> Part:
    return Part(frozenset(), tuple(merged(named_ports(plan, flow))))


def _joined(spans: Iterable[Span]) -> tuple[Span, ...]:
    result: list[Span] = []
    for kind, first, last in sorted(spans):
        if result and result[-1][0] == kind and first <= result[-1][2] + 1:
            result[-1] = (kind, result[-1][1], max(last, result[-1][2]))
        else:
            result.append((kind, first, last))
    return tuple(result)


class _Coverage:
    """Which flows cover an extent."""

    def __init__(self, extents: Sequence[Extent]) -> None:
        self._sources = _Containing(_sets(extent.sources for extent in extents))
        self._targets = _Containing(_sets(extent.targets for extent in extents))
        self._ports = _Containing(_sets(extent.ports for extent in extents))
        self._anywhere = _sets(extent.within_cluster for extent in extents)[False]

    def covering(self, extent: Extent) -> int:
        """Return the set of the flows that cover an extent. A flow with this extent covers it, unless a side is empty.

        A flow within a cluster covers no other flow.
        """
        flows = self._sources.all_of(extent.sources) & self._targets.all_of(extent.targets)
        flows &= self._ports.all_of(extent.ports)
        return flows if extent.within_cluster else flows & self._anywhere


class _Containing:
    """Which flows have a part of another flow, by the set of the flows with each part."""

    def __init__(self, flows: Mapping[Part, int]) -> None:
        self._by_name: dict[Hashable, int] = defaultdict(int)
        for part, owners in flows.items():
            for name in part.names:
                self._by_name[name] |= owners
        self._spans = _Spans((span, owners) for part, owners in flows.items() for span in part.spans)
        self._known: dict[Part, int] = {}

    def all_of(self, part: Part) -> int:
        """Return the set of the flows that have the whole part, none if it is empty."""
        if part not in self._known:
            self._known[part] = reduce(and_, self._each_of(part)) if any(part) else 0
        return self._known[part]

    def _each_of(self, part: Part) -> Iterator[int]:
        yield from (self._by_name[name] for name in part.names)
        yield from map(self._spans.covering, part.spans)


class _Spans:
    """Which flows cover a span. The spans of one flow are disjoint.

    The ends of all spans cut ports or addresses into pieces. A node of the binary tree has the flows that cover all
    pieces below it, so that a span of thousands of pieces needs few steps.
    """

    def __init__(self, spans: Iterable[tuple[Span, int]]) -> None:
        changes: dict[tuple[str, int], int] = defaultdict(int)
        for (kind, first, last), flows in spans:
            changes[kind, first] ^= flows
            changes[kind, last + 1] ^= flows
        ends = sorted(changes)
        self._places = {end: len(ends) + place for place, end in enumerate(ends)}
        self._tree = [0] * len(ends) + list(accumulate((changes[end] for end in ends), xor))
        for node in range(len(ends) - 1, 0, -1):
            self._tree[node] = self._tree[2 * node] & self._tree[2 * node + 1]

    def covering(self, span: Span) -> int:
        """Return the set of the flows that cover one of the spans."""
        kind, first, last = span
        low, high = self._places[kind, first], self._places[kind, last + 1]
        flows = -1  # all
        while low < high:
            if low % 2:
                flows &= self._tree[low]
                low += 1
            if high % 2:
                high -= 1
                flows &= self._tree[high]
            low, high = low // 2, high // 2
        return flows
