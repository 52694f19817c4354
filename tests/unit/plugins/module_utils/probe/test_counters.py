# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The counting table: its commands, and the counts in its listings."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._linux.nft import ListingError
from ansible_collections.hpc.ports.plugins.module_utils._model.ports import PortRange
from ansible_collections.hpc.ports.plugins.module_utils._probe.counters import (
    load,
    parse_counts,
    read_counts,
    script,
    unload,
)
from ansible_collections.hpc.ports.plugins.module_utils._probe.protocol import question

KEY = "0123456789abcdef"
PORTS = [PortRange("tcp", 443, 443), PortRange("udp", 53, 53), PortRange("tcp", 22, 22), PortRange("tcp", 443, 443)]
NAMES = ("left", "arrived", "passed", "answered", "returned")


# ---- the table

TRACKED = pytest.mark.parametrize("is_tracked", [False, True])


def lines(ports: list[PortRange] | None = None, key: str = KEY) -> list[str]:
    return script(PORTS if ports is None else ports, key, True).splitlines()


def test_an_existing_table_is_recreated() -> None:
    assert lines()[:3] == [
        "add table inet hpc_ports_verify",
        "delete table inet hpc_ports_verify",
        "table inet hpc_ports_verify {",
    ]
    assert lines()[-1] == "}" and script(PORTS, KEY, True).endswith("}\n")


def test_each_port_is_listed_once() -> None:
    assert lines()[3] == ("set ports { type inet_proto . inet_service; elements = { tcp . 22, tcp . 443, udp . 53 } }")
    assert lines([])[3] == "set ports { type inet_proto . inet_service;  }"


def test_there_is_a_set_for_each_count_and_family() -> None:
    found = dict(
        re.findall(
            r"^set (\w+) \{ type (\w+ \. \w+) \. inet_proto \. inet_service; flags dynamic; size 65535; \}$",
            script(PORTS, KEY, False),
            re.M,
        )
    )
    kinds = {"4": "ipv4_addr . ipv4_addr", "6": "ipv6_addr . ipv6_addr"}
    assert found == {f"{name}_{number}": kind for name in NAMES for number, kind in kinds.items()}


def chains(is_tracked: bool) -> dict[str, tuple[str, int, list[str]]]:
    found = re.findall(
        r"^chain (\w+) \{ type filter hook (\w+) priority (-?\d+); policy accept;\n(.*?)\n\}$",
        script(PORTS, KEY, is_tracked),
        re.M | re.S,
    )
    return {name: (hook, int(priority), rules.splitlines()) for name, hook, priority, rules in found}


def test_counting_chains_come_before_and_after_all_others() -> None:
    ends = {"input": ("input", 32000), "postrouting": ("postrouting", 32000), "prerouting": ("prerouting", -400)}
    assert {name: base[:2] for name, base in chains(False).items()} == ends
    tracked = {"translated": ("prerouting", -199), "forward": ("forward", 32000)}
    assert {name: base[:2] for name, base in chains(True).items()} == {**ends, **tracked}


@TRACKED
def test_it_only_counts(is_tracked: bool) -> None:
    text = script(PORTS, KEY, is_tracked)
    assert not re.search(r"\b(accept|drop|reject|return|jump|goto|queue|mark)\b(?<!policy accept)", text)
    assert all(" counter }" in rule for hook, priority, rules in chains(is_tracked).values() for rule in rules)


def test_connection_tracking_is_not_enabled() -> None:
    assert " ct " not in script(PORTS, KEY, False)


OPENING = ["tcp flags & (fin | syn | rst | ack) == syn", f"udp length {8 + len(question(KEY))}"]
ANSWERING = ["tcp flags & (syn | ack) == (syn | ack)", "meta l4proto udp"]


@pytest.mark.parametrize(
    "chain,name,own,peer,port",
    [
        ("postrouting", "left", "saddr", "daddr", "dport"),
        ("prerouting", "arrived", "daddr", "saddr", "dport"),
        ("input", "passed", "daddr", "saddr", "dport"),
        ("postrouting", "answered", "saddr", "daddr", "sport"),
        ("prerouting", "returned", "daddr", "saddr", "sport"),
    ],
)
@pytest.mark.parametrize("number,family", [("4", "ip"), ("6", "ip6")])
@TRACKED
def test_rules_by_packet(
    chain: str, name: str, own: str, peer: str, port: str, number: str, family: str, is_tracked: bool
) -> None:
    """Packets before connection tracking, or unknown to it, are counted by their own addresses and ports."""
    rules = [
        rule for rule in chains(is_tracked)[chain][2] if f"@{name}_{number} " in rule and "ct direction" not in rule
    ]
    unknown = " ct state invalid,untracked" if is_tracked and chain != "prerouting" else ""
    assert rules == [
        f"meta nfproto ipv{number} {what}{unknown} meta l4proto . th {port} @ports "
        f"update @{name}_{number} {{ {family} {own} . {family} {peer} . meta l4proto . th {port} counter }}"
        for what in (OPENING if port == "dport" else ANSWERING)
    ]


