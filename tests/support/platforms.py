# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Random platforms: a port file and an inventory, compiled to the policies of their hosts."""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Iterator, Sequence
from typing import Any

from ansible_collections.hpc.ports.plugins.module_utils._model.evaluate import Packet
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import Network, Policy, parse_policy
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import compile_plan
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.catalogue import load_catalogue
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.inventory import load_inventory
from hypothesis import strategies as st

GROUPS = ("slurm_controller", "slurm_compute", "nfs_server", "workspace")
ENDPOINTS = ("here", "there", "elsewhere")
CLUSTERS = ("alpha", "beta")
# Few addresses and edges of ports, so that sets and ranges overlap, touch and hold each other.
_ADDRESSES = [f"10.64.0.{number}" for number in range(12)] + [f"fd64::{number:x}" for number in range(12)]
_NETWORKS = [
    *_ADDRESSES,
    "10.64.0.0/30",
    "10.64.0.4/30",
    "10.64.0.0/28",
    "10.64.0.0/16",
    "0.0.0.0/0",
    "128.0.0.0/1",
    "fd64::/126",
    "fd64::8/125",
    "fd64::/64",
    "fc00::/7",
    "::/0",
    "fe80::/64",
]
_PORTS = [1, 22, 67, 68, 80, 546, 547, 1023, 1024, 1025, 6817, 8192, 9000, 60000, 65534, 65535]
# Protocols that no kernel handles, so that it answers: OSPF, VRRP, and two for experiments (RFC 3692).
_IP_PROTOCOLS = [89, 112, 253, 254]
# More protocols that no kernel handles: next to those that are TCP, UDP or always accepted, and one among the others.
_MORE_IP_PROTOCOLS = [3, 5, 7, 16, 18, 57, 200]
_EVERYTHING = {"ports": ["any/ip"], "broad": False}
_INTERFACES = ["fab0", "fab*", "f*", "eth9", "ib0.8001"]


def _some(members: Sequence[str], largest: int, smallest: int = 1) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(members), min_size=smallest, max_size=largest, unique=True)


@st.composite
def _port_texts(draw: st.DrawFn) -> str:
    if draw(st.integers(0, 9)) == 0:
        return f"{draw(st.sampled_from(_IP_PROTOCOLS))}/ip"
    first, last = sorted((draw(st.sampled_from(_PORTS)), draw(st.sampled_from(_PORTS))))
    protocol = draw(st.sampled_from(["tcp", "udp"]))
    return f"{first}/{protocol}" if draw(st.booleans()) else f"{first}-{last}/{protocol}"


_SERVICES = st.fixed_dictionaries({"ports": st.lists(_port_texts(), min_size=1, max_size=3), "broad": st.booleans()})
_DECLARED = st.fixed_dictionaries({"groups": _some(GROUPS, 2, 0), "cidrs": _some(_NETWORKS, 4, 0)})
_HOSTS = st.fixed_dictionaries(
    {
        "firewall_addresses": _some(_ADDRESSES, 3),
        "firewall_source_addresses": _some(_ADDRESSES, 2, 0),
        "firewall_shared_addresses": st.just(_ADDRESSES),
        "firewall_cluster": _some(CLUSTERS, 2),
        "firewall_egress": st.sampled_from(["restricted", "open"]),
        "firewall_mode": st.sampled_from(["enforce", "enforce", "enforce", "observe"]),
        "firewall_trusted_interfaces": _some(_INTERFACES, 3, 0),
        "firewall_container_interfaces": _some(_INTERFACES, 2, 0),
    }
)


@st.composite
def _flows(draw: st.DrawFn, services: Sequence[str]) -> dict[str, Any]:
    within = draw(st.booleans())
    sides = _some(GROUPS if within else (*GROUPS, *ENDPOINTS), 3)
    return {
        "from": draw(sides),
        "to": draw(sides),
        "services": draw(_some(services, 3)),
        "within_cluster": within,
        "need": "recommended",
    }


@st.composite
def policies(draw: st.DrawFn) -> list[Policy]:
    """Return the different policies of one platform."""
    services = {f"s{number}": draw(_SERVICES) for number in range(draw(st.integers(1, 5)))}
    declared = {name: draw(_DECLARED) for name in ENDPOINTS}
    if draw(st.integers(0, 3)) == 3:
        services["s0"] = _EVERYTHING
    flows = {f"f{number}": draw(_flows(sorted(services))) for number in range(draw(st.integers(1, 6)))}
    for flow in flows.values():
        _keep_everything_from_strangers(flow, services, declared)
    management = {"from": ["controllers"], "to": list(GROUPS), "services": ["ssh"], "need": "required"}
    shipped = {
        "firewall_services": {"ssh": {"ports": ["22/tcp"]}, **services},
        "firewall_endpoints": {"controllers": {"cidrs": ["10.64.9.9"]}, **declared},
        "firewall_flows": {"management_ssh": management, **flows},
    }
    site = {
        "firewall_broad_yields": draw(st.booleans()),
        "firewall_clusters": draw(st.sampled_from([{}, {"alpha": {"cidrs": ["10.64.0.8/30", "fd64::/125"]}}])),
    }
    hosts = {f"h{number}": draw(_HOSTS) for number in range(draw(st.integers(1, 4)))}
    groups = {name: draw(_some(sorted(hosts), 3, 0)) for name in GROUPS}
    groups["workspace"] = sorted(hosts)
    plan = compile_plan(load_catalogue(shipped, site, groups), load_inventory(groups, hosts.__getitem__))
    return [parse_policy(policy) for policy in plan.policies.values()]


