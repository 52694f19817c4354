# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules of verify that run on the controller, run by Ansible with invented results; no host is involved."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml
from ansible_collections.hpc.ports.tests.support.plays import ROOT, played

HOSTS = """
control_plane: {hosts: {ctl1: {ansible_host: 192.0.2.11}}}
ungrouped: {hosts: {stranger: {ansible_host: 192.0.2.99}}}
"""
SITE = "firewall_endpoints: {controllers: {cidrs: [192.0.2.1/32]}}"
PLAY = """
- hosts: all
  gather_facts: false
  strategy: {strategy}
  tasks:
    - hpc.ports.plan_info:
      register: plan
      run_once: true
    - hpc.ports.verify_expectations:
        plan: "{{{{ plan.key }}}}"
        hosts: "{{{{ {hosts} }}}}"
        query: "{query}"
        mode: {mode}
      register: part
    - ansible.builtin.debug: {{msg: "PART={{{{ part | to_json }}}}"}}
    - ansible.builtin.set_fact:
        part_{{{{ item }}}}: "{{{{ results[inventory_hostname][item] | default({{}}) | to_json
          | replace('NONCE', hostvars.ctl1.part.nonce) | from_json }}}}"
      loop: [seen, held, same, judged]
    - hpc.ports.verify_suspects:
        plan: "{{{{ plan.key }}}}"
        run: "{{{{ part.run }}}}"
        probed: part_seen
        stopped: part_held
        compared: part_same
      register: found
      run_once: true
    - ansible.builtin.debug: {{msg: "SUSPECTS={{{{ found.packets | to_json }}}}"}}
      run_once: true
    - hpc.ports.verify_verdicts:
        plan: "{{{{ plan.key }}}}"
        run: "{{{{ part.run }}}}"
        probed: part_seen
        stopped: part_held
        compared: part_same
        judged: part_judged
        report: "{folder}/report.json"
        junit: "{folder}/junit.xml"
        page: "{folder}/page.html"
        require_outsider: {outsider}
        fail: {fail}
      register: verify_verdicts
      run_once: true
{kept}
    - ansible.builtin.debug:
        msg: "FACT={{{{ hpc_ports_verify | to_json }}}} FAILURE={{{{ verify_verdicts.failure }}}}"
      run_once: true
      when: not ansible_check_mode
    - ansible.builtin.debug:
        msg: "KEPT={{{{ hpc_ports_verify.summary.wrong }}}},{{{{ ansible_facts.hpc_ports_verify.summary.wrong }}}}"
      when: not ansible_check_mode
"""
# The tasks of the role that keep the result.
KEEPING = ("ansible.builtin.set_fact", "ansible.builtin.set_stats")
KEPT = "\n".join(
    f"    - {json.dumps(task)}"
    for task in yaml.safe_load((ROOT / "roles/verify/tasks/main.yml").read_text(encoding="utf-8"))
    if set(KEEPING) & set(task)
)
QUERY = "[?port==`443` || port==`5432`]"
TO_CTL1 = "[?target=='ctl1' && (port==`443` || port==`5432`)]"
CONTAINER = {"address": "172.17.0.2", "interface": "docker0"}
PHASES = ("seen", "held", "same", "judged")


def run(
    folder: Path,
    *options: str,
    results: dict[str, Any] | None = None,
    strategy: str = "linear",
    query: str = QUERY,
    outsider: bool = False,
    fail: bool = True,
    mode: str = "active",
    hosts: str = "ansible_play_hosts_all",
    inventory: str = HOSTS,
) -> tuple[int, str]:
    """Return how the play ended and what it printed, on one line; `results` are the registered results by host."""
    (folder / "group_vars").mkdir(exist_ok=True)
    (folder / "group_vars" / "all.yml").write_text(SITE, encoding="utf-8")
    (folder / "hosts.yml").write_text(inventory, encoding="utf-8")
    (folder / "play.yml").write_text(
        PLAY.format(
            folder=folder,
            strategy=strategy,
            query=query,
            outsider=outsider,
            fail=fail,
            mode=mode,
            hosts=hosts,
            kept=KEPT,
        ),
        encoding="utf-8",
    )
    whole = {
        host: {phase: (results or {}).get(host, {}).get(phase, {}) for phase in PHASES} for host in ("ctl1", "stranger")
    }
    (folder / "results.json").write_text(json.dumps({"results": whole}), encoding="utf-8")
    done = played("-i", str(folder / "hosts.yml"), str(folder / "play.yml"), "-e", f"@{folder}/results.json", *options)
    return done.code, done.line


