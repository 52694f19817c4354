# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The CPU time of commands, as a ratio to a reference in the same run: a busy machine makes both dearer."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple


class Cost(NamedTuple):
    """The CPU seconds of a command with all that it started, and what it printed."""

    seconds: float
    output: str


def cost_of(*command: str, folder: Path, environment: Mapping[str, str]) -> Cost:
    """Return what a command costs; it must succeed."""
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        _pid, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        printed = output.read()
    assert process.returncode == 0, printed
    return Cost(used.ru_utime + used.ru_stime, printed)


def ratio(measured: Callable[[], float], reference: Callable[[], float], bound: float, rounds: int = 3) -> float:
    """Return how many times the reference something costs.

    CPU time has noise, which only adds: both are measured again, by turns, while the least of each is over the bound.
    """
    references, costs = [reference()], [measured()]
    while min(costs) > bound * min(references) and len(costs) < rounds:
        references.append(reference())
        costs.append(measured())
    print(f"CPU seconds: {costs} next to {references}")
    return min(costs) / min(references)
