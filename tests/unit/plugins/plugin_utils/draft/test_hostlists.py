# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists of hosts as Slurm writes them."""

from __future__ import annotations

from contextlib import suppress

import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils._draft.hostlists import expanded
from hypothesis import given
from hypothesis import strategies as st

NAMES = st.from_regex(r"[a-z]{1,4}-?", fullmatch=True)


@pytest.mark.parametrize(
    "text,names",
    [
        ("", []),
        ("head", ["head"]),
        ("lx[15,18,32-33]", ["lx15", "lx18", "lx32", "lx33"]),
        ("n[008-011]", ["n008", "n009", "n010", "n011"]),
        ("n[8-11]", ["n8", "n9", "n10", "n11"]),
        ("a,b[1,3],c", ["a", "b1", "b3", "c"]),
        ("r[0-1]n[1-2]-ib", ["r0n1-ib", "r0n2-ib", "r1n1-ib", "r1n2-ib"]),
        ("10.0.[0-1].[1-2]", ["10.0.0.1", "10.0.0.2", "10.0.1.1", "10.0.1.2"]),
        ("fd00::[1-2]", ["fd00::1", "fd00::2"]),
        ("gpu[a,b]", ["gpua", "gpub"]),
    ],
)
def test_lists(text: str, names: list[str]) -> None:
    assert expanded(text) == names


@pytest.mark.parametrize(
    "text",
    ["n[3-1]", "n[1-", "n1]", "n[]", "n[1-2-3]", "n[a-c]", "{{ n }}", "$host", "a b", "n[0-65536]", "n[0-999][0-99]"],
)
def test_what_is_no_list_of_hosts(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        expanded(text)


def test_a_long_range_is_refused_before_it_is_counted() -> None:
    with pytest.raises(ValueError, match="expected ranges such as"):
        expanded("n[0-65536]")


@given(NAMES, st.lists(st.tuples(st.integers(0, 500), st.integers(0, 20)), min_size=1, max_size=5), st.integers(1, 4))
def test_ranges_are_the_names_that_they_stand_for(name: str, ranges: list[tuple[int, int]], width: int) -> None:
    inner = ",".join(f"{first:0{width}}-{first + more:0{width}}" for first, more in ranges)
    expected = [f"{name}{number:0{width}}" for first, more in ranges for number in range(first, first + more + 1)]
    # Without leading zeros, a range has the width of its first number.
    assert expanded(f"{name}[{inner}]") == expected


@given(st.text(st.sampled_from("n01[]-,. {\n") | st.characters(), max_size=12))
def test_any_text_is_a_list_or_an_error(text: str) -> None:
    with suppress(ValueError):
        assert all(name.isascii() and name.isprintable() and " " not in name for name in expanded(text))
