# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Policies, and manual changes to the table of one. Runs on hosts as well: standard library only."""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Iterator
from typing import Any

from ansible_collections.hpc.ports.plugins.module_utils._model.names import digest

ANYWHERE = ("0.0.0.0/0", "::/0")


def policy(
    *rules: tuple[str, str, list[str], tuple[str, ...]],
    mode: str = "enforce",
    egress: str = "open",
    interfaces: tuple[str, ...] = (),
    containers: tuple[str, ...] = (),
    filtered: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Return a policy as plain data; a rule is direction, flow, ports and peers."""
    return {
        "format": 2,
        "mode": mode,
        "egress": egress,
        "trusted_interfaces": list(interfaces),
        "container_interfaces": list(containers),
        "filtered_containers": list(filtered),
        "networks": {digest(peers): list(peers) for direction, flow, ports, peers in rules},
        "rules": [
            {"direction": direction, "flow": flow, "ports": ports, "peers": digest(peers)}
            for direction, flow, ports, peers in rules
        ],
    }


SSH = ("in", "management_ssh", ["22/tcp"], ("10.64.9.9/32", "fd64::9/128"))
SLURM = ("in", "slurm_control", ["6817-6819/tcp"], ("10.64.0.0/24", "10.64.2.1/32"))
WEB = ("in", "web", ["443/tcp"], ANYWHERE)
# A host that gives addresses to those that have none.
DHCP_SERVER = policy(
    SSH,
    ("in", "head_node_dhcp", ["67/udp", "547/udp"], ("0.0.0.0/32", "10.64.0.0/24", "fd64::/64")),
    egress="restricted",
)
SAMPLE = policy(SSH, SLURM, WEB, ("out", "dns", ["53/udp", "53/tcp"], ("10.64.0.53/32",)), egress="restricted")


def random_policies(count: int) -> Iterator[dict[str, Any]]:
    """Yield policies whose flows keep their names and change everything else, so that old and new overlap."""
    randomness = random.Random(0)
    for _number in range(count):
        rules = []
        for direction, flow in [("in", "a"), ("in", "b"), ("in", "c"), ("out", "a")]:
            firsts = randomness.sample(range(1, 50), 3)
            ports = {
                "{}-{}/{}".format(first, first + randomness.choice([0, 1, 7, 20]), randomness.choice(["tcp", "udp"]))
                for first in firsts
            }
            if randomness.random() < 0.8:
                rules.append((direction, flow, sorted(ports), _random_peers(randomness)))
        yield policy(
            *rules, egress=randomness.choice(["open", "restricted"]), mode=randomness.choice(["enforce", "observe"])
        )


def sharing_policies(count: int) -> Iterator[dict[str, Any]]:
    """Yield policies whose flows keep their ports: some share their peers, and others from one policy to the next."""
    randomness = random.Random(0)
    pool = [_random_peers(randomness) for number in range(3)]
    flows = [("in", "a", ["9/tcp"]), ("in", "b", ["10-20/tcp"]), ("in", "c", ["15/udp"]), ("out", "a", ["9/tcp"])]
    for _number in range(count):
        pool[randomness.randrange(3)] = _random_peers(randomness)
        # Of one list, only the addresses of one family may be the same.
        halves = [tuple(peer for peer in randomness.choice(pool) if (":" in peer) == is_ipv6) for is_ipv6 in (0, 1)]
        rules = [(*flow, randomness.choice([*pool, ANYWHERE, (*halves[0], *halves[1])])) for flow in flows]
        yield policy(*rules, egress=randomness.choice(["open", "restricted", "restricted"]))


def _random_peers(randomness: random.Random) -> tuple[str, ...]:
    """Return prefixes in 64 addresses of either family, so that most of them overlap those of another policy."""

    def chosen(base: int, bits: int) -> list[tuple[int, int]]:
        sizes = [randomness.randrange(6) for choice in range(randomness.randrange(1, 6))]
        return [(base + (randomness.randrange(64) >> size << size), bits - size) for size in sizes]

    ipv4 = ipaddress.collapse_addresses(map(ipaddress.IPv4Network, chosen(10 << 24, 32)))
    ipv6 = ipaddress.collapse_addresses(map(ipaddress.IPv6Network, chosen(0xFD64 << 112, 128)))
    return (*map(str, ipv4), *map(str, ipv6))


MAP = "map in_tcp"
KINDS = {
    "quota": "add quota inet hpc_ports mine { over 100 mbytes; }",
    "limit": "add limit inet hpc_ports mine { rate 10/second; }",
    "ct helper": 'add ct helper inet hpc_ports mine { type "ftp" protocol tcp; }',
    "ct timeout": "add ct timeout inet hpc_ports mine { protocol tcp; policy = { established : 10 }; }",
    "counter": "add counter inet hpc_ports mine",
    "set": "add set inet hpc_ports mine { type ipv4_addr; }",
    "map": "add map inet hpc_ports mine { type ipv4_addr : counter; }",
    "chain": "add chain inet hpc_ports mine",
}
# What is done by hand, and the objects that the module then names.
BY_NFT: dict[str, tuple[str, set[str]]] = {
    "a rule added": ("insert rule inet hpc_ports input tcp dport 23 accept", {"chain input"}),
    "a rule added in a set": ("insert rule inet hpc_ports input tcp dport { 23, 24 } accept", {"chain input"}),
    "a rule added to a flow": ("add rule inet hpc_ports in_management_ssh accept", {"chain in_management_ssh"}),
    "rules flushed": ("flush chain inet hpc_ports in_management_ssh", {"chain in_management_ssh"}),
    "all rules flushed": (
        "flush table inet hpc_ports",
        {
            "chain prerouting",
            "chain input",
            "chain arriving",
            "chain translated",
            "chain output",
            "chain in_management_ssh",
            "chain in_web",
            "chain in_slurm_control",
            "chain out_dns",
        },
    ),
    "an address added": (
        "add element inet hpc_ports in_management_ssh_v4 { 10.9.0.0/16 }",
        {"set in_management_ssh_v4"},
    ),
    "an address removed": (
        "delete element inet hpc_ports in_slurm_control_v4 { 10.64.2.1 }",
        {"set in_slurm_control_v4"},
    ),
    "an address exchanged": (
        "delete element inet hpc_ports in_slurm_control_v4 { 10.64.2.1 }\n"
        "add element inet hpc_ports in_slurm_control_v4 { 10.64.2.2 }",
        {"set in_slurm_control_v4"},
    ),
    "an address with a comment": (
        'add element inet hpc_ports in_slurm_control_v4 { 10.9.0.1 comment "a, b {" }',
        {"set in_slurm_control_v4"},
    ),
    "all addresses removed": ("flush set inet hpc_ports in_slurm_control_v4", {"set in_slurm_control_v4"}),
    "a port added": ("add element inet hpc_ports in_tcp { 23 : jump in_management_ssh }", {MAP}),
    "a port to another chain": (
        "delete element inet hpc_ports in_tcp { 22 }\nadd element inet hpc_ports in_tcp { 22 : jump in_web }",
        {MAP},
    ),
    "a port to accept": (
        "delete element inet hpc_ports in_tcp { 22 }\nadd element inet hpc_ports in_tcp { 22 : accept }",
        {MAP},
    ),
    "a policy changed": ("add chain inet hpc_ports input { policy accept; }", {"chain input"}),
    "the table gone": ("delete table inet hpc_ports", set()),
    "everything gone": ("flush ruleset", set()),
    "the table empty": ("delete table inet hpc_ports\nadd table inet hpc_ports", set()),
    "the table dormant": ("add table inet hpc_ports { flags dormant; }", {"table"}),
    "the table dormant and a chain gone": (
        "delete table inet hpc_ports\nadd table inet hpc_ports { flags dormant; }\nadd chain inet hpc_ports input",
        set(),
    ),
    "the table with a comment": ('delete table inet hpc_ports\nadd table inet hpc_ports { comment "mine"; }', set()),
    "a chain that accepts before ours": (
        "add chain inet hpc_ports first { type filter hook input priority -10; policy accept; }\n"
        "add rule inet hpc_ports first tcp dport 23 accept",
        {"chain first"},
    ),
    "a chain that ours jumps to": (
        'add chain inet hpc_ports mine { comment "x"; }\n'
        "add rule inet hpc_ports mine accept\n"
        "insert rule inet hpc_ports input jump mine\n"
        "add element inet hpc_ports in_tcp { 23 : jump mine }",
        {"chain mine", "chain input", MAP},
    ),
    "a chain in braces": ("insert rule inet hpc_ports input tcp dport 23 jump { accept; }", set()),
    "a set of another type": (
        "flush chain inet hpc_ports in_management_ssh\n"
        "delete set inet hpc_ports in_management_ssh_v6\n"
        "add set inet hpc_ports in_management_ssh_v6 { type ipv4_addr; flags interval; }",
        {"set in_management_ssh_v6", "chain in_management_ssh"},
    ),
    "a set with a time-out": (
        "flush chain inet hpc_ports in_management_ssh\n"
        "delete set inet hpc_ports in_management_ssh_v4\n"
        "add set inet hpc_ports in_management_ssh_v4 "
        "{ type ipv4_addr; flags timeout; timeout 1h; }",
        {"set in_management_ssh_v4", "chain in_management_ssh"},
    ),
    "a map of another type": (
        "flush chain inet hpc_ports arriving\ndelete map inet hpc_ports in_tcp\n"
        "add map inet hpc_ports in_tcp { type inet_service : verdict; }",
        {MAP, "chain arriving"},
    ),
    "the chain before NAT deleted": ("delete chain inet hpc_ports prerouting", {"chain prerouting"}),
    "a chain at another priority": (
        "delete chain inet hpc_ports output\n"
        "add chain inet hpc_ports output { type filter hook output priority 10; policy drop; }",
        {"chain output"},
    ),
    "a chain at no hook": ("delete chain inet hpc_ports output\nadd chain inet hpc_ports output", {"chain output"}),
    **{f"another {kind}": (script, {f"{kind} mine"}) for kind, script in KINDS.items()},
}
