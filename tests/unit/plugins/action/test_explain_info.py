# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook explain, and its action plugin with invented answers; no host is involved."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hpc.ports.tests.support.plays import ROOT, played

# Nothing listens on this port, so that Ansible fails to connect at once.
HOSTS = """
all: {vars: {ansible_host: 127.0.0.1, ansible_port: 1}}
slurm_controller: {hosts: {head: {firewall_addresses: [192.0.2.21]}}}
slurm_login: {hosts: {login1: {firewall_addresses: [192.0.2.22]}, login2: {firewall_addresses: [192.0.2.23]}}}
ungrouped: {hosts: {stranger: {firewall_addresses: [192.0.2.99]}}}
"""
SITE = "firewall_endpoints: {controllers: {cidrs: [192.0.2.1/32]}}"
PLAY = """
- hosts: login1, head
  gather_facts: false
  tasks:
    - hpc.ports.plan_info: {lint: true}
      register: plan
      run_once: true
    - hpc.ports.explain_info: {plan: "{{ plan.key }}", from: login1, to: head, to_port: 6817/tcp}
      register: asked
      run_once: true
    - ansible.builtin.set_fact:
        judged: "{{ said[inventory_hostname] }}"
    - hpc.ports.explain_info: {plan: "{{ plan.key }}", from: login1, to: head, to_port: 6817/tcp, judged: judged}
      register: answer
      run_once: true
    - ansible.builtin.debug: {msg: "CODE={{ answer.code }} ASKED={{ asked.packets.head | length }}"}
      run_once: true
"""
ACCEPT = {"verdict": "accept", "reply": {"verdict": "accept"}, "route": {"source": "192.0.2.22", "error": ""}}
DROP = {**ACCEPT, "verdict": "drop", "table": "inet site", "chain": "c", "rule": "tcp dport 6817 drop"}


def run(folder: Path, *options: str, play: Path = ROOT / "playbooks" / "explain.yml") -> tuple[int, str]:
    """Return how the play ended and what it printed, on one line."""
    (folder / "group_vars").mkdir(exist_ok=True)
    (folder / "group_vars" / "all.yml").write_text(SITE, encoding="utf-8")
    (folder / "hosts.yml").write_text(HOSTS, encoding="utf-8")
    done = played("-i", str(folder / "hosts.yml"), str(play), *options)
    return done.code, done.line


def asked(source: str, target: str, port: str, *more: str) -> list[str]:
    return [f"-efrom={source}", f"-eto={target}", f"-eto_port={port}", *more]


@pytest.mark.parametrize(
    "said,code,text",
    [
        ({"login1": [ACCEPT], "head": [ACCEPT]}, "yes", "Yes: login1 can connect"),
        (
            {"login1": [ACCEPT], "head": [DROP]},
            "should_but_does_not",
            "It should, but does not: Rules of another program on head drop",
        ),
    ],
)
def test_the_answers_of_the_hosts_are_explained(tmp_path: Path, said: dict[str, Any], code: str, text: str) -> None:
    (tmp_path / "play.yml").write_text(PLAY, encoding="utf-8")
    facts = {"said": {host: {"judgements": found} for host, found in said.items()}}
    result, output = run(tmp_path, "-e", json.dumps(facts), play=tmp_path / "play.yml")
    assert result == 0, output
    assert f"CODE={code} ASKED=1" in output
    assert text in output


@pytest.mark.parametrize(
    "said,text",
    [
        (
            {"login1": [ACCEPT], "head": [{**DROP, "rule": 'drop comment "\x1b[2J\nYes: login1\u202e"'}]},
            'drop comment "\\x1b[2J\\nYes: login1\\u202e"',
        ),
        (
            {"login1": [{**ACCEPT, "route": "no"}], "head": [ACCEPT]},
            "The rules of login1 are unknown: Its results cannot be read: verify_judge: judgements[0].route: got 'no', "
            "expected a dictionary.",
        ),
        (
            {"login1": [ACCEPT, ACCEPT], "head": [ACCEPT]},
            "The rules of login1 are unknown: Its results cannot be read: verify_judge: judgements: got 2, expected 1, "
            "one for each packet.",
        ),
        (
            {"login1": 3, "head": [ACCEPT]},
            "The rules of login1 are unknown: Its results cannot be read: verify_judge: judgements: got 3, expected a "
            "list.",
        ),
    ],
)
def test_answers_of_hosts_are_escaped_and_bad_ones_are_reported(
    tmp_path: Path, said: dict[str, Any], text: str
) -> None:
    (tmp_path / "play.yml").write_text(PLAY, encoding="utf-8")
    facts = {"said": {host: {"judgements": found} for host, found in said.items()}}
    (tmp_path / "said.json").write_text(json.dumps(facts), encoding="utf-8")
    result, output = run(tmp_path, "-e", f"@{tmp_path}/said.json", play=tmp_path / "play.yml")
    assert result == 0, output
    assert text in output
    assert "\x1b" not in output and "\u202e" not in output


