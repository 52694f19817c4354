# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compile a policy to firewalld policies and ipsets (docs/ARCHITECTURE.md, section 6).

Each flow looks up its peers in two ipsets for each address family, `a` and `b`, with the same entries: firewalld
empties an ipset before it fills it again, and meanwhile the other one matches. The ipsets for IPv4 exist even if they
are empty, and `any` is written as two halves, because an ipset does not accept 0.0.0.0/0. So no change of peers needs
a new ipset, which would need a reload, unless a flow gets its first IPv6 peer or loses its last one. Most flows have
none, and each ipset makes a reload longer: by 1 ms of CPU time with firewalld 2.3.1, and by 17 ms with 0.9.3. Flows
with the same long list of peers look them up in the ipsets of one of them, and their own ipsets are empty until their
peers differ. firewalld before 1.0 cannot look up the peers of egress in ipsets: they are single rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from typing import NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables.peer_sets import same_peers
from ansible_collections.hpc.ports.plugins.module_utils._model.names import POLICY_IN, POLICY_OUT, PREFIX, digest
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import (
    DHCP_SERVERS,
    SERVED_TO_CONTAINERS,
    Network,
    Policy,
    Rule,
    dhcp_answers,
    label,
    network_text,
    split_flows,
)
from ansible_collections.hpc.ports.plugins.module_utils._model.ports import ALWAYS_ACCEPTED, EVERYTHING

OLDEST = (0, 9, 0)
# The first version that looks up destinations in ipsets.
_WHOLE = (1, 0, 0)
# Before every policy that firewalld ships or a site is likely to have.
PRIORITY = -32000
# After the accept rules, which have no priority.
_LAST = 32000
_POLICY_NAMES = {"in": POLICY_IN, "out": POLICY_OUT}
_ZONES = {"in": ("ANY", "HOST"), "out": ("HOST", "ANY")}
# An ipset's name has at most 31 characters.
_LONGEST_NAME = 31
_VERSIONS = (4, 6)
# Kinds of ipsets.
NETWORKS, PORTS, INTERFACES = "hash:net", "hash:net,port", "hash:net,iface"
# Used like the label of a flow, but no flow has it: labels begin with a direction.
_TRUSTED = "trusted"
# Instead of the name of a flow, for rules of the networks of containers: they depend on the host, not on the policy.
CONTAINERS = "containers"
# What containers ask their host, and firewalld can match: a client of DHCP has no address yet, so it is in no network.
_ASKED = tuple(("port", str(port), protocol) for protocol, port in SERVED_TO_CONTAINERS if port == 53)
_HALVES = {4: ("0.0.0.0/1", "128.0.0.0/1"), 6: ("::/1", "8000::/1")}
_COPIES = "ab"
# From so many networks of one IP version on, flows share them: firewalld takes long to load them.
LONG = 256
# By label and IP version, the label of the rule whose ipsets have the peers; missing if they are its own.
_Owners = dict[tuple[str, int], str]
# Transport protocols by number, for versions that cannot distinguish denied packets from replies in another way: TCP,
# UDP, DCCP, SCTP and UDP-Lite (RFC 9293, 768, 4340, 9260, 3828).
_TRANSPORTS = (6, 17, 33, 132, 136)
# DHCP traffic of a client, and a server's answers: ipset of the source port, direction, IP version, source port and
# destination port (RFC 2131, RFC 8415).
_DHCP = (
    (PREFIX + "dhcp_in_4", "in", 4, 67, 68),
    (PREFIX + "dhcp_out_4", "out", 4, 68, 67),
    (PREFIX + "dhcp_out_6", "out", 6, 546, 547),
    *((PREFIX + f"dhcp_answers_{answer[0]}", "out", *answer) for answer in DHCP_SERVERS),
)


class Abilities(NamedTuple):
    """What the firewalld of a host can do, see `abilities_of`."""

    destination_ipsets: bool
    interface_ipsets: bool
    accepts_replies_out: bool


def abilities_of(version: tuple[int, ...]) -> Abilities:
    """Return what a firewalld of this version can do."""
    is_whole = version >= _WHOLE
    return Abilities(is_whole, is_whole, is_whole)


class IPSet(NamedTuple):
    """One of our ipsets; `flow` is the name of its rule, such as `in_web`, or empty."""

    kind: str
    version: int
    flow: str
    entries: tuple[str, ...]


