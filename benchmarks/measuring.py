# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the benchmarks share: the cost of a command, and tables that say when, on which load and how often."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import NamedTuple

from ansible_collections.hpc.ports.tests.support.cpu import cost_of

ROOT = Path(__file__).resolve().parents[1]


class Cost(NamedTuple):
    """Seconds by the clock, and of CPU."""

    wall: float
    cpu: float

    def per(self, reference: Cost) -> Cost:
        """Return the cost as ratios to a reference."""
        return Cost(self.wall / reference.wall, self.cpu / reference.cpu)


def command_cost(*command: str, folder: Path = ROOT, **environment: str) -> Cost:
    """Return what a command costs with all that it starts and waits for; it must succeed."""
    start = perf_counter()
    cpu = cost_of(*command, folder=folder, environment=environment).seconds
    return Cost(perf_counter() - start, cpu)


def spread(values: Sequence[float]) -> str:
    """Return the median of some runs, and the least and the greatest."""
    return f"{median(values):.2f} ({min(values):.2f}-{max(values):.2f})"


def both(costs: Sequence[Cost]) -> str:
    """Return the spread of the wall time of some runs, and of their CPU time."""
    wall, cpu = zip(*costs)
    return f"{spread(wall)}; CPU {spread(cpu)}"


class Conditions:
    """When and where something is measured: from its making until it is printed. Who is ended cleans up first."""

    def __init__(self) -> None:
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
        self._commit, self._before = _commit(), os.getloadavg()[0]

    def text(self, runs: int) -> str:
        """Return the date, the commit, the load before and after, and the number of runs."""
        return (
            f"{date.today()}, commit {self._commit}, {os.cpu_count()} CPUs, "
            f"load {self._before:.1f} before and {os.getloadavg()[0]:.1f} after, {runs} runs"
        )


def _commit() -> str:
    command = ("git", "describe", "--always", "--dirty", "--exclude=*")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def print_table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table in Markdown."""
    for row in (titles, ["---"] * len(titles), *rows):
        print("|", " | ".join(row), "|")
