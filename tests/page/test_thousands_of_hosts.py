# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of 2,000 hosts and 60,000 connections: it shows the same, and draws only what is seen."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ansible_collections.hpc.ports.tests.page.conftest import Show
from ansible_collections.hpc.ports.tests.support.reports import SCHEMA
from playwright.sync_api import expect

COMPUTE = "cluster01 slurm_compute (48)"


def test_the_report_is_as_large_as_it_says_and_keeps_to_the_schema(thousands: dict[str, Any]) -> None:
    assert len(thousands["hosts"]) == 2000
    assert len(thousands["cells"]) == 60000
    assert {cell["target"] for cell in thousands["cells"]} == set(thousands["hosts"]) - {"outsider"}
    jsonschema.validate({**thousands, "cells": thousands["cells"][::100]}, SCHEMA)


def test_classes_stand_for_their_hosts(show: Show, two_thousand: Path, thousands: dict[str, Any]) -> None:
    shown = show(two_thousand)
    assert shown.status == "Showing 60,000 of 60,000 connections. 122 rows, 121 columns."
    assert shown.heads("row")[0] == COMPUTE
    class_of = {name: about["class"] for name, about in thousands["hosts"].items()}
    count = Counter(
        (class_of[connection["source"]], class_of[connection["target"]]) for connection in thousands["cells"]
    )
    first = [label for pair, label in shown.labels().items() if pair == f"{COMPUTE} to cluster01-controller"]
    assert first == [f"all {count['cluster01 slurm_compute', 'cluster01-controller']} right, 2 open"]
    assert shown.page.locator("#found [data-found]").count() == 12
    shown.page.locator("#found .more").click()
    assert shown.page.locator("#found [data-found]").count() == 24


@pytest.mark.parametrize("state", ["", "by=host&outcome=untested"])
def test_only_what_is_seen_is_drawn(show: Show, two_thousand: Path, state: str) -> None:
    shown = show(two_thousand, state)
    assert 100 < shown.page.locator("#grid td").count() < 1500
    assert shown.page.evaluate("document.querySelectorAll('*').length") < 4000
    rows = "2001" if state else "123"
    expect(shown.page.get_by_role("grid")).to_have_attribute("aria-rowcount", rows)


def test_a_class_unfolds_to_its_hosts(show: Show, two_thousand: Path) -> None:
    shown = show(two_thousand)
    shown.head("row", COMPUTE).click()
    assert shown.heads("row")[:3] == [COMPUTE, "cluster01-compute1", "cluster01-compute2"]
    assert shown.status.endswith("170 rows, 121 columns.")
    shown.head("column", COMPUTE).click()
    assert shown.heads("col")[:3] == [COMPUTE, "cluster01-compute1", "cluster01-compute2"]
    assert shown.status.endswith("170 rows, 169 columns.")


def test_keys_reach_the_far_corner_and_a_cell_there_opens(show: Show, two_thousand: Path) -> None:
    shown = show(two_thousand, "by=host")
    shown.page.locator('#grid [tabindex="0"]').focus()
    shown.page.keyboard.press("Control+End")
    assert shown.focused() == "outsider to monitor1: all 8 right, 0 open"
    expect(shown.cell("outsider", "monitor1")).to_be_in_viewport(ratio=1)
    expect(shown.head("row", "outsider")).to_be_in_viewport(ratio=1)
    expect(shown.head("column", "monitor1")).to_be_in_viewport(ratio=1)
    shown.page.keyboard.press("Enter")
    expect(shown.page.get_by_role("dialog", name="outsider → monitor1")).to_be_visible()
    shown.page.keyboard.press("Escape")
    expect(shown.cell("outsider", "monitor1")).to_be_focused()
    shown.page.keyboard.press("Control+Home")
    assert shown.focused() == "cluster01-compute1"


