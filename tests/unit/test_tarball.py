# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tarball that is published has what a site runs and reads, and works without a clone."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path, PurePosixPath

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(sys.executable).parent
# Of the repository; and what ansible-galaxy adds.
FOLDERS = {"changelogs", "docs", "inventories", "meta", "playbooks", "plugins", "roles"}
FILES = {"CHANGELOG.md", "CODE_OF_CONDUCT.md", "COPYING", "README.md", "SECURITY.md"}
FILES |= {".ansible-lint", "execution-environment.yml", "requirements.txt"}
MADE = {"FILES.json", "MANIFEST.json"}
# The folders that a collection may use: all else is to read.
RUN = {"meta", "playbooks", "plugins", "roles"}
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
# Commands and folders of the repository, which whoever installs the tarball does not have.
OF_DEVELOPERS = re.compile(r"(?<![\w/-])(?:dev/(?:lab|test|setup|mutations)|tests/\w+|benchmarks/\w+|extensions/\w+)")


def run(*words: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a program of Ansible as in a shell that knows nothing of the tests."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "PYTHON"))}
    environment |= {"ANSIBLE_NOCOLOR": "1", **variables}
    program = [str(PROGRAMS / words[0]), *words[1:]]
    return subprocess.run(program, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def galaxy(*words: str, cwd: Path) -> str:
    done = run("ansible-galaxy", "collection", *words, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(name="tarball", scope="module")
def fixture_tarball(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tarball")
    galaxy("build", str(ROOT), cwd=folder)
    (path,) = folder.glob("hpc-ports-*.tar.gz")
    return path


@pytest.fixture(name="unpacked", scope="module")
def fixture_unpacked(tarball: Path) -> Path:
    folder = tarball.parent / "unpacked"
    with tarfile.open(tarball) as archive:
        archive.extractall(folder, filter="data")
    return folder


def files_of(folder: Path) -> set[str]:
    return {str(PurePosixPath(path.relative_to(folder))) for path in folder.rglob("*") if path.is_file()}


def repository_files() -> set[str]:
    words = ("git", "ls-files", "--cached", "--others", "--exclude-standard")
    return set(subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines())


def test_the_tarball_has_what_a_site_runs_and_reads(unpacked: Path) -> None:
    packed = files_of(unpacked) - MADE
    assert {name.partition("/")[0] for name in packed} == FOLDERS | FILES
    assert packed - repository_files() == set()
    whole = {name for name in repository_files() if name.partition("/")[0] in FOLDERS - {"changelogs"}}
    # Says where the code is.
    assert whole - packed == {"plugins/README.md"}
    assert {name for name in packed if name.startswith("changelogs/")} == {"changelogs/changelog.yaml"}


def test_galaxy_shows_where_the_project_is() -> None:
    settings = yaml.safe_load((ROOT / "galaxy.yml").read_text(encoding="utf-8"))
    address = settings["repository"]
    assert settings["homepage"] == address
    assert settings["issues"] == f"{address}/issues"
    assert settings["documentation"] == f"{address}/blob/main/docs/README.md"


def test_pages_of_the_tarball_link_to_its_files_or_to_the_web(unpacked: Path) -> None:
    dead = [
        f"{page.relative_to(unpacked)}: {link}"
        for page in unpacked.rglob("*.md")
        for link in LINK.findall(page.read_text(encoding="utf-8"))
        if "://" not in link and not (page.parent / link.partition("#")[0]).resolve().exists()
    ]
    assert dead == []


def test_pages_of_the_tarball_name_nothing_that_only_the_repository_has(unpacked: Path) -> None:
    named = {
        str(page.relative_to(unpacked)): sorted(set(found))
        for page in unpacked.rglob("*.md")
        if (found := OF_DEVELOPERS.findall(re.sub(r"https?://[^\s)]+", "", page.read_text(encoding="utf-8"))))
    }
    assert named == {}


@pytest.fixture(name="installed", scope="module")
def fixture_installed(tarball: Path) -> Path:
    """Install the tarball as docs/install.md says for a clone; leave only what a collection may use."""
    collections = tarball.parent / "collections"
    inside = galaxy("install", str(tarball), "-p", str(collections), cwd=ROOT)
    assert "Nothing to do." in inside
    galaxy("install", "--force", str(tarball), "-p", str(collections), cwd=ROOT)
    folder = collections / "ansible_collections" / "hpc" / "ports"
    shutil.copytree(folder / "inventories", tarball.parent / "inventories")
    for path in folder.iterdir():
        if path.is_dir() and path.name not in RUN:
            shutil.rmtree(path)
        elif path.is_file() and path.name not in MADE:
            path.unlink()
    return tarball.parent


@pytest.mark.slow
@pytest.mark.parametrize(
    ("playbook", "text"), [("lint", "No problems found."), ("plan", "hosts get a firewall"), ("matrix", "slurmctld")]
)
def test_an_installed_collection_works_with_its_four_folders(installed: Path, playbook: str, text: str) -> None:
    done = run(
        "ansible-playbook",
        *("-i", "inventories/small", f"hpc.ports.{playbook}", "-v"),
        cwd=installed,
        ANSIBLE_COLLECTIONS_PATH=str(installed / "collections"),
        ANSIBLE_COLLECTIONS_SCAN_SYS_PATH="false",
    )
    assert (done.returncode, text in done.stdout) == (0, True), done.stdout + done.stderr
