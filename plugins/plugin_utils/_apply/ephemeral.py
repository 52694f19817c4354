# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare the ephemeral ports that a host reported with the needs of its services, on the controller.

A host that reported nothing, or something else, is not compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.hpc.ports.plugins.module_utils._ephemeral.demands import (
    OPTIONS,
    Demands,
    clashes,
    parsed_demands,
    parsed_described,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError, invalid

# By role: `reserved` and `within`, lists as for the module `ephemeral_ports`, and whether to `fix` conflicts.
Needs = Mapping[str, Mapping[str, Any]]

_DEMANDS = {"type": "list", "elements": "dict", "required": True, "options": OPTIONS}
_NEED = ArgumentSpecValidator({"reserved": _DEMANDS, "within": _DEMANDS, "fix": {"type": "bool", "required": True}})
_EXPECTED = (
    "a dictionary with the lists reserved and within, of dictionaries with what and ports, and fix, true or false"
)


def parsed_needs(needs: Any, declared: str) -> Needs:
    """Return the needs with values of their types. Raises PortFileError for other needs, or an invalid range."""
    if not isinstance(needs, Mapping):
        raise invalid("port_needs", needs, "a dictionary by role")
    parsed = {role: _parsed_need(role, need) for role, need in needs.items()}
    try:
        _demands(parsed, declared)
    except ValueError as exc:
        raise PortFileError(f"Invalid port_needs or declared_range: {exc}.") from None
    return parsed


def _parsed_need(role: str, need: Any) -> dict[str, Any]:
    result = _NEED.validate(dict(need)) if isinstance(need, Mapping) else None
    if result is None or result.error_messages:
        raise invalid(f"port_needs.{role}", need, _EXPECTED)
    return result.validated_parameters


def fixes(result: Mapping[str, Any], needs: Needs) -> dict[str, Any]:
    """Return the options of the module `ephemeral_ports` that fix the conflicts; nothing if there are none to fix."""
    wanted = {role: need for role, need in needs.items() if need["fix"]}
    return {**_lists(wanted), "fix": True} if _clashes(result, _demands(wanted)) else {}


def conflicts(host: str, result: Mapping[str, Any], needs: Needs, declared: str) -> list[str]:
    """Return a warning if the host has conflicts, or another range than `declared`; otherwise none."""
    found = _clashes(result, _demands(needs, declared)) if needs else []
    variables = ", ".join(f"{role}_fix_ephemeral_ports" for role, need in needs.items() if not need["fix"])
    remedy = f" To have the next run fix this, set {variables}." if variables else ""
    # Ansible shows a warning without its host.
    return [f"{host}: {' '.join(found)}{remedy}"] if found else []


def _clashes(result: Mapping[str, Any], demands: Demands) -> list[str]:
    try:
        return clashes(parsed_described(result["ephemeral_ports"], result["reserved_ports"]), demands)
    except (AttributeError, KeyError, TypeError, ValueError):
        return []


def _demands(needs: Needs, declared: str | None = None) -> Demands:
    lists = _lists(needs)
    return parsed_demands(lists["reserved"], lists["within"], declared)


def _lists(needs: Needs) -> dict[str, list[Any]]:
    return {name: [demand for need in needs.values() for demand in need[name]] for name in ("reserved", "within")}
