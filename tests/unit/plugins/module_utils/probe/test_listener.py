# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of the listener without processes and ports; the others are in tests/kernel/test_probe_listen.py."""

from __future__ import annotations

import errno
import socket
import struct
from collections import Counter
from itertools import count

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._linux.bound_ports import Holders
from ansible_collections.hpc.ports.plugins.module_utils._model.ports import PortRange, parse_ports
from ansible_collections.hpc.ports.plugins.module_utils._model.wire import Counts, ListenerFacts
from ansible_collections.hpc.ports.plugins.module_utils._probe import binding
from ansible_collections.hpc.ports.plugins.module_utils._probe.binding import BoundPorts, bind_ports, ports_in_time_wait
from ansible_collections.hpc.ports.plugins.module_utils._probe.listener import stop_result
from ansible_collections.hpc.ports.plugins.module_utils._probe.listener_process import Orders, reply_control, serve

OWN = ["10.0.0.1", "10.0.0.2", "fd00::1"]


def bound(before: Holders, errors: dict[tuple[str, str], int], *ports: str, tries: int = 1000) -> BoundPorts:
    """Return the ports that are bound on a host where binding fails with these errors, by port and address.

    `tries`: so many times it fails, and works from then on.
    """
    failed: Counter[tuple[str, str]] = Counter()

    def opened(port: PortRange, address: str) -> socket.socket:
        number = errors.get((str(port), address))
        failed[str(port), address] += 1
        if number and failed[str(port), address] <= tries:
            raise OSError(number, "refused")
        return socket.socket()

    patience = 0.2 if tries == 1000 else 60.0  # a port that becomes free ends the waiting
    found = bind_ports([parse_ports(port) for port in ports], OWN, before, opened, patience)
    assert len(found.sockets) == sum(map(len, found.listening.values()))
    for sock in found.sockets:
        sock.close()
    return found


def test_free_ports_are_held_on_every_address_of_both_families() -> None:
    found = bound({}, {}, "80/tcp", "53/udp")
    ports = ["80/tcp", "53/udp"]
    assert (found.listening, found.in_use, found.not_held) == ({"0.0.0.0": ports, "::": ports}, {}, {})


def test_a_service_keeps_all_of_its_port() -> None:
    found = bound({("tcp", 80): {"0.0.0.0"}}, {("80/tcp", "0.0.0.0"): errno.EADDRINUSE}, "80/tcp")
    assert (found.listening, found.in_use, found.not_held) == ({"::": ["80/tcp"]}, {"0.0.0.0": ["80/tcp"]}, {})


def test_other_addresses_of_a_service_port_are_held() -> None:
    before: Holders = {("tcp", 80): {"10.0.0.1"}}
    taken = {("80/tcp", address): errno.EADDRINUSE for address in ("0.0.0.0", "10.0.0.1")}
    found = bound(before, taken, "80/tcp")
    assert found.listening == {"10.0.0.2": ["80/tcp"], "::": ["80/tcp"]}
    assert (found.in_use, found.not_held) == ({"10.0.0.1": ["80/tcp"]}, {})


def test_a_port_in_use_without_a_service_is_not_held() -> None:
    """An outgoing connection may use a port, or a service may have started just now."""
    taken = {("80/tcp", address): errno.EADDRINUSE for address in ("0.0.0.0", "10.0.0.1")}
    found = bound({}, taken, "80/tcp")
    assert found.listening == {"10.0.0.2": ["80/tcp"], "::": ["80/tcp"]}
    assert (found.in_use, found.not_held) == ({}, {"10.0.0.1": {"80/tcp": "Address already in use"}})


def test_a_port_in_use_without_a_service_is_bound_when_it_becomes_free() -> None:
    taken = {("80/tcp", address): errno.EADDRINUSE for address in ("0.0.0.0", "10.0.0.1", "::", "fd00::1")}
    found = bound({}, taken, "80/tcp", "81/tcp", tries=3)
    assert found.listening == {
        "0.0.0.0": ["81/tcp"],
        "10.0.0.1": ["80/tcp"],
        "10.0.0.2": ["80/tcp"],
        "::": ["81/tcp"],
        "fd00::1": ["80/tcp"],
    }
    assert (found.in_use, found.not_held) == ({}, {})


