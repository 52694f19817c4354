# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The name of an inventory in reports: its sources, as short as the user may have written them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def source_names(task_vars: Mapping[str, Any]) -> list[str]:
    """Return the sources of the inventory of a run.

    Ansible has made the paths absolute. A path below the working directory is relative to it, and another one below the
    home directory begins with `~`, so that a report does not say where its author lives.
    """
    sources = task_vars.get("ansible_inventory_sources") or []
    return [_short(source) for source in ([sources] if isinstance(sources, str) else map(str, sources))]


def _short(source: str) -> str:
    """Return a path without the directory in which it is; a list of hosts, such as `c1,c2`, stays as it is."""
    path = Path(source)
    if "," in source or not path.is_absolute():
        return source
    if path.is_relative_to(Path.cwd()):
        return str(path.relative_to(Path.cwd()))
    home = _home()
    return str("~" / path.relative_to(home)) if home and path.is_relative_to(home) else source


def _home() -> Path | None:
    try:
        return Path.home()
    except RuntimeError:  # a user without an entry in the list of users
        return None
