# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What opens and what closes between two plans of one site: the difference of who reaches whom.

Hosts are compared, not classes: the classes of the two plans differ. A host in observe mode and a trusted interface
accept more than the flows; the settings say so.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._model.ports import PortRange, common_ports, merged, without
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.networks import collapsed, parse_network, subtracted
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.matrix import Matrix, OutsideOpening, matrix_of
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.membership import addresses_of
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.plan_diff import comparison_of, sentences

if TYPE_CHECKING:
    from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan
    from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.host_classes import HostClass
    from netaddr import IPNetwork

_SETTINGS = ("mode", "egress", "trusted_interfaces", "container_interfaces", "filtered_containers", "backend")
# The setting that says whether a host has a firewall at all.
MANAGED = "managed"


class Change(NamedTuple):
    """Ports of each target that each source gains or loses. A host is no source of its own ports."""

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    ports: tuple[PortRange, ...]
    flows: tuple[str, ...]


class OutsideChange(NamedTuple):
    """Ports of hosts that networks outside the inventory gain or lose.

    With `outward`, ports of networks that hosts with restricted egress gain or lose. `endpoints` have the networks.
    """

    hosts: tuple[str, ...]
    ports: tuple[PortRange, ...]
    networks: tuple[str, ...]
    endpoints: tuple[str, ...]
    flows: tuple[str, ...]
    outward: bool


class Setting(NamedTuple):
    """A setting of hosts of both plans that changes; `opens` says that more is open by it than the flows say."""

    hosts: tuple[str, ...]
    name: str
    before: Any
    after: Any
    opens: bool


