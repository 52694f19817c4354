# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Traces of packets through listings by nft 0.9.8 to 1.1.3. Tests with real packets are in tests/kernel."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.expressions import View
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.sets import Members
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.symbols import ACK, SYN, Value
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.tables import parse_ruleset
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.walker import Hop, Trace, TracedPacket, Walker
from hypothesis import given
from hypothesis import strategies as st

IN = TracedPacket("in", 6, "10.0.0.7", "10.0.0.1", 22)
OUT = TracedPacket("out", 6, "10.0.0.1", "10.0.0.7", 22)
IN6 = TracedPacket("in", 17, "fd00::7", "fd00::1", 53)
ACCEPT, DROP, RETURN = {"accept": None}, {"drop": None}, {"return": None}


def match(left: Any, right: Any, operator: str = "==") -> dict[str, Any]:
    return {"match": {"op": operator, "left": left, "right": right}}


def payload(protocol: str, field: str) -> dict[str, Any]:
    return {"payload": {"protocol": protocol, "field": field}}


def meta(key: str) -> dict[str, Any]:
    return {"meta": {"key": key}}


def ct(key: str) -> dict[str, Any]:
    return {"ct": {"key": key}}


PORT = payload("tcp", "dport")
SOURCE = payload("ip", "saddr")
TO_22 = match(PORT, 22)
USER = match(meta("skuid"), 0)


def table(name: str = "t", family: str = "inet", **more: Any) -> dict[str, Any]:
    return {"table": {"family": family, "name": name, "handle": 1, **more}}


def chain(
    *rules: list[Any],
    name: str = "c",
    hook: str = "input",
    policy: str = "accept",
    prio: int = 0,
    of: str = "t",
    kind: str = "filter",
    family: str = "inet",
    **more: Any,
) -> list[dict[str, Any]]:
    """Return a chain with its rules; without a hook it is no base chain."""
    base = {"type": kind, "hook": hook, "prio": prio, "policy": policy} if hook else {}
    found = [{"chain": {"family": family, "table": of, "name": name, **base, **more}}]
    return found + [
        {"rule": {"family": family, "table": of, "chain": name, "handle": number, "expr": rule}}
        for number, rule in enumerate(rules, 1)
    ]


def flattened(items: Iterable[Any]) -> Iterator[dict[str, Any]]:
    for item in items:
        yield from flattened(item) if isinstance(item, list) else [item]


def judged(
    *items: Any,
    packet: TracedPacket = IN,
    text: str = "",
    legacy: dict[int, str] | None = None,
    own: tuple[str, ...] = ("10.0.0.1", "10.0.0.2"),
    other: Hop = Hop(),
) -> Trace:
    flat = list(flattened(items))
    if not any("table" in item and item["table"]["name"] == "t" for item in flat):
        flat.insert(0, table())
    local = {int(ip_address(address)) for address in own}

    def hop_of(view: View) -> Hop:
        return Hop("local", "lo") if view.destination in local else other

    listing = json.dumps({"nftables": [{"metainfo": {}}, *flat]})
    return Walker(parse_ruleset(listing, text), legacy, hop_of).trace(packet)


def verdict(*rule: Any, packet: TracedPacket = IN, **more: Any) -> str:
    """Return the verdict on a packet that a single rule may drop."""
    return judged(chain([*rule, DROP], **more), packet=packet).verdict


# ---- which rule


def test_without_rules_everything_passes() -> None:
    assert judged() == Trace("accept", "", "", "no rule")


@pytest.mark.parametrize("indent", ["", " "])
def test_the_deciding_rule_has_the_text_of_nft(indent: str) -> None:
    """An iptables match without a notation in nft, such as a comment, leaves a blank."""
    rule = 'tcp dport 22 drop comment "# handle 9"'
    text = f"table inet t {{ # handle 1\n\tchain c {{ # handle 1\n\t\t{indent}{rule} # handle 1\n\t}}\n}}\n"
    assert judged(chain([TO_22, DROP]), text=text) == Trace("drop", "inet t", "c", rule)
    assert judged(chain([TO_22, DROP])) == Trace("drop", "inet t", "c", "the rule with handle 1")


def test_a_policy_decides_where_no_rule_does() -> None:
    assert judged(chain([match(PORT, 23), ACCEPT], policy="drop")) == Trace("drop", "inet t", "c", "policy drop")
    assert judged(chain([RETURN], [ACCEPT], policy="drop")).rule == "policy drop"


