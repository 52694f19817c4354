# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What comes is there before the new rules, and what goes stays until they are."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables.ruleset import Ruleset, ruleset_of, script_of
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables.update import transactions
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import Policy, Rule
from ansible_collections.hpc.ports.plugins.module_utils._model.ports import parse_ports
from ansible_collections.hpc.ports.plugins.module_utils._model.state import State, changed_objects

# Of each flow, so that no two share a set.
PEERS = {"data": "10.0.0.0/8", "web": "10.1.0.0/16", "more": "10.2.0.0/16"}


def ruleset(egress: str = "open", mode: str = "enforce", **flows: str) -> Ruleset:
    """Of incoming flows, and one outgoing where that matters."""
    rules = [Rule("in", flow, (parse_ports(ports),), (ip_network(PEERS[flow]),)) for flow, ports in flows.items()]
    dns = [Rule("out", "dns", (parse_ports("53/udp"),), (ip_network("10.0.0.53/32"),))] if egress != "open" else []
    return ruleset_of(Policy(mode, egress, (), (*rules, *dns)))


def transactions_of(before: Ruleset, after: Ruleset) -> tuple[str, ...]:
    return transactions(after, listed(before), listed(after))


def listed(wanted: Ruleset) -> State:
    """What matters here of how nft lists a ruleset."""
    state: State = {"table": (), **{f"counter {name}": () for name in wanted.counters}}
    state.update(
        {f"chain {name}": tuple(filter(None, (chain.base, *chain.rules))) for name, chain in wanted.chains.items()}
    )
    for kind, tables in (("set", wanted.sets), ("map", wanted.maps)):
        for name, (definition, elements) in tables.items():
            state[f"{kind} {name}"] = (
                *definition.rstrip(";").split("; "),
                *sorted(f"element {element}" for element in elements),
            )
    return state


# ---- what comes

BOTH = """\
add table inet hpc_ports
add chain inet hpc_ports in_data-web
add counter inet hpc_ports in_data
add set inet hpc_ports in_data_v4 { type ipv4_addr; flags interval; }
add element inet hpc_ports in_data_v4 { 10.0.0.0/8 }
add rule inet hpc_ports in_data-web ip saddr @in_data_v4 counter name "in_data" accept
add rule inet hpc_ports in_data-web ip saddr @in_web_v4 counter name "in_web" accept
"""
ONE = """\
add table inet hpc_ports
add chain inet hpc_ports in_data
add rule inet hpc_ports in_data ip saddr @in_data_v4 counter name "in_data" accept
"""


@pytest.mark.parametrize(
    ("before", "after", "script"),
    [
        # Another flow comes to cover ports that a flow has.
        ({"web": "80/tcp"}, {"web": "80/tcp", "data": "80/tcp"}, BOTH),
        ({"web": "80-90/tcp"}, {"web": "80-90/tcp", "data": "85/tcp"}, BOTH),
        # It leaves them, or they are all its own.
        ({"web": "80/tcp", "data": "80/tcp"}, {"data": "80/tcp"}, ONE),
        # All chains are there.
        ({"web": "80/tcp", "data": "81/tcp"}, {"data": "80/tcp", "web": "81/tcp"}, ""),
        ({"web": "80-90/tcp"}, {"web": "85/tcp"}, ""),
    ],
)
def test_chains_that_take_over_are_filled_before(before: dict[str, str], after: dict[str, str], script: str) -> None:
    found = transactions_of(ruleset(**before), ruleset(**after))
    assert "".join(found[: found.index(script_of(ruleset(**after)))]) == script


def test_of_a_first_ruleset_all_comes_before_but_its_base_chains() -> None:
    wanted = ruleset("restricted", web="80/tcp")
    for running in ({}, {"table": ()}):
        first, second = transactions(wanted, running, listed(wanted))
        added = [line.split() for line in first.splitlines()]
        assert second == script_of(wanted) and {words[0] for words in added} == {"add"}
        assert {f"{words[1]} {words[4]}" for words in added if words[1] in ("chain", "set", "map", "counter")} == (
            set(listed(wanted)) - {"table", "chain prerouting", "chain input", "chain output"}
        )
        assert {words[4] for words in added if words[1] in ("rule", "element")} == {
            "arriving",
            "translated",
            "in_web",
            "out_dns",
            "in_tcp",
            "out_udp",
            "in_web_v4",
            "out_dns_v4",
        }


