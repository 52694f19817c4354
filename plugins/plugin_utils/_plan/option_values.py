# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The error for the value of an option that names the variable of the playbook. Ansible's names only the option."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import invalid, nearest

_EXPECTED = {"bool": "true or false", "dict": "a dictionary", "int": "an integer", "list": "a list"}


def check_value(variable: str, spec: Mapping[str, Any], value: object) -> None:
    """Raise PortFileError if the value of an option does not fit its argument spec.

    Ansible would write a list or a dictionary as the text of an option that takes a text.
    """
    is_no_text = spec["type"] in ("path", "str") and isinstance(value, (list, dict))
    if is_no_text or ArgumentSpecValidator({variable: dict(spec)}).validate({variable: value}).error_messages:
        raise invalid(variable, value, _expected(spec), nearest(value, spec.get("choices", ())))


def _expected(spec: Mapping[str, Any]) -> str:
    if "choices" in spec:
        return f"{'a list of ' if spec['type'] == 'list' else ''}{_alternatives(spec['choices'])}"
    return _EXPECTED.get(spec["type"], "a text")


def _alternatives(names: Sequence[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last
