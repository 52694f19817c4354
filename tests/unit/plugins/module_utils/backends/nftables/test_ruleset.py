# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rulesets against golden files, and listings of three versions of nft."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._backends.nft_listing import parse_listing
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables import kernel
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables.kernel import check_definitions
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables.ruleset import Ruleset, ruleset_of, script_of
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables.views import flow_views
from ansible_collections.hpc.ports.plugins.module_utils._linux.command import CommandError
from ansible_collections.hpc.ports.plugins.module_utils._linux.netlink import NetlinkError
from ansible_collections.hpc.ports.plugins.module_utils._linux.nft_fingerprint import NoTableError
from ansible_collections.hpc.ports.plugins.module_utils._linux.nft_listings import ListingCache
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import parse_policy
from ansible_collections.hpc.ports.plugins.module_utils._model.ports import EVERYTHING
from ansible_collections.hpc.ports.plugins.module_utils._model.state import FlowView

GOLDEN = Path(__file__).parents[4] / "golden"
VERSIONS = ("0.9.8", "1.0.6", "1.1.3")
# The chains of every ruleset for packets from outside.
INWARD = ("prerouting", "input", "translated", "arriving")


def golden_policy(name: str) -> dict[str, Any]:
    return json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))


def script_of_policy(data: dict[str, Any]) -> str:
    return script_of(ruleset_of(parse_policy(data)))


# ---- policy to script


@pytest.mark.parametrize("name", [path.stem for path in sorted(GOLDEN.glob("*.json"))])
def test_golden_rulesets(name: str) -> None:
    """Written by tests/unit/golden/regenerate.py; a change of one has to be wanted."""
    assert script_of_policy(golden_policy(name)) == (GOLDEN / f"{name}.nft").read_text(encoding="utf-8")


def test_there_is_a_golden_ruleset_for_every_policy() -> None:
    assert [path.stem for path in sorted(GOLDEN.glob("*.json"))] == [path.stem for path in sorted(GOLDEN.glob("*.nft"))]


def test_open_egress_has_no_output_chain_whatever_the_rules() -> None:
    data = {**golden_policy("restricted"), "egress": "open"}
    assert {name for name in ruleset_of(parse_policy(data)).chains if name.startswith("out")} == set()


def test_observe_records_what_is_dropped_and_changes_nothing_else() -> None:
    data = golden_policy("restricted")
    observed = script_of_policy({**data, "mode": "observe"})
    enforced = script_of_policy(data).replace("policy drop", "policy accept")
    for name in ("denied_in", "denied_out"):
        enforced = enforced.replace(f'counter name "{name}" drop', f'counter name "{name}"')
    for name in ("prerouting", "translated"):
        enforced = enforced.replace(f"add rule inet hpc_ports {name} drop\n", "")
    recording = [line for line in observed.splitlines() if re.search('@observed_|[ "]observed_|unrecorded_', line)]
    assert [line for line in observed.splitlines() if line not in recording] == enforced.splitlines()
    assert not [line for line in recording if line.startswith("flush")]


@pytest.mark.parametrize("name", ["observe", "containers"])
def test_each_set_of_records_is_filled_by_rules_that_accept(name: str) -> None:
    found = ruleset_of(parse_policy({**golden_policy(name), "mode": "observe"}))
    texts = [rule for chain in found.chains.values() for rule in chain.rules]
    filled = {match[1] for match in (re.search(r"update @(\w+) .* accept$", rule) for rule in texts) if match}
    assert filled == {name for name in found.sets if name.startswith("observed_")} - {"observed_since"}
    denied, unrecorded = (
        {name.partition("_")[2] for name in found.counters if name.startswith(start)}
        for start in ("denied", "unrecorded")
    )
    assert denied == unrecorded
    assert all("size " in found.sets[name][0] for name in filled)


