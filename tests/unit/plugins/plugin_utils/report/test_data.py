# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of a small site, whole: as data that the schema takes, as a page, for CI, and as a fact."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jmespath
import jsonschema
import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils._expectations.host_tasks import (
    Limits,
    VerifyOptions,
    VerifyRun,
    new_run,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan
from ansible_collections.hpc.ports.plugins.plugin_utils._report.data import as_data, as_fact
from ansible_collections.hpc.ports.plugins.plugin_utils._report.html import page
from ansible_collections.hpc.ports.plugins.plugin_utils._report.junit import junit
from ansible_collections.hpc.ports.plugins.plugin_utils._report.text import Findings
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.registered import run_of
from ansible_collections.hpc.ports.tests.support.sites import make_plan
from hypothesis import given
from hypothesis import strategies as st

SCHEMA = json.loads(Path("roles/verify/files/report.schema.json").read_text(encoding="utf-8"))
CHECK = jsonschema.Draft202012Validator(SCHEMA)
PLAN = make_plan(
    {
        "services": {
            "web": {"ports": ["443/tcp"], "title": "Web", "unit": "nginx.service"},
            "dns": {"ports": ["53/udp"]},
            "vrrp": {"ports": ["112/ip"]},
        },
        "endpoints": {"users": {"cidrs": ["198.51.100.0/24"]}},
        "flows": {
            "https": {
                "from": ["users"],
                "to": ["control_plane"],
                "services": ["web"],
                "need": "required",
                "title": "Users see the portal",
                "reference": ["Ports: Portal"],
            }
        },
    },
    {
        "ctl": {"groups": ["control_plane"], "addresses": ["10.0.0.1", "fd00::1"]},
        "n1": {"groups": ["slurm_compute"], "addresses": ["10.1.0.1"], "cluster": "alpha"},
        "laptop": {"groups": ["offices"], "addresses": ["198.51.100.7"]},
        "stranger": {"groups": ["offices"], "addresses": ["203.0.113.7"]},
    },
)
HOSTS = tuple(PLAN.inventory.hosts)
SOURCES = {"ctl": "10.0.0.1", "n1": "10.1.0.1", "laptop": "198.51.100.7", "stranger": "203.0.113.7"}
QUERY = "[?contains([`22`, `53`, `443`], port)]"


def begin(passive: bool = False, hosts: tuple[str, ...] = HOSTS) -> VerifyRun:
    return new_run(PLAN, VerifyOptions(hosts, QUERY, passive, Limits(1.0, 2, 1000, 1000.0, 5, 50_000)))


def reported(run: VerifyRun, outcomes: dict[tuple[str, str, str], str] | None = None) -> dict[str, dict[str, Any]]:
    """Return what hosts report where all is as expected, but for `outcomes` by source, target and port."""
    found: dict[str, dict[str, Any]] = {}
    nonces = {host: part["nonce"] for host, part in run.parts.items()}
    for host, part in run.parts.items():
        ports = {} if part["passive"] else {"0.0.0.0": part["listen"], "::": part["listen"]}
        found[host] = {
            "probed": {"results": []},
            "judged": {},
            "compared": {},
            "stopped": {
                "alive": True,
                "listening": ports,
                "in_use": {},
                "not_held": {},
                "not_counted": "",
                "counts": {name: {} for name in ("left", "arrived", "passed", "answered", "returned")},
            },
        }
        if part["managed"]:
            found[host]["compared"] = {"changes": {"objects": []}, "backend": "nftables"}
    for item in run.expected.expectations:
        port = f"{item.port}/{item.protocol}"
        outcome = (outcomes or {}).get((item.source, item.target, port), item.expected)
        results = found[item.source]["probed"]["results"]
        lists: dict[str, list[str]] = {name: [] for name in ("open", "refused", "filtered", "error", "rejected")}
        results.append(
            {
                "address": item.address,
                "reachable": True,
                **lists,
                outcome: [port],
                "details": {},
                "nonces": {nonces[item.target]: [port]} if outcome == "open" else {},
                "seconds": {port: 0.25},
                "attempts": {},
                "source": "fd00::9" if ":" in item.address else SOURCES[item.source],
                "elsewhere": {},
            }
        )
    return found


def data_of(run: VerifyRun, said: dict[str, dict[str, Any]], plan: Plan = PLAN) -> dict[str, Any]:
    about, verdicts = run_of(plan, run, said)
    expected = run.expected
    diagnoses = {item.expectation: found for item in verdicts for found in [about.diagnosis(item)] if found}
    found = Findings(verdicts, expected.skipped, expected.unmanaged, expected.classes, about.compared, diagnoses)
    return as_data(found, about, ["inventories/site"])


def check(data: dict[str, Any]) -> None:
    """See that everybody who reads the report takes it."""
    assert [error.message for error in CHECK.iter_errors(data)] == []
    again = json.loads(json.dumps(data))
    assert again == data
    assert page(again).startswith("<!doctype html>") or page(again).startswith("<!DOCTYPE html>")
    assert len(list(ElementTree.fromstring(junit(again).encode()).iter("testcase"))) >= bool(data["cells"])


BROKEN = {
    ("laptop", "ctl", "443/tcp"): "filtered",
    ("stranger", "n1", "22/tcp"): "open",
    ("stranger", "n1", "443/tcp"): "refused",
    ("n1", "ctl", "22/tcp"): "error",
}


def test_a_run_where_all_is_right() -> None:
    run = begin()
    data = data_of(run, reported(run))
    check(data)
    assert (data["format"], data["mode"]) == (2, "active")
    assert data["summary"]["right"] == data["summary"]["connections"] == len(data["cells"]) > 10
    assert {cell["compiled"] == cell["intended"] for cell in data["cells"]} == {True}
    made = datetime.strptime(data["made"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
    assert timedelta() <= datetime.now(timezone.utc) - made < timedelta(minutes=1)


def test_hosts_services_and_flows_are_described() -> None:
    run = begin()
    data = data_of(run, reported(run))
    assert {
        host: (about["managed"], about["roles"], about["clusters"], about["is_equal"])
        for host, about in data["hosts"].items()
    } == {
        "ctl": (True, ["control_plane"], ["default"], True),
        "n1": (True, ["slurm_compute"], ["alpha"], True),
        "laptop": (False, [], [], None),
        "stranger": (False, [], [], None),
    }
    assert {about["class"]: data["classes"][about["class"]] for about in data["hosts"].values()} == data["classes"]
    assert data["services"]["web"] == {"title": "Web", "ports": ["443/tcp"]}
    assert data["flows"]["https"] == {
        "title": "Users see the portal",
        "from": ["users"],
        "to": ["control_plane"],
        "services": ["web"],
        "need": "required",
        "within_cluster": False,
        "reference": ["Ports: Portal"],
        "note": "",
        "is_on": True,
    }
    assert data["inventory"] == ["inventories/site"]


def test_what_is_open_to_networks_outside_is_said_of_the_classes_that_took_part() -> None:
    ssh = {"flow": "management_ssh", "services": ["ssh"], "ports": ["22/tcp"], "endpoints": ["controllers"]}
    web = {"flow": "https", "services": ["web"], "ports": ["443/tcp"], "endpoints": ["users"]}
    controllers, users = {"networks": ["192.0.2.1/32"]}, {"networks": ["198.51.100.0/24"]}
    run = begin()
    assert data_of(run, reported(run))["outside"] == [
        {"to": "control_plane", **web, **users},
        {"to": "control_plane", **ssh, **controllers},
        {"to": "slurm_compute alpha", **ssh, **controllers},
    ]
    run = begin(hosts=("n1", "laptop"))
    assert data_of(run, reported(run))["outside"] == [{"to": "slurm_compute alpha", **ssh, **controllers}]


def test_a_flow_that_is_off_is_said_to_be_off() -> None:
    flow = {"from": ["users"], "to": ["control_plane"], "services": ["web"], "need": "optional"}
    plan = make_plan(
        {
            "services": {"web": {"ports": ["443/tcp"]}},
            "endpoints": {"users": {"cidrs": ["198.51.100.0/24"]}},
            "flows": {"https": flow},
        },
        {"ctl": {"groups": ["control_plane"], "addresses": ["10.0.0.1"]}},
    )
    run = new_run(plan, VerifyOptions(("ctl",), "", False, Limits(1.0, 2, 1000, 1000.0, 5, 50_000)))
    flows = data_of(run, reported(run), plan)["flows"]
    assert {name: flow["is_on"] for name, flow in flows.items()} == {"https": False, "management_ssh": True}


def test_a_run_where_something_is_wrong() -> None:
    run = begin()
    data = data_of(run, reported(run, BROKEN))
    check(data)
    red = {
        (cell["source"], cell["target"], f"{cell['port']}/{cell['protocol']}"): (
            cell["verdict"],
            (cell["diagnosis"] or {}).get("code"),
        )
        for cell in data["cells"]
        if cell["verdict"] != "right"
    }
    assert red == {
        ("laptop", "ctl", "443/tcp"): ("wrong", "not_sent"),
        ("stranger", "n1", "22/tcp"): ("wrong", "ruleset_allows"),
        ("stranger", "n1", "443/tcp"): ("wrong", "other_table"),
        ("n1", "ctl", "22/tcp"): ("unknown", "unreachable"),
    }


def test_hosts_that_report_nothing_are_never_right() -> None:
    run = begin()
    data = data_of(run, {host: {phase: {} for phase in ("probed", "stopped", "compared", "judged")} for host in HOSTS})
    check(data)
    assert (data["summary"]["right"], data["summary"]["unknown"]) == (0, len(data["cells"]))
    assert data["summary"]["not_running_policy"] == ["ctl", "n1"]
    assert {cell["compiled"] for cell in data["cells"]} == {"unknown"}
    assert {cell["outcome"] for cell in data["cells"]} == {"error"}


def test_without_listeners_what_is_unproven_is_no_cell() -> None:
    run = begin(passive=True)
    data = data_of(run, reported(run, {("laptop", "ctl", "443/tcp"): "refused"}))
    check(data)
    assert data["mode"] == "passive"
    assert {cell["protocol"] for cell in data["cells"]} == {"tcp"}
    assert {cell["diagnosis"]["code"] for cell in data["cells"] if cell["verdict"] == "wrong"} == {"no_listener"}
    reasons = Counter({item["reason"]: item["connections"] for item in data["not_tested"]})
    assert "The missing answer proves nothing: nothing listens on the port." in reasons
    assert data["summary"]["not_tested"] == sum(item["connections"] for item in data["not_tested"])
    unproven = sum(item["connections"] for item in data["not_tested"] if "missing answer" in item["reason"])
    assert len(data["cells"]) + unproven == len(run.expected.expectations)


def test_a_run_of_nothing() -> None:
    run = begin(hosts=("ctl",))
    data = data_of(run, reported(run))
    check(data)
    assert (data["cells"], data["summary"]["connections"]) == ([], 0)


PROBES = sorted({(item.source, item.target, f"{item.port}/{item.protocol}") for item in begin().expected.expectations})
OUTCOMES = st.dictionaries(
    st.sampled_from(PROBES), st.sampled_from(["open", "refused", "filtered", "error"]), max_size=8
)
LOST = st.sets(st.tuples(st.sampled_from(HOSTS), st.sampled_from(["probed", "stopped", "compared"])))


@given(OUTCOMES, LOST, st.booleans())
def test_whatever_comes_of_it_the_schema_takes_it(
    outcomes: dict[tuple[str, str, str], str], lost: set[tuple[str, str]], passive: bool
) -> None:
    run = begin(passive)
    said = reported(run, outcomes)
    for host, phase in lost:
        said[host][phase] = {}
    data = data_of(run, said)
    assert [error.message for error in CHECK.iter_errors(data)] == []
    counts = Counter(cell["verdict"] for cell in data["cells"])
    assert {word: data["summary"][word] for word in ("right", "wrong", "unknown")} == {
        word: counts[word] for word in ("right", "wrong", "unknown")
    }
    assert {cell["verdict"] == "right" for cell in data["cells"] if cell["diagnosis"] is None} <= {True}


# ---- the fact


@pytest.mark.parametrize(
    "question,answer",
    [
        # Which hosts expose 22 to outside? To whom at all? What is open to strangers?
        ("open[?port==`22` && from_outside].target", ["n1"]),
        ("open[?port==`22`].[source, target]", [["stranger", "n1"]]),
        ("open[?from_outside].join(' ', [source, target, to_string(port)])", ["laptop ctl 443", "stranger n1 22"]),
        ("open[?flow=='https'].services", [["web"]]),
        (
            "sort(not_right[].join(' ', [verdict, source, target, diagnosis.code]))",
            ["unknown n1 ctl unreachable", "wrong stranger n1 other_table", "wrong stranger n1 ruleset_allows"],
        ),
        ("summary.[wrong, unknown]", [2, 1]),
        ("sort(hosts | keys(@))", sorted(HOSTS)),
        ("hosts.n1.clusters", ["alpha"]),
    ],
)
def test_questions_to_the_fact(question: str, answer: Any) -> None:
    run = begin()
    broken = {key: outcome for key, outcome in BROKEN.items() if key[0] != "laptop"}
    data = data_of(run, reported(run, broken))
    # Each address of a target is a connection of its own.
    fact = as_fact({**data, "cells": [cell for cell in data["cells"] if ":" not in cell["address"]]})
    found = jmespath.search(question, fact)
    assert found == answer


def test_what_is_open_to_managed_hosts_is_not_exposed_to_outside() -> None:
    run = begin()
    fact = as_fact(data_of(run, reported(run, {("n1", "ctl", "22/tcp"): "open"})))
    assert jmespath.search("open[?port==`22`].[source, target, from_outside]", fact) == [["n1", "ctl", False]]


def test_the_fact_of_a_run_where_all_is_right_has_nothing_that_is_not() -> None:
    run = begin()
    fact = as_fact(data_of(run, reported(run)))
    assert (fact["not_right"], jmespath.search("open[?port==`22` && from_outside].target", fact)) == ([], [])
    assert set(fact["open"][0]) == {
        "source",
        "target",
        "address",
        "protocol",
        "port",
        "services",
        "flow",
        "from_outside",
    }
