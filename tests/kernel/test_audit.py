# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host does now: real listeners and connections, without any rule."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from ansible_collections.hpc.ports.tests.support.namespaces import HOST, PEER, Pair


@contextmanager
def connected(pair: Pair) -> Iterator[None]:
    """Have two connections to a port of the host, one to a port of the peer, and a UDP service."""
    with ExitStack() as stack:
        with pair.host.entered():
            server = stack.enter_context(socket.create_server((HOST[4], 7000)))
            every = socket.create_server(("::", 7001), family=socket.AF_INET6, dualstack_ipv6=True)
            stack.enter_context(every)
            datagrams = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            datagrams.bind(("127.0.0.1", 7002))
        with pair.peer.entered():
            far = stack.enter_context(socket.create_server((PEER[6], 7100), family=socket.AF_INET6))
            for _number in range(2):
                stack.enter_context(socket.create_connection((HOST[4], 7000), timeout=30))
                stack.enter_context(server.accept()[0])
        with pair.host.entered():
            stack.enter_context(socket.create_connection((PEER[6], 7100), timeout=30))
            stack.enter_context(far.accept()[0])
        yield


def test_listeners_and_connections_of_a_host_without_rules(pair: Pair) -> None:
    with connected(pair):
        result = pair.module("audit_info", check=True)
    assert [
        (listener["protocol"], listener["address"], listener["port"], listener["process"] != "")
        for listener in result["listeners"]
    ] == [("tcp", HOST[4], 7000, True), ("tcp", "::", 7001, True), ("udp", "127.0.0.1", 7002, True)]
    assert result["connections"] == [
        {"direction": "in", "peer": PEER[4], "protocol": "tcp", "port": 7000, "count": 2},
        {"direction": "out", "peer": PEER[6], "protocol": "tcp", "port": 7100, "count": 1},
    ]
    assert (result["changed"], result["connections_left_out"], result["problems"]) == (False, 0, [])
