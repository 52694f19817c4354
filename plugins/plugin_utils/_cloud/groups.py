# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plan as groups of hosts with rules, as clouds have them: the peers of a rule are groups, or else networks.

Hosts of one class are one group. A rule names a group as its peer only where all addresses of the group are meant, so
that groups and networks together are exactly the peers of the plan.
"""

from __future__ import annotations

import ipaddress
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._model.policy import Network, Rule
from ansible_collections.hpc.ports.plugins.module_utils._model.ports import EVERYTHING, PortRange, merged, without
from ansible_collections.hpc.ports.plugins.plugin_utils._cloud.names import group_names, safe_title
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.networks import collapsed, parse_network
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.connections import Connections
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.host_classes import class_name, classes_of

if TYPE_CHECKING:
    from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan
    from netaddr import IPNetwork

# Every packet, which is what a host with open egress may send.
ALL_PACKETS = tuple(merged([*EVERYTHING, *(PortRange("ip", number, number) for number in (1, 2, 58))]))
# All addresses, by IP version.
ANYWHERE = {4: "0.0.0.0/0", 6: "::/0"}
_ICMP = {4: (PortRange("ip", 1, 1),), 6: (PortRange("ip", 58, 58),)}


class GroupRule(NamedTuple):
    """Connections that a group accepts (`in`) or may open (`out`): ports, and the peers of other groups and networks.

    A network is in the form of `10.0.0.0/8`. ICMP and ICMPv6, which hosts always accept, are rules without a flow.
    """

    direction: str
    ports: tuple[PortRange, ...]
    groups: tuple[str, ...]
    networks: tuple[str, ...]
    flows: tuple[str, ...] = ()

    def networks_of(self, version: int) -> list[str]:
        """Return the networks of one IP version."""
        return [network for network in self.networks if (":" in network) == (version == 6)]


class Group(NamedTuple):
    """Hosts of one class: `title` is the name of the class in safe characters, `name` that of its group in the cloud.

    `versions` are the IP versions of the addresses of its hosts.
    """

    name: str
    title: str
    hosts: tuple[str, ...]
    egress: str
    mode: str
    trusted_interfaces: tuple[str, ...]
    versions: tuple[int, ...]
    rules: tuple[GroupRule, ...]


class Scope(NamedTuple):
    """Which hosts are in the cloud, and what it can refer to.

    The peers of a rule `in` or `out` are groups if the direction is in `references`. With `one_address`, a group with a
    host that has several addresses of one family is no peer.
    """

    hosts: Collection[str]
    prefix: str
    references: Collection[str] = ("in", "out")
    one_address: bool = False


class Peers(NamedTuple):
    """The peers of a rule: names of groups, and networks."""

    groups: tuple[str, ...]
    networks: tuple[str, ...]


Place = tuple[int, int]  # the version and the number of an address


@dataclass
class _Class:
    """The hosts of one class that are in the cloud. `keys` are the networks of policies with all their addresses."""

    hosts: tuple[str, ...]
    policy: str
    places: frozenset[Place]
    keys: frozenset[str]
    can_be_peer: bool
    name: str = ""


def groups_of(plan: Plan, scope: Scope) -> list[Group]:
    """Return the groups of the managed hosts in the cloud, in the order of their first hosts."""
    return _Compiler(plan, scope).groups()


@dataclass
class _Compiler:
    plan: Plan
    scope: Scope
    _peers: dict[tuple[str, str], Peers] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.connections = Connections(self.plan, sorted(self.plan.inventory.hosts))
        self.places = {host: self._places_of(host) for host in self.connections.hosts}
        self.owners: dict[Place, int] = defaultdict(int)
        for places in self.places.values():
            for place in places:
                self.owners[place] += 1
        self.ordered = sorted(self.owners)
        self.classes = list(self._classes())
        titles = [class_name(self.plan.inventory, own.hosts) for own in self.classes]
        names = group_names(self.scope.prefix, titles, [own.hosts[0] for own in self.classes])
        for own, name in zip(self.classes, names):
            own.name = name

    def _places_of(self, host: str) -> frozenset[Place]:
        both = (self.connections.reached, self.connections.comes_from)
        return frozenset(_place(address.text) for by_host in both for address in by_host[host])

    def _classes(self) -> Iterator[_Class]:
        for host_class in classes_of(self.connections):
            hosts = tuple(host for host in host_class.members if host in self.scope.hosts)
            if hosts and host_class.policy:
                yield _Class(
                    hosts,
                    host_class.policy,
                    frozenset().union(*(self.places[host] for host in hosts)),
                    self._common_keys(hosts[0]),
                    all(map(self._can_be_peer, hosts)),
                )

    def _common_keys(self, host: str) -> frozenset[str]:
        """Return the networks of policies that have all addresses of a host; they are the same for its whole class."""
        both = (self.connections.reached, self.connections.comes_from)
        kinds = [self.connections.kinds[address.kind] for by_host in both for address in by_host[host]]
        return frozenset.intersection(*(kind.networks for kind in kinds))

    def _can_be_peer(self, host: str) -> bool:
        """Return whether a cloud knows the host by its addresses, so that a group stands for exactly these.

        It does not know the address of a NAT, and of an address that other hosts have as well not whose it is.
        """
        own, reached = self.places[host], {_place(address.text) for address in self.connections.reached[host]}
        comes_from = {_place(address.text) for address in self.connections.comes_from[host]}
        several = len({version for version, _number in own}) < len(own)
        return (
            reached == comes_from
            and all(self.owners[place] == 1 and not _is_public(place) for place in own)
            and not (self.scope.one_address and several)
        )

    def groups(self) -> list[Group]:
        return [self._group(own) for own in self.classes]

    def _group(self, own: _Class) -> Group:
        policy = self.connections.policy(own.policy)
        directions = ("in", "out") if policy.egress == "restricted" else ("in",)
        rules = [rule for direction in directions for rule in self._rules(own.policy, direction)]
        versions = tuple(sorted({version for version, _number in own.places}))
        open_egress = [] if policy.egress == "restricted" else [_open_egress()]
        return Group(
            own.name,
            safe_title(class_name(self.plan.inventory, own.hosts)),
            own.hosts,
            policy.egress,
            policy.mode,
            policy.trusted_interfaces,
            versions,
            tuple([*rules, *(rule for direction in directions for rule in _icmp(direction)), *open_egress]),
        )

    def _rules(self, policy: str, direction: str) -> list[GroupRule]:
        """Return the rules of the flows: one for all peers with the same ports."""
        openings = _Openings()
        for data, rule in zip(self.plan.policies[policy]["rules"], self.connections.policy(policy).rules):
            if rule.direction == direction:
                openings.add(rule, self._peers_of(data["peers"], policy, direction))
        return openings.rules(direction, {own.name: own.places for own in self.classes})

    def _peers_of(self, key: str, policy: str, direction: str) -> Peers:
        if (key, direction) not in self._peers:
            cidrs = self.plan.policies[policy]["networks"][key]
            self._peers[key, direction] = self._split(key, cidrs, direction in self.scope.references)
        return self._peers[key, direction]

    def _split(self, key: str, cidrs: Iterable[str], with_groups: bool) -> Peers:
        """Return groups for the addresses of hosts among these networks. A network with other addresses stays whole."""
        candidates = [own for own in self.classes if with_groups and own.can_be_peer and key in own.keys]
        owned = {place: own for own in candidates for place in own.places}
        groups: set[str] = set()
        networks = []
        for network in map(parse_network, cidrs):
            places = self._hosts_in(network.version, network.first, network.last)
            if len(places) == network.size and any(place in owned for place in places):
                groups.update(owned[place].name for place in places if place in owned)
                networks += [_single(place) for place in places if place not in owned]
            else:
                networks.append(network)
        return Peers(tuple(sorted(groups)), collapsed(networks))

    def _hosts_in(self, version: int, first: int, last: int) -> list[Place]:
        """Return the addresses of hosts in a network."""
        start, end = bisect_left(self.ordered, (version, first)), bisect_right(self.ordered, (version, last))
        return self.ordered[start:end]


@dataclass
class _Openings:
    """The ports that each peer may use, and by which flows."""

    ports: dict[str, list[PortRange]] = field(default_factory=lambda: defaultdict(list))
    flows: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    groups: set[str] = field(default_factory=set)

    def add(self, rule: Rule, peers: Peers) -> None:
        self.groups.update(peers.groups)
        for peer in (*peers.groups, *peers.networks):
            self.ports[peer] += rule.ports
            self.flows[peer].add(rule.flow)

    def rules(self, direction: str, places: dict[str, frozenset[Place]]) -> list[GroupRule]:
        """Return the rules. A peer does not repeat ports that a network around it has."""
        by_network = {
            ipaddress.ip_network(peer): ports for peer, ports in self.ports.items() if peer not in self.groups
        }
        around = _Around(by_network)
        left = {str(network): without(ports, around.ports(network)) for network, ports in by_network.items()}
        for group in self.groups:
            common = around.common(map(_network, places[group]))
            left[group] = without(self.ports[group], common)
        by_ports: dict[tuple[PortRange, ...], list[str]] = defaultdict(list)
        for peer in sorted(left):
            if left[peer]:
                by_ports[tuple(left[peer])].append(peer)
        return [self._rule(direction, ports, peers) for ports, peers in sorted(by_ports.items())]

    def _rule(self, direction: str, ports: tuple[PortRange, ...], peers: list[str]) -> GroupRule:
        networks = [parse_network(peer) for peer in peers if peer not in self.groups]
        return GroupRule(
            direction,
            ports,
            tuple(peer for peer in peers if peer in self.groups),
            collapsed(networks),
            tuple(sorted(set().union(*(self.flows[peer] for peer in peers)))),
        )


class _Around:
    """The ports that the networks around a network have."""

    def __init__(self, by_network: dict[Network, list[PortRange]]) -> None:
        self.by_network = by_network
        self.lengths = sorted({(network.version, network.prefixlen) for network in by_network})

    def ports(self, network: Network, itself: bool = False) -> list[PortRange]:
        wider = [
            network.supernet(new_prefix=length)
            for version, length in self.lengths
            if version == network.version and (length < network.prefixlen or itself and length == network.prefixlen)
        ]
        return [ports for around in wider for ports in self.by_network.get(around, ())]

    def common(self, addresses: Iterable[Network]) -> list[PortRange]:
        """Return the ports that all these addresses have by networks."""
        found: list[PortRange] | None = None
        for address in addresses:
            own = merged(self.ports(address, itself=True))
            found = own if found is None else without(found, without(found, own))
            if not found:
                break
        return found or []


def _icmp(direction: str) -> list[GroupRule]:
    return [GroupRule(direction, ports, (), (ANYWHERE[version],)) for version, ports in _ICMP.items()]


def _open_egress() -> GroupRule:
    return GroupRule("out", ALL_PACKETS, (), tuple(ANYWHERE.values()))


def _place(text: str) -> Place:
    address = ipaddress.ip_address(text)
    return address.version, int(address)


def _network(place: Place) -> Network:
    version, number = place
    return ipaddress.IPv4Network(number) if version == 4 else ipaddress.IPv6Network(number)


def _single(place: Place) -> IPNetwork:
    return parse_network(str(_network(place)))


def _is_public(place: Place) -> bool:
    """Return whether an address is a public one of IPv4, which clouds put in front of a private one by NAT."""
    return place[0] == 4 and _network(place).is_global