def test_names_do_not_depend_on_addresses_or_on_other_flows() -> None:
    data = golden_policy("restricted")
    other = {**data, "networks": {**data["networks"], "nodes": ["10.99.0.0/16", "fd99::/64"]}}
    fewer = {**data, "rules": [rule for rule in data["rules"] if rule["flow"] != "management_ssh"]}
    whole = ruleset_of(parse_policy(data))
    for changed in map(ruleset_of, map(parse_policy, (other, fewer))):
        assert set(changed.sets) <= set(whole.sets) and set(changed.maps) <= set(whole.maps)
        assert set(changed.chains) <= set(whole.chains)


# A flow whose range others begin or end in; it covers all the ports of some of them.
SERVED = {"direction": "in", "flow": "served", "ports": ["5990-6020/tcp"], "peers": "nodes"}


def flow(name: str, *ports: str, peers: str = "controllers", direction: str = "in") -> dict[str, Any]:
    return {"direction": direction, "flow": name, "ports": list(ports), "peers": peers}


def ruleset_of_rules(*rules: dict[str, Any]) -> Ruleset:
    return ruleset_of(parse_policy({**golden_policy("overlapping"), "egress": "restricted", "rules": list(rules)}))


def targets(ruleset: Ruleset, name: str = "in_tcp") -> dict[str, str]:
    """Return where the elements of a map jump to, by port."""
    return dict(element.split(" : jump ") for element in ruleset.maps[name][1])


@pytest.mark.parametrize(
    "others, key",
    [
        ((), "5990-6020"),
        ((flow("web", "5995/tcp", "6005/tcp"),), "5996-6004"),
        ((flow("web", "5980-5999/tcp"), flow("a", "6001-65535/tcp")), "6000"),
        ((flow("web", "5990-5999/tcp", "7000/tcp"), flow("z", "6020/tcp", "6000/udp")), "6000-6019"),
    ],
)
def test_others_that_cut_a_range_leave_its_chain_as_it_was(others: tuple[dict[str, Any], ...], key: str) -> None:
    """A packet for port 6000 that is half way through the old rules finds the chain that it would have found before."""
    alone, ruleset = ruleset_of_rules(SERVED), ruleset_of_rules(SERVED, *others)
    assert targets(ruleset)[key] == "in_served"
    assert ruleset.chains["in_served"] == alone.chains["in_served"]


def test_segments_of_the_same_flows_share_a_chain() -> None:
    found = ruleset_of_rules(flow("a", "10-20/tcp", "10/udp", "112/ip"), flow("b", "15/tcp", "18/tcp", "9/tcp"))
    assert targets(found) == {
        "9": "in_b",
        "10-14": "in_a",
        "15": "in_a-b",
        "16-17": "in_a",
        "18": "in_a-b",
        "19-20": "in_a",
    }
    assert (targets(found, "in_udp"), targets(found, "in_ip")) == ({"10": "in_a"}, {"112": "in_a"})
    assert set(found.chains) == {*INWARD, "output", "in_a", "in_b", "in_a-b"}
    assert found.chains["in_a-b"].rules == found.chains["in_a"].rules + found.chains["in_b"].rules


@pytest.mark.parametrize("count, single", [(64, []), (65, ["in_tcp.single_256"])])
def test_more_than_64_segments_have_a_map_of_single_ports_in_front(count: int, single: list[str]) -> None:
    found = ruleset_of_rules(flow("a", *(f"{2 * port}/tcp" for port in range(1, count + 1))), flow("c", "80/udp"))
    assert [name for name in found.maps if "single" in name] == single
    asked = [rule for rule in found.chains["arriving"].rules if "vmap" in rule]
    assert asked == [*(f"tcp dport vmap @{name}" for name in (*single, "in_tcp")), "udp dport vmap @in_udp"]


def test_a_map_of_single_ports_has_all_segments_of_up_to_16_ports() -> None:
    found = ruleset_of(parse_policy(golden_policy("many_ports")))
    expected = {}
    for key, chain in targets(found).items():
        first, _dash, last = key.partition("-")
        ports = range(int(first), int(last or first) + 1)
        expected.update({str(port): chain for port in ports if len(ports) <= 16})
    assert {"1", "16"} <= set(expected) and not {"101", "117"} & set(expected)
    assert targets(found, "in_tcp.single_256") == expected


