# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real packets through random policies and random tables beside them: `walk` says what becomes of each."""

from __future__ import annotations

import json
import os
import random
import re
import socket
from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from typing import Any
from unittest import mock

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables import kernel
from ansible_collections.hpc.ports.plugins.module_utils._linux import command, nft
from ansible_collections.hpc.ports.plugins.module_utils._linux.command import CommandError
from ansible_collections.hpc.ports.plugins.module_utils._linux.nft import ruleset
from ansible_collections.hpc.ports.plugins.module_utils._model.evaluate import Packet, evaluate
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import Policy, parse_policy
from ansible_collections.hpc.ports.plugins.module_utils._ruleset import judge
from ansible_collections.hpc.ports.plugins.module_utils._ruleset import walker as walk
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.expressions import View
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.tables import parse_ruleset
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.answers import UNREADABLE, parsed
from ansible_collections.hpc.ports.tests.kernel.rulesets import random_tables
from ansible_collections.hpc.ports.tests.support import samples
from ansible_collections.hpc.ports.tests.support.namespaces import HOST, Pair, forget_connections
from ansible_collections.hpc.ports.tests.support.packets import Wires, open_wires
from ansible_collections.hpc.ports.tests.support.platforms import packets_at_edges, policies, special_packets
from ansible_collections.hpc.ports.tests.support.run import examples
from ansible_collections.hpc.ports.tests.support.runs import Served
from ansible_collections.hpc.ports.tests.support.verdicts import PHASES, load_nftables, passing, whole
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


@pytest.fixture(name="shared", scope="module")
def _shared() -> Iterator[Pair]:
    found = Pair()
    yield found
    found.close()


@pytest.fixture(name="wires", scope="module")
def _wires(shared: Pair) -> Iterator[Wires]:
    found = open_wires(shared.host, shared.peer)
    yield found
    found.inward.close()
    found.outward.close()


def walker() -> walk.Walker:
    """Return the ruleset of the namespace that this thread is in."""
    return walk.Walker(parse_ruleset(*ruleset()), hop_of=own_hop)


def own_hop(view: View) -> walk.Hop:
    """Return where the host sends a packet: its own addresses are known, and nothing else."""
    is_own = view.destination in (int(ip_address(address)) for address in HOST.values())
    return walk.Hop("local", "lo") if is_own else walk.Hop()


def check(wires: Wires, packets: Sequence[Packet], is_knowable: bool = True) -> None:
    """See that the walk says of every packet whether it passes."""
    forget_connections()
    judged = walker()
    got = passing(wires, packets)
    wrong = []
    for packet in packets:
        found = judged.trace(whole(packet))
        if found.verdict == "unknown" and not is_knowable:
            continue
        if (found.verdict == "accept") != (packet in got) or found.verdict == "unknown":
            wrong.append((packet, found, packet in got))
    assert not wrong[:1], command.run(["nft", "list", "ruleset"])


