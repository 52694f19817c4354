# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look up a packet's values in the elements of sets and maps, and compare them with single elements."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from ansible_collections.hpc.ports.plugins.module_utils._ruleset.symbols import EVERY_BIT, Unknown, Value, range_of


def _equals_one(value: Value, data: Any) -> bool | None:
    """Return whether a value equals a JSON value, or is in its range or prefix. None: unknown."""
    if data == "*" and value.kind != "interface":
        return True
    try:
        if isinstance(value.number, str):
            return _is_named(value.number, data)
        result = _is_between(value.number, value.known, *range_of(value.kind, data))
        may_be_shorter = isinstance(data, dict) and "may_be_shorter" in data.get("prefix", ())
        return None if may_be_shorter and not result else result
    except (Unknown, KeyError, TypeError, ValueError):
        return None


def _is_named(name: str, data: Any) -> bool:
    if not isinstance(data, str):
        raise Unknown
    return name.startswith(data[:-1]) if data.endswith("*") else name == data


def _is_between(number: int, known: int, first: int, last: int) -> bool | None:
    if known == EVERY_BIT:
        return first <= number <= last
    return False if first == last and (number ^ first) & known else None


class Members:
    """The elements of a set, or of a map with the data of each key."""

    def __init__(self, elements: Sequence[Any], kinds: Sequence[str], is_map: bool) -> None:
        pairs = [
            (_unwrapped(element[0]), element[1]) if is_map else (_unwrapped(element), None) for element in elements
        ]
        self._others = [payload for key, payload in pairs if key == "*"]
        self._pairs = [pair for pair in pairs if pair[0] != "*"]
        self._ranges: list[tuple[int, int, Any]] = []
        self._is_sorted = len(kinds) == 1 and kinds[0] != "interface" and self._sort(kinds[0])
        self._firsts = [first for first, _last, _payload in self._ranges]

    def _sort(self, kind: str) -> bool:
        """Sort the elements if they are numbers; elements in the kernel do not overlap."""
        try:
            self._ranges = sorted(
                ((*range_of(kind, key), payload) for key, payload in self._pairs), key=lambda entry: entry[0]
            )
        except (Unknown, KeyError, TypeError, ValueError):
            return False
        return True

    def lookup(self, values: Sequence[Value]) -> tuple[list[Any], bool]:
        """Return the data of all elements that may match, and whether it is possible that none matches."""
        value = values[0]
        if self._is_sorted and value.known == EVERY_BIT and isinstance(value.number, int):
            place = bisect_right(self._firsts, value.number) - 1
            hits = [self._ranges[place][2]] if place >= 0 and value.number <= self._ranges[place][1] else []
            return self._or_others(hits, not hits)
        hits = []
        for key, payload in self._pairs:
            is_match = equals(values, key)
            if is_match is not False:
                hits.append(payload)
            if is_match:
                return hits, False
        return self._or_others(hits, True)

    def _or_others(self, hits: list[Any], may_miss: bool) -> tuple[list[Any], bool]:
        return (hits + self._others, False) if may_miss and self._others else (hits, may_miss)


def _unwrapped(element: Any) -> Any:
    """Return an element without its timeout, comment or counter."""
    return element["elem"]["val"] if isinstance(element, dict) and "elem" in element else element


def equals(values: Sequence[Value], key: Any) -> bool | None:
    """Return whether all values equal the parts of a key. None: unknown."""
    parts = key["concat"] if isinstance(key, dict) and "concat" in key else [key]
    if len(parts) != len(values):
        return None
    results = [_equals_one(value, _unwrapped(part)) for value, part in zip(values, parts)]
    return False if False in results else None if None in results else True