def test_a_window_that_changes_stays_where_it_was(show: Show, two_thousand: Path) -> None:
    shown = show(two_thousand, "by=host")
    shown.page.locator('#grid [tabindex="0"]').focus()
    for key in ("PageDown", "PageDown", "PageDown"):
        shown.page.keyboard.press(key)
    label, first = shown.focused(), shown.heads("row")[0]
    shown.page.set_viewport_size({"width": 1100, "height": 880})
    expect(shown.page.locator("#view")).to_have_css("width", f"{shown.page.evaluate('scroll.clientWidth')}px")
    assert (shown.focused(), shown.heads("row")[0]) == (label, first)


def test_scrolling_draws_what_comes_into_sight(show: Show, two_thousand: Path) -> None:
    shown = show(two_thousand, "by=host")
    shown.page.locator("#keys").scroll_into_view_if_needed()
    shown.page.locator("#scroll").evaluate("scroll => scroll.scrollTo(scroll.scrollWidth, scroll.scrollHeight)")
    expect(shown.head("row", "outsider")).to_be_visible()
    expect(shown.head("column", "monitor1")).to_be_visible()
    expect(shown.head("row", "outsider")).to_be_in_viewport(ratio=0.9)


def test_filters_find_what_is_wrong_among_many(show: Show, two_thousand: Path, thousands: dict[str, Any]) -> None:
    shown = show(two_thousand, "by=host&verdict=wrong")
    wrong = [connection for connection in thousands["cells"] if connection["verdict"] == "wrong"]
    rows, columns = ({connection[end] for connection in wrong} for end in ("source", "target"))
    assert shown.status == f"Showing {len(wrong)} of 60,000 connections. {len(rows)} rows, {len(columns)} columns."
    assert set(shown.heads("row")) <= rows
    connection = wrong[0]
    shown.page.locator("#from").fill(connection["source"])
    shown.page.locator("#to").fill(connection["target"])
    shown.cell(connection["source"], connection["target"]).first.click()
    assert connection["diagnosis"]["text"] in shown.page.locator("#inside").inner_text()


def test_a_pair_for_which_others_stand_says_so(show: Show, two_thousand: Path) -> None:
    shown = show(two_thousand, "by=host&from=cluster01-compute1&to=cluster01-controller")
    pair, standing = "cluster01-compute1 to cluster01-controller", "cluster01-compute6 → cluster01-controller"
    assert shown.labels()[pair] == f"as {standing}"
    assert shown.cell(*pair.split(" to ")).inner_text() == "as others"
    shown.cell(*pair.split(" to ")).click()
    inside = shown.page.locator("#inside").inner_text()
    assert (
        f"As {standing}. Other hosts of the same classes were tested instead: 8 connections from cluster01 "
        "slurm_compute to cluster01-controller."
    ) in inside
    assert "6817/tcp flow slurm_control: observed open" in inside


def test_pairs_that_were_not_tried_are_counted(show: Show, two_thousand: Path, thousands: dict[str, Any]) -> None:
    shown = show(two_thousand, "by=host&from=cluster01&to=cluster01&outcome=untested")
    class_of = {name: about["class"] for name, about in thousands["hosts"].items()}
    tried = {(connection["source"], connection["target"]) for connection in thousands["cells"]}
    classes = {(class_of[source], class_of[target]) for source, target in tried}
    hosts = [name for name in class_of if "cluster01" in name]
    untried = {(source, target) for source in hosts for target in hosts if source != target} - tried
    shared = sum((class_of[source], class_of[target]) in classes for source, target in untried)
    assert 0 < shared < len(untried)
    assert shown.status == (
        f"Showing {len(untried) - shared:,} pairs not tested. Of {shared:,} more pairs, hosts of the same classes were "
        "tested. 50 rows, 50 columns."
    )


def test_it_fits_a_phone(show: Show, two_thousand: Path) -> None:
    shown = show(two_thousand, viewport={"width": 360, "height": 740}, color_scheme="dark", is_mobile=True)
    assert shown.page.evaluate("document.documentElement.scrollWidth") == 360
    assert shown.violations() == []
