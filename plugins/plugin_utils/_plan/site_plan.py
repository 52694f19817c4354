# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of a site from Ansible's variables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible import constants as C
from ansible.plugins.loader import connection_loader
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan, compile_plan
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.hostvars import site_catalogue, site_inventory
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.merge import shipped_port_file
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.ssh_variables import SSH_ARGUMENTS


def site_plan(variables: Mapping[str, Any], report_only: bool = False) -> Plan:
    """Return the plan of the `hostvars` and `groups` in these variables. Raises PortFileError.

    With `report_only`, the endpoint `controllers` may be empty.
    """
    catalogue, inventory = site_catalogue(shipped_port_file(), variables), site_inventory(variables, _ssh_settings())
    return compile_plan(catalogue, inventory, report_only=report_only)


def _ssh_settings() -> dict[str, Any]:
    """Return the settings of ssh in ansible.cfg, the environment and the command line, by the variables that win."""
    connection_loader.get("ssh", class_only=True)  # loads the definitions of its settings
    names = {"ansible_port": "port", **{name: name.replace("ansible_", "", 1) for name in SSH_ARGUMENTS}}
    return {
        variable: C.config.get_config_value(name, plugin_type="connection", plugin_name="ssh")
        for variable, name in names.items()
    }