def test_our_accepting_rule_is_preferred() -> None:
    ours = [table("hpc_ports"), chain([TO_22, ACCEPT], name="input", of="hpc_ports", policy="drop")]
    assert judged(ours, chain([ACCEPT], prio=10)) == Trace(
        "accept", "inet hpc_ports", "input", "the rule with handle 1", is_ours=True
    )
    assert judged(ours, chain([DROP], prio=10)) == Trace("drop", "inet t", "c", "the rule with handle 1")


def test_the_rule_that_judges_is_preferred_to_our_others() -> None:
    """Before NAT and, on a host with firewalld, in the policy; the chain input accepts what was judged."""
    published = [
        table("hpc_ports_published"),
        chain([TO_22, ACCEPT], name="in_web", hook="prerouting", prio=-110, of="hpc_ports_published"),
        chain([TO_22, ACCEPT], name="input", of="hpc_ports_published"),
    ]
    assert judged(published).chain == "in_web"
    firewalld = [
        table("firewalld"),
        chain([ACCEPT], name="filter_IN_policy_hpc_ports_in_allow", of="firewalld", prio=10),
    ]
    assert judged(published, firewalld).chain == "filter_IN_policy_hpc_ports_in_allow"
    assert judged(published, packet=IN._replace(port=23)).rule == "policy accept"


@pytest.mark.parametrize(
    "name,is_ours", [("filter_IN_policy_hpc_ports_in_deny", True), ("filter_IN_public_deny", False)]
)
def test_our_policies_in_firewalld_are_ours(name: str, is_ours: bool) -> None:
    found = judged(table("firewalld"), chain([DROP], name=name, of="firewalld"))
    assert (found.verdict, found.chain, found.is_ours) == ("drop", name, is_ours)


def test_hooks_and_priorities_are_in_the_order_of_the_kernel() -> None:
    late = chain([DROP], name="late", prio=5)
    first = chain([DROP], name="first", hook="prerouting", prio=300)
    assert judged(late, chain([DROP], name="early", prio=-5)).chain == "early"
    assert judged(late, first).chain == "first"
    assert judged(late, first, packet=OUT).verdict == "accept"
    # Of the same priority, the youngest is first.
    assert judged(chain([DROP], name="old"), chain([DROP], name="young")).chain == "young"


def test_loopback_packets_pass_the_input_hooks_too() -> None:
    packet = TracedPacket("out", 6, "10.0.0.1", "10.0.0.1", 22, interface="lo")
    assert judged(chain([match(meta("iifname"), "lo"), DROP]), packet=packet).chain == "c"


def test_tables_of_the_other_family_are_ignored() -> None:
    drop = [table("six", "ip6"), chain([DROP], of="six", family="ip6")]
    assert judged(drop).verdict == "accept"
    assert judged(drop, packet=IN6).verdict == "drop"


# ---- tables that do not count


@pytest.mark.parametrize(
    "flags,text",
    [({"flags": "dormant"}, ""), ({"flags": "dm"}, "table inet t {\n\tflags dormant\n\n\tchain c {\n\t}\n}\n")],
)
def test_a_dormant_table_does_nothing(flags: dict[str, str], text: str) -> None:
    """Before nft 1.1, the flags in JSON are arbitrary text."""
    assert judged(table(**flags), chain([DROP]), text=text).verdict == "accept"


def test_the_counting_table_is_ignored() -> None:
    assert judged(table("hpc_ports_verify"), chain([DROP], of="hpc_ports_verify")).table == ""


# ---- matches


