# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports that NAT rules of others publish: real packets, and the verdict that the policy gives the port on the host."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence
from ipaddress import ip_address, ip_network

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables import kernel
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables.ruleset import (
    Ruleset,
    ruleset_beside_firewalld,
    ruleset_of,
    script_of,
)
from ansible_collections.hpc.ports.plugins.module_utils._linux.command import run
from ansible_collections.hpc.ports.plugins.module_utils._model.evaluate import Packet, evaluate
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import Policy, parse_policy
from ansible_collections.hpc.ports.tests.support.namespaces import HOST, Pair, forget_connections
from ansible_collections.hpc.ports.tests.support.packets import Opening, Wires
from ansible_collections.hpc.ports.tests.support.platforms import packets_at_edges, policies
from ansible_collections.hpc.ports.tests.support.published import (
    FOREIGN,
    VIRTUAL,
    Publication,
    publish,
    to_address,
    with_container,
)
from ansible_collections.hpc.ports.tests.support.run import examples
from ansible_collections.hpc.ports.tests.support.samples import policy as policy_data
from ansible_collections.hpc.ports.tests.support.verdicts import PHASES, joined, load_nftables
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


@pytest.fixture
def wires(pair: Pair) -> Iterator[Wires]:
    """The ends of the link of a host with a container."""
    with with_container(pair), joined(pair) as found:
        yield found


def check_published(wires: Wires, policy: Policy, packets: Sequence[Packet], randomness: random.Random) -> None:
    """Publish most of the ports that the packets go to; see that exactly the packets pass that the policy allows."""
    sent: dict[Opening, Packet] = {}
    publications = set()
    for packet in packets:
        opening = to_address(packet, virtual=randomness.random() < 0.3)
        version = ip_address(packet.peer).version
        is_virtual = opening.target in VIRTUAL.values()
        if is_virtual or randomness.random() < 0.6:
            publications.add((version, opening.target, packet.protocol, packet.port))
        sent[opening] = packet
    publish([Publication(*item, is_redirected=randomness.random() < 0.4) for item in sorted(publications)])
    forget_connections()
    answered = wires.inward.answered(list(sent))
    wrong = {
        (opening, judged)
        for opening, packet in sent.items()
        for judged in [evaluate(policy, packet)]
        if judged.passes != (opening in answered)
    }
    assert not wrong, policy


