# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All files are written or none, and none over another."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils._draft.new_files import write_new


def tree(folder: Path) -> dict[str, str]:
    paths = folder.rglob("*")
    return {str(path.relative_to(folder)): path.read_text(encoding="utf-8") if path.is_file() else "" for path in paths}


def test_all_files_are_written(tmp_path: Path) -> None:
    files = {tmp_path / "a/b/c/d": "one", tmp_path / "a/e": "two"}
    write_new(files, dry=True)
    assert tree(tmp_path) == {}
    write_new(files)
    assert tree(tmp_path) == {"a": "", "a/b": "", "a/b/c": "", "a/b/c/d": "one", "a/e": "two"}


@pytest.mark.parametrize("dry", [True, False])
def test_a_file_that_is_there_stays(tmp_path: Path, dry: bool) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "file").write_text("old", encoding="utf-8")
    for name in ("link", "file"):
        with pytest.raises(FileExistsError) as raised:
            write_new({tmp_path / "new/a": "1", tmp_path / name: "2"}, dry)
        assert raised.value.filename == str(tmp_path / name)
    assert tree(tmp_path) == {"link": "", "file": "old"}


def test_a_file_with_the_name_of_a_staged_one_stays(tmp_path: Path) -> None:
    (tmp_path / "b.new").write_text("old", encoding="utf-8")
    with pytest.raises(FileExistsError):
        write_new({tmp_path / "a": "1", tmp_path / "b": "2"})
    assert tree(tmp_path) == {"b.new": "old"}


def test_nothing_is_left_of_what_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old", encoding="utf-8")
    for dry in (True, False):
        with pytest.raises(NotADirectoryError) as raised:
            write_new({tmp_path / "new/a": "1", tmp_path / "file/b": "2"}, dry)
        assert raised.value.filename == str(tmp_path / "file/b")
    with pytest.raises(UnicodeEncodeError):
        write_new({tmp_path / "new/a": "1", tmp_path / "new/deep/b": "\ud800"})
    assert tree(tmp_path) == {"file": "old"}


def test_nothing_is_left_if_the_second_file_gets_in_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rename = Path.rename

    def broken(self: Path, target: Path) -> Path:
        if target.name == "b":
            raise OSError(28, "No space left on device", str(self))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", broken)
    with pytest.raises(OSError, match="No space left"):
        write_new({tmp_path / "x/a": "1", tmp_path / "y/b": "2"})
    assert tree(tmp_path) == {}
