# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The error that the controller raises for bad input, with a printable message of limited length."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from difflib import get_close_matches

from ansible_collections.hpc.ports.plugins.module_utils._model.shown import shown

# Maximum numbers of characters: of a message, of a value in it, and of a list of names in it.
LONGEST = 2000
_LONGEST_VALUE = 400
_LONGEST_LIST = 300
# Maximum number of names in a list.
_MOST_NAMES = 20
# A longer word is not taken for a misspelt name.
_LONGEST_WORD = 64
# From this similarity on (0 to 1) a name is close. A message names this many such names.
_SIMILAR = 0.6
_MOST_SIMILAR = 4


class PortFileError(ValueError):
    """Bad input, found on the controller. The message names the key, shows the value and says what was expected."""

    def __init__(self, text: str) -> None:
        """Escape and cut the message. It may have several lines, because texts of libraries do."""
        super().__init__("\n".join(map(printable, text.split("\n")))[:LONGEST])


def invalid(key: str, got: object, expected: str, advice: str = "") -> PortFileError:
    """Return the error for a bad value of `key`."""
    return PortFileError(f"Invalid {key}: got {shown_value(got)}, expected {expected}.{' ' + advice if advice else ''}")


def nearest(word: object, known: Iterable[str]) -> str:
    """Return `Did you mean 'x'?` with the known name that is closest to `word`; empty if no name is close.

    If `word` is the beginning of several names, such as `portal` of `portal_ssh`, the first ones are named, too.
    """
    known = list(known)
    similar = _similar(word, known, _SIMILAR, 3)
    if not similar:
        return ""
    # What differs in `nfs3` is not the 3.
    match = next((name for name in similar if _digits(name) == _digits(str(word))), similar[0])
    family = sorted(name for name in known if name.startswith(f"{word}_"))
    *others, last = map(shown_value, list(dict.fromkeys([match, *family]))[:_MOST_SIMILAR])
    return f"Did you mean {', '.join(others)}{' or ' if others else ''}{last}?"


def closest(word: object, known: Iterable[str], similarity: float = _SIMILAR) -> str:
    """Return the known name that is closest to `word`; empty if no name has this similarity (0 to 1)."""
    return next(iter(_similar(word, known, similarity, 1)), "")


def _similar(word: object, known: Iterable[str], similarity: float, most: int) -> list[str]:
    if not isinstance(word, str) or isinstance(word, Vaulted) or len(word) > _LONGEST_WORD:
        return []
    return get_close_matches(word, list(known), n=most, cutoff=similarity)


def _digits(name: str) -> str:
    return "".join(filter(str.isdigit, name))


class Vaulted(str):
    """A string from Ansible's vault. It is used like any other string, but messages never show it."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Return a placeholder for messages."""
        return "a value from the vault"


def shown_value(value: object) -> str:
    """Return a value as messages show it. Only the beginning of a long value is shown."""
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # nested too deep, or a number with thousands of digits
        return f"a {type(value).__name__} that is too large to show"
    more = len(text) - _LONGEST_VALUE
    return f"{text[:_LONGEST_VALUE]}... and {more} more characters" if more > 0 else text


def listed(names: Collection[str]) -> str:
    """Return the first names, separated by commas, and the number of the others."""
    first: list[str] = []
    for name in names:
        if len(first) == _MOST_NAMES or first and len(", ".join([*first, name])) > _LONGEST_LIST:
            break
        first.append(name)
    more = len(names) - len(first)
    return ", ".join(first) + (f" and {more} more" if more else "")


def printable(text: str, longest: int = LONGEST) -> str:
    """Return the text on one line, with invisible characters written as codes; a long text is cut."""
    text = shown(text)
    return text if len(text) <= longest else f"{text[: longest - 3]}..."
