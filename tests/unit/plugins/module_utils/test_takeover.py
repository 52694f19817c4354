# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ipaddress import ip_network

import pytest

from ansible_collections.hpc.ports.plugins.module_utils.nftables import Ruleset, ruleset_of
from ansible_collections.hpc.ports.plugins.module_utils.policy import Policy, Rule
from ansible_collections.hpc.ports.plugins.module_utils.ports import parse_ports
from ansible_collections.hpc.ports.plugins.module_utils.state import State
from ansible_collections.hpc.ports.plugins.module_utils.takeover import preparation


def ruleset(**flows: str) -> Ruleset:
    rules = tuple(Rule("in", flow, (parse_ports(ports),), (ip_network("10.0.0.0/8"),)) for flow, ports in flows.items())
    return ruleset_of(Policy("enforce", "open", (), rules))


def listed(wanted: Ruleset) -> State:
    """What matters here of how nft lists a ruleset."""
    state: State = {"table": (), **{f"counter {name}": () for name in wanted.counters}}
    state.update({f"set {name}": () for name in wanted.sets})
    state.update({f"chain {name}": chain.rules for name, chain in wanted.chains.items()})
    state.update({f"map {name}": (kind, *(f"element {element}" for element in elements))
                  for name, (kind, elements) in wanted.maps.items()})
    return state


BOTH = """\
add chain inet hpc_ports in_data-web
add counter inet hpc_ports in_data
add set inet hpc_ports in_data_v4 { type ipv4_addr; flags interval; }
add element inet hpc_ports in_data_v4 { 10.0.0.0/8 }
add rule inet hpc_ports in_data-web ip saddr @in_data_v4 counter name "in_data" accept
add rule inet hpc_ports in_data-web ip saddr @in_web_v4 counter name "in_web" accept
"""
ONE = """\
add chain inet hpc_ports in_data
add rule inet hpc_ports in_data ip saddr @in_data_v4 counter name "in_data" accept
"""


@pytest.mark.parametrize(("before", "after", "script"), [
    # Another flow comes to cover ports that a flow has.
    ({"web": "80/tcp"}, {"web": "80/tcp", "data": "80/tcp"}, BOTH),
    ({"web": "80-90/tcp"}, {"web": "80-90/tcp", "data": "85/tcp"}, BOTH),
    ({"web": "85/tcp"}, {"web": "80-90/tcp", "data": "70-85/tcp"}, BOTH),
    # It leaves them, or they are all its own.
    ({"web": "80/tcp", "data": "80/tcp"}, {"data": "80/tcp"}, ONE),
    # Nobody had the ports before.
    ({"web": "80/tcp"}, {"web": "80/tcp", "data": "81/tcp"}, ""),
    ({"web": "80/tcp"}, {"web": "80/tcp", "data": "80/udp"}, ""),
    # The chain is there.
    ({"web": "80/tcp", "data": "81/tcp"}, {"data": "80/tcp", "web": "81/tcp"}, ""),
    ({"web": "80-90/tcp"}, {"web": "85/tcp"}, ""),
])
def test_chains_that_take_over_are_filled_before(before: dict[str, str], after: dict[str, str], script: str) -> None:
    assert preparation(ruleset(**after), listed(ruleset(**before)), listed(ruleset(**after))) == script


def test_there_is_nothing_to_prepare_for_a_first_ruleset_nor_for_a_dormant_table() -> None:
    wanted = ruleset(web="80/tcp", data="80/tcp")
    assert preparation(wanted, {}, listed(wanted)) == ""
    dormant = {**listed(ruleset(web="80/tcp")), "table": ("flags dormant",)}
    assert preparation(wanted, dormant, listed(wanted)) == ""


def test_elements_that_somebody_wrote_are_passed_over() -> None:
    wanted = ruleset(web="80/tcp", data="80/tcp")
    running = {**listed(ruleset(web="80/tcp")), "map in_tcp": ("element * : drop", "element odd : jump in_web")}
    assert preparation(wanted, running, listed(wanted)) == ""
