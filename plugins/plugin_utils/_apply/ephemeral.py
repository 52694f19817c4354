# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare the ephemeral ports that a host reported with the needs of its services, without another task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.hpc.ports.plugins.module_utils._ephemeral.demands import (
    clashes,
    parsed_demands,
    parsed_described,
)


def compared(
    host: str, result: Mapping[str, Any], needs: Mapping[str, Mapping[str, Any]], declared: str
) -> dict[str, Any]:
    """Return what to add to the result of a host: that the role has ports to fix, or a warning of conflicts.

    `needs` has a value for each role. Raises ValueError and TypeError for needs that cannot be parsed.
    """
    if not needs or not {"ephemeral_ports", "reserved_ports"} <= set(result):
        return {}
    running = parsed_described(result["ephemeral_ports"], result["reserved_ports"])
    if clashes(running, _demands({role: need for role, need in needs.items() if need["fix"]})):
        return {"ports_to_fix": True}
    found = clashes(running, _demands(needs, declared))
    if not found:
        return {}
    variables = ", ".join(f"{role}_fix_ephemeral_ports" for role, need in needs.items() if not need["fix"])
    remedy = f" To have the next run fix this, set {variables}." if variables else ""
    # Ansible shows a warning without its host.
    return {"warnings": [*result.get("warnings", []), f"{host}: {' '.join(found)}{remedy}"]}


def _demands(needs: Mapping[str, Mapping[str, Any]], declared: str | None = None) -> Any:
    reserved, within = ([demand for need in needs.values() for demand in need[name]] for name in ("reserved", "within"))
    return parsed_demands(reserved, within, declared)