class RichRule(NamedTuple):
    """A rich rule: `source` and `destination` are `ipset` or `address` and its value, or empty.

    `element` is `port`, ports and protocol, or `protocol` and a number, or empty. `flow` is as in IPSet, or CONTAINERS,
    or empty.
    """

    verdict: str = "accept"
    family: str = ""
    source: tuple[str, ...] = ()
    destination: tuple[str, ...] = ()
    element: tuple[str, ...] = ()
    priority: int = 0
    flow: str = ""

    def text(self) -> str:
        """Return the rule in the form that firewalld uses at run time."""
        words = ["rule", _pairs(priority=self.priority or "", family=self.family)]
        words += [
            kind + _pairs(**{address[0]: address[1]})
            for kind, address in (("source ", self.source), ("destination ", self.destination))
            if address
        ]
        words += [_element(self.element), self.verdict]
        return " ".join(filter(None, (word.strip() for word in words)))

    def xml(self) -> str:
        """Return the rule as XML, for the file of a policy."""
        inner = [
            f"{kind} {_pairs(**{address[0]: address[1]})}"
            for kind, address in (("source", self.source), ("destination", self.destination))
            if address
        ]
        inner += filter(None, [_element(self.element)])
        attributes = _pairs(priority=self.priority or "", family=self.family)
        return "".join(
            [
                "  <rule{}>\n".format(" " + attributes if attributes else ""),
                *(f"    <{tag}/>\n" for tag in inner),
                f"    <{self.verdict}/>\n  </rule>\n",
            ]
        )


class FirewalldPolicy(NamedTuple):
    """One of our policies in firewalld; not to be confused with the Policy of a host."""

    ingress_zone: str
    egress_zone: str
    target: str
    rules: tuple[RichRule, ...]


class Config(NamedTuple):
    """All our policies and ipsets in firewalld, by name."""

    policies: dict[str, FirewalldPolicy]
    ipsets: dict[str, IPSet]


_RICH_RULE = re.compile(
    r'rule(?: priority="(-?\d+)")?(?: family="(ipv[46])")?(?: source (\w+)="([^"]*)")?(?: destination (\w+)="([^"]*)")?'
    r'(?: (?:(port) port="([^"]*)" protocol="([^"]*)"|(protocol) value="([^"]*)"))? (accept|drop)'
)


def parse_rich_rule(text: str) -> RichRule | None:
    """Return the rule of a text of `RichRule.text()`, without its flow; None for any other text."""
    match = _RICH_RULE.fullmatch(text)
    if not match:
        return None
    pairs = [tuple(part for part in match.groups()[start:end] if part is not None) for start, end in ((2, 4), (4, 6))]
    element = tuple(part for part in match.groups()[6:11] if part is not None)
    return RichRule(match[12], match[2] or "", pairs[0], pairs[1], element, int(match[1] or 0))


def kind_of(ipset: str) -> str:
    """Return the kind of one of our ipsets, from its name."""
    own = ipset[len(PREFIX) :]
    return PORTS if own.startswith("dhcp_") else INTERFACES if own.startswith(_TRUSTED + "_") else NETWORKS


def _pairs(**attributes: object) -> str:
    # Names, addresses and ports were checked: no character of them has a meaning in XML. xml.sax would import urllib.
    return " ".join(f'{name}="{value}"' for name, value in attributes.items() if value != "")


def _element(element: tuple[str, ...]) -> str:
    if not element:
        return ""
    if element[0] == "port":
        return "port " + _pairs(port=element[1], protocol=element[2])
    return "protocol " + _pairs(value=element[1])


# ---- policy to config


class Inside(NamedTuple):
    """The networks of a host's containers, because not every firewalld can match interfaces.

    Containers in `asking` may ask the host for names. Restricted egress lets the host reach those in `reached`.
    """

    asking: Sequence[Network] = ()
    reached: Sequence[Network] = ()


