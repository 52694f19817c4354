# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cells: what the report says about each connection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils._expectations.expected import Expectation
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.cells import Compared, Run
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.diagnosis import PacketJudgement
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.evidence import Results, Seen
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.suspects import RulesetJudgement, SuspectPacket
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.verdicts import Verdict
from ansible_collections.hpc.ports.tests.support.sites import make_plan

LAPTOP, CTL, NODE = "198.51.100.7", "10.0.0.1", "10.1.0.1"
HOSTS: dict[str, dict[str, Any]] = {
    "ctl": {"groups": ["control_plane", "monitoring"], "addresses": [CTL, "fd00::1"], "cluster": "alpha"},
    "n1": {"groups": ["slurm_compute"], "addresses": [NODE], "source_addresses": ["10.1.9.1"], "egress": "restricted"},
    "laptop": {"groups": ["offices"], "addresses": [LAPTOP]},
    "lost": {"groups": ["offices"], "addresses": ["lost.example.org"]},
}
ACCEPT, DROP, UNREAD = (
    PacketJudgement("accept", "inet hpc_ports", "input", "accept", True),
    PacketJudgement("drop"),
    PacketJudgement("unknown"),
)
PROBED: dict[str, Any] = {
    "address": CTL,
    "reachable": True,
    "open": [],
    "refused": [],
    "filtered": ["443/tcp"],
    "error": [],
    "rejected": [],
    "details": {},
    "nonces": {},
    "seconds": {},
    "attempts": {},
    "source": LAPTOP,
    "elsewhere": {},
}


def site() -> Plan:
    return make_plan(
        {
            "services": {
                "web": {"ports": ["443/tcp"], "unit": "nginx.service"},
                "tls": {"ports": ["443-444/tcp"]},
                "user_ports": {"ports": ["400-65535/tcp"], "broad": True},
                "dns": {"ports": ["53/udp"]},
            },
            "endpoints": {
                "users": {"cidrs": [f"198.51.{number}.0/24" for number in (90, 92, 94, 96, 98, 100)]},
                "desk": {"cidrs": ["203.0.113.7/32"]},
            },
            "flows": {
                "https": {"from": ["users"], "to": ["control_plane"], "services": ["web"], "need": "required"},
                "names": {"from": ["desk"], "to": ["control_plane"], "services": ["dns"], "need": "required"},
                # After the others, so that these decide.
                **{
                    name: {"from": ["users"], "to": ["control_plane"], "services": services, "need": "required"}
                    for name, services in {
                        "tls": ["tls"],
                        "work": ["user_ports"],
                        "both": ["user_ports", "web"],
                    }.items()
                },
            },
        },
        HOSTS,
    )


def verdict(
    word: str = "right",
    port: int = 443,
    hosts: tuple[str, str] = ("laptop", "ctl"),
    flow: str = "https",
    denied_by: str = "",
    protocol: str = "tcp",
    outcome: str = "open",
    source: str = LAPTOP,
    why: str = "",
) -> Verdict:
    expected = "open" if not denied_by else "filtered"
    address = {"ctl": CTL, "n1": NODE, "laptop": LAPTOP}[hosts[1]]
    item = Expectation(*hosts, address, protocol, port, expected, "" if denied_by else flow, denied_by)
    return Verdict(item, Seen(outcome, "Said.", seconds=0.5, attempts=2, source=source), "listener", word, why)


def run(
    compared: Mapping[str, Compared] | None = None,
    judgements: Mapping[Any, Any] | None = None,
    results: Results | None = None,
) -> Run:
    return Run(site(), results or Results(), compared or {}, judgements or {})


def ends(
    out: PacketJudgement | None = None, inward: PacketJudgement | None = None
) -> dict[tuple[str, SuspectPacket], RulesetJudgement]:
    about = {"laptop": ("out", out), "ctl": ("in", inward)}
    return {
        (host, SuspectPacket(direction, "tcp", LAPTOP, CTL, 443)): RulesetJudgement(judged)
        for host, (direction, judged) in about.items()
        if judged
    }


# ---- one cell


def test_a_cell_has_all_that_is_known() -> None:
    assert run().cell(verdict()) == {
        "source": "laptop",
        "target": "ctl",
        "address": CTL,
        "protocol": "tcp",
        "port": 443,
        "services": ["tls", "web"],
        "intended": "open",
        "compiled": "open",
        "outcome": "open",
        "verdict": "right",
        "flow": "https",
        "denied_by": "",
        "rule": "in 443/tcp from 198.51.90.0/24, 198.51.92.0/24, 198.51.94.0/24, 198.51.96.0/24 and 2 more: accept",
        "held_by": "listener",
        "seconds": 0.5,
        "attempts": 2,
        "counters": None,
        "detail": "Said.",
        "why": "",
        "diagnosis": None,
    }


