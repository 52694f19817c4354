# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Expectations and verdicts through Ansible itself, with results made up: no host is touched."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[4]
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
    - hpc.ports.plan:
      register: plan
      run_once: true
    - hpc.ports.expectations:
        plan: "{{{{ plan.key }}}}"
        hosts: "{{{{ ansible_play_hosts_all }}}}"
        query: "{query}"
      register: part
    - ansible.builtin.debug: {{msg: "PART={{{{ part | to_json }}}}"}}
    - ansible.builtin.set_fact:
        seen: "{{{{ (results[inventory_hostname] | default({{}})).seen | default({{}}) }}}}"
        held: "{{{{ (results[inventory_hostname] | default({{}})).held | default({{}}) }}}}"
        same: "{{{{ (results[inventory_hostname] | default({{}})).same | default({{}}) }}}}"
    - hpc.ports.verdicts:
        plan: "{{{{ plan.key }}}}"
        hosts: "{{{{ ansible_play_hosts_all }}}}"
        query: "{query}"
        probed: seen
        stopped: held
        compared: same
        report: "{folder}/report.json"
        require_outsider: {outsider}
      run_once: true
"""
QUERY = "[?port==`443` || port==`5432`]"


def run(folder: Path, *options: str, results: dict[str, Any] | None = None, strategy: str = "linear",
        query: str = QUERY, outsider: bool = False) -> tuple[int, str]:
    """Return how the play ended and what it printed, on one line; `results` are facts by host."""
    (folder / "group_vars").mkdir(exist_ok=True)
    (folder / "group_vars" / "all.yml").write_text(SITE, encoding="utf-8")
    (folder / "hosts.yml").write_text(HOSTS, encoding="utf-8")
    (folder / "play.yml").write_text(PLAY.format(folder=folder, strategy=strategy, query=query, outsider=outsider),
                                     encoding="utf-8")
    (folder / "results.json").write_text(json.dumps({"results": results or {}}), encoding="utf-8")
    done = subprocess.run(
        [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(folder / "hosts.yml"),
         str(folder / "play.yml"), "-e", f"@{folder}/results.json", *options],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
        env={**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
             "ANSIBLE_LOCAL_TEMP": str(folder / "tmp"), "ANSIBLE_PYTHON_INTERPRETER": sys.executable})
    return done.returncode, re.sub(r"\s+", " ", done.stdout + done.stderr)


def seen(**outcomes: list[str]) -> dict[str, Any]:
    lists: dict[str, list[str]] = {name: [] for name in ("open", "refused", "filtered", "error", "rejected")}
    return {"results": [{"address": "192.0.2.11", "reachable": True, **lists, **outcomes, "details": {}}]}


HELD = {"alive": True, "listening": {"0.0.0.0": ["443/tcp", "5432/tcp"]}, "in_use": {}, "failed": {}}
RIGHT = {"stranger": {"seen": seen(open=["443/tcp"], filtered=["5432/tcp"])}, "ctl1": {"held": HELD}}


def report(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "report.json").read_text(encoding="utf-8"))


def test_each_host_gets_its_part(tmp_path: Path) -> None:
    code, output = run(tmp_path, results=RIGHT)
    assert code == 0, output
    found = re.findall(r'"msg": "PART=(.*?)" }', output)
    parts = {part["managed"]: part for part in (json.loads(text.replace('\\"', '"')) for text in found)}
    assert {**parts[True], "lifetime": 0} == {
        "changed": False, "failed": False, "managed": True, "listen": ["443/tcp", "5432/tcp"],
        "addresses": ["192.0.2.11"], "lifetime": 0, "probes": []}
    assert {**parts[False], "lifetime": 0} == {
        "changed": False, "failed": False, "managed": False, "listen": [], "addresses": [], "lifetime": 0,
        "probes": [{"address": "192.0.2.11", "ports": ["443/tcp", "5432/tcp"]}]}
    assert parts[True]["lifetime"] == parts[False]["lifetime"] > 60


def test_when_all_is_right_the_play_passes(tmp_path: Path) -> None:
    code, output = run(tmp_path, results=RIGHT, outsider=True)
    assert code == 0, output
    assert "2 connections from 1 hosts to 1: 2 right, 0 wrong, 0 unknown. From outside: stranger." in output
    assert report(tmp_path)["summary"]["right"] == 2
    assert report(tmp_path)["hosts"] == {}


@pytest.mark.parametrize("host,facts,text", [
    ("stranger", {"seen": seen(open=["443/tcp", "5432/tcp"])}, "1 connections are wrong and 0 unknown of 2"),
    ("stranger", {"seen": {"failed": True, "msg": "No Python."}}, "0 connections are wrong and 2 unknown of 2"),
    ("ctl1", {"held": {"skipped": True}}, "0 connections are wrong and 1 unknown of 2"),
    ("ctl1", {"held": HELD, "same": {"changed": False, "changes": {"objects": ["chain input"]}}},
     "All 2 connections are right, but these hosts do not run their policy, or it could not be read: ctl1"),
    ("ctl1", {"held": HELD, "same": {"changed": False, "failed": False, "msg": "Missing program nft."}},
     "unknown: whether ctl1 runs its policy: Missing program nft."),
])
def test_when_something_is_not_right_the_play_fails(
        tmp_path: Path, host: str, facts: dict[str, Any], text: str) -> None:
    code, output = run(tmp_path, results={**RIGHT, host: facts})
    assert code != 0
    assert text in output
    assert report(tmp_path)["format"] == 1


@pytest.mark.parametrize("same", [{"skipped": True}, {"changed": False, "changes": {"objects": []}}])
def test_a_host_that_runs_its_policy_or_was_not_compared_passes(tmp_path: Path, same: dict[str, Any]) -> None:
    code, output = run(tmp_path, results={**RIGHT, "ctl1": {"held": HELD, "same": same}})
    assert code == 0, output


def test_nothing_tried_is_a_failure(tmp_path: Path) -> None:
    code, output = run(tmp_path, "--limit", "ctl1", results=RIGHT)
    assert code != 0
    assert "Nothing was tried: expected at least one managed host and another host in the play" in output


def test_check_mode_plans_and_passes(tmp_path: Path) -> None:
    code, output = run(tmp_path, "--check")
    assert code == 0, output
    assert not (tmp_path / "report.json").exists()
    code, output = run(tmp_path, "--check", "-v")
    assert "Check mode: 2 connections would be tried; none was." in output


@pytest.mark.parametrize("strategy", ["free", "ansible.builtin.host_pinned"])
def test_other_strategies_are_refused(tmp_path: Path, strategy: str) -> None:
    code, output = run(tmp_path, strategy=strategy)
    assert code != 0
    assert (f"Invalid strategy of the play: got '{strategy}', expected 'linear', because every host has to listen "
            "before the first one probes.") in output


def test_a_bad_query_is_refused(tmp_path: Path) -> None:
    code, output = run(tmp_path, query="[].port")
    assert code != 0
    assert "Invalid verify_query: got '[].port', expected a JMESPath expression" in output


def test_a_report_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "report.json").mkdir()
    code, output = run(tmp_path, results=RIGHT)
    assert code != 0
    # Ansible breaks the line somewhere in the path.
    assert "Cannot write the report" in output and "report.json: Is a directory. Set verify_report" in output
