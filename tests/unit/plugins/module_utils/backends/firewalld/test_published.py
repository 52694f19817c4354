# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table beside firewalld, against the table of the other backend; tests/firewalld loads it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables.ruleset import (
    Ruleset,
    ruleset_beside_firewalld,
    ruleset_of,
)
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import parse_policy
from ansible_collections.hpc.ports.tests.support.samples import ANYWHERE, SSH, policy

RULES = {
    "open": [SSH, ("in", "web", ["443/tcp"], ANYWHERE)],
    "restricted": [SSH, ("out", "dns", ["53/udp", "53/tcp"], ("10.64.0.53/32", "fd64::/64"))],
}
POLICIES = {
    (egress, filtered): policy(*rules, egress=egress, containers=("docker*", "veth*"), filtered=filtered)
    for egress, rules in RULES.items()
    for filtered in ((), ("docker*",))
}


def _both(data: dict[str, Any]) -> tuple[Ruleset, Ruleset]:
    found = parse_policy(data)
    return ruleset_of(found), ruleset_beside_firewalld(found)


def _without(names: Iterable[str], *left_out: str) -> set[str]:
    return {name for name in names if not name.startswith(left_out)}


@pytest.mark.parametrize(("egress", "filtered"), POLICIES)
def test_it_judges_all_but_what_the_host_itself_sends(egress: str, filtered: tuple[str, ...]) -> None:
    whole, beside = _both(POLICIES[egress, filtered])
    judges_containers = bool(filtered) and egress == "restricted"
    sent = () if judges_containers else ("out_", "denied_out")
    assert beside.table == "inet hpc_ports_published"
    assert set(beside.chains) == _without(whole.chains, "output", *sent)
    assert set(beside.counters) == _without(whole.counters, *sent)
    assert set(beside.maps) == _without(whole.maps, *sent)
    assert {name for name in (*beside.maps, *beside.chains) if name.startswith("out")} == (
        {"out_tcp", "out_udp", "out_dns"} if judges_containers else set()
    )
    for name, chain in beside.chains.items():
        assert name == "input" or chain == whole.chains[name]
    assert [name for name, chain in beside.chains.items() if "policy drop" in chain.base] == []
    for name, value in {**beside.sets, **beside.maps}.items():
        assert value == {**whole.sets, **whole.maps}[name]


@pytest.mark.parametrize(("egress", "filtered"), POLICIES)
def test_it_has_what_its_rules_name_and_no_more(egress: str, filtered: tuple[str, ...]) -> None:
    _whole, beside = _both(POLICIES[egress, filtered])
    texts = [rule for chain in beside.chains.values() for rule in chain.rules]
    texts += [element for _definition, elements in beside.maps.values() for element in elements]
    text = "\n".join(texts)
    assert set(re.findall(r"\b(?:jump|goto) (\S+)", text)) == {
        name for name, chain in beside.chains.items() if not chain.base
    }
    assert set(re.findall(r"@(\w+)", text)) == {*beside.sets, *beside.maps}
    assert set(re.findall(r'counter name "(\w+)"', text)) == set(beside.counters)


def test_input_judges_only_what_nat_sent_here() -> None:
    _whole, beside = _both(POLICIES["restricted", ("docker*",)])
    assert beside.chains["input"].rules == (
        'iifname "lo" accept',
        "ct state established,related accept",
        "ct status dnat goto translated",
    )
