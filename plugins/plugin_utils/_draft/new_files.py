# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write new files: all of them or none, and never over a file that is there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from errno import EEXIST
from pathlib import Path

_ENDING = ".new"


def write_new(files: Mapping[Path, str], dry: bool = False) -> None:
    """Write the files, or, if `dry`, only look whether they are there. Raises OSError with the name of a file."""
    for path in files:
        with suppress(FileNotFoundError):
            path.lstat()
            raise FileExistsError(EEXIST, os.strerror(EEXIST), str(path))
    if dry:
        return
    with ExitStack() as undo:
        for path, text in files.items():
            _make_folder(path.parent, undo)
            staged = path.with_name(path.name + _ENDING)
            with staged.open("x", encoding="utf-8") as file:
                undo.callback(_remove, staged)
                file.write(text)
        for path in files:
            undo.callback(_remove, path)
            path.with_name(path.name + _ENDING).rename(path)
        undo.pop_all()


def _make_folder(folder: Path, undo: ExitStack) -> None:
    if not folder.exists():
        _make_folder(folder.parent, undo)
        folder.mkdir()
        undo.callback(folder.rmdir)


def _remove(path: Path) -> None:
    with suppress(FileNotFoundError):
        path.unlink()
