# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts in namespaces of their own, with few rules and with many, of this collection and without it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from ipaddress import ip_address
from typing import Any, NamedTuple

from ansible_collections.hpc.ports.benchmarks.measuring import lab
from ansible_collections.hpc.ports.tests.firewalld.daemons import Daemon
from ansible_collections.hpc.ports.tests.support.machine import Machine
from ansible_collections.hpc.ports.tests.support.namespaces import HOST, Pair
from ansible_collections.hpc.ports.tests.support.samples import ANYWHERE, SSH, policy

# To so many of the flows packets are sent.
USED = 16
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


def flows_of(count: int) -> list[Flow]:
    """Return so many flows, up to 1,000."""
    return [Flow(number) for number in range(count)]


def used(count: int) -> list[Flow]:
    """Return some of so many flows, spread over them."""
    step = count // USED
    return flows_of(count)[step // 2 :: step][:USED]


class Ruled(NamedTuple):
    """A host with rules, and its peer."""

    name: str
    pair: Pair


def few() -> dict[str, Any]:
    """Return a policy of three flows, one of which accepts what all the others do."""
    rules = (SSH, ("in", "web", ["443/tcp"], ANYWHERE), ("in", "all", [f"{PORTS}/udp"], (NETWORK,)))
    return {**policy(*rules), "addresses": [HOST[4], HOST[6]]}


def many(count: int) -> dict[str, Any]:
    """Return a policy of so many flows, each with peers of its own."""
    rules = [("in", f"flow{flow.number}", [f"{flow.ports}/udp"], tuple(flow.addresses)) for flow in flows_of(count)]
    return {**policy(SSH, *rules), "addresses": [HOST[4], HOST[6]]}


def _table(rules: Sequence[str]) -> str:
    lines = ["type filter hook input priority 0; policy drop;", "ct state established,related accept", *rules]
    return "table inet plain {{\n chain input {{\n{}\n }}\n}}\n".format("\n".join(lines))


def _three_rules() -> str:
    return _table(["meta l4proto { icmp, ipv6-icmp } accept", f"udp dport {PORTS} ip saddr {NETWORK} accept"])


def _in_sequence(count: int) -> str:
    return _table(
        [f"udp dport {flow.ports} ip saddr {{ {', '.join(flow.addresses)} }} accept" for flow in flows_of(count)]
    )


@contextmanager
def on_nftables(count: int) -> Iterator[list[Ruled]]:
    """Have hosts meanwhile with rules of the kernel alone."""
    scripts = {"no rules": "", "three rules": _three_rules(), f"{count:,} rules in sequence": _in_sequence(count)}
    policies = {"hpc.ports, 3 flows": few(), f"hpc.ports, {count:,} flows": many(count)}
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
def firewalld_host(name: str) -> Iterator[Daemon]:
    """Have a host of the lab meanwhile on which firewalld runs as packaged."""
    daemon = Daemon("13", f"{lab()}-benchmark-{name}")
    try:
        daemon.clean()
        yield daemon
    finally:
        daemon.close()
        daemon.host.remove()


@contextmanager
def on_firewalld(count: int) -> Iterator[list[Ruled]]:
    """Have hosts meanwhile on which firewalld runs."""
    zones = {
        "firewalld, three rules": [_rich_rule(NETWORK, PORTS)],
        f"firewalld, {count:,} rich rules": [
            _rich_rule(f"{ip_address(flow.first)}/27", flow.ports) for flow in flows_of(count)
        ],
    }
    policies = {"hpc.ports, 3 flows": few(), f"hpc.ports, {count:,} flows": many(count)}
    with ExitStack() as stack:
        found = []
        for number, name in enumerate((*zones, *policies)):
            daemon = stack.enter_context(firewalld_host(str(number)))
            if name in zones:
                daemon.write("/etc/firewalld/zones/public.xml", _zone(zones[name]))
                daemon.host.run("firewall-cmd", "--reload")
            else:
                # 1,000 flows take firewalld minutes.
                changed = daemon.runs.firewall(policies[name], confirm_within=1800).result
                assert changed and "pending" in changed, changed
                daemon.runs.confirm(changed["pending"]["token"])
            found.append(Ruled(name, daemon))
        yield found
