# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a quiet run shows, and what it hides, by Ansible without hosts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ansible_collections.hpc.ports.tests.support.plays import ROOT, Ended, played

pytestmark = pytest.mark.slow

SITE = """
slurm_compute: {hosts: {n1: {ansible_host: 10.0.0.1}, n2: {ansible_host: 10.0.0.2}}}
lab: {hosts: {jhub: {ansible_host: 10.0.0.3}}}
all:
  vars:
    firewall_endpoints: {controllers: {cidrs: [10.0.0.9/32]}}
    firewall_services: {spare: {ports: [1/tcp]}}
"""
MANAGED = "2 hosts get a firewall, 1 does not: jhub (in no group of hpc.ports)."
FINDING = "firewall_services.spare: No flow uses this service"

TALK = r"""
- hosts: all
  gather_facts: false
  tasks:
    - {name: Silent, ansible.builtin.set_fact: {said: 1}}
    - {name: Skipped, ansible.builtin.debug: {msg: never}, when: false}
    - {name: For each host, ansible.builtin.debug: {msg: "two\nlines, \e[1m bold"}}
    - {name: Once, ansible.builtin.debug: {msg: [a list, of two]}, run_once: true}
    - {name: A variable, ansible.builtin.debug: {var: said}, run_once: true}
    - {name: Items, ansible.builtin.debug: {msg: "item {{ item }}"}, loop: [1, 2], run_once: true}
    - {name: Changes, ansible.builtin.debug: {msg: changed}, changed_when: true, run_once: true}
    - {name: More tasks, ansible.builtin.include_tasks: more.yml}
"""
MORE = "- {name: More, ansible.builtin.debug: {msg: more}, run_once: true}"

# Two batches. In each of them at least one host goes on.
FIREWALL = """
- hosts: all:!stranger
  gather_facts: false
  serial: 3
  tasks:
    - {name: Prepare, ansible.builtin.fail: {msg: No.}, when: inventory_hostname == "early"}
    - {name: Asks, lost: , when: inventory_hostname == "gone"}
    - {name: Asks in vain, lost: , ignore_unreachable: true, when: inventory_hostname == "c3"}
    - {name: Says, ansible.builtin.fail: {msg: Never mind.}, ignore_errors: true, when: inventory_hostname == "c3"}
    - name: Give the host its firewall
      ansible.builtin.set_fact: {given: true}
      register: firewall_result
      changed_when: inventory_hostname in ["c1", "c2"]
      failed_when: inventory_hostname == "n7"
    - {name: Goes on, ansible.builtin.fail: {msg: Too late.}, when: inventory_hostname == "c2"}
- hosts: all
  gather_facts: false
  tags: verify
  tasks:
    - {name: Fails, ansible.builtin.fail: {msg: On purpose.}}
"""
LOST = """
from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
class ActionModule(ActionBase):
    def run(self, tmp=None, task_vars=None):
        raise AnsibleConnectionFailure("Nobody answers.")
"""


def quiet(*arguments: str) -> Ended:
    return played(*arguments, ANSIBLE_STDOUT_CALLBACK="hpc.ports.quiet")


def lines(done: Ended) -> list[str]:
    """Return the lines that a run has printed, without asterisks, empty lines and the numbers of the recap."""
    texts = (re.sub(r" \*+$| +: ok=.*", "", line) for line in done.printed.splitlines())
    return [text for text in texts if text]


def test_a_run_that_changes_nothing_shows_who_gets_a_firewall_the_warnings_and_a_line_for_each_host(
    tmp_path: Path,
) -> None:
    path = tmp_path / "hosts.yml"
    path.write_text(SITE, encoding="utf-8")
    done = quiet("-i", str(path), str(ROOT / "playbooks" / "plan.yml"))
    assert lines(done) == ["PLAY [Compile the plan]", MANAGED, "PLAY RECAP", "n1"]
    assert " ".join(done.errors.split()).count(FINDING) == 1


def test_lint_shows_its_findings_and_its_answer(tmp_path: Path) -> None:
    path = tmp_path / "hosts.yml"
    path.write_text(SITE, encoding="utf-8")
    done = quiet("-i", str(path), str(ROOT / "playbooks" / "lint.yml"), "-e", "lint_fail_on=error")
    finding = "warning unused-service: firewall_services.spare. No flow uses this service"
    play, managed, found, answer, *_recap = lines(done)
    assert (play, managed, found.startswith(finding)) == ("PLAY [Lint]", MANAGED, True)
    assert answer == "No problems found. Findings that do not count: 1 (warning)."


def test_a_report_says_last_which_files_it_wrote(tmp_path: Path) -> None:
    path, files = tmp_path / "hosts.yml", f"{tmp_path}/m.md,{tmp_path}/m.csv"
    path.write_text(SITE, encoding="utf-8")
    done = quiet("-i", str(path), str(ROOT / "playbooks" / "matrix.yml"), "-e", f"matrix_files={files}")
    assert lines(done)[-3:] == [f"Written: {tmp_path}/m.md, {tmp_path}/m.csv", "PLAY RECAP", "n1"]


@pytest.fixture(name="talk")
def fixture_talk(tmp_path: Path) -> str:
    (tmp_path / "talk.yml").write_text(TALK, encoding="utf-8")
    (tmp_path / "more.yml").write_text(MORE, encoding="utf-8")
    return str(tmp_path / "talk.yml")


def test_messages_and_changes_are_shown_and_nothing_else(talk: str) -> None:
    shown = lines(quiet("-i", "c1,c2", talk))
    said = [line for line in shown if line.startswith(("c1:", "c2:"))]
    assert sorted(said) == [f"{host}: {text}" for host in ("c1", "c2") for text in (r"lines, \x1b[1m bold", "two")]
    assert [line for line in shown if line not in said] == [
        "PLAY [all]",
        *("a list", "of two"),
        *("{", '    "said": 1', "}"),
        *("item 1", "item 2"),
        *("TASK [Changes]", "changed: [c1] => {", '    "msg": "changed"', "}"),
        "more",
        *("PLAY RECAP", "c1", "c2"),
    ]


def test_with_v_all_is_shown_as_ansible_shows_it(talk: str) -> None:
    arguments = ("-i", "c1,", talk, "-v")
    assert quiet(*arguments).printed == played(*arguments).printed


@pytest.mark.parametrize(("options", "verb"), [((), "changed"), (("--check",), "would change")])
def test_the_last_line_counts_the_hosts_of_all_batches_also_those_that_fail(
    tmp_path: Path, options: tuple[str, ...], verb: str
) -> None:
    (tmp_path / "play.yml").write_text(FIREWALL, encoding="utf-8")
    (tmp_path / "action_plugins").mkdir()
    (tmp_path / "action_plugins" / "lost.py").write_text(LOST, encoding="utf-8")
    done = quiet("-i", "c1,early,n7,c2,gone,c3,stranger", str(tmp_path / "play.yml"), *options)
    shown = lines(done)
    assert shown[-1] == f"Firewall: 2 hosts {verb} (c1, c2), 1 as before, 3 failed (early, gone, n7)."
    assert [line.partition(":")[0] for line in shown].count("Firewall") == 1
    assert done.line.count("On purpose.") >= 3  # of c1, c3 and stranger, after the firewall