class Difference(NamedTuple):
    """All that changes. `others` are sentences about changed policies from which no opening follows."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    settings: list[Setting]
    opened: list[Change]
    closed: list[Change]
    opened_outside: list[OutsideChange]
    closed_outside: list[OutsideChange]
    others: list[str]


def difference_of(before: Plan, after: Plan) -> Difference:
    """Return what changes from one plan to the other. Openings on a host that gains or loses its firewall are left out.

    Such a host accepts everything without one, which the setting `managed` says.
    """
    old, new = matrix_of(before), matrix_of(after)
    old_hosts, new_hosts = set(before.inventory.hosts), set(after.inventory.hosts)
    difference = Difference(
        tuple(sorted(new_hosts - old_hosts)),
        tuple(sorted(old_hosts - new_hosts)),
        _settings(before, after),
        opened_between(old, new),
        opened_between(new, old),
        _outside(old, new, after),
        _outside(new, old, before),
        [],
    )
    return difference._replace(others=_others(before, after, difference))


# ---- between hosts


class _Block(NamedTuple):
    """Hosts of one class before and of one class after; None where they are not in the inventory."""

    members: tuple[str, ...]
    before: HostClass | None
    after: HostClass | None

    @property
    def is_managed(self) -> bool:
        """Return whether the hosts have a firewall in each plan that has them."""
        return all(host_class.policy for host_class in (self.before, self.after) if host_class)

    @property
    def changes_egress(self) -> bool:
        """Return whether egress is open in one of the plans and restricted in the other."""
        return bool(self.before and self.after and self.before.role[1] != self.after.role[1])


def _blocks(before: Matrix, after: Matrix) -> list[_Block]:
    old, new = ({host: one for one in matrix.classes for host in one.members} for matrix in (before, after))
    members: dict[tuple[str | None, str | None], list[str]] = defaultdict(list)
    for host in sorted({**old, **new}):
        members[old[host].name if host in old else None, new[host].name if host in new else None].append(host)
    return [_Block(tuple(hosts), old.get(hosts[0]), new.get(hosts[0])) for hosts in members.values()]


def opened_between(before: Matrix, after: Matrix) -> list[Change]:
    """Return the ports that hosts gain, with equal gains of several hosts as one change."""
    blocks = _blocks(before, after)
    old, new = _ports_by_pair(before), _ports_by_pair(after)
    gains: dict[tuple[tuple[PortRange, ...], tuple[str, ...]], dict[int, set[int]]] = defaultdict(
        lambda: defaultdict(set)
    )
    for number, target in enumerate(blocks):
        if not target.is_managed or not target.after:
            continue
        for other, source in enumerate(blocks):
            if source.after and (number != other or len(target.members) > 1):
                was = old.get((source.before.name, target.before.name), {}) if source.before and target.before else {}
                for key in _gained(was, new.get((source.after.name, target.after.name), {})):
                    gains[key][number].add(other)
    alone = {number for number, block in enumerate(blocks) if len(block.members) == 1}
    changes = [
        Change(_hosts(blocks, sources), _hosts(blocks, targets), ports, flows)
        for (ports, flows), sources_of in gains.items()
        for targets, sources in _rectangles(sources_of, alone)
    ]
    return sorted(changes, key=lambda change: (change.targets, change.ports, change.sources))


def _ports_by_pair(matrix: Matrix) -> dict[tuple[str, str], dict[str, tuple[PortRange, ...]]]:
    """Return the ports by flow, for each pair of classes."""
    result: dict[tuple[str, str], dict[str, tuple[PortRange, ...]]] = defaultdict(dict)
    for opening in matrix.openings:
        result[opening.source.name, opening.target.name][opening.flow] = opening.ports
    return result


def _gained(
    before: Mapping[str, tuple[PortRange, ...]], after: Mapping[str, tuple[PortRange, ...]]
) -> Iterator[tuple[tuple[PortRange, ...], tuple[str, ...]]]:
    """Yield the ports that no flow opened before, with the flows that open them now."""
    if before == after:
        return
    gained = without(_all_ports(after), _all_ports(before))
    flows: dict[tuple[PortRange, ...], list[str]] = defaultdict(list)
    for flow, ports in after.items():
        flows[tuple(common_ports(ports, gained))].append(flow)
    yield from ((ports, tuple(sorted(names))) for ports, names in flows.items() if ports)


def _all_ports(by_flow: Mapping[str, tuple[PortRange, ...]]) -> list[PortRange]:
    return [port_range for ports in by_flow.values() for port_range in ports]


def _rectangles(
    sources_of: Mapping[int, set[int]], alone: Collection[int]
) -> Iterator[tuple[Sequence[int], Collection[int]]]:
    """Yield targets that have the same sources. A single host counts as a source of itself where this joins targets."""
    joined: dict[frozenset[int], list[int]] = defaultdict(list)
    for target, sources in sources_of.items():
        joined[frozenset(sources | ({target} & set(alone)))].append(target)
    left: dict[frozenset[int], list[int]] = defaultdict(list)
    for wide, targets in joined.items():
        if len(targets) > 1:
            yield targets, wide
        else:
            left[frozenset(sources_of[targets[0]])] += targets
    yield from ((targets, sources) for sources, targets in left.items())


def _hosts(blocks: Sequence[_Block], numbers: Iterable[int]) -> tuple[str, ...]:
    return tuple(sorted(host for number in numbers for host in blocks[number].members))


# ---- networks outside


def _outside(before: Matrix, after: Matrix, plan: Plan) -> list[OutsideChange]:
    """Return what networks outside gain, and hosts with restricted egress; equal gains of hosts are one change.

    `plan` is that of the matrix `after`. The addresses of its hosts are not outside.
    """
    inside, managed = (_addresses(plan, hosts) for hosts in (plan.inventory.hosts, plan.hosts))
    gains: dict[OutsideChange, list[str]] = defaultdict(list)
    for outward, old, new, hosts in (
        (False, before.outside, after.outside, inside),
        (True, before.outward, after.outward, managed),
    ):
        was, now = _by_class(old), _by_class(new)
        for block in _blocks(before, after):
            if block.after and block.is_managed and not (outward and block.changes_egress):
                present = was.get(block.before.name, []) if block.before else []
                for gain in _gained_outside(present, now.get(block.after.name, []), hosts):
                    gains[gain._replace(outward=outward)] += block.members
    return sorted(gain._replace(hosts=tuple(sorted(hosts))) for gain, hosts in gains.items())


def _addresses(plan: Plan, hosts: Iterable[str]) -> list[IPNetwork]:
    return [
        network for host in hosts for source in (False, True) for network in addresses_of(plan.addresses, host, source)
    ]


def _by_class(openings: Iterable[OutsideOpening]) -> dict[str, list[OutsideOpening]]:
    result = defaultdict(list)
    for opening in openings:
        result[opening.target.name].append(opening)
    return result


def _gained_outside(
    before: Sequence[OutsideOpening], after: Sequence[OutsideOpening], inside: Iterable[IPNetwork]
) -> Iterator[OutsideChange]:
    """Yield the networks that `after` has and `before` lacks, by their ports; `hosts` is empty."""
    if [_content(opening) for opening in before] == [_content(opening) for opening in after]:
        return
    ports_of: dict[tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]], list[PortRange]] = defaultdict(list)
    for piece in _pieces(port_range for opening in (*before, *after) for port_range in opening.ports):
        was, now = ([opening for opening in openings if _has(opening, piece)] for openings in (before, after))
        gained = subtracted(_networks(now), _networks(was))
        gained = subtracted(gained, inside) if gained else []
        if gained:
            causes = [opening for opening in now if subtracted(gained, _networks([opening])) != gained]
            endpoints = dict.fromkeys(name for opening in causes for name in opening.endpoints)
            flows = tuple(sorted({opening.flow for opening in causes}))
            ports_of[collapsed(gained), tuple(endpoints), flows].append(piece)
    for (networks, endpoints_of, flows), ports in ports_of.items():
        yield OutsideChange((), tuple(merged(ports)), networks, endpoints_of, flows, outward=False)


def _content(opening: OutsideOpening) -> tuple[Any, ...]:
    return opening.ports, opening.networks


def _networks(openings: Iterable[OutsideOpening]) -> list[IPNetwork]:
    return [parse_network(network) for opening in openings for network in opening.networks]


def _has(opening: OutsideOpening, piece: PortRange) -> bool:
    return any(port_range.covers(piece.protocol, piece.first) for port_range in opening.ports)


def _pieces(ranges: Iterable[PortRange]) -> Iterator[PortRange]:
    """Yield ranges that together are the given ones, each of which is in a given range as a whole or not at all."""
    every = list(ranges)
    for protocol in sorted({port_range.protocol for port_range in every}):
        own = [port_range for port_range in every if port_range.protocol == protocol]
        edges = sorted({edge for port_range in own for edge in (port_range.first, port_range.last + 1)})
        yield from (
            PortRange(protocol, first, following - 1)
            for first, following in zip(edges, edges[1:])
            if any(port_range.covers(protocol, first) for port_range in own)
        )


# ---- settings


def _settings(before: Plan, after: Plan) -> list[Setting]:
    """Return the settings that change on hosts of both inventories; hosts with equal changes are one."""
    alike: dict[tuple[str, Any, Any], list[str]] = defaultdict(list)
    for host in sorted(before.inventory.hosts.keys() & after.inventory.hosts.keys()):
        was_managed, is_managed = host in before.hosts, host in after.hosts
        if was_managed != is_managed:
            alike[MANAGED, was_managed, is_managed].append(host)
        for name in _SETTINGS if was_managed and is_managed else ():
            was, now = (getattr(plan.inventory.hosts[host], name) for plan in (before, after))
            if was != now:
                alike[name, was, now].append(host)
    return [Setting(tuple(hosts), name, was, now, _opens(name, was, now)) for (name, was, now), hosts in alike.items()]


def _opens(name: str, before: Any, after: Any) -> bool:
    """Return whether more is open by the new value of a setting, whatever the flows say."""
    if name == "trusted_interfaces":
        return not set(after) <= set(before)
    if name == "filtered_containers":
        return not set(before) <= set(after)
    return (name, after) in (("mode", "observe"), ("egress", "open"), (MANAGED, False))


def _others(before: Plan, after: Plan, difference: Difference) -> list[str]:
    """Return sentences about hosts whose policies change although nothing else of the difference names them."""
    named = {host for change in (*difference.opened, *difference.closed) for host in (*change.sources, *change.targets)}
    named |= {host for change in (*difference.opened_outside, *difference.closed_outside) for host in change.hosts}
    named |= {host for setting in difference.settings for host in setting.hosts}
    comparison = comparison_of(before, after)
    return sentences(
        comparison._replace(differences=tuple(one for one in comparison.differences if not set(one.hosts) <= named))
    )
