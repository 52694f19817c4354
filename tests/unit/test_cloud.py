# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook `cloud`, and the plays of docs/cloud.md that apply what it writes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.hpc.ports.plugins.plugin_utils._cloud.clouds import CLOUDS, export
from ansible_collections.hpc.ports.tests.support.inventories import plan_of
from ansible_collections.hpc.ports.tests.support.plays import ROOT, played

PAGE = (ROOT / "docs" / "cloud.md").read_text(encoding="utf-8")
PLAYBOOK = ("-i", "inventories/cloud", "playbooks/cloud.yml")
# The sections with plays, by cloud.
SECTIONS = {"aws": "AWS", "azure": "Azure", "gcp": "Google Cloud", "openstack": "OpenStack"}


@pytest.mark.slow
def test_the_playbook_writes_the_groups_of_a_cluster_in_a_cloud(tmp_path: Path) -> None:
    path = tmp_path / "aws.yml"
    done = played(*PLAYBOOK, "-e", "cloud=aws", "-e", f"cloud_file={path}", "-e", "cloud_prefix=site")
    assert (done.code, f"Written: {path}" in done.line) == (0, True), done.line
    written = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert written["cloud_group_of"]["ctl"] == "site-slurm-controller-slurm-database-research"
    (ctl,) = [group for group in written["cloud_groups"] if group["name"] == written["cloud_group_of"]["ctl"]]
    # Ansible reaches the controller through the login node.
    from_login = [rule for rule in ctl["rules"] if rule.get("group_name") == ["site-slurm-login-research"]]
    assert any("22" in rule.get("ports", []) for rule in from_login)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "Invalid cloud: got '', expected aws, azure, gcp,"),
        (["cloud=aws", "cloud_references=perhaps"], "Invalid cloud_references: got 'perhaps', expected true or false."),
        (["cloud=aws", "cloud_hosts=slurm_compte"], "Did you mean 'slurm_compute'?"),
        (["cloud=aws", "cloud_file=/nowhere/aws.yml"], "Cannot write /nowhere/aws.yml"),
    ],
)
def test_the_playbook_says_what_is_wrong(arguments: list[str], text: str) -> None:
    done = played(*PLAYBOOK, *(word for argument in arguments for word in ("-e", argument)))
    assert (done.code, text in done.line) == (2, True), done.line


def play_of(cloud: str) -> dict[str, Any]:
    section = PAGE.partition(f"\n## {SECTIONS[cloud]}\n")[2].partition("\n## ")[0]
    (text,) = re.findall(r"^```yaml\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    (play,) = yaml.safe_load(text)
    return dict(play)


@pytest.mark.parametrize("cloud", SECTIONS)
def test_the_plays_of_the_manual_use_all_that_is_written(cloud: str) -> None:
    plan, play = plan_of("example"), play_of(cloud)
    written = yaml.safe_load(export(plan, cloud, list(plan.hosts), "hpc").text)
    assert play["vars_files"] == [f"{cloud}.yml"]
    used = set()
    for task in play["tasks"]:
        entries = written[task["loop"].strip("{} ")]
        names = re.findall(r"\{\{ item\.(\w+)(.*?) \}\}", str(task))
        for name, rest in names:
            assert rest == " | default(omit)" or all(name in entry for entry in entries), name
        used |= {name for name, _rest in names}
    assert used == {key for entry in entries for key in entry}


def test_the_manual_names_every_cloud() -> None:
    table = PAGE.partition("| `cloud` | ")[2].partition("\n")[0]
    assert set(re.findall(r"`(\w+)`", table)) == set(CLOUDS)