def test_ip_protocols_need_no_map_of_single_ones() -> None:
    found = ruleset_of_rules(flow("a", *(f"{number}/ip" for number in range(60, 250, 2))))
    assert [name for name in found.maps if name.startswith("in")] == ["in_ip"]


def test_everything_has_an_element_for_each_ip_protocol_that_is_neither_tcp_nor_udp_nor_always_accepted() -> None:
    found = ruleset_of_rules(flow("a", *map(str, EVERYTHING)), flow("b", "112/ip"))
    assert targets(found) == targets(found, "in_udp") == {"0-65535": "in_a"}
    assert targets(found, "in_ip") == {
        str(number): "in_a-b" if number == 112 else "in_a" for number in range(256) if number not in (1, 2, 6, 17, 58)
    }


@pytest.mark.parametrize("turn", [1, -1])
def test_flows_come_in_the_same_order_wherever_their_ports_begin(turn: int) -> None:
    rules = [flow("b", "5-15/tcp", "35-50/tcp"), flow("a", "10-20/tcp", "30-40/tcp")][::turn]
    assert targets(ruleset_of_rules(*rules)) == {
        "5-9": "in_b",
        "10-15": "in_a-b",
        "16-20": "in_a",
        "30-34": "in_a",
        "35-40": "in_a-b",
        "41-50": "in_b",
    }


def test_rules_of_one_flow_with_other_ports_have_chains_of_their_own() -> None:
    found = ruleset_of_rules(
        flow("a", "10-20/tcp", direction="out"), flow("a", "15/tcp", peers="nodes", direction="out")
    )
    whole, part, end = targets(found, "out_tcp").values()
    first, second = sorted({name.rpartition("_v")[0] for name in found.sets})
    assert whole == end and whole in (first, second)
    assert part == f"{first}-{second[len('out_') :]}"
    assert len(found.chains[part].rules) == 2 * len(found.chains[whole].rules)


LONG = [f"{letter}{'x' * 39}" for letter in "abcd"]


def test_of_many_flows_the_name_is_their_number_and_a_hash() -> None:
    """The name has to stay as it is: another one is another chain, on every host at the next run."""
    names = {
        tuple(flows): targets(ruleset_of_rules(*(flow(name, "80/tcp") for name in flows)))["80"]
        for flows in (LONG[:2], LONG[:3], LONG[1:], [*LONG[:3], "e"], LONG)
    }
    assert names[tuple(LONG[:2])] == f"in_{LONG[0]}-{LONG[1]}"
    assert names[tuple(LONG[:3])] == "in_3_flows.af11e6fc9e6ffa3f"
    assert len(set(names.values())) == len(names)
    assert {name.partition(".")[0] for name in names.values()} >= {"in_3_flows", "in_4_flows"}


@pytest.mark.parametrize("length, is_whole", [(100, True), (101, False)])
def test_a_name_is_whole_up_to_100_characters(length: int, is_whole: bool) -> None:
    first, second = "a" * 60, "b" * (length - len("in_-") - 60)
    (name,) = targets(ruleset_of_rules(flow(first, "80/tcp"), flow(second, "80/tcp"))).values()
    assert (name == f"in_{first}-{second}") == is_whole


def test_no_chain_is_a_base_chain_or_that_of_other_flows() -> None:
    """Names of flows that look like what the names of chains are made of."""
    names = ["put", "a", "b", "a_b", "flows", "tcp", "in_a"]
    rules = [
        flow(name, f"{number}/tcp", "500/tcp", *(["600/tcp"] if name in ("a", "b") else []))
        for number, name in enumerate(names, 1)
    ]
    found = ruleset_of_rules(flow("put", "80/tcp", direction="out"), *rules)
    assert len(found.chains) == len({*INWARD, "output"}) + len(names) + len({"500", "600", "out"})
    assert [name for name, chain in found.chains.items() if chain.base] == ["prerouting", "input", "output"]


