# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The uses of the scenario `platform` cover every flow of the shipped port file; what a failed use proves."""

from __future__ import annotations

import pytest
from ansible_collections.hpc.ports.tests.platform import flows
from ansible_collections.hpc.ports.tests.platform.flows import (
    COVERED_BY,
    NOT_EXERCISED,
    PAGE,
    controls,
    rounds,
    shipped_port_file,
    shown_for,
    wrong,
)
from ansible_collections.hpc.ports.tests.platform.uses import USES, Hosts, Use, errors_of

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
    assert [
        use.name for off in rounds() for flow in off for use in shown_for(flow) if len({*use.flows} & {*off}) != 1
    ] == []


def test_the_page_says_what_the_port_file_and_the_uses_say() -> None:
    """As if all that shows a flow had failed without it: found by the real daemons, in dev/test flows."""
    failed = {flow: [use.name for use in shown_for(flow)] for flow in USED}
    assert PAGE.read_text(encoding="utf-8") == flows.page(failed)


@pytest.mark.parametrize("off", rounds(), ids="+".join)
def test_each_area_that_loses_a_flow_keeps_a_control(off: list[str]) -> None:
    kept = controls(off)
    lost = {use.area for flow in off for use in shown_for(flow)}
    # All that users' software does goes by the two flows that are off together.
    assert {use.area for use in kept} == lost - ({"user traffic"} if "cluster_user_traffic" in off else set())
    closed = {*off, *(COVERED_BY[flow] for flow in off if flow in COVERED_BY)}
    assert not closed & {flow for use in kept for flow in use.flows}


OFF = ["slurm_control"]
SHOWN = [use.name for use in shown_for("slurm_control")]
LOST = dict.fromkeys(SHOWN, "timed out")


def test_a_flow_is_needed_where_its_uses_fail_without_it_and_work_with_it() -> None:
    assert wrong(OFF, LOST, {}) == []


def test_a_use_that_works_without_its_flow_is_told() -> None:
    [text] = wrong(OFF, {name: LOST[name] for name in SHOWN[1:]}, {})
    assert text == f"{SHOWN[0]} works without slurm_control."


def test_a_use_that_fails_only_because_the_machine_is_slow_is_told() -> None:
    """It fails without the flow, and with it: with the patience that there is, nothing is proven."""

    def run(hosts: Hosts) -> None:
        assert hosts.patience >= 20, "exit 124"

    [slow] = [Use(SHOWN[0], "", "slurm", ("slurm_control",), run)]
    again = errors_of([slow], 7)
    [text] = wrong(OFF, {**LOST, **errors_of([slow], 7)}, again)
    assert text.startswith(f"{SHOWN[0]} fails with all flows on as well: exit 124")
    assert errors_of([slow], 20) == {}


def test_a_control_that_fails_is_told() -> None:
    [text] = wrong(OFF, {**LOST, "account_is_shown": "exit 124"}, {})
    assert text == "account_is_shown fails though its flows are on: exit 124"
