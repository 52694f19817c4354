# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of iptables-nft, as nft lists them with the library of iptables (0.9.8, 1.0.6) and without it (1.1.3).

tests/unit/listings has the listings of the rules in tests/support/ufw.py by each version of nft, and the matches in the
kernel for which nft 1.1.3 lists only the names.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.iptables_matches import readable
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.symbols import ACK, SYN
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.tables import parse_ruleset
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.walker import Trace, TracedPacket, Walker
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.xt_matches import XtMatch, write_out_matches
from ansible_collections.hpc.ports.tests.support.namespaces import ROOT

ACCEPT = {"accept": None}
TCP = {"match": {"op": "==", "left": {"meta": {"key": "l4proto"}}, "right": 6}}
PORT_22 = {"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 22}}


def xt(name: str = "") -> dict[str, Any]:
    """A match of iptables; before nft 1.0 it has no name."""
    return {"xt": {"type": "match", "name": name} if name else None}


def asked(left: dict[str, Any], *members: Any, operator: str = "==") -> dict[str, Any]:
    return {"match": {"left": left, "op": operator, "right": {"set": [*members]}}}


STATE = {"ct": {"key": "state"}}
LOCAL = asked({"fib": {"result": "type", "flags": ["daddr"]}}, "local")
PORTS = asked({"payload": {"protocol": "tcp", "field": "dport"}}, 80, 443, {"range": [8000, 8100]})


# ---- one rule


@pytest.mark.parametrize(
    "statements,text,expected",
    [
        (
            [xt("conntrack"), ACCEPT],
            "ct state related,established counter accept",
            [asked(STATE, "related", "established"), ACCEPT],
        ),
        ([xt("state"), ACCEPT], "ct state new accept", [asked(STATE, "new"), ACCEPT]),
        ([xt("conntrack"), ACCEPT], "ct state ! new accept", [asked(STATE, "new", operator="!="), ACCEPT]),
        (
            [xt(), ACCEPT],
            "ct state != related,established accept",
            [asked(STATE, "related", "established", operator="!="), ACCEPT],
        ),
        ([xt("addrtype"), ACCEPT], "fib daddr type local accept", [LOCAL, ACCEPT]),
        (
            [xt("addrtype"), ACCEPT],
            "fib daddr type { local, broadcast } accept",
            [asked({"fib": {"result": "type", "flags": ["daddr"]}}, "local", "broadcast"), ACCEPT],
        ),
        (
            [TCP, xt("multiport"), ACCEPT],
            "meta l4proto 6 tcp dport { 80, 443, 8000-8100 } accept",
            [TCP, PORTS, ACCEPT],
        ),
        ([TCP, xt(), ACCEPT], "meta l4proto tcp tcp dport { 80,443,8000-8100} accept", [TCP, PORTS, ACCEPT]),
        (
            [TCP, xt("multiport"), ACCEPT],
            "meta l4proto 6 tcp dport != 80 accept",
            [TCP, asked({"payload": {"protocol": "tcp", "field": "dport"}}, 80, operator="!="), ACCEPT],
        ),
        (
            [TCP, xt("multiport"), ACCEPT],
            "meta l4proto 6 tcp dport 1000-2000 accept",
            [TCP, asked({"payload": {"protocol": "tcp", "field": "dport"}}, {"range": [1000, 2000]}), ACCEPT],
        ),
        (
            [TCP, xt("multiport"), ACCEPT],
            "meta l4proto 6 tcp sport . tcp dport { 0-65535 . 80, 80 . 0-65535 } accept",
            [TCP, xt("multiport"), ACCEPT],
        ),
        # Conditions that the text shows must hold; others stay unknown.
        (
            [xt("conntrack"), xt("recent"), ACCEPT],
            "ct state new xt match recent accept",
            [asked(STATE, "new"), xt("recent"), ACCEPT],
        ),
        ([xt(), xt(), ACCEPT], "ct state new # recent: SET accept", [asked(STATE, "new"), xt(), xt(), ACCEPT]),
        (
            [xt("conntrack"), ACCEPT],
            "ct direction original ct state new accept",
            [asked(STATE, "new"), xt("conntrack"), ACCEPT],
        ),
        (
            [xt("conntrack"), xt("conntrack"), ACCEPT],
            "ct state new ct state invalid accept",
            [asked(STATE, "new"), asked(STATE, "invalid"), xt("conntrack"), xt("conntrack"), ACCEPT],
        ),
        ([PORT_22, xt(), ACCEPT], "tcp dport 22 # recent: SET accept", [PORT_22, xt(), ACCEPT]),
        # The text shows nothing.
        ([xt("conntrack"), ACCEPT], 'xt match "conntrack" accept', [xt("conntrack"), ACCEPT]),
        ([xt("conntrack"), ACCEPT], "the rule with handle 9", [xt("conntrack"), ACCEPT]),
        ([xt("conntrack"), ACCEPT], "ct status dnat accept", [xt("conntrack"), ACCEPT]),
        ([xt("addrtype"), ACCEPT], "fib daddr . iif type local accept", [xt("addrtype"), ACCEPT]),
        ([xt("recent"), ACCEPT], 'iifname "ct state new" xt match recent accept', [xt("recent"), ACCEPT]),
        ([xt(), ACCEPT], 'accept comment "ct state invalid"', [xt(), ACCEPT]),
        # The last statement without a name may be a target; matches of nft are unchanged.
        ([PORT_22, xt()], "tcp dport 22 ct state new", [PORT_22, xt()]),
        ([PORT_22, ACCEPT], "tcp dport 22 ct state new accept", [PORT_22, ACCEPT]),
        ([], "", []),
        (["odd"], "", ["odd"]),
    ],
)
def test_matches_in_the_text_replace_iptables_matches(statements: list[Any], text: str, expected: list[Any]) -> None:
    assert readable(statements, text) == tuple(expected)


def target(name: str = "") -> dict[str, Any]:
    """A target of iptables; before nft 1.0 it has no name."""
    return {"xt": {"type": "target", "name": name} if name else None}


@pytest.mark.parametrize(
    "text,expected",
    [
        ("dnat to 172.17.0.2:80", {"dnat": {"addr": "172.17.0.2", "port": 80}}),
        ("dnat to 172.17.0.2", {"dnat": {"addr": "172.17.0.2"}}),
        ("dnat to 172.17.0.2 random,persistent", {"dnat": {"addr": "172.17.0.2"}}),
        ("dnat to :22", {"dnat": {"port": 22}}),
        ("dnat to [fd00::2]:80", {"dnat": {"addr": "fd00::2", "port": 80}}),
        ("dnat to [fd00::2]", {"dnat": {"addr": "fd00::2"}}),
        ("dnat to fd00::2", {"dnat": {"addr": "fd00::2"}}),
        ("redirect to :22", {"redirect": {"port": 22}}),
        ("redirect to :22 random", {"redirect": {"port": 22}}),
        ("redirect", {"redirect": {}}),
        ("dnat to 172.17.0.2-172.17.0.5", None),
        ("dnat to 172.17.0.2:80-90", None),
        ("redirect to :22-25", None),
        ('xt target "DNAT"', None),
        ('log prefix "redirect"', None),
        ("", None),
    ],
)
@pytest.mark.parametrize("name", ["DNAT", "REDIRECT", ""])
def test_translations_in_the_text_replace_iptables_targets(name: str, text: str, expected: Any) -> None:
    rule = f"tcp dport 22 counter {text}"
    assert readable([PORT_22, target(name)], rule) == (PORT_22, expected or target(name))


@pytest.mark.parametrize(
    "text,expected",
    [
        ("masquerade ", {"masquerade": {}}),
        ("masquerade  random", {"masquerade": {}}),
        ("snat to 10.0.0.9", {"snat": {"addr": "10.0.0.9"}}),
        ("meta mark set mark or 0x4000 ", {"mangle": {"key": {"meta": {"key": "mark"}}, "value": None}}),
        ('log prefix "meta mark set 1"', None),
    ],
)
def test_targets_without_a_name_are_read_from_the_text(text: str, expected: Any) -> None:
    """As of nft 0.9.8."""
    rule = f"tcp dport 22 counter {text}"
    assert readable([PORT_22, target()], rule) == (PORT_22, expected or target())
    assert readable([PORT_22, target("MARK")], rule) == (PORT_22, target("MARK"))


def test_other_targets_and_translations_of_nft_are_unchanged() -> None:
    for last in (target("MARK"), {"dnat": {"addr": "10.0.0.1", "port": 1}}, ACCEPT):
        assert readable([PORT_22, last], "tcp dport 22 dnat to 172.17.0.2:80") == (PORT_22, last)


# ---- what ufw writes

# The last listing is from Debian 13, without the matches in the kernel.
WRITTEN_OUT, UNREAD = "1.1.3", "1.1.3 by name"
READ = ("0.9.8", "1.0.6", WRITTEN_OUT)


def walker(version: str) -> Walker:
    listing = (ROOT / "tests" / "unit" / "listings" / f"ufw-{version.split()[0]}.json").read_text(encoding="utf-8")
    data = json.loads(listing)
    matches = {
        tuple(name.rsplit(" ", 1)): [XtMatch(kind, revision, bytes.fromhex(raw)) for kind, revision, raw in found]
        for name, found in data.get("matches", {}).items()
    }
    return Walker(
        parse_ruleset(
            listing, write_out_matches(data["text"], lambda: matches) if version == WRITTEN_OUT else data["text"]
        )
    )


def packet(source: str, protocol: int, port: int) -> TracedPacket:
    return TracedPacket("in", protocol, source, "fd00::1" if ":" in source else "10.0.0.1", port, source_kind="unicast")


CLOSED = [
    ("10.0.0.7", 6, 443 + 1),
    ("10.0.0.7", 17, 443),
    ("10.0.0.7", 17, 137),
    ("fd00::7", 6, 6817),
    ("fd00::7", 17, 137),
]
OPEN = [
    ("10.0.0.7", 6, 22),
    ("10.0.0.7", 6, 80),
    ("10.0.0.7", 6, 443),
    ("10.0.0.7", 17, 53),
    ("10.9.0.7", 6, 22),
    ("fd00::7", 6, 22),
    ("fd00::7", 6, 443),
    ("fd00::7", 17, 53),
]
# No version shows a limit by -m recent; 0.9.8 shows neither comments as such, nor the conditions of -m rt.
DOUBTFUL = {("10.0.0.7", 6, 8022), ("fd00::7", 6, 8022)}


def place(source: str, port: int) -> tuple[str, str, str]:
    """A rule of ufw for these packets drops them, or the policy."""
    family = "ip6" if ":" in source else "ip"
    return (
        f"{family} filter",
        *{137: ("ufw-skip-to-policy-input", "counter drop")}.get(port, ("INPUT", "policy drop")),
    )


@pytest.mark.parametrize("version", [*READ, UNREAD])
@pytest.mark.parametrize("source,protocol,port", CLOSED)
def test_packets_that_ufw_drops(version: str, source: str, protocol: int, port: int) -> None:
    """If nft cannot show the rule for established connections, the rule that may drop is named, and it does drop."""
    found = walker(version).trace(packet(source, protocol, port))
    assert (found.table, found.chain, found.rule) == place(source, port)
    assert found.verdict == ("unknown" if version == UNREAD else "drop")
    assert ("(xt conntrack)" in found.unknown) == (version == UNREAD)


@pytest.mark.parametrize("version", [*READ, UNREAD])
@pytest.mark.parametrize("source,protocol,port", OPEN)
def test_packets_that_ufw_accepts(version: str, source: str, protocol: int, port: int) -> None:
    """No accept is certain if an earlier drop cannot be read."""
    found = walker(version).trace(packet(source, protocol, port))
    is_read = version in ("1.0.6", WRITTEN_OUT) or version == "0.9.8" and ":" not in source and port not in (80, 443)
    assert found.verdict == ("accept" if is_read else "unknown")


@pytest.mark.parametrize("version", [*READ, UNREAD])
def test_matches_that_no_version_shows_stay_unknown(version: str) -> None:
    for about in DOUBTFUL:
        assert walker(version).trace(packet(*about)).verdict == "unknown"


@pytest.mark.parametrize("version", READ)
def test_an_answer_is_accepted_by_the_rule_for_established_connections(version: str) -> None:
    answer = TracedPacket("in", 6, "10.0.0.7", "10.0.0.1", 49152, 6817, state="established", flags=SYN | ACK)
    found = walker(version).trace(answer)
    assert (found.verdict, found.chain, found.rule) == (
        "accept",
        "ufw-before-input",
        f"ct state {'established,related' if version == WRITTEN_OUT else 'related,established'} counter accept",
    )


# ---- nft's own

RULES = [("op", "in", ["established", "related"]), ("set", "==", {"set": ["established", "related"]})]


@pytest.mark.parametrize(
    "right", [["established", "related"], {"set": ["established", "related"]}, {"|": ["established", "related"]}]
)
@pytest.mark.parametrize("protocol", [6, 17])
def test_opening_packets_are_not_established(right: Any, protocol: int) -> None:
    rule = {"match": {"op": "in" if isinstance(right, list) else "==", "left": STATE, "right": right}}
    items = [
        {"table": {"family": "ip", "name": "t"}},
        {
            "chain": {
                "family": "ip",
                "table": "t",
                "name": "c",
                "type": "filter",
                "hook": "input",
                "prio": 0,
                "policy": "drop",
            }
        },
        {"rule": {"family": "ip", "table": "t", "chain": "c", "handle": 1, "expr": [rule, ACCEPT]}},
    ]
    found = Walker(parse_ruleset(json.dumps({"nftables": items}))).trace(packet("10.0.0.7", protocol, 80))
    assert found == Trace("drop", "ip t", "c", "policy drop")