@pytest.mark.parametrize(
    "rule",
    [
        TO_22,
        match(PORT, {"range": [20, 22]}),
        match(PORT, {"set": [21, {"range": [22, 23]}]}),
        match(PORT, {"set": 22}),
        match(PORT, 22, ">="),
        match(PORT, 23, "<"),
        match(PORT, 23, "!="),
        match(PORT, {"set": [{"elem": {"val": 22, "comment": "x"}}]}),
        match({"&": [PORT, 3]}, 2),
        match(payload("th", "dport"), 22),
        match(payload("tcp", "sport"), 49152),
        match({"payload": {"base": "th", "offset": 16, "len": 16}}, 22),
        match(SOURCE, {"prefix": {"addr": "10.0.0.0", "len": 8}}),
        match(SOURCE, {"range": ["10.0.0.1", "10.0.0.9"]}),
        match({"&": [SOURCE, "0.0.0.7"]}, "0.0.0.7"),
        match(SOURCE, "10.0.0.8", "!="),
        match(
            {"concat": [SOURCE, PORT]},
            {"set": [{"concat": [{"prefix": {"addr": "10.0.0.0", "len": 8}}, {"range": [22, 25]}]}]},
        ),
        match(meta("l4proto"), 6),
        match(meta("l4proto"), "tcp"),
        match(meta("l4proto"), {"set": [6, 17]}),
        match(payload("ip", "protocol"), "tcp"),
        match(meta("nfproto"), "ipv4"),
        match(meta("protocol"), "ip"),
        match(meta("iifname"), "eth0"),
        match(meta("iifname"), "e*"),
        match(meta("iif"), {"set": ["lo", "eth*"]}),
        match(meta("oifname"), "eth0", "!="),
        match(meta("mark"), 0),
        match(meta("pkttype"), "host"),
        match(ct("state"), ["new", "related"], "in"),
        match(ct("state"), {"set": ["new", "established"]}),
        match(ct("state"), "established", "!="),
        match(ct("direction"), "original"),
        match(ct("mark"), 0),
        match(ct("status"), ["snat", "dnat"], "!"),
        match({"&": [ct("status"), {"|": ["snat", "dnat"]}]}, 0),
        match({"ct": {"key": "proto-dst", "dir": "original"}}, 22),
        match(payload("tcp", "flags"), "syn", "in"),
        match({"&": [payload("tcp", "flags"), ["fin", "syn", "rst", "ack"]]}, "syn"),
        match({"&": [payload("tcp", "flags"), {"|": [{"|": [{"|": ["fin", "syn"]}, "rst"]}, "ack"]}]}, "syn"),
        match({"&": [payload("tcp", "flags"), {"|": ["fin", "syn", "rst", "ack"]}]}, "syn"),
        match({"fib": {"result": "type", "flags": ["daddr"]}}, "local"),
        match({"&": [payload("ip", "frag-off"), 8191]}, 0),
    ],
    ids=json.dumps,
)
def test_matches_that_hold(rule: dict[str, Any]) -> None:
    assert verdict(rule) == "drop"


@pytest.mark.parametrize(
    "rule",
    [
        match(PORT, 23),
        match(PORT, {"set": [21, {"range": [23, 29]}]}),
        match(PORT, 22, "!="),
        match(payload("udp", "dport"), 22),
        match(payload("udp", "dport"), 23, "!="),
        match(payload("ip6", "saddr"), "fd00::1", "!="),
        match(SOURCE, {"prefix": {"addr": "11.0.0.0", "len": 8}}),
        match(meta("iifname"), "lo"),
        match(meta("oifname"), "eth0"),
        match(ct("state"), ["established", "related"], "in"),
        match(ct("status"), "dnat", "in"),
        match(payload("tcp", "flags"), "ack", "in"),
        match({"&": [payload("tcp", "flags"), ["fin", "syn", "rst", "ack"]]}, "syn", "!="),
        match(payload("icmp", "type"), "echo-request"),
        match({"exthdr": {"name": "frag"}}, True),
        match(meta("mark"), 1),
        match({"concat": [meta("skuid"), PORT]}, {"set": [{"concat": [0, 23]}]}),
    ],
    ids=json.dumps,
)
def test_matches_that_do_not_hold(rule: dict[str, Any]) -> None:
    assert verdict(rule) == "accept"


@pytest.mark.parametrize(
    "rule",
    [
        USER,
        match(meta("length"), {"range": [0, 100]}),
        match(meta("cpu"), 1),
        match(payload("ip", "ttl"), 1),
        match({"socket": {"key": "mark"}}, 1),
        match({"fib": {"result": "oif", "flags": ["saddr", "iif"]}}, False),
        match(SOURCE, "@gone"),
        {"xt": {"type": "match", "name": "recent"}},
        {"xt": None},
        {"something": None},
        match({"&": [payload("ip", "frag-off"), 0xFFFF]}, 0),
        "jump {\n\tdrop\n}",
        match(payload("tcp", "window"), 1),
        match(PORT, meta("mark")),
        match({"concat": [meta("skuid"), PORT]}, {"set": [{"concat": [0, 22]}]}),
    ],
    ids=json.dumps,
)
def test_unknown_matches(rule: Any) -> None:
    found = judged(chain([rule, DROP]))
    assert (found.verdict, found.table, found.chain) == ("unknown", "inet t", "c")
    assert "table inet t, chain c: the rule with handle 1" in found.unknown


