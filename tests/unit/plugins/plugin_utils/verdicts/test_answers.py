# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Results of hosts are read only if they have the documented form."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any
from xml.etree import ElementTree

import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils._expectations.expected import Expectation
from ansible_collections.hpc.ports.plugins.plugin_utils._expectations.host_tasks import VerifyRun
from ansible_collections.hpc.ports.plugins.plugin_utils._explain.answer import Answer, answer_of
from ansible_collections.hpc.ports.plugins.plugin_utils._explain.codes import NO, YES
from ansible_collections.hpc.ports.plugins.plugin_utils._explain.inquiry import Inquiry, inquiry_of
from ansible_collections.hpc.ports.plugins.plugin_utils._explain.text import lines
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan
from ansible_collections.hpc.ports.plugins.plugin_utils._report.data import as_data
from ansible_collections.hpc.ports.plugins.plugin_utils._report.html import packed
from ansible_collections.hpc.ports.plugins.plugin_utils._report.junit import junit
from ansible_collections.hpc.ports.plugins.plugin_utils._report.text import Findings, report
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.answers import (
    UNREADABLE,
    complete_answers,
    parsed,
    unreadable_hosts,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.cells import Run
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.registered import registered, run_of
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.verdicts import Verdict
from ansible_collections.hpc.ports.tests.support.answers import (
    HOSTILE,
    NAMES,
    Spoilt,
    answers_of,
    begin,
    site,
    spoilt,
    spoilt_answers,
    with_judgements,
)
from ansible_collections.hpc.ports.tests.support.run import examples
from hypothesis import given, settings

PLAN: Plan = site()
RUN: VerifyRun = begin(PLAN)
SAID = answers_of(PLAN, RUN)

# What JSON had to escape, other than a quote and a backslash.
_ESCAPED = re.compile(r'(?<!\\)(?:\\\\)*\\[^\\"]')

Verdicts = dict[Expectation, Verdict]


def ended(said: Mapping[str, Mapping[str, Any]]) -> tuple[Run, Verdicts]:
    """Return what verify makes of what the hosts said."""
    run, verdicts = run_of(PLAN, RUN, registered(NAMES, said, said.__getitem__))
    return run, {item.expectation: item for item in verdicts}


def reported(run: Run, verdicts: Verdicts) -> tuple[list[str], dict[str, Any]]:
    """Return the lines that verify shows, and its report."""
    expected = RUN.expected
    found = Findings(
        list(verdicts.values()),
        expected.skipped,
        expected.unmanaged,
        expected.classes,
        run.compared,
        {key: diagnosis for key, item in verdicts.items() for diagnosis in [run.diagnosis(item)] if diagnosis},
        run.unreadable,
    )
    return report(found), as_data(found, run)


@cache
def before() -> Verdicts:
    """Return the verdicts on what the hosts really said."""
    return ended(SAID)[1]


def asked_on(name: str, said: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Mapping[str, Any]]:
    """Return the variables; what hosts judge hangs on what they said before, one variable of which is another now."""
    return said if name == "verify_judged" else with_judgements(PLAN, RUN, said)


def assert_fit_to_be_seen(texts: list[str]) -> None:
    """Nothing that a host said does anything on a screen, none of it is a line, and no line is without end."""
    assert not [text for text in texts if not text.isprintable()]
    assert max(map(len, texts)) < 4000


def of_host(verdicts: Verdicts, host: str) -> Verdicts:
    return {key: item for key, item in verdicts.items() if host in (item.source_host, key.target)}


def right(verdicts: Verdicts) -> dict[Expectation, str]:
    """Return the connections that are right, each with what was seen of it."""
    return {key: item.seen.outcome for key, item in verdicts.items() if item.verdict == "right"}


# ---- any answer


def test_the_answers_are_worth_spoiling() -> None:
    """Some connections are right, wrong and unknown; every host has an answer, and each kind of answer is there."""
    assert {item.verdict for item in before().values()} == {"right", "wrong", "unknown", "unproven"}
    assert all(right(of_host(before(), host)) for host in SAID)
    assert any(item.container_of and item.verdict == "right" for item in before().values())
    assert {name for names in SAID.values() for name, said in names.items() if not said.get("skipped")} == set(
        NAMES.values()
    )


@given(spoilt_answers(SAID))
@settings(max_examples=examples(3334))
def test_a_spoilt_answer_is_its_host_s_unknown_and_nobody_else_s(case: Spoilt) -> None:
    run, verdicts = ended(asked_on(case.name, case.variables))
    shown, data = reported(run, verdicts)
    assert packed(data) and ElementTree.fromstring(junit(data)) is not None
    assert_fit_to_be_seen(shown)
    text = json.dumps(data, ensure_ascii=False)
    assert text.isprintable() and not _ESCAPED.search(text)
    own = of_host(verdicts, case.host)
    others = {key: item for key, item in verdicts.items() if key not in own}
    assert others == {key: before()[key] for key in others}
    if case.host in run.unreadable:
        assert not right(own)
        assert sum(line.startswith(f"unknown: what {case.host} reported cannot be read: ") for line in shown) == 1
    elif case.name in ("verify_compared", "verify_judged"):
        # It says something else of its own rules, or nothing: what the probes saw is what counts.
        assert all(
            item.seen == before()[key].seen and item.seen.outcome == key.expected
            for key, item in own.items()
            if item.verdict == "right"
        )
    else:
        assert right(own).items() <= right(before()).items()
    assert set(run.unreadable) <= {case.host}


MANY = [f"203.0.113.{number}" for number in range(256)] * 40


@pytest.mark.parametrize(
    "host,name,path,junk",
    [
        ("n1", "verify_compared", ("changes", "objects"), [f"chain {number}" for number in range(100_000)]),
        ("laptop", "verify_probed", ("results", 0, "elsewhere"), {"ctl.example.org": MANY}),
        (
            "ctl",
            "verify_stopped",
            ("counts", "arrived", "10.0.0.1"),
            {
                f"10.99.{number // 256}.{number % 256}": {"1": ["443/tcp", "444/tcp", "9090/tcp"]}
                for number in range(20_000)
            },
        ),
        ("n1", "verify_stopped", ("dead_ends",), {f"{port}/tcp": "x" * 600 for port in range(1, 65536)}),
    ],
)
def test_a_host_that_says_much_does_not_fill_the_screen(host: str, name: str, path: tuple[Any, ...], junk: Any) -> None:
    said = {**SAID, host: {**SAID[host], name: spoilt(SAID[host][name], path, "replaced", junk)}}
    shown, data = reported(*ended(asked_on(name, said)))
    assert not [line for line in shown if "cannot be read" in line]
    assert_fit_to_be_seen(shown)
    assert_fit_to_be_seen(junit(data).splitlines())


# ---- answers that ended verify once

SHAPES: dict[str, tuple[str, str, tuple[Any, ...], str, Any, str]] = {
    "results that are none": (
        "laptop",
        "verify_probed",
        ("results",),
        "replaced",
        None,
        "verify_probe: results: got None, expected a list.",
    ),
    "a result that is a list": (
        "laptop",
        "verify_probed",
        ("results", 0),
        "replaced",
        [],
        "verify_probe: results[0]: got a list, expected a dictionary.",
    ),
    "a result without its address": (
        "laptop",
        "verify_probed",
        ("results", 0, "address"),
        "deleted",
        None,
        "verify_probe: results[0].address: got nothing, expected a value.",
    ),
    "an address that is a list": (
        "laptop",
        "verify_probed",
        ("results", 0, "address"),
        "replaced",
        [],
        "verify_probe: results[0].address: got a list, expected an IPv4 or IPv6 address.",
    ),
    "a result of a container without its address": (
        "mon",
        "verify_probed",
        ("containers", 0, "results", 0, "address"),
        "deleted",
        None,
        "verify_probe: containers[0].results[0].address: got nothing, expected a value.",
    ),
    "a container of no address": (
        "mon",
        "verify_probed",
        ("containers", 0, "address"),
        "replaced",
        "0.0.0.0",
        "verify_probe: containers[0].address: got '0.0.0.0', expected an address of a container.",
    ),
    "a container that is there twice": (
        "mon",
        "verify_probed",
        ("containers", 0),
        "twice",
        None,
        "verify_probe: containers: got 10.88.0.2 twice, expected it once.",
    ),
    "more containers than are asked": (
        "mon",
        "verify_probed",
        ("containers",),
        "replaced",
        [{"address": f"10.88.0.{number}", "interface": "podman0", "results": []} for number in range(5)],
        "verify_probe: containers: got 5, expected at most 4.",
    ),
    "a path that is known by a word": (
        "laptop",
        "verify_probed",
        ("results", 0, "reachable"),
        "replaced",
        "no",
        "verify_probe: results[0].reachable: got 'no', expected true, false or null.",
    ),
    "details by a list": (
        "laptop",
        "verify_probed",
        ("results", 0, "details"),
        "replaced",
        [],
        "verify_probe: results[0].details: got a list, expected a dictionary.",
    ),
    "one address twice": (
        "laptop",
        "verify_probed",
        ("results", 0),
        "twice",
        None,
        "verify_probe: results: got 10.0.0.1 twice, expected it once.",
    ),
    "a port that is none": (
        "laptop",
        "verify_probed",
        ("results", 0, "filtered"),
        "replaced",
        ["70000/tcp"],
        "verify_probe: results[0].filtered[0]: got '70000/tcp', expected a port such as 22/tcp.",
    ),
    "time that is no number": (
        "laptop",
        "verify_probed",
        ("results", 0, "seconds", "443/tcp"),
        "replaced",
        float("nan"),
        "verify_probe: results[0].seconds[443/tcp]: got nan, expected a number of seconds.",
    ),
    "nonces of ports that were not open": (
        "laptop",
        "verify_probed",
        ("results", 0, "nonces"),
        "replaced",
        {"a": ["9090/udp"]},
        "verify_probe: results[0].nonces: got '9090/udp', expected only ports that are open.",
    ),
    "no address that was answered": (
        "laptop",
        "verify_probed",
        ("results", 0, "source"),
        "replaced",
        "",
        "verify_probe: results[0].source: got '', expected the address that was answered.",
    ),
    "ports held by a list": (
        "n1",
        "verify_stopped",
        ("listening",),
        "replaced",
        ["443/tcp"],
        "verify_listen: listening: got a list, expected a dictionary.",
    ),
    "reasons by a text": (
        "n1",
        "verify_stopped",
        ("not_held", "0.0.0.0"),
        "replaced",
        "no",
        "verify_listen: not_held[0.0.0.0]: got 'no', expected a dictionary.",
    ),
    "counts without numbers": (
        "n1",
        "verify_stopped",
        ("counts", "arrived", "10.1.0.1", "10.0.0.1"),
        "replaced",
        {"many": ["443/tcp"]},
        "verify_listen: counts.arrived[10.1.0.1][10.0.0.1]: got 'many', expected a number of packets.",
    ),
    "a life that is a word": (
        "n1",
        "verify_stopped",
        ("alive",),
        "replaced",
        "no",
        "verify_listen: alive: got 'no', expected true or false.",
    ),
    "changes that are a list": (
        "n1",
        "verify_compared",
        ("changes",),
        "replaced",
        [],
        "firewall: changes: got a list, expected a dictionary.",
    ),
    "objects by their number": (
        "n1",
        "verify_compared",
        ("changes", "objects"),
        "replaced",
        10**400,
        "firewall: changes.objects: got a huge number, expected a list.",
    ),
    "a judgement that is none": (
        "n1",
        "verify_judged",
        ("judgements", 0),
        "replaced",
        None,
        "verify_judge: judgements[0]: got None, expected a dictionary.",
    ),
    "a verdict that no kernel knows": (
        "n1",
        "verify_judged",
        ("judgements", 0, "verdict"),
        "replaced",
        HOSTILE + "x" * 99,
        "verify_judge: judgements[0].verdict: got '\\x1b]0;x\\x07\\x9b2J\\nwrong: ctl  (cut: it has 129 "
        "characters)', expected one of "
        "accept, drop, reject, unknown.",
    ),
    "one judgement too many": (
        "n1",
        "verify_judged",
        ("judgements", 0),
        "twice",
        None,
        "verify_judge: judgements: got 15, expected 14, one for each packet.",
    ),
    "an answer that is a text": (
        "n1",
        "verify_compared",
        (),
        "replaced",
        "no",
        "firewall: the result: got 'no', expected a dictionary.",
    ),
    "a failure that is a word": (
        "n1",
        "verify_compared",
        ("failed",),
        "replaced",
        "no",
        "firewall: failed: got 'no', expected true or false.",
    ),
    "a module that says nothing": (
        "laptop",
        "verify_probed",
        ("results",),
        "deleted",
        None,
        "verify_probe: results: got nothing, expected a value.",
    ),
}


@pytest.mark.parametrize("host,name,path,how,junk,reason", SHAPES.values(), ids=list(SHAPES))
def test_what_cannot_be_read_is_said_once_with_its_key(
    host: str, name: str, path: tuple[Any, ...], how: str, junk: Any, reason: str
) -> None:
    said = {**SAID, host: {**SAID[host], name: spoilt(SAID[host][name], path, how, junk)}}
    run, verdicts = ended(asked_on(name, said))
    shown, data = reported(run, verdicts)
    assert [line for line in shown if "cannot be read: " in line] == [
        f"unknown: what {host} reported cannot be read: {reason}"
    ]
    assert not right(of_host(verdicts, host)) and right(verdicts)
    assert data["hosts"][host]["reason"] == reason
    assert any(line.startswith("  unreachable: ") and f"See the messages about {host} above." in line for line in shown)


def test_what_a_host_does_not_say_is_no_answer() -> None:
    assert parsed("probed", None) == parsed("probed", {}) == {}
    assert parsed("probed", {"skipped": True, "skip_reason": "x\n"}) == {"skipped": True, "skip_reason": "x\\n"}
    # A module that failed has no other answer, whatever it says.
    assert parsed("judged", {"failed": True, "msg": "No nft.", "judgements": 1}) == {"failed": True, "msg": "No nft."}


def test_keys_that_nobody_reads_and_the_reason_itself_are_left_out() -> None:
    said = {**SAID["n1"]["verify_compared"], UNREADABLE: "x", "\x1b": {}}
    assert parsed("compared", said) == {
        "failed": False,
        "backend": "nftables",
        "changes": {"objects": ["chain input", "set users_4"]},
    }


# ---- explain


def explained(inquiry: Inquiry, said: Mapping[str, Mapping[str, Any]]) -> Answer:
    """Return the answer to what hosts said, as the action plugin gives it."""
    found = complete_answers(registered(NAMES, list(said), said.__getitem__), inquiry.packets)
    silent = {host: "x" for host, phases in found.items() if "judgements" not in phases["judged"]}
    return answer_of(PLAN, inquiry, found, silent)


@cache
def inquiry() -> Inquiry:
    return inquiry_of(PLAN, "laptop", "ctl", "443/tcp")


@cache
def said_of_it(probe: bool) -> dict[str, dict[str, Any]]:
    """Return what both say: all is well."""
    accept = {"verdict": "accept", "table": "", "chain": "", "rule": "", "is_ours": False, "unknown": "", "notes": []}
    route = {"interface": "eth0", "source": "198.51.100.7", "gateway": "", "kind": "unicast", "error": ""}
    whole = {
        **accept,
        "interface": "eth0",
        "route": route,
        "reverse_path": {"mode": 0, "is_dropped": False},
        "listening": ["0.0.0.0"],
        "reply": accept,
    }
    port = ["443/tcp"]
    probed = {
        "results": [
            {
                "address": "10.0.0.1",
                "reachable": True,
                "open": port,
                "refused": [],
                "filtered": [],
                "error": [],
                "rejected": [],
                "details": {},
                "nonces": {inquiry().verify_run.parts["ctl"]["nonce"]: port},
                "seconds": {"443/tcp": 0.1},
                "attempts": {},
                "source": "198.51.100.7",
                "elsewhere": {},
            }
        ]
    }
    stopped = {
        "alive": True,
        "listening": {"0.0.0.0": port},
        "in_use": {},
        "not_held": {},
        "not_counted": "",
        "counts": {},
    }
    found = {
        host: {"verify_judged": {"judgements": [whole for packet in inquiry().packets[host]]}}
        for host in ("laptop", "ctl")
    }
    if probe:
        found["laptop"]["verify_probed"] = probed
        found["ctl"]["verify_stopped"] = stopped
    return found


@pytest.mark.parametrize("probe", [False, True])
def test_explain_reads_answers_that_are_well(probe: bool) -> None:
    assert explained(inquiry(), said_of_it(probe)).code == YES


def spoilt_explained(case: Spoilt) -> None:
    answer = explained(inquiry(), case.variables)
    assert_fit_to_be_seen(lines(answer, [], ""))
    found = complete_answers(registered(NAMES, list(case.variables), case.variables.__getitem__), inquiry().packets)
    if unreadable_hosts(found) and "verify_probed" not in case.variables["laptop"]:
        assert answer.code not in (YES, NO)


@given(spoilt_answers(said_of_it(False)))
@settings(max_examples=examples(600))
def test_explain_takes_any_answer_about_rules(case: Spoilt) -> None:
    spoilt_explained(case)


@given(spoilt_answers(said_of_it(True)))
@settings(max_examples=examples(600))
def test_explain_takes_any_answer_of_a_probe(case: Spoilt) -> None:
    spoilt_explained(case)
