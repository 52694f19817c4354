# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts in namespaces of their own, with few rules and with many, of this collection and without it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from ipaddress import ip_address
from typing import Any, NamedTuple

from ansible_collections.hpc.ports.tests.support.machine import Machine
from ansible_collections.hpc.ports.tests.support.namespaces import HOST, Pair
from ansible_collections.hpc.ports.tests.support.samples import ANYWHERE, SSH, policy

FLOWS = 1000
ADDRESSES = 10
NETWORK = "10.66.0.0/17"
PORTS = "10000-20000"


class Flow(NamedTuple):
    """Who may send to which ports. The addresses are no neighbours: no two become one network."""

    number: int

    @property
    def port(self) -> int:
        """The first of its five ports."""
        return 10000 + 10 * self.number

    @property
    def ports(self) -> str:
        """Them all."""
        return f"{self.port}-{self.port + 4}"

    @property
    def first(self) -> int:
        """The address before those of its peers, a network's."""
        return int(ip_address("10.66.0.0")) + 32 * self.number

    @property
    def addresses(self) -> list[str]:
        """Those of its peers."""
        return [str(ip_address(self.first + 2 * place)) for place in range(ADDRESSES)]


ALL = [Flow(number) for number in range(FLOWS)]
# Those to which packets are sent.
CHOSEN = ALL[31::62]


class Ruled(NamedTuple):
    """A host with rules, and its peer."""

    name: str
    pair: Pair


def few() -> dict[str, Any]:
    """Return a policy of three flows, one of which accepts what all the others do."""
    rules = (SSH, ("in", "web", ["443/tcp"], ANYWHERE), ("in", "all", [f"{PORTS}/udp"], (NETWORK,)))
    return {**policy(*rules), "addresses": [HOST[4], HOST[6]]}


def many() -> dict[str, Any]:
    """Return a policy of 1,000 flows, each with peers of its own."""
    rules = [("in", f"flow{flow.number}", [f"{flow.ports}/udp"], tuple(flow.addresses)) for flow in ALL]
    return {**policy(SSH, *rules), "addresses": [HOST[4], HOST[6]]}


def _table(rules: Sequence[str]) -> str:
    lines = ["type filter hook input priority 0; policy drop;", "ct state established,related accept", *rules]
    return "table inet plain {{\n chain input {{\n{}\n }}\n}}\n".format("\n".join(lines))


def _three_rules() -> str:
    return _table(["meta l4proto { icmp, ipv6-icmp } accept", f"udp dport {PORTS} ip saddr {NETWORK} accept"])


def _in_sequence() -> str:
    return _table([f"udp dport {flow.ports} ip saddr {{ {', '.join(flow.addresses)} }} accept" for flow in ALL])


@contextmanager
def on_nftables() -> Iterator[list[Ruled]]:
    """Have hosts meanwhile with rules of the kernel alone."""
    scripts = {"no rules": "", "three rules": _three_rules(), f"{FLOWS:,} rules in sequence": _in_sequence()}
    policies = {"hpc.ports, 3 flows": few(), f"hpc.ports, {FLOWS:,} flows": many()}
    with ExitStack() as stack:
        found = [Ruled(name, stack.enter_context(closing(Pair()))) for name in (*scripts, *policies)]
        for name, pair in found:
            if name in scripts:
                pair.host.nft(scripts[name])
            else:
                Machine(pair).apply(policies[name])
        yield found


def _zone(rules: Sequence[str]) -> str:
    return f'<?xml version="1.0" encoding="utf-8"?>\n<zone>\n{"".join(rules)}</zone>\n'


def _rich_rule(network: str, ports: str) -> str:
    return f'<rule family="ipv4"><source address="{network}"/><port port="{ports}" protocol="udp"/><accept/></rule>\n'


@contextmanager
def on_firewalld() -> Iterator[list[Ruled]]:
    """Have hosts of the lab meanwhile on which firewalld runs."""
    if "HPC_PORTS_LAB_DIR" not in os.environ:
        raise SystemExit("firewalld runs on hosts of the lab: dev/lab open, then dev/lab run python benchmarks/...")
    from ansible_collections.hpc.ports.tests.firewalld.daemons import Daemon  # pylint: disable=import-outside-toplevel

    zones = {
        "firewalld, three rules": [_rich_rule(NETWORK, PORTS)],
        f"firewalld, {FLOWS:,} rich rules": [_rich_rule(f"{ip_address(flow.first)}/27", flow.ports) for flow in ALL],
    }
    policies = {"hpc.ports, 3 flows": few(), f"hpc.ports, {FLOWS:,} flows": many()}
    with ExitStack() as stack:
        found = []
        for number, name in enumerate((*zones, *policies)):
            daemon = Daemon("13", f"{os.environ['HPC_PORTS_LAB']}-benchmark-{number}")
            stack.callback(daemon.host.remove)
            stack.callback(daemon.close)
            daemon.clean()
            if name in zones:
                daemon.write("/etc/firewalld/zones/public.xml", _zone(zones[name]))
                daemon.host.run("firewall-cmd", "--reload")
            else:
                daemon.runs.apply(policies[name])
            found.append(Ruled(name, daemon))
        yield found