def test_icmp_is_an_echo_request() -> None:
    echo = TracedPacket("in", 1, "10.0.0.7", "10.0.0.1", 0)
    kinds = {"set": ["destination-unreachable", "echo-request"]}
    assert verdict(match(payload("icmp", "type"), kinds), packet=echo) == "drop"
    assert verdict(match(payload("icmp", "type"), "echo-reply"), packet=echo) == "accept"


@pytest.mark.parametrize("returns,expected", [(True, "accept"), (False, "drop"), (None, "unknown")])
def test_the_route_to_the_source_in_a_rule(returns: bool | None, expected: str) -> None:
    rule = match({"fib": {"result": "oif", "flags": ["saddr", "mark", "iif"]}}, False)
    assert verdict(rule, packet=IN._replace(returns=returns), hook="prerouting", prio=10) == expected


@pytest.mark.parametrize(
    "prio,state,expected",
    [
        (-300, "invalid", "drop"),
        (-300, "new", "accept"),
        (-200, "new", "unknown"),
        (-150, "new", "drop"),
        (-150, "invalid", "accept"),
    ],
)
def test_before_connection_tracking_there_is_no_state(prio: int, state: str, expected: str) -> None:
    assert verdict(match(ct("state"), state, "in"), hook="prerouting", prio=prio) == expected


def test_untracked_packets_stay_untracked() -> None:
    raw = chain([{"notrack": None}], name="raw", hook="prerouting", prio=-300)
    assert judged(raw, chain([match(ct("state"), "untracked", "in"), DROP])).verdict == "drop"
    assert judged(raw, chain([match(ct("mark"), 0), DROP])).verdict == "accept"


def test_an_answer_belongs_to_a_known_connection() -> None:
    answer = TracedPacket("out", 6, "10.0.0.1", "10.0.0.7", 49152, 22, state="established", flags=SYN | ACK)
    rules = chain([match(ct("state"), ["established", "related"], "in"), ACCEPT], hook="output", policy="drop")
    assert judged(rules, packet=answer).verdict == "accept"
    assert judged(rules, packet=OUT).verdict == "drop"
    assert judged(chain([match(ct("status"), "dnat", "in"), DROP], hook="output"), packet=answer).verdict == "unknown"


# ---- three values


def test_unknown_matches_count_only_if_they_change_the_verdict() -> None:
    assert judged(chain([USER, ACCEPT])).verdict == "accept"
    assert judged(chain([USER, {"counter": None}], policy="drop")).verdict == "drop"
    assert judged(chain([USER, DROP], [DROP])).verdict == "drop"
    # The rule that drops in any case is named.
    assert judged(chain([USER, DROP]), chain([TO_22, DROP], name="other", prio=9)) == Trace(
        "drop", "inet t", "other", "the rule with handle 1"
    )
    assert judged(chain([USER, ACCEPT], [USER, DROP], policy="drop")).rule == "policy drop"
    assert judged(chain([USER, ACCEPT], policy="drop")) == Trace(
        "unknown",
        "inet t",
        "c",
        "policy drop",
        unknown="it is unknown whether this rule applies: table inet t, chain c: the rule with handle 1",
    )


def test_hidden_iptables_matches_are_named_in_the_reason() -> None:
    for data, name in (({"type": "match", "name": "conntrack"}, "xt conntrack"), (None, "xt")):
        assert judged(chain([{"xt": data}, ACCEPT], policy="drop")) == Trace(
            "unknown",
            "inet t",
            "c",
            "policy drop",
            unknown=f"nft does not show the conditions of this iptables rule ({name}): "
            "table inet t, chain c: the rule with handle 1",
        )


@pytest.mark.parametrize("name,expected", [("rt", "accept"), ("hbh", "accept"), ("ipv6header", "unknown")])
def test_opening_packets_have_no_extension_headers(name: str, expected: str) -> None:
    assert verdict({"xt": {"type": "match", "name": name}}, packet=IN6) == expected


def test_many_unknown_rules_take_no_time() -> None:
    rules = [[USER, {"mangle": {"key": meta("mark"), "value": number % 2}}] for number in range(200)]
    found = judged(chain(*rules, [match(meta("mark"), 1), DROP]))
    assert found.verdict == "unknown" and len(found.unknown) < 600