def test_no_rule_of_a_base_chain_has_a_set_or_map_of_its_own() -> None:
    for path in GOLDEN.glob("*.json"):
        chains = ruleset_of(parse_policy(golden_policy(path.stem))).chains
        rules = [rule for name in ("input", "output") if name in chains for rule in chains[name].rules]
        assert not [rule for rule in rules if "{" in rule and not re.search("update @observed_", rule)]


# ---- listing to state


@pytest.mark.parametrize("version", VERSIONS)
def test_a_listing_of_any_version_has_the_objects_of_the_ruleset(version: str) -> None:
    ruleset = ruleset_of(parse_policy(golden_policy("restricted")))
    state = parse_listing((GOLDEN / f"restricted-{version}.txt").read_text(encoding="utf-8"))
    assert set(state) == {
        "table",
        *(f"counter {name}" for name in ruleset.counters),
        *(f"set {name}" for name in ruleset.sets),
        *(f"map {name}" for name in ruleset.maps),
        *(f"chain {name}" for name in ruleset.chains),
    }
    for kind, tables in (("set", ruleset.sets), ("map", ruleset.maps)):
        for name, (definition, elements) in tables.items():
            assert state[f"{kind} {name}"] == (
                *(part.strip() for part in definition.rstrip(";").split(";")),
                *sorted(f"element {element}" for element in elements),
            )
    for name, chain in ruleset.chains.items():
        listed = [line for line in state[f"chain {name}"] if "tcp flags" not in line]
        assert listed == [_as_listed(line) for line in (chain.base, *chain.rules) if line and "tcp flags" not in line]


def _as_listed(rule: str) -> str:
    """Return a rule with the names that nft lists for numbers."""
    for number, name in ((1, "icmp"), (2, "igmp"), (58, "ipv6-icmp")):
        rule = rule.replace(f"l4proto {number} ", f"l4proto {name} ")
    return rule


LISTING = (GOLDEN / "by_hand.txt").read_text(encoding="utf-8")


def test_parse_listing() -> None:
    assert parse_listing(LISTING) == {
        "table": ("flags dormant",),
        "quota q": ("over 100 mbytes",),
        "ct helper h": ('type "ftp" protocol tcp', "l3proto inet"),
        "set in_a_v4": (
            "type ipv4_addr",
            "flags interval",
            'element 10.0.0.1 comment "a {"',
            "element 10.0.0.4/31",
            "element 10.0.0.9",
        ),
        "set in_b_v4": ("type ipv4_addr",),
        "map in_tcp": (
            "type inet_service : verdict",
            "flags interval",
            "element 22 : jump in_a",
            "element 8192-60000 : jump in_a-b",
        ),
        "chain input": (
            "type filter hook input priority filter; policy drop;",
            "tcp dport { 22, 23 } accept",
            'iifname "lo" accept',
        ),
        "chain empty": (),
    }


def test_an_empty_table_is_not_no_table() -> None:
    assert parse_listing("table inet hpc_ports {\n}\n") == {"table": ()}


def test_rules_keep_their_order_and_elements_have_none() -> None:
    lines = LISTING.splitlines(keepends=True)
    place = lines.index("\t\ttcp dport { 22, 23 } accept\n")
    swapped = "".join([*lines[:place], lines[place + 1], lines[place], *lines[place + 2 :]])
    assert parse_listing(swapped) != parse_listing(LISTING)
    turned = LISTING.replace("22 : jump in_a, 8192-60000 : jump in_a-b", "8192-60000 : jump in_a-b, 22 : jump in_a")
    assert turned != LISTING
    assert parse_listing(turned) == parse_listing(LISTING)


# ---- versions, and a kernel that says no


class Programs:
    """Programs that answer one after another, by text or by an error; `commands` are those that were run."""

    def __init__(self, *answers: Any) -> None:
        self._answers = iter(answers)
        self.commands: list[list[str]] = []

    def __call__(self, arguments: list[str], text: str = "") -> str:
        self.commands.append(arguments)
        found = next(self._answers)
        if isinstance(found, Exception):
            raise found
        return str(found)


