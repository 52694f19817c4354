# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the files of an earlier state are; the action plugin's tests read them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.earlier_state import earlier_state
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError


def git(folder: Path, *arguments: str) -> None:
    name = ("-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *name, *arguments], cwd=folder, check=True, capture_output=True)


def written(path: Path, text: str = "now") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(name="site")
def _site(tmp_path: Path) -> Path:
    """Return a repository with an inventory and playbooks, at the tag v1 and changed."""
    site = tmp_path / "site"
    for name in ("inventories/big/hosts.yml", "playbooks/group_vars/all.yml"):
        written(site / name, "then")
    git(site, "init", "-q")
    git(site, "add", ".")
    git(site, "commit", "-qm", "first")
    git(site, "tag", "v1")
    written(site / "inventories/big/hosts.yml")
    return site


def test_the_files_of_a_ref_are_in_a_temporary_folder_with_those_beside_the_playbook(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", "/nonexistent")  # as in a hook
    other = written(tmp_path / "other.yml")
    with earlier_state("v1", [str(site / "inventories/big"), str(other), "a,b"], str(tmp_path)) as state:
        assert Path(state.sources[0], "hosts.yml").read_text(encoding="utf-8") == "then"
        assert (state.sources[1:], state.unchanged) == ([str(other), "a,b"], [str(other)])
        assert Path(state.counterpart(str(site / "playbooks")), "group_vars/all.yml").exists()
        assert state.counterpart(str(site / "playbooks")) != str(site / "playbooks")
        assert state.counterpart("/usr") == "/usr"
        assert state.title.startswith("v1 (")
    assert not state.root.exists()


def test_a_folder_is_a_copy_of_the_inventory_or_of_a_folder_that_contains_it(site: Path, tmp_path: Path) -> None:
    sources = {True: str(site / "inventories/big"), False: str(site / "inventories/big/hosts.yml")}
    written(tmp_path / "whole/hosts.yml")  # the longer path counts
    for copy, path, is_folder in (
        ("whole", "inventories/big/hosts.yml", False),
        ("whole", "inventories/big/hosts.yml", True),
        ("part", "big/hosts.yml", True),
        ("own", "hosts.yml", True),
        ("own", "hosts.yml", False),
    ):
        there = written(tmp_path / copy / path)
        with earlier_state(str(tmp_path / copy), [sources[is_folder]], str(tmp_path)) as state:
            assert state.sources == [str(there.parent if is_folder else there)]
    with earlier_state(str(tmp_path / "whole"), [sources[True]], str(tmp_path)) as state:
        (tmp_path / "whole" / "playbooks").mkdir()
        assert state.counterpart(str(site / "playbooks")) == str(tmp_path / "whole" / "playbooks")


def test_the_present_folder_itself_is_a_state(site: Path, tmp_path: Path) -> None:
    source = str(site / "inventories/big")
    with earlier_state(source, [source], str(tmp_path)) as state:
        assert (state.sources, state.unchanged) == ([source], [])


def test_a_name_of_a_ref_and_of_a_folder_is_refused(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(site)
    (site / "v1").mkdir()
    with (
        pytest.raises(PortFileError, match=r"It is both: write \./v1 for the folder, or heads/v1 for a branch\."),
        earlier_state("v1", ["inventories/big"], str(site)),
    ):
        pass


def test_an_inventory_in_no_repository_needs_a_folder(tmp_path: Path) -> None:
    source = written(tmp_path / "hosts.yml")
    with (
        pytest.raises(PortFileError, match="got 'main', expected an existing folder. The inventory .* is in no git"),
        earlier_state("main", [str(source)], str(tmp_path)),
    ):
        pass


def test_an_inventory_of_names_alone_has_no_earlier_state(tmp_path: Path) -> None:
    with (
        pytest.raises(PortFileError, match="Invalid inventory: got .* expected a file or a folder"),
        earlier_state("main", ["a,b"], str(tmp_path)),
    ):
        pass
