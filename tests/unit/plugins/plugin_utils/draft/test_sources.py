# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of other programs by their text, and what of them cannot be expressed. See also tests/kernel/test_draft.py."""

from __future__ import annotations

import json
from time import process_time
from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils._draft.before_input import DROPS, TRANSLATES
from ansible_collections.hpc.ports.plugins.plugin_utils._draft.sources import read_rules

# As ufw 0.36 writes /etc/ufw/user.rules.
UFW = """*filter
:ufw-user-input - [0:0]
:ufw-user-output - [0:0]
:ufw-user-limit - [0:0]
:ufw-user-limit-accept - [0:0]
### RULES ###

### tuple ### allow tcp 22 0.0.0.0/0 any 10.20.0.0/16 in
-A ufw-user-input -p tcp --dport 22 -s 10.20.0.0/16 -j ACCEPT

### tuple ### deny any any 0.0.0.0/0 any 10.20.9.0/24 in
-A ufw-user-input -s 10.20.9.0/24 -j DROP

### tuple ### allow udp 60000:61000 0.0.0.0/0 any 10.20.0.0/16 in
-A ufw-user-input -p udp -m multiport --dports 60000:61000 -s 10.20.0.0/16 -j ACCEPT

### tuple ### limit tcp 8022 0.0.0.0/0 any 0.0.0.0/0 in
-A ufw-user-input -p tcp --dport 8022 -m conntrack --ctstate NEW -m recent --set
-A ufw-user-input -p tcp --dport 8022 -m conntrack --ctstate NEW -m recent --update --seconds 30 --hitcount 6 \
-j ufw-user-limit
-A ufw-user-input -p tcp --dport 8022 -j ufw-user-limit-accept

### END RULES ###
-A ufw-user-limit -m limit --limit 3/minute -j LOG --log-prefix "[UFW LIMIT BLOCK] "
-A ufw-user-limit -j REJECT
-A ufw-user-limit-accept -j ACCEPT
COMMIT
"""


def accepts(text: str, source: str, protocol: str, port: int) -> bool:
    return any(
        source in region.sources and any(ports.covers(protocol, port) for ports in region.ports)
        for region in read_rules(text).accepted
    )


@pytest.mark.parametrize(
    "source,protocol,port,passes",
    [
        ("10.20.0.1", "tcp", 22, True),
        ("10.21.0.1", "tcp", 22, False),
        ("10.20.0.1", "udp", 60500, True),
        ("10.20.9.1", "udp", 60500, False),
        ("10.20.9.1", "tcp", 22, True),
        ("192.0.2.1", "tcp", 8022, True),
        ("fd00::1", "tcp", 8022, False),
    ],
)
def test_the_rules_of_ufw(source: str, protocol: str, port: int, passes: bool) -> None:
    assert accepts(UFW, source, protocol, port) is passes


def test_the_limit_of_ufw_is_left() -> None:
    [left] = read_rules(UFW).left
    assert left.endswith("--seconds 30, --hitcount 6") and "--dport 8022" in left


@pytest.mark.parametrize(
    "rule,reason",
    [
        ("-i eth1 -p tcp --dport 22 -j ACCEPT", "interface eth1"),
        ("-d 192.0.2.1/32 -j ACCEPT", "-d 192.0.2.1/32"),
        ("-m set --match-set friends src -j ACCEPT", "--match-set friends src"),
        ("-p tcp --sport 20 -j ACCEPT", "--sport 20"),
        ("! -p tcp -j ACCEPT", "! -p tcp"),
        ("-p what -j ACCEPT", "protocol what"),
        ("-j NFQUEUE --queue-num 1", "the target NFQUEUE"),
    ],
)
def test_what_a_port_file_cannot_express_is_left(rule: str, reason: str) -> None:
    text = f"*filter\n:INPUT DROP [0:0]\n-A INPUT {rule}\n-A INPUT -p tcp --dport 80 -j ACCEPT\nCOMMIT\n"
    assert read_rules(text).left == [f"-A INPUT {rule}: {reason}"]
    assert accepts(text, "10.0.0.1", "tcp", 80) and not accepts(text, "10.0.0.1", "tcp", 81)


