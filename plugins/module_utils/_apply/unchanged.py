# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep a record of a run that had nothing to change, for the quick check (`_model/quick_check.py`)."""

from __future__ import annotations

import glob
import os
import sys
from contextlib import suppress
from typing import Any, NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._linux.command import CommandError, Run, run
from ansible_collections.hpc.ports.plugins.module_utils._linux.netlink import NetlinkError
from ansible_collections.hpc.ports.plugins.module_utils._linux.nft_listings import tool_paths
from ansible_collections.hpc.ports.plugins.module_utils._linux.rule_loaders import paths_read
from ansible_collections.hpc.ports.plugins.module_utils._model.names import PREFIX, SETTINGS
from ansible_collections.hpc.ports.plugins.module_utils._model.quick_check import RECORD, digest_script, record_lines
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.other_tables import are_small

_PYTHONS = ("/usr/bin/python3", "/usr/libexec/platform-python")
# A host without any of these is not ours yet.
_OURS = (SETTINGS, f"/etc/firewalld/*/{PREFIX}*")


class Beginning(NamedTuple):
    """The host before the module reads it: its digest, and the files that the digest includes by path."""

    digest: str
    paths: tuple[str, ...]


def beginning(key: str, program: Run = run) -> Beginning | None:
    """Return the digest of this host; None if this run will change it, or if listing the rules of others takes long.

    Two kinds of runs will: the host has nothing of ours, or its record has another key. Such a record is removed, so
    that the next run keeps a new one even if this one has changed nothing.
    """
    try:
        if not _is_recorded(key) or not any(map(glob.glob, _OURS)) or not are_small():
            return None
    except (NetlinkError, OSError):
        return None
    paths = _paths()
    digest = _digest(paths, program)
    return Beginning(digest, paths) if digest else None


def _is_recorded(key: str) -> bool:
    """Return whether the record of this host has this key, or there is none; remove one of another key."""
    if not os.path.isfile(RECORD):
        return True
    with open(RECORD, encoding="utf-8", errors="replace") as file:
        if file.readline().rstrip("\n") == key:
            return True
    os.unlink(RECORD)
    return False


def keep(key: str, begun: Beginning, result: dict[str, Any], program: Run = run) -> None:
    """Write the record, unless the host has changed since the beginning. Raises no error."""
    if _paths() != begun.paths or _digest(begun.paths, program) != begun.digest:
        return
    new = f"{RECORD}.{os.getpid()}"
    with suppress(OSError):
        with open(new, "w", encoding="utf-8", opener=_private) as file:
            file.write(record_lines(key, begun.digest, result, begun.paths))
        os.rename(new, RECORD)
    # Remove a file that could not be written completely, for example on a full disk.
    with suppress(OSError):
        os.unlink(new)


def _digest(paths: tuple[str, ...], program: Run) -> str:
    if any("\n" in path for path in paths):
        return ""
    try:
        return program(["/bin/sh", "-c", digest_script()], record_lines("", "", {}, paths)).rstrip("\n")
    except CommandError:
        return ""


def _paths() -> tuple[str, ...]:
    """Return the files outside the folders of the script: tools, and what units that load rules name."""
    return tuple(sorted({*paths_read(), *filter(None, tool_paths()), *_PYTHONS, sys.executable}))


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
