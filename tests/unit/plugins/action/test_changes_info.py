# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run says about the changes of its hosts, by Ansible without hosts."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.hpc.ports.tests.support.plays import Ended, played

pytestmark = pytest.mark.slow

HOSTS = """
monitoring: {hosts: {mon: {firewall_addresses: [192.0.2.9]}}}
slurm_compute:
  hosts:
    c1: {firewall_addresses: [192.0.2.1]}
    c2: {firewall_addresses: [192.0.2.2]}
    c3: {firewall_addresses: [192.0.2.3]}
all: {vars: {firewall_endpoints: {controllers: {cidrs: [192.0.2.100/32]}}}}
"""
# With the strategy free, Ansible runs the second task for each host.
PLAY = """
- hosts: all
  gather_facts: false
  strategy: "{{ strategy }}"
  tasks:
    - hpc.ports.plan_info: {lint: true}
      register: plan
      run_once: true
    - ansible.builtin.set_fact:
        firewall_result:
          changed: true
          failed: "{{ inventory_hostname == 'c3' }}"
          changes: {flows_added: [in_monitoring_nodes]}
    - hpc.ports.changes_info: {plan: "{{ plan.key }}"}
      run_once: true
"""
LINE = "c1, c2: in_monitoring_nodes: mon may now connect to 9090/tcp, 24224/tcp"


def run(folder: Path, strategy: str, *options: str) -> Ended:
    (folder / "hosts.yml").write_text(HOSTS, encoding="utf-8")
    (folder / "play.yml").write_text(PLAY, encoding="utf-8")
    done = played("-i", str(folder / "hosts.yml"), str(folder / "play.yml"), "-e", f"strategy={strategy}", *options)
    assert done.code == 0, done.line
    return done


@pytest.mark.parametrize(
    ("options", "head"), [(["--check"], "What a run without --check changes:"), ([], "What has changed:")]
)
def test_a_run_says_once_what_changes_on_hosts_that_did_not_fail(tmp_path: Path, options: list[str], head: str) -> None:
    line = run(tmp_path, "linear", *options).line
    assert line.count("in_monitoring_nodes") == 1
    assert f"{head} {LINE} ok:" in line


def test_with_the_strategy_free_each_host_is_told_once(tmp_path: Path) -> None:
    told = [line for line in run(tmp_path, "free").printed.splitlines() if "in_monitoring_nodes" in line]
    assert [sum(f"{host}:" in line or f"{host}," in line for line in told) for host in ("c1", "c2")] == [1, 1], told