def test_counters_are_those_of_both_hosts_or_none() -> None:
    here = {
        "alive": True,
        "counts": {"left": {LAPTOP: {CTL: {"2": ["443/tcp"]}}}},
        "not_held": {},
        "listening": {},
        "in_use": {},
    }
    assert run().cell(verdict())["counters"] is None
    assert run(results=Results({"laptop": [PROBED]}, {"laptop": here})).cell(verdict())["counters"] == {
        "left": 2,
        "arrived": None,
        "passed": None,
        "answered": None,
        "returned": 0,
    }


@pytest.mark.parametrize("outcome", ["missing", "filtered", "error"])
def test_what_is_unknown_is_an_error(outcome: str) -> None:
    cell = run().cell(verdict("unknown", outcome=outcome, why="Nothing."))
    assert (cell["outcome"], cell["verdict"], cell["diagnosis"]["code"]) == ("error", "unknown", "unreachable")


@pytest.mark.parametrize(
    "port,protocol,services",
    [
        (443, "tcp", ["tls", "web"]),
        (444, "tcp", ["tls"]),
        (445, "tcp", ["user_ports"]),
        (53, "udp", ["dns"]),
        (53, "tcp", []),
        (443, "udp", []),
    ],
)
def test_named_services_come_before_broad_ones(port: int, protocol: str, services: list[str]) -> None:
    found = run()
    assert found.services(verdict(port=port, protocol=protocol).expectation) == services
    assert found.services(verdict(port=port, protocol=protocol).expectation) == services


@pytest.mark.parametrize(
    "about,rule",
    [
        (verdict(flow="names", port=53, protocol="udp"), "in 53/udp from 203.0.113.7: accept"),
        (verdict(flow="https", port=53, protocol="udp"), ""),
        (verdict(denied_by="target", hosts=("n1", "ctl")), "no rule of ctl: drop"),
        (verdict(denied_by="source", hosts=("n1", "ctl")), "no rule of n1: drop"),
        (
            verdict(denied_by="source", hosts=("n1 (container 10.88.0.2)", "ctl"))._replace(container_of="n1"),
            "no rule of n1: drop",
        ),
    ],
)
def test_the_rule_of_the_policy_in_words(about: Verdict, rule: str) -> None:
    assert run().rule(about) == rule


# ---- what the rulesets say


@pytest.mark.parametrize(
    "judgements,compiled",
    [
        (ends(ACCEPT, ACCEPT), "open"),
        (ends(None, ACCEPT), "open"),
        (ends(ACCEPT, None), "unknown"),
        (ends(ACCEPT, DROP), "filtered"),
        (ends(PacketJudgement("reject"), ACCEPT), "filtered"),
        (ends(UNREAD, DROP), "filtered"),
        (ends(UNREAD, ACCEPT), "unknown"),
        (ends(ACCEPT, UNREAD), "unknown"),
    ],
)
def test_what_was_judged_is_believed(judgements: Any, compiled: str) -> None:
    assert run({"ctl": Compared(None)}, judgements).compiled(verdict()) == compiled


@pytest.mark.parametrize(
    "denied_by,hosts,compared,compiled",
    [
        ("", ("laptop", "ctl"), {}, "open"),
        ("", ("laptop", "ctl"), {"ctl": Compared(True)}, "open"),
        ("target", ("laptop", "ctl"), {"ctl": Compared(True)}, "filtered"),
        ("source", ("n1", "ctl"), {"ctl": Compared(True), "n1": Compared(True)}, "filtered"),
        # Of who does not run its policy nothing is known without its judgement.
        ("", ("laptop", "ctl"), {"ctl": Compared(False)}, "unknown"),
        ("target", ("laptop", "ctl"), {"ctl": Compared(None)}, "unknown"),
        ("source", ("n1", "ctl"), {"ctl": Compared(False), "n1": Compared(True)}, "filtered"),
        ("source", ("n1", "ctl"), {"n1": Compared(None)}, "unknown"),
        ("", ("n1", "ctl"), {"n1": Compared(False)}, "unknown"),
    ],
)
def test_else_a_host_that_runs_its_policy_does_what_the_plan_says(
    denied_by: str, hosts: tuple[str, str], compared: dict[str, Compared], compiled: str
) -> None:
    assert run(compared).compiled(verdict(denied_by=denied_by, hosts=hosts)) == compiled


# ---- what is wrong


@pytest.mark.parametrize("word", ["right", "unproven"])
def test_what_is_not_wrong_needs_no_diagnosis(word: str) -> None:
    assert run().diagnosis(verdict(word)) is None


def test_a_diagnosis_knows_the_unit_the_owners_and_the_rules() -> None:
    nobody = verdict("wrong", outcome="refused", why="Refused.")._replace(held_by="nobody")
    found = run().diagnosis(nobody)
    assert found and found.text == "Nothing listens on 443/tcp of ctl; nginx.service should."
    named = nobody._replace(seen=nobody.seen._replace(elsewhere={"ctl.example.org": ["10.1.9.1", "10.9.9.9"]}))
    found = run().diagnosis(named)
    assert found and "(10.1.9.1 is n1, 10.9.9.9 is no host of the plan)" in found.text
    found = run().diagnosis(verdict("wrong", outcome="filtered", hosts=("n1", "ctl"), source=NODE))
    assert found and found.text == f"ctl sees n1 as {NODE}, but the plan expects 10.1.9.1."


