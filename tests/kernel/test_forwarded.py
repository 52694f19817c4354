# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packets that the host forwards from and to its containers: each fares as `evaluate_forwarded` says."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Callable, NamedTuple

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables import kernel
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables.observed import observed
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables.ruleset import (
    Ruleset,
    ruleset_beside_firewalld,
    ruleset_of,
)
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables.update import transactions
from ansible_collections.hpc.ports.plugins.module_utils._model.evaluate import (
    ForwardedPacket,
    Packet,
    evaluate_forwarded,
)
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import Policy, parse_policy
from ansible_collections.hpc.ports.tests.support.namespaces import HOST, PEER, Pair, Space, forget_connections
from ansible_collections.hpc.ports.tests.support.packets import Opening, Wire
from ansible_collections.hpc.ports.tests.support.platforms import packets_at_edges, policies
from ansible_collections.hpc.ports.tests.support.published import CONTAINER, VIRTUAL, publish, with_container
from ansible_collections.hpc.ports.tests.support.run import examples
from ansible_collections.hpc.ports.tests.support.samples import policy as policy_data
from ansible_collections.hpc.ports.tests.support.verdicts import PHASES
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

OTHER = {4: "198.51.101.2", 6: "2001:db8:6::2"}
_OTHER_CONTAINER = """
ip link set lo up; ip link set other0 up
ip address add 198.51.101.2/24 dev other0; ip address add 2001:db8:6::2/64 dev other0 nodad
ip route add default via 198.51.101.1; ip route add ::/0 via 2001:db8:6::1
echo 0 > /proc/sys/net/ipv4/icmp_ratemask
echo 2 > /proc/sys/net/ipv6/icmp/ratemask
"""
# The peer knows the way to the container. The host translates echo requests to these addresses to the containers, so
# they pass with every ruleset.
_OTHER_VIRTUAL = {4: "192.0.2.241", 6: "2001:db8::241"}
_ROUTES = "ip route add 198.51.100.0/24 via 192.0.2.1; ip route add 2001:db8:5::/64 via 2001:db8::1\n"
_ECHO = """
add rule ip nat pre ip daddr {0[4]} meta l4proto icmp dnat to {1[4]}
add rule ip6 nat pre ip6 daddr {0[6]} icmpv6 type echo-request dnat to {1[6]}
"""


class Links(NamedTuple):
    """Where packets start: at the container, to the peer or to another container; and at the peer, to the container."""

    leaving: Wire
    crossing: Wire
    entering: Wire


@contextmanager
def with_other_container(pair: Pair) -> Iterator[Space]:
    """Have a second container, on a network of its own."""
    other = Space()
    pair.host.arrange(
        f"ip link add other0 type veth peer name other0 netns {other.pid}\nip link set other0 up\n"
        "ip address add 198.51.101.1/24 dev other0; ip address add 2001:db8:6::1/64 dev other0 nodad\n"
    )
    other.arrange(_OTHER_CONTAINER)
    try:
        yield other
    finally:
        other.close()


@pytest.fixture
def links(pair: Pair) -> Iterator[Links]:
    """A host with two containers, and its peer."""
    with with_container(pair) as container, with_other_container(pair):
        pair.peer.arrange(_ROUTES)
        with pair.host.entered():
            publish([])
            kernel.load(_ECHO.format(VIRTUAL, CONTAINER) + _ECHO.format(_OTHER_VIRTUAL, OTHER))
        found = Links(
            Wire(container, CONTAINER, PEER, ["back0"]),
            Wire(container, CONTAINER, _OTHER_VIRTUAL, ["back0"]),
            Wire(pair.peer, PEER, VIRTUAL, ["eth0"]),
        )
        yield found
        for wire in found:
            wire.close()


def load(policy: Policy, compiled: Callable[[Policy], Ruleset] = ruleset_of) -> None:
    """Apply in place, as the module does, in the namespace of this thread."""
    ruleset = compiled(policy)
    wanted = kernel.wanted_state(ruleset)
    for script in transactions(ruleset, kernel.running_state(table=ruleset.table), wanted):
        kernel.load(script)
    assert kernel.running_state(table=ruleset.table) == wanted


def version_of(peer: str) -> int:
    return 6 if ":" in peer else 4


def check(wire: Wire, policy: Policy, sent: dict[Opening, ForwardedPacket]) -> None:
    """Send the packets, and see that exactly those pass of which `evaluate_forwarded` says so."""
    forget_connections()
    answered = wire.answered(list(sent))
    wrong = {
        (opening, judged)
        for opening, packet in sent.items()
        for judged in [evaluate_forwarded(policy, packet)]
        if judged.passes != (opening in answered)
    }
    assert not wrong, policy


def check_all(links: Links, policy: Policy, packets: Sequence[Packet]) -> None:
    """Send the packets from the container, to the peers and to the other container, and from the peers to it."""
    ways = (
        (links.leaving, "back0", "eth0", lambda packet: (CONTAINER, packet.peer)),
        (links.crossing, "back0", "other0", lambda packet: (CONTAINER, OTHER)),
        (links.entering, "eth0", "back0", lambda packet: (packet.peer, CONTAINER)),
    )
    for wire, from_interface, to_interface, ends in ways:
        sent = {}
        for packet in packets:
            version = version_of(packet.peer)
            source, target = (end if isinstance(end, str) else end[version] for end in ends(packet))
            opening = Opening(packet.protocol, source, target, packet.port, packet.source_port, from_interface)
            sent[opening] = ForwardedPacket(packet.protocol, target, packet.port, from_interface, to_interface)
        check(wire, policy, sent)