@settings(
    max_examples=examples(8),
    phases=PHASES,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(platform=policies(), seed=st.integers(0, 2**32))
def test_the_walk_says_what_the_kernel_does(shared: Pair, wires: Wires, platform: list[Policy], seed: int) -> None:
    randomness = random.Random(seed)
    with shared.host.entered():
        kernel.load("flush ruleset\n")
        for policy in platform:
            load_nftables(policy)
            for direction in ("in", "out"):
                packets = [*special_packets(direction), *packets_at_edges(policy, direction, randomness, 100)]
                agrees_with_evaluate(policy, packets)
                ports = sorted({packet.port for packet in packets if packet.port > 0})
                others = random_tables(randomness, direction, ports, sorted({packet.peer for packet in packets}))
                load_possible(others.script)
                check(wires, packets, others.is_knowable)
                kernel.load(others.removal)


def load_possible(script: str) -> None:
    """Load a script without the lines that nft refuses, such as those that ask for two protocols at once."""
    lines = script.split("\n")
    for _attempt in range(50):
        try:
            kernel.load("\n".join(lines))
            return
        except CommandError as exc:
            refused = {int(number) for number in re.findall(r"^/dev/stdin:(\d+):", exc.output, re.MULTILINE)}
            assert refused and not any("elements" in lines[number - 1] for number in refused), exc.output
            lines = ["" if number in refused else line for number, line in enumerate(lines, 1)]
    raise AssertionError(script)


def agrees_with_evaluate(policy: Policy, packets: Sequence[Packet]) -> None:
    """See that the walk through our table alone is what the policy says, and that it is ours."""
    judged = walker()
    for packet in packets:
        found = judged.trace(whole(packet))
        assert (found.verdict == "accept") == evaluate(policy, packet).passes, (packet, found)
        assert found.is_ours or packet.direction == "out" and policy.egress == "open", (packet, found)


# ---- rules of iptables-nft

STATES = ("NEW", "ESTABLISHED", "RELATED", "INVALID", "UNTRACKED")


@st.composite
def iptables_rules(draw: st.DrawFn) -> str:
    """Rules of iptables with matches that nft lists by name at most, as iptables-restore reads them."""

    def negated() -> str:
        return draw(st.sampled_from(["", "", "! "]))

    lines = []
    for _number in range(draw(st.integers(1, 6))):
        states = ",".join(draw(st.lists(st.sampled_from(STATES), min_size=1, max_size=3, unique=True)))
        ports = ",".join(
            draw(st.lists(st.sampled_from(["22", "80", "443", "1000:2000"]), min_size=1, max_size=3, unique=True))
        )
        protocol = draw(st.sampled_from(["tcp", "udp"]))
        matches = draw(
            st.lists(
                st.sampled_from(
                    [
                        f"-m conntrack {negated()}--ctstate {states}",
                        f"-p {protocol} -m multiport {negated()}--dports {ports}",
                        f"-m addrtype {negated()}--dst-type LOCAL",
                        "-s 10.64.0.0/24",
                        '-m comment --comment "ct state invalid"',
                    ]
                ),
                min_size=1,
                max_size=4,
                unique=True,
            )
        )
        chain = draw(st.sampled_from(["INPUT", "INPUT", "first"]))
        target = draw(st.sampled_from(["ACCEPT", "DROP", *(["first"] if chain == "INPUT" else ["RETURN"])]))
        lines.append(f"-A {chain} {' '.join(matches)} -j {target}")
    policy = draw(st.sampled_from(["ACCEPT", "DROP", "DROP"]))
    return "\n".join(["*filter", f":INPUT {policy}", ":first -", "-A INPUT -p icmp -j ACCEPT", *lines, "COMMIT", ""])


OPENING = [
    Packet("in", protocol, peer, port, 20_000 + number)
    for number, (protocol, peer, port) in enumerate(
        (protocol, peer, port)
        for protocol in ("tcp", "udp")
        for peer in ("10.64.0.1", "10.64.1.1")
        for port in (22, 80, 1500, 9)
    )
]


def by_name(listing: str) -> str:
    """Return the text as of an nft that is built without the library of iptables, as that of Debian 13 is."""
    with mock.patch.dict(os.environ, {"XTABLES_LIBDIR": "/nonexistent"}):
        text = command.run(["nft", "-a", "-s", "-t", "-p", "list", "ruleset"])
    for rule in (item["rule"] for item in json.loads(listing)["nftables"] if "rule" in item):
        names = "".join(f'xt match "{statement["xt"]["name"]}" ' for statement in rule["expr"] if "xt" in statement)
        text = re.sub(rf"(?m)^\t\t *(.* # handle {rule['handle']})$", rf"\t\t{names}\1", text)
    return text


@settings(
    max_examples=examples(30),
    phases=PHASES,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(rules=iptables_rules())
def test_rules_of_iptables_do_what_the_walk_says(shared: Pair, wires: Wires, rules: str) -> None:
    """With the text of nft, which reads them here, and without it."""
    with shared.host.entered():
        kernel.load("flush ruleset\n")
        command.run(["iptables-nft-restore"], rules)
        forget_connections()
        listing, text = ruleset()
        named = by_name(listing)
        with mock.patch.object(nft, "ruleset", return_value=(listing, named)):
            written_out = judge.rules_of_kernel()[1]
        got = passing(wires, OPENING)
        for about, listed in (("read", text), ("by name", named), ("written out", written_out), ("nothing", "")):
            judged = walk.Walker(parse_ruleset(listing, listed), hop_of=own_hop)
            found = {packet: judged.trace(whole(packet)).verdict for packet in OPENING}
            wrong = {
                packet: verdict
                for packet, verdict in found.items()
                if verdict != "unknown" and (verdict == "accept") != (packet in got)
            }
            assert not wrong, (about, listed)
            assert about in ("by name", "nothing") or "unknown" not in found.values(), (about, listed)


# ---- which rule it is, by the module

SITE = """
table inet site {
  flags FLAGS
  set blocked { type ipv4_addr; flags interval; elements = { 10.64.1.0/24 } }
  chain early { type filter hook prerouting priority -300; policy accept;
    ip saddr @blocked counter drop comment "blocked: # handle 5"
  }
  chain last { reject with icmpx type admin-prohibited; }
  chain tcp_ports {
    tcp dport vmap { 23 : drop, 24 : goto last }
  }
  chain late { type filter hook input priority 10; policy accept;
    meta l4proto tcp jump tcp_ports
    tcp dport 25 meta skuid 4711 drop
  }
}
table ip raw {
  chain OUTPUT { type filter hook output priority 0; policy accept; tcp dport 25 drop; }
}
"""
OURS = samples.policy(("in", "all", ["22-30/tcp", "53/udp"], ("10.64.0.0/16", "fd64::/64")))


def judged_by_module(machine: Served, *packets: dict[str, Any]) -> list[dict[str, Any]]:
    """What the module says on the host, in check mode as well."""
    found = machine.runs.module("verify_judge", packets=list(packets))
    checked = machine.runs.module("verify_judge", packets=list(packets), _ansible_check_mode=True)
    assert found == {**checked, "invocation": found["invocation"]}
    assert found["changed"] is False
    assert UNREADABLE not in parsed("judged", found)
    return found["judgements"]


def incoming(source: str, port: int, **options: Any) -> dict[str, Any]:
    """What the option `packets` takes."""
    return {
        "direction": "in",
        "source": source,
        "destination": HOST[6 if ":" in source else 4],
        "port": port,
        **options,
    }


def test_the_module_names_the_rule_that_decides(machine: Served) -> None:
    machine.host.nft(SITE.replace("  flags FLAGS\n", ""))
    with machine.host.entered():
        load_nftables(parse_policy(OURS))
    found = judged_by_module(
        machine,
        *[incoming("10.64.0.1", port) for port in (22, 23, 24, 25, 31)],
        incoming("10.64.1.1", 22),
        incoming("fd64::1", 53, protocol="udp"),
    )
    assert [(item["verdict"], item["table"], item["chain"], item["rule"], item["is_ours"]) for item in found] == [
        ("accept", "inet hpc_ports", "in_all", 'ip saddr @in_all_v4 counter name "in_all" accept', True),
        ("drop", "inet site", "tcp_ports", "tcp dport vmap { 23 : drop, 24 : goto last }", False),
        ("reject", "inet site", "last", "reject with icmpx admin-prohibited", False),
        ("unknown", "inet site", "late", "tcp dport 25 meta skuid 4711 drop", False),
        ("drop", "inet hpc_ports", "arriving", 'counter name "denied_in" drop', True),
        ("drop", "inet site", "early", 'ip saddr @blocked counter drop comment "blocked: # handle 5"', False),
        ("accept", "inet hpc_ports", "in_all", 'ip6 saddr @in_all_v6 counter name "in_all" accept', True),
    ]
    assert found[3]["unknown"] == (
        "it is unknown whether this rule applies: table inet site, chain late: tcp dport 25 meta skuid 4711 drop"
    )


def test_dormant_tables_and_the_one_that_counts_do_nothing(machine: Served) -> None:
    """Of nft before 1.1, only the text tells that a table is dormant."""
    machine.host.nft(SITE.replace("FLAGS", "dormant"))
    machine.host.nft("table inet hpc_ports_verify {\nchain c { type filter hook input priority 0; policy drop; }\n}\n")
    (found,) = judged_by_module(machine, incoming("10.64.0.1", 23))
    assert (found["verdict"], found["table"], found["chain"], found["rule"]) == ("accept", "", "", "no rule")


def test_what_goes_back_another_way_is_dropped_where_the_reverse_path_filter_is_strict(machine: Served) -> None:
    """A packet is taken to come over the interface that has the address."""
    machine.host.arrange(
        "echo 1 > /proc/sys/net/ipv4/conf/eth0/rp_filter; ip route add 10.98.0.0/16 via 192.0.3.2 dev fab0"
    )
    found = judged_by_module(machine, incoming("10.98.0.1", 22), incoming("10.64.0.1", 22))
    assert [item["reverse_path"] for item in found] == [
        {"mode": 1, "is_dropped": True},
        {"mode": 1, "is_dropped": False},
    ]


def test_the_module_tells_routes_listeners_and_what_becomes_of_the_answer(machine: Served) -> None:
    machine.host.nft(SITE.replace("  flags FLAGS\n", "").replace("tcp dport 25 drop", "tcp sport 26 drop"))
    machine.host.arrange(
        "echo 1 > /proc/sys/net/ipv4/conf/fab0/rp_filter; ip route add blackhole 10.99.0.0/16; "
        "ip route add 10.98.0.0/16 via 192.0.3.2 dev fab0"
    )
    with machine.host.entered(), socket.create_server(("", 26)):
        found = judged_by_module(
            machine,
            incoming("10.64.0.1", 26, reply=True),
            incoming("10.64.0.1", 22, reply=True, interface="fab0"),
            incoming("10.99.0.1", 22, reply=True),
            {"direction": "out", "destination": "10.98.0.1", "port": 80, "reply": True},
            {"direction": "out", "destination": "10.99.0.1", "port": 80},
            {**incoming("10.64.0.1", 22), "destination": "10.64.0.2"},
            {"direction": "out", "destination": HOST[4], "port": 23},
        )
    first, spoofed, lost, out, nowhere, elsewhere, itself = found
    assert (first["verdict"], first["interface"], first["listening"]) == ("accept", "eth0", ["0.0.0.0"])
    assert (first["reply"]["verdict"], first["reply"]["table"], first["reply"]["rule"]) == (
        "drop",
        "ip raw",
        "tcp sport 26 drop",
    )
    assert first["route"] == {
        "interface": "eth0",
        "source": HOST[4],
        "gateway": "192.0.2.2",
        "kind": "unicast",
        "error": "",
    }
    assert (spoofed["reverse_path"], spoofed["listening"]) == ({"mode": 1, "is_dropped": True}, [])
    assert first["reverse_path"] == {"mode": 0, "is_dropped": False}
    assert lost["reply"]["unknown"].startswith("No answer is sent to 10.99.0.1: no route (")
    assert (out["verdict"], out["route"]["interface"], out["route"]["source"]) == ("accept", "fab0", "192.0.3.1")
    assert out["reply"]["verdict"] == "accept" and "listening" not in out
    assert (nowhere["verdict"], nowhere["route"]["interface"]) == ("unknown", "") and nowhere["route"]["error"]
    assert elsewhere["unknown"] == "10.64.0.2 is not an address of this host."
    assert (itself["route"]["interface"], itself["verdict"], itself["chain"]) == ("lo", "drop", "tcp_ports")


def test_a_comment_is_only_text_in_what_the_module_says(machine: Served) -> None:
    machine.host.nft(
        "add table inet site\nadd chain inet site c { type filter hook input priority 0; }\n"
        'add rule inet site c tcp dport 22 drop comment "\x1b[2J\u202e"\n'
    )
    [found] = judged_by_module(machine, incoming("10.64.0.1", 22))
    assert (found["verdict"], found["rule"]) == ("drop", 'tcp dport 22 drop comment "\\x1b[2J\\u202e"')


def test_rules_of_iptables_legacy_are_named(machine: Served) -> None:
    if machine.host.run("iptables-legacy", "-t", "filter", "-L", "-n", check=False).returncode:
        pytest.skip("no iptables-legacy here")
    found, six = judged_by_module(machine, incoming("10.64.0.1", 22), incoming("fd64::1", 22))
    assert (found["verdict"], found["unknown"]) == (
        "unknown",
        "nft does not list the rules of iptables-legacy (tables filter)",
    )
    assert six["verdict"] == "accept"


def test_without_a_library_nft_tells(pair: Pair) -> None:
    """A library that cannot be loaded, and nft that can be run."""
    program = (
        "from ansible_collections.hpc.ports.plugins.module_utils._ruleset import judge\n"
        "from ansible_collections.hpc.ports.plugins.module_utils._linux import nft\n"
        "def missing(): raise nft.ListingError('There is no library.')\n"
        "both = judge.rules_of_kernel()\n"
        "nft.library_ruleset = missing\n"
        "assert judge.rules_of_kernel() == both and both[1]\n"
        "nft.find_program = lambda name: None\n"
        "try: judge.rules_of_kernel()\n"
        "except RuntimeError as exc: print(exc)\n"
    )
    pair.host.nft(SITE.replace("  flags FLAGS\n", "").replace("counter ", ""))
    done = pair.host.run(pair.python, "-c", program, PYTHONPATH=pair.python_path)
    assert done.stdout == "There is no library. Or install the package nftables.\n"
