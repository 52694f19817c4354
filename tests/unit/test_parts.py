# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which parts of dev/test concern what has changed."""

from __future__ import annotations

import subprocess
from fnmatch import fnmatchcase
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def _loaded() -> Any:
    spec = spec_from_file_location("changed", ROOT / "dev" / "changed.py")
    assert spec and spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


changed = _loaded()
TABLE = changed.parse_table((ROOT / "tests" / "parts.txt").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "paths, parts",
    [
        ([], []),
        (["COPYING"], []),
        (["README.md", "COPYING"], ["units", "docs"]),
        (["roles/nfs/README.md"], ["units", "sanity", "docs"]),
        (["tests/page/test_ten_hosts.py", "tests/kernel/test_walk.py"], ["page", "kernel"]),
        (["plugins/module_utils/_backends/firewalld/backend.py"], ["firewalld", "units", "lint", "sanity", "molecule"]),
        # Every flow has its turn, which is the part platform and more.
        (["tests/platform/uses.py", "tests/platform/test_nodes.py"], ["units", "flows"]),
        (["README.md", "nobody/knows.py"], [*changed.PARTS[:-2], "flows"]),
    ],
)
def test_the_parts_that_concern_paths(paths: list[str], parts: list[str]) -> None:
    assert changed.parts_for(paths, TABLE) == parts


def test_a_part_that_there_is_not_is_an_error() -> None:
    with pytest.raises(ValueError, match="Invalid parts of docs/: got kernels, expected page, kernel, "):
        changed.parse_table("# a table\n\ndocs/  lint kernels\n")


def test_every_line_of_the_table_matches_a_file() -> None:
    files = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        text=True,
        capture_output=True,
        check=True,
    ).stdout.splitlines()
    assert len(files) > 400
    assert [pattern for pattern, _parts in TABLE if not any(fnmatchcase(file, pattern) for file in files)] == []
