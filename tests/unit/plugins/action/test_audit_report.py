# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook audit: invented answers of hosts, and a host that does not answer."""

from __future__ import annotations

import json
from pathlib import Path

from ansible_collections.hpc.ports.tests.support.plays import ROOT, played

# Nothing listens on this port, so that Ansible fails to connect at once.
HOSTS = """
all: {vars: {ansible_host: 127.0.0.1, ansible_port: 1}}
slurm_controller: {hosts: {head: {firewall_addresses: [192.0.2.21]}}}
slurm_login: {hosts: {login1: {firewall_addresses: [192.0.2.22]}}}
"""
SITE = "firewall_endpoints: {controllers: {cidrs: [192.0.2.1/32]}}"
PLAY = """
- hosts: all
  gather_facts: false
  tasks:
    - hpc.ports.plan_info: {lint: true}
      register: plan
      run_once: true
    - ansible.builtin.set_fact: {audited: "{{ said[inventory_hostname] }}"}
    - hpc.ports.audit_report: {plan: "{{ plan.key }}", audited: audited, draft: "{{ draft }}"}
      run_once: true
"""


def run(folder: Path, play: Path, *options: str) -> tuple[int, str]:
    """Return how a play ended and what it printed, on one line."""
    (folder / "group_vars").mkdir()
    (folder / "group_vars" / "all.yml").write_text(SITE, encoding="utf-8")
    (folder / "hosts.yml").write_text(HOSTS, encoding="utf-8")
    done = played("-i", str(folder / "hosts.yml"), str(play), *options)
    return done.code, done.line


def test_the_answers_of_the_hosts_are_compared_with_the_plan(tmp_path: Path) -> None:
    (tmp_path / "play.yml").write_text(PLAY, encoding="utf-8")
    gmond = {"protocol": "udp", "address": "0.0.0.0", "port": 8649, "process": "gmond", "unit": "gmond.service"}
    seen = {"direction": "in", "peer": "192.0.2.22", "protocol": "udp", "port": 8649, "count": 3}
    head = {"listeners": [gmond], "connections": [seen], "connections_left_out": 0, "problems": []}
    facts = {"said": {"head": head, "login1": {"listeners": "x"}}, "draft": str(tmp_path / "draft.yml")}
    code, printed = run(tmp_path, tmp_path / "play.yml", "-e", json.dumps(facts))
    assert code == 0, printed
    assert "head: 8649/udp from login1, 3 connections; gmond (gmond.service) listens" in printed
    assert "login1: nothing is known: listeners: got 'x', expected a list." in printed
    draft = (tmp_path / "draft.yml").read_text(encoding="utf-8")
    assert "seen_port_8649_udp" in draft and "- slurm_login" in draft


def test_hosts_that_do_not_answer_are_in_the_report(tmp_path: Path) -> None:
    code, printed = run(tmp_path, ROOT / "playbooks" / "audit.yml")
    assert code == 0, printed
    assert "head: nothing is known: " in printed and "login1: nothing is known: " in printed
