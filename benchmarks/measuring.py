# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the benchmarks share: the cost of a command, and tables that say when, on which load and how often."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from statistics import median
from tempfile import TemporaryFile
from time import perf_counter
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]


class Cost(NamedTuple):
    """Seconds by the clock, seconds of CPU, and the most memory of one process, in MB."""

    wall: float
    cpu: float
    memory: float = 0.0

    def per(self, reference: Cost) -> Cost:
        """Return the times as ratios to those of a reference."""
        return Cost(self.wall / reference.wall, self.cpu / reference.cpu)

    def __add__(self, other: object) -> Cost:
        """Return the cost of both, one after the other."""
        assert isinstance(other, Cost)
        return Cost(self.wall + other.wall, self.cpu + other.cpu, max(self.memory, other.memory))


class Done(NamedTuple):
    """What a command cost with all that it started and waited for, and what it printed."""

    cost: Cost
    output: str


def run(*command: str, folder: Path = ROOT, text: str = "", environment: Mapping[str, str] | None = None) -> Done:
    """Run a command, which reads the text; it must succeed."""
    with TemporaryFile("w+", encoding="utf-8") as given, TemporaryFile("w+", encoding="utf-8") as output:
        given.write(text)
        given.seek(0)
        start = perf_counter()
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **(environment or {})},
            stdin=given,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            _pid, status, used = os.wait4(process.pid, 0)
        except BaseException:
            process.terminate()
            raise
        wall, process.returncode = perf_counter() - start, os.waitstatus_to_exitcode(status)
        output.seek(0)
        printed = output.read()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{printed[-5000:]}")
    return Done(Cost(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024), printed)


def cpu_of_container(name: str) -> float:
    """Return the CPU seconds that a container has taken since it was started."""
    command = ("podman", "stats", "--no-stream", "--format={{.CPUNano}}", name)
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout) / 1e9


def spread(values: Sequence[float]) -> str:
    """Return the median of some runs, and the least and the greatest."""
    return f"{median(values):.2f} ({min(values):.2f}-{max(values):.2f})"


def both(costs: Sequence[Cost]) -> str:
    """Return the spread of the wall time of some runs, and of their CPU time."""
    wall, cpu, _memory = zip(*costs)
    return f"{spread(wall)}; CPU {spread(cpu)}"


def lab() -> str:
    """Return the name of the lab that this runs in; say how, if it runs in none."""
    if "HPC_PORTS_LAB_DIR" not in os.environ:
        raise SystemExit("This needs hosts of the lab: dev/lab open; dev/lab run python benchmarks/...")
    return os.environ["HPC_PORTS_LAB"]


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