def seen(nonce: str = "NONCE", **outcomes: list[str]) -> dict[str, Any]:
    lists: dict[str, list[str]] = {name: [] for name in ("open", "refused", "filtered", "error", "rejected")}
    return {
        "results": [
            {
                "address": "192.0.2.11",
                "reachable": True,
                **lists,
                **outcomes,
                "details": {},
                "seconds": {},
                "attempts": {},
                "nonces": {nonce: outcomes.get("open", [])} if nonce else {},
                "source": "192.0.2.99",
                "elsewhere": {},
            }
        ]
    }


HELD = {
    "alive": True,
    "listening": {"0.0.0.0": ["443/tcp", "5432/tcp"]},
    "in_use": {},
    "not_held": {},
    "not_counted": "",
    "counts": {},
}
RIGHT = {"stranger": {"seen": seen(open=["443/tcp"], filtered=["5432/tcp"])}, "ctl1": {"held": HELD}}
WRONG = {**RIGHT, "stranger": {"seen": seen(open=["443/tcp", "5432/tcp"])}}


# The stranger is a managed host that judges what its containers open.
WITH_CONTAINERS = HOSTS.replace("ungrouped", "workspace").replace(
    "ansible_host: 192.0.2.99", "ansible_host: 192.0.2.99, firewall_egress: restricted"
)


def report(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "report.json").read_text(encoding="utf-8"))


def said(output: str, word: str) -> Any:
    """Return the JSON that a debug task printed after a word."""
    [text] = re.findall(rf'"msg": "{word}=(.*?)( FAILURE=.*?)?" }}', output)
    return json.loads(text[0].replace('\\"', '"'))


def test_containers_are_sources_of_their_own(tmp_path: Path) -> None:
    """The container of the stranger tries one port that its host may open, and one that it may not."""
    inside = [{**result, "source": "172.17.0.2"} for result in seen(open=["443/tcp"], filtered=["5432/tcp"])["results"]]
    counts = {"arrived": {"192.0.2.11": {"172.17.0.2": {"1": ["443/tcp", "5432/tcp"]}}}}
    counts["left"] = {"172.17.0.2": {"192.0.2.11": {"1": ["443/tcp"]}}}
    stranger = {
        "seen": {**RIGHT["stranger"]["seen"], "containers": [CONTAINER | {"results": inside}]},
        "held": {**HELD, "listening": {}, "counts": counts},
    }
    code, output = run(tmp_path, results={**RIGHT, "stranger": stranger}, inventory=WITH_CONTAINERS, query=TO_CTL1)
    assert code == 0, output
    assert "From containers: 2." in output
    assert report(tmp_path)["inventory"] == [str(tmp_path / "hosts.yml")]
    cells = {(cell["source"], cell["port"]): cell["verdict"] for cell in report(tmp_path)["cells"]}
    name = "stranger (container 172.17.0.2)"
    assert cells == {(source, port): "right" for source in ("stranger", name) for port in (443, 5432)}
    assert f"{name} -&gt; ctl1: open 443/tcp" in (tmp_path / "junit.xml").read_text(encoding="utf-8")


# ---- the tasks of each host


