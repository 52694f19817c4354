# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one error of the controller side, and how it is worded."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class PortFileError(ValueError):
    """Bad input, found on the controller; its text names the key, shows the value and says what was expected."""


def invalid(key: str, got: object, expected: str, advice: str = "") -> PortFileError:
    """Return the error for a bad value of `key`."""
    return PortFileError(f"Invalid {key}: got {got!r}, expected {expected}.{' ' + advice if advice else ''}")


def nearest(word: str, known: Iterable[str]) -> str:
    """Return `Did you mean 'x'?` for the known word most like `word`, or nothing."""
    matches = get_close_matches(word, list(known), n=1)
    return f"Did you mean {matches[0]!r}?" if matches else ""
