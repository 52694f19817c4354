# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The change that awaits confirmation, as one module notes it under /run/hpc-ports for a later one."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import NamedTuple, TypedDict

from ansible_collections.hpc.ports.plugins.module_utils._linux.files import naming

# Raise this number with every change of Pending or LastThings. The two modules may come from different versions of the
# collection, such as those of two controllers.
FORMAT = 2
NOTE = "about.json"


class LastThings(TypedDict):
    """What the module that confirms a change needs to complete it.

    `advice` is the flow that the client lacks, as a sentence, or empty. `cuts` is whether established connections
    that the policy does not allow are cut. `backend` made the change; `runs` is the digest of the state that it loaded.
    `places` are the fields of the staged files (`Places`). `concerns_unit`, `starts` and `ends` are for systemd.
    `leaves` is whether rules of ours in the other backend are to be removed afterwards.
    """

    advice: str
    cuts: bool
    backend: str
    runs: str
    places: dict[str, Sequence[str]]
    concerns_unit: bool
    starts: Sequence[str]
    ends: Sequence[str]
    leaves: bool


class Pending(NamedTuple):
    """A change that awaits confirmation.

    The host undoes it `seconds` after it was armed, at `deadline` (seconds of /proc/uptime). `client` and `client_port`
    are the connection over which the change was made, empty and 0 if there was none. Only the port is 0 if no other
    connection confirms the change (transport `local`).
    """

    token: str
    seconds: int
    deadline: float
    client: str
    client_port: int
    last_things: LastThings

    @property
    def seconds_left(self) -> float:
        """Return how long until the host undoes the change; negative if it is overdue."""
        return self.deadline - uptime()


class FormatError(RuntimeError):
    """Another version of the collection made the change, so this one cannot confirm it; the host has undone it."""

    def __init__(self, got: object) -> None:
        """Take the format that was found."""
        super().__init__(
            f"Invalid format of the change that awaited confirmation: got {got!r}, expected {FORMAT}. Another version "
            "of the collection hpc.ports made the change. The host has undone it. Use the same version on all "
            "controllers, and run again."
        )


def uptime() -> float:
    """Return the seconds since the host booted, as the script that undoes a change reads them.

    In a container with a /proc/uptime of its own (lxcfs), CLOCK_BOOTTIME is still that of the host.
    """
    with open("/proc/uptime", encoding="ascii") as file:
        return float(file.read().split()[0])


def write_note(folder: str, pending: Pending) -> None:
    """Write the note of a change into its folder. Raises OSError."""
    path = os.path.join(folder, NOTE)
    with naming(path), open(path, "w", encoding="utf-8") as file:
        file.write(json.dumps({"format": FORMAT, **pending._asdict()}))


def read_note(folder: str) -> Pending | None:
    """Return the change that is noted in a folder, or None if there is no note. Raises FormatError, OSError."""
    try:
        with open(os.path.join(folder, NOTE), encoding="utf-8") as file:
            note = json.load(file)
    except FileNotFoundError:
        return None
    number = note.pop("format", None)
    if number != FORMAT:
        raise FormatError(number)
    return Pending(**note)
