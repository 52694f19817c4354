# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An error about the value of an option names the variable of the playbook that sets it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.option_values import check_value
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError

BY = {"type": "str", "choices": ["class", "host"], "default": "class"}
BACKENDS = {"type": "list", "elements": "str", "choices": ["a", "b", "c"], "default": []}


@pytest.mark.parametrize(
    ("spec", "value", "message"),
    [
        (BY, "hosts", "Invalid x_by: got 'hosts', expected class or host. Did you mean 'host'?"),
        (BACKENDS, ["a", "d"], "Invalid x_by: got ['a', 'd'], expected a list of a, b or c."),
        ({"type": "str", "choices": ["a"]}, "b", "Invalid x_by: got 'b', expected a."),
        ({"type": "bool", "default": True}, "perhaps", "Invalid x_by: got 'perhaps', expected true or false."),
        ({"type": "path"}, {"a": 1}, "Invalid x_by: got {'a': 1}, expected a text."),
        ({"type": "str"}, ["a"], "Invalid x_by: got ['a'], expected a text."),
        ({"type": "dict", "default": {}}, "n1", "Invalid x_by: got 'n1', expected a dictionary."),
        ({"type": "list", "elements": "path"}, {"a": 1}, "Invalid x_by: got {'a': 1}, expected a list."),
    ],
)
def test_a_value_that_does_not_fit_is_refused(spec: Mapping[str, Any], value: object, message: str) -> None:
    with pytest.raises(PortFileError) as caught:
        check_value("x_by", spec, value)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("spec", "value"),
    [
        (BY, "host"),
        *((BACKENDS, value) for value in ("a,b", ["a", "b"], [])),
        ({"type": "bool"}, "yes"),
        ({"type": "dict"}, '{"a": 1}'),
        ({"type": "list", "elements": "path"}, "a.html,b.md"),
    ],
)
def test_what_ansible_converts_is_accepted(spec: Mapping[str, Any], value: object) -> None:
    check_value("x_by", spec, value)
