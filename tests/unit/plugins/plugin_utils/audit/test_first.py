# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The endpoint controllers of a site without a port file."""

from __future__ import annotations

import pytest
import yaml
from ansible_collections.hpc.ports.plugins.plugin_utils._audit.answers import Answer
from ansible_collections.hpc.ports.plugins.plugin_utils._audit.first import (
    controllers_of,
    lacks_controllers,
    text_of,
    with_endpoints,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._draft.port_file import Draft
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan, compile_plan
from ansible_collections.hpc.ports.tests.support.sites import accepts, make_catalogue, make_inventory

HOSTS = {"ctl": {"groups": ["control_plane"], "addresses": ["10.0.0.1"]}}


def plan_of(*cidrs: str) -> Plan:
    inventory = make_inventory(HOSTS)
    site = {"endpoints": {"controllers": {"cidrs": list(cidrs)}}}
    return compile_plan(make_catalogue(site, tuple(inventory.groups)), inventory, report_only=True)


def answers(*clients: str) -> list[Answer]:
    return [Answer((), (), 0, (), ansible_from=client) for client in clients]


@pytest.mark.parametrize(
    "clients,cidrs",
    [
        (["10.0.0.9", "10.0.0.10", "10.0.0.9", ""], ["10.0.0.9/32", "10.0.0.10/32"]),
        (["fd00::9", "10.0.0.9"], ["10.0.0.9/32", "fd00::9/128"]),
        (["127.0.0.1", "::1", "fe80::1", "10.0.0.9"], ["10.0.0.9/32"]),
    ],
)
def test_each_address_is_in_it_once(clients: list[str], cidrs: list[str]) -> None:
    assert controllers_of(answers(*clients)) == {"controllers": {"cidrs": cidrs}}


def test_without_an_address_there_is_no_endpoint() -> None:
    assert controllers_of(answers("", "127.0.0.1")) == {}


def test_the_plan_with_it_lets_ansible_in() -> None:
    plan = plan_of()
    assert (lacks_controllers(plan), accepts(plan, "ctl", "10.0.0.9", 22)) == (True, False)
    plan = with_endpoints(plan, controllers_of(answers("10.0.0.9")))
    assert (lacks_controllers(plan), accepts(plan, "ctl", "10.0.0.9", 22)) == (False, True)


def test_it_is_proposed_without_a_flow_as_well() -> None:
    draft, endpoints = Draft(plan_of().catalogue), controllers_of(answers("10.0.0.9"))
    assert yaml.safe_load(text_of(draft, endpoints)) == {"firewall_endpoints": endpoints}
    assert text_of(draft, {}) == ""
    draft.endpoints["net"] = {"cidrs": ["10.9.0.0/16"]}
    draft.flows["seen"] = {"from": ["net"]}
    assert yaml.safe_load(text_of(draft, endpoints)) == {
        "firewall_endpoints": {**endpoints, "net": {"cidrs": ["10.9.0.0/16"]}},
        "firewall_flows": {"seen": {"from": ["net"]}},
    }