def test_each_host_gets_its_tasks(tmp_path: Path) -> None:
    code, output = run(tmp_path, results=RIGHT)
    assert code == 0, output
    found = re.findall(r'"msg": "PART=(.*?)" }', output)
    parts = {part["managed"]: part for part in (json.loads(text.replace('\\"', '"')) for text in found)}
    own = ("nonce", "lifetime")
    assert {name: value for name, value in parts[True].items() if name not in own} == {
        "changed": False,
        "failed": False,
        "managed": True,
        "passive": False,
        "key": parts[False]["key"],
        "run": parts[False]["run"],
        "listen": ["443/tcp", "5432/tcp"],
        "addresses": ["192.0.2.11"],
        "probes": [],
        "counted": [],
        "containers": {"interfaces": [], "probes": []},
        "progress": parts[False]["progress"],
    }
    assert {name: value for name, value in parts[False].items() if name not in own} == {
        "changed": False,
        "failed": False,
        "managed": False,
        "passive": False,
        "key": parts[True]["key"],
        "run": parts[True]["run"],
        "listen": [],
        "addresses": [],
        "counted": ["443/tcp", "5432/tcp"],
        "probes": [{"address": "192.0.2.11", "ports": ["443/tcp", "5432/tcp"], "names": []}],
        "containers": {"interfaces": [], "probes": []},
        "progress": parts[True]["progress"],
    }
    assert parts[True]["lifetime"] == parts[False]["lifetime"] > 60
    assert parts[True]["nonce"] != parts[False]["nonce"]
    assert (parts[True]["progress"]["hosts"], parts[True]["progress"]["connections"]) == (1, 2)


def test_a_host_that_takes_no_part_is_refused(tmp_path: Path) -> None:
    code, output = run(tmp_path, hosts="['ctl1']")
    assert code != 0
    assert (
        "Invalid hosts: got a list without stranger, expected stranger in it, because the task runs for this host."
        in output
    )


# ---- suspects


def test_no_packet_is_suspect_if_all_is_right(tmp_path: Path) -> None:
    code, output = run(tmp_path, results=RIGHT)
    assert (code, said(output, "SUSPECTS")) == (0, {}), output


def test_both_ends_of_a_wrong_connection_are_asked(tmp_path: Path) -> None:
    code, output = run(tmp_path, results=WRONG)
    packet = {"protocol": "tcp", "source": "192.0.2.99", "destination": "192.0.2.11", "port": 5432, "reply": True}
    assert said(output, "SUSPECTS") == {
        "stranger": [{"direction": "out", **packet}],
        "ctl1": [{"direction": "in", **packet}],
    }, output


def test_a_host_that_does_not_run_its_policy_is_asked_about_all_packets(tmp_path: Path) -> None:
    drifted = {"held": HELD, "same": {"changes": {"objects": ["chain input"]}}}
    code, output = run(tmp_path, results={**RIGHT, "ctl1": drifted})
    assert {
        host: sorted(packet["port"] for packet in packets) for host, packets in said(output, "SUSPECTS").items()
    } == {"ctl1": [443, 5432]}, output


# ---- verdicts


def test_the_play_passes_if_all_is_right(tmp_path: Path) -> None:
    code, output = run(tmp_path, results=RIGHT, outsider=True)
    assert code == 0, output
    assert "2 connections from 1 hosts to 1: 2 right, 0 wrong, 0 unknown. From outside: stranger." in output
    assert report(tmp_path)["summary"]["right"] == 2
    stats = output[output.index("CUSTOM STATS") :]  # what AWX keeps with a job
    assert '"hpc_ports_verify_summary": { "connections": 2,' in stats
    assert [(cell["port"], cell["verdict"]) for cell in report(tmp_path)["cells"]] == [(443, "right"), (5432, "right")]
    assert "<failure" not in (tmp_path / "junit.xml").read_text(encoding="utf-8")
    assert (tmp_path / "page.html").read_text(encoding="utf-8").lower().startswith("<!doctype html>")