def _keep_everything_from_strangers(
    flow: dict[str, Any], services: dict[str, Any], endpoints: dict[str, dict[str, Any]]
) -> None:
    """Replace `any/ip` in a flow from any address, for which it is refused."""
    networks = {network for name in flow["from"] for network in endpoints.get(name, {}).get("cidrs", ())}
    if networks & {"0.0.0.0/0", "::/0"}:
        flow["services"] = [name if services[name] != _EVERYTHING else "ssh" for name in flow["services"]]


# ---- packets that show the edges of a policy


def packets_at_edges(policy: Policy, direction: str, randomness: random.Random, size: int) -> list[Packet]:
    """Return up to `size` packets for ports and peers at, and just beyond, the ends of what the rules name."""
    rules = [rule for rule in policy.rules if rule.direction == direction]
    ranges = {port_range for rule in rules for port_range in rule.ports}
    ports = sorted(
        {port for port_range in ranges for port in _around(port_range.protocol, port_range.first, port_range.last)}
        | {("tcp", 22), ("udp", 53), ("ip", 200)}
    )
    peers = sorted(
        {peer for rule in rules for network in rule.peers for peer in _peers_around(network)}
        | {"10.64.0.3", "10.64.9.9", "120.1.2.3", "fd64::3", "2400::1"}
    )
    pairs = [(protocol, port, peer) for protocol, port in ports for peer in peers]
    chosen = pairs if len(pairs) <= size else randomness.sample(pairs, size)
    # Every packet has a source port of its own: by it an answer is known.
    return [
        Packet(direction, protocol, peer, port, 20000 + number, randomness.choice(["eth0", "eth0", "eth0", "fab0"]))
        for number, (protocol, port, peer) in enumerate(chosen)
    ]


def special_packets(direction: str) -> list[Packet]:
    """Return packets for what every ruleset accepts, and some that only look like it."""
    echo = [
        Packet(direction, "ip", "10.64.0.1", 1, 901),
        Packet(direction, "ip", "fd64::1", 58, 902),
        # The kernel keeps IGMP for itself and answers it over IPv6 alone.
        Packet(direction, "ip", "fd64::2", 2),
    ]
    if direction == "in":
        dhcp = [
            ("10.64.0.1", 67, 68),
            ("10.64.0.1", 66, 68),
            ("10.64.0.2", 67, 69),
            ("fd64::2", 67, 68),
            ("fe80::2", 547, 546),
            ("fe80::2", 900, 546),
            ("fe80::2", 546, 547),
            ("fd64::1", 547, 546),
        ]
    else:
        dhcp = [
            ("10.64.0.1", 68, 67),
            ("10.64.0.2", 69, 67),
            ("10.64.0.3", 68, 66),
            ("fd64::2", 68, 67),
            ("fe80::2", 546, 547),
            ("fd64::1", 546, 547),
            ("fd64::3", 545, 547),
            ("fd64::4", 547, 546),
            ("10.64.0.4", 67, 68),
            ("10.64.0.5", 66, 68),
            ("fd64::2", 67, 68),
            ("10.64.0.6", 547, 546),
        ]
    return echo + [Packet(direction, "udp", peer, port, source_port) for peer, source_port, port in dhcp]


def _around(protocol: str, first: int, last: int) -> Iterator[tuple[str, int]]:
    if protocol == "ip":
        return ((protocol, number) for number in _IP_PROTOCOLS + _MORE_IP_PROTOCOLS if first <= number <= last)
    return ((protocol, port) for port in sorted({first - 1, first, last, last + 1}) if 0 <= port <= 65535)


def _peers_around(network: Network) -> Iterator[str]:
    first, last = int(network.network_address), int(network.broadcast_address)
    for number in sorted({first - 1, first, last, last + 1}):
        if 0 <= number < 1 << network.max_prefixlen:
            peer = type(network.network_address)(number)
            if _is_routed(peer):
                yield str(peer)


def _is_routed(peer: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Return whether the peer's namespace answers for the address."""
    if peer.version == 4:
        return not peer.is_loopback and 1 << 24 <= int(peer) < 192 << 24
    return peer in ipaddress.ip_network("fc00::/7") or peer in ipaddress.ip_network("2400::/8")