# ---- what goes


def test_there_is_nothing_but_the_ruleset_where_nothing_comes_or_goes() -> None:
    wanted = ruleset(web="80/tcp", data="80/tcp")
    other = ruleset(web="80-90/tcp", data="80-90/tcp")
    assert transactions_of(wanted, wanted) == (script_of(wanted),)
    assert transactions_of(wanted, other) == (script_of(other),)


NO_DNS = """\
flush chain inet hpc_ports out_dns
flush map inet hpc_ports out_udp
delete chain inet hpc_ports out_dns
delete counter inet hpc_ports denied_out
delete counter inet hpc_ports out_dns
delete map inet hpc_ports out_udp
delete set inet hpc_ports out_dns_v4
"""


def test_what_the_old_rules_lead_to_goes_after_them() -> None:
    """An outgoing packet that is half way through them finds all that they name."""
    before, after = ruleset("restricted", web="80/tcp"), ruleset("open", web="80/tcp")
    unhooked = "flush chain inet hpc_ports output\ndelete chain inet hpc_ports output\n"
    assert transactions_of(before, after) == (unhooked + script_of(after), NO_DNS)


def test_one_change_may_be_three_transactions() -> None:
    before, after = ruleset(web="80/tcp"), ruleset(data="80/tcp")
    first, second, third = transactions_of(before, after)
    assert first.startswith("add table inet hpc_ports\nadd chain inet hpc_ports in_data\n") and second == script_of(
        after
    )
    assert (
        third
        == """\
flush chain inet hpc_ports in_web
delete chain inet hpc_ports in_web
delete counter inet hpc_ports in_web
delete set inet hpc_ports in_web_v4
"""
    )


def test_no_script_but_that_of_the_ruleset_touches_what_is_wanted() -> None:
    before, after = ruleset("restricted", web="80-90/tcp", data="85/tcp"), ruleset(web="85-99/tcp", more="70-88/tcp")
    first, second, third = transactions_of(before, after)
    there = [name for name in listed(before) if name in listed(after)]
    assert "chain input" in there and "map in_tcp" in there and "set in_web_v4" in there
    touched = {line.split()[4] for line in (first + third).splitlines() if line != "add table inet hpc_ports"}
    assert "in_more" in touched and not touched & {name.split(" ")[-1] for name in there}


def test_objects_of_kinds_that_we_never_make_go_too() -> None:
    wanted = ruleset(web="80/tcp")
    running = {
        **listed(wanted),
        "ct helper mine": ("l3proto inet",),
        "quota q": (),
        "chain mine": ('quota name "q"',),
        "map mine": ("type ipv4_addr : quota",),
    }
    assert (
        transactions(wanted, running, listed(wanted))[1]
        == """\
flush chain inet hpc_ports mine
flush map inet hpc_ports mine
delete chain inet hpc_ports mine
delete ct helper inet hpc_ports mine
delete map inet hpc_ports mine
delete quota inet hpc_ports q
"""
    )


def test_a_base_chain_of_somebody_goes_with_the_new_rules() -> None:
    """What it does to packets ends at once; it may have a comment, and a chain that only reads like one is none."""
    wanted = ruleset(web="80/tcp")
    base = ('comment "mine"', "type filter hook input priority -10; policy drop;", "accept")
    running = {**listed(wanted), "chain mine": base, "chain other": ('comment "type filter hook input"',)}
    first, second = transactions(wanted, running, listed(wanted))
    assert first == "flush chain inet hpc_ports mine\ndelete chain inet hpc_ports mine\n" + script_of(wanted)
    assert second == "flush chain inet hpc_ports other\ndelete chain inet hpc_ports other\n"


