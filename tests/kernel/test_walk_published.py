# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real packets to ports that NAT publishes, and what `PacketJudge` says of each by the rules and routes of the host."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables import kernel
from ansible_collections.hpc.ports.plugins.module_utils._linux.command import run
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import Policy, parse_policy
from ansible_collections.hpc.ports.plugins.module_utils._model.wire import JudgementData
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.judge import PacketJudge, PacketQuery
from ansible_collections.hpc.ports.tests.support.namespaces import HOST, Pair, forget_connections
from ansible_collections.hpc.ports.tests.support.packets import Opening, Wires
from ansible_collections.hpc.ports.tests.support.platforms import packets_at_edges, policies
from ansible_collections.hpc.ports.tests.support.published import (
    CONTAINER,
    FOREIGN,
    PORT_INSIDE,
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

OWN = (HOST[4], HOST[6], *VIRTUAL.values())


@pytest.fixture
def wires(pair: Pair) -> Iterator[Wires]:
    """The ends of the link of a host with a container."""
    with with_container(pair), joined(pair) as found:
        yield found


def judgements(openings: Iterable[Opening]) -> dict[Opening, JudgementData]:
    """Return what the judge says of packets from the peer, in the namespace of this thread."""
    judge = PacketJudge()
    return {
        opening: judge.judge(
            PacketQuery(
                "in",
                opening.number,
                opening.source,
                opening.target,
                opening.port,
                opening.source_port,
                opening.interface,
                True,
            )
        )
        for opening in openings
    }


def check(wires: Wires, openings: Sequence[Opening]) -> None:
    """See that the judge says of every packet, and of its answer, whether it passes."""
    forget_connections()
    judged = judgements(openings)
    answered = wires.inward.answered(openings)
    wrong = [
        (opening, found, opening in answered)
        for opening, found in judged.items()
        if found["verdict"] == "unknown"
        or (found["verdict"] == "accept") != (opening in answered)
        or opening in answered
        and found["reply"]["verdict"] != "accept"
    ]
    assert not wrong[:1], run(["nft", "list", "ruleset"])


_RULES = {
    "forward": (
        f"th dport {PORT_INSIDE} SOURCE drop",
        "meta l4proto tcp ct original proto-dst NUMBER drop",
        "meta l4proto udp ct original proto-dst != NUMBER SOURCE drop",
        'oifname "back0" SOURCE drop',
        'oifname "eth*" drop',
        'iifname "eth0" oifname "back0" udp sport 1-40000 drop',
        "ct status dnat SOURCE drop",
        "ct status & dnat == 0 drop",
        "fib daddr type local drop",
        f"ct original ip daddr {VIRTUAL[4]} drop",
        f"ct original ip6 daddr != {VIRTUAL[6]} drop",
        f"ip daddr != {CONTAINER[4]} drop",
        f"ip6 daddr {CONTAINER[6]} drop",
    ),
    "postrouting": (
        'iifname "eth0" SOURCE drop',
        f"tcp dport {PORT_INSIDE} ct original proto-dst NUMBER drop",
        'oifname "back0" SOURCE drop',
    ),
    "prerouting": (
        "fib daddr type local SOURCE drop",
        "fib daddr type != local SOURCE drop",
        "ct status dnat SOURCE drop",
    ),
    "input": (
        f"th dport {PORT_INSIDE} SOURCE drop",
        "meta l4proto tcp ct original proto-dst NUMBER drop",
        "ct status & dnat == 0 SOURCE drop",
    ),
}
# Of the hook prerouting, priorities before and after the NAT.
_PRIORITIES = {"prerouting": (-150, -105, -95, 0), "forward": (-150, 0), "input": (-1, 5), "postrouting": (0, 300)}


def forward_tables(randomness: random.Random, openings: Sequence[Opening]) -> str:
    """Return a table of another program that drops some of these packets."""
    chains = []
    for hook in randomness.sample(list(_RULES), 2):
        port, source = str(randomness.choice(openings).port), randomness.choice(openings).source
        by_source = f"{'ip6' if ':' in source else 'ip'} saddr {source}"
        rules = [
            randomness.choice(_RULES[hook])
            .replace("SOURCE", randomness.choice(("", by_source)))
            .replace("NUMBER", port)
            for _number in range(randomness.randrange(1, 3))
        ]
        if hook == "forward" and randomness.random() < 0.3:
            rules += ["ct status dnat accept", "drop"]
        chains.append(
            f"chain c{hook} {{\ntype filter hook {hook} priority {randomness.choice(_PRIORITIES[hook])}; "
            "policy accept;\nct state established,related accept\nmeta l4proto { icmp, ipv6-icmp } accept\n"
            + "\n".join(rules)
            + "\n}"
        )
    if randomness.random() < 0.5 and "priority 300" not in "".join(chains):  # Then the source is not known.
        chains.append('chain out { type nat hook postrouting priority 100; oifname "back0" masquerade; }')
    return "table inet others {{\n{}\n}}\n".format("\n".join(chains))


@settings(
    max_examples=examples(12),
    phases=PHASES,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(platform=policies(), seed=st.integers(0, 2**32))
def test_the_judge_says_what_the_kernel_does_with_published_ports(
    pair: Pair, wires: Wires, platform: list[Policy], seed: int
) -> None:
    """With and without our rules, and with rules of others before and after NAT and at the hook forward."""
    randomness = random.Random(seed)
    with pair.host.entered():
        for policy in platform:
            kernel.load("flush ruleset\n")
            packets = [
                packet
                for packet in packets_at_edges(policy, "in", randomness, 40)
                if packet.protocol != "ip" and packet.port
            ]
            openings = [to_address(packet, virtual=randomness.random() < 0.3) for packet in packets]
            if randomness.random() < 0.8:
                load_nftables(policy._replace(addresses=tuple(map(ip_network, OWN))))
            published = {
                (ip_address(opening.target).version, opening.target, opening.protocol, opening.port)
                for opening in openings
                if opening.target in VIRTUAL.values() or randomness.random() < 0.7
            }
            publish([Publication(*item, is_redirected=randomness.random() < 0.3) for item in sorted(published)])
            check(wires, openings)
            kernel.load(forward_tables(randomness, openings))
            check(wires, openings)


# ---- single cases

ALLOWED, DENIED = "10.64.0.1", "10.66.0.1"
DATA = {**policy_data(("in", "web", ["8080/tcp", "7000/tcp"], (f"{ALLOWED}/32",))), "addresses": [HOST[4], VIRTUAL[4]]}
TO_CONTAINER = f"the destination {{}} changed to {CONTAINER[4]} port {PORT_INSIDE} (table ip nat, chain pre: "


def to_port(port: int, source: str = ALLOWED, target: str = HOST[4]) -> Opening:
    """Return a packet to a port of the host."""
    return Opening("tcp", source, target, port, 30_000 + port % 10_000)


def judged(wires: Wires, opening: Opening) -> JudgementData:
    """Return what the judge says of a packet, which does what is said."""
    check(wires, [opening])
    return judgements([opening])[opening]


@pytest.mark.parametrize("filtered", [[], ["back*"]])
def test_a_published_port_is_judged_and_what_publishes_it_is_named(
    pair: Pair, wires: Wires, filtered: list[str]
) -> None:
    with pair.host.entered():
        load_nftables(parse_policy({**DATA, "filtered_containers": filtered}))
        publish([Publication(4, HOST[4], "tcp", 8080, False)])
        passing, denied = judged(wires, to_port(8080)), judged(wires, to_port(8080, DENIED))
    assert (passing["verdict"], passing["table"], passing["chain"], passing["is_ours"]) == (
        "accept",
        "inet hpc_ports",
        "in_web",
        True,
    )
    assert passing["notes"][0].startswith(TO_CONTAINER.format("is"))
    assert (denied["verdict"], denied["chain"], denied["rule"]) == ("drop", "arriving", 'counter name "denied_in" drop')
    assert denied["notes"][0].startswith(TO_CONTAINER.format("would be"))
    assert "listening" not in passing and "listening" not in denied


def test_where_no_rule_of_ours_judges_a_published_port_none_is_named(pair: Pair, wires: Wires) -> None:
    with pair.host.entered():
        load_nftables(parse_policy({**DATA, "filtered_containers": ["back*"]}))
        publish([Publication(4, HOST[4], "tcp", 9000, False)])
        kernel.load("insert rule inet hpc_ports prerouting tcp dport 9000 return\n")
        found = judged(wires, to_port(9000))
    assert (found["verdict"], found["chain"], found["rule"]) == ("accept", "prerouting", "policy accept")


@pytest.mark.parametrize(
    "rule", [f"tcp dport {PORT_INSIDE} drop", 'oifname "back0" drop', 'iifname "eth0" drop', "ct status dnat drop"]
)
def test_a_forward_chain_of_others_that_drops_is_named(pair: Pair, wires: Wires, rule: str) -> None:
    with pair.host.entered():
        load_nftables(parse_policy(DATA))
        publish([Publication(4, HOST[4], "tcp", 8080, False)])
        kernel.load(f"table ip x {{\nchain c {{\ntype filter hook forward priority 0;\n{rule}\n}}\n}}\n")
        found = judged(wires, to_port(8080))
    assert (found["table"], found["chain"], found["rule"]) == ("ip x", "c", rule)
    assert found["notes"][0].startswith(TO_CONTAINER.format("is"))


def test_a_virtual_address_is_judged_though_it_is_not_bound(pair: Pair, wires: Wires) -> None:
    with pair.host.entered():
        load_nftables(parse_policy(DATA))
        publish([Publication(4, VIRTUAL[4], "tcp", 8080, False)])
        passing, denied = (judged(wires, to_port(8080, source, VIRTUAL[4])) for source in (ALLOWED, DENIED))
        unknown = judgements([to_port(7000, target=VIRTUAL[4])])
    assert [item["verdict"] for item in (passing, denied)] == ["accept", "drop"]
    assert [item["unknown"] for item in unknown.values()] == [f"{VIRTUAL[4]} is not an address of this host."]


def test_what_is_redirected_from_a_foreign_address_is_judged_at_its_new_port(pair: Pair, wires: Wires) -> None:
    with pair.host.entered():
        load_nftables(parse_policy(DATA))
        publish([])
        kernel.load(f"add rule ip nat pre ip daddr {FOREIGN} tcp dport 80 redirect to :7000\n")
        passing, denied = (judged(wires, to_port(80, source, FOREIGN)) for source in (ALLOWED, DENIED))
    assert [(item["verdict"], item["chain"]) for item in (passing, denied)] == [
        ("accept", "in_web"),
        ("drop", "arriving"),
    ]


@pytest.mark.parametrize("version", [4, 6])
def test_a_host_that_does_not_forward_is_told_of(pair: Pair, wires: Wires, version: int) -> None:
    key = {4: "ipv4/ip_forward", 6: "ipv6/conf/all/forwarding"}[version]
    pair.host.arrange(f"echo 0 > /proc/sys/net/{key}")
    with pair.host.entered():
        publish([Publication(version, HOST[version], "tcp", 8080, False)])
        opening = to_port(8080, "fd64::1" if version == 6 else ALLOWED, HOST[version])
        found = judgements([opening])[opening]
        assert not wires.inward.answered([opening])
    assert found["verdict"] == "unknown"
    assert found["unknown"].endswith(f"), but net.{key.replace('/', '.')} is 0")


def test_the_route_of_a_mark_counts(pair: Pair, wires: Wires) -> None:
    """What rules mark may leave by another interface."""
    with pair.host.entered():
        publish([Publication(4, HOST[4], "tcp", 8080, False)])
        kernel.load(
            "table ip x {\nchain m {\ntype filter hook prerouting priority -150;\ntcp dport 8080 meta mark set 7\n}\n"
            'chain f {\ntype filter hook forward priority 0;\noifname "back0" drop\n}\n}\n'
        )
        assert judged(wires, to_port(8080))["verdict"] == "drop"
        # A mark that is not known makes no difference as long as no route depends on it.
        kernel.load("add rule ip x m tcp dport 8080 meta mark set meta cpu\n")
        assert judged(wires, to_port(8080))["verdict"] == "drop"
        run(["ip", "rule", "add", "fwmark", "9", "table", "77"])
        opening = to_port(8080)
        found = judgements([opening])[opening]
        assert found["verdict"] == "unknown"
        kernel.load("add rule ip x m tcp dport 8080 meta mark set 7\n")
        run(["ip", "rule", "add", "fwmark", "7", "table", "77"])
        run(["ip", "route", "add", "default", "via", "192.0.3.2", "dev", "fab0", "table", "77"])
        assert judgements([opening])[opening]["verdict"] == "accept"


def test_the_answer_of_a_container_may_be_dropped(pair: Pair, wires: Wires) -> None:
    with pair.host.entered():
        publish([Publication(4, HOST[4], "tcp", 8080, False)])
        kernel.load(
            f'table ip x {{\nchain c {{\ntype filter hook forward priority 0;\niifname "back0" oifname "eth0" '
            f"ip saddr {CONTAINER[4]} tcp sport {PORT_INSIDE} ct state established drop\n}}\n}}\n"
        )
        opening = to_port(8080)
        found: dict[str, Any] = {**judgements([opening])[opening]}
        assert not wires.inward.answered([opening])
    assert (found["verdict"], found["reply"]["verdict"], found["reply"]["table"]) == ("accept", "drop", "ip x")


@pytest.mark.parametrize("port, verdict", [(PORT_INSIDE, "drop"), (8080, "accept")])
def test_the_answer_to_a_redirected_packet_leaves_from_the_port_that_answers(
    pair: Pair, wires: Wires, port: int, verdict: str
) -> None:
    with pair.host.entered():
        publish([Publication(4, HOST[4], "tcp", 8080, True)])
        kernel.load(f"table ip x {{\nchain c {{\ntype filter hook output priority 0;\ntcp sport {port} drop\n}}\n}}\n")
        opening = to_port(8080)
        assert bool(wires.inward.answered([opening])) == (verdict == "accept")
        with socket.create_server(("", PORT_INSIDE)):
            found: dict[str, Any] = {**judgements([opening])[opening]}
    assert (found["verdict"], found["reply"]["verdict"], found["listening"]) == ("accept", verdict, ["0.0.0.0"])


@pytest.mark.parametrize("is_routed", [True, False])
def test_a_loopback_address_takes_packets_only_where_the_kernel_routes_them_there(
    pair: Pair, wires: Wires, is_routed: bool
) -> None:
    pair.host.arrange(f"echo {int(is_routed)} > /proc/sys/net/ipv4/conf/eth0/route_localnet")
    with pair.host.entered():
        publish([])
        kernel.load("add rule ip nat pre tcp dport 8080 dnat to 127.0.0.1:7000\n")
        opening = to_port(8080)
        assert bool(wires.inward.answered([opening])) == is_routed
        found = judgements([opening])[opening]
    assert found["verdict"] == ("accept" if is_routed else "unknown")
    assert is_routed or found["unknown"].endswith(", but net.ipv4.conf.eth0.route_localnet is 0")


IPTABLES = f"""
iptables-nft -t nat -N DOCKER
iptables-nft -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
iptables-nft -t nat -A DOCKER -i docker0 -j RETURN
iptables-nft -t nat -A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination {CONTAINER[4]}:80
iptables-nft -t nat -A DOCKER -p tcp --dport 8081 -j DNAT --to-destination {CONTAINER[4]}
iptables-nft -t nat -A DOCKER -p tcp --dport 8082 -j REDIRECT --to-ports 22
iptables-nft -t nat -A DOCKER -p tcp --dport 8083 -j DNAT --to-destination :23
ip6tables-nft -t nat -A PREROUTING -p tcp --dport 8080 -j DNAT --to-destination [{CONTAINER[6]}]:80
ip6tables-nft -t nat -A PREROUTING -p tcp --dport 8081 -j DNAT --to-destination {CONTAINER[6]}
ip6tables-nft -t nat -A PREROUTING -p tcp --dport 8082 -j REDIRECT --to-ports 22
iptables-nft -t nat -A POSTROUTING -s 198.51.100.0/24 ! -o back0 -j MASQUERADE
iptables-nft -N DOCKER-USER
iptables-nft -P FORWARD DROP
iptables-nft -A FORWARD -j DOCKER-USER
iptables-nft -A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
iptables-nft -A FORWARD ! -i back0 -o back0 -p tcp --dport 80 -d {CONTAINER[4]} -j ACCEPT
"""


@pytest.mark.parametrize("has_library", [True, False])
def test_what_docker_writes_with_iptables_is_followed(
    pair: Pair, wires: Wires, monkeypatch: pytest.MonkeyPatch, has_library: bool
) -> None:
    """Also by an nft that does not show the targets."""
    openings = [
        to_port(port, "fd64::1" if version == 6 else ALLOWED, HOST[version])
        for version in (4, 6)
        for port in (8080, 8081, 8082, 8083)
    ]
    pair.host.shell(IPTABLES)
    if not has_library:
        monkeypatch.setenv("XTABLES_LIBDIR", "/nonexistent")
    with pair.host.entered():
        check(wires, openings)
        found = judgements(openings)
    assert [item["verdict"] for item in found.values()] == ["accept", "drop", *["accept"] * 6]
    rule = "table ip nat, chain DOCKER: "
    assert found[openings[0]]["notes"][0].startswith(f"the destination is changed to {CONTAINER[4]} port 80 ({rule}")
    assert found[openings[4]]["notes"][0].startswith(f"the destination is changed to {CONTAINER[6]} port 80 (")
    assert (found[openings[1]]["table"], found[openings[1]]["rule"]) == ("ip filter", "policy drop")