def test_drop_or_reject_is_denied_for_certain() -> None:
    assert judged(chain([USER, {"reject": None}], [DROP])).verdict in ("drop", "reject")


def test_legacy_rules_make_accept_unknown() -> None:
    legacy = {4: "nft does not list the rules of iptables-legacy (tables filter)"}
    assert judged(legacy=legacy) == Trace("unknown", unknown=legacy[4])
    assert judged(legacy=legacy, packet=IN6).verdict == "accept"
    assert judged(chain([DROP]), legacy=legacy).verdict == "drop"
    elsewhere = judged(legacy=legacy, packet=IN._replace(destination="10.0.0.240"), other=DOCKER0)
    assert elsewhere.unknown == f"{legacy[4]}; 10.0.0.240 is not an address of this host."


# ---- verdicts

VERDICTS = [
    [22, {"jump": {"target": "sub"}}],
    [{"range": [80, 90]}, DROP],
    [{"elem": {"val": 100, "comment": "x"}}, {"goto": {"target": "sub"}}],
]


@pytest.mark.parametrize(
    "port,expected", [(22, ("drop", "c")), (85, ("drop", "c")), (100, ("accept", "c")), (101, ("drop", "c"))]
)
def test_maps_of_verdicts(port: int, expected: tuple[str, str]) -> None:
    """After a jump the packet returns to the next rule, after a goto it does not."""
    found = judged(
        {"map": {"family": "inet", "table": "t", "name": "m", "map": "verdict", "elem": VERDICTS}},
        chain([{"counter": None}], name="sub", hook=""),
        chain([{"vmap": {"key": PORT, "data": "@m"}}], [DROP]),
        packet=IN._replace(port=port),
    )
    assert (found.verdict, found.chain) == expected


def test_a_random_key_may_match_each_element() -> None:
    """As kube-proxy balances load."""
    key = {"numgen": {"mode": "random", "mod": 2, "offset": 0}}

    def found(*targets: Any) -> str:
        return judged(chain([{"vmap": {"key": key, "data": {"set": list(enumerate(targets))}}}])).verdict

    assert (found(ACCEPT, ACCEPT), found(ACCEPT, DROP)) == ("accept", "unknown")
    balanced = nat(
        {"vmap": {"key": key, "data": {"set": [[0, {"goto": {"target": "a"}}], [1, {"goto": {"target": "b"}}]]}}}
    )
    ends = [
        chain([{"dnat": {"family": "ip", "addr": f"10.0.9.{number}", "port": 2222}}], name=name, hook="")
        for number, name in enumerate("ab", 8)
    ]
    assert judged(ends, balanced, other=DOCKER0).verdict == "accept"
    drops = chain([match(payload("ip", "daddr"), "10.0.9.9"), DROP], hook="forward")
    assert judged(ends, balanced, drops, other=DOCKER0).verdict == "unknown"


def test_a_map_may_have_an_element_for_all_others() -> None:
    data = {"set": [["10.0.0.9", ACCEPT], ["*", DROP]]}
    rules = chain([{"vmap": {"key": SOURCE, "data": data}}])
    assert judged(rules).verdict == "drop"
    assert judged(rules, packet=IN._replace(source="10.0.0.9")).verdict == "accept"


def test_an_accept_in_a_chain_that_was_jumped_to_accepts() -> None:
    base = chain([{"jump": {"target": "sub"}}], [DROP])
    assert judged(chain([ACCEPT], name="sub", hook=""), base).verdict == "accept"
    assert judged(chain([TO_22, RETURN], [ACCEPT], name="sub", hook=""), base).verdict == "drop"


@pytest.mark.parametrize(
    "data,packet,expected",
    [
        (None, IN, "reject"),
        ({"type": "icmp", "expr": "host-unreachable"}, IN, "reject"),
        ({"type": "icmpv6"}, IN, "accept"),
        ({"type": "icmp"}, IN6, "accept"),
        ({"type": "tcp reset"}, IN6, "accept"),
        ({"type": "tcp reset"}, IN, "reject"),
    ],
)
def test_rejects_are_of_the_family_of_their_answer(data: Any, packet: TracedPacket, expected: str) -> None:
    assert judged(chain([{"reject": data}]), packet=packet).verdict == expected