@pytest.mark.parametrize(
    "host,facts,text",
    [
        ("stranger", WRONG["stranger"], "Of 2 connections, 1 are wrong and 0 are unknown"),
        (
            "stranger",
            {"seen": seen("", open=["443/tcp"], filtered=["5432/tcp"])},
            "From stranger, 192.0.2.11 does not lead to ctl1. The answer did not come from the listener on ctl1.",
        ),
        (
            "stranger",
            {"seen": {"failed": True, "msg": "No Python."}},
            "Of 2 connections, 0 are wrong and 2 are unknown",
        ),
        ("ctl1", {"held": {"skipped": True}}, "Of 2 connections, 0 are wrong and 1 are unknown"),
        (
            "ctl1",
            {"held": HELD, "same": {"changed": False, "changes": {"objects": ["chain input"]}}},
            "All 2 connections are right, but ",
        ),
        (
            "ctl1",
            {"held": HELD, "same": {"changed": False, "failed": False, "msg": "Missing program nft."}},
            "unknown: whether ctl1 runs its policy: Missing program nft.",
        ),
        ("ctl1", {}, "unknown: whether ctl1 runs its policy: It reported no results"),
    ],
)
def test_the_play_fails_if_something_is_not_right(tmp_path: Path, host: str, facts: dict[str, Any], text: str) -> None:
    code, output = run(tmp_path, results={**RIGHT, host: facts})
    assert code != 0
    assert text in output
    assert report(tmp_path)["format"] == 2


def test_the_diagnosis_names_the_rule(tmp_path: Path) -> None:
    accept = {
        "verdict": "accept",
        "table": "inet hpc_ports",
        "chain": "input",
        "rule": "tcp dport 5432 accept",
        "is_ours": True,
        "unknown": "",
    }
    code, output = run(tmp_path, results={**WRONG, "ctl1": {"held": HELD, "judged": {"judgements": [accept]}}})
    assert code != 0
    [cell] = [cell for cell in report(tmp_path)["cells"] if cell["verdict"] == "wrong"]
    assert (cell["compiled"], cell["diagnosis"]["code"]) == ("open", "ruleset_allows")
    text = "ctl1 accepts the connection: table inet hpc_ports, chain input, `tcp dport 5432 accept`."
    assert text in cell["diagnosis"]["text"] and text in output
    assert "What to do: ruleset_allows: Run the playbook site on ctl1" in output


def test_every_host_has_the_fact_before_the_role_fails(tmp_path: Path) -> None:
    code, output = run(tmp_path, results=WRONG, fail=False)
    assert code == 0, output
    assert "FAILURE=Of 2 connections, 1 are wrong" in output
    fact = said(output, "FACT")
    assert [(item["target"], item["port"], item["from_outside"]) for item in fact["open"]] == [
        ("ctl1", 443, True),
        ("ctl1", 5432, True),
    ]
    assert [item["port"] for item in fact["not_right"]] == [5432]
    assert (fact["summary"]["wrong"], sorted(fact["hosts"])) == (1, ["ctl1", "stranger"])
    assert output.count("KEPT=1,1") == 2  # on each host


def test_passive_mode_is_in_the_report(tmp_path: Path) -> None:
    results = {
        "stranger": {"seen": seen("", refused=["443/tcp"], filtered=["5432/tcp"])},
        "ctl1": {"held": {**HELD, "listening": {}}},
    }
    code, output = run(tmp_path, results=results, mode="passive")
    assert code != 0
    assert (
        report(tmp_path)["mode"],
        [(cell["verdict"], (cell["diagnosis"] or {}).get("code")) for cell in report(tmp_path)["cells"]],
    ) == ("passive", [("wrong", "no_listener"), ("right", None)])


@pytest.mark.parametrize("same", [{"skipped": True}, {"changed": False, "changes": {"objects": []}}])
def test_a_host_that_runs_its_policy_or_was_not_compared_passes(tmp_path: Path, same: dict[str, Any]) -> None:
    code, output = run(tmp_path, results={**RIGHT, "ctl1": {"held": HELD, "same": same}})
    assert code == 0, output


HOSTILE = "\x1b]0;x\x07\x9b2J\nwrong: ctl1 -> forged\u202e\u2028\u200b"
SHOWN = "\\x1b]0;x\\x07\\x9b2J\\nwrong: ctl1 -> forged\\u202e\\u2028\\u200b"


