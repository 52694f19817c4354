# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The folder with the rendered files: what a run writes, keeps and removes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._linux.files import FileContent, FileContents
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError
from ansible_collections.hpc.ports.plugins.plugin_utils._render.classes import Rendered, all_files
from ansible_collections.hpc.ports.plugins.plugin_utils._render.folder import Work, work_of

RULESET = "nftables/etc/hpc-ports/ruleset.nft"
LINK = "nftables/etc/systemd/link"


def items_of(**classes: FileContents) -> FileContents:
    return all_files(Rendered(name, (), "", (), (), items, {}) for name, items in classes.items())


ONE = items_of(
    compute={RULESET: FileContent("a\n", mode=0o600), LINK: FileContent(target="/etc/unit")},
    head={RULESET: FileContent("b\n")},
)
TWO = items_of(compute={RULESET: FileContent("a\nc\n", mode=0o600)})


def tree(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): os.readlink(path) if path.is_symlink() else path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def done(folder: Path, items: FileContents) -> Work:
    work = work_of(str(folder), items)
    work.do()
    return work


def test_the_folder_becomes_what_is_wanted_and_then_nothing_changes(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "rulesets"
    first = work_of(str(folder), ONE)
    assert first.changed == sorted(f"{folder}/{path}" for path in ONE if path != f"compute/{LINK}") + [
        f"{folder}/compute/{LINK}"
    ]
    assert not folder.exists()
    first.do()
    assert tree(folder) == {path: item.target or item.text for path, item in ONE.items()}
    assert (folder / "compute" / RULESET).stat().st_mode & 0o777 == 0o600
    before = {path: path.lstat().st_mtime_ns for path in folder.rglob("*")}
    second = done(folder, ONE)
    assert (second.changed, second.gone, second.diff()) == ([], (), {"before": "", "after": ""})
    assert {path: path.lstat().st_mtime_ns for path in folder.rglob("*")} == before


def test_what_no_class_has_any_more_is_removed_and_nothing_else(tmp_path: Path) -> None:
    done(tmp_path, ONE)
    (tmp_path / "head" / "notes").write_text("mine", encoding="utf-8")
    (tmp_path / "other").mkdir()
    work = work_of(str(tmp_path), TWO)
    assert work.gone == (f"{tmp_path}/compute/{LINK}", f"{tmp_path}/head/{RULESET}")
    assert "-> /etc/unit" in work.diff()["before"] and "    c\n" in work.diff()["after"]
    work.do()
    assert tree(tmp_path) == {"head/notes": "mine", **{path: item.text for path, item in TWO.items()}}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["classes.json", "compute", "head", "other"]
    assert not (tmp_path / "compute/nftables/etc/systemd").exists() and not (tmp_path / "head/nftables").exists()


def test_a_file_or_a_mode_changed_by_hand_is_put_back(tmp_path: Path) -> None:
    done(tmp_path, ONE)
    path = tmp_path / "compute" / RULESET
    path.chmod(0o644)
    assert work_of(str(tmp_path), ONE).changed == [str(path)]
    path.unlink()
    path.symlink_to("/etc/passwd")
    done(tmp_path, ONE)
    assert not work_of(str(tmp_path), ONE).changed and not path.is_symlink()


def test_a_run_that_ended_half_way_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done(tmp_path, ONE)
    before = (tmp_path / "classes.json").read_text(encoding="utf-8")
    (tmp_path / "head" / RULESET).unlink()
    (tmp_path / "head" / RULESET).mkdir()  # cannot be unlinked
    with pytest.raises(OSError):
        done(tmp_path, TWO)
    assert (tmp_path / "classes.json").read_text(encoding="utf-8") == before
    (tmp_path / "head" / RULESET).rmdir()
    done(tmp_path, TWO)
    assert tree(tmp_path) == {path: item.text for path, item in TWO.items()}


def test_a_list_of_somebody_else_stops_all(tmp_path: Path) -> None:
    (tmp_path / "classes.json").write_text(json.dumps({"classes": {"a": {"files": ["b"]}}}), encoding="utf-8")
    with pytest.raises(PortFileError, match="^Invalid folder: got a classes.json in it"):
        work_of(str(tmp_path), ONE)
    assert [path.name for path in tmp_path.iterdir()] == ["classes.json"]
