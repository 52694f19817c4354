# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The JUnit file, read back as a CI server does."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial
from typing import Any
from xml.etree import ElementTree

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._model.shown import shown
from ansible_collections.hpc.ports.plugins.plugin_utils._report.junit import SEVERAL, junit
from ansible_collections.hpc.ports.tests.support.reports import cell, host, large, small, whole
from hypothesis import given
from hypothesis import strategies as st
from junitparser import JUnitXml


def read(data: dict[str, Any]) -> dict[tuple[str, str], list[Any]]:
    """What each test case says, by its suite and its name: nothing where it passed."""
    suites = JUnitXml.fromstring(junit(data).encode())
    return {
        (suite.name, case.name): [(type(said).__name__, said.message, said.text) for said in case.result]
        for suite in suites
        for case in suite
    }


def one(verdict: str = "wrong", about: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    hosts = {"a": host("a", [], "x", 1, managed=False), "b": host("b", [], "x", 2, **(about or {}))}
    return whole(hosts, [cell("a", "b", "10.0.0.3", 22, verdict=verdict, **changes)])


def test_a_host_that_took_no_part_is_an_error() -> None:
    data = whole({}, [])
    data["summary"]["left_out"] = ["gone"]
    [suite] = JUnitXml.fromstring(junit(data).encode())
    assert (suite.name, suite.tests, suite.errors) == ("gone", 1, 1)


# ---- counts


@pytest.mark.parametrize(
    "build",
    [small, partial(large, 60, 400, 3), large, partial(whole, {}, [])],
    ids=["small", "medium", "large", "empty"],
)
def test_the_counts_agree_with_the_summary_and_with_the_cases(build: Callable[[], dict[str, Any]]) -> None:
    data = build()
    suites = JUnitXml.fromstring(junit(data).encode())
    summary = data["summary"]
    assert suites.failures == summary["wrong"] + len(summary["not_running_policy"])
    assert suites.errors == summary["unknown"] + len(summary["left_out"])
    assert suites.skipped == len(data["not_tested"])
    said = (suites.tests, suites.failures, suites.errors, suites.skipped, suites.time)
    assert suites.tests == sum(len(suite) for suite in suites)
    counted = [(suite.tests, suite.failures, suite.errors, suite.skipped) for suite in suites]
    for suite in suites:
        suite.update_statistics()
    assert counted == [(suite.tests, suite.failures, suite.errors, suite.skipped) for suite in suites]
    assert said[:4] == tuple(map(sum, zip(*counted))) if counted else said[:4] == (0, 0, 0, 0)


def test_every_connection_is_in_one_case() -> None:
    data = small()
    names = {name for (suite, name) in read(data)}
    for item in data["cells"]:
        ends = f"{item['source']} -> {item['target']}"
        if item["verdict"] == "right":
            assert any(name.startswith(f"{ends}: {item['intended']} ") for name in names)
        else:
            assert f"{ends}:{item['port']}/tcp ({item['address']})" in names


def test_a_large_report_stays_small() -> None:
    assert len(junit(large())) < 4_000_000


# ---- the cases


def test_a_wrong_cell_fails_with_why_diagnosis_and_advice() -> None:
    assert read(small())["ctl1", "login1 -> ctl1:6817/tcp (10.0.0.2)"] == [
        (
            "Failure",
            "wrong: intended open, compiled open, observed filtered",
            "No answer, although the host answers echoes.\n"
            "Rules of another program on ctl1 drop packets from 10.0.0.3 to 6817/tcp: table inet docker, chain input: "
            "drop; flow slurm_control allows them.\n"
            "Change that rule on ctl1: an accept of hpc.ports does not override a drop of another table.\n"
            "Flow: slurm_control\nRule: in 6817/tcp from 10.0.0.0/8: accept",
        )
    ]


def test_an_unknown_cell_is_an_error() -> None:
    assert read(one("unknown", rule="", outcome="error", why="The probe failed.", detail="EHOSTUNREACH"))[
        "b", "a -> b:22/tcp (10.0.0.3)"
    ] == [
        (
            "Error",
            "unknown: intended filtered, compiled filtered, observed error",
            "The probe failed.\nNo flow allows this connection.\nEHOSTUNREACH",
        )
    ]


def test_right_cells_of_a_pair_share_a_case_and_it_passes() -> None:
    found = read(small())
    assert found["ctl1", "node1 -> ctl1: open 2049/tcp, 6817/tcp"] == []
    assert found["node1", "outsider -> node1: filtered 22/tcp, 2049/tcp, 2375/tcp, 2376/tcp, 5432/tcp and 3 more"] == []


def test_what_was_not_tested_is_skipped() -> None:
    found = read(small())
    assert found["nfs1", "monitor1 -> nfs1: 8 not tested"] == [
        ("Skipped", "monitor1 has no address that resolves; set firewall_source_addresses.", None)
    ]
    assert found[SEVERAL, "several -> several: 2 not tested"] == [
        ("Skipped", "No ports to probe: vrrp (112/ip).", None)
    ]


@pytest.mark.parametrize(
    ("about", "expected"),
    [
        ({}, []),
        (
            {"is_equal": False, "objects": ["chain input", "set x"]},
            [("Failure", "b does not run its policy.", "These differ: chain input, set x")],
        ),
        (
            {"is_equal": None, "reason": "No sudo."},
            [("Failure", "It is not known whether b runs its policy: No sudo.", None)],
        ),
        ({"is_equal": None}, [("Skipped", "The ruleset of b was not read back.", None)]),
    ],
)
def test_a_host_passes_only_when_it_runs_its_policy(about: dict[str, Any], expected: list[Any]) -> None:
    assert read(one(about=about))["b", "runs its policy"] == expected


def test_a_host_without_a_policy_has_no_case_for_it() -> None:
    assert ("a", "runs its policy") not in read(one())


def test_times_are_those_of_the_probes_and_the_longest_stands_for_all() -> None:
    root = ElementTree.fromstring(junit(one("wrong", seconds=0.25)))
    assert [root.get("time"), root[0].get("time"), *(case.get("time") for case in root[0])] == [
        "0.250",
        "0.250",
        "0.000",
        "0.250",
    ]
    assert root[0].get("timestamp") == "2026-11-22T08:00:00"
    assert ElementTree.fromstring(junit(one("unknown", seconds=None)))[0].get("time") == "0.000"


# ---- any text


@given(st.text(st.characters(exclude_categories=[]), max_size=12))
def test_any_text_gives_xml_that_can_be_read(text: str) -> None:
    data = one("wrong", about={"is_equal": False, "objects": [text]}, why=f"x{text}y", detail=text)
    data["hosts"][text] = data["hosts"].pop("b")
    data["cells"][0]["target"] = text
    JUnitXml.fromfile(io.BytesIO(junit(data).encode()))
    root = ElementTree.fromstring(junit(data))
    said = "".join(root.itertext())
    assert f"x{shown(text)}y" in said


def test_what_xml_cannot_write_is_written_as_its_code() -> None:
    why = "bell\x07 null\x00 half\ud800 end\uffff line\nturned\u202e \N{GRINNING FACE} <&>\"'"
    [(kind, message, text)] = read(one("wrong", why=why, rule="", detail=""))["b", "a -> b:22/tcp (10.0.0.3)"]
    assert text == (
        "bell\\x07 null\\x00 half\\ud800 end\\uffff line\\nturned\\u202e \N{GRINNING FACE} <&>\"'\n"
        "No flow allows this connection."
    )
