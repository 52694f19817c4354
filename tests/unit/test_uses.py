# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The uses of the scenario `platform` against the shipped port file: no flow is forgotten."""

from __future__ import annotations

from ansible_collections.hpc.ports.tests.platform.flows import NOT_EXERCISED, PAGE, rounds, shipped_port_file, shown_for
from ansible_collections.hpc.ports.tests.platform.uses import USES

USED = {flow for use in USES.values() for flow in use.flows}


def test_each_flow_has_a_use_or_a_reason() -> None:
    shipped = set(shipped_port_file()["firewall_flows"])
    assert USED | set(NOT_EXERCISED) == shipped
    assert not USED & set(NOT_EXERCISED)


def test_no_flow_is_of_two_areas() -> None:
    areas = {flow: {use.area for use in USES.values() if flow in use.flows} for flow in USED}
    assert {flow: found for flow, found in areas.items() if len(found) > 1} == {}


def test_each_flow_is_off_once() -> None:
    off = [flow for flows in rounds() for flow in flows]
    assert sorted(off) == sorted(USED)


def test_what_shows_a_flow_goes_by_no_other_that_is_off() -> None:
    assert [use.name for off in rounds() for flow in off for use in shown_for(flow) if len({*use.flows} & {*off}) != 1] == []


def test_the_page_has_each_flow() -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    named = [line.split("`")[1] for line in lines if line.startswith("| `")]
    assert named == list(shipped_port_file()["firewall_flows"])
