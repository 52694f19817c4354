# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real packets, both ways, through random policies in a real kernel: every verdict equals `evaluate`."""

from __future__ import annotations

import json
import random
import re
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables import kernel
from ansible_collections.hpc.ports.plugins.module_utils._linux.command import run
from ansible_collections.hpc.ports.plugins.module_utils._model.evaluate import Packet, evaluate
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import Policy, parse_policy
from ansible_collections.hpc.ports.plugins.module_utils._model.ports import EVERYTHING
from ansible_collections.hpc.ports.tests.support.namespaces import HOST, PEER, ROOT, Pair, Space, forget_connections
from ansible_collections.hpc.ports.tests.support.packets import Wires
from ansible_collections.hpc.ports.tests.support.platforms import packets_at_edges, policies, special_packets
from ansible_collections.hpc.ports.tests.support.run import examples, scaled
from ansible_collections.hpc.ports.tests.support.samples import DHCP_SERVER
from ansible_collections.hpc.ports.tests.support.verdicts import (
    PHASES,
    check_loopback,
    check_verdicts,
    joined,
    load_nftables,
    opening_of,
    passing,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


@pytest.fixture
def wires(pair: Pair) -> Iterator[Wires]:
    with joined(pair) as found:
        yield found


# Two or three policies each.
@settings(
    max_examples=examples(35),
    phases=PHASES,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(platforms=st.lists(policies(), min_size=1, max_size=2), seed=st.integers(0, 2**32))
def test_every_verdict_of_the_kernel_is_that_of_evaluate(
    pair: Pair, wires: Wires, platforms: list[list[Policy]], seed: int
) -> None:
    """Policies follow each other in one table, so every one is a transition from another."""
    randomness = random.Random(seed)
    with pair.host.entered():
        kernel.load("add table inet hpc_ports\ndelete table inet hpc_ports\n")
        for policy in [policy for platform in platforms for policy in platform]:
            load_nftables(policy)
            for direction in ("in", "out"):
                forget_connections()
                check_verdicts(wires, policy, special_packets(direction))
                check_verdicts(wires, policy, packets_at_edges(policy, direction, randomness, 150))
            check_loopback()


def test_many_ports_and_single_addresses_have_the_verdicts_of_few(pair: Pair, wires: Wires) -> None:
    """Many have a map of single ports in front, and single addresses a set without ranges."""
    golden = ROOT / "tests" / "unit" / "golden" / "many_ports.json"
    policy = parse_policy(json.loads(golden.read_text(encoding="utf-8")))
    with pair.host.entered():
        kernel.load("add table inet hpc_ports\ndelete table inet hpc_ports\n")
        load_nftables(policy)
        for direction in ("in", "out"):
            forget_connections()
            check_verdicts(wires, policy, special_packets(direction))
            check_verdicts(wires, policy, packets_at_edges(policy, direction, random.Random(0), 600))


def test_everything_is_each_port_and_protocol_and_changes_in_place(pair: Pair, wires: Wires) -> None:
    """Whatever other flows cut out of it, and with other rules before and after it."""
    everything = list(map(str, EVERYTHING))
    steps = [["1-65535/tcp"], everything, [*everything, "112/ip"], ["112/ip"], everything]
    sent = [Packet("in", "ip", "10.64.0.1", number) for number in (3, 5, 7, 16, 18, 57, 112, 200, 254)]
    with pair.host.entered():
        for ports in steps:
            rules = [
                {"direction": direction, "flow": flow, "ports": opened, "peers": peers}
                for direction in ("in", "out")
                for flow, opened, peers in (("trust", ports, "b"), ("vrrp", ["112/ip", "80/tcp"], "a"))
            ]
            policy = parse_policy({**DATA, "rules": rules})
            load_nftables(policy)
            for direction in ("in", "out"):
                forget_connections()
                check_verdicts(wires, policy, packets_at_edges(policy, direction, random.Random(0), 1000))
        trusted = [packet._replace(peer="10.64.0.2") for packet in sent]
        assert passing(wires, trusted) == set(trusted)
        assert passing(wires, sent) == {packet for packet in sent if packet.port == 112}


def test_a_host_that_serves_dhcp_may_answer_whom_it_has_never_seen(pair: Pair, wires: Wires) -> None:
    wanted = parse_policy(DHCP_SERVER)
    assert {
        evaluate(wanted, packet).passes for packet in special_packets("out") if packet.source_port in (67, 547)
    } == {True, False}
    with pair.host.entered():
        load_nftables(wanted)
        check_verdicts(wires, wanted, special_packets("out"))


# ---- what the property does not look at

DATA = {
    "format": 2,
    "mode": "enforce",
    "egress": "restricted",
    "trusted_interfaces": [],
    "networks": {"a": ["10.64.0.0/30"], "b": ["10.64.0.2/32", "fd64::2/128"]},
    "rules": [
        {"direction": "in", "flow": "first", "ports": ["80-90/tcp"], "peers": "a"},
        {"direction": "in", "flow": "second", "ports": ["85/tcp", "53/udp"], "peers": "b"},
        {"direction": "out", "flow": "third", "ports": ["80/tcp"], "peers": "b"},
    ],
}
SENT = [
    Packet("in", "tcp", "10.64.0.1", 80),
    Packet("in", "tcp", "10.64.0.1", 85),
    Packet("in", "udp", "fd64::2", 53),
    Packet("in", "tcp", "fd64::2", 84),
    Packet("in", "udp", "10.64.0.1", 53),
    Packet("in", "tcp", "10.64.0.4", 80),
    Packet("out", "tcp", "10.64.0.2", 80),
    Packet("out", "tcp", "10.64.0.1", 80),
]


def counters() -> dict[str, int]:
    """What the counters say, by name."""
    found = run(["nft", "list", "counters", "table", "inet", "hpc_ports"])
    return {name: int(packets) for name, packets in re.findall(r"counter (\w+) \{\s+packets (\d+) ", found)}


@pytest.mark.parametrize("mode", ["enforce", "observe"])
def test_each_flow_counts_its_packets_and_observe_counts_what_it_would_drop(
    pair: Pair, wires: Wires, mode: str
) -> None:
    policy = parse_policy({**DATA, "mode": mode})
    with pair.host.entered():
        load_nftables(policy)
        for direction, wire in (("in", wires.inward), ("out", wires.outward)):
            sent = [
                opening_of(packet._replace(source_port=1000 + number))
                for number, packet in enumerate(SENT)
                if packet.direction == direction
            ]
            passed = wire.answered(sent, tries=1)
            assert (len(passed) == len(sent)) == (mode == "observe")
        unrecorded = {"unrecorded_in": 0, "unrecorded_out": 0} if mode == "observe" else {}
        denied = {"denied_in": 3, "denied_out": 1}
        assert counters() == {"in_first": 2, "in_second": 1, "out_third": 1, **denied, **unrecorded}


def test_a_router_asks_for_multicast_groups_and_the_host_answers(pair: Pair) -> None:
    """IGMP as the kernel sends it: a query to all hosts, and the report about a group with a member here."""
    group, reports = "239.1.2.3", "224.0.0.22"
    with pair.host.entered():
        load_nftables(parse_policy(DATA))
    with membership(pair.host, group, HOST[4]), membership(pair.peer, reports, PEER[4]) as router:
        router.sendto(struct.pack("!BBH4xBBH", 0x11, 1, 0xFFFF - 0x1301, 2, 0, 0), ("224.0.0.1", 0))
        while socket.inet_aton(group) not in (heard := router.recv(4096)):
            assert heard
    with pair.host.entered():
        assert (counters()["denied_in"], counters()["denied_out"]) == (0, 0)


@contextmanager
def membership(space: Space, group: str, address: str) -> Iterator[socket.socket]:
    """Be in a multicast group, on a socket that hears and sends IGMP."""
    with space.entered():
        sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_IGMP)
    with sock:
        sock.settimeout(scaled(20))
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(address))
        sock.setsockopt(
            socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(group) + socket.inet_aton(address)
        )
        yield sock


def test_ten_thousand_addresses_and_a_thousand_segments_load_and_judge(pair: Pair, wires: Wires) -> None:
    networks = [f"10.{number // 250}.{number % 250}.{side}/32" for number in range(5000) for side in (1, 3)]
    rules = [
        {
            "direction": "in",
            "flow": "many",
            "ports": [f"{2000 + 2 * number}/tcp" for number in range(1000)],
            "peers": "many",
        }
    ]
    policy = parse_policy({**DATA, "networks": {"many": networks}, "rules": rules})
    packets = [
        Packet("in", "tcp", peer, port, 30000 + 10 * number + place)
        for number, peer in enumerate(("10.0.0.1", "10.0.0.2", "10.19.249.3", "10.20.0.1"))
        for place, port in enumerate((1999, 2000, 2001, 3000, 3998, 4000))
    ]
    with pair.host.entered():
        load_nftables(policy)
        check_verdicts(wires, policy, packets)