@pytest.mark.parametrize(
    "text", ["nftables v0.9.8 (E.D.S.)", "nftables v1.0.6 (Lester Gooch #5)", "nftables v1.1", "nftables v10.0.0 (x)"]
)
def test_a_new_enough_nft(text: str) -> None:
    kernel.check_version(Programs(text), UNTOLD)


@pytest.mark.parametrize("text", ["nftables v0.9.7 (x)", "nftables v0.9", "what?"])
def test_an_old_or_unknown_nft(text: str) -> None:
    with pytest.raises(RuntimeError) as caught:
        kernel.check_version(Programs(text + "\n"), UNTOLD)
    assert str(caught.value) == (f"nft is too old: got {text!r}, expected 0.9.8 or later. Update the package nftables.")


RUNNING = {
    "set in_a_v4": ("type ipv4_addr", "flags interval", "element 10.0.0.1"),
    "chain input": ("type filter hook input priority filter; policy drop;", "accept"),
}
OTHER_SET = {**RUNNING, "set in_a_v4": ("type ipv4_addr", "flags timeout", "element 10.0.0.1")}


def test_an_old_nft_cannot_mend_a_set_that_was_made_anew() -> None:
    with pytest.raises(RuntimeError) as caught:
        check_definitions(OTHER_SET, RUNNING, Programs("nftables v0.9.8 (E.D.S.)"))
    assert str(caught.value) == (
        "Invalid set in_a_v4 of table inet hpc_ports: got 'type ipv4_addr; flags timeout', expected 'type ipv4_addr; "
        "flags interval'. Somebody recreated it with another definition, and nft before 1.0.6 cannot change "
        "that in one transaction. Nothing was changed. Delete the table and run again."
    )


def test_a_newer_nft_can() -> None:
    check_definitions(OTHER_SET, RUNNING, Programs("nftables v1.0.6 (Lester Gooch #5)"))


def test_no_program_is_run_to_see_that_no_set_was_made_anew() -> None:
    same = {**RUNNING, "set in_a_v4": RUNNING["set in_a_v4"][:2], "chain input": ()}
    for running in (same, {}):
        check_definitions(running, RUNNING, Programs())


def _untold(tables: Sequence[tuple[str, str]], is_terse: bool) -> str:
    raise NetlinkError("Operation not permitted")


def _no_table(tables: Sequence[tuple[str, str]], is_terse: bool) -> str:
    raise NoTableError("There is none.")


# Where the kernel does not tell whether a listing is still true.
UNTOLD = ListingCache(fingerprint=_untold)


def test_no_table_is_an_empty_state() -> None:
    absent = CommandError(["nft"], 1, "Error: No such file or directory\nlist table inet hpc_ports")
    assert kernel.running_state(Programs(absent), UNTOLD) == {}


def test_nft_is_not_asked_for_a_table_that_the_kernel_has_not() -> None:
    assert kernel.running_state(Programs(), ListingCache(fingerprint=_no_table)) == {}


def test_a_listing_that_fails_is_not_an_empty_state() -> None:
    refused = CommandError(["nft"], 1, "Error: cache initialization failed: Operation not permitted")
    with pytest.raises(CommandError):
        kernel.running_state(Programs(refused), UNTOLD)


REFUSED = CommandError(["unshare"], 1, "unshare: unshare failed: Operation not permitted")
RULESET = ruleset_of(parse_policy(golden_policy("empty")))


def test_the_ruleset_is_tried_in_a_network_namespace() -> None:
    programs = Programs(LISTING)
    assert kernel.wanted_state(RULESET, programs) == parse_listing(LISTING)
    assert [command[:2] for command in programs.commands] == [["unshare", "-n"]]


def test_or_in_a_user_namespace_with_one() -> None:
    programs = Programs(REFUSED, LISTING)
    assert kernel.wanted_state(RULESET, programs) == parse_listing(LISTING)
    assert programs.commands[1][:3] == ["unshare", "-r", "-n"]


