# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a team copies from docs/controllers.md works: plays, surveys, and what an execution environment needs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.hpc.ports.tests.support.plays import ROOT, played

PAGE = (ROOT / "docs" / "controllers.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[Any]:
    return [yaml.safe_load(text) for text in re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)]


def requirements(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line.partition("#")[0].strip() for line in lines if line.partition("#")[0].strip()]


def test_an_execution_environment_gets_the_libraries_of_the_collection() -> None:
    settings = yaml.safe_load((ROOT / "meta" / "execution-environment.yml").read_text(encoding="utf-8"))
    python, system = (ROOT / settings["dependencies"][kind] for kind in ("python", "system"))
    libraries = [line for line in requirements(ROOT / "requirements.txt") if not line.startswith("ansible-core")]
    assert requirements(python) == libraries
    assert {line.split()[0] for line in requirements(system)} == {
        "openssh-clients",
        "openssh-client",
        "git-core",
        "git",
    }


def test_the_image_has_an_ansible_core_that_the_collection_supports() -> None:
    image = yaml.safe_load((ROOT / "execution-environment.yml").read_text(encoding="utf-8"))
    (collection,) = image["dependencies"]["galaxy"]["collections"]
    galaxy = yaml.safe_load((ROOT / "galaxy.yml").read_text(encoding="utf-8"))
    assert collection["name"] == f"{galaxy['repository']}.git"
    assert re.fullmatch(r"ansible-core~=2\.\d+\.0", image["dependencies"]["ansible_core"]["package_pip"])


def test_surveys_ask_for_the_variables_of_their_playbooks() -> None:
    surveys = {survey["name"]: survey["spec"] for survey in blocks("json")}
    assert [*surveys] == ["Add node", "Remove node"]
    for name, (question,) in surveys.items():
        playbook = (ROOT / "playbooks" / f"{name.lower().replace(' ', '_')}.yml").read_text(encoding="utf-8")
        assert f"Missing variable {question['variable']}: " in playbook
        assert (question["type"], question["required"]) == ("text", True)


@pytest.mark.slow
def test_plays_of_a_project_start(tmp_path: Path) -> None:
    for number, block in enumerate(block for block in blocks("yaml") if isinstance(block, list)):
        (tmp_path / f"{number}.yml").write_text(json.dumps(block), encoding="utf-8")
    site, verify = sorted(tmp_path.glob("*.yml"))
    done = played("-i", "inventories/small", "--list-hosts", str(site))
    assert (done.code, "Give every managed host its firewall" in done.printed) == (0, True), done.line
    # A wrong query ends the role on the controller. What there is nothing of is not kept.
    done = played("-i", "inventories/small", str(verify), "--check", "-e", "verify_query='['")
    assert (done.code, "unreachable=1" in done.line) == (2, False), done.line
    assert "skipping: " in done.printed.partition("TASK [Keep what is not right with the job]")[2]
    assert "is undefined" not in done.line
