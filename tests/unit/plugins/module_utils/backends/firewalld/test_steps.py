# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps without a reload, done by a model of firewalld that shows what passes at every instant."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld import dbus
from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld.steps import (
    Command,
    Runtime,
    backward,
    forward,
)
from hypothesis import given, settings
from hypothesis import strategies as st

FLOWS = ("in_data", "in_web")
PEERS = ("10.0.0.1", "10.0.0.2")
PORTS = ("80", "443")
# What nobody's flow has: a user's rule in our policy.
OWN_RULE = 'rule port port="22" protocol="tcp" accept'
_LOOKUP = re.compile(r'rule family="ipv4" source ipset="(\w+)" port port="(\d+)" protocol="tcp" accept')

# Ports and peers of each flow.
Flows = dict[str, tuple[frozenset[str], frozenset[str]]]
# Who may connect where.
Passes = frozenset[tuple[str, str]]

flows = st.fixed_dictionaries(
    {flow: st.tuples(st.frozensets(st.sampled_from(PORTS)), st.frozensets(st.sampled_from(PEERS))) for flow in FLOWS}
)


def ipset(flow: str, copy: str) -> str:
    return f"hpc_ports_{flow}_4{copy}"


def lookup(flow: str, copy: str, port: str) -> str:
    return f'rule family="ipv4" source ipset="{ipset(flow, copy)}" port port="{port}" protocol="tcp" accept'


def runtime(wanted: Flows, own: Iterable[str] = (), shares: bool = False) -> Runtime:
    """Flows with the same peers and no port in common may share the ipsets of the first one."""
    (first, (first_ports, first_peers)), *others = wanted.items()
    owners = {
        flow: first if shares and peers == first_peers and not ports & first_ports else flow
        for flow, (ports, peers) in others
    }
    rules = [
        lookup(owners.get(flow, flow), copy, port)
        for flow, (ports, peers) in wanted.items()
        for copy in "ab"
        for port in sorted(ports)
    ]
    entries = {
        ipset(flow, copy): sorted(peers) if owners.get(flow, flow) == flow else []
        for flow, (ports, peers) in wanted.items()
        for copy in "ab"
    }
    return Runtime({"hpc_ports_in": [*rules, *own]}, entries)


def passes(rules: Iterable[str], entries: dict[str, tuple[str, ...]]) -> Passes:
    found = [match for match in map(_LOOKUP.fullmatch, rules) if match]
    return frozenset((peer, match[2]) for match in found for peer in entries[match[1]])


class Model:
    """A firewalld that removes and adds rules one by one, and empties an ipset before it fills it."""

    def __init__(self, start: Runtime) -> None:
        self.rules = {name: list(rules) for name, rules in start.rules.items()}
        self.entries = {name: tuple(found) for name, found in start.entries.items()}

    def run(self, command: Command) -> Iterator[Passes]:
        """Do what a command of busctl asks for, and yield what passes at each instant."""
        words = command[command.index("call") + 4 :]
        if words[0] == "setPolicySettings":
            assert words[1:3] == ["sa{sv}", words[2]] and words[3:6] == ["1", "rich_rules", "as"]
            yield from self._set_rules(words[2], words[7 : 7 + int(words[6])])
        else:
            assert words[:2] == ["setEntries", "sas"]
            yield from self._fill(words[2], words[4 : 4 + int(words[3])])

    def _set_rules(self, name: str, rules: list[str]) -> Iterator[Passes]:
        for rule in [rule for rule in self.rules[name] if rule not in rules]:
            self.rules[name].remove(rule)
            yield self.passes()
        for rule in [rule for rule in rules if rule not in self.rules[name]]:
            self.rules[name].append(rule)
            yield self.passes()

    def _fill(self, name: str, entries: list[str]) -> Iterator[Passes]:
        for found in ((), tuple(entries)):
            self.entries[name] = found
            yield self.passes()

    def passes(self) -> Passes:
        return passes((rule for rules in self.rules.values() for rule in rules), self.entries)

    def is_as(self, wanted: Runtime) -> bool:
        return all(sorted(self.rules[name]) == sorted(rules) for name, rules in wanted.rules.items()) and all(
            sorted(self.entries[name]) == sorted(found) for name, found in wanted.entries.items()
        )


def held(old: Runtime, new: Runtime, seen: Iterable[Passes]) -> bool:
    """Tell whether at each instant what both allow passes, and nothing that neither allows."""
    before, after = Model(old).passes(), Model(new).passes()
    return all(before & after <= now <= before | after for now in seen)


@settings(max_examples=400, deadline=None)
@given(before=flows, after=flows, own=st.booleans(), shares=st.tuples(st.booleans(), st.booleans()))
def test_nothing_that_both_allow_is_lost_and_nothing_that_neither_allows_passes(
    before: Flows, after: Flows, own: bool, shares: tuple[bool, bool]
) -> None:
    old, new = runtime(before, [OWN_RULE] if own else [], shares[0]), runtime(after, shares=shares[1])
    model = Model(old)
    for phase in forward(old, new):
        for command in phase:
            assert held(old, new, model.run(command))
    assert model.is_as(new)


@settings(max_examples=400, deadline=None)
@given(before=flows, after=flows, stop=st.integers(0, 12), shares=st.tuples(st.booleans(), st.booleans()))
def test_the_way_back_from_any_point_holds_to_the_same(
    before: Flows, after: Flows, stop: int, shares: tuple[bool, bool]
) -> None:
    old, new = runtime(before, shares=shares[0]), runtime(after, shares=shares[1])
    model, done = Model(old), 0
    reached = 0
    for number, phase in enumerate(forward(old, new)):
        if done == stop:
            break
        reached = number
        for command in phase[: stop - done]:
            list(model.run(command))
            done += 1
    for command in backward(old, new)[reached]:
        assert held(old, new, model.run(command))
    assert model.is_as(old)


def test_no_call_where_nothing_changes() -> None:
    same = runtime({"in_web": (frozenset(["80"]), frozenset(PEERS)), "in_data": (frozenset(), frozenset())})
    assert forward(same, same) == [[], []]


def test_other_members_take_two_calls() -> None:
    old = runtime({"in_web": (frozenset(PORTS), frozenset(PEERS[:1]))})
    new = runtime({"in_web": (frozenset(PORTS), frozenset(PEERS))})
    assert forward(old, new) == [[dbus.entries_command(ipset("in_web", copy), PEERS)] for copy in "ba"]