@settings(
    max_examples=examples(12),
    phases=PHASES,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(platforms=st.lists(policies(), min_size=1, max_size=2), seed=st.integers(0, 2**32))
def test_a_published_port_has_the_verdict_of_the_port_of_the_host(
    pair: Pair, wires: Wires, platforms: list[list[Policy]], seed: int
) -> None:
    """Whether it leads to a container or to another port, at addresses that are bound here, and at others."""
    randomness = random.Random(seed)
    own = tuple(map(ip_network, (HOST[4], HOST[6], *VIRTUAL.values())))
    with pair.host.entered():
        kernel.load("add table inet hpc_ports\ndelete table inet hpc_ports\n")
        for policy in [policy._replace(addresses=own) for platform in platforms for policy in platform]:
            load_nftables(policy)
            packets = [
                packet
                for packet in packets_at_edges(policy, "in", randomness, 120)
                if packet.protocol != "ip" and packet.port
            ]
            check_published(wires, policy, packets, randomness)


# ---- what the property does not look at

ALLOWED, DENIED = "10.64.0.1", "10.66.0.1"
DATA = policy_data(("in", "web", ["8080/tcp", "7000/tcp"], (f"{ALLOWED}/32",)))


def opened(wires: Wires, *openings: Opening) -> list[bool]:
    """Return which of the packets are answered."""
    forget_connections()
    answered = wires.inward.answered(openings)
    return [opening in answered for opening in openings]


def counters() -> dict[str, int]:
    """Return what the counters of the host say."""
    text = run(["nft", "list", "counters", "table", "inet", "hpc_ports"])
    found = re.findall(r"counter (\S+) \{\n\t\tpackets (\d+)", text)
    return {name: int(number) for name, number in found if int(number)}


def test_each_packet_is_judged_and_counted_once(pair: Pair, wires: Wires) -> None:
    with pair.host.entered():
        load_nftables(parse_policy(DATA))
        publish([Publication(4, HOST[4], "tcp", 8080, False), Publication(4, HOST[4], "tcp", 9000, True)])
        sent = [Opening("tcp", ALLOWED, HOST[4], port, 20000 + port) for port in (8080, 7000)]
        assert opened(wires, *sent) == [True, True]
        assert counters() == {"in_web": 2}
        refused = [Opening("tcp", source, HOST[4], port, port) for source, port in ((DENIED, 8080), (ALLOWED, 9000))]
        assert opened(wires, *refused) == [False, False]
        assert counters() == {"in_web": 2, "denied_in": 4}  # those without an answer are sent again


def test_observe_mode_counts_what_enforce_would_drop(pair: Pair, wires: Wires) -> None:
    with pair.host.entered():
        load_nftables(parse_policy({**DATA, "mode": "observe"}))
        publish([Publication(4, HOST[4], "tcp", 9000, False)])
        assert opened(wires, Opening("tcp", DENIED, HOST[4], 9000, 20000)) == [True]
        assert counters() == {"denied_in": 1}


def test_a_virtual_address_that_the_inventory_does_not_have_is_not_judged(pair: Pair, wires: Wires) -> None:
    virtual = [
        Opening("tcp", source, VIRTUAL[4], 8080, number) for number, source in enumerate((ALLOWED, DENIED), 20000)
    ]
    with pair.host.entered():
        publish([Publication(4, VIRTUAL[4], "tcp", 8080, False)])
        load_nftables(parse_policy(DATA))
        assert opened(wires, *virtual) == [True, True]
        load_nftables(parse_policy({**DATA, "addresses": [VIRTUAL[4]]}))
        assert opened(wires, *virtual) == [True, False]


@pytest.mark.parametrize("port, passes", [(7000, True), (9000, False)])
def test_what_nat_sends_here_from_a_foreign_address_is_judged_at_its_new_port(
    pair: Pair, wires: Wires, port: int, passes: bool
) -> None:
    """As of a transparent proxy: the packets are for others, and the host takes them."""
    with pair.host.entered():
        load_nftables(parse_policy({**DATA, "addresses": [HOST[4]]}))
        publish([])
        kernel.load(f"add rule ip nat pre ip daddr {FOREIGN} tcp dport 80 redirect to :{port}\n")
        sent = [Opening("tcp", source, FOREIGN, 80, number) for number, source in enumerate((ALLOWED, DENIED), 20000)]
        assert opened(wires, *sent) == [passes, False]


@pytest.mark.parametrize("mode, passes", [("enforce", False), ("observe", True)])
@pytest.mark.parametrize("render", [ruleset_of, ruleset_beside_firewalld])
def test_without_the_rules_that_judge_nothing_comes_in(
    pair: Pair, wires: Wires, render: Callable[[Policy], Ruleset], mode: str, passes: bool
) -> None:
    """Somebody flushes the chain: neither a port of the host nor what NAT takes here passes unjudged."""
    ruleset = render(parse_policy({**DATA, "mode": mode, "addresses": [HOST[4], VIRTUAL[4]]}))
    sent = [
        Opening("tcp", ALLOWED, target, port, 20000 + number)
        for number, (target, port) in enumerate([(HOST[4], 7000), (VIRTUAL[4], 8080), (FOREIGN, 80)])
    ]
    with pair.host.entered():
        kernel.load(script_of(ruleset))
        publish([Publication(4, VIRTUAL[4], "tcp", 8080, False)])
        kernel.load(f"add rule ip nat pre ip daddr {FOREIGN} tcp dport 80 redirect to :7000\n")
        assert opened(wires, *sent) == [True] * len(sent)
        # The wires need an echo.
        echo = "".join(f"add rule {ruleset.table} arriving meta l4proto {number} accept\n" for number in (1, 58))
        kernel.load(f"flush chain {ruleset.table} arriving\n{echo}")
        assert opened(wires, *sent) == [passes] * len(sent)
