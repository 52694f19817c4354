# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guides: lint finds nothing in their inventories, connections pass as they say, and their commands run."""

from __future__ import annotations

import re
import shlex
from datetime import date
from pathlib import Path

import pytest
import yaml
from ansible_collections.hpc.ports.plugins.plugin_utils._lint.rules import findings
from ansible_collections.hpc.ports.tests.support.guides import GUIDES, Example, examples
from ansible_collections.hpc.ports.tests.support.inventories import Judge, plan_of
from ansible_collections.hpc.ports.tests.support.plays import ROOT, played

EXAMPLES = list(examples())
PLAYBOOKS = {path.stem for path in (ROOT / "playbooks").glob("*.yml")}
VARIABLES = set(
    re.findall(
        r"`(\w+)`",
        "".join(
            path.read_text(encoding="utf-8") for path in [ROOT / "playbooks/README.md", *ROOT.glob("roles/*/README.md")]
        ),
    )
)
TODAY = date(2026, 11, 28)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_an_inventory_passes_lint_and_does_what_the_guide_says(example: Example, tmp_path: Path) -> None:
    example.write(tmp_path)
    plan = plan_of(str(tmp_path))
    found = [finding for finding in findings(plan, TODAY) if finding.severity not in ("note", "accepted")]
    assert found == []
    judge = Judge(plan)
    wrong = [
        f"{connection}: {passes}" for passes, connection in example.claims if judge.verdicts(connection) != {passes}
    ]
    assert wrong == []


def test_most_inventories_have_claims() -> None:
    claims = [passes for example in EXAMPLES for passes, _connection in example.claims]
    assert min(claims.count(True), claims.count(False)) >= 15


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.stem)
def test_each_block_with_variables_names_its_file(path: Path) -> None:
    blocks = re.findall(r"^```yaml\n(.*?)^```", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert [block for block in blocks if not re.match(r"# [\w./]+\.yml\n", block)] == []


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.stem)
def test_each_command_names_playbooks_and_variables_that_there_are(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert set(re.findall(r"\bhpc\.ports\.(\w+)", text)) <= PLAYBOOKS
    assert set(re.findall(r" -e (\w+)=", text)) <= VARIABLES


def run(example: Example, folder: Path, command: str) -> tuple[int, str]:
    """Run a command of a guide on its inventory."""
    example.write(folder / "mycluster")
    words = [str(folder / word) if word == "mycluster" else word for word in shlex.split(command)[1:]]
    done = played(*words)
    return done.code, done.printed + done.errors


@pytest.mark.slow
@pytest.mark.parametrize(
    "example, command, lines",
    [(example, *shown) for example in EXAMPLES for shown in example.commands if shown[1]],
    ids=lambda value: value.name if isinstance(value, Example) else None,
)
def test_a_command_prints_what_the_guide_shows(
    example: Example, command: str, lines: list[str], tmp_path: Path
) -> None:
    code, output = run(example, tmp_path, command)
    assert (code, [line for line in lines if line not in output]) == (0, []), output


@pytest.mark.slow
def test_init_writes_the_hosts_of_the_first_cluster(tmp_path: Path) -> None:
    [example] = [example for example in EXAMPLES if example.name.startswith("first-cluster")]
    [(command, _lines)] = [shown for shown in example.commands if "hpc.ports.init" in shown[0]]
    code, output = run(example, tmp_path, f"{command} -e init_folder={tmp_path / 'new'}")
    assert code == 0, output
    written = yaml.safe_load((tmp_path / "new" / "hosts.yml").read_text(encoding="utf-8"))
    assert written == dict(example.files)["hosts.yml"]


def test_each_message_of_the_guide_about_failures_is_one_of_the_collection() -> None:
    page = (ROOT / "docs" / "guides" / "refused-or-undone.md").read_text(encoding="utf-8")
    messages = re.findall(r"^\| `(.+?)`", page, re.MULTILINE)
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "plugins").rglob("*.py"))
    # Up to what is filled in.
    beginnings = [re.split(r"…|\d", message)[0].strip() for message in messages]
    assert len(beginnings) >= 12
    assert [text for text in beginnings if text not in code] == []
