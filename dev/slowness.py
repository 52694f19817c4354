# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Print how many times slower than an idle machine of two cores this one is now, at least 1.0."""

from __future__ import annotations

import subprocess
import sys
import time

# Started twice at once, as the tests use both cores. It takes this long on the machine that the windows were chosen on.
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