def test_limits_are_assumed_not_exceeded_and_noted() -> None:
    found = judged(chain([{"limit": {"rate": 5, "per": "second"}}, ACCEPT], policy="drop"))
    assert (found.verdict, found.notes) == (
        "accept",
        ("limited by limit, assumed not exceeded: table inet t, chain c: the rule with handle 1",),
    )
    assert judged(chain([{"ct count": {"val": 5, "inv": True}}, DROP])).verdict == "accept"
    assert judged(chain([{"limit": "named"}, DROP])).verdict == "unknown"


def test_a_limit_in_a_set_may_be_only_in_the_text() -> None:
    add = {"set": {"op": "add", "elem": SOURCE, "set": "@seen"}}
    text = "table inet t {\n\tchain c {\n\t\tadd @seen { ip saddr limit rate over 5/second } drop # handle 1\n\t}\n}\n"
    assert judged(chain([add, DROP]), text=text).verdict == "unknown"
    assert judged(chain([add, DROP])).verdict == "drop"
    inner = {"set": {**add["set"], "stmt": [{"limit": {"rate": 5, "per": "second", "inv": True}}]}}
    assert judged(chain([inner, DROP])).verdict == "accept"


def test_sets_that_rules_changed_are_unknown() -> None:
    seen = {"set": {"family": "inet", "table": "t", "name": "seen", "elem": []}}
    add = {"set": {"op": "add", "elem": SOURCE, "set": "@seen"}}
    assert judged(seen, chain([match(SOURCE, "@seen"), DROP], [add])).verdict == "accept"
    assert judged(seen, chain([add], [match(SOURCE, "@seen"), DROP])).verdict == "unknown"


@pytest.mark.parametrize(
    "version,source,expected",
    [("0.9.8", "fd00::7", "drop"), ("0.9.8", "fd00:0:0:1::7", "unknown"), ("1.0.6", "fd00:0:0:1::7", "accept")],
)
def test_prefixes_that_an_old_nft_lists_too_long(version: str, source: str, expected: str) -> None:
    """0.9.8 lists fd00::/16 . 53 as fd00::/64 . 53."""
    key = {"concat": [{"prefix": {"addr": "fd00::", "len": 64}}, 53]}
    rule = match({"concat": [payload("ip6", "saddr"), payload("udp", "dport")]}, {"set": [key]})
    found = judged({"metainfo": {"version": version}}, chain([rule, DROP]), packet=IN6._replace(source=source))
    assert found.verdict == expected


# ---- translations


def nat(*rule: Any, hook: str = "prerouting") -> list[dict[str, Any]]:
    return chain(list(rule), name="nat", hook=hook, prio=-100, kind="nat")


TO_CONTAINER = {"dnat": {"family": "ip", "addr": "10.0.9.9", "port": 2222}}
CONTAINER = "10.0.9.9 port 2222 (table inet t, chain nat: the rule with handle 1)"
DOCKER0 = Hop("unicast", "docker0", is_bridged=False)
ORIGINAL = {"ct": {"key": "ip daddr", "dir": "original"}}
ORIGINAL_PORT = {"ct": {"key": "proto-dst", "dir": "original"}}


@pytest.mark.parametrize(
    "hop,reason",
    [
        (Hop(), f"it may be forwarded to {CONTAINER}"),
        (Hop("unicast", error="net.ipv4.ip_forward is 0"), f"it is sent to {CONTAINER}, but net.ipv4.ip_forward is 0"),
    ],
)
def test_packets_sent_to_other_hosts_are_unknown_if_they_may_not_get_there(hop: Hop, reason: str) -> None:
    found = judged(nat(TO_22, TO_CONTAINER), other=hop)
    assert found == Trace("unknown", unknown=reason, notes=(f"the destination is changed to {CONTAINER}",))


@pytest.mark.parametrize(
    "rule,hook,expected",
    [
        ([TO_22], "forward", "accept"),
        ([match(PORT, 2222), match(meta("oifname"), "docker0"), match(meta("iifname"), "eth0")], "forward", "drop"),
        ([match(payload("ip", "daddr"), "10.0.9.9"), match(ct("status"), "dnat", "in")], "forward", "drop"),
        ([match(ORIGINAL, "10.0.0.1"), match(ORIGINAL_PORT, 22), match(ct("state"), "new", "in")], "forward", "drop"),
        ([match(ORIGINAL, "10.0.9.9")], "forward", "accept"),
        ([match({"ct": {"key": "ip6 daddr", "dir": "original"}}, "::1", "!=")], "forward", "accept"),
        ([match({"fib": {"result": "type", "flags": ["daddr"]}}, "local")], "forward", "accept"),
        ([match(meta("oifname"), "docker0")], "postrouting", "drop"),
        ([], "input", "accept"),
        ([], "output", "accept"),
    ],
)
def test_packets_sent_to_a_container_pass_the_hooks_of_forwarded_packets(
    rule: list[Any], hook: str, expected: str
) -> None:
    found = judged(nat(TO_22, TO_CONTAINER), chain([*rule, DROP], hook=hook), other=DOCKER0)
    assert (found.verdict, found.notes) == (expected, (f"the destination is changed to {CONTAINER}",))


