# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook observed: invented answers of hosts, the files of the report, and a host that does not answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ansible_collections.hpc.ports.tests.support.plays import ROOT, Ended, played

# Nothing listens on this port, so that Ansible fails to connect at once.
HOSTS = """
all: {vars: {ansible_host: 127.0.0.1, ansible_port: 1, firewall_mode: observe}}
slurm_controller: {hosts: {head: {firewall_addresses: [192.0.2.21]}}}
slurm_login: {hosts: {login1: {firewall_addresses: [192.0.2.22]}}}
monitoring: {hosts: {mon: {firewall_addresses: [192.0.2.23]}}}
"""
SITE = "firewall_endpoints: {controllers: {cidrs: [192.0.2.1/32]}}"
PLAY = """
- hosts: all
  gather_facts: false
  tasks:
    - hpc.ports.plan_info: {lint: true}
      register: plan
      run_once: true
    - ansible.builtin.set_fact: {observed: "{{ said[inventory_hostname] }}"}
    - hpc.ports.observed_report:
        plan: "{{ plan.key }}"
        observed: observed
        draft: "{{ draft }}"
        files: "{{ files }}"
      run_once: true
"""
UNRECORDED = {"in": 0, "out": 0, "forward": 0}
EMPTY = {
    "seconds": 600,
    "ports": [],
    "listeners": [],
    "container_networks": [],
    "published": [],
    "problems": [],
    "left_out": 0,
    "unrecorded": UNRECORDED,
}


def run(folder: Path, play: Path, *options: str) -> Ended:
    (folder / "group_vars").mkdir(exist_ok=True)
    (folder / "group_vars" / "all.yml").write_text(SITE, encoding="utf-8")
    (folder / "hosts.yml").write_text(HOSTS, encoding="utf-8")
    return played("-i", str(folder / "hosts.yml"), str(play), *options)


def reported(folder: Path, said: dict[str, Any], *files: Path) -> Ended:
    (folder / "play.yml").write_text(PLAY, encoding="utf-8")
    facts = {"said": said, "draft": str(folder / "draft.yml"), "files": list(map(str, files))}
    return run(folder, folder / "play.yml", "-e", json.dumps(facts))


def test_the_draft_empties_the_next_report(tmp_path: Path) -> None:
    gmond = {"protocol": "udp", "address": "0.0.0.0", "port": 7070, "process": "powerd", "unit": "powerd.service"}
    record = {"direction": "in", "protocol": "udp", "port": 7070, "peers": "192.0.2.22 12300 130"}
    said = {"head": {**EMPTY, "ports": [record], "listeners": [gmond]}, "login1": {**EMPTY, "ports": "x"}, "mon": EMPTY}
    data, page = tmp_path / "report.json", tmp_path / "report.html"
    done = reported(tmp_path, said, data, page)
    assert done.code == 0, done.line
    assert (
        "slurm_login to slurm_controller 7070/udp, 12,300 packets, last 2 minutes ago; powerd (powerd.service) listens"
        in done.line
    )
    assert "Nothing is known of login1: ports: got 'x', expected a list." in done.line
    assert json.loads(data.read_text(encoding="utf-8"))["seen"][0]["to"]["groups"] == ["slurm_controller"]
    assert "seen_powerd" in page.read_text(encoding="utf-8")
    assert str(tmp_path) in page.read_text(encoding="utf-8").split('"inventory":')[1]
    facts = {"said": said, "draft": "", "files": [str(data)]}
    again = run(tmp_path, tmp_path / "play.yml", "-e", f"@{tmp_path / 'draft.yml'}", "-e", json.dumps(facts))
    assert again.code == 0, again.line
    found = json.loads(data.read_text(encoding="utf-8"))
    assert (found["seen"], found["draft"], found["allowed"]) == ([], "", 1)


def test_the_end_of_a_files_name_is_its_format(tmp_path: Path) -> None:
    done = reported(tmp_path, {name: EMPTY for name in ("head", "login1", "mon")}, tmp_path / "report.txt")
    assert done.code != 0
    assert "Invalid observed_files: got '" in done.line and "expected a file that ends with .json or .html" in done.line
    assert not (tmp_path / "report.txt").exists()


def test_hosts_that_do_not_answer_are_in_the_report(tmp_path: Path) -> None:
    done = run(tmp_path, ROOT / "playbooks" / "observed.yml")
    assert done.code == 0, done.line
    assert "Nothing is known of head: " in done.line and "Nothing is known of mon: " in done.line
