# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compile a policy to the ruleset of the table `inet hpc_ports` (docs/ARCHITECTURE.md, section 6).

Ports are cut into disjoint segments. For each protocol and direction, one named verdict map jumps from each segment to
a short chain of address-set lookups. The names of maps are stable, so that a packet that is half way through the old
rules finds the new contents of the same maps. The names of chains and sets (see `peer_sets.py`) are made of the names
of their flows, not of ports or addresses: other flows can cut the ports into other segments.

The kernel searches a map of ranges step by step. In front of a long one, another map has the single ports of its short
ranges (see `single.py`). The map of ranges still has them all: a packet half way through the old rules, whose port just
moves into or out of the other map, finds it there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables import records
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables.peer_sets import (
    FAMILIES,
    LONGEST_NAME,
    definition,
    peer_sets,
)
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables.single import ending, size_for
from ansible_collections.hpc.ports.plugins.module_utils._linux.nft import as_script
from ansible_collections.hpc.ports.plugins.module_utils._model.names import PUBLISHED_TABLE, TABLE, digest, is_record
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import (
    SERVED_TO_CONTAINERS,
    Network,
    Policy,
    Segment,
    dhcp_answers,
    label,
    network_text,
    segments,
    split_flows,
)
from ansible_collections.hpc.ports.plugins.module_utils._model.ports import ALWAYS_ACCEPTED, PortRange

# Behind connection tracking (-200), before the kernel translates addresses (-100): published ports are judged here.
_BEFORE_NAT = "type filter hook prerouting priority dstnat - 10; policy accept;"
# The addresses of the host by which others know it, and the chain that judges what arrives.
_OWN, _ARRIVING, _TRANSLATED = "addresses", "arriving", "translated"
_TO_TRANSLATED = f"ct status dnat goto {_TRANSLATED}"
# What containers ask their host, and forwarded packets from and to containers.
_SERVING, _FORWARD, _LEAVING, _ENTERING = "serving", "forward", "leaving", "entering"
# Before the chains of others, which may count or log what they accept.
_FORWARDING = "type filter hook forward priority filter - 1; policy accept;"
# conntrack does not know a connection yet that was open before the first ruleset, so only packets that open one are
# filtered.
_OPENS_NOTHING = "tcp flags & (fin | syn | rst | ack) != syn accept"
_REPLIES = "ct state established,related accept"
_MAP_KEYS = {"tcp": "tcp dport", "udp": "udp dport", "ip": "meta l4proto"}
# In front of a map with more segments is a map of single ports, with those of segments of up to so many ports.
_MOST_SEARCHED, _MOST_SINGLE = 64, 16


class Chain(NamedTuple):
    """Rules in order; `base` is the hook line of a base chain, or empty."""

    rules: tuple[str, ...]
    base: str = ""


class Ruleset(NamedTuple):
    """The contents of our table. A set or map has a definition and elements; all dicts are keyed by name."""

    counters: tuple[str, ...]
    sets: dict[str, tuple[str, tuple[str, ...]]]
    maps: dict[str, tuple[str, tuple[str, ...]]]
    chains: dict[str, Chain]
    table: str = TABLE


# ---- policy to ruleset


def ruleset_beside_firewalld(policy: Policy) -> Ruleset:
    """Return the rules for what firewalld accepts unjudged: packets that NAT translates, and packets of containers.

    Input judges only packets that NAT sent here from an address that is not the host's. firewalld judges all others,
    and all packets that the host sends itself. In observe mode firewalld has no policy of ours: the rules record all.
    """
    if policy.mode == "enforce" and not policy.filtered_containers:
        inward = tuple(rule for rule in policy.rules if rule.direction == "in")
        policy = policy._replace(egress="open", rules=inward)
    whole = ruleset_of(policy)
    if policy.mode == "observe":
        return whole._replace(table=PUBLISHED_TABLE)
    chains = {name: chain for name, chain in whole.chains.items() if name != "output"}
    judging = Chain((*_known("in", policy), _TO_TRANSLATED), "type filter hook input priority filter; policy accept;")
    return whole._replace(chains={**chains, "input": judging}, table=PUBLISHED_TABLE)


