# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every variable of the collection that begins with `firewall_`: the settings that the plan reads, and all others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.merge import RANGES

PREFIX = "firewall_"

# hostvars do not contain role defaults, so the plan needs these copies. A test compares them with the role.
# The settings of the whole inventory.
SITE_DEFAULTS: dict[str, Any] = {
    "firewall_services": {},
    "firewall_endpoints": {},
    "firewall_flows": {},
    "firewall_clusters": {},
    "firewall_shipped": True,
    "firewall_broad_yields": True,
    "firewall_isolated_networks": [],
    "firewall_ssh_through_tunnel": False,
    **dict(RANGES.values()),
}
# The settings of a host.
HOST_DEFAULTS: dict[str, Any] = {
    "firewall_addresses": [],
    "firewall_source_addresses": [],
    "firewall_shared_addresses": [],
    "firewall_cluster": "default",
    "firewall_egress": "open",
    "firewall_mode": "enforce",
    "firewall_backend": "auto",
    "firewall_trusted_interfaces": [],
    "firewall_container_interfaces": [
        "br-*",
        "cali*",
        "cni*",
        "docker*",
        "incusbr*",
        "lxc*",
        "lxdbr*",
        "podman*",
        "veth*",
        "virbr*",
    ],
    "firewall_filtered_containers": [
        "br-*",
        "cni-podman*",
        "docker*",
        "incusbr*",
        "lxcbr*",
        "lxdbr*",
        "podman*",
        "virbr*",
    ],
    "firewall_ephemeral_ports": "32768-60999",
}
# Settings of the role firewall and of playbooks, which the plan does not read.
OTHER_SETTINGS = (
    "firewall_state",
    "firewall_confirm_within",
    "firewall_lockout_guard",
    "firewall_cut_established",
    "firewall_watch",
    "firewall_boot_failure",
    "firewall_without",
    "firewall_port_needs",
    "firewall_serial",
    "firewall_remove_hosts",
)
# What tasks of the collection register or define. Hosts have some of them later in the same run.
_OF_TASKS = (
    "firewall_all_port_needs",
    "firewall_needs",
    "firewall_plan",
    "firewall_problems",
    "firewall_result",
    "firewall_role_needs",
)
SETTINGS = (*SITE_DEFAULTS, *HOST_DEFAULTS, *OTHER_SETTINGS)
_OURS = frozenset((*SETTINGS, *_OF_TASKS))


def unknown_variables(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names that begin like variables of the collection and are none of them, sorted."""
    return tuple(sorted(name for name in names if name.startswith(PREFIX) and name not in _OURS))
