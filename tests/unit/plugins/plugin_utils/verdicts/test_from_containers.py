# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verdicts on connections of containers, and their diagnosis; tests/kernel/test_from_containers.py has real packets."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.diagnosis import PacketJudgement
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.evidence import Results
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.from_containers import (
    TriedContainer,
    container_verdicts,
    diagnosis_of_container,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.verdicts import Verdict
from ansible_collections.hpc.ports.tests.support.reported import NOBODY, TARGET, expectation, result

INSIDE = "172.17.0.2"
NAME = f"source (container {INSIDE})"
OURS = PacketJudgement("drop", "inet hpc_ports", "leaving", "drop", is_ours=True)
OTHERS = PacketJudgement("drop", "inet site", "c", "tcp dport 443 drop")


def judged(expected: str, outcome: str, came: int | None, left: int | None, **values: Any) -> Verdict:
    """Return the verdict; `came` and `left` are the packets at the host of the container, None: not counted."""
    said = result(outcome, source=INSIDE, reachable=None, **values)
    counts: dict[str, Any] = {"arrived": {TARGET: {INSIDE: {str(came): ["443/tcp"]}}} if came else {}}
    counts["left"] = {INSIDE: {TARGET: {str(left): ["443/tcp"]}}} if left else {}
    uncounted = {name: None for name, number in (("arrived", came), ("left", left)) if number is None}
    results = Results(
        {NAME: [said]}, {"source": {**NOBODY, "counts": {**counts, **uncounted}}}, containers={NAME: "source"}
    )
    container = TriedContainer("source", {"address": INSIDE, "interface": "docker0", "results": [said]})
    [verdict] = container_verdicts([container], {"source": [expectation(expected)]}, results)
    return verdict


def test_the_source_is_the_container() -> None:
    verdict = judged("filtered", "filtered", 2, 0)
    assert (verdict.expectation.source, verdict.source_host, verdict.denying_host) == (NAME, "source", "source")
    # The target denies it to the host as well, but what is tested are the rules of the host.
    assert verdict.expectation.denied_by == "source"
    assert judged("open", "open", 1, 1).expectation.denied_by == ""


@pytest.mark.parametrize(
    "expected,outcome,came,left,word",
    [
        ("open", "open", 1, 1, "right"),
        ("open", "open", None, None, "right"),
        ("open", "open", 1, 0, "unproven"),
        ("open", "filtered", 2, 0, "wrong"),
        ("open", "filtered", 2, 2, "unproven"),
        ("open", "refused", 1, 1, "unproven"),
        ("open", "filtered", None, None, "unproven"),
        ("filtered", "filtered", 2, 0, "right"),
        ("filtered", "refused", 1, 0, "right"),
        ("filtered", "filtered", 2, 2, "wrong"),
        ("filtered", "open", 1, 1, "wrong"),
        ("filtered", "open", 1, 0, "unproven"),
        ("filtered", "open", None, None, "wrong"),
        ("filtered", "filtered", None, None, "unproven"),
        ("filtered", "filtered", 2, None, "unproven"),
    ],
)
def test_the_counts_of_the_host_decide(expected: str, outcome: str, came: int, left: int, word: str) -> None:
    verdict = judged(expected, outcome, came, left)
    assert verdict.verdict == word
    assert bool(verdict.why) == (word != "right")


def test_what_does_not_come_over_the_host_proves_nothing() -> None:
    for expected, outcome in itertools.product(("open", "filtered"), ("open", "refused", "filtered", "error")):
        assert judged(expected, outcome, 0, 0).verdict == "unproven"
    failed = judged("open", "error", None, None, detail="Network is unreachable.")
    assert (failed.verdict, failed.why) == (
        "unproven",
        "The container sent no packet over source. Network is unreachable.",
    )


def test_what_a_container_did_not_try_has_no_verdict() -> None:
    container = TriedContainer("source", {"address": INSIDE, "interface": "docker0", "results": []})
    assert not list(container_verdicts([container], {"source": [expectation("open")]}, Results({NAME: []})))
    assert not list(container_verdicts([container], {}, Results({NAME: [result("open")]})))


@pytest.mark.parametrize(
    "verdict,out,code,texts",
    [
        (
            judged("filtered", "open", 1, 1),
            PacketJudgement("accept", "inet hpc_ports", "forward", "policy accept", is_ours=True),
            "ruleset_allows",
            (
                "No flow allows source to connect to 443/tcp of target, but source forwarded the packet of its "
                "container on docker0: table inet hpc_ports, chain forward, `policy accept`.",
                "firewall_filtered_containers",
            ),
        ),
        (judged("filtered", "open", 1, 1), None, "ruleset_allows", ("container on docker0.", "The chain forward of")),
        (judged("filtered", "open", 1, 1), OTHERS, "ruleset_allows", ("container on docker0.", "The chain forward of")),
        (
            judged("open", "filtered", 2, 0),
            OURS,
            "ruleset_drops",
            ("chain leaving, `drop`", "firewall_filtered_containers"),
        ),
        (
            judged("open", "filtered", 2, 0),
            OTHERS,
            "other_table",
            ("`tcp dport 443 drop`", "Change that rule on source"),
        ),
        (judged("open", "filtered", 2, 0), None, "unknown", ("No known rule drops it.", "net.ipv4.ip_forward")),
        (
            judged("open", "filtered", 2, 0),
            PacketJudgement("unknown", unknown="net.ipv4.ip_forward is 0"),
            "unknown",
            ("source did not forward the packet of its container on docker0. net.ipv4.ip_forward is 0", "nft list"),
        ),
    ],
)
def test_the_diagnosis_names_the_rules_for_forwarded_packets(
    verdict: Verdict, out: PacketJudgement | None, code: str, texts: tuple[str, str]
) -> None:
    diagnosis = diagnosis_of_container(verdict, out)
    assert diagnosis.code == code
    assert texts[0] in diagnosis.text and texts[1] in diagnosis.advice
