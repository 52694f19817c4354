# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a policy does with a packet that opens a connection."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._model.evaluate import (
    ForwardedPacket,
    Judgement,
    Packet,
    evaluate,
    evaluate_forwarded,
)
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import Policy, Rule, segments
from ansible_collections.hpc.ports.plugins.module_utils._model.ports import EVERYTHING, parse_policy_ports
from hypothesis import given
from hypothesis import strategies as st


def rule(direction: str, flow: str, ports: str, *peers: str) -> Rule:
    return Rule(direction, flow, tuple(map(parse_policy_ports, ports.split())), tuple(map(ip_network, peers)))


POLICY = Policy(
    mode="enforce",
    egress="restricted",
    trusted_interfaces=("ib0", "cni*"),
    rules=(
        rule("in", "web", "80/tcp 443/tcp", "10.0.0.0/8"),
        rule("in", "range", "8000-9000/udp", "fd00::/64", "10.0.0.1/32"),
        rule("in", "vrrp", "112/ip", "10.0.0.0/8"),
        rule("in", "trust", " ".join(map(str, EVERYTHING)), "172.16.0.1/32"),
        rule("out", "dns", "53/udp 53/tcp", "10.0.0.53/32"),
    ),
    container_interfaces=("docker*",),
    filtered_containers=("podman*",),
)
OBSERVE = POLICY._replace(mode="observe")
OPEN = POLICY._replace(egress="open")
NONE = Judgement(False, "no flow")


@pytest.mark.parametrize(
    ("packet", "expected"),
    [
        (Packet("in", "tcp", "10.1.2.3", 80), Judgement(True, "flow web")),
        (Packet("in", "tcp", "10.1.2.3", 443), Judgement(True, "flow web")),
        (Packet("in", "tcp", "10.1.2.3", 81), NONE),
        (Packet("in", "udp", "10.1.2.3", 80), NONE),
        (Packet("in", "tcp", "11.0.0.1", 80), NONE),
        (Packet("in", "tcp", "fd00::1", 80), NONE),
        (Packet("in", "udp", "fd00::1", 8000), Judgement(True, "flow range")),
        (Packet("in", "udp", "fd00::1", 9000), Judgement(True, "flow range")),
        (Packet("in", "udp", "fd00::1", 7999), NONE),
        (Packet("in", "udp", "fd00::1", 9001), NONE),
        (Packet("in", "udp", "fd00:0:0:1::1", 8000), NONE),
        (Packet("in", "udp", "10.0.0.2", 8000), NONE),
        (Packet("in", "ip", "10.1.2.3", 112), Judgement(True, "flow vrrp")),
        (Packet("in", "tcp", "10.1.2.3", 112), NONE),
        (Packet("in", "ip", "172.16.0.1", 47), Judgement(True, "flow trust")),
        (Packet("in", "tcp", "172.16.0.1", 65535), Judgement(True, "flow trust")),
        (Packet("in", "udp", "172.16.0.1", 1), Judgement(True, "flow trust")),
        (Packet("in", "ip", "172.16.0.2", 47), NONE),
        (Packet("in", "tcp", "172.16.0.2", 1), NONE),
        (Packet("out", "udp", "10.0.0.53", 53), Judgement(True, "flow dns")),
        (Packet("out", "tcp", "10.0.0.53", 80), NONE),
        (Packet("in", "udp", "10.0.0.53", 53), NONE),
        # Always accepted: loopback, trusted interfaces, ICMP and ICMPv6, the host's own DHCP client.
        (Packet("in", "tcp", "11.0.0.1", 81, interface="lo"), Judgement(True, "loopback")),
        (Packet("in", "tcp", "11.0.0.1", 81, interface="ib0"), Judgement(True, "trusted interface")),
        (Packet("out", "tcp", "11.0.0.1", 81, interface="cni12"), Judgement(True, "trusted interface")),
        (Packet("out", "tcp", "11.0.0.1", 81, interface="docker1"), Judgement(True, "container interface")),
        (Packet("in", "tcp", "11.0.0.1", 81, interface="docker1"), NONE),
        (Packet("in", "tcp", "11.0.0.1", 81, interface="ib01"), NONE),
        (Packet("in", "tcp", "11.0.0.1", 81, interface="lo0"), NONE),
        (Packet("in", "ip", "11.0.0.1", 1), Judgement(True, "always accepted")),
        (Packet("out", "ip", "2001:db8::1", 58), Judgement(True, "always accepted")),
        (Packet("in", "ip", "11.0.0.1", 2), Judgement(True, "always accepted")),
        (Packet("in", "ip", "11.0.0.1", 3), NONE),
        (Packet("in", "udp", "11.0.0.1", 68, source_port=67), Judgement(True, "always accepted")),
        (Packet("in", "udp", "11.0.0.1", 68, source_port=68), NONE),
        (Packet("in", "tcp", "11.0.0.1", 68, source_port=67), NONE),
        (Packet("out", "udp", "11.0.0.1", 67, source_port=68), Judgement(True, "always accepted")),
        (Packet("out", "udp", "11.0.0.1", 67, source_port=69), NONE),
        (Packet("in", "udp", "fe80::1", 546, source_port=50000), Judgement(True, "always accepted")),
        (Packet("in", "udp", "2001:db8::1", 546, source_port=547), NONE),
        (Packet("in", "udp", "fe80::1", 545, source_port=547), NONE),
        (Packet("out", "udp", "ff02::1:2", 547, source_port=546), Judgement(True, "always accepted")),
        (Packet("out", "udp", "ff02::1:2", 547, source_port=545), NONE),
    ],
)
def test_evaluate(packet: Packet, expected: Judgement) -> None:
    assert evaluate(POLICY, packet) == expected