def test_only_rules_for_the_outgoing_interface_are_unknown_without_it() -> None:
    hop = Hop("unicast", None)
    by_port, by_interface = match(PORT, 2222), match(meta("oifname"), "docker0")
    verdicts = [
        judged(nat(TO_22, TO_CONTAINER), chain([rule, DROP], hook="forward"), other=hop).verdict
        for rule in (by_port, by_interface)
    ]
    assert verdicts == ["drop", "unknown"]
    egress = [table("n", "netdev"), chain([DROP], of="n", family="netdev", hook="egress", dev="docker0")]
    assert judged(nat(TO_22, TO_CONTAINER), egress, other=hop).verdict == "unknown"
    assert judged(nat(TO_22, TO_CONTAINER), egress, other=DOCKER0).verdict == "drop"
    assert judged(nat(TO_22, TO_CONTAINER), egress, other=DOCKER0._replace(interface="eth1")).verdict == "accept"


@pytest.mark.parametrize("hook,expected", [("output", "unknown"), ("forward", "accept")])
def test_a_bridge_to_a_container_may_drop(hook: str, expected: str) -> None:
    bridge = [table("b", "bridge"), chain([DROP], of="b", family="bridge", hook=hook)]
    assert judged(nat(TO_22, TO_CONTAINER), bridge, other=DOCKER0._replace(is_bridged=True)).verdict == expected
    assert judged(nat(TO_22, TO_CONTAINER), bridge, other=DOCKER0).verdict == "accept"


def test_what_would_publish_a_port_is_named_where_the_packet_is_dropped_before() -> None:
    ours = [table("hpc_ports"), chain([DROP], name="prerouting", hook="prerouting", prio=-110, of="hpc_ports")]
    found = judged(ours, nat(TO_22, TO_CONTAINER), other=DOCKER0)
    assert found == Trace(
        "drop",
        "inet hpc_ports",
        "prerouting",
        "the rule with handle 1",
        is_ours=True,
        notes=(f"the destination would be changed to {CONTAINER}",),
    )
    assert judged(ours, nat(USER, TO_CONTAINER), other=DOCKER0).notes == ()


def test_a_packet_to_an_address_of_others_is_dropped_or_unknown() -> None:
    packet = IN._replace(destination="10.0.0.240")
    by_address = chain([match(payload("ip", "daddr"), "10.0.0.240"), DROP], hook="prerouting", prio=-110)
    assert judged(by_address, packet=packet, other=DOCKER0).verdict == "drop"
    assert judged(packet=packet, other=DOCKER0).unknown == "10.0.0.240 is not an address of this host."
    assert judged(nat({"redirect": None}), packet=packet, other=DOCKER0).verdict == "accept"


def test_the_table_beside_firewalld_is_ours() -> None:
    ours = [table("hpc_ports_published"), chain([DROP], hook="prerouting", prio=-110, of="hpc_ports_published")]
    assert judged(ours).is_ours


@pytest.mark.parametrize(
    "to", [{"dnat": {"addr": "10.0.0.2", "port": 2222}}, {"dnat": {"port": 2222}}, {"redirect": {"port": 2222}}]
)
def test_packets_redirected_on_this_host_are_traced_at_the_new_port(to: dict[str, Any]) -> None:
    found = judged(nat(TO_22, to), chain([match(PORT, 2222), DROP]))
    assert (found.verdict, found.chain, len(found.notes)) == ("drop", "c", 1)
    assert judged(nat(TO_22, to), chain([match(ct("status"), "dnat", "in"), DROP])).verdict == "drop"
    assert judged(nat(TO_22, to), packet=IN._replace(state="established")).notes == ()