@pytest.mark.parametrize(
    "chain,name,own,peer,direction,more",
    [
        ("postrouting", "left", "saddr", "daddr", "original", ""),
        ("input", "passed", "daddr", "saddr", "original", ""),
        ("postrouting", "answered", "daddr", "saddr", "reply", ""),
        ("translated", "returned", "saddr", "daddr", "reply", " ct status snat,dnat"),
        ("forward", "passed", "daddr", "saddr", "original", " ct status dnat"),
    ],
)
@pytest.mark.parametrize("number,family", [("4", "ip"), ("6", "ip6")])
def test_rules_by_original_addresses_of_the_connection(
    chain: str, name: str, own: str, peer: str, direction: str, more: str, number: str, family: str
) -> None:
    rules = [rule for rule in chains(True)[chain][2] if f"@{name}_{number} " in rule and "ct direction" in rule]
    assert rules == [
        f"meta nfproto ipv{number} {what}{more} ct direction {direction} meta l4proto . ct original proto-dst @ports "
        f"update @{name}_{number} {{ ct original {family} {own} . ct original {family} {peer} . meta l4proto . "
        "ct original proto-dst counter }"
        for what in (OPENING if direction == "original" else ANSWERING)
    ]


def test_datagrams_of_probes_are_recognized_by_their_length() -> None:
    assert "udp length 40" in script(PORTS, KEY, False) and len(question(KEY)) == 32
    assert f"udp length {8 + len(question(''))}" in script(PORTS, "", False)


# ---- what was counted

ME = {4: "10.0.0.9", 6: "fd00::9"}


def element(peer: str, protocol: object, port: int, packets: int, own: str = "") -> dict[str, Any]:
    own = own or ME[6 if ":" in peer else 4]
    return {
        "elem": {"val": {"concat": [own, peer, protocol, port]}, "counter": {"packets": packets, "bytes": 60 * packets}}
    }


def listed(**sets: list[dict[str, Any]]) -> dict[str, Any]:
    found = [
        {"set": {"family": "inet", "name": name, "table": "hpc_ports_verify", "elem": items}}
        for name, items in sets.items()
    ]
    return {
        "nftables": [
            {"metainfo": {"version": "1.1.3"}},
            {"table": {"family": "inet", "name": "hpc_ports_verify"}},
            *found,
            {"chain": {"name": "input"}},
            {"rule": {"chain": "input", "expr": []}},
        ]
    }


@pytest.mark.parametrize("tcp,udp", [("tcp", "udp"), (6, 17), ("6", "17")])
def test_versions_of_nft_name_protocols_or_number_them(tcp: object, udp: object) -> None:
    assert parse_counts(listed(arrived_4=[element("10.0.0.1", tcp, 22, 2), element("10.0.0.1", udp, 53, 1)])) == {
        **{name: {} for name in NAMES},
        "arrived": {ME[4]: {"10.0.0.1": {"2": ["22/tcp"], "1": ["53/udp"]}}},
    }


def test_counts_are_by_own_address_peer_and_number_of_both_families() -> None:
    found = parse_counts(
        listed(
            left_4=[
                element("10.0.0.1", "tcp", 22, 2),
                element("10.0.0.1", "tcp", 443, 2),
                element("10.0.0.2", "tcp", 22, 1),
                element("10.0.0.1", "tcp", 22, 3, own="10.0.0.8"),
            ],
            left_6=[element("fd00::1", "tcp", 22, 2)],
            returned_6=[element("fd00::1", "tcp", 22, 1)],
        )
    )
    assert found["left"] == {
        ME[4]: {"10.0.0.1": {"2": ["22/tcp", "443/tcp"]}, "10.0.0.2": {"1": ["22/tcp"]}},
        "10.0.0.8": {"10.0.0.1": {"3": ["22/tcp"]}},
        ME[6]: {"fd00::1": {"2": ["22/tcp"]}},
    }
    assert found["returned"] == {ME[6]: {"fd00::1": {"1": ["22/tcp"]}}}


@pytest.mark.parametrize("number,is_known", [(65534, True), (65535, False)])
def test_a_full_set_has_no_counts(number: int, is_known: bool) -> None:
    """The set of the other family comes later, and does not restore the count."""
    full = [element("10.0.0.1", "tcp", port, 1) for port in range(number)]
    found = parse_counts(listed(passed_4=full, arrived_4=full[:1], passed_6=[element("fd00::1", "tcp", 22, 1)]))
    assert (found["passed"] is not None) == is_known
    assert found["arrived"] == {ME[4]: {"10.0.0.1": {"1": ["0/tcp"]}}}


def test_other_and_empty_sets_are_ignored() -> None:
    data = listed(ports=[{"concat": ["tcp", 22]}], other_4=[element("10.0.0.1", "tcp", 22, 2)])
    data["nftables"].append({"set": {"name": "left_4"}})
    assert parse_counts(data) == {name: {} for name in NAMES}
    assert parse_counts({"nftables": []}) == {name: {} for name in NAMES}


# ---- nft


def test_commands_for_nft() -> None:
    asked: list[tuple[str, bool]] = []

    def run(commands: str, as_json: bool = False) -> str:
        asked.append((commands, as_json))
        return json.dumps(listed(passed_4=[element("10.0.0.1", 6, 22, 1)]))

    load(PORTS, KEY, run, is_tracked=lambda: True)
    load(PORTS, KEY, run, is_tracked=lambda: False)
    assert read_counts(run)["passed"] == {ME[4]: {"10.0.0.1": {"1": ["22/tcp"]}}}
    unload(run)
    assert asked == [
        (script(PORTS, KEY, True), False),
        (script(PORTS, KEY, False), False),
        ("list table inet hpc_ports_verify", True),
        ("add table inet hpc_ports_verify\ndelete table inet hpc_ports_verify\n", False),
    ]


def test_a_missing_nft_is_an_error() -> None:
    def run(commands: str, as_json: bool = False) -> str:
        raise ListingError("No libnftables.")

    for call in (lambda nft: load(PORTS, KEY, nft), read_counts, unload):
        with pytest.raises(ListingError):
            call(run)