def test_or_nowhere() -> None:
    with pytest.raises(RuntimeError, match="^Cannot create a network namespace to test the ruleset: unshare: "):
        kernel.wanted_state(RULESET, Programs(REFUSED, REFUSED))


@pytest.mark.parametrize("before", [(), (REFUSED,)])
def test_a_ruleset_that_does_not_load_is_not_tried_elsewhere(before: tuple[Exception, ...]) -> None:
    programs = Programs(*before, CommandError(["unshare"], 1, "/dev/stdin:7:1-9: Error: syntax error"))
    with pytest.raises(CommandError, match="syntax error"):
        kernel.wanted_state(RULESET, programs)


@pytest.fixture(name="kept")
def _kept(tmp_path: Path) -> ListingCache:
    return ListingCache(str(tmp_path), lambda tables, is_terse: "", lambda: ["nft 1"])


WANTED = parse_listing(LISTING)


def test_what_a_test_has_led_to_is_not_tested_again_where_it_runs(kept: ListingCache) -> None:
    for programs in (Programs(LISTING), Programs()):
        kernel.script_state.cache_clear()
        assert kernel.wanted_or_running(RULESET, WANTED, programs, kept) == WANTED


def test_what_would_be_loaded_is_tested(kept: ListingCache) -> None:
    for programs in (Programs(LISTING), Programs(LISTING)):
        kernel.script_state.cache_clear()
        assert kernel.wanted_or_running(RULESET, {}, programs, kept) == WANTED
    with pytest.raises(CommandError, match="syntax error"):
        kernel.wanted_or_running(RULESET, {}, Programs(CommandError(["unshare"], 1, "syntax error")), kept)


@pytest.mark.parametrize("other", [{"program": "nft 2"}, {"boot": "2"}, {"script": "other"}])
def test_another_nft_boot_or_script_is_tested(
    monkeypatch: pytest.MonkeyPatch, kept: ListingCache, other: dict[str, str]
) -> None:
    kernel.wanted_or_running(RULESET, WANTED, Programs(LISTING), kept)
    kernel.script_state.cache_clear()
    kept = kept._replace(tools=lambda: [other.get("program", "nft 1")])
    if "boot" in other:
        monkeypatch.setattr(kernel, "_boot", lambda: "2")
    ruleset = ruleset_of(parse_policy(golden_policy("restricted"))) if "script" in other else RULESET
    programs = Programs(LISTING)
    assert kernel.wanted_or_running(ruleset, WANTED, programs, kept) == WANTED
    assert len(programs.commands) == 1


def test_an_nft_that_is_new_enough_is_asked_once(kept: ListingCache) -> None:
    kernel.check_version(Programs("nftables v1.0.6 (x)"), kept)
    kernel.check_version(Programs(), kept)
    programs = Programs("nftables v0.9.7 (x)")
    with pytest.raises(RuntimeError, match="nft is too old"):
        kernel.check_version(programs, kept._replace(tools=lambda: ["nft 2"]))


# ---- state to flows


@pytest.mark.parametrize("version", VERSIONS)
def test_the_flows_of_a_listing(version: str) -> None:
    nodes = frozenset({"10.20.0.0/24", "10.20.1.0/31", "fd00:20::/64"})
    assert flow_views(parse_listing((GOLDEN / f"restricted-{version}.txt").read_text(encoding="utf-8"))) == {
        "in_management_ssh": FlowView(frozenset({"22/tcp"}), frozenset({"10.1.0.5", "fd00:1::5"})),
        "in_slurm_control": FlowView(frozenset({"6817/tcp"}), nodes),
        "out_slurm_control": FlowView(frozenset({"6817/tcp"}), nodes),
        "out_dns": FlowView(frozenset({"53/tcp", "53/udp"}), frozenset({"10.1.0.53"})),
        "out_ntp": FlowView(frozenset({"123/udp"}), frozenset({"any"})),
    }