_PATTERNS = ["back0", "back*", "other0", "eth9", "o*"]


@settings(
    max_examples=examples(25),
    phases=PHASES,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(
    platforms=st.lists(policies(), min_size=1, max_size=2),
    seed=st.integers(0, 2**32),
    compiled=st.sampled_from([ruleset_of, ruleset_beside_firewalld]),
)
def test_forwarded_packets_have_the_verdicts_of_the_policy(
    pair: Pair, links: Links, platforms: list[list[Policy]], seed: int, compiled: Callable[[Policy], Ruleset]
) -> None:
    """Whatever interfaces are filtered, trusted or of containers, in both families, from one policy to the next."""
    randomness = random.Random(seed)

    def some(odds: float) -> tuple[str, ...]:
        return tuple(name for name in _PATTERNS if randomness.random() < odds)

    with pair.host.entered():
        kernel.load("".join(f"add table {table}\ndelete table {table}\n" for table in ("inet hpc_ports", BESIDE)))
        for policy in [policy for platform in platforms for policy in platform]:
            trusted = randomness.choice([(), (), ("other0",), ("eth0",)])
            policy = policy._replace(
                trusted_interfaces=trusted, container_interfaces=some(0.3), filtered_containers=some(0.5)
            )
            load(policy, compiled)
            packets = [
                packet
                for packet in packets_at_edges(policy, "out", randomness, 80)
                if packet.protocol != "ip" and packet.port and not packet.peer.startswith("fe80")
            ]
            check_all(links, policy, packets)


# ---- what the property does not look at

BESIDE = "inet hpc_ports_published"
ALLOWED, DENIED = "10.64.0.1", "10.66.0.1"
DATA = policy_data(
    ("in", "web", ["8080/tcp"], (f"{ALLOWED}/32",)),
    ("out", "mirror", ["80/tcp"], (f"{ALLOWED}/32",)),
    egress="restricted",
    filtered=("back*", "other*"),
)


def reaches(wire: Wire, source: str, target: str, port: int, protocol: str = "tcp") -> bool:
    """Return whether a packet is answered."""
    forget_connections()
    interface = "eth0" if target in CONTAINER.values() else "back0"
    return bool(wire.answered([Opening(protocol, source, target, port, 20000, interface)]))


def test_an_empty_list_leaves_forwarded_packets_alone(pair: Pair, links: Links) -> None:
    ways = ((links.leaving, CONTAINER[4], DENIED), (links.entering, DENIED, CONTAINER[4]))
    with pair.host.entered():
        load(parse_policy(DATA))
        assert [reaches(*way, 80) for way in ways] == [False, False]
        load(parse_policy({**DATA, "filtered_containers": []}))
        assert [reaches(*way, 80) for way in ways] == [True, True]
        assert "forward" not in pair.host.shell("nft list table inet hpc_ports")


def test_pings_leave_but_do_not_enter(pair: Pair, links: Links) -> None:
    with pair.host.entered():
        load(parse_policy(DATA))
        assert reaches(links.leaving, CONTAINER[4], DENIED, 1, "ip")
        assert not reaches(links.entering, DENIED, CONTAINER[4], 1, "ip")


def test_observe_counts_and_records_what_enforce_would_drop(pair: Pair, links: Links) -> None:
    with pair.host.entered():
        load(parse_policy({**DATA, "mode": "observe"}))
        assert reaches(links.leaving, CONTAINER[4], DENIED, 80)
        assert reaches(links.entering, DENIED, CONTAINER[4], 80)
        listing = pair.host.shell("nft list counters table inet hpc_ports")
        found = observed(9).records
    assert "counter denied_out {\n\t\tpackets 1 " in listing
    assert "counter denied_forward {\n\t\tpackets 1 " in listing
    assert sorted(record[:6] for record in found) == [
        ("forward", DENIED, CONTAINER[4], "tcp", 80, 1),
        ("forward", CONTAINER[4], DENIED, "tcp", 80, 1),
    ]


@pytest.mark.parametrize("compiled", [ruleset_of, ruleset_beside_firewalld])
def test_connections_of_a_container_live_on_when_the_rules_come(
    pair: Pair, links: Links, compiled: Callable[[Policy], Ruleset]
) -> None:
    """Also if connection tracking does not know them, as before the first rules on a host without NAT."""
    with pair.peer.entered():
        server = socket.create_server((PEER[4], 4000))
    with links.leaving.space.entered():
        client = socket.create_connection((PEER[4], 4000), timeout=30)
    with server:
        accepted = server.accept()[0]
    with pair.host.entered(), client, accepted:
        load(parse_policy(DATA), compiled)
        accepted.settimeout(30)
        for is_tracked in (True, False):
            if not is_tracked:
                forget_connections()
            client.sendall(b"x")
            assert accepted.recv(1) == b"x"
            accepted.sendall(b"y")
            assert client.recv(1) == b"y"
        assert not reaches(links.leaving, CONTAINER[4], PEER[4], 4000)


def test_a_container_asks_its_host_for_names(pair: Pair, links: Links) -> None:
    with pair.host.entered():
        load(parse_policy({**DATA, "trusted_interfaces": []}))
        asked = [("udp", 53), ("tcp", 53), ("udp", 67), ("tcp", 67), ("tcp", 54)]
        answers = []
        for protocol, port in asked:
            forget_connections()
            packet = Opening(protocol, CONTAINER[4], HOST[4], port, 20000, "back0")
            answers.append(bool(links.leaving.answered([packet])))
        assert answers == [True, True, True, False, False]
