# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decide on the change that awaits confirmation: keep it, or have the host undo it. See also `armed_revert.py`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ansible_collections.hpc.ports.plugins.module_utils._apply.lock import locked
from ansible_collections.hpc.ports.plugins.module_utils._apply.pending import FormatError, Pending, read_note
from ansible_collections.hpc.ports.plugins.module_utils._linux.command import CommandError, run
from ansible_collections.hpc.ports.plugins.module_utils._linux.systemd import has_systemd
from ansible_collections.hpc.ports.plugins.module_utils._model.names import FOLDER

ARMED = FOLDER + "/armed"
SCRIPT = "revert"
UNDONE = "undone"
_MADE = "made"


@contextmanager
def confirmation(token: str) -> Iterator[Pending | None]:
    """Yield the change with this token while no other process decides on it; None if it no longer awaits confirmation.

    Raises BusyError, CommandError, FormatError, OSError.
    """
    with locked():
        yield current() if armed_token() == token else None


def armed_token() -> str:
    """Return the token of the change that awaits confirmation; empty if there is none."""
    try:
        return os.readlink(ARMED)
    except FileNotFoundError:
        return ""


def current() -> Pending | None:
    """Return the change that awaits confirmation, or None. The caller holds the lock.

    A change that another version of the collection made is undone at once. Raises CommandError, FormatError, OSError.
    """
    try:
        return read_note(ARMED)
    except FormatError:
        _undo(armed_token())
        raise


def folder_of(pending: Pending) -> str:
    """Return the folder with the files of an armed change."""
    return os.path.join(FOLDER, pending.token)


def unit_of(token: str) -> str:
    """Return the unit that undoes the change with this token."""
    return f"hpc-ports-revert-{token}.service"


def script_of(token: str) -> str:
    """Return the path of the script that undoes the change with this token."""
    return os.path.join(FOLDER, token, SCRIPT)


def note_made(pending: Pending) -> None:
    """Note that the change was made and can be confirmed. Raises OSError."""
    with open(os.path.join(folder_of(pending), _MADE), "w", encoding="utf-8"):
        pass


def was_made(pending: Pending) -> bool:
    """Return whether the change was made: the process that armed it may have died before."""
    return os.path.exists(os.path.join(folder_of(pending), _MADE))


def revert(pending: Pending) -> None:
    """Have the host undo the change now. The caller holds the lock. Raises CommandError."""
    _undo(pending.token)


def _undo(token: str) -> None:
    run(["/bin/sh", script_of(token), "locked"])
    if has_systemd():
        # The script that waits would find nothing to undo.
        with suppress(CommandError):
            run(["systemctl", "stop", unit_of(token)])


def disarm(pending: Pending) -> None:
    """Keep the change, as far as it was made: the host no longer undoes it. Raises OSError.

    The script that waits ends by itself, as its folder is gone.
    """
    os.unlink(ARMED)
    shutil.rmtree(folder_of(pending), ignore_errors=True)


def reverted(token: str) -> Pending | None:
    """Return the change with this token if the host has undone it; None if it has not, or if too many followed.

    Raises FormatError, OSError.
    """
    folder = os.path.join(FOLDER, os.path.basename(token))
    return read_note(folder) if was_undone(folder) else None


def was_undone(folder: str) -> bool:
    """Return whether the host has undone the change with this folder."""
    return os.path.islink(os.path.join(folder, UNDONE))
