# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page as text: what is packed into it, and that nothing of the report can get out of its place."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._model.shown import shown, shown_data
from ansible_collections.hpc.ports.plugins.plugin_utils._report.html import PAGE, packed, page
from ansible_collections.hpc.ports.tests.support.reports import cell, host, large, small, whole
from hypothesis import given
from hypothesis import strategies as st

HOSTILE = "</script><script>hacked = 1</script><img src=x onerror='hacked = 1'><!--\u2028\u2029&amp;@DATA@\ud800"


def unpacked(data: dict[str, Any]) -> list[dict[str, Any]]:
    """The cells again, as the page reads them."""
    columns = data["columns"]
    return [
        {name: column["values"][column["rows"][number] if column["rows"] else 0] for name, column in columns.items()}
        for number in range(data["count"])
    ]


def embedded(text: str) -> str:
    """What is between the tags of the data."""
    return text.split('<script type="application/json" id="data">')[1].split("</script>")[0]


def one(**changes: Any) -> dict[str, Any]:
    return whole({"a": host("a", [], "x", 1), "b": host("b", [], "x", 2)}, [cell("a", "b", "10.0.0.3", 22, **changes)])


# ---- packing


@pytest.mark.parametrize(
    "build", [small, partial(large, 60, 400, 3), partial(whole, {}, [])], ids=["small", "large", "empty"]
)
def test_packed_cells_are_the_cells(build: Callable[[], dict[str, Any]]) -> None:
    data = build()
    assert unpacked(packed(data)) == data["cells"]


def test_what_all_cells_share_is_there_once() -> None:
    columns = packed(small())["columns"]
    assert columns["protocol"] == {"values": ["tcp"], "rows": 0}
    assert columns["verdict"]["values"] == ["right", "wrong", "unknown"]
    assert set(columns["verdict"]["rows"]) == {0, 1, 2}


texts = st.text(max_size=8)
cells = st.fixed_dictionaries(
    {
        "why": texts,
        "flow": texts,
        "services": st.lists(texts, max_size=2),
        "seconds": st.none() | st.floats(0, 9),
        "counters": st.none() | st.just({"left": None}),
        "diagnosis": st.none() | st.fixed_dictionaries({"code": texts, "text": texts, "advice": texts}),
    }
)


@given(st.lists(cells, max_size=6))
def test_any_cells_come_back_from_the_page(changes: list[dict[str, Any]]) -> None:
    data = {**one(), "cells": [cell("a", "b", "10.0.0.3", 22) | change for change in changes]}
    assert unpacked(json.loads(embedded(page(data)))) == shown_data(data["cells"])


# ---- nothing gets out


@given(texts.map(lambda text: text + HOSTILE))
def test_nothing_in_a_report_is_markup(text: str) -> None:
    inside = embedded(page(one(why=text, flow=text)))
    assert not set("<>&\u2028\u2029") & set(inside)
    assert inside.isascii()
    assert unpacked(json.loads(inside))[0]["why"] == shown(text)


def test_no_word_of_a_host_turns_around_what_the_page_shows() -> None:
    data = one(why="a\u202eb")
    data["hosts"]["a"]["reason"] = "c\x1bd"
    assert (unpacked(packed(data))[0]["why"], packed(data)["hosts"]["a"]["reason"]) == ("a\\u202eb", "c\\x1bd")


def test_the_rest_of_the_page_is_the_same_whatever_the_report() -> None:
    first, second = page(small()), page(one(why=HOSTILE))
    assert first.replace(embedded(first), "") == second.replace(embedded(second), "")


def test_only_the_style_and_script_of_the_page_may_run() -> None:
    text = page(small())
    hashes = {}
    for tag in ("style", "script"):
        inside = re.findall(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        assert len(inside) == 1
        hashes[tag] = base64.b64encode(hashlib.sha256(inside[0].encode()).digest()).decode()
    policy = re.findall('http-equiv="Content-Security-Policy" content="(.*?)"', text)
    assert policy == [
        f"default-src 'none'; style-src 'sha256-{hashes['style']}'; "
        f"script-src 'sha256-{hashes['script']}'; base-uri 'none'; form-action 'none'"
    ]


def test_the_page_names_no_address_and_makes_no_markup() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in sorted(PAGE.iterdir()))
    assert set(re.findall(r"https?://[^\s)]*", text)) == {"https://www.gnu.org/licenses/gpl-3.0.txt"}
    assert (
        re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|eval\(|new Function|srcdoc", text)
        == []
    )
    assert re.findall(r"\s(?:src|href|style|on\w+)=\"", text) == []


# ---- size, and what is refused


def test_a_large_report_stays_small() -> None:
    assert len(page(large())) < 8_000_000


def test_a_number_that_json_has_not_is_refused() -> None:
    with pytest.raises(ValueError, match="^Out of range float values are not JSON compliant"):
        page(one(seconds=float("nan")))


def test_a_report_that_lacks_something_is_refused() -> None:
    data = small()
    del data["flows"]
    with pytest.raises(KeyError, match="^'flows'$"):
        page(data)