def ruleset_of(policy: Policy) -> Ruleset:
    """Return the ruleset of a policy."""
    directions = ("in", "out") if policy.egress == "restricted" else ("in",)
    cut = {
        direction: segments(rule for rule in policy.rules if rule.direction == direction) for direction in directions
    }
    parted = split_flows(policy.rules)
    peers = peer_sets(policy.rules, parted)
    lookups = {name: peers.lookups(rule, name) for rule in policy.rules for name in [label(rule, parted)]}
    chains = _inward(policy, cut["in"])
    if "out" in cut:
        chains["output"] = _output(policy, cut["out"])
    if policy.filtered_containers:
        chains.update(_forwarded(policy, cut.get("out")))
    for direction, segments_of_direction in cut.items():
        for names in (_labels(segment, parted) for segment in segments_of_direction):
            chains[_chain_name(direction, names)] = Chain(tuple(text for name in names for text in lookups[name]))
    counters = {
        rule.name
        for segments_of_direction in cut.values()
        for segment in segments_of_direction
        for rule in segment.rules
    }
    return Ruleset(
        counters=tuple(sorted(counters | _counters_of_denials(policy))),
        sets={
            **_own_addresses(policy.addresses),
            **peers.sets,
            **(records.sets(_recorded(policy)) if policy.mode == "observe" else {}),
        },
        maps={
            name: value
            for direction, segments_of_direction in cut.items()
            for name, value in _maps(direction, segments_of_direction, parted).items()
        },
        chains=chains,
    )


def _counters_of_denials(policy: Policy) -> set[str]:
    directions = _recorded(policy)
    denied = {f"denied_{direction}" for direction in directions}
    return denied | (set(map(records.unrecorded, directions)) if policy.mode == "observe" else set())


def _recorded(policy: Policy) -> list[str]:
    """Return the directions in which the policy denies packets."""
    restricted = ["out"] if policy.egress == "restricted" else []
    return ["in", *restricted, *(["forward"] if policy.filtered_containers else [])]


def _own_addresses(addresses: Sequence[Network]) -> dict[str, tuple[str, tuple[str, ...]]]:
    return {
        f"{_OWN}_v{version}": (definition(version), tuple(map(network_text, _family(addresses, version))))
        for version, _word, _kind in FAMILIES
        if _family(addresses, version)
    }


def _labels(segment: Segment, parted: set[str]) -> list[str]:
    """Return the labels of a segment's rules, in an order that does not depend on ports."""
    return sorted(label(rule, parted) for rule in segment.rules)


def _family(networks: Iterable[Network], version: int) -> list[Network]:
    return [network for network in networks if network.version == version]


def _chain_name(direction: str, names: Sequence[str]) -> str:
    """Return the name of the chain of rules with these labels: `in_web`, `in_data-web` or `in_9_flows.HASH`.

    The name of a flow contains no dash and does not begin with a digit, so the three forms cannot collide.
    """
    chain_name = "{}_{}".format(direction, "-".join(name[len(direction) + 1 :] for name in names))
    return chain_name if len(chain_name) <= LONGEST_NAME else f"{direction}_{len(names)}_flows.{digest(names)}"


def _maps(direction: str, cut: Sequence[Segment], parted: set[str]) -> dict[str, tuple[str, tuple[str, ...]]]:
    maps: dict[str, tuple[str, tuple[str, ...]]] = {}
    for protocol in sorted({segment.ports.protocol for segment in cut}):
        kind = "type inet_proto : verdict;" if protocol == "ip" else "type inet_service : verdict; flags interval;"
        own = [segment for segment in cut if segment.ports.protocol == protocol]
        chains = {segment.ports: _chain_name(direction, _labels(segment, parted)) for segment in own}
        jumps = [f"{key} : jump {chain}" for ports, chain in chains.items() for key in ports.numbers()]
        maps[f"{direction}_{protocol}"] = (kind, tuple(jumps))
        single = _single_ports(own)
        if single:
            kind = f"type inet_service : verdict; size {size_for(len(single))};"
            jumps = [f"{port} : jump {chains[ports]}" for port, ports in single.items()]
            maps[_single_name(direction, protocol, single)] = (kind, tuple(jumps))
    return maps


def _single_ports(own: Sequence[Segment]) -> dict[int, PortRange]:
    """Return each port of the short segments of a protocol, with its segment; none where a search is as fast."""
    if len(own) <= _MOST_SEARCHED:
        return {}
    short = [
        ports
        for ports in (segment.ports for segment in own)
        if ports.protocol != "ip" and ports.last - ports.first < _MOST_SINGLE
    ]
    return {port: ports for ports in short for port in range(ports.first, ports.last + 1)}