def test_results_of_hosts_are_escaped_wherever_they_are_shown(tmp_path: Path) -> None:
    probed = seen(open=["443/tcp", "5432/tcp"])
    probed["results"][0].update(details={"5432/tcp": HOSTILE}, elsewhere={HOSTILE: ["192.0.2.1"]})
    drop = {
        "verdict": "accept",
        "table": "inet site",
        "chain": "c",
        "rule": f'tcp dport 5432 accept comment "{HOSTILE}"',
    }
    results = {
        "stranger": {"seen": probed},
        "ctl1": {
            "held": {**HELD, "listening": {}, "not_held": {"0.0.0.0": {"443/tcp": HOSTILE}}},
            "same": {"changes": {"objects": [HOSTILE]}},
            "judged": {"judgements": [drop, drop]},
        },
    }
    code, output = run(tmp_path, results=results)
    assert code != 0
    assert f"these differ: {SHOWN}" in output and f"stranger resolves {SHOWN} to 192.0.2.1" in output
    files = [(tmp_path / name).read_text(encoding="utf-8") for name in ("report.json", "junit.xml", "page.html")]
    assert not [char for text in (output, *files) for char in "\x1b\x07\x9b\u202e\u2028\u200b" if char in text]
    assert SHOWN in "".join(ElementTree.fromstring(files[1]).itertext())
    assert report(tmp_path)["hosts"]["ctl1"]["objects"] == [SHOWN]


@pytest.mark.parametrize(
    "host,phase,answer,text",
    [
        (
            "stranger",
            "seen",
            {"results": [{**seen("")["results"][0], "reachable": "no"}]},
            "verify_probe: results[0].reachable: got 'no', expected true, false or null.",
        ),
        (
            "ctl1",
            "held",
            {**HELD, "listening": ["443/tcp"]},
            "verify_listen: listening: got a list, expected a dictionary.",
        ),
        ("ctl1", "same", {"changes": 3}, "firewall: changes: got 3, expected a dictionary."),
        ("ctl1", "judged", [1], "verify_judge: the result: got a list, expected a dictionary."),
    ],
)
def test_a_result_that_cannot_be_read_is_unknown_and_stops_nothing(
    tmp_path: Path, host: str, phase: str, answer: Any, text: str
) -> None:
    code, output = run(tmp_path, results={**RIGHT, host: {**RIGHT[host], phase: answer}})
    assert code != 0
    assert output.count(f"unknown: what {host} reported cannot be read: {text}") == 1
    assert "2 connections from 1 hosts to 1: 0 right, 0 wrong, 2 unknown." in output


def test_nothing_tried_is_a_failure(tmp_path: Path) -> None:
    code, output = run(tmp_path, "--limit", "ctl1", results=RIGHT)
    assert code != 0
    assert "No connection was tested: " in output


def test_check_mode_counts_and_passes(tmp_path: Path) -> None:
    code, output = run(tmp_path, "--check", "-v")
    assert code == 0, output
    assert not (tmp_path / "report.json").exists()
    assert said(output, "SUSPECTS") == {}
    assert "Check mode: 2 connections would be tried; none was tried." in output


@pytest.mark.parametrize("strategy", ["free", "ansible.builtin.host_pinned"])
def test_other_strategies_are_refused(tmp_path: Path, strategy: str) -> None:
    code, output = run(tmp_path, strategy=strategy)
    assert code != 0
    assert (
        f"Invalid strategy of the play: got '{strategy}', expected 'linear', because every host has to listen before "
        "the first one probes."
    ) in output


def test_an_invalid_query_is_refused(tmp_path: Path) -> None:
    code, output = run(tmp_path, query="[].port")
    assert code != 0
    assert "Invalid verify_query: got '[].port', expected a JMESPath expression" in output


def test_a_report_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "report.json").mkdir()
    code, output = run(tmp_path, results=RIGHT)
    assert code != 0
    # Ansible wraps the line somewhere in the path.
    assert "Cannot write " in output and "report.json: Is a directory. Set verify_report" in output
