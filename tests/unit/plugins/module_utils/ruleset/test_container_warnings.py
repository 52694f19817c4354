# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The warnings of connections of containers that could not be opened again. Real ones are in tests/kernel."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._linux.conntrack import TCP, UDP, ConntrackEntry, ConntrackTuple
from ansible_collections.hpc.ports.plugins.module_utils._linux.netlink import NetlinkError
from ansible_collections.hpc.ports.plugins.module_utils._linux.routes import Addresses
from ansible_collections.hpc.ports.plugins.module_utils._model.evaluate import ForwardedPacket, evaluate_forwarded
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import Policy, parse_policy
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.container_warnings import (
    KernelViews,
    container_warnings,
    filtered_interfaces,
)
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.forwarded_connections import Routing
from ansible_collections.hpc.ports.tests.support.samples import policy
from hypothesis import given
from hypothesis import strategies as st

HERE, BOX, BOX2 = "192.0.2.1", "172.17.0.2", "172.18.0.2"
INTERFACES = [(1, "lo"), (2, "eth0"), (3, "docker0"), (4, "br-1"), (5, "virbr0")]
POLICY = parse_policy(
    policy(
        ("out", "web", ["443/tcp"], ("10.0.0.0/30",)),
        ("in", "db", ["5432/tcp"], ("10.0.0.0/8",)),
        egress="restricted",
        filtered=("docker*", "br-*"),
    )
)
WRITE_FLOW = (
    "If they are wanted, add a flow from this host to these peers, or take the interface out of "
    "firewall_filtered_containers of this host."
)
PUBLISH = (
    "If they are wanted, publish the port on this host and add a flow, or take the interface out of "
    "firewall_filtered_containers of this host; [] filters no forwarded packets."
)
GO_ON = "They continue until they end, but cannot be opened again."
NEW = (
    "Packets that this host forwards from and to br-1, docker0 were not filtered before; firewall_filtered_containers "
    "has these interfaces."
)


def interface(address: str) -> str:
    return {"172.17": "docker0", "172.18": "br-1"}.get(address[:6], "eth0")


ROUTING = Routing(interface, lambda target, source, incoming: interface(target))


def entry(protocol: int, source: str, target: str, port: int, **more: Any) -> ConntrackEntry:
    there = ConntrackTuple(protocol, source, 50000, target, port)
    back = ConntrackTuple(protocol, target, port, HERE, 61000)
    return ConntrackEntry(there, back, False, False, False, None, 2, b"")._replace(**more)


def warnings(
    *entries: ConntrackEntry,
    changed: Policy = POLICY,
    is_new: bool = False,
    is_check: bool = False,
    cuts: bool = False,
    interfaces: Iterable[tuple[int, str]] = tuple(INTERFACES),
) -> list[str]:
    kernel = KernelViews(lambda: entries, lambda: Addresses({HERE: {"eth0"}}, ()), ROUTING, lambda: interfaces)
    return container_warnings(changed, is_new, is_check, cuts, kernel)


OUT = (
    entry(TCP, BOX, "10.0.0.9", 25),
    entry(TCP, BOX, "10.0.0.8", 25),
    entry(TCP, "172.17.0.3", "10.0.0.9", 25),
    entry(UDP, BOX2, "10.0.0.8", 53),
)
IN = (entry(TCP, "10.0.0.9", BOX, 5432), entry(112, "10.0.0.9", BOX2, 0))


def test_connections_of_containers_are_named_by_interface_and_port() -> None:
    assert warnings(*OUT) == [
        "Containers of this host have connections to other hosts that no flow allows: docker0 to 25/tcp of 10.0.0.8, "
        f"10.0.0.9 (3 connections); br-1 to 53/udp of 10.0.0.8 (1 connection). {GO_ON} {WRITE_FLOW}"
    ]
    assert warnings(*OUT, changed=POLICY._replace(egress="open")) == []
    assert warnings(entry(TCP, BOX, "10.0.0.1", 443), entry(TCP, BOX, BOX2, 25)) == []


def test_connections_to_containers_are_named_apart() -> None:
    found = warnings(*IN, *OUT, changed=POLICY._replace(egress="open"))
    assert found == [
        "Other hosts have connections that are routed straight to containers of this host, past published ports: br-1 "
        f"at 112/ip from 10.0.0.9 (1 connection); docker0 at 5432/tcp from 10.0.0.9 (1 connection). {GO_ON} {PUBLISH}"
    ]
    assert len(warnings(*IN, *OUT)) == 2


