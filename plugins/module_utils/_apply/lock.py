# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock of this host: only the process that holds it arms, confirms or undoes a change."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ansible_collections.hpc.ports.plugins.module_utils._model.names import FOLDER

_LOCK = FOLDER + "/lock"
# Longer than any change holds the lock, seconds.
PATIENCE = 60.0
_POLL = 0.1  # seconds


class BusyError(RuntimeError):
    """Another process has held the lock for longer than a change takes."""


@contextmanager
def locked() -> Iterator[int]:
    """Hold the lock; yield its file descriptor. Raises BusyError, OSError."""
    os.makedirs(FOLDER, mode=0o700, exist_ok=True)
    handle = os.open(_LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _lock(handle)
        yield handle
    finally:
        os.close(handle)


def pause(handle: int) -> None:
    """Release the lock for a moment, in which other processes can confirm or undo. Raises BusyError, OSError."""
    fcntl.flock(handle, fcntl.LOCK_UN)
    time.sleep(_POLL)
    _lock(handle)


def _lock(handle: int) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            if exc.errno not in (errno.EAGAIN, errno.EACCES):
                raise
        if time.monotonic() > end:
            raise BusyError(
                f"Another process has held {_LOCK} for {PATIENCE:.0f} s: a run that changes this host, or the host "
                f"that undoes a change. Nothing was changed. See which process holds it (fuser {_LOCK}), and run again."
            )
        time.sleep(_POLL)
