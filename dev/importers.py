# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find out which files import which, by their import statements."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

_COLLECTION = "ansible_collections.hpc.ports."


def importers_of(sources: Mapping[str, str]) -> dict[str, set[str]]:
    """Return the files that import a file directly, by its path."""
    result: dict[str, set[str]] = {}
    for importer, source in sources.items():
        for imported in set(_imported(source)) & set(sources):
            result.setdefault(imported, set()).add(importer)
    return result


def distances(importers: Mapping[str, set[str]], path: str) -> dict[str, int]:
    """Return the files that import one of these: at 1 directly, at 2 through another file."""
    result, nearest, steps = {path: 0}, {path}, 0
    while nearest:
        steps += 1
        nearest = {importer for imported in nearest for importer in importers.get(imported, ())} - set(result)
        result.update(dict.fromkeys(nearest, steps))
    return result


def _imported(source: str) -> Iterator[str]:
    """Yield paths of files that a file may import; not all of them exist."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (_path(alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield _path(node.module)
            yield from (_path(f"{node.module}.{alias.name}") for alias in node.names)


def _path(module: str) -> str:
    return module.removeprefix(_COLLECTION).replace(".", "/") + ".py"
