# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Print the parts of dev/test that test the files changed since origin/main. usage: python dev/changed.py TABLE."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path

BASE = "origin/main"
# In the order in which they run; `flows` is `platform` and more.
PARTS = (
    "page",
    "kernel",
    "firewalld",
    "containers",
    "units",
    "lint",
    "sanity",
    "compat",
    "docs",
    "molecule",
    "user",
    "platform",
    "flows",
)
# A path, and the parts that concern it.
Table = list[tuple[str, list[str]]]


def parse_table(text: str) -> Table:
    """Return the lines of a table. Raise ValueError for an unknown part."""
    lines = [line.split() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    for pattern, *parts in lines:
        if unknown := set(parts) - set(PARTS):
            raise ValueError(
                f"Invalid parts of {pattern}: got {' '.join(sorted(unknown))}, expected {', '.join(PARTS)}"
            )
    return [(pattern, parts) for pattern, *parts in lines]


def parts_for(paths: Iterable[str], table: Table) -> list[str]:
    """Return the parts that test the paths; all parts if a path is not in the table."""
    found = {part for path in paths for part in _parts_of(path, table)}
    if "flows" in found:
        found.discard("platform")
    return [part for part in PARTS if part in found]


def _parts_of(path: str, table: Table) -> Iterable[str]:
    return next((parts for pattern, parts in table if fnmatchcase(path, pattern)), PARTS)


def changed_paths() -> list[str] | None:
    """Return the paths that differ from the base, committed or not; None without a base."""
    commands = (
        ["git", "diff", "-z", "--name-only", "--no-renames", BASE],
        ["git", "ls-files", "-z", "--others", "--exclude-standard"],
    )
    results = [subprocess.run(command, capture_output=True, text=True, check=False) for command in commands]
    if any(result.returncode for result in results):
        return None
    return [path for result in results for path in result.stdout.split("\0") if path]


def main() -> None:
    """Read the table, ask git, print one line."""
    try:
        table = parse_table(Path(sys.argv[1]).read_text(encoding="utf-8"))
    except ValueError as exc:
        sys.exit(f"{sys.argv[1]}: {exc}")
    paths = changed_paths()
    if paths is None:
        print(f"There is no {BASE}, so all files count as changed.", file=sys.stderr)
    print(*parts_for(["?"] if paths is None else paths, table))


if __name__ == "__main__":
    main()
