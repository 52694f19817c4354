# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for a whole run of the tests: whose turn it is, how much is tried, and how slow the machine is.

dev/test prints the three variables first. Without them a test runs as in the default run of today, on an idle machine.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

# The number by which everything that rotates takes its turn, by default the day's; the same number repeats a run.
SEED = int(os.environ.get("HPC_PORTS_SEED") or time.time() // 86400)
# How much is tried, as a factor: a third by default, 3 in the full run. Where it is 1 or more nothing rotates.
EFFORT = float(os.environ.get("HPC_PORTS_EFFORT") or 0.33)
FULL = EFFORT >= 1
# How many times slower than idle the machine was when the run began, at least 1.
SLOWNESS = max(1.0, float(os.environ.get("HPC_PORTS_SLOWNESS") or 1))


def examples(usual: int, least: int = 2) -> int:
    """Return how many examples to try where `usual` are tried at an effort of 1."""
    return max(least, round(usual * EFFORT))


def turn(choices: Sequence[T], shift: int = 0) -> list[T]:
    """Return the choice whose turn it is, as a list; all of them in the full run."""
    return list(choices) if FULL else [choices[(SEED + shift) % len(choices)]]


def scaled(seconds: float) -> int:
    """Return a window or a time-out in whole seconds, longer where the machine is slow."""
    return round(seconds * SLOWNESS + 0.499)