def views_of(*map_elements: str, rules: tuple[str, ...], name: str = "map in_tcp") -> dict[str, FlowView]:
    return flow_views(
        {
            name: tuple(f"element {element}" for element in map_elements),
            **{f"chain c{number}": (rule,) for number, rule in enumerate(rules)},
        }
    )


def test_the_ports_of_a_flow_come_from_every_segment() -> None:
    accept = 'counter name "in_a" accept'
    found = views_of("8192-8999 : jump c0", "9000 : jump c1", "9001-60000 : jump c2", rules=(accept, "drop", accept))
    assert found["in_a"].ports == {"8192-8999/tcp", "9001-60000/tcp"}


def test_a_chain_may_serve_several_maps_and_a_flow_be_in_several_chains() -> None:
    found = flow_views(
        {
            "map in_tcp": ("element 80 : jump in_a", "element 90-99 : jump in_a-b", "element 200 : jump in_a"),
            "map in_udp": ("element 80 : jump in_a-b",),
            "chain in_a": ('counter name "in_a" accept',),
            "chain in_a-b": ('counter name "in_a" accept', 'counter name "in_b" accept'),
        }
    )
    assert {name: view.ports for name, view in found.items()} == {
        "in_a": {"80/tcp", "90-99/tcp", "200/tcp", "80/udp"},
        "in_b": {"90-99/tcp", "80/udp"},
    }


def test_protocols_are_numbers_even_where_nft_names_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getprotobyname", {"vrrp": 112}.__getitem__)
    found = views_of("vrrp : jump c0", "253 : jump c0", rules=('counter name "in_a" accept',), name="map in_ip")
    assert found["in_a"].ports == {"112/ip", "253/ip"}


def test_ports_that_somebody_added_in_a_form_of_their_own_stay_as_they_are() -> None:
    found = views_of('22 comment "x" : jump c0', "23 : jump c0", rules=('counter name "in_a" accept',))
    assert found["in_a"].ports == {"23/tcp", '22 comment "x"/tcp'}


@pytest.mark.parametrize(
    "rule, addresses",
    [
        ('counter name "in_a" accept', {"any"}),
        ('meta nfproto ipv4 counter name "in_a" accept', {"any IPv4"}),
        ('meta nfproto ipv6 counter name "in_a" accept', {"any IPv6"}),
        ('ip saddr @in_a_v4 counter name "in_a" accept', {"10.0.0.1"}),
        ('ip saddr @gone counter name "in_a" accept', set()),
    ],
)
def test_addresses_of_a_rule(rule: str, addresses: set[str]) -> None:
    found = flow_views({"chain c": (rule,), "set in_a_v4": ("type ipv4_addr", "element 10.0.0.1")})
    assert found == {"in_a": FlowView(frozenset(), frozenset(addresses))}


def test_a_map_of_single_ports_shows_no_ports_of_its_own() -> None:
    state = {
        "chain in_a": ('counter name "in_a" accept',),
        "map in_tcp": ("type inet_service : verdict", "flags interval", "element 80-81 : jump in_a"),
        "map in_tcp.single_16": ("size 16", "element 80 : jump in_a", "element 81 : jump in_a"),
    }
    assert flow_views(state)["in_a"].ports == {"80-81/tcp"}


def test_flows_that_look_up_one_set_share_one_list_of_addresses() -> None:
    """1,000 flows from 10,000 addresses would have ten million addresses."""
    rules = tuple(f'ip saddr @in_a-in_b_v4 counter name "in_{flow}" accept' for flow in "ab")
    found = flow_views({"chain c": rules, "set in_a-in_b_v4": ("type ipv4_addr", "element 10.0.0.1")})
    assert found["in_a"].addresses is found["in_b"].addresses
    assert found["in_a"].addresses == frozenset({"10.0.0.1"})


def test_other_rules_are_no_flows() -> None:
    assert views_of(rules=("tcp dport 22 accept", 'counter name "denied_in" drop', 'counter name "mine" accept')) == {}
