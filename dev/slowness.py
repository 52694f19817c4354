# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Print how many times slower this machine is now than an idle machine with two cores, at least 1.0."""

from __future__ import annotations

import subprocess
import sys
import time

# Two processes at once, as the tests use both cores. They take this long on the machine for which the time limits were
# chosen.
WORK = "for number in range(1600): sum(value * value for value in range(20_000))"
SECONDS = 3.0


def main() -> None:
    """Time the work and compare."""
    start = time.monotonic()
    for process in [subprocess.Popen([sys.executable, "-c", WORK]) for _core in range(2)]:
        process.wait()
    print(f"{max(1.0, (time.monotonic() - start) / SECONDS):.1f}")


if __name__ == "__main__":
    main()
