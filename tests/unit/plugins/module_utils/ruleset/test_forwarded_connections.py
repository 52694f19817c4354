# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which tracked connections are forwarded from and to containers, and denied. tests/kernel uses real ones."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._linux.conntrack import TCP, UDP, ConntrackEntry, ConntrackTuple
from ansible_collections.hpc.ports.plugins.module_utils._linux.netlink import NetlinkError
from ansible_collections.hpc.ports.plugins.module_utils._linux.routes import Addresses
from ansible_collections.hpc.ports.plugins.module_utils._model.evaluate import ForwardedPacket, evaluate_forwarded
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import Policy, parse_policy
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.forwarded_connections import (
    Routing,
    denied_of,
    forwarded_connections,
)
from ansible_collections.hpc.ports.tests.support.samples import policy
from hypothesis import given
from hypothesis import strategies as st

HERE, OUTSIDE, CONTAINER, OTHER = "192.0.2.1", "10.0.0.7", "172.17.0.2", "172.18.0.2"
ADDRESSES = Addresses({HERE: {"eth0"}, "172.17.0.1": {"docker0"}}, (ipaddress.ip_network("127.0.0.0/8"),))
INTERFACES = {
    OUTSIDE: "eth0",
    "10.0.0.8": "eth0",
    "10.9.0.1": "fab0",
    CONTAINER: "docker0",
    "172.17.0.3": "docker0",
    OTHER: "br-1",
    "fd00::7": "eth0",
    "fd17::2": "docker0",
    "172.17.255.255": "",  # as of a broadcast
    "10.96.0.1": "eth0",  # of a service
    "0.0.0.0": "docker0",
    "255.255.255.255": "eth0",
    "224.0.0.251": "eth0",
    "fe80::1": "eth0",
    "fe80::2": "docker0",
}
POLICY = parse_policy(
    policy(
        ("in", "ssh", ["22/tcp"], ("10.0.0.0/8",)),
        ("out", "web", ["443/tcp", "53/udp", "47/ip"], ("10.0.0.7/32", "fd00::/16")),
        egress="restricted",
        filtered=("docker*", "br-*"),
    )
)


def towards(address: str) -> str:
    if address not in INTERFACES:
        raise NetlinkError("Network is unreachable")
    return INTERFACES[address]


ROUTING = Routing(towards, lambda target, source, incoming: towards(target))


def entry(protocol: int, source: str, source_port: int, target: str, target_port: int, **more: Any) -> ConntrackEntry:
    back = ConntrackTuple(protocol, target, target_port, source, source_port)
    there = ConntrackTuple(protocol, source, source_port, target, target_port)
    return ConntrackEntry(there, back, False, False, False, None, 2, b"")._replace(**more)


def denied(*entries: ConntrackEntry, changed: Policy = POLICY, routing: Routing = ROUTING) -> list[str]:
    return list(map(str, denied_of(changed, forwarded_connections(changed, ADDRESSES, entries, routing))))


MASQUERADED = ConntrackTuple(TCP, OUTSIDE, 25, HERE, 61000)


def test_text_of_connections() -> None:
    found = (
        entry(TCP, CONTAINER, 5, OUTSIDE, 25, back=MASQUERADED),
        entry(UDP, OUTSIDE, 5, CONTAINER, 6),
        entry(112, CONTAINER, 0, OUTSIDE, 0),
        entry(TCP, "fd00::7", 5, "fd17::2", 6),
    )
    assert denied(*found) == [
        "tcp 172.17.0.2:5 -> 10.0.0.7:25",
        "udp 10.0.0.7:5 -> 172.17.0.2:6",
        "ip/112 172.17.0.2 -> 10.0.0.7",
        "tcp [fd00::7]:5 -> [fd17::2]:6",
    ]


