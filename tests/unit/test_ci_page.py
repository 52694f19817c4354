# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The jobs of docs/ci.md: their commands run on a repository of a site, before and after a flow is added."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.hpc.ports.tests.support.plays import ROOT, Ended, played

pytestmark = pytest.mark.slow

PAGE = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
GITHUB, GITLAB = (yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL))
SERVICE = {"ports": ["3000/tcp"]}
FLOW = {"from": ["slurm_compute"], "to": ["slurm_controller"], "services": ["grafana"], "need": "recommended"}


def commands(words: list[str]) -> list[list[str]]:
    """Return the arguments of each ansible-playbook of a job, with the branch that the CI's server would set."""
    found = [shlex.split(re.sub(r"\$\{[A-Z_]+\}", "main", word)) for word in words]
    return [command[1:] for command in found if command[0] == "ansible-playbook"]


def steps(job: dict[str, Any]) -> list[str]:
    return job["script"] if "script" in job else [step.get("run", "none") for step in job["steps"]]


def git(folder: Path, *arguments: str) -> None:
    name = ("-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *name, *arguments], cwd=folder, check=True, capture_output=True)


def run(site: Path, arguments: list[str]) -> Ended:
    """Run playbooks in the folder of the site, which the paths of a job are relative to."""
    absolute = [re.sub(r"^inventory$|(?<==)\w+\.md$", lambda path: str(site / path[0]), word) for word in arguments]
    return played(*absolute)


def add_flow(port_file: Path) -> None:
    content = yaml.safe_load(port_file.read_text(encoding="utf-8"))
    content.setdefault("firewall_services", {})["grafana"] = SERVICE
    content["firewall_flows"]["grafana"] = FLOW
    port_file.write_text(yaml.safe_dump(content), encoding="utf-8")


@pytest.fixture(name="site")
def _site(tmp_path: Path) -> Path:
    """Return a clone of a repository with the example inventory and its matrix."""
    origin = tmp_path / "origin"
    shutil.copytree(ROOT / "inventories" / "small", origin / "inventory")
    done = run(origin, ["-i", "inventory", "hpc.ports.matrix", "-e", "matrix_files=matrix.md"])
    assert done.code == 0, done.line
    git(origin, "init", "-q", "-b", "main")
    git(origin, "add", ".")
    git(origin, "commit", "-qm", "start")
    git(tmp_path, "clone", "-q", str(origin), "site")
    return tmp_path / "site"


@pytest.mark.parametrize("job", [GITHUB["jobs"]["ports"], GITLAB["ports"]], ids=["github", "gitlab"])
def test_a_job_shows_what_a_change_opens_and_passes_when_the_matrix_is_written_again(
    site: Path, job: dict[str, Any]
) -> None:
    difference, check = commands(steps(job))
    assert [run(site, command).code for command in (difference, check)] == [0, 0]
    add_flow(site / "inventory" / "group_vars" / "all" / "firewall.yml")
    assert run(site, difference).code == 0
    assert "3000/tcp" in (site / "changes.md").read_text(encoding="utf-8")
    done = run(site, check)
    assert (done.code, "| slurm_compute | 3000/tcp | grafana |" in done.line) == (2, True), done.line
    written = run(site, ["-i", "inventory", "hpc.ports.matrix", "-e", "matrix_files=matrix.md"])
    assert [written.code, run(site, check).code] == [0, 0]


def test_without_the_file_the_message_says_how_to_write_it(tmp_path: Path) -> None:
    arguments = ["-i", str(ROOT / "inventories" / "small"), "hpc.ports.matrix"]
    done = played(*arguments, "-e", f"matrix_expected={tmp_path}/matrix.csv")
    assert (done.code, f"Write it first: -e matrix_files={tmp_path}/matrix.csv" in done.line) == (2, True), done.line
    done = played(*arguments, "-e", f"matrix_expected={tmp_path}/matrix.html")
    assert (done.code, "expected a file that ends with .csv or .md" in done.line) == (2, True), done.line
