# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one error of the controller side, and how it is worded: printable, and of a length that people read."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from difflib import get_close_matches

from ansible_collections.hpc.ports.plugins.module_utils._model.shown import shown

# How many characters a message has at most; of a value that it shows; of names that it lists.
LONGEST = 2000
_LONGEST_VALUE = 400
_LONGEST_LIST = 300
# How many names are listed.
_MOST_NAMES = 20
# No longer word is a misspelt name.
_LONGEST_WORD = 64


class PortFileError(ValueError):
    """Bad input, found on the controller; its text names the key, shows the value and says what was expected."""

    def __init__(self, text: str) -> None:
        """Take the text, printable and not too long; a library's own text may have several lines."""
        super().__init__("\n".join(map(printable, text.split("\n")))[:LONGEST])


def invalid(key: str, got: object, expected: str, advice: str = "") -> PortFileError:
    """Return the error for a bad value of `key`."""
    return PortFileError(f"Invalid {key}: got {shown_value(got)}, expected {expected}.{' ' + advice if advice else ''}")


def nearest(word: object, known: Iterable[str]) -> str:
    """Return `Did you mean 'x'?` for the known word most like `word`, or nothing."""
    if not isinstance(word, str) or isinstance(word, Vaulted) or len(word) > _LONGEST_WORD:
        return ""
    matches = get_close_matches(word, list(known), n=1)
    return f"Did you mean {shown_value(matches[0])}?" if matches else ""


class Vaulted(str):
    """A text from Ansible's vault: it is used as any other, but messages do not show it."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Return what messages show."""
        return "a value from the vault"


def shown_value(value: object) -> str:
    """Return a value as messages show it; the beginning of a long one."""
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # deep, or a number of thousands of digits
        return f"a {type(value).__name__} that is too large to show"
    more = len(text) - _LONGEST_VALUE
    return f"{text[:_LONGEST_VALUE]}... and {more} more characters" if more > 0 else text


def listed(names: Collection[str]) -> str:
    """Return names with commas between them: the first ones, and how many more there are."""
    some: list[str] = []
    for name in names:
        if len(some) == _MOST_NAMES or some and len(", ".join([*some, name])) > _LONGEST_LIST:
            break
        some.append(name)
    more = len(names) - len(some)
    return ", ".join(some) + (f" and {more} more" if more else "")


def printable(text: str, longest: int = LONGEST) -> str:
    """Return the text on one line, with invisible characters written as codes; a long text is cut."""
    text = shown(text)
    return text if len(text) <= longest else f"{text[: longest - 3]}..."
