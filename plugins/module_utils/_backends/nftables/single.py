# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets and maps of single elements, without ranges: the kernel finds an element at once, without a search.

They have a size. Without one the kernel makes room later, and a listing at that moment may lack elements. A set cannot
change its size, so the size is in its name: a set that outgrows it is replaced by one with another name (see
`update.py`). As sizes are powers of four, this is rare.
"""

from __future__ import annotations

_MARK = ".single_"
_LEAST = 16


def size_for(count: int) -> int:
    """Return the size of a set or map with so many elements."""
    size = _LEAST
    while size < count:
        size *= 4
    return size


def ending(size: int) -> str:
    """Return the end of the name of a set or map of this size."""
    return f"{_MARK}{size}"


def is_single(name: str) -> bool:
    """Return whether a set or map of this name has only single elements. No label of a rule has this mark in it."""
    return _MARK in name
