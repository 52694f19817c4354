# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Walks through the rules that firewalld makes of our policies and the user's, as each libnftables lists them."""

from __future__ import annotations

import random
from itertools import product
from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._model.evaluate import Packet
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import parse_policy
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.tables import parse_ruleset
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.walker import Trace, Walker
from ansible_collections.hpc.ports.tests.firewalld.daemons import Daemon
from ansible_collections.hpc.ports.tests.firewalld.verdicts import ALLOWED, applied, passes, past_guards
from ansible_collections.hpc.ports.tests.support.namespaces import HOST, forget_connections
from ansible_collections.hpc.ports.tests.support.packets import Opening, Wires
from ansible_collections.hpc.ports.tests.support.platforms import packets_at_edges, special_packets
from ansible_collections.hpc.ports.tests.support.published import with_container
from ansible_collections.hpc.ports.tests.support.run import turn
from ansible_collections.hpc.ports.tests.support.runs import Runs
from ansible_collections.hpc.ports.tests.support.samples import ANYWHERE, SSH, policy
from ansible_collections.hpc.ports.tests.support.verdicts import passing, whole

POLICIES = [
    ALLOWED,
    policy(
        SSH,
        ("in", "web", ["80/tcp", "53-99/udp", "112/ip"], ANYWHERE),
        ("in", "nodes", ["1024-65535/tcp"], ("10.64.0.0/28", "fd64::/64")),
    ),
]


def walker(daemon: Daemon) -> Walker:
    """Return the ruleset as the libnftables of the host lists it."""
    program = (
        "from ansible_collections.hpc.ports.plugins.module_utils._ruleset.judge import rules_of_kernel\n"
        "result = rules_of_kernel()"
    )
    return Walker(parse_ruleset(*daemon.runs.call(program)))


def is_cut(daemon: Daemon, packet: Packet) -> bool:
    """Return whether the set for DHCP over IPv6 decides: nft 0.9 lists its prefixes too long."""
    return daemon.release == "11" and packet.direction == "out" and ":" in packet.peer and packet.port == 547


def check(daemon: Daemon, wires: Wires, judged: Walker, packets: list[Packet]) -> set[Packet]:
    """See that the walk says of every packet whether it really passes; return those that do."""
    assert all(judged.trace(whole(packet)).verdict != "unknown" for packet in packets if not is_cut(daemon, packet))
    with daemon.host.entered():
        forget_connections()
    got = passing(wires, packets)
    found = {packet: judged.trace(whole(packet)) for packet in packets}
    wrong = {
        packet: (one, packet in got)
        for packet, one in found.items()
        if one.verdict != "unknown" and (one.verdict == "accept") != (packet in got)
    }
    assert not wrong
    return got


def test_the_walk_says_what_firewalld_does(daemon: Daemon, runs: Runs, wires: Wires) -> None:
    for data in turn(POLICIES, int(daemon.release)):
        applied(runs, data)
        wanted, judged = parse_policy(data), walker(daemon)
        for direction in ("in", "out"):
            # The walk sees, too, that firewalld drops what comes from where the host would not answer.
            packets = [*special_packets(direction), *packets_at_edges(wanted, direction, random.Random(0), 150)]
            packets = packets if direction == "in" else past_guards(packets)
            got = check(daemon, wires, judged, packets)
            guarded = past_guards(packets)
            assert {packet for packet in guarded if packet in packets and passes(daemon.version, wanted, packet)} == (
                got & set(guarded)
            )


USERS = """
save() { firewall-cmd --quiet --permanent "$@"; }
save --new-policy=users
save --policy=users --set-priority=-32768
save --policy=users --add-ingress-zone=ANY
save --policy=users --add-egress-zone=HOST
save --policy=users --add-rich-rule='rule family="ipv4" source address="10.64.0.1" drop'
save --policy=users --add-rich-rule='rule family="ipv4" source address="10.64.0.2" port port="80" protocol="tcp" reject'
save --new-zone=mine
save --zone=mine --set-target=DROP
save --zone=mine --add-interface=eth0
firewall-cmd --quiet --reload
"""


