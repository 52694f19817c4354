# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The last line of a run."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils._report.outcomes import Outcomes

CHANGED, SAME, LACKS = {"changed": True}, {"changed": False}, {"changed": False, "missing_packages": ["nftables"]}


def line(done: Mapping[str, Mapping[str, object]], failed: Mapping[str, bool], is_check: bool = False) -> str:
    outcomes = Outcomes()
    for host, result in done.items():
        outcomes.done(host, result)
    for host, at_firewall in failed.items():
        outcomes.failed(host, at_firewall)
    return outcomes.text(is_check)


@pytest.mark.parametrize(
    ("done", "failed", "text"),
    [
        ({"b": SAME, "a": SAME}, {}, "Firewall: 2 hosts as before."),
        ({"a": SAME}, {}, "Firewall: 1 host as before."),
        (
            {"c": CHANGED, "b": CHANGED, "a": SAME},
            {"n": True},
            "Firewall: 2 hosts changed (b, c), 1 as before, 1 failed (n).",
        ),
        ({}, {"n": True}, "Firewall: 1 host failed (n)."),
        # One that fails before the others get theirs, and one that fails later.
        ({"a": CHANGED}, {"a": False, "n": False}, "Firewall: 1 host changed (a), 1 failed (n)."),
        # One whose packages are installed, and then fails.
        ({"a": LACKS}, {"a": True}, "Firewall: 1 host failed (a)."),
        ({}, {"n": False}, ""),
        ({}, {}, ""),
    ],
)
def test_the_line_counts_each_host_once(
    done: Mapping[str, Mapping[str, object]], failed: Mapping[str, bool], text: str
) -> None:
    assert line(done, failed) == text


def test_check_mode_says_what_would_change() -> None:
    assert (
        line({"a": CHANGED, "b": LACKS, "c": SAME}, {}, True) == "Firewall: 2 hosts would change (a, b), 1 as before."
    )


def test_a_host_that_changed_stays_so_when_it_is_tried_again() -> None:
    outcomes = Outcomes()
    outcomes.done("a", LACKS)
    outcomes.done("a", SAME)
    assert outcomes.text(False) == "Firewall: 1 host changed (a)."


def test_a_long_list_is_cut() -> None:
    text = line({f"node{number:03}": CHANGED for number in range(500)}, {})
    assert text.startswith("Firewall: 500 hosts changed (node000, node001, ")
    assert text.endswith(" and 480 more).")
