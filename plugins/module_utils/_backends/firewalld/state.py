# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The wanted state of our policies and ipsets in firewalld, in the form of the running one, and the flows of both."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache

from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld.config import (
    CONTAINERS,
    INTERFACES,
    NETWORKS,
    PORTS,
    Config,
    FirewalldPolicy,
    RichRule,
    kind_of,
)
from ansible_collections.hpc.ports.plugins.module_utils._model.ports import EVERYTHING
from ansible_collections.hpc.ports.plugins.module_utils._model.state import FlowView, FlowViews, State

_NUMBERS = {"udp": "17"}
_SIDES = (("destination", "daddr", "dport"), ("source", "saddr", "sport"))


# ---- the wanted state


def wanted_state(config: Config) -> State:
    """Return the state of the kernel after firewalld has loaded a config."""
    state = {"ipset " + name: elements(name, ipset.entries) for name, ipset in config.ipsets.items()}
    state.update({"policy " + name: policy_lines(policy) for name, policy in config.policies.items()})
    return state


def elements(name: str, entries: Iterable[str]) -> tuple[str, ...]:
    """Return the elements in the kernel for these entries of one of our ipsets."""
    return tuple(sorted("element " + _element(kind_of(name), entry) for entry in entries))


def _element(kind: str, entry: str) -> str:
    network, comma, rest = entry.partition(",")
    if kind == NETWORKS:
        return network
    # nft 0.9.8 lists a short IPv6 prefix with others as /64, though it is correct in the kernel.
    address = network.partition("/")[0]
    protocol, colon, port = rest.partition(":")
    return "{} . {}".format(address, f"{_NUMBERS[protocol]} . {port}" if colon else f'"{rest}"')


def policy_lines(policy: FirewalldPolicy) -> tuple[str, ...]:
    """Return the lines in the kernel for one of our policies."""
    lines = sorted(rule_line(rule) for rule in policy.rules if not rule.priority)
    lines += sorted("post: " + rule_line(rule) for rule in policy.rules if rule.priority)
    return (*lines, *(["drop"] if policy.target == "DROP" else []))


def rule_line(rule: RichRule) -> str:
    """Return the nft rule that firewalld creates for one of our rich rules."""
    word = {"ipv4": "ip", "ipv6": "ip6"}.get(rule.family, "")
    words = [_match(word, getattr(rule, side), address, port) for side, address, port in _SIDES if getattr(rule, side)]
    if rule.element:
        words.append(
            "{2} dport {1}".format(*rule.element) if rule.element[0] == "port" else "meta l4proto " + rule.element[1]
        )
    return " ".join([*words, rule.verdict])


def _match(word: str, side: tuple[str, ...], address: str, port: str) -> str:
    if side[0] == "address":
        return f"{word} {address} {side[1]}"
    more = {NETWORKS: "", PORTS: " . meta l4proto . th " + port, INTERFACES: " . ifname"}
    return f"{word} {address}{more[kind_of(side[1])]} @{side[1]}"


# ---- the running state


def accepts_replies_out(listing: State) -> bool:
    """Return whether firewalld's own output chain accepts replies before any policy applies."""
    lines = [line for name, chain in listing.items() if any("hook output" in line for line in chain) for line in chain]
    return any("established" in line and line.endswith("accept") for line in lines)


# ---- state to flows

_SET = re.compile(r"@(\S+)")
_PORTS = re.compile(r"\b(?:(tcp|udp) dport (\S+)|meta l4proto (\d+))")
_ADDRESS = re.compile(r"\b[sd]addr (\S+)")


def flow_names(config: Config) -> dict[str, str]:
    """Return the flow of each ipset and of each line of a policy."""
    lines = {rule_line(rule): rule.flow for policy in config.policies.values() for rule in policy.rules}
    return {**lines, **{name: ipset.flow for name, ipset in config.ipsets.items()}}


def flow_views(state: State, names: Mapping[str, str]) -> FlowViews:
    """Return the flows in a state; a rule that is not in `names` is listed under its own text.

    The rules of the networks of containers are no flows.
    """
    ports: dict[str, set[str]] = {}
    peers: dict[str, set[str]] = {}
    for line in (line for name, lines in sorted(state.items()) if name.startswith("policy ") for line in lines):
        looked_up = _SET.search(line)
        flow = names.get(line, names.get(looked_up[1], looked_up[1]) if looked_up else line)
        if flow and flow != CONTAINERS and line.endswith(" accept"):
            ports.setdefault(flow, set()).update(_line_ports(line))
            peers.setdefault(flow, set()).update(_line_peers(line))
    # Flows that look up the same ipsets with entries share one list of addresses.
    addresses = cache(lambda names: _with_any(_addresses(state, names)))
    filled = {flow: frozenset(name for name in names if state.get(name) != ()) for flow, names in peers.items()}
    return {flow: FlowView(frozenset(ports[flow]), addresses(filled[flow])) for flow in ports}


def _line_ports(line: str) -> Iterable[str]:
    found = ["{}/{}".format(ports or number, protocol or "ip") for protocol, ports, number in _PORTS.findall(line)]
    return found or map(str, EVERYTHING)


def _line_peers(line: str) -> list[str]:
    """Return the addresses of a line, or its ipset as a State names it."""
    looked_up = _SET.search(line)
    return ["ipset " + looked_up[1]] if looked_up else _ADDRESS.findall(line)


def _addresses(state: State, peers: Iterable[str]) -> set[str]:
    listed = [state.get(name, ()) if name.startswith("ipset ") else ("element " + name,) for name in peers]
    return {line[len("element ") :] for lines in listed for line in lines}


def _with_any(addresses: set[str]) -> frozenset[str]:
    """Return addresses; two halves become `any`."""
    for half, other, whole in (("0.0.0.0/1", "128.0.0.0/1", "any IPv4"), ("::/1", "8000::/1", "any IPv6")):
        if {half, other} <= addresses:
            addresses = addresses - {half, other} | {whole}
    return frozenset(
        {"any"} | (addresses - {"any IPv4", "any IPv6"}) if {"any IPv4", "any IPv6"} <= addresses else addresses
    )
