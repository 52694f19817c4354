# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The links in all Markdown files work, tables match the code, and the inventories for a small cluster pass lint."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.diagnosis import CODES
from ansible_collections.hpc.ports.tests.support.plays import ROOT, played

# Folders that hold no documentation of this repository: caches, logs, and the link to the repository itself.
IGNORED = {"output", "node_modules"}
# Of pages and of pictures.
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)
# Pages that the tarball has link to files that it lacks by the address of the repository.
REPOSITORY = re.compile(r"^https://github\.com/hpc-ports/hpc\.ports/(?:blob|tree)/main/")


def markdown_files() -> list[Path]:
    return sorted(
        path
        for path in ROOT.rglob("*.md")
        if not any(part.startswith(".") or part in IGNORED for part in path.relative_to(ROOT).parts)
    )


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a page."""
    headings = HEADING.findall(FENCE.sub("", page.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def broken_links(page: Path) -> list[str]:
    """Return the links of a page to files or anchors of the repository that do not exist."""
    broken = []
    for link in LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        path, _hash, anchor = link.partition("#")
        if own := REPOSITORY.match(path):
            target = ROOT / path[own.end() :]
        elif "://" in link or link.startswith("mailto:"):
            continue
        else:
            target = (page.parent / path).resolve() if path else page
        target = target / "README.md" if anchor and target.is_dir() else target
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    return broken


@pytest.mark.parametrize("page", markdown_files(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_and_headings_that_exist(page: Path) -> None:
    assert broken_links(page) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    here = "https://github.com/hpc-ports/hpc.ports"
    page.write_text(
        "# A heading, `quoted`\n[good](#a-heading-quoted) [good](page.md) [bad](#other) [bad](other.md)\n"
        f"![bad](no.svg) [good]({here}/issues)\n"
        f"[good]({here}/tree/main/docs#requirements) [bad]({here}/blob/main/docs/other.md)\n"
        "```\n[code](other.md)\n```\n",
        encoding="utf-8",
    )
    assert broken_links(page) == ["#other", "other.md", "no.svg", f"{here}/blob/main/docs/other.md"]


def test_the_manual_lists_all_its_pages() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    docs = ROOT / "docs"
    pages = {str(path.relative_to(docs)) for path in [*docs.glob("*.md"), *docs.glob("guides/*.md")]} - {"README.md"}
    assert sorted(name for name in pages if f"]({name})" not in index) == []


def test_the_readme_names_each_guide() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    guides = [f"](docs/guides/{path.name})" for path in (ROOT / "docs" / "guides").glob("*.md")]
    assert [guide for guide in guides if guide not in readme] == []


def test_the_manual_lists_the_codes_of_diagnoses_with_their_meanings() -> None:
    page = (ROOT / "docs" / "verifying.md").read_text(encoding="utf-8")
    table = page.partition("| code | meaning | message |")[2].partition("\n\n")[0]
    assert dict(re.findall(r"^\| `(\w+)` \| (.+?) \| ", table, re.MULTILINE)) == CODES


OPEN = [
    {"source": "stranger", "target": "n1", "port": 22, "services": ["ssh"], "from_outside": True},
    {"source": "stranger", "target": "n1", "port": 22, "services": ["ssh"], "from_outside": True},
    {"source": "n2", "target": "n1", "port": 22, "services": ["ssh"], "from_outside": False},
    {"source": "ctl", "target": "db", "port": 3306, "services": ["slurm_sql"], "from_outside": False},
]
NOT_RIGHT = [{"diagnosis": None}, {"diagnosis": {"code": "other_table", "text": "ufw drops it"}}]
FACT = {"open": OPEN, "not_right": NOT_RIGHT, "summary": {"not_running_policy": ["n2"]}}


@pytest.mark.slow
def test_ansible_alone_answers_the_questions_of_the_manual_to_the_report(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "verifying.md").read_text(encoding="utf-8")
    (example,) = re.findall(r'msg: "{{ (hpc_ports_verify.*) }}"', page)
    table = re.findall(r"^\| .*\? \| `(hpc_ports_verify.*)` \|$", page, re.MULTILINE)
    asked = {str(number): f"{{{{ {text} }}}}" for number, text in enumerate([example, *table])}
    asked = {number: text.replace("\\|", "|") for number, text in asked.items()}
    task = {"name": "Answer", "ansible.builtin.copy": {"dest": str(tmp_path / "answers"), "content": asked}}
    play = {"name": "Ask", "hosts": "localhost", "gather_facts": False, "tasks": [task]}
    (tmp_path / "ask.yml").write_text(json.dumps([{**play, "vars": {"hpc_ports_verify": FACT}}]), encoding="utf-8")
    done = played(str(tmp_path / "ask.yml"))
    assert done.code == 0, done.line
    answers = json.loads((tmp_path / "answers").read_text(encoding="utf-8"))
    # Before ansible-core 2.19, a number is a text here.
    answers["4"] = int(answers["4"])
    assert [*answers.values()] == [["n1"], ["ctl"], ["n2"], ["ufw drops it"], 2]


@pytest.mark.slow
def test_lint_finds_nothing_in_the_small_inventory() -> None:
    done = played("-i", "inventories/small", "playbooks/lint.yml")
    assert (done.code, "No problems found." in done.printed) == (0, True), done.printed + done.errors


@pytest.mark.slow
def test_lint_finds_nothing_in_the_cluster_of_the_readme(tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    hosts, variables = re.findall(r"^```yaml\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    (tmp_path / "group_vars" / "all").mkdir(parents=True)
    (tmp_path / "hosts.yml").write_text(hosts, encoding="utf-8")
    (tmp_path / "group_vars" / "all" / "firewall.yml").write_text(variables, encoding="utf-8")
    done = played("-i", str(tmp_path), "playbooks/lint.yml")
    assert (done.code, "No problems found." in done.printed) == (0, True), done.printed + done.errors
