# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/molecule.md as a user does it: the built tarball, the copied scenario, and an inventory in a repository.

Each scenario has containers in network namespaces that no packet leaves.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.hpc.ports.tests.support.run import scaled

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(sys.executable).parent
NAME = "hpc-ports-user"
# Example inventories with what is special about them.
SITES = {
    "small": "Ansible connects from a free address",
    "head-node": "Ansible runs on a host of the inventory",
    "isolated": "restricted egress, and networks apart",
    "quirky": "IPv6, another port of ssh, names that no container can have, and settings of ssh that lead elsewhere",
}
# Inventories of these tests alone.
OWN = Path(__file__).parent


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a program as in a shell that knows nothing of the tests."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "MOLECULE_"))}
    environment |= {
        "ANSIBLE_COLLECTIONS_PATH": str(folder.parent / "collections"),
        "MOLECULE_EPHEMERAL_DIRECTORY": str(folder / "state"),  # else that of each earlier folder of this name
        "PATH": f"{PROGRAMS}:{environment['PATH']}",
        "ANSIBLE_NOCOLOR": "1",
        "NO_COLOR": "1",
    }
    return subprocess.run(
        words, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=scaled(600)
    )


@pytest.fixture(name="installed", scope="module")
def fixture_installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("user")
    done = run(folder, "ansible-galaxy", "collection", "build", str(ROOT))
    assert done.returncode == 0, done.stderr
    (tarball,) = folder.glob("hpc-ports-*.tar.gz")
    done = run(folder, "ansible-galaxy", "collection", "install", str(tarball), "-p", str(folder / "collections"))
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(name="repository")
def fixture_repository(installed: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """Return a folder with an example inventory and the scenario; remove its containers at the end."""
    folder = installed / request.param
    inventories = OWN if (OWN / request.param).is_dir() else ROOT / "inventories"
    shutil.copytree(inventories / request.param, folder / "inventory")
    role = installed / "collections" / "ansible_collections" / "hpc" / "ports" / "roles" / "molecule"
    shutil.copytree(role / "files" / "scenario", folder / "molecule" / "default")
    for step in ("create", "destroy"):
        path = folder / "molecule" / "default" / f"{step}.yml"
        path.write_text(path.read_text(encoding="utf-8") + f"  vars: {{molecule_name: {NAME}}}\n", encoding="utf-8")
    yield folder
    done = run(folder, "molecule", "destroy")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("repository", SITES, indirect=True)
def test_the_copied_scenario_gives_each_class_its_firewall_and_verifies_it(repository: Path) -> None:
    done = run(repository, "molecule", "test", "--destroy", "never")
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    counts = re.search(r"(\d+) connections from (\d+) hosts to (\d+): (\d+) right, 0 wrong, 0 unknown", output)
    assert counts and counts[1] == counts[4] and int(counts[1]) > 500, output
    assert "From outside: " in output and "NO HOST outside" not in output, output
    if repository.name == "small":
        assert "newcomer" not in _reached_with_a_new_host(repository)
        _break(f"{NAME}.head", "6817")
        done = run(repository, "molecule", "verify")
        output = done.stdout + done.stderr
        assert done.returncode != 0 and "6817/tcp" in output and "table inet other" in output, output


def _reached_with_a_new_host(repository: Path) -> str:
    """Return the hosts that the scenario reaches while the inventory has one more."""
    more = repository / "inventory" / "more.yml"
    more.write_text("slurm_compute: {hosts: {newcomer: }}\n", encoding="utf-8")
    (limit,) = re.findall("(--limit=.*)", (repository / "molecule/default/molecule.yml").read_text(encoding="utf-8"))
    done = run(repository, "ansible", "-i", "inventory", "-i", "state/hosts", "all", limit, "--list-hosts")
    assert done.returncode == 0 and "head" in done.stdout, done.stdout + done.stderr
    more.unlink()
    return done.stdout


def _break(namespace: str, port: str) -> None:
    """Add a rule of another program, so that the scenario has something to find."""
    rules = f"table inet other {{ chain in {{ type filter hook input priority 9; tcp dport {port} drop; }}; }}"
    subprocess.run(("ip", "netns", "exec", namespace, "nft", rules), check=True)


def test_nothing_is_left() -> None:
    assert NAME not in subprocess.run(("ip", "netns"), capture_output=True, text=True, check=True).stdout