# ---- flows that share their peers


def sharing(*flows: str, nodes: str = "10.0.0.0/8", **others: str) -> Ruleset:
    """Of incoming flows that have the same peers, and of others with their own."""
    peers = {**dict.fromkeys(flows, nodes), **others}
    rules = [
        Rule("in", flow, (parse_ports(f"{80 + number}/tcp"),), (ip_network(peers[flow]),))
        for number, flow in enumerate(sorted(peers))
    ]
    return ruleset_of(Policy("enforce", "open", (), tuple(rules)))


def touched(script: str, *verbs: str) -> list[str]:
    """Return the sets that these commands of a script name, in order."""
    lines = [line.split() for line in script.splitlines()]
    found = (words[4] for words in lines if words[0] in verbs and words[1] in ("set", "element") and "_v" in words[4])
    return list(dict.fromkeys(found))


def test_new_peers_of_flows_that_share_them_change_one_set_in_place() -> None:
    before, after = sharing("a", "b", "c"), sharing("a", "b", "c", nodes="10.0.0.0/9")
    assert transactions_of(before, after) == (script_of(after),)
    assert changed_objects(listed(before), listed(after)) == ["set in_a-in_b-in_c_v4"]


@pytest.mark.parametrize("leaving", ["a", "b", "c"])
def test_a_flow_whose_peers_begin_to_differ_gets_a_set_before_anything_uses_it(leaving: str) -> None:
    """And the others get one: nothing touches the set of the old rules until they are gone."""
    others = [flow for flow in "abc" if flow != leaving]
    before, after = sharing("a", "b", "c"), sharing(*others, **{leaving: "192.0.2.0/24"})
    first, second, third = transactions_of(before, after)
    new = [f"in_{leaving}_v4", f"in_{others[0]}-in_{others[1]}_v4"]
    assert sorted(touched(first, "add")) == sorted(touched(second, "add", "flush")) == sorted(new)
    assert second == script_of(after)
    assert third == "delete set inet hpc_ports in_a-in_b-in_c_v4\n"


def test_flows_whose_peers_become_the_same_get_a_set_together() -> None:
    before, after = sharing("a", "b", c="192.0.2.0/24"), sharing("a", "b", "c")
    first, second, third = transactions_of(before, after)
    assert touched(first, "add") == touched(second, "add", "flush") == ["in_a-in_b-in_c_v4"]
    assert third == "delete set inet hpc_ports in_a-in_b_v4\ndelete set inet hpc_ports in_c_v4\n"


def test_sets_of_an_older_version_for_each_flow_stay_until_their_rules_are_gone() -> None:
    wanted = sharing("a", "b")
    old = {
        name: tuple(line.replace("@in_a-in_b_v4", f"@{name[len('chain ') :]}_v4") for line in lines)
        for name, lines in listed(wanted).items()
    }
    elements = old.pop("set in_a-in_b_v4")
    old.update({"set in_a_v4": elements, "set in_b_v4": elements})
    first, second, third = transactions(wanted, old, listed(wanted))
    assert touched(first, "add") == touched(second, "add", "flush") == ["in_a-in_b_v4"]
    assert third == "delete set inet hpc_ports in_a_v4\ndelete set inet hpc_ports in_b_v4\n"


# ---- what is in the way

WANTED = ruleset(web="80/tcp")
EMPTYING = "flush table inet hpc_ports\nflush map inet hpc_ports in_tcp\nflush set inet hpc_ports in_web_v4\n"
SET = ("type ipv4_addr", "flags interval")
HOOK = "type filter hook input priority filter; policy drop;"


def transactions_from(**objects: tuple[str, ...]) -> tuple[str, ...]:
    """From a table that is as wanted but for objects, each by its kind and name joined by two underscores."""
    wanted = listed(WANTED)
    return transactions(WANTED, {**wanted, **{key.replace("__", " "): lines for key, lines in objects.items()}}, wanted)