def test_a_published_port_is_the_matter_of_another_warning() -> None:
    published = entry(TCP, "10.0.0.9", HERE, 8080, back=ConntrackTuple(TCP, BOX, 80, "10.0.0.9", 50000))
    assert warnings(published) == []


@pytest.mark.parametrize(
    "mode, cuts, text",
    [
        ("enforce", True, "They are cut when the change is confirmed, and cannot be opened again."),
        (
            "observe",
            True,
            "In observe mode they are only counted; with firewall_mode enforce they could not be opened again.",
        ),
    ],
)
def test_what_becomes_of_them_is_said(mode: str, cuts: bool, text: str) -> None:
    for found in (OUT, IN):
        assert f"). {text} If they" in warnings(*found, changed=POLICY._replace(mode=mode), cuts=cuts)[0]


def test_before_the_first_run_the_interfaces_are_named_once() -> None:
    assert warnings(is_new=True, is_check=True) == [NEW]
    assert warnings(is_new=True) == warnings(is_check=True) == []
    first, second = warnings(*OUT, *IN, is_new=True)
    assert first.endswith(f"{WRITE_FLOW} {NEW}") and second.endswith(PUBLISH)
    many = [(number, f"br-{number}") for number in range(1, 24)]
    assert ", and 3 more were not filtered" in warnings(is_new=True, is_check=True, interfaces=many)[0]


def test_a_host_without_containers_is_asked_nothing() -> None:
    def asked() -> Any:
        raise AssertionError("The kernel was asked.")

    kernel = KernelViews(asked, asked, Routing(asked, asked), lambda: INTERFACES[:2])
    assert container_warnings(POLICY, True, True, False, kernel) == filtered_interfaces(POLICY, kernel) == []
    without = POLICY._replace(filtered_containers=())
    assert container_warnings(without, True, True, False, kernel._replace(interfaces=lambda: INTERFACES)) == []
    assert filtered_interfaces(POLICY, kernel._replace(interfaces=lambda: INTERFACES)) == ["br-1", "docker0"]


@pytest.mark.parametrize("what", ["entries", "addresses"])
def test_connections_that_cannot_be_read_are_left_out(what: str) -> None:
    def refused() -> Any:
        raise NetlinkError("Operation not permitted")

    kernel = KernelViews(lambda: OUT, lambda: Addresses({}, ()), ROUTING, lambda: INTERFACES)
    assert container_warnings(POLICY, True, True, False, kernel._replace(**{what: refused})) == [NEW]


def test_many_are_counted() -> None:
    peers = [entry(TCP, BOX, f"10.0.0.{number}", 25) for number in range(10, 18)]
    ports = [entry(TCP, BOX, "10.0.0.9", port) for port in range(1000, 1030)]
    [text] = warnings(*ports, *peers)
    assert ": docker0 to 25/tcp of 10.0.0.10, 10.0.0.11, 10.0.0.12, 10.0.0.13, 10.0.0.14, and 3 more (8 conn" in text
    assert text.count("docker0") == 20 and "(1 connection); and 11 more. They" in text


ENDS = st.sampled_from([BOX, BOX2, "172.17.0.3", "10.0.0.1", "10.0.0.9"])


@given(st.lists(st.tuples(ENDS, ENDS, st.sampled_from([25, 443])), max_size=12), st.booleans(), st.booleans())
def test_the_counts_are_those_of_the_connections_that_enforce_would_drop(
    ends: list[tuple[str, str, int]], is_open: bool, observes: bool
) -> None:
    changed = POLICY._replace(egress="open" if is_open else "restricted", mode="observe" if observes else "enforce")
    found = warnings(*(entry(TCP, *end) for end in ends), changed=changed)
    enforced = changed._replace(mode="enforce")
    dropped = [
        interface(source)
        for source, target, port in ends
        if not evaluate_forwarded(
            enforced, ForwardedPacket("tcp", target, port, interface(source), interface(target))
        ).passes
    ]
    counted = [int(number) for text in found for number in re.findall(r"\((\d+) connections?\)", text)]
    assert sum(counted) == len(dropped)
    assert len(found) == len({name == "eth0" for name in dropped})