def test_the_plan_answers_for_hosts_that_cannot_be_reached(tmp_path: Path) -> None:
    code, output = run(tmp_path, *asked("slurm_login", "head", "6817/tcp", "-eprobe=true"))
    assert code == 0, output
    for text in (
        "It should: login1 may connect",
        "Only its first host, login1, is examined",
        "Plan: According to the plan, ",
    ):
        assert text in output
    assert "The rules of head are unknown: Ansible cannot reach it: " in output
    assert "Probe: No probe could be sent from login1: Ansible cannot reach it: " in output
    assert output.count("changed=0") == 2 and "login2" not in output and "stranger" not in output


def test_check_mode_and_limit(tmp_path: Path) -> None:
    code, output = run(tmp_path, *asked("stranger", "head", "6817/tcp", "-eprobe=true"), "--check", "--limit=stranger")
    assert code == 0, output
    assert "It should not: stranger may not connect" in output
    assert "The rules of head are unknown: it is not in this play (--limit)." in output
    assert "Probe: No probe was sent in check mode." in output
    assert "To change it: Add a flow from stranger to head (in slurm_controller)" in output


def test_a_host_connects_to_itself(tmp_path: Path) -> None:
    code, output = run(tmp_path, *asked("head", "head", "6817/tcp"))
    assert code == 0, output
    assert "Yes: head reaches itself" in output
    # Ansible warns of variables that have a reserved name.
    assert "reserved name" not in output


@pytest.mark.parametrize("limit", [(), ("--limit=login2",)])
@pytest.mark.parametrize(
    "options,text",
    [
        (
            asked("192.0.2.22", "head", "6817/tcp"),
            "Invalid from: got '192.0.2.22', expected an inventory host, or a group with hosts. login1 has this "
            "address: write -e from=login1.",
        ),
        (asked("login1", "192.0.2.99", "6817/tcp"), "stranger has this address: write -e to=stranger."),
        (asked("192.0.2.77", "head", "6817/tcp"), "No host of the inventory has this address."),
        (asked("192.0.2.22", "heads", "6817/tcp"), "login1 has this address"),
    ],
)
def test_an_address_is_refused_with_the_host_that_has_it(
    tmp_path: Path, options: list[str], text: str, limit: tuple[str, ...]
) -> None:
    code, output = run(tmp_path, *options, *limit)
    assert code != 0
    assert text in output


@pytest.mark.parametrize(
    "options,text",
    [
        (asked("logn1", "head", "6817/tcp"), "Invalid from: got 'logn1'"),
        (asked("login1", "heads", "6817/tcp"), "Invalid to: got 'heads'"),
        ([], "Name a connection, for example -e from=login1"),
        (["-eto=heads"], "Invalid to: got 'heads'"),
        (["-eto=192.0.2.22"], "login1 has this address: write -e to=login1."),
        (["-efrom=login1", "-eto_port=22"], "Invalid to_port: got '22'"),
        (asked("login1", "head", "6817"), "Invalid to_port: got '6817'"),
        (asked("login1", "head", "1-9/tcp"), "Invalid to_port: got '1-9/tcp', expected one port"),
    ],
)
def test_invalid_options_are_refused(tmp_path: Path, options: list[str], text: str) -> None:
    code, output = run(tmp_path, *options)
    assert code != 0
    assert text in output


@pytest.mark.parametrize(
    "options,text",
    [
        (["-eto=head", "-eto_port=6817/tcp"], "slurm_control: slurm_login"),
        (["-efrom=login2"], "slurm_control: login2"),
        (["-eto_port=22/tcp"], "management_ssh: outside controllers (192.0.2.1/32)"),
        (["-efrom=stranger"], "Nothing is open by the plan."),
    ],
)
def test_what_is_left_out_is_listed(tmp_path: Path, options: list[str], text: str) -> None:
    code, output = run(tmp_path, *options)
    assert code == 0, output
    assert text in output