def test_a_changed_source_is_noted() -> None:
    found = judged(nat({"masquerade": None}, hook="postrouting"), packet=OUT)
    assert (found.verdict, found.notes) == (
        "accept",
        ("the source is changed to the address of the interface (table inet t, chain nat: the rule with handle 1)",),
    )


@pytest.mark.parametrize(
    "statement", [{"queue": {}}, {"tproxy": {"addr": "127.0.0.1", "port": 50}}, {"dnat": {"addr": {"map": {}}}}]
)
def test_statements_with_unknown_effect(statement: dict[str, Any]) -> None:
    assert judged(chain([TO_22, statement], hook="prerouting", kind="filter")).verdict == "unknown"


# ---- what iptables-nft adds


@pytest.mark.parametrize(
    "rule,expected",
    [
        ([TO_22, {"xt": {"type": "match", "name": "comment"}}, DROP], "drop"),
        ([TO_22, {"xt": {"type": "target", "name": "LOG"}}], "accept"),
        ([TO_22, {"xt": {"type": "target", "name": "REJECT"}}], "reject"),
        ([TO_22, {"xt": None}], "unknown"),
        ([match(PORT, 23), {"xt": None}, DROP], "accept"),
        ([TO_22, {"xt": {"type": "target", "name": "NFQUEUE"}}], "unknown"),
    ],
)
def test_extensions_of_iptables(rule: list[Any], expected: str) -> None:
    assert judged(chain(rule)).verdict == expected


# ---- frames


def test_bridge_chains_are_not_evaluated() -> None:
    bridge = [table("b", "bridge"), chain([], of="b", family="bridge", policy="drop")]
    assert judged(bridge).verdict == "accept"
    found = judged(bridge, packet=IN._replace(is_bridged=True))
    assert (found.verdict, found.table, found.unknown) == (
        "unknown",
        "bridge b",
        "table bridge b, chain c (hook input) is not evaluated",
    )
    harmless = [table("b", "bridge"), chain([ACCEPT], of="b", family="bridge")]
    assert judged(harmless, packet=IN._replace(is_bridged=True)).verdict == "accept"


@pytest.mark.parametrize(
    "device,text,packet,expected",
    [
        ({"dev": "eth0"}, "", IN, "drop"),
        ({"dev": ["eth0", "eth1"]}, "", IN, "drop"),
        ({"dev": "eth1"}, "", IN, "accept"),
        ({}, "", IN, "unknown"),
        ({"dev": "eth1"}, "", IN._replace(devices=frozenset(["eth1"])), "unknown"),
        ({}, 'device "eth0"', IN, "drop"),
        ({}, "devices = { eth1, eth2 }", IN, "accept"),
    ],
)
def test_ingress_is_evaluated_if_its_device_is_known(
    device: Any, text: str, packet: TracedPacket, expected: str
) -> None:
    rules = chain([TO_22, DROP], of="n", family="netdev", hook="ingress", **device)
    listing = f"table netdev n {{\n\tchain c {{\n\t\ttype filter hook ingress {text} priority filter; policy accept;\n"
    assert judged(table("n", "netdev"), rules, packet=packet, text=listing).verdict == expected


# ---- sets

RANGES = (
    st.lists(st.integers(0, 60), min_size=2, max_size=12, unique=True)
    .map(sorted)
    .map(lambda edges: list(zip(edges[::2], edges[1::2])))
)


@given(RANGES, st.integers(0, 61))
def test_lookup_in_a_set_of_ranges(ranges: list[tuple[int, int]], number: int) -> None:
    found = Members([{"range": list(item)} for item in ranges], ["port"], False).lookup([Value("port", number)])
    is_in = any(first <= number <= last for first, last in ranges)
    assert found == ([None] if is_in else [], not is_in)
    concat = Members([{"concat": [{"range": list(item)}, 7]} for item in ranges], ["port", "mark"], False)
    assert concat.lookup([Value("port", number), Value("mark", 7)]) == found
    assert concat.lookup([Value("port", number), Value("mark", 8)]) == ([], True)


def test_sets_of_one_element_are_distinguished() -> None:
    assert judged(chain([match(PORT, {"set": 23}), DROP], [match(PORT, {"set": 22}), DROP])).verdict == "drop"


def test_an_invalid_listing_is_refused() -> None:
    with pytest.raises(ValueError) as caught:
        parse_ruleset('{"other": 1}')
    assert str(caught.value) == "Invalid listing: got '{\"other\": 1}', expected the output of nft -j."