def _single_name(direction: str, protocol: str, single: Mapping[int, PortRange]) -> str:
    return f"{direction}_{protocol}{ending(size_for(len(single)))}"


def _map_names(direction: str, protocol: str, cut: Sequence[Segment]) -> list[str]:
    """Return the maps in which a packet of a protocol is looked up, in this order."""
    own = [segment for segment in cut if segment.ports.protocol == protocol]
    single = _single_ports(own)
    names = [_single_name(direction, protocol, single)] if single else []
    return names + ([f"{direction}_{protocol}"] if own else [])


def _inward(policy: Policy, cut: Sequence[Segment]) -> dict[str, Chain]:
    """Return the chains for packets from outside.

    A packet to an address of the host is judged before NAT, at the port that the peer used. Input accepts it, and
    judges the rest: multicast, broadcast, and packets that NAT sent here from an address that is not the host's.
    """
    known = _known("in", policy)
    trusted = [rule for rule in known if rule != _REPLIES]
    # Without its rules, the chain that judges would let all packets to the host pass.
    judged = (f"jump {_ARRIVING}", *(("drop",) if policy.mode == "enforce" else ()))
    to_own = [
        f"{word} daddr @{_OWN}_v{version} accept"
        for version, word, _kind in FAMILIES
        if _family(policy.addresses, version)
    ]
    return {
        "prerouting": Chain((*known, *_not_to_own(policy.addresses), *judged), _BEFORE_NAT),
        # Most new packets are to an address of the host: they pass few rules.
        "input": Chain(
            (_REPLIES, _TO_TRANSLATED, *to_own, *trusted, "fib daddr type local accept", f"jump {_ARRIVING}"),
            _hook(policy, "input"),
        ),
        _TRANSLATED: Chain((*trusted, *(f"ct original {rule}" for rule in to_own), *judged)),
        **_serving(policy),
        _ARRIVING: Chain(_judging(policy, "in", cut)),
    }


def _not_to_own(addresses: Sequence[Network]) -> list[str]:
    """Return the rules that leave out packets to addresses that are not the host's."""
    if not addresses:
        return ["fib daddr type != local return"]
    return [
        (f"{word} daddr != @{_OWN}_v{version}" if _family(addresses, version) else f"meta nfproto ipv{version}")
        + " fib daddr type != local return"
        for version, word, _kind in FAMILIES
    ]


def _serving(policy: Policy) -> dict[str, Chain]:
    """Return the chain that accepts what containers ask their host."""
    rules = [f"{protocol} dport {port} accept" for protocol, port in SERVED_TO_CONTAINERS]
    return {_SERVING: Chain(tuple(rules))} if policy.interfaces_of_containers else {}


def _forwarded(policy: Policy, cut: Sequence[Segment] | None) -> dict[str, Chain]:
    """Return the chains for forwarded packets from and to the filtered containers; `cut` is for restricted egress.

    What NAT sends to a container was judged before NAT. Containers reach each other.
    """
    entering = [*_on("iifname", policy.interfaces_of_containers), *_denial(policy, "forward")]
    chains = {_ENTERING: Chain(tuple(entering))}
    if cut is not None:
        leaving = [*_on("oifname", policy.interfaces_of_containers), _OPENS_NOTHING]
        chains[_LEAVING] = Chain((*leaving, *_judging(policy, "out", cut, recorded="forward")))
    judging = [
        f'{name} "{interface}" jump {chain}'
        for name, chain in (("iifname", _LEAVING), ("oifname", _ENTERING))
        if chain in chains
        for interface in policy.filtered_containers
    ]
    trusted = [*_on("iifname", policy.trusted_interfaces), *_on("oifname", policy.trusted_interfaces)]
    known = [_REPLIES, "ct status dnat accept", *trusted]
    return {**chains, _FORWARD: Chain((*known, *judging), _FORWARDING)}


def _on(name: str, interfaces: Iterable[str], verdict: str = "accept") -> list[str]:
    """Return a rule for each interface; `name` is `iifname` or `oifname`."""
    return [f'{name} "{interface}" {verdict}' for interface in sorted(set(interfaces))]