@pytest.mark.parametrize(
    "flow,unit", [("https", "nginx.service"), ("tls", ""), ("work", ""), ("both", "nginx.service"), ("", "")]
)
def test_a_unit_is_named_only_for_a_service_of_the_flow(flow: str, unit: str) -> None:
    """A port number inside a broad service proves no daemon."""
    nobody = verdict("wrong", outcome="refused", why="Refused.")
    nobody = nobody._replace(held_by="nobody", expectation=nobody.expectation._replace(flow=flow))
    found = run().diagnosis(nobody)
    assert found and found.text == f"Nothing listens on 443/tcp of ctl{f'; {unit} should' if unit else ''}."


@pytest.mark.parametrize(
    "judgements,code",
    [
        (ends(ACCEPT, DROP), "other_table"),
        (ends(DROP, ACCEPT), "other_table"),
        (ends(ACCEPT, ACCEPT._replace(verdict="drop")), "ruleset_drops"),
        (ends(ACCEPT, ACCEPT), "unknown"),
        ({}, "unknown"),
    ],
)
def test_a_diagnosis_knows_what_the_rules_of_both_hosts_do(judgements: Any, code: str) -> None:
    found = run(judgements=judgements).diagnosis(verdict("wrong", outcome="filtered", why="No answer."))
    assert found and found.code == code


@pytest.mark.parametrize(
    "far,compiled,code",
    [
        (["arrived"], "filtered", "other_table"),
        (["arrived", "passed"], "open", "reply_lost"),
        ([], "unknown", "unknown"),
    ],
)
def test_where_rules_cannot_be_read_what_was_counted_tells(far: list[str], compiled: str, code: str) -> None:
    counted = {name: {CTL: {LAPTOP: {"1": ["443/tcp"]}}} for name in far}
    said = {"alive": True, "not_held": {}, "listening": {}, "in_use": {}, "counts": counted}
    doubtful = PacketJudgement("unknown", "ip filter", "INPUT", "policy drop", unknown="it cannot be told")
    found = run(judgements=ends(ACCEPT, doubtful), results=Results({"laptop": [PROBED]}, {"ctl": said} if far else {}))
    cell = found.cell(verdict("wrong", outcome="filtered", why="No answer."))
    assert (cell["compiled"], cell["diagnosis"]["code"]) == (compiled, code)


def test_a_diagnosis_knows_what_becomes_of_the_answer() -> None:
    """The target judges the answer that leaves, the source the one that comes back."""
    reply = {
        key: judgement._replace(reply=PacketJudgement("drop", f"ip of_{key[0]}", "c", "drop"))
        for key, judgement in ends(ACCEPT, ACCEPT).items()
    }
    for far, host in ((["arrived", "passed"], "ctl"), (["arrived", "passed", "answered"], "laptop")):
        there, here = (
            {name: {own: {peer: {"1": ["443/tcp"]}}} for name in names}
            for own, peer, names in ((CTL, LAPTOP, far), (LAPTOP, CTL, ["left", "returned"]))
        )
        said = {"alive": True, "not_held": {}, "listening": {}, "in_use": {}}
        results = Results({"laptop": [PROBED]}, {"ctl": {**said, "counts": there}, "laptop": {**said, "counts": here}})
        found = run(judgements=reply, results=results).diagnosis(verdict("wrong", outcome="filtered", why="No answer."))
        assert found and (found.code, f"table ip of_{host}, chain c, `drop`" in found.text) == ("reply_lost", True)


# ---- hosts


def test_what_is_known_of_hosts() -> None:
    found = run({"ctl": Compared(False, ("chain input",), "", "nftables"), "n1": Compared(None, reason="No nft.")})
    assert found.host("ctl", "C1") == {
        "managed": True,
        "roles": ["control_plane", "monitoring"],
        "clusters": ["alpha"],
        "addresses": [CTL, "fd00::1"],
        "source_addresses": [CTL, "fd00::1"],
        "class": "C1",
        "backend": "nftables",
        "is_equal": False,
        "objects": ["chain input"],
        "reason": "",
    }
    node = found.host("n1", "C2")
    assert (node["source_addresses"], node["is_equal"], node["reason"], node["backend"]) == (
        ["10.1.9.1"],
        None,
        "No nft.",
        "",
    )
    assert run().host("ctl", "C1")["is_equal"] is True
    laptop = run().host("laptop", "C3")
    assert (laptop["managed"], laptop["roles"], laptop["clusters"], laptop["is_equal"]) == (False, [], [], None)
    # A name that the controller does not resolve is no address.
    assert run().host("lost", "C4")["addresses"] == []


def test_owners_are_those_that_are_known() -> None:
    assert run().owners == {CTL: "ctl", "fd00::1": "ctl", NODE: "n1", "10.1.9.1": "n1", LAPTOP: "laptop"}
