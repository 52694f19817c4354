# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections that live, and new ones that come, while policies are applied by firewalld."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._linux import conntrack
from ansible_collections.hpc.ports.plugins.module_utils._linux.netlink import NetlinkError
from ansible_collections.hpc.ports.tests.firewalld.daemons import Daemon, call
from ansible_collections.hpc.ports.tests.kernel.connections import Connections, living
from ansible_collections.hpc.ports.tests.support.availability import NODES, applied_meanwhile
from ansible_collections.hpc.ports.tests.support.namespaces import HOST
from ansible_collections.hpc.ports.tests.support.run import examples, scaled
from ansible_collections.hpc.ports.tests.support.samples import ANYWHERE, SSH, policy

# New connections a second: several within each call to firewalld.
RATE = 200.0
# Who connects to port 6000, in every policy.
CLIENTS = ("10.64.0.0/16", "10.64.0.0/17", "10.64.1.0/24")


def changed_by_calls(count: int) -> list[dict[str, Any]]:
    """So many policies of the same flows, in each of which others get other ports or peers: none needs a reload."""
    found = []
    for number in range(count):
        # Two of three times the flow of the clients itself changes: its peers, its ports, or both.
        peers = (CLIENTS[number // 2 % 3], *NODES[number % 4 : 4])
        ports = [("6000/tcp", "5990-6020/tcp", "5999-6000/tcp")[number // 3 % 3]]
        ports += [f"{7000 + number // 4}/tcp"] * (number % 2)
        found.append(
            policy(
                SSH,
                ("in", "served", ports, peers),
                ("in", "nfs", ["2049/tcp", "111/udp"][: 1 + number % 2], NODES[: 1 + number % 5]),
                ("in", "web", [f"{5998 + number % 5 % 2}/tcp", "6001-6010/tcp"], NODES[number % 3 : 4]),
                ("out", "dns", ["53/udp"], NODES[number % 4 : 4]),
                egress="restricted",
            )
        )
    return found


def handle(daemon: Daemon) -> str:
    """What the kernel calls firewalld's table: another after each reload."""
    return daemon.host.shell("nft -a list table inet firewalld | head -n 1")


@pytest.fixture(name="listens", params=[6000, 7272], ids=["port", "published port"])
def _listens(daemon: Daemon, request: pytest.FixtureRequest) -> Iterator[int]:
    """The port of the server to which port 6000 leads."""
    if request.param == 6000:
        yield 6000
        return
    chain = "type nat hook prerouting priority dstnat; tcp dport 6000 redirect to :7272;"
    daemon.host.nft(f"table ip hand {{ chain pre {{ {chain} }}; }}")
    yield request.param
    daemon.host.nft("delete table ip hand")


@pytest.mark.takes_turns
def test_no_connection_is_lost_through_applies_by_calls(daemon: Daemon, listens: int) -> None:
    steps = [{**data, "addresses": [HOST[4]]} for data in changed_by_calls(min(50, examples(25)))]
    daemon.runs.apply(steps[-1])
    before = handle(daemon)
    found = applied_meanwhile(daemon.machine, steps, RATE, listens)
    assert (found.lost, found.of_living, handle(daemon)) == (0, [0, 0], before)
    assert found.connections >= len(steps)
    assert not daemon.runs.apply(steps[-1])["changed"]


@pytest.mark.takes_turns
def test_a_reload_delays_a_connection_and_loses_none(daemon: Daemon, listens: int) -> None:
    """The session that lives was there before us, and before egress is restricted."""
    steps = [
        {
            **policy(SSH, ("in", f"served{number}", ["6000/tcp"], ANYWHERE), egress=("restricted", "open")[number % 2]),
            "addresses": [HOST[4]],
        }
        for number in range(3)
    ]
    daemon.host.shell(f"firewall-cmd --quiet --add-port=6000/tcp --permanent; {call('reload')}")
    before = handle(daemon)
    found = applied_meanwhile(daemon.machine, steps, RATE, listens)
    assert handle(daemon) != before
    assert found.connections >= 10 * len(steps) and found.slowest < scaled(5)


@pytest.mark.takes_turns
@pytest.mark.parametrize("first", ["server", "client"])
def test_connections_that_nothing_tracks_go_on(daemon: Daemon, first: str) -> None:
    """As on a host where firewalld has just started. The other tests of first rules are in tests/kernel."""
    daemon.host.shell(f"firewall-cmd --quiet --add-port=6000/tcp --permanent; {call('reload')}")
    with Connections(daemon) as links:
        ways = {"in": ("10.64.9.9", HOST[4]), "out": (HOST[4], "10.64.9.9")}
        found = [links.opened(direction, "tcp", *ends, 6000) for direction, ends in ways.items()]
        with daemon.host.entered():
            for entry in conntrack.entries():
                with suppress(NetlinkError):  # one of an earlier test that has just ended
                    conntrack.delete(entry)
            assert not {item.name for item in found} & {str(entry.there) for entry in conntrack.entries()}
        daemon.runs.apply({**policy(SSH, egress="restricted"), "addresses": [HOST[4]]})
        assert living(found, first) == {item.name for item in found}