def _output(policy: Policy, cut: Sequence[Segment]) -> Chain:
    return Chain((*_known("out", policy), *_judging(policy, "out", cut)), _hook(policy, "output"))


def _hook(policy: Policy, hook: str) -> str:
    return f"type filter hook {hook} priority filter; policy {_drop(policy)};"


def _drop(policy: Policy) -> str:
    return "drop" if policy.mode == "enforce" else "accept"


def _judging(policy: Policy, direction: str, cut: Sequence[Segment], recorded: str = "") -> tuple[str, ...]:
    """Return the rules that look up the port, accept what needs no flow, and count and drop the rest.

    The ports come first, as most new connections go to one. Observe mode records the rest instead, as `recorded`, which
    is the direction by default.
    """
    maps = [
        f"{key} vmap @{name}" for protocol, key in _MAP_KEYS.items() for name in _map_names(direction, protocol, cut)
    ]
    # These rules have no anonymous sets or maps: replacing one loses connections (docs/ARCHITECTURE.md, section 6).
    asked = _on("iifname", policy.interfaces_of_containers, f"jump {_SERVING}") if direction == "in" else []
    return (*maps, *_always(direction, policy), *asked, *_denial(policy, direction, recorded))


def _denial(policy: Policy, direction: str, recorded: str = "") -> list[str]:
    """Return the rules for the packets that the policy denies."""
    counted = f'counter name "denied_{direction}"'
    if policy.mode == "enforce":
        return [counted + " drop"]
    return [counted, *records.rules(recorded or direction)]


def _known(direction: str, policy: Policy) -> list[str]:
    """Return the rules that accept loopback, replies, and trusted interfaces."""
    name = "iifname" if direction == "in" else "oifname"
    rules = [f'{name} "lo" accept', _REPLIES]
    if direction == "out":
        rules.append(_OPENS_NOTHING)
    interfaces = policy.trusted_interfaces + (policy.container_interfaces if direction == "out" else ())
    return rules + _on(name, interfaces)


def _always(direction: str, policy: Policy) -> list[str]:
    """Return the rules that accept ICMP, IGMP and DHCP."""
    # By number: names need /etc/protocols, which some hosts do not have.
    rules = [f"meta l4proto {number} accept" for number in ALWAYS_ACCEPTED]
    if direction == "in":
        return rules + [
            "meta nfproto ipv4 udp sport 67 udp dport 68 accept",
            "ip6 saddr fe80::/10 udp dport 546 accept",
        ]
    rules += [
        "meta nfproto ipv4 udp sport 68 udp dport 67 accept",
        "meta nfproto ipv6 udp sport 546 udp dport 547 accept",
    ]
    return rules + [
        "meta nfproto ipv{} udp sport {} udp dport {} accept".format(*answer) for answer in dhcp_answers(policy)
    ]


# ---- ruleset to script


def script_of(ruleset: Ruleset) -> str:
    """Return one nft transaction that fills our table with the ruleset in place, whether the table exists or not.

    Running objects that are not in the ruleset stay. Objects with another definition conflict with it: see `update.py`.
    The records of observe mode stay as well.
    """
    table = ruleset.table
    lines = ["add table " + table]
    lines += [
        "add chain {} {}{}".format(table, name, f" {{ {chain.base} }}" if chain.base else "")
        for name, chain in ruleset.chains.items()
    ]
    lines += [f"add counter {table} {name}" for name in ruleset.counters]
    kinds = [("set", ruleset.sets), ("map", ruleset.maps)]
    lines += [
        f"add {kind} {table} {name} {{ {definition} }}"
        for kind, objects in kinds
        for name, (definition, elements) in objects.items()
    ]
    # Do not flush the table: a packet half way through the old rules may still enter chains that the ruleset lacks.
    lines += [f"flush chain {table} {name}" for name in ruleset.chains]
    lines += [f"flush {kind} {table} {name}" for kind, objects in kinds for name in objects if not is_record(name)]
    lines += [
        "add element {} {} {{ {} }}".format(table, name, ", ".join(elements))
        for kind, objects in kinds
        for name, (definition, elements) in objects.items()
        if elements
    ]
    lines += [f"add rule {table} {name} {rule}" for name, chain in ruleset.chains.items() for rule in chain.rules]
    return as_script(lines)
