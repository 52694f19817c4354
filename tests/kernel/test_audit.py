# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host does now: real listeners and connections, without any rule."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables.ruleset import (
    ruleset_beside_firewalld,
    script_of,
)
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import parse_policy
from ansible_collections.hpc.ports.tests.support.machine import Machine
from ansible_collections.hpc.ports.tests.support.namespaces import HOST, PEER, Pair
from ansible_collections.hpc.ports.tests.support.samples import policy


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
    assert (result["published"], result["counters"]) == ([], None)


NAT = """
table ip nat {
    chain DOCKER {
        iifname != "docker0" tcp dport 8080 dnat to 198.51.100.2:80
    }
    chain PREROUTING {
        type nat hook prerouting priority dstnat; policy accept;
        fib daddr type local jump DOCKER
        udp dport 9000-9010 redirect to :9999
    }
}
table inet netavark {
    chain NETAVARK-HOSTPORT-DNAT {
        tcp dport 8081 dnat ip to 198.51.100.3:80
    }
    chain PREROUTING {
        type nat hook prerouting priority dstnat; policy accept;
        jump NETAVARK-HOSTPORT-DNAT
    }
}
"""


def test_ports_that_others_publish_by_nat(pair: Pair) -> None:
    pair.host.nft(NAT)
    result = pair.module("audit_info")
    assert result["published"] == [
        {"protocol": "udp", "first": 9000, "last": 9010, "by": "table ip nat, chain PREROUTING"},
        {"protocol": "tcp", "first": 8080, "last": 8080, "by": "Docker"},
        {"protocol": "tcp", "first": 8081, "last": 8081, "by": "Podman"},
    ]
    assert result["problems"] == []


OWN = policy(("in", "web", ["7000/tcp"], ("0.0.0.0/0",)), ("in", "unused", ["7001/tcp"], ("0.0.0.0/0",)))


def test_packets_by_flow_on_a_host_with_our_rules(pair: Pair) -> None:
    Machine(pair).apply(OWN)
    with connected(pair):
        counters = pair.module("audit_info")["counters"]
    assert counters["packets"] == {"web": 2, "unused": 0}
    # The ruleset is newer than the boot of this machine.
    assert 0 <= counters["seconds"] < 600


def test_packets_by_flow_in_the_table_beside_firewalld(pair: Pair) -> None:
    pair.host.nft(script_of(ruleset_beside_firewalld(parse_policy(OWN))))
    with connected(pair):
        assert pair.module("audit_info")["counters"]["packets"] == {"web": 2, "unused": 0}


def test_a_connection_to_a_published_port_has_this_port(pair: Pair) -> None:
    pair.host.nft(NAT.replace("udp dport 9000-9010 redirect to :9999", "tcp dport 8090 redirect to :7000"))
    with connected(pair), pair.peer.entered(), socket.create_connection((HOST[4], 8090), timeout=30):
        result = pair.module("audit_info")
    assert {"direction": "in", "peer": PEER[4], "protocol": "tcp", "port": 8090, "count": 1} in result["connections"]
    assert {"protocol": "tcp", "first": 8090, "last": 8090, "by": "table ip nat, chain PREROUTING"} in result[
        "published"
    ]


def test_from_where_ansible_connects(pair: Pair) -> None:
    connection = f"SSH_CONNECTION={PEER[4]} 51000 {HOST[4]} 22"
    assert pair.module("audit_info", prefix=("env", connection))["ansible_from"] == PEER[4]
    assert pair.module("audit_info", prefix=("env", "SSH_CONNECTION=x"))["ansible_from"] == ""
