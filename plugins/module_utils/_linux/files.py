# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that a change replaces only once it is confirmed: staged beside their final places, then renamed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._model.state import State


class FileContent(NamedTuple):
    """The wanted content of a path: a regular file with this text, or with `target` a symbolic link."""

    text: str = ""
    target: str = ""
    mode: int = 0o644


FileContents = dict[str, FileContent]


class Places(NamedTuple):
    """The paths of the files of a change, in the order in which they are put in place; `gone` are removed afterwards.

    `folders` are folders that we create, and remove once they are empty.
    """

    paths: tuple[str, ...]
    gone: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()

    @property
    def staged(self) -> tuple[str, ...]:
        """Return the paths of the staged files."""
        return tuple(map(staged_path, self.paths))


def staged_path(path: str) -> str:
    """Return the path of a staged file: neither systemd nor firewalld reads files of such a name."""
    return "{}/.{}.new".format(*os.path.split(path))


def items_state(contents: FileContents) -> State:
    """Return the files as objects of a State."""
    return {_name(path, content): _lines(content) for path, content in contents.items()}


def present_state(paths: Iterable[str]) -> State:
    """Return the files that exist on the host, as objects of a State. Raises OSError: a file cannot be read."""
    return items_state({path: content for path in paths for content in _present(path)})


def _present(path: str) -> list[FileContent]:
    try:
        if os.path.islink(path):
            return [FileContent(target=os.readlink(path))]
        with open(path, encoding="utf-8", errors="backslashreplace", newline="") as file:
            return [FileContent(file.read(), mode=os.fstat(file.fileno()).st_mode & 0o7777)]
    except FileNotFoundError:
        return []


def _name(path: str, content: FileContent) -> str:
    return "{} {}".format("link" if content.target else "file", path)


def _lines(content: FileContent) -> tuple[str, ...]:
    if content.target:
        return ("-> " + content.target,)
    return (f"mode {content.mode:04o}", *content.text.split("\n"))


def stage(places: Places, contents: FileContents) -> None:
    """Write every file beside its final place: a full disk or missing rights make it fail here. Raises OSError."""
    for path in places.paths:
        with naming(path):
            unlink(staged_path(path))
            if path in contents:
                write(staged_path(path), contents[path])


@contextmanager
def naming(path: str) -> Iterator[None]:
    """Put this path into an OSError of the block: after a write it has none, after a link it has the target."""
    try:
        yield
    except OSError as exc:
        raise OSError(exc.errno, exc.strerror, path) from exc


def write(path: str, content: FileContent, is_lasting: bool = True) -> None:
    """Write a file or link that does not exist yet, and create its folder. Raises OSError.

    With `is_lasting`, the text of the file is on the disk then.
    """
    with naming(path):
        os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
        if content.target:
            os.symlink(content.target, path)
        else:
            _write_text(path, content, is_lasting)


def _write_text(path: str, content: FileContent, is_lasting: bool) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, content.mode)
    with open(handle, "w", encoding="utf-8") as file:
        os.fchmod(handle, content.mode)
        file.write(content.text)
        file.flush()
        if is_lasting:
            os.fsync(handle)


def commit(places: Places) -> None:
    """Rename the staged files to their final places, remove the files in `gone`, and sync. Raises OSError."""
    for path in places.paths:
        with suppress(FileNotFoundError), naming(path):
            os.replace(staged_path(path), path)
    for path in places.gone:
        with naming(path):
            unlink(path)
    sync((*places.paths, *places.gone, *places.folders))


def sync(paths: Iterable[str]) -> None:
    """Write renames and removals to disk, so that they survive a power loss. Raises OSError."""
    for folder in sorted({path if os.path.isdir(path) else os.path.dirname(path) for path in paths}):
        if os.path.isdir(folder):
            _sync(folder)


def _sync(folder: str) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        with naming(folder):
            os.fsync(handle)
    finally:
        os.close(handle)


def discard(places: Places) -> None:
    """Remove the staged files; ignore failures, as the error that led here is more important."""
    with suppress(OSError):
        for path in places.staged:
            unlink(path)
        _remove_empty(places.folders)


def remove(places: Places) -> None:
    """Remove the files in reverse order, and the folders that are empty then. Raises OSError."""
    for path in (*places.gone, *reversed(places.paths), *places.staged):
        unlink(path)
    _remove_empty(places.folders)


def _remove_empty(folders: Iterable[str]) -> None:
    for folder in folders:
        if os.path.isdir(folder) and not os.listdir(folder):
            os.rmdir(folder)


def unlink(path: str) -> None:
    """Remove a file if it exists. Raises OSError."""
    with suppress(FileNotFoundError):
        os.unlink(path)
