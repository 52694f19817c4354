# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values in the JSON schema of the port file. A template may stand for each of them.

`errorMessage` is what yaml-language-server shows. Other programs ignore it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ansible_collections.hpc.ports.tests.support import schema_patterns as patterns

Schema = dict[str, Any]


def described(description: str, schema: Schema) -> Schema:
    """Return a schema with a description, which editors show."""
    return {"description": description, **({"allOf": [schema]} if "$ref" in schema else schema)}


def ref(name: str) -> Schema:
    """Return a reference to a definition."""
    return {"$ref": f"#/definitions/{name}"}


def any_text(examples: Iterable[str] = ()) -> Schema:
    """Return the schema of any string. Editors offer the examples."""
    return {"type": "string", "errorMessage": "Expected a string.", **_offered(examples)}


def text(pattern: str, expected: str, examples: Iterable[str] = ()) -> Schema:
    """Return the schema of a string that matches a pattern."""
    return {**any_text(examples), "pattern": _or_template(pattern), "errorMessage": f"Expected {expected}."}


def choice(words: Iterable[str]) -> Schema:
    """Return the schema of one of these words."""
    words = list(words)
    shown = list(filter(None, words))
    return text("|".join(words), f"one of {', '.join(shown)}" if shown[1:] else shown[0], shown)


def boolean() -> Schema:
    """Return the schema of a boolean."""
    return {**text(patterns.SWITCH_WORDS, "true or false"), "type": ["boolean", "string"]}


def list_of(members: Schema, what: str, may_be_empty: bool = True) -> Schema:
    """Return the schema of a list."""
    least = {} if may_be_empty else {"minItems": 1}
    expected = f"a{'' if may_be_empty else ' non-empty'} list of {what}"
    template = {"pattern": patterns.TEMPLATE, "errorMessage": f"Expected {expected}."}
    return {"type": ["array", "string"], **template, "items": members, **least}


def dictionary(properties: dict[str, Schema], others: Schema | bool, required: Iterable[str] = ()) -> Schema:
    """Return the schema of a dictionary. `others` is the schema of its other keys, or false."""
    wanted = {"required": list(required)} if required else {}
    values = {"properties": properties, "additionalProperties": others}
    # `errorMessage` would hide which key is missing.
    template = {"pattern": patterns.TEMPLATE, "patternErrorMessage": "Expected a dictionary."}
    return {"type": ["object", "string"], **template, **values, **wanted}


def nullable(schema: Schema) -> Schema:
    """Return a schema that accepts null as well: null takes a shipped value away."""
    if "type" not in schema:
        return schema
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return {**schema, "type": [*kinds, "null"]}


def no_others(keys: Iterable[str]) -> Schema:
    """Return the schema of the value of any other key: null, because the merge removes a key with null unread."""
    return {"type": "null", "errorMessage": f"No such key. Expected one of {', '.join(keys)}."}


def _or_template(pattern: str) -> str:
    return f"^(?:{pattern})$|{patterns.TEMPLATE}"


def _offered(examples: Iterable[str]) -> Schema:
    return {"defaultSnippets": [{"label": name, "body": name} for name in examples]} if examples else {}
