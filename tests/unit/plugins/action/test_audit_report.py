# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook audit: invented answers of hosts, and a host that does not answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml
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
    - hpc.ports.plan_info: {lint: true, report_only: true}
      register: plan
      run_once: true
    - ansible.builtin.set_fact: {audited: "{{ said[inventory_hostname] }}"}
    - hpc.ports.audit_report: {plan: "{{ plan.key }}", audited: audited, draft: "{{ draft }}"}
      run_once: true
"""


def said(**values: Any) -> dict[str, Any]:
    """Return what a host says, with these values."""
    empty: dict[str, Any] = {name: [] for name in ("listeners", "published", "connections", "problems")}
    return {**empty, "connections_left_out": 0, "counters": None, "ansible_from": "", **values}


def seen(peer: str, port: int, protocol: str = "tcp") -> dict[str, Any]:
    return {"direction": "in", "peer": peer, "protocol": protocol, "port": port, "count": 3}


def run(folder: Path, play: Path, *options: str, site: str = SITE) -> tuple[int, str]:
    """Return how a play ended and what it printed, on one line."""
    (folder / "group_vars").mkdir(exist_ok=True)
    (folder / "group_vars" / "all.yml").write_text(site, encoding="utf-8")
    (folder / "hosts.yml").write_text(HOSTS, encoding="utf-8")
    done = played("-i", str(folder / "hosts.yml"), str(play), *options)
    return done.code, done.line


def test_the_answers_of_the_hosts_are_compared_with_the_plan(tmp_path: Path) -> None:
    (tmp_path / "play.yml").write_text(PLAY, encoding="utf-8")
    own = {"protocol": "udp", "address": "0.0.0.0", "port": 7070, "process": "ownd", "unit": "ownd.service"}
    # The port file has a flow for the second port, which is off.
    head = said(listeners=[own], connections=[seen("192.0.2.22", 7070, "udp"), seen("192.0.2.22", 8649, "udp")])
    facts = {"said": {"head": head, "login1": {"listeners": "x"}}, "draft": str(tmp_path / "draft.yml")}
    code, printed = run(tmp_path, tmp_path / "play.yml", "-e", json.dumps(facts))
    assert code == 0, printed
    assert "slurm_login to slurm_controller 7070/udp, 3 connections; ownd (ownd.service) listens" in printed
    assert "login1: nothing is known: listeners: got 'x', expected a list." in printed
    flows = yaml.safe_load((tmp_path / "draft.yml").read_text(encoding="utf-8"))["firewall_flows"]
    assert (flows["ganglia"], flows["seen_ownd"]["from"]) == ({"enabled": True}, ["slurm_login"])


def test_a_site_without_a_port_file_gets_one_that_lint_accepts(tmp_path: Path) -> None:
    (tmp_path / "play.yml").write_text(PLAY, encoding="utf-8")
    connections = [seen("192.0.2.1", 22), seen("192.0.2.22", 7070, "udp"), seen("198.51.100.9", 2375)]
    head = said(connections=connections, ansible_from="192.0.2.1")
    draft = tmp_path / "draft.yml"
    facts = {"said": {"head": head, "login1": said(ansible_from="192.0.2.1")}, "draft": str(draft)}
    code, printed = run(tmp_path, tmp_path / "play.yml", "-e", json.dumps(facts), site="{}")
    assert code == 0, printed
    assert "puts in the addresses from which Ansible connects now: 192.0.2.1/32." in printed
    # Ansible's own connection needs no flow.
    assert "22/tcp from" not in printed
    written = draft.read_text(encoding="utf-8")
    assert yaml.safe_load(written)["firewall_endpoints"] == {"controllers": {"cidrs": ["192.0.2.1/32"]}}
    assert list(yaml.safe_load(written)["firewall_flows"]) == ["seen_port_7070_udp"]
    assert written.startswith("# Left out: seen_docker_plain (from: 198.51.100.9/32; to: slurm_controller; services: ")
    assert "warning docker-without-encryption: Opens 2375/tcp: " in written
    code, printed = run(tmp_path, ROOT / "playbooks" / "lint.yml", "-e", f"@{draft}", site="{}")
    assert (code, "No problems found." in printed) == (0, True), printed


def test_without_ssh_the_report_asks_for_controllers(tmp_path: Path) -> None:
    (tmp_path / "play.yml").write_text(PLAY, encoding="utf-8")
    facts = {"said": {"head": said(), "login1": said()}, "draft": ""}
    code, printed = run(tmp_path, tmp_path / "play.yml", "-e", json.dumps(facts), site="{}")
    assert code == 0, printed
    assert "no host says from where Ansible connects. Fill it in: without it, Ansible is locked out" in printed


def test_hosts_that_do_not_answer_are_in_the_report(tmp_path: Path) -> None:
    code, printed = run(tmp_path, ROOT / "playbooks" / "audit.yml", site="{}")
    assert code == 0, printed
    assert "head: nothing is known: " in printed and "login1: nothing is known: " in printed