@pytest.mark.parametrize(
    "match,passes", [("-i eth0", True), ("-i eth+", True), ("! -i eth0", False), ("! -i lo", True), ("-i lo", False)]
)
def test_an_interface_by_which_the_host_is_reached_is_any(match: str, passes: bool) -> None:
    text = f"*filter\n:INPUT DROP [0:0]\n-A INPUT {match} -p tcp -j ACCEPT\nCOMMIT\n"
    read = read_rules(text, ["eth0"])
    assert (read.left, bool(read.accepted)) == ([], passes)


@pytest.mark.parametrize(
    "operator,name,passes", [("==", "eth0", True), ("==", "eth*", True), ("!=", "eth0", False), ("!=", "lo", True)]
)
def test_an_interface_of_nftables_by_which_the_host_is_reached_is_any(operator: str, name: str, passes: bool) -> None:
    match = {"op": operator, "left": {"meta": {"key": "iifname"}}, "right": name}
    read = read_rules(nft({"match": match}, {"accept": None}), ["eth0"])
    assert (read.left, bool(read.accepted)) == ([], passes)


def test_a_chain_with_capital_letters_is_a_chain() -> None:
    chain = ":KUBE-FIREWALL - [0:0]\n-A INPUT -j KUBE-FIREWALL\n-A KUBE-FIREWALL -p tcp -j ACCEPT\n"
    text = f"*filter\n:INPUT DROP [0:0]\n{chain}"
    assert accepts(text, "10.0.0.1", "tcp", 1) and not accepts(text, "10.0.0.1", "udp", 1)


def nft(*exprs: dict[str, Any], policy: str = "drop") -> str:
    chain = {"family": "inet", "table": "t", "name": "in", "hook": "input", "prio": 0, "policy": policy}
    rule = {"family": "inet", "table": "t", "chain": "in", "expr": list(exprs)}
    return json.dumps({"nftables": [{"metainfo": {}}, {"chain": chain}, {"rule": rule}]})


