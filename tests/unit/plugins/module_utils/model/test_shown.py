# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Text of hosts, made safe to show."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._model.shown import (
    MOST,
    shown,
    shown_data,
    shown_lines,
    shown_result,
    shown_start,
)
from ansible_collections.hpc.ports.tests.support.run import examples
from hypothesis import given, settings
from hypothesis import strategies as st

ANY = st.text(
    st.characters(exclude_categories=[]) | st.sampled_from("\x1b\n\r\t\x9b\u202e\u2066\u200b\ufeff\u2028\ud800")
)
# Categories of Unicode: controls, surrogates, line separators, and marks that reverse the direction of text.
_CATEGORIES = {"Cc", "Cs", "Zl", "Zp"}
_TURNING = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
_ZERO_WIDTH = set("\u200b\u200c\u200d\u200e\u200f\u061c\u2060\ufeff\u180e\xad")


def does_something(char: str) -> bool:
    """Return whether a character may not reach the screen."""
    return (
        unicodedata.category(char) in _CATEGORIES or unicodedata.bidirectional(char) in _TURNING or char in _ZERO_WIDTH
    )


@given(ANY)
@settings(max_examples=examples(600))
def test_shown_text_controls_nothing(text: str) -> None:
    assert not any(map(does_something, shown(text)))
    assert shown(shown(text)) == shown(text)


@given(ANY)
@settings(max_examples=examples(300))
def test_harmless_characters_stay_in_place(text: str) -> None:
    """The result is the input, with a code for each character that controls the terminal."""
    kept = [part for char in text for part in ([char] if char.isprintable() else [])]
    left = iter(shown(text))
    assert all(char in left for char in kept)
    assert not text.isprintable() or shown(text) == text


@pytest.mark.parametrize(
    "text,expected",
    [
        ("\x1b]0;hacked\x07", "\\x1b]0;hacked\\x07"),
        ("ok\nwrong: ctl1 -> db1", "ok\\nwrong: ctl1 -> db1"),
        ("a\r\tb\x9b2J\x7f", "a\\r\\tb\\x9b2J\\x7f"),
        ("\u202eecho\u2066\u200e\u061c", "\\u202eecho\\u2066\\u200e\\u061c"),
        ("\u200b\u2028\u2029\ud800\U000e0041", "\\u200b\\u2028\\u2029\\ud800\\U000e0041"),
        ("Zürich – 東京, Αθήνα, עברית 😀 a\xa0b \\x1b", "Zürich – 東京, Αθήνα, עברית 😀 a\xa0b \\x1b"),
    ],
)
def test_examples_of_shown_text(text: str, expected: str) -> None:
    assert shown(text) == expected


def test_lines_are_kept() -> None:
    assert shown_lines("a\x1b\nb\r\n") == "a\\x1b\nb\\r\n"


@given(ANY, st.integers(40, 80))
def test_a_long_text_is_cut_and_says_so(text: str, most: int) -> None:
    found = shown_start(text, most)
    assert len(found) <= most and shown_start(found, most) == found
    assert found == shown(text) or found.endswith(f" (cut: it has {len(text)} characters)")
    assert not any(map(does_something, found))


def test_a_megabyte_is_cut() -> None:
    found = shown_start("x" * 2**20)
    assert (len(found), found.lstrip("x")) == (MOST, " (cut: it has 1048576 characters)")


@dataclass(frozen=True)
class Warned:
    """A warning as Ansible 2.19 and later have it."""

    text: str
    more: tuple[Any, ...] = ()
    formatted_traceback: str = "line\n\x1b\n"


TRACEBACK = "line\n\\x1b\n"


def test_nested_data_is_shown() -> None:
    esc = "\x1b"
    assert shown_data({esc: [esc, (esc, 1), {"a": esc}, None, 1.5, Warned(esc, (Warned(esc),))]}) == {
        "\\x1b": [
            "\\x1b",
            ("\\x1b", 1),
            {"a": "\\x1b"},
            None,
            1.5,
            Warned("\\x1b", (Warned("\\x1b", (), TRACEBACK),), TRACEBACK),
        ]
    }


def test_only_line_by_line_values_of_a_result_keep_their_lines() -> None:
    diff = {"before": "a\x1b\n", "after": "b\n"}
    assert shown_result({"msg": "a\nb", "warnings": ["c\nd"], "diff": diff, "changed": True}) == {
        "msg": "a\\nb",
        "warnings": ["c\\nd"],
        "diff": {"before": "a\\x1b\n", "after": "b\n"},
        "changed": True,
    }
    assert shown_result({"diff": [diff]}) == {"diff": [{"before": "a\\x1b\n", "after": "b\n"}]}