@pytest.mark.parametrize(
    "name, lines",
    [
        ("set__in_web_v4", (*SET, "element 10.9.9.9")),
        ("chain__in_web", ("drop",)),
        ("chain__input", ("type filter hook input priority filter; policy accept;",)),
    ],
)
def test_elements_rules_and_policies_are_changed_in_place(name: str, lines: tuple[str, ...]) -> None:
    assert transactions_from(**{name: lines}) == (script_of(WANTED),)


@pytest.mark.parametrize(
    "name, lines",
    [
        ("set__in_web_v4", ("type ipv6_addr", "flags interval", "element fd00::1")),
        ("set__in_web_v4", (*SET, 'comment "x"')),
        ("map__in_tcp", ("type inet_service : verdict",)),
        ("chain__input", ("type filter hook input priority filter - 1; policy drop;", "accept")),
        ("chain__input", ("accept",)),
        ("chain__in_web", (HOOK, "accept")),
        ("chain__in_web", ('comment "x"', "accept")),
    ],
)
def test_what_is_defined_otherwise_goes_in_the_same_transaction(name: str, lines: tuple[str, ...]) -> None:
    kind, own_name = name.split("__")
    assert transactions_from(**{name: lines}) == (
        f"{EMPTYING}delete {kind} inet hpc_ports {own_name}\n{script_of(WANTED)}",
    )


def test_and_all_else_with_it() -> None:
    found = transactions_from(chain__in_web=(HOOK,), chain__mine=("accept",), quota__q=())
    assert found == (
        EMPTYING + "delete chain inet hpc_ports in_web\ndelete chain inet hpc_ports mine\n"
        "delete quota inet hpc_ports q\n" + script_of(WANTED),
    )


def test_a_map_is_in_the_way_of_a_set_of_its_name() -> None:
    wanted = listed(WANTED)
    running = {name: lines for name, lines in wanted.items() if name != "set in_web_v4"}
    running["map in_web_v4"] = ("type ipv4_addr : verdict", "flags interval")
    assert transactions(WANTED, running, wanted) == (
        "flush table inet hpc_ports\nflush map inet hpc_ports in_tcp\nflush map inet hpc_ports in_web_v4\n"
        "delete map inet hpc_ports in_web_v4\n" + script_of(WANTED),
    )


def test_of_a_table_with_flags_nothing_stays() -> None:
    assert transactions_from(table=("flags dormant",), chain__mine=()) == (
        "delete table inet hpc_ports\n" + script_of(WANTED),
    )


# ---- the records of observe mode

OBSERVE, OTHER = ruleset(mode="observe", web="80/tcp"), ruleset(mode="observe", web="81/tcp")


def test_changes_do_not_touch_the_records() -> None:
    (script,) = transactions_of(OBSERVE, OTHER)
    assert "add set inet hpc_ports observed_in_v4 " in script
    assert not [line for line in script.splitlines() if line.startswith(("flush", "delete")) and "observed" in line]
    broken = {**listed(OBSERVE), "map in_tcp": ("type inet_service : verdict",)}
    (script,) = transactions(OBSERVE, broken, listed(OBSERVE))
    assert "flush set inet hpc_ports in_web_v4\n" in script and "flush set inet hpc_ports observed" not in script


def test_the_sets_of_records_come_before_their_rules_and_go_after_them() -> None:
    enforce = ruleset(web="80/tcp")
    first, second = transactions_of(enforce, OBSERVE)
    assert "add set inet hpc_ports observed_in_v4 " in first and "{  }" not in first + second
    assert "add element inet hpc_ports observed_since { 0 }\n" in first
    second, third = transactions_of(OBSERVE, enforce)
    assert "observed" not in second and "delete set inet hpc_ports observed_in_v4\n" in third


def test_records_of_another_form_go() -> None:
    running = {**listed(OBSERVE), "set observed_in_v4": ("type ipv4_addr", "size 9")}
    (script,) = transactions(OBSERVE, running, listed(OBSERVE))
    assert "flush set inet hpc_ports observed_in_v4\n" in script
    assert "delete set inet hpc_ports observed_in_v4\n" in script
