# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The policy of one host: plain data from the controller, which the host checks again before it uses them."""

from __future__ import annotations

import ipaddress
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, NamedTuple, TypedDict, Union

from ansible_collections.hpc.ports.plugins.module_utils._model.names import FLOW_NAME, INTERFACE_PATTERN
from ansible_collections.hpc.ports.plugins.module_utils._model.ports import PortRange, merged, parse_policy_ports

# Raise this number with every change of PolicyData.
FORMAT = 2
Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]
# The flow that Ansible needs: it can neither be removed nor empty.
MANAGEMENT_FLOW = "management_ssh"

# RFC 2131, RFC 8415: IP version, port of servers, port of clients.
DHCP_SERVERS = ((4, 67, 68), (6, 547, 546))
# What containers may ask their host: the DNS of Podman's networks, and DNS and DHCP of LXD, Incus and libvirt.
SERVED_TO_CONTAINERS = (("udp", 53), ("tcp", 53), ("udp", 67), ("udp", 547))


class PolicyError(ValueError):
    """The policy does not have the form that this version of the collection writes."""


class Rule(NamedTuple):
    """One flow as one host sees it: the peers may connect to these ports, or the host to these ports of the peers."""

    direction: str
    flow: str
    ports: tuple[PortRange, ...]
    peers: tuple[Network, ...]

    @property
    def name(self) -> str:
        """Return direction and flow, such as `in_slurm_control`: the name of the counter of the rule."""
        return f"{self.direction}_{self.flow}"


class Policy(NamedTuple):
    """All connections that one host accepts and may open.

    Packets that leave by `container_interfaces` go to containers of the host: restricted egress does not judge them.
    Of packets that the host forwards, only those from and to `filtered_containers` (also interfaces) are judged.
    `addresses` are those by which other hosts know this one; they need not be bound here (virtual addresses).
    """

    mode: str
    egress: str
    trusted_interfaces: tuple[str, ...]
    rules: tuple[Rule, ...]
    container_interfaces: tuple[str, ...] = ()
    filtered_containers: tuple[str, ...] = ()
    addresses: tuple[Network, ...] = ()

    @property
    def interfaces_of_containers(self) -> tuple[str, ...]:
        """Return the interfaces of all containers, sorted."""
        return tuple(sorted({*self.container_interfaces, *self.filtered_containers}))


class RuleData(TypedDict):
    """One rule of `PolicyData`: ports such as `22/tcp`, and under `peers` a key of its `networks`."""

    direction: str
    flow: str
    ports: list[str]
    peers: str


class _RequiredPolicyData(TypedDict):
    format: int
    mode: str
    egress: str
    trusted_interfaces: list[str]
    networks: dict[str, list[str]]
    rules: list[RuleData]


class PolicyData(_RequiredPolicyData, total=False):
    """A policy as plain data: the controller sends it to the host, and `parse_policy` reads it.

    `networks` has lists of networks by their digest, so that several rules can share one list. Hosts of one plan share
    a policy, so only the copy for a host has its `addresses`.
    """

    container_interfaces: list[str]
    filtered_containers: list[str]
    addresses: list[str]


class Segment(NamedTuple):
    """Ports that the same rules cover; segments of the same protocol and direction never overlap."""

    ports: PortRange
    rules: tuple[Rule, ...]


def parse_policy(data: Mapping[str, Any]) -> Policy:
    """Return the policy of plain data (see `PolicyData`). Raises PolicyError."""
    if data.get("format") != FORMAT:
        raise PolicyError("Invalid policy format: got {!r}, expected {}.".format(data.get("format"), FORMAT))
    try:
        return _policy(data)
    except KeyError as exc:
        raise PolicyError(f"Invalid policy: the key {exc} is missing.") from exc
    except (TypeError, AttributeError) as exc:
        raise PolicyError(f"Invalid policy: {exc}.") from exc


def _policy(data: Mapping[str, Any]) -> Policy:
    networks = {key: _networks(values) for key, values in data["networks"].items()}
    rules = tuple(_rule(rule, networks) for rule in data["rules"])
    if len({(rule.name, rule.ports) for rule in rules}) < len(rules):
        raise PolicyError("Invalid policy: got two rules of one flow with the same ports, expected different ports.")
    return Policy(
        mode=_choice("mode", data["mode"], ("enforce", "observe")),
        egress=_choice("egress", data["egress"], ("open", "restricted")),
        trusted_interfaces=_interfaces(data["trusted_interfaces"]),
        rules=rules,
        container_interfaces=_interfaces(data.get("container_interfaces", ())),
        filtered_containers=_interfaces(data.get("filtered_containers", ())),
        addresses=_networks(data.get("addresses", ())),
    )


