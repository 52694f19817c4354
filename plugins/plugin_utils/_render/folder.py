# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The folder of rendered files on the controller: compare it with the wanted files, and update it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._linux import files
from ansible_collections.hpc.ports.plugins.module_utils._linux.files import FileContents, Places
from ansible_collections.hpc.ports.plugins.module_utils._model.state import State, changed_objects
from ansible_collections.hpc.ports.plugins.module_utils._model.state_diff import state_diff
from ansible_collections.hpc.ports.plugins.plugin_utils._render.classes import CLASSES, listed_paths


class Work(NamedTuple):
    """The present state and the wanted contents of a folder; `gone` are our files to remove."""

    folder: str
    contents: FileContents
    gone: tuple[str, ...]
    present: State

    @property
    def wanted(self) -> State:
        """Return the wanted state of our files."""
        return files.items_state(self.contents)

    @property
    def changed(self) -> list[str]:
        """Return the paths that differ."""
        return [name.split(" ", 1)[1] for name in changed_objects(self.present, self.wanted)]

    def diff(self) -> dict[str, str]:
        """Return Ansible's `diff`."""
        return state_diff(self.present, self.wanted)

    def do(self) -> None:
        """Write changed files, remove old ones, and folders that are empty then. Raise OSError.

        The list of classes is written last: after an interrupted run, the next one still knows which files are ours.
        """
        changed = {path: self.contents[path] for path in self.changed if path in self.contents}
        class_list = {path: changed.pop(path) for path in [os.path.join(self.folder, CLASSES)] if path in changed}
        _commit(changed, self.gone)
        for path in self.gone:
            _remove_empty(self.folder, os.path.dirname(path))
        _commit(class_list, ())


def work_of(folder: str, contents: FileContents) -> Work:
    """Return the work for these files; `contents` have paths in the folder. Raise OSError or PortFileError."""
    wanted = {os.path.join(folder, path): content for path, content in contents.items()}
    gone = tuple(path for path in _our_paths(folder) if path not in wanted)
    return Work(folder, wanted, gone, files.present_state([*wanted, *gone]))


def _our_paths(folder: str) -> list[str]:
    try:
        with open(os.path.join(folder, CLASSES), encoding="utf-8", errors="replace") as file:
            return [os.path.join(folder, path) for path in listed_paths(file.read())]
    except FileNotFoundError:
        return []


def _commit(contents: FileContents, gone: Iterable[str]) -> None:
    places = Places(tuple(contents), gone=tuple(gone))
    try:
        files.stage(places, contents)
        files.commit(places)
    except BaseException:
        files.discard(places)
        raise


def _remove_empty(top: str, folder: str) -> None:
    with suppress(OSError):
        while len(folder) > len(top):
            os.rmdir(folder)
            folder = os.path.dirname(folder)
