# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values that hold themselves, as anchors of YAML make them, or are nested deeper than anything that we know."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError, printable, shown_value

# The port file has four levels.
_DEEPEST = 16
# How many keys of the way to such a value are named, and how long a key may be.
_NAMED = 3
_LONGEST_KEY = 64


def check_nesting(key: str, value: Any) -> None:
    """Raise PortFileError for a value that is nested without end, or too deep; it names the way there."""
    way = _too_deep(value, _DEEPEST)
    if way is not None:
        where = "".join(f".{_key(name)}" for name in way[:_NAMED])
        raise PortFileError(
            f"Invalid {key}: got a value at {key.partition(' ')[0]}{where} that holds itself (by an anchor of YAML) or is "
            f"nested more than {_DEEPEST} levels deep, expected plain dictionaries, lists and texts."
        )


def _too_deep(value: Any, left: int) -> list[Any] | None:
    """Return the keys on the way to what is deeper than the levels that are left; None where nothing is."""
    if not isinstance(value, (Mapping, list, tuple)):
        return None
    if not left:
        return []
    for name, item in _items(value):
        way = _too_deep(item, left - 1)
        if way is not None:
            return [name, *way]
    return None


def _items(value: Mapping[Any, Any] | list[Any] | tuple[Any, ...]) -> Iterable[tuple[Any, Any]]:
    return value.items() if isinstance(value, Mapping) else enumerate(value)


def _key(name: Any) -> str:
    return printable(name if isinstance(name, str) else shown_value(name), _LONGEST_KEY)