def test_open_egress_allows_all_outgoing_connections_only() -> None:
    assert evaluate(OPEN, Packet("out", "tcp", "192.0.2.1", 1)) == Judgement(True, "open egress")
    assert evaluate(OPEN, Packet("in", "tcp", "192.0.2.1", 1)) == NONE


@pytest.mark.parametrize("direction", ["in", "out"])
def test_observe_passes_packets_and_names_no_flow(direction: str) -> None:
    assert evaluate(OBSERVE, Packet(direction, "tcp", "192.0.2.1", 1)) == Judgement(True, "no flow")


def test_observe_names_the_flow_that_accepts() -> None:
    assert evaluate(OBSERVE, Packet("in", "tcp", "10.0.0.1", 80)) == Judgement(True, "flow web")


def forwarded(peer: str, from_interface: str, to_interface: str, port: int = 53) -> ForwardedPacket:
    return ForwardedPacket("udp", peer, port, from_interface, to_interface)


@pytest.mark.parametrize(
    ("packet", "expected"),
    [
        (forwarded("10.0.0.53", "podman1", "eth0"), Judgement(True, "flow dns")),
        (forwarded("10.0.0.53", "podman1", "eth0", 54), NONE),
        (forwarded("10.0.0.54", "podman1", "eth0"), NONE),
        (forwarded("10.0.0.54", "podman1", "ib0"), Judgement(True, "trusted interface")),
        (forwarded("10.0.0.54", "podman1", "podman2"), Judgement(True, "container interface")),
        (forwarded("10.0.0.54", "podman1", "docker0"), Judgement(True, "container interface")),
        (forwarded("10.88.0.2", "docker0", "podman1"), Judgement(True, "container interface")),
        (forwarded("10.88.0.2", "eth0", "podman1"), NONE),
        (forwarded("10.88.0.2", "ib0", "podman1"), Judgement(True, "trusted interface")),
        (forwarded("10.0.0.54", "docker0", "eth0"), Judgement(True, "not filtered")),
        (forwarded("172.17.0.2", "eth0", "docker0"), Judgement(True, "not filtered")),
        (forwarded("10.0.0.54", "eth0", "eth1"), Judgement(True, "not filtered")),
        (ForwardedPacket("ip", "10.0.0.54", 1, "podman1", "eth0"), Judgement(True, "always accepted")),
        (ForwardedPacket("ip", "10.88.0.2", 1, "eth0", "podman1"), NONE),
    ],
)
def test_evaluate_forwarded(packet: ForwardedPacket, expected: Judgement) -> None:
    assert evaluate_forwarded(POLICY, packet) == expected


def test_open_egress_is_open_to_containers_as_well() -> None:
    assert evaluate_forwarded(OPEN, forwarded("10.0.0.54", "podman1", "eth0")) == Judgement(True, "open egress")
    assert evaluate_forwarded(OPEN, forwarded("10.88.0.2", "eth0", "podman1")) == NONE


def test_observe_passes_forwarded_packets() -> None:
    for interfaces in (("podman1", "eth0"), ("eth0", "podman1")):
        assert evaluate_forwarded(OBSERVE, forwarded("10.0.0.54", *interfaces)) == Judgement(True, "no flow")


@pytest.mark.parametrize(
    ("protocol", "port", "passes"),
    [
        ("udp", 53, True),
        ("tcp", 53, True),
        ("udp", 67, True),
        ("udp", 547, True),
        ("tcp", 67, False),
        ("udp", 54, False),
    ],
)
def test_containers_ask_their_host_for_names_and_addresses(protocol: str, port: int, passes: bool) -> None:
    for interface in ("docker0", "podman1"):
        judgement = evaluate(POLICY, Packet("in", protocol, "11.88.0.2", port, interface=interface))
        assert judgement == (Judgement(True, "container interface") if passes else NONE)
    assert evaluate(POLICY, Packet("in", protocol, "11.88.0.2", port)) == NONE


NETWORKS = st.one_of(
    st.builds(
        lambda number, length: ip_network((number >> (32 - length) << (32 - length), length)),
        st.integers(0x0A000000, 0x0A00000F),
        st.integers(28, 32),
    ),
    st.builds(
        lambda number, length: ip_network((number >> (128 - length) << (128 - length), length)),
        st.integers(0xFD << 120, (0xFD << 120) + 15),
        st.integers(124, 128),
    ),
)
RULES = st.lists(
    st.builds(
        lambda number, first, length, peers: rule("in", f"f{number}", f"{first}-{first + length}/tcp")._replace(
            peers=tuple(peers)
        ),
        st.integers(0, 9),
        st.integers(1, 9),
        st.integers(0, 4),
        st.lists(NETWORKS, max_size=3),
    ),
    max_size=6,
)
PEERS = st.one_of(
    st.integers(0, 15).map(lambda number: str(ip_address(0x0A000000 + number))),
    st.integers(0, 15).map(lambda number: str(ip_address((0xFD << 120) + number))),
)


@given(RULES, PEERS, st.integers(1, 15))
def test_evaluate_agrees_with_the_segments_of_rulesets(rules: list[Rule], peer: str, port: int) -> None:
    address = ip_address(peer)
    expected = any(
        segment.ports.first <= port <= segment.ports.last and any(address in net for net in item.peers)
        for segment in segments(rules)
        for item in segment.rules
    )
    assert evaluate(Policy("enforce", "open", (), tuple(rules)), Packet("in", "tcp", peer, port)).passes == expected
