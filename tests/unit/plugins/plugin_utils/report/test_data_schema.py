# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The schema of the report: it says what each property is, takes whole reports and refuses broken ones."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from functools import partial
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints, is_typeddict

import jsonschema
import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils._report import html
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.diagnosis import CODES
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.document import Report
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.evidence import COUNTERS
from ansible_collections.hpc.ports.tests.support.reports import SCHEMA, large, small, whole
from hypothesis import given
from hypothesis import strategies as st

CHECK = jsonschema.Draft202012Validator(SCHEMA)
SMALL = {**small(), "cells": small()["cells"][:3] + [item for item in small()["cells"] if item["diagnosis"]][:1]}


def parts(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every property of a schema, and what it is an array or a dictionary of, with its path."""
    for name, part in schema.get("properties", {}).items():
        yield f"{path}/{name}", part
    for name, part in (
        *schema.get("properties", {}).items(),
        ("items", schema.get("items")),
        ("*", schema.get("additionalProperties")),
        *enumerate(schema.get("anyOf", ())),
    ):
        if isinstance(part, dict):
            yield from parts(part, f"{path}/{name}")


def test_it_is_a_schema_and_describes_every_property() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert [path for path, part in parts(SCHEMA) if not part.get("description", "").endswith(".")] == []
    assert len(list(parts(SCHEMA))) > 60


def test_every_object_has_exactly_the_properties_that_are_described() -> None:
    for path, part in [("", SCHEMA), *parts(SCHEMA)]:
        for option in (part, part.get("items", {}), *part.get("anyOf", ())):
            if "properties" in option:
                assert option["required"] == list(option["properties"]), path
                assert option["additionalProperties"] is False, path


JSON_TYPES = {
    str: {"string"},
    int: {"integer"},
    float: {"number"},
    bool: {"boolean"},
    NoneType: {"null"},
    list: {"array"},
    dict: {"object"},
}


def differences(kind: Any, schema: dict[str, Any], path: str = "") -> Iterator[str]:
    """Yield the paths where a Python type and a schema differ in keys or types."""
    options = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    alternatives = schema.get("anyOf", [schema])
    expected = set().union(*(JSON_TYPES[dict if is_typeddict(item) else get_origin(item) or item] for item in options))
    if expected != set().union(*map(json_types, alternatives)):
        yield path
    for option in options:
        for part in alternatives:
            if is_typeddict(option) and "properties" in part:
                hints = get_type_hints(option)
                if list(hints) != part["required"]:
                    yield f"{path}: keys"
                for key in hints.keys() & part["properties"].keys():
                    yield from differences(hints[key], part["properties"][key], f"{path}/{key}")
            elif get_origin(option) is list and "items" in part:
                yield from differences(get_args(option)[0], part["items"], f"{path}/items")
            elif get_origin(option) is dict and isinstance(part.get("additionalProperties"), dict):
                yield from differences(get_args(option)[1], part["additionalProperties"], f"{path}/*")


def json_types(part: dict[str, Any]) -> set[str]:
    """Return the types of JSON that a part of the schema allows."""
    if "type" in part:
        return {part["type"]} if isinstance(part["type"], str) else set(part["type"])
    values = part["enum"] if "enum" in part else [part["const"]] if "const" in part else [""]
    return {name for value in values for name in JSON_TYPES[type(value)]}


def test_the_types_of_the_report_agree_with_the_schema() -> None:
    assert list(differences(Report, SCHEMA)) == []


def test_a_difference_between_types_and_schema_is_found() -> None:
    changed = copy.deepcopy(SCHEMA)
    cell = changed["properties"]["cells"]["items"]
    cell["required"].remove("why")
    cell["properties"]["seconds"]["type"] = "number"
    cell["properties"]["diagnosis"]["anyOf"][1]["properties"]["text"]["type"] = "integer"
    assert set(differences(Report, changed)) == {
        "/cells/items: keys",
        "/cells/items/seconds",
        "/cells/items/diagnosis/text",
    }


def test_the_counters_and_codes_are_those_of_the_schema() -> None:
    properties = SCHEMA["properties"]["cells"]["items"]["properties"]
    assert properties["counters"]["anyOf"][1]["required"] == list(COUNTERS)
    codes = properties["diagnosis"]["anyOf"][1]["properties"]["code"]["oneOf"]
    assert [item["const"] for item in codes] == list(CODES)


def test_the_page_packs_every_key_of_the_schema() -> None:
    assert list(html._CELL) == SCHEMA["properties"]["cells"]["items"]["required"]
    assert {"format", "cells", *html._WHOLE} == set(SCHEMA["required"])


@pytest.mark.parametrize(
    "build",
    [small, partial(large, 60, 400, 3), partial(whole, {}, [], mode="passive")],
    ids=["small", "large", "empty"],
)
def test_it_takes_whole_reports(build: Callable[[], dict[str, Any]]) -> None:
    assert [error.message for error in CHECK.iter_errors(build())] == []


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of each property of each object."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in items:
        if isinstance(value, dict) and (not path or path[-1] not in ("hosts", "classes", "services", "flows")):
            yield (*path, key)
        yield from places(part, (*path, key))


@given(st.sampled_from(list(places(SMALL))), st.sampled_from(["lack", "alien", "other type"]))
def test_it_refuses_a_report_that_lacks_or_has_something_else(path: tuple[Any, ...], change: str) -> None:
    data = copy.deepcopy(SMALL)
    owner: Any = data
    for key in path[:-1]:
        owner = owner[key]
    if change == "lack":
        del owner[path[-1]]
    elif change == "alien":
        owner["alien"] = 1
    else:
        owner[path[-1]] = {"no": "such type"}
    assert not CHECK.is_valid(data), (path, change)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("port", 0),
        ("port", 65536),
        ("protocol", "sctp"),
        ("intended", "refused"),
        ("compiled", "error"),
        ("outcome", "missing"),
        ("verdict", "good"),
        ("denied_by", "both"),
        ("held_by", "me"),
        ("seconds", -1),
        ("attempts", -1),
        ("diagnosis", {"code": "magic", "text": "", "advice": ""}),
        ("counters", {"left": 1}),
    ],
)
def test_it_refuses_values_that_mean_nothing(key: str, value: object) -> None:
    assert CHECK.is_valid(SMALL)
    assert not CHECK.is_valid({**SMALL, "cells": [{**SMALL["cells"][0], key: value}]})


@pytest.mark.parametrize(
    ("key", "value"),
    [("format", 1), ("mode", "loud"), ("made", "yesterday"), ("services", {"x": {"title": "", "ports": ["6817"]}})],
)
def test_it_refuses_a_wrong_frame(key: str, value: object) -> None:
    assert not CHECK.is_valid({**SMALL, key: value})