@pytest.mark.parametrize(
    "item",
    [
        entry(TCP, CONTAINER, 5, OUTSIDE, 443),
        entry(47, CONTAINER, 0, OUTSIDE, 0),
        entry(1, CONTAINER, 0, OUTSIDE, 0),
        entry(TCP, CONTAINER, 5, OTHER, 25),
        entry(TCP, CONTAINER, 5, "172.17.0.3", 25),
        entry(TCP, OUTSIDE, 5, "10.0.0.8", 25),  # not of a container
        entry(TCP, OUTSIDE, 5, HERE, 8080, back=ConntrackTuple(TCP, CONTAINER, 80, OUTSIDE, 5)),  # published
        entry(TCP, OUTSIDE, 5, "10.96.0.1", 80, back=ConntrackTuple(TCP, CONTAINER, 80, OUTSIDE, 5)),
        entry(TCP, CONTAINER, 5, "10.96.0.1", 80, back=ConntrackTuple(TCP, OTHER, 80, CONTAINER, 5)),
        entry(TCP, CONTAINER, 5, "172.17.0.1", 25),
        entry(TCP, HERE, 5, CONTAINER, 25),
        entry(TCP, CONTAINER, 5, OUTSIDE, 25, is_over=True),
        entry(TCP, CONTAINER, 5, OUTSIDE, 25, is_related=True),
        entry(UDP, CONTAINER, 5, "224.0.0.251", 5353),
        entry(UDP, CONTAINER, 5, "172.17.255.255", 137),
        entry(UDP, "0.0.0.0", 68, "255.255.255.255", 67),
        entry(UDP, "fe80::2", 5, "fd00::7", 6),
        entry(UDP, "fd17::2", 5, "fe80::1", 6),
        entry(TCP, CONTAINER, 5, "198.51.100.9", 25),  # no route leads there
    ],
    ids=str,
)
def test_connections_that_are_not_denied(item: ConntrackEntry) -> None:
    assert denied(item) == []


def test_a_connection_of_unknown_direction_stays_if_either_direction_is_allowed() -> None:
    found = entry(TCP, OUTSIDE, 443, CONTAINER, 5)
    assert denied(found) == ["tcp 10.0.0.7:443 -> 172.17.0.2:5"]
    assert denied(found._replace(picked_up=True)) == []
    assert len(denied(entry(TCP, CONTAINER, 5, OUTSIDE, 25, picked_up=True))) == 1


def test_the_interface_is_the_one_to_which_packets_of_the_container_are_routed() -> None:
    """Rules may route its packets over another interface than those of the host."""
    trusting = POLICY._replace(trusted_interfaces=("fab0",))
    found = entry(TCP, CONTAINER, 5, OUTSIDE, 25)
    assert len(denied(found, changed=trusting)) == 1
    routed = ROUTING._replace(onward=lambda target, source, incoming: "fab0")
    assert denied(found, changed=trusting, routing=routed) == []

    def refused(target: str, source: str, incoming: str) -> str:
        assert (target, source, incoming) == (OUTSIDE, CONTAINER, "docker0")
        raise OSError("No such device")

    assert denied(found, routing=ROUTING._replace(onward=refused)) == []


def test_without_filtered_interfaces_no_route_is_asked_for() -> None:
    def asked(*arguments: str) -> str:
        raise AssertionError("A route was asked for.")

    none = POLICY._replace(filtered_containers=())
    assert denied(entry(TCP, CONTAINER, 5, OUTSIDE, 25), changed=none, routing=Routing(asked, asked)) == []


ENDS = st.sampled_from([OUTSIDE, "10.0.0.8", "10.9.0.1", CONTAINER, "172.17.0.3", OTHER, HERE])


@st.composite
def entries(draw: st.DrawFn) -> ConntrackEntry:
    """Some go to another target than the peer used, and some to the same one by another source."""
    protocol = draw(st.sampled_from([TCP, UDP, 47, 112]))
    port = st.sampled_from([22, 25, 53, 443] if protocol in (TCP, UDP) else [0])
    source, target, used = draw(ENDS), draw(ENDS), draw(port)
    found = entry(protocol, source, draw(port), target, used, picked_up=protocol == TCP and draw(st.booleans()))
    changes = draw(st.sampled_from(["", "", "target", "source"]))
    answering = draw(ENDS) if changes == "target" else target
    return found._replace(back=ConntrackTuple(protocol, answering, used, HERE if changes == "source" else source, 99))


@given(
    st.lists(entries(), max_size=20),
    st.sampled_from(["open", "restricted"]),
    st.sampled_from(["enforce", "observe"]),
    st.sampled_from([(), ("fab0",), ("docker0",)]),
)
def test_what_is_denied_is_what_the_policy_says_of_the_packet(
    found: list[ConntrackEntry], egress: str, mode: str, trusted: tuple[str, ...]
) -> None:
    changed = POLICY._replace(egress=egress, mode=mode, trusted_interfaces=trusted)
    expected = []
    for item in found:
        there = item.there
        ways = [(there.target, there.target_port, there.source)]
        ways += [(there.source, there.source_port, there.target)] if item.picked_up else []
        if HERE in (there.source, there.target) or item.back.source != there.target:
            continue
        name = {TCP: "tcp", UDP: "udp"}.get(there.protocol, "ip")
        packets = [
            ForwardedPacket(name, peer, there.protocol if name == "ip" else port, INTERFACES[source], INTERFACES[peer])
            for peer, port, source in ways
        ]
        if not any(evaluate_forwarded(changed, packet).passes for packet in packets):
            expected.append(str(there))
    assert denied(*found, changed=changed) == expected