@pytest.mark.parametrize("protocol, port, is_waited_for", [("tcp", 80, True), ("udp", 80, False), ("tcp", 81, False)])
def test_a_port_in_time_wait_is_waited_for_longer(
    monkeypatch: pytest.MonkeyPatch, protocol: str, port: int, is_waited_for: bool
) -> None:
    monkeypatch.setattr(binding, "ports_in_time_wait", lambda: {port})
    monkeypatch.setattr(binding, "_PAUSE", 0)
    tried = count()

    def opened(wanted: PortRange, address: str) -> socket.socket:
        if next(tried) < 4:
            raise OSError(errno.EADDRINUSE, "in use")
        return socket.socket()

    found = bind_ports([parse_ports(f"80/{protocol}")], ["10.0.0.1"], {}, opened, patience=-1)
    for sock in found.sockets:
        sock.close()
    assert found.listening.get("10.0.0.1", []) == ["80/tcp"] * is_waited_for
    assert bool(found.not_held) is not is_waited_for


def test_ports_in_time_wait_are_those_of_the_end_that_closed_first() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        own, (far, _address) = client.getsockname()[1], server.accept()
        with far:
            assert own not in ports_in_time_wait()
            client.close()
            far.recv(1)
    assert own in ports_in_time_wait()


def test_only_ports_in_use_are_tried_again() -> None:
    taken = {("80/tcp", address): errno.EACCES for address in ("0.0.0.0", "10.0.0.1", "10.0.0.2")}
    assert set(bound({}, taken, "80/tcp", tries=1).not_held) == {"10.0.0.1", "10.0.0.2"}


def test_reasons_for_ports_that_are_not_held() -> None:
    refused = {("80/tcp", address): errno.EAFNOSUPPORT for address in ("::", "fd00::1")}
    found = bound({}, refused, "80/tcp")
    assert found.listening == {"0.0.0.0": ["80/tcp"]}
    assert found.not_held == {"fd00::1": {"80/tcp": "Address family not supported by protocol"}}


FACTS: ListenerFacts = {
    "id": "abc",
    "listening": {"::": ["80/tcp"]},
    "in_use": {"0.0.0.0": ["80/tcp", "53/udp"]},
    "not_held": {"::": {"81/tcp": "Permission denied"}},
    "own": {"10.0.0.1": True},
    "not_counted": "",
}
COUNTS: Counts = {"left": {"10.0.0.1": {"10.0.0.2": {"1": ["80/tcp"]}}}}
NOT_ALIVE = {"alive": False, "listening": {}, "in_use": {}, "not_held": {}, "own": {}, "not_counted": "", "counts": {}}


@pytest.mark.parametrize("identity", ["", "abc"])
def test_the_result_has_services_that_still_hold_their_port(identity: str) -> None:
    assert stop_result(identity, FACTS, {("tcp", 80): {"0.0.0.0"}}, COUNTS, "why") == {
        "alive": True,
        "listening": FACTS["listening"],
        "in_use": {"0.0.0.0": ["80/tcp"]},
        "not_held": FACTS["not_held"],
        "own": FACTS["own"],
        "not_counted": "why",
        "counts": COUNTS,
    }


@pytest.mark.parametrize("facts,identity", [(None, ""), (None, "abc"), (FACTS, "abd")])
def test_no_listener_or_another_one_is_not_alive(facts: ListenerFacts | None, identity: str) -> None:
    assert stop_result(identity, facts, {}, COUNTS, "") == NOT_ALIVE


def test_an_answer_leaves_from_the_address_of_the_request() -> None:
    asked = struct.pack("=I4s4s", 3, b"\x0a\0\0\1", b"\x0a\0\0\2")
    assert reply_control(socket.IPPROTO_IP, 8, asked) == (
        socket.IPPROTO_IP,
        8,
        struct.pack("=I4s4s", 0, b"\x0a\0\0\1", b"\x0a\0\0\2"),
    )
    assert reply_control(socket.IPPROTO_IPV6, 50, b"data") == (socket.IPPROTO_IPV6, 50, b"data")


def test_the_process_ends_after_its_lifetime() -> None:
    near, far = socket.socketpair()
    with near, far:
        assert serve([], near, FACTS, Orders([], lifetime=0)) is False
