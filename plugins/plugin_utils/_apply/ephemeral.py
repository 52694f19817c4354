# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare the ephemeral ports that a host reported with the needs of its services, on the controller.

`needs` has a value for each role, see the option `port_needs` of the module `firewall`. A host that reported nothing is
not compared. All functions raise AttributeError, KeyError, TypeError or ValueError for needs that cannot be parsed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.hpc.ports.plugins.module_utils._ephemeral.demands import (
    Demands,
    clashes,
    parsed_demands,
    parsed_described,
)

Needs = Mapping[str, Mapping[str, Any]]


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
    if not {"ephemeral_ports", "reserved_ports"} <= set(result):
        return []
    return clashes(parsed_described(result["ephemeral_ports"], result["reserved_ports"]), demands)


def _demands(needs: Needs, declared: str | None = None) -> Demands:
    lists = _lists(needs)
    return parsed_demands(lists["reserved"], lists["within"], declared)


def _lists(needs: Needs) -> dict[str, list[Any]]:
    return {name: [demand for need in needs.values() for demand in need[name]] for name in ("reserved", "within")}
