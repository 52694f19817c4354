# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan through Ansible itself: real inventories, real variables, no host."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ansible_collections.hpc.ports.tests.support.plays import played

HOSTS = {
    "control_plane": {"ctl1": {"ansible_host": "192.0.2.11"}},
    "slurm_controller": {"head": {"ansible_host": "192.0.2.21", "firewall_addresses": ["{{ ansible_host }}"]}},
    "slurm_compute": {"n1": {"ansible_host": "192.0.2.22"}, "n2": {"ansible_host": "192.0.2.23"}},
}
SITE = "firewall_endpoints: {controllers: {cidrs: [192.0.2.1/32]}}"
PLAY = """
- hosts: all
  gather_facts: false
  {keywords}
  tasks:
    - hpc.ports.plan:
      register: plan
      {task}
    - ansible.builtin.debug: {{msg: "KEY={{{{ plan.key }}}}"}}
"""


def run(folder: Path, *options: str, site: str = SITE, hosts: str = "", keywords: str = "", task: str = "",
        blocked: str = "", settings: dict[str, str] | None = None) -> tuple[int, str]:
    """Return how `ansible-playbook` with one plan ended and what it printed, on one line."""
    (folder / "group_vars").mkdir(exist_ok=True)
    (folder / "group_vars" / "all.yml").write_text(site, encoding="utf-8")
    groups = "".join(f"{group}: {{hosts: {members}}}\n" for group, members in HOSTS.items())
    (folder / "hosts.yml").write_text(groups + hosts, encoding="utf-8")
    (folder / "play.yml").write_text(PLAY.format(keywords=keywords, task=task), encoding="utf-8")
    environment = dict(settings or {})
    if blocked:
        (folder / f"{blocked}.py").write_text(f"raise ImportError('No module', name={blocked!r})", encoding="utf-8")
        environment = {"PYTHONPATH": str(folder)}
    done = played("-i", str(folder / "hosts.yml"), str(folder / "play.yml"), *options, real=bool(blocked), **environment)
    return done.code, done.line


@pytest.mark.parametrize("keywords", ["", "strategy: free", "serial: 1"])
def test_every_host_gets_a_key(tmp_path: Path, keywords: str) -> None:
    code, output = run(tmp_path, keywords=keywords)
    assert code == 0, output
    keys = re.findall(r'"KEY=(\w+)"', output)
    assert len(keys) == 4
    # One plan a batch: with serial each host is a batch of its own.
    assert len(set(keys)) == (4 if keywords == "serial: 1" else 1)


def test_a_run_is_not_warned_of_a_note(tmp_path: Path) -> None:
    """Nor is it of this file otherwise: but for the note, there is nothing."""
    site = SITE + """
firewall_endpoints: {controllers: {cidrs: [192.0.2.5/32]}, desks: {cidrs: [10.8.0.0/16]}}
firewall_services: {probe: {ports: [9/udp], exposure: platform}}
firewall_flows: {probe: {from: [desks], to: [control_plane], services: [probe], need: recommended, title: Probe}}
"""
    code, output = run(tmp_path, site=site)
    assert code == 0, output
    assert "UDP" not in output


def test_limit_leaves_the_plan_whole(tmp_path: Path) -> None:
    code, output = run(tmp_path, "--limit", "n1")
    assert code == 0, output
    assert len(re.findall(r'"KEY=(\w+)"', output)) == 1


def test_hosts_that_see_different_port_files_are_named(tmp_path: Path) -> None:
    code, output = run(tmp_path, hosts="odd: {hosts: {n2: {firewall_shipped: false}}}")
    assert code != 0
    assert ("Invalid firewall_shipped: hosts ctl1 and n2 see different values, expected one for the whole inventory. "
            "Set it in group_vars/all.") in output


def test_a_setting_of_the_play_is_refused(tmp_path: Path) -> None:
    code, output = run(tmp_path, keywords="vars: {firewall_mode: observe}")
    assert code != 0
    assert ("Invalid firewall_mode of this play for host ctl1: got 'observe', expected what the inventory says, "
            "'enforce'. A plan is for all hosts, whichever play runs: set it in group_vars or host_vars, or with -e."
            ) in output


def test_extra_variables_are_for_all_hosts(tmp_path: Path) -> None:
    code, output = run(tmp_path, "-e", "firewall_mode=observe", "--limit", "n1")
    assert code == 0, output


def test_how_ansible_reaches_hosts_is_read_from_variables_and_settings(tmp_path: Path) -> None:
    """Through real templates; a value that only some play has is no error, as that of an address is."""
    odd = ("odd: {hosts: {n1: {odd: 22, ansible_port: '{{ odd + 200 }}'}, "
           "n2: {ansible_ssh_common_args: '-J {{ jump }}'}}}")
    code, output = run(tmp_path, "--ssh-common-args=-J 192.0.2.21", "-e", "firewall_egress=restricted", "--limit", "ctl1",
                       hosts=odd, settings={"ANSIBLE_REMOTE_PORT": "223"})
    assert code == 0, output
    assert "host ctl1 and 2 more: Ansible connects to 223/tcp, by ansible_port, " in output
    assert "host n1: Ansible connects to 222/tcp, by ansible_port, " in output
    assert "host ctl1 and 1 more: Is reached through jump host head (192.0.2.21), which it does not let in." in output
    assert ("host n2: Nothing can be told from ansible_ssh_common_args: got '-J {{ jump }}', a template that has no value "
            "on the controller.") in output


@pytest.mark.parametrize("library", ["netaddr", "jmespath"])
def test_missing_library_is_named(tmp_path: Path, library: str) -> None:
    code, output = run(tmp_path, blocked=library)
    assert code != 0
    assert (f"Missing Python library '{library}' on the controller: hpc.ports needs netaddr and jmespath beside "
            "ansible-core. Install them where ansible-playbook runs, such as with: pip install netaddr jmespath"
            ) in output
    assert "Traceback" not in output


@pytest.mark.parametrize(("site", "message"), [
    ("firewall_endpoints: {}",
     "Invalid firewall_endpoints.controllers: got no address, "),
    (SITE + "\nfirewall_flows: {x: {form: [anywhere], to: [control_plane], services: [ssh], need: optional}}",
     "Invalid key in firewall_flows.x: got 'form', "),
])
def test_bad_input_is_one_message(tmp_path: Path, site: str, message: str) -> None:
    code, output = run(tmp_path, site=site, keywords="any_errors_fatal: true", task="run_once: true")
    assert code != 0
    assert message in output
    assert "Traceback" not in output
