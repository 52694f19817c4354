# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import re
from typing import Any

import pytest

from ansible_collections.hpc.ports.plugins.module_utils.counting import counts, counts_in, load, script, unload
from ansible_collections.hpc.ports.plugins.module_utils.datagrams import question
from ansible_collections.hpc.ports.plugins.module_utils.libnftables import ListingError
from ansible_collections.hpc.ports.plugins.module_utils.ports import PortRange

KEY = "0123456789abcdef"
PORTS = [PortRange("tcp", 443, 443), PortRange("udp", 53, 53), PortRange("tcp", 22, 22), PortRange("tcp", 443, 443)]
NAMES = ("left", "arrived", "passed", "answered", "returned")


# ---- the table

def lines(ports: list[PortRange] | None = None, key: str = KEY) -> list[str]:
    return script(PORTS if ports is None else ports, key).splitlines()


def test_a_table_that_is_there_is_made_anew() -> None:
    assert lines()[:3] == ["add table inet hpc_ports_verify", "delete table inet hpc_ports_verify",
                           "table inet hpc_ports_verify {"]
    assert lines()[-1] == "}" and script(PORTS, KEY).endswith("}\n")


def test_each_port_is_there_once() -> None:
    assert lines()[3] == ("set ports { type inet_proto . inet_service; elements = { tcp . 22, tcp . 443, udp . 53 } }")
    assert lines([])[3] == "set ports { type inet_proto . inet_service;  }"


def test_there_is_a_set_for_each_count_and_family() -> None:
    found = dict(re.findall(r"^set (\w+) \{ type (\w+) \. inet_proto \. inet_service; flags dynamic; size 65535; \}$",
                            script(PORTS, KEY), re.M))
    kinds = {"4": "ipv4_addr", "6": "ipv6_addr"}
    assert found == {f"{name}_{number}": kind for name in NAMES for number, kind in kinds.items()}


def chains() -> dict[str, tuple[int, list[str]]]:
    found = re.findall(r"^chain (\w+) \{ type filter hook \1 priority (-?\d+); policy accept;\n(.*?)\n\}$",
                       script(PORTS, KEY), re.M | re.S)
    return {name: (int(priority), rules.splitlines()) for name, priority, rules in found}


def test_it_counts_before_all_others_and_after_them() -> None:
    assert {name: priority for name, (priority, rules) in chains().items()} == {
        "input": 32000, "postrouting": 32000, "prerouting": -400}


def test_it_only_counts() -> None:
    text = script(PORTS, KEY)
    assert not re.search(r"\b(accept|drop|reject|return|jump|goto|queue|snat|dnat|mark)\b(?<!policy accept)", text)
    assert all(" counter }" in rule for priority, rules in chains().values() for rule in rules)


@pytest.mark.parametrize("chain,name,address,port", [
    ("postrouting", "left", "daddr", "dport"), ("prerouting", "arrived", "saddr", "dport"),
    ("input", "passed", "saddr", "dport"), ("postrouting", "answered", "daddr", "sport"),
    ("prerouting", "returned", "saddr", "sport")])
@pytest.mark.parametrize("number,family", [("4", "ip"), ("6", "ip6")])
def test_what_is_counted_where(chain: str, name: str, address: str, port: str, number: str, family: str) -> None:
    rules = [rule for rule in chains()[chain][1] if f"@{name}_{number} " in rule]
    opening = ["tcp flags & (fin | syn | rst | ack) == syn", f"udp length {8 + len(question(KEY))}"]
    answering = ["tcp flags & (syn | ack) == (syn | ack)", "meta l4proto udp"]
    assert rules == [
        f"meta nfproto ipv{number} {what} meta l4proto . th {port} @ports "
        f"update @{name}_{number} {{ {family} {address} . meta l4proto . th {port} counter }}"
        for what in (opening if port == "dport" else answering)]


def test_datagrams_are_told_by_the_length_of_the_question() -> None:
    assert "udp length 40" in script(PORTS, KEY) and len(question(KEY)) == 32
    assert f"udp length {8 + len(question(''))}" in script(PORTS, "")


# ---- what was counted

def element(peer: str, protocol: object, port: int, packets: int) -> dict[str, Any]:
    return {"elem": {"val": {"concat": [peer, protocol, port]}, "counter": {"packets": packets, "bytes": 60 * packets}}}


def listed(**sets: list[dict[str, Any]]) -> dict[str, Any]:
    found = [{"set": {"family": "inet", "name": name, "table": "hpc_ports_verify", "elem": items}}
             for name, items in sets.items()]
    return {"nftables": [{"metainfo": {"version": "1.1.3"}}, {"table": {"family": "inet", "name": "hpc_ports_verify"}},
                         *found, {"chain": {"name": "input"}}, {"rule": {"chain": "input", "expr": []}}]}


@pytest.mark.parametrize("tcp,udp", [("tcp", "udp"), (6, 17), ("6", "17")])
def test_versions_of_nft_name_protocols_or_number_them(tcp: object, udp: object) -> None:
    assert counts_in(listed(arrived_4=[element("10.0.0.1", tcp, 22, 2), element("10.0.0.1", udp, 53, 1)])) == {
        **{name: {} for name in NAMES}, "arrived": {"10.0.0.1": {"2": ["22/tcp"], "1": ["53/udp"]}}}


def test_counts_are_by_peer_and_number_of_both_families() -> None:
    found = counts_in(listed(
        left_4=[element("10.0.0.1", "tcp", 22, 2), element("10.0.0.1", "tcp", 443, 2),
                element("10.0.0.2", "tcp", 22, 1)],
        left_6=[element("fd00::1", "tcp", 22, 2)], returned_6=[element("fd00::1", "tcp", 22, 1)]))
    assert found["left"] == {"10.0.0.1": {"2": ["22/tcp", "443/tcp"]}, "10.0.0.2": {"1": ["22/tcp"]},
                             "fd00::1": {"2": ["22/tcp"]}}
    assert found["returned"] == {"fd00::1": {"1": ["22/tcp"]}}


def test_other_sets_and_empty_ones_are_no_counts() -> None:
    data = listed(ports=[{"concat": ["tcp", 22]}], other_4=[element("10.0.0.1", "tcp", 22, 2)])
    data["nftables"].append({"set": {"name": "left_4"}})
    assert counts_in(data) == {name: {} for name in NAMES}
    assert counts_in({"nftables": []}) == {name: {} for name in NAMES}


# ---- nft

def test_what_nft_is_told() -> None:
    asked: list[tuple[str, bool]] = []

    def run(commands: str, as_json: bool = False) -> str:
        asked.append((commands, as_json))
        return json.dumps(listed(passed_4=[element("10.0.0.1", 6, 22, 1)]))

    load(PORTS, KEY, run)
    assert counts(run)["passed"] == {"10.0.0.1": {"1": ["22/tcp"]}}
    unload(run)
    assert asked == [(script(PORTS, KEY), False), ("list table inet hpc_ports_verify", True),
                     ("add table inet hpc_ports_verify\ndelete table inet hpc_ports_verify\n", False)]


def test_where_nft_is_not_there_it_says_so() -> None:
    def run(commands: str, as_json: bool = False) -> str:
        raise ListingError("No libnftables.")

    for call in (lambda nft: load(PORTS, KEY, nft), counts, unload):
        with pytest.raises(ListingError):
            call(run)