def _interfaces(patterns: Iterable[str]) -> tuple[str, ...]:
    return tuple(_matching("interface", INTERFACE_PATTERN, pattern) for pattern in patterns)


def _rule(data: Mapping[str, Any], networks: dict[str, tuple[Network, ...]]) -> Rule:
    try:
        ports = tuple(merged(parse_policy_ports(text) for text in data["ports"]))
    except ValueError as exc:
        raise PolicyError("Invalid ports of flow {!r}: {}.".format(data["flow"], exc)) from exc
    return Rule(
        direction=_choice("direction", data["direction"], ("in", "out")),
        flow=_matching("flow", FLOW_NAME, data["flow"]),
        ports=ports,
        peers=networks[data["peers"]],
    )


def _networks(values: Iterable[str]) -> tuple[Network, ...]:
    try:
        return tuple(map(_network, values))
    except ValueError as exc:
        raise PolicyError(f"Invalid network: {exc}.") from exc


def _network(value: str) -> Network:
    # ipaddress accepts any text as a scope (`fe80::1%eth0`), and a number as an address.
    if not isinstance(value, str) or "%" in value:
        raise ValueError(f"got {value!r}, expected a network such as '10.20.0.0/16' or 'fd00:20::/64'")
    return ipaddress.ip_network(value)


def _choice(key: str, value: str, choices: Sequence[str]) -> str:
    if value not in choices:
        raise PolicyError("Invalid {}: got {!r}, expected one of {}.".format(key, value, ", ".join(choices)))
    return value


def dhcp_answers(policy: Policy) -> tuple[tuple[int, int, int], ...]:
    """Return the DHCP answers of a host that the policy allows DHCP clients to ask.

    Each has an IP version, the port of the host and the port of the clients. Answers go to a broadcast address, or to
    an address that connection tracking has never seen: for a firewall they are no replies.
    """
    accepted = [ports for rule in policy.rules if rule.direction == "in" for ports in rule.ports]
    return tuple(server for server in DHCP_SERVERS if any(ports.covers("udp", server[1]) for ports in accepted))


def is_named(interface: str, patterns: Iterable[str]) -> bool:
    """Return whether one of the patterns, such as `br-*`, matches the name of an interface."""
    return any(fnmatchcase(interface, pattern) for pattern in patterns)


def management_policy(policy: Policy) -> Policy:
    """Return the policy with only the flow management_ssh: with it an administrator can repair a host."""
    rules = tuple(rule for rule in policy.rules if rule.direction == "in" and rule.flow == MANAGEMENT_FLOW)
    return policy._replace(mode="enforce", egress="open", rules=rules)


def _matching(key: str, form: re.Pattern[str], value: str) -> str:
    if not form.fullmatch(value):
        raise PolicyError(f"Invalid {key}: got {value!r}, expected a name of the form {form.pattern}.")
    return value


def split_flows(rules: Iterable[Rule]) -> set[str]:
    """Return the names that more than one rule has: with broad egress, the ports differ by target."""
    return {name for name, count in Counter(rule.name for rule in rules).items() if count > 1}


def label(rule: Rule, split: set[str]) -> str:
    """Return a unique name for the rule; `split` is from `split_flows`. The ports distinguish the rules of one flow."""
    if rule.name not in split:
        return rule.name
    return "{}.{:08x}".format(rule.name, zlib.crc32(" ".join(map(str, rule.ports)).encode()))


def network_text(network: Network) -> str:
    """Return a network as both backends write it: a single address has no prefix length."""
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)


def segments(rules: Iterable[Rule]) -> list[Segment]:
    """Return the ports of the rules, split at every start and end of a range, in order, with the rules that cover them.

    All rules have the same direction. Adjacent ports that the same rules cover stay one segment.
    """
    result: list[Segment] = []
    pairs = sorted(((ports, rule) for rule in rules for ports in rule.ports), key=lambda pair: (pair[0], pair[1].name))
    for protocol in sorted({ports.protocol for ports, rule in pairs}):
        result.extend(_split([(ports, rule) for ports, rule in pairs if ports.protocol == protocol], protocol))
    return result


def _split(pairs: Sequence[tuple[PortRange, Rule]], protocol: str) -> list[Segment]:
    edges = sorted({edge for ports, rule in pairs for edge in (ports.first, ports.last + 1)})
    result = []
    for first, after in zip(edges, edges[1:]):
        covering = tuple(rule for ports, rule in pairs if ports.first <= first and ports.last >= after - 1)
        if covering:
            result.append(Segment(PortRange(protocol, first, after - 1), covering))
    return result