def config_of(policy: Policy, abilities: Abilities, inside: Inside = Inside()) -> Config:
    """Return the config for a policy. Raises RuntimeError if firewalld does not support the policy.

    In observe mode it is empty: our table alone records. What enforce mode would refuse is refused then as well.
    """
    _check(policy, abilities)
    if policy.mode == "observe":
        return Config({}, {})
    directions = ("in", "out") if policy.egress == "restricted" else ("in",)
    parted = split_flows(policy.rules)
    looked_up = [rule for rule in policy.rules if rule.direction in directions and _is_looked_up(rule, abilities)]
    owners = _owners(looked_up, parted)
    ipsets = dict(_always_ipsets(policy, directions))
    policies = {}
    for direction in directions:
        rules = [*_always(policy, direction), *_of_containers(inside, direction)]
        for rule in (rule for rule in policy.rules if rule.direction == direction):
            by_ipset = _is_looked_up(rule, abilities)
            ipsets.update(_ipsets(rule, label(rule, parted), owners) if by_ipset else {})
            rules += _lookups(rule, label(rule, parted), owners) if by_ipset else _literals(rule)
        policies[_POLICY_NAMES[direction]] = FirewalldPolicy(
            *_ZONES[direction],
            "DROP" if direction == "in" else "CONTINUE",
            _once((*rules, *(_denials(abilities) if direction == "out" else ()))),
        )
    return Config(policies, ipsets)


def _is_looked_up(rule: Rule, abilities: Abilities) -> bool:
    """Return whether firewalld can look up the peers of a rule in ipsets."""
    return rule.direction == "in" or abilities.destination_ipsets


def _owners(rules: Sequence[Rule], parted: set[str]) -> _Owners:
    """Return in whose ipsets each of these rules looks up its peers.

    Rules that have ports in common do not share: firewalld keeps no rule twice, so one of the flows would have no rule.
    """
    elements = {label(rule, parted): {(rule.direction, *element) for element in _elements(rule)} for rule in rules}
    owners: _Owners = {}
    for (version, entries), labels in same_peers(rules, parted).items():
        taken: dict[str, set[tuple[str, ...]]] = {}
        for name in sorted(labels) if len(entries) >= LONG else ():
            owner = next((other for other, used in taken.items() if not used & elements[name]), name)
            taken.setdefault(owner, set()).update(elements[name])
            owners[name, version] = owner
    return owners


def _once(rules: Iterable[RichRule]) -> tuple[RichRule, ...]:
    """Return the rules, each only for the first of its flows: firewalld keeps no rule twice."""
    unique: dict[RichRule, RichRule] = {}
    for rule in rules:
        unique.setdefault(rule._replace(flow=""), rule)
    return tuple(unique.values())


def _check(policy: Policy, abilities: Abilities) -> None:
    if policy.trusted_interfaces and not abilities.interface_ipsets:
        raise RuntimeError(
            "firewall_trusted_interfaces: got {}: firewalld before 1.0 cannot match interfaces in a policy. Nothing "
            "was changed. Define flows for the traffic of these interfaces, update firewalld, or use the nftables "
            "backend.".format(", ".join(policy.trusted_interfaces))
        )
    patterns = [name for name in policy.trusted_interfaces if name.endswith("*")]
    if patterns:
        raise RuntimeError(
            f"firewall_trusted_interfaces: got {patterns[0]!r}: firewalld does not support interface patterns. Nothing "
            "was changed. List each interface."
        )


def ipset_name(name: str, version: int, copy: str) -> str:
    """Return the name of an ipset of the rule with this label: readable if it is short enough."""
    # The label of a flow in several parts has a dot. The name of a flow has neither a dot nor a dash.
    whole = "{}{}_{}{}".format(PREFIX, name.replace(".", "-"), version, copy)
    if len(whole) <= _LONGEST_NAME:
        return whole
    return "{}{}_{}_{}{}".format(PREFIX, name.split("_")[0], digest(name)[:12], version, copy)


def _entries(rule: Rule, version: int) -> tuple[str, ...]:
    """Return the peers of one address family; `any` as two halves."""
    members = [network for network in rule.peers if network.version == version]
    if any(network.prefixlen == 0 for network in members):
        return _HALVES[version]
    return tuple(map(network_text, members))


def _versions(rule: Rule) -> tuple[int, ...]:
    """Return the IP versions for which a rule has ipsets."""
    return _VERSIONS if any(network.version == 6 for network in rule.peers) else _VERSIONS[:1]


def _ipsets(rule: Rule, name: str, owners: _Owners) -> dict[str, IPSet]:
    families = [
        (version, _entries(rule, version) if owners.get((name, version), name) == name else ())
        for version in _versions(rule)
    ]
    return {
        ipset_name(name, version, copy): IPSet(NETWORKS, version, rule.name, entries)
        for version, entries in families
        for copy in _COPIES
    }


