# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Registered results of the tasks become a run."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils._expectations.host_tasks import (
    Limits,
    VerifyOptions,
    VerifyRun,
    new_run,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.cells import Compared
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.evidence import Results
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.registered import (
    Registered,
    compared_of,
    judged_verdicts,
    left_out,
    origins_of,
    published_of,
    registered,
    results_of,
    run_of,
    suspects,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.suspects import SuspectPacket
from ansible_collections.hpc.ports.tests.support.sites import make_plan

HOSTS = {
    "ctl": {"groups": ["control_plane"], "addresses": ["10.0.0.1"]},
    "laptop": {"groups": ["offices"], "addresses": ["198.51.100.7"]},
}
LIMITS = Limits(1.0, 2, 1000, 1000.0, 5, 50_000)
PHASES = ("probed", "stopped", "compared", "judged")
NAMES = {phase: f"verify_{phase}" for phase in PHASES}
SAME = {"changed": False, "changes": {"objects": []}, "backend": "nftables"}
DRIFTED = {"changed": True, "changes": {"objects": ["chain input"]}, "backend": "firewalld"}
HELD = {
    "alive": True,
    "listening": {"0.0.0.0": ["22/tcp", "443/tcp", "5000/tcp"]},
    "in_use": {},
    "not_held": {},
    "not_counted": "",
    "counts": {},
}


def site(**flows: Any) -> Plan:
    return make_plan(
        {
            "services": {"web": {"ports": ["443/tcp"]}, "user_ports": {"ports": ["1024-65535/tcp"], "broad": True}},
            "endpoints": {"users": {"cidrs": ["198.51.100.0/24"]}},
            "flows": {
                "https": {"from": ["users"], "to": ["control_plane"], "services": ["web"], "need": "required"},
                **flows,
            },
        },
        HOSTS,
    )


def begin(plan: Plan, query: str = "[?port==`22` || port==`443`]", passive: bool = False) -> VerifyRun:
    return new_run(plan, VerifyOptions(tuple(HOSTS), query, passive, LIMITS))


def probed(nonce: str = "", **outcomes: list[str]) -> dict[str, Any]:
    lists: dict[str, list[str]] = {name: [] for name in ("open", "refused", "filtered", "error", "rejected")}
    return {
        "results": [
            {
                "address": "10.0.0.1",
                "reachable": True,
                **lists,
                **outcomes,
                "details": {},
                "seconds": {},
                "attempts": {},
                "nonces": {nonce: outcomes["open"]} if nonce else {},
                "source": "198.51.100.7",
                "elsewhere": {},
            }
        ]
    }


def said(**hosts: dict[str, Any]) -> Registered:
    return {host: {phase: hosts.get(host, {}).get(phase, {}) for phase in PHASES} for host in HOSTS}


def test_what_is_registered_is_found_by_host_and_phase() -> None:
    variables = {"ctl": {"verify_stopped": HELD, "verify_probed": None, "other": 1}, "laptop": {}}
    assert registered(NAMES, HOSTS, variables.__getitem__) == said(ctl={"stopped": HELD})


@pytest.mark.parametrize(
    "result",
    [
        None,
        "x",
        [],
        {},
        {"other_rules": None},
        {"other_rules": {"published": "80/tcp"}},
        {"other_rules": {"published": [80, "0/tcp", "65536/udp", "80-90/tcp", "1/ip", "80/tcp\n", "٢/tcp", None]}},
    ],
)
def test_published_ports_are_believed_in_their_form_only(result: Any) -> None:
    variables = {
        "a": {"one": result},
        "b": {"one": result, "two": {"other_rules": {"published": ["80/tcp", "65535/udp", "x"]}}},
    }
    assert published_of(["a", "b"], ["one", "two"], variables.__getitem__) == {"b": ["80/tcp", "65535/udp"]}


def test_a_published_port_that_a_flow_opens_is_right_where_the_target_sends_it_on() -> None:
    plan = site()
    run = begin(plan, "[?port==`443`]")
    found = said(laptop={"probed": probed(open=["443/tcp"])}, ctl={"stopped": {**HELD, "counts": {}}, "compared": SAME})
    [item] = judged_verdicts(plan, run, results_of(plan, run, found))
    assert (item.verdict, item.why) == ("wrong", "The answer did not come from the listener on ctl.")
    sent_on = {"verdict": "unknown", "notes": ["the destination is changed to 172.17.0.2 port 80 (table ip nat)"]}
    with_rules = {
        **found,
        "ctl": {**found["ctl"], "judged": {"judgements": [sent_on] * len(suspects(plan, run, found)["ctl"])}},
    }
    assert [verdict.verdict for verdict in run_of(plan, run, with_rules)[1]] == ["right"]
    sent_on["verdict"] = "drop"
    assert run_of(plan, run, with_rules)[0].with_published(item).verdict == "wrong"
    sent_on.update(verdict="unknown", notes=[])
    assert [verdict.verdict for verdict in run_of(plan, run, with_rules)[1]] == ["wrong"]


def test_of_hosts_that_take_no_part_the_reason_is_told_where_it_is_known() -> None:
    lost = "It failed or was not reached before the tests; see above."
    results = {
        "refused": {"failed": True, "msg": "No."},
        "green": {"failed": False, "msg": "No."},
        "away": None,
        "odd": "x",
    }
    assert left_out(results, lambda host: {"firewall_result": results[host]}) == {
        "refused": "No.",
        "green": lost,
        "away": lost,
        "odd": lost,
    }


def test_a_reason_is_a_word_of_the_host() -> None:
    long = {"failed": True, "msg": "\x1b[2Jfatal: [ctl]\n" + "x" * 100_000}
    said = left_out(["ctl"], lambda host: {"firewall_result": long})["ctl"]
    assert said.startswith("\\x1b[2Jfatal: [ctl]\\nxxx") and len(said) <= 2000


def test_only_a_probe_that_ran_has_results() -> None:
    plan = site()
    run = begin(plan)
    found = said(laptop={"probed": probed(open=["443/tcp"])}, ctl={"probed": {"skipped": True}, "stopped": HELD})
    results = results_of(plan, run, found)
    assert results == Results(
        {"laptop": found["laptop"]["probed"]["results"]},
        {"ctl": HELD, "laptop": {}},
        {host: part["nonce"] for host, part in run.parts.items()},
        False,
        origins_of(plan, HOSTS),
    )
    assert results_of(plan, begin(plan, passive=True), found).passive


@pytest.mark.parametrize(
    "phases,compared",
    [
        ({"compared": SAME}, Compared(True, (), "", "nftables")),
        ({"compared": DRIFTED}, Compared(False, ("chain input",), "", "firewalld")),
        (
            {"compared": {"changed": False, "failed": False, "msg": "Missing program nft."}},
            Compared(None, reason="Missing program nft."),
        ),
        ({"compared": {"unreachable": True}}, Compared(None)),
        # It got its firewall in this run.
        ({"compared": {"skipped": True}, "stopped": HELD}, None),
        ({"stopped": HELD}, None),
        ({"probed": {"skipped": True}}, None),
        # A host that was not reached is in no task: nothing shows that it runs its policy.
        ({}, Compared(None, reason="It reported no results: Ansible did not reach it, or a task failed.")),
    ],
)
def test_who_runs_the_policy(phases: dict[str, Any], compared: Compared | None) -> None:
    assert compared_of(begin(site()), said(ctl=phases)) == ({"ctl": compared} if compared else {})


@pytest.mark.parametrize(
    "services,verdict", [(["user_ports"], "right"), (["web"], "wrong"), (["user_ports", "web"], "wrong")]
)
def test_nobody_need_listen_where_a_flow_is_all_broad(services: list[str], verdict: str) -> None:
    """Without listeners a refusal is right there."""
    plan = site(https={"from": ["users"], "to": ["control_plane"], "services": services, "need": "required"})
    run = begin(plan, "[?expected=='open']", passive=True)
    ports = [f"{item.port}/{item.protocol}" for item in run.expected.expectations]
    results = results_of(
        plan, run, said(laptop={"probed": probed(refused=ports)}, ctl={"stopped": {**HELD, "listening": {}}})
    )
    assert {item.verdict for item in judged_verdicts(plan, run, results)} == {verdict}


def test_suspects_are_of_what_is_wrong_and_of_hosts_that_drifted() -> None:
    plan, packet = site(), SuspectPacket("in", "tcp", "198.51.100.7", "10.0.0.1", 443)
    run = begin(plan)
    right = probed(run.parts["ctl"]["nonce"], open=["443/tcp"], filtered=["22/tcp"])
    assert suspects(plan, run, said(laptop={"probed": right}, ctl={"stopped": HELD, "compared": SAME})) == {}
    drifted = suspects(plan, run, said(laptop={"probed": right}, ctl={"stopped": HELD, "compared": DRIFTED}))
    assert {host: set(packets) for host, packets in drifted.items()} == {"ctl": {packet, packet._replace(port=22)}}
    wrong = probed(filtered=["22/tcp", "443/tcp"])
    assert suspects(plan, run, said(laptop={"probed": wrong}, ctl={"stopped": HELD})) == {
        "laptop": [packet._replace(direction="out")],
        "ctl": [packet],
    }


def test_a_run_has_what_the_hosts_judged() -> None:
    plan = site()
    run = begin(plan)
    drop = {"verdict": "drop", "table": "inet site", "chain": "c", "rule": "drop", "is_ours": False, "unknown": ""}
    found, verdicts = run_of(
        plan,
        run,
        said(
            laptop={"probed": probed(filtered=["22/tcp", "443/tcp"]), "judged": {"failed": True, "msg": "No nft."}},
            ctl={"stopped": HELD, "compared": SAME, "judged": {"judgements": [drop]}},
        ),
    )
    [about] = [item for item in verdicts if item.verdict == "wrong"]
    assert list(found.judgements) == [("ctl", SuspectPacket("in", "tcp", "198.51.100.7", "10.0.0.1", 443))]
    diagnosis = found.diagnosis(about)
    assert diagnosis and (diagnosis.code, "table inet site, chain c, `drop`" in diagnosis.text) == ("other_table", True)


def test_rules_that_let_in_too_much_are_wrong_though_something_else_hides_it() -> None:
    """A security group may drop today what the host would let in tomorrow."""
    plan = site()
    run = begin(plan)
    accept = {"verdict": "accept", "table": "inet hpc_ports", "chain": "input", "rule": "accept", "is_ours": True}
    found, verdicts = run_of(
        plan,
        run,
        said(
            laptop={"probed": probed(run.parts["ctl"]["nonce"], open=["443/tcp"], filtered=["22/tcp"])},
            ctl={"stopped": HELD, "compared": DRIFTED, "judged": {"judgements": [accept, accept]}},
        ),
    )
    [about] = [item for item in verdicts if item.verdict != "right"]
    assert (about.expectation.port, about.verdict) == (22, "wrong")
    assert about.why == "By the rules that laptop and ctl run, the connection is open, but the probe found it filtered."
    diagnosis = found.diagnosis(about)
    assert diagnosis and diagnosis.code == "ruleset_allows"