@pytest.mark.parametrize(
    "expr,reason",
    [
        ({"limit": {"rate": 3, "per": "second"}}, "limit"),
        ({"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "eth1"}}, "interface eth1"),
        (
            {"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "daddr"}}, "right": "192.0.2.1"}},
            '{"payload":{"protocol":"ip","field":"daddr"}}',
        ),
    ],
)
def test_what_nftables_has_beyond_a_port_file_is_left(expr: dict[str, Any], reason: str) -> None:
    read = read_rules(nft(expr, {"accept": None}))
    assert [line.endswith(f": {reason}") for line in read.left] == [True]
    assert read.accepted == []


def test_our_own_tables_are_not_imported() -> None:
    text = nft({"accept": None}).replace('"table": "t"', '"table": "hpc_ports"')
    assert read_rules(text).left == []
    assert accepts(text, "10.0.0.1", "tcp", 1)


@pytest.mark.parametrize("text", ["", "table inet t {}", "{}", "{", '{"nftables": 1'])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected the output of"):
        read_rules(text)


def test_a_table_without_the_table_filter_is_refused() -> None:
    with pytest.raises(ValueError, match="got rules of the table nat, raw alone, expected the table filter as well"):
        read_rules("*nat\nCOMMIT\n*raw\nCOMMIT\n")


DOCKER = """*raw
:PREROUTING ACCEPT [0:0]
-A PREROUTING -s 192.0.2.0/24 -j DROP
-A PREROUTING -p tcp -m comment --comment "-j DROP" -j CT --notrack
-A PREROUTING -m comment --comment "not closed
COMMIT
*nat
:DOCKER - [0:0]
-A OUTPUT -p tcp --dport 80 -j DNAT --to-destination 10.0.0.2
[1:60] -A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80
-A POSTROUTING -s 172.17.0.0/16 -j MASQUERADE
COMMIT
"""


def test_rules_that_drop_or_translate_before_the_filter_are_listed() -> None:
    assert read_rules(DOCKER + saved("-A INPUT -p tcp --dport 22 -j ACCEPT")).left == [
        f"*raw -A PREROUTING -s 192.0.2.0/24 -j DROP: {DROPS}",
        f"*nat -A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80: {TRANSLATES}",
    ]


@pytest.mark.parametrize(
    "chain,expr,effect",
    [
        ("pre", {"drop": None}, DROPS),
        ("pre", {"vmap": {"key": {"ct": {"key": "state"}}, "data": {"set": [["invalid", {"drop": None}]]}}}, DROPS),
        ("called", {"dnat": {"addr": "10.0.0.2", "port": 80}}, TRANSLATES),
        ("pre", {"vmap": {"key": {"ct": {"key": "state"}}, "data": "@known"}}, DROPS),
        ("called", {"accept": None}, None),
        ("unused", {"drop": None}, None),
    ],
)
def test_rules_of_nftables_that_drop_or_translate_before_input_are_listed(
    chain: str, expr: dict[str, Any], effect: str | None
) -> None:
    names = {"pre": {"hook": "prerouting", "prio": -300, "policy": "accept"}, "called": {}, "unused": {}}
    table: dict[str, Any] = {"family": "ip", "table": "n"}
    items: list[dict[str, Any]] = [{"chain": {**table, "name": name, **base}} for name, base in names.items()]
    items.append({"map": {**table, "name": "known", "elem": [["invalid", {"drop": None}]]}})
    items.append({"rule": {**table, "chain": "pre", "expr": [{"jump": {"target": "called"}}]}})
    items.append({"rule": {**table, "chain": chain, "expr": [expr]}})
    text = json.loads(nft({"accept": None}))
    text["nftables"] += items
    assert [line.rpartition(": ")[2] for line in read_rules(json.dumps(text)).left] == ([effect] if effect else [])


def test_rules_that_no_packet_of_interest_meets_are_no_problem() -> None:
    chain = "-A DOCKER-USER -m conntrack --ctorigdstport 25 -j RETURN\n-A INPUT -p icmp --icmp-type any -j ACCEPT\n"
    rules = f":DOCKER-USER - [0:0]\n{chain}-A INPUT -i lo -d 10.0.0.1/32 -j ACCEPT\n"
    assert read_rules(f"*filter\n:INPUT DROP [0:0]\n{rules}COMMIT\n").left == []


def saved(*lines: str) -> str:
    return "\n".join(["*filter", ":INPUT DROP [0:0]", *lines, "COMMIT", ""])


@pytest.mark.parametrize(
    "line",
    [
        "[12:3456] -A INPUT -p tcp -m tcp --dport 22 -j ACCEPT",
        "-I INPUT -p tcp -m tcp --dport 22 -j ACCEPT",
        "-I INPUT 1 -p tcp -m tcp --dport 22 -j ACCEPT",
        "--append INPUT -p tcp -m tcp --dport 22 -j ACCEPT",
    ],
)
def test_rules_with_counters_and_other_commands_are_read(line: str) -> None:
    text = saved(line, "-P INPUT DROP").replace(":INPUT DROP", ":INPUT ACCEPT")
    assert accepts(text, "10.0.0.1", "tcp", 22) and not accepts(text, "10.0.0.1", "tcp", 23)


def test_a_rule_is_inserted_before_the_others() -> None:
    text = saved("-A INPUT -p tcp -j ACCEPT", "-I INPUT -p tcp --dport 22 -j DROP")
    assert accepts(text, "10.0.0.1", "tcp", 23) and not accepts(text, "10.0.0.1", "tcp", 22)


def test_other_lines_are_listed() -> None:
    assert read_rules(saved("-F INPUT")).left == ["-F INPUT: not a rule as iptables-save prints it"]


def test_rules_that_ip6tables_saved_are_of_ipv6() -> None:
    text = "# Generated by ip6tables-save v1.8.9\n" + saved("-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT")
    assert accepts(text, "fd00::1", "tcp", 22) and not accepts(text, "10.0.0.1", "tcp", 22)


def test_a_policy_that_no_packet_meets_is_not_listed() -> None:
    text = saved("-A INPUT -p tcp --dport 22 -j ACCEPT", "-A INPUT -j REJECT").replace(":INPUT DROP", ":INPUT ACCEPT")
    assert not read_rules(text).left and not accepts(text, "10.0.0.1", "tcp", 23)


def test_thousands_of_dropped_addresses_take_seconds() -> None:
    dropped = [f"-A INPUT -s 10.{n // 250}.{n % 250}.7/32 -j DROP" for n in range(3000)]
    text = saved(*dropped, "-A INPUT -p tcp --dport 22 -j ACCEPT")
    started = process_time()
    assert accepts(text, "10.0.0.1", "tcp", 22) and not accepts(text, "10.0.9.7", "tcp", 22)
    assert process_time() - started < 60  # about two here


def match(left: dict[str, Any], right: Any) -> dict[str, Any]:
    return {"match": {"op": "==", "left": left, "right": right}}


def field(protocol: str, name: str) -> dict[str, Any]:
    return {"payload": {"protocol": protocol, "field": name}}


def test_a_header_of_one_family_is_of_this_family() -> None:
    text = nft(match(field("ip", "protocol"), "tcp"), {"accept": None})
    assert accepts(text, "10.0.0.1", "tcp", 22) and not accepts(text, "fd00::1", "tcp", 22)


def test_pairs_of_addresses_and_ports_are_read() -> None:
    left = {"concat": [field("ip", "saddr"), field("tcp", "dport")]}
    pairs = [{"concat": ["10.0.0.1", 22]}, {"concat": [{"prefix": {"addr": "10.1.0.0", "len": 16}}, 80]}]
    text = nft(match(left, {"set": pairs}), {"accept": None})
    assert accepts(text, "10.0.0.1", "tcp", 22) and accepts(text, "10.1.2.3", "tcp", 80)
    assert not accepts(text, "10.0.0.1", "tcp", 80) and not accepts(text, "10.1.2.3", "tcp", 22)


def test_of_a_verdict_map_only_what_cannot_be_read_is_left() -> None:
    names = {"set": [["lo", {"accept": None}], ["eth1", {"drop": None}], ["eth0", {"accept": None}]]}
    read = read_rules(nft({"vmap": {"key": {"meta": {"key": "iifname"}}, "data": names}}), ["eth0"])
    assert read.accepted and [line.rpartition(": ")[2] for line in read.left] == ["interface eth1"]


def test_rules_for_icmp_are_of_no_interest() -> None:
    limited = [match(field("icmp", "type"), "echo-request"), {"limit": {"rate": 5, "per": "second"}}, {"accept": None}]
    assert read_rules(nft(*limited)) == ([], [])


@pytest.mark.parametrize(
    "objects", ["5", "[1]", '[{"rule": {"chain": "in"}}]', '[{"chain": {"name": "in", "hook": "input"}}]']
)
def test_json_that_nft_does_not_print_is_refused(objects: str) -> None:
    with pytest.raises(ValueError, match="expected the output of nft -j list ruleset"):
        read_rules(f'{{"nftables": {objects}}}')


def test_a_rule_with_an_open_quotation_mark_is_left_and_the_others_are_read() -> None:
    rules = (
        '*filter\n:INPUT DROP [0:0]\n-A INPUT --comment "a -j ACCEPT\n-A INPUT -p tcp --dport 22 -j ACCEPT\nCOMMIT\n'
    )
    assert read_rules(rules).left == ['-A INPUT --comment "a -j ACCEPT: No closing quotation']
    assert accepts(rules, "192.0.2.1", "tcp", 22)
