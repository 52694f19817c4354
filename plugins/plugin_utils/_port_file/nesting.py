# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reject values that contain themselves, which YAML anchors can produce, or that are nested too deep."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError, printable, shown_value

# The port file has four levels.
_DEEPEST = 16
# A message shows this many keys of the path to such a value, and this many characters of a key.
_NAMED = 3
_LONGEST_KEY = 64


def check_nesting(key: str, value: Any) -> None:
    """Raise PortFileError for a value that is nested endlessly or too deep. The message shows the path to it."""
    path = _path_too_deep(value, _DEEPEST)
    if path is not None:
        path_text = "".join(f".{_key(name)}" for name in path[:_NAMED])
        raise PortFileError(
            f"Invalid {key}: got a value at {key.partition(' ')[0]}{path_text} that contains itself (through a YAML "
            f"anchor) or is nested more than {_DEEPEST} levels deep, expected plain dictionaries, lists and strings."
        )


def _path_too_deep(value: Any, left: int) -> list[Any] | None:
    """Return the keys to the first value that is deeper than `left` levels, or None."""
    if not isinstance(value, (Mapping, list, tuple)):
        return None
    if not left:
        return []
    for name, member in _members(value):
        path = _path_too_deep(member, left - 1)
        if path is not None:
            return [name, *path]
    return None


def _members(value: Mapping[Any, Any] | list[Any] | tuple[Any, ...]) -> Iterable[tuple[Any, Any]]:
    return value.items() if isinstance(value, Mapping) else enumerate(value)


def _key(name: Any) -> str:
    return printable(name if isinstance(name, str) else shown_value(name), _LONGEST_KEY)
