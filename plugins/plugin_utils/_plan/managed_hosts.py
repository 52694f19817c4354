# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Say which hosts of the inventory get a firewall, and which do not."""

from __future__ import annotations

from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import listed


def managed_text(plan: Plan) -> str:
    """Return how many hosts get a firewall, and the hosts that do not; a long list is cut."""
    managed = len(plan.hosts)
    others = sorted(plan.inventory.hosts.keys() - plan.hosts.keys())
    if not others:
        return f"All {managed} hosts get a firewall." if managed > 1 else "The only host gets a firewall."
    return (
        f"{managed} {'hosts get' if managed > 1 else 'host gets'} a firewall, {len(others)} "
        f"{'do' if len(others) > 1 else 'does'} not: {listed(others)} (in no group of hpc.ports)."
    )