def _lookups(rule: Rule, name: str, owners: _Owners) -> list[RichRule]:
    side = "source" if rule.direction == "in" else "destination"
    return [
        RichRule(
            family=f"ipv{version}",
            element=element,
            flow=rule.name,
            **{side: ("ipset", ipset_name(owners.get((name, version), name), version, copy))},  # type: ignore[arg-type]
        )
        for version, copy, element in product(_versions(rule), _COPIES, _elements(rule))
    ]


def _of_containers(inside: Inside, direction: str) -> list[RichRule]:
    """Return the rules for packets from or to the containers. Our table sees that those from outside are dropped."""
    side, networks, elements = (
        ("source", inside.asking, _ASKED) if direction == "in" else ("destination", inside.reached, ((),))
    )
    return [
        RichRule(
            family=f"ipv{network.version}",
            element=element,
            flow=CONTAINERS,
            **{side: ("address", network_text(network))},  # type: ignore[arg-type]
        )
        for network, element in product(networks, elements)
    ]


def _literals(rule: Rule) -> list[RichRule]:
    return [
        RichRule(family=f"ipv{version}", destination=("address", entry), element=element, flow=rule.name)
        for version in _VERSIONS
        for entry in _entries(rule, version)
        for element in _elements(rule)
    ]


def _elements(rule: Rule) -> list[tuple[str, ...]]:
    """Return the elements for the ports of a rule; a rule without element accepts everything."""
    if rule.ports == EVERYTHING:
        return [()]
    return [
        ("protocol", number) if ports.protocol == "ip" else ("port", number, ports.protocol)
        for ports in rule.ports
        for number in ports.numbers()
    ]


def _always(policy: Policy, direction: str) -> Iterator[RichRule]:
    """Yield the rules for ICMP, IGMP, DHCP and trusted interfaces; firewalld itself accepts loopback and replies."""
    for number in ALWAYS_ACCEPTED:
        yield RichRule(element=("protocol", str(number)))
    if direction == "in":
        yield RichRule(family="ipv6", source=("address", "fe80::/10"), element=("port", "546", "udp"))
    for name, rule_direction, version, from_port, to_port in _DHCP:
        is_needed = "answers" not in name or (version, from_port, to_port) in dhcp_answers(policy)
        if rule_direction == direction and is_needed:
            yield RichRule(family=f"ipv{version}", source=("ipset", name), element=("port", str(to_port), "udp"))
    if policy.trusted_interfaces:
        # It depends on the version which of the two firewalld matches with the interface of the packet.
        for side, version, copy in product(("source", "destination"), _VERSIONS, _COPIES):
            yield RichRule(family=f"ipv{version}", **{side: ("ipset", ipset_name(_TRUSTED, version, copy))})  # type: ignore[arg-type]


def _always_ipsets(policy: Policy, directions: Sequence[str]) -> Iterator[tuple[str, IPSet]]:
    # Include the ipsets for a server's answers, so that adding such a port to a flow needs no reload.
    for name, rule_direction, version, from_port, _to_port in _DHCP:
        if rule_direction in directions:
            yield (name, IPSet(PORTS, version, "", tuple(f"{half},udp:{from_port}" for half in _HALVES[version])))
    for version, copy in product(_VERSIONS, _COPIES) if policy.trusted_interfaces else ():
        yield (
            ipset_name(_TRUSTED, version, copy),
            IPSet(
                INTERFACES,
                version,
                "",
                tuple(f"{half},{name}" for name in policy.trusted_interfaces for half in _HALVES[version]),
            ),
        )


def _denials(abilities: Abilities) -> Iterable[RichRule]:
    """Return the rules that drop all other outgoing packets: the target DROP would drop replies on firewalld 0.9.

    On that version, only rules for a protocol do not affect replies.
    """
    if not abilities.accepts_replies_out:
        return [RichRule("drop", element=("protocol", str(number)), priority=_LAST) for number in _TRANSPORTS]
    return [
        RichRule("drop", family, destination=("address", network), priority=_LAST)
        for family, network in (("ipv4", "0.0.0.0/0"), ("ipv6", "::/0"))
    ]
