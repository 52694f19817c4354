# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections that live, and new ones that come, while policies are applied by firewalld."""

from __future__ import annotations

from typing import Any

from ansible_collections.hpc.ports.tests.firewalld.daemons import Daemon, FirewalldMachine
from ansible_collections.hpc.ports.tests.firewalld.test_faults import MORE
from ansible_collections.hpc.ports.tests.support.availability import NODES, RATE, applied_meanwhile
from ansible_collections.hpc.ports.tests.support.samples import ANYWHERE, SSH, policy

# Who connects to port 6000, in every policy.
CLIENTS = ("10.64.0.0/16", "10.64.0.0/17", "10.64.1.0/24")


def changed_by_calls(count: int) -> list[dict[str, Any]]:
    """So many policies of the same flows, in each of which others get other ports or peers: none needs a reload."""
    found = []
    for number in range(count):
        # Two of three times the flow of the clients itself changes: its peers, its ports, or both.
        peers = (CLIENTS[number // 2 % 3], *NODES[number % 4:4])
        ports = [("6000/tcp", "5990-6020/tcp", "5999-6000/tcp")[number // 3 % 3]]
        ports += [f"{7000 + number // 4}/tcp"] * (number % 2)
        found.append(policy(
            SSH, ("in", "served", ports, peers),
            ("in", "nfs", ["2049/tcp", "111/udp"][:1 + number % 2], NODES[:1 + number % 5]),
            ("in", "web", [f"{5998 + number % 5 % 2}/tcp", "6001-6010/tcp"], NODES[number % 3:4]),
            ("out", "dns", ["53/udp"], NODES[number % 4:4]), egress="restricted"))
    return found


def handle(daemon: Daemon) -> str:
    """What the kernel calls firewalld's table: another after each reload."""
    return daemon.host.shell("nft -a list table inet firewalld | head -n 1")


def test_no_connection_is_lost_through_applies_by_calls(daemon: Daemon) -> None:
    """50 of them on all versions take minutes: HPC_PORTS_FAULTS=10."""
    count = min(50, MORE * (25 if daemon.release == "12" else 8))
    machine, steps = FirewalldMachine(daemon), changed_by_calls(count)
    machine.apply(steps[-1])
    before = handle(daemon)
    found = applied_meanwhile(machine, steps, RATE)
    assert (found.lost, found.of_living, handle(daemon)) == (0, [0, 0], before)
    assert found.connections >= len(steps)
    assert not machine.apply(steps[-1])["changed"]


def test_a_reload_delays_a_connection_and_loses_none(daemon: Daemon) -> None:
    """The session that lives was there before us, and before egress is restricted."""
    machine = FirewalldMachine(daemon)
    steps = [policy(SSH, ("in", f"served{number}", ["6000/tcp"], ANYWHERE), egress=("restricted", "open")[number % 2])
             for number in range(3)]
    daemon.host.shell("firewall-cmd --quiet --add-port=6000/tcp --permanent; firewall-cmd --quiet --reload")
    before = handle(daemon)
    try:
        found = applied_meanwhile(machine, steps, RATE)
    finally:
        daemon.host.shell("firewall-cmd --quiet --remove-port=6000/tcp --permanent")
    assert handle(daemon) != before
    assert found.connections >= 100 and found.slowest < 5
