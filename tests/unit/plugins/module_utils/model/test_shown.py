# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._model.shown import MOST, lines, plain, returned, shown, word
from ansible_collections.hpc.ports.tests.support.run import examples
from hypothesis import given, settings
from hypothesis import strategies as st

ANY = st.text(
    st.characters(exclude_categories=[]) | st.sampled_from("\x1b\n\r\t\x9b\u202e\u2066\u200b\ufeff\u2028\ud800")
)
# By what Unicode says of them: controls, surrogates, separators of lines, and what turns text around.
_CATEGORIES = {"Cc", "Cs", "Zl", "Zp"}
_TURNING = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
_ZERO_WIDTH = set("\u200b\u200c\u200d\u200e\u200f\u061c\u2060\ufeff\u180e\xad")


def does_something(char: str) -> bool:
    """Tell whether a character is one that no host may put on a screen."""
    return (
        unicodedata.category(char) in _CATEGORIES or unicodedata.bidirectional(char) in _TURNING or char in _ZERO_WIDTH
    )


@given(ANY)
@settings(max_examples=examples(600))
def test_nothing_that_is_shown_does_anything(text: str) -> None:
    assert not any(map(does_something, shown(text)))
    assert shown(shown(text)) == shown(text)


@given(ANY)
@settings(max_examples=examples(300))
def test_what_does_nothing_stays_in_its_place(text: str) -> None:
    """What comes out is what went in, with a code for each character that does something."""
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
def test_what_is_shown(text: str, expected: str) -> None:
    assert shown(text) == expected


def test_lines_stay_lines() -> None:
    assert lines("a\x1b\nb\r\n") == "a\\x1b\nb\\r\n"


@given(ANY, st.integers(40, 80))
def test_a_word_is_cut_and_says_so(text: str, most: int) -> None:
    found = word(text, most)
    assert len(found) <= most and word(found, most) == found
    assert found == shown(text) or found.endswith(f" (cut: it has {len(text)} characters)")
    assert not any(map(does_something, found))


def test_a_megabyte_is_cut() -> None:
    found = word("x" * 2**20)
    assert (len(found), found.lstrip("x")) == (MOST, " (cut: it has 1048576 characters)")


@dataclass(frozen=True)
class Warned:
    """As Ansible has warnings from 2.19 on."""

    text: str
    more: tuple[Any, ...] = ()
    formatted_traceback: str = "line\n\x1b\n"


TRACEBACK = "line\n\\x1b\n"


def test_data_is_shown_however_deep() -> None:
    esc = "\x1b"
    assert plain({esc: [esc, (esc, 1), {"a": esc}, None, 1.5, Warned(esc, (Warned(esc),))]}) == {
        "\\x1b": [
            "\\x1b",
            ("\\x1b", 1),
            {"a": "\\x1b"},
            None,
            1.5,
            Warned("\\x1b", (Warned("\\x1b", (), TRACEBACK),), TRACEBACK),
        ]
    }


def test_of_a_module_s_result_only_what_ansible_shows_by_lines_has_lines() -> None:
    diff = {"before": "a\x1b\n", "after": "b\n"}
    assert returned({"msg": "a\nb", "warnings": ["c\nd"], "diff": diff, "changed": True}) == {
        "msg": "a\\nb",
        "warnings": ["c\\nd"],
        "diff": {"before": "a\\x1b\n", "after": "b\n"},
        "changed": True,
    }
    assert returned({"diff": [diff]}) == {"diff": [{"before": "a\\x1b\n", "after": "b\n"}]}