@pytest.mark.versions("0.9.3", "2.3.1")
@pytest.mark.takes_turns
def test_the_rule_of_the_user_that_decides_is_named(daemon: Daemon, runs: Runs, wires: Wires) -> None:
    """Without our policies, the zone drops."""
    daemon.host.shell(USERS)
    found = walker(daemon).trace(whole(Packet("in", "tcp", "10.64.0.3", 80)))
    assert (found.verdict, found.table, found.is_ours) == ("drop", "inet firewalld", False)
    # From 2.0 on, in the chain that dispatches to zones.
    assert (found.chain, found.rule) in (
        ("filter_IN_mine", "drop"),
        ("filter_INPUT_POLICIES", 'iifname "eth0" drop'),
    ), found
    applied(runs, ALLOWED)
    judged = walker(daemon)
    packets = packets_at_edges(parse_policy(ALLOWED), "in", random.Random(1), 100)
    check(daemon, wires, judged, packets)
    assert _said(judged, "10.64.0.1", 80) == ("drop", "filter_IN_policy_users_deny", False)
    assert _said(judged, "10.64.0.2", 80) == ("reject", "filter_IN_policy_users_deny", False)
    assert _said(judged, "10.64.0.3", 80) == ("accept", "filter_IN_policy_hpc_ports_in_allow", True)
    assert _said(judged, "10.64.0.3", 81) == ("drop", "arriving", True)


@pytest.mark.versions("0.9.3")
def test_the_module_runs_with_the_python_and_the_library_of_the_host(daemon: Daemon, runs: Runs) -> None:
    applied(runs, ALLOWED)
    packet: dict[str, Any] = {
        "direction": "in",
        "source": "10.64.0.1",
        "destination": HOST[4],
        "port": 80,
        "reply": True,
    }
    (found,) = daemon.started_module("verify_judge", packets=[packet])["judgements"]
    assert (found["verdict"], found["is_ours"], found["interface"], found["reply"]["verdict"]) == (
        "accept",
        True,
        "eth0",
        "accept",
    )


PUBLISH = """
table ip hand {
  chain pre { type nat hook prerouting priority dstnat; tcp dport { 8080, 9000 } dnat to 198.51.100.2:9999; }
}
"""
PUBLISHED = policy(SSH, ("in", "web", ["8080/tcp"], ("10.64.0.1",)))


@pytest.mark.takes_turns
def test_published_ports_are_followed(daemon: Daemon, runs: Runs, wires: Wires) -> None:
    """firewalld accepts what NAT sends to a container; our table beside it judges that before."""
    openings = [
        Opening("tcp", source, HOST[4], port, 20_000 + number)
        for number, (source, port) in enumerate(product(("10.64.0.1", "10.64.1.1"), (8080, 9000)))
    ]
    packets = [
        {"direction": "in", "source": opening.source, "destination": opening.target, "port": opening.port}
        for opening in openings
    ]
    with with_container(daemon):
        daemon.host.nft(PUBLISH)
        for data, passing_by in ((None, openings), (PUBLISHED, openings[:1])):
            if data:
                applied(runs, data)
            judgements = daemon.module("verify_judge", packets=packets)["judgements"]
            with daemon.host.entered():
                forget_connections()
            assert wires.inward.answered(openings) == set(passing_by)
            said = [(item["verdict"], item["is_ours"]) for item in judgements]
            assert said == [("accept" if one in passing_by else "drop", bool(data)) for one in openings]
            assert all("changed to 198.51.100.2 port 9999 (table ip hand" in item["notes"][0] for item in judgements)
        daemon.host.nft("delete table ip hand\n")
    daemon.host.arrange("echo 0 > /proc/sys/net/ipv4/ip_forward; echo 0 > /proc/sys/net/ipv6/conf/all/forwarding")


def _said(judged: Walker, peer: str, port: int) -> tuple[str, str, bool]:
    found: Trace = judged.trace(whole(Packet("in", "tcp", peer, port)))
    return found.verdict, found.chain, found.is_ours
