# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How what a site writes is merged over what is shipped: the one way of the plan and of the roles' filters."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.hpc.ports.plugins.module_utils._model.policy import FLOW_NAME, MANAGEMENT_FLOW
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import invalid, nearest

# The shipped port file.
PORT_FILE = Path(__file__).with_name("port_file.yml")
# The variable that narrows the range of a broad service, and what it is by default.
RANGES = {"srun": ("firewall_srun_ports", "8192-60000"), "user_ports": ("firewall_user_ports", "1024-65535")}


def started(shipped: Mapping[str, Any], is_shipped: Any) -> Mapping[str, Any]:
    """Return what a site is merged over: the shipped port file, or by `firewall_shipped` only what Ansible needs of it."""
    if not isinstance(is_shipped, bool):
        raise invalid("firewall_shipped", is_shipped, "true or false")
    if is_shipped:
        return shipped
    flow = shipped["firewall_flows"][MANAGEMENT_FLOW]
    wanted = {
        "firewall_services": flow["services"],
        "firewall_endpoints": [*flow["from"], *flow["to"]],
        "firewall_flows": [MANAGEMENT_FLOW],
    }
    return {key: {name: shipped[key][name] for name in names if name in shipped[key]} for key, names in wanted.items()}


def merged_section(key: str, shipped: Mapping[str, Any], base: Mapping[str, Any], over: Any) -> dict[str, Any]:
    """Return one dictionary of the port file. Raises PortFileError, which names the key.

    `over` is the site's and `base` what it is merged over: `shipped`, or less where the site starts from an empty file.
    """
    result: dict[str, Any] = merge(key, base, over)
    for name, value in over.items():
        if not (isinstance(name, str) and FLOW_NAME.fullmatch(name)):
            raise invalid(f"name in {key}", name, "a lower-case letter, then up to 63 of a-z, 0-9 and _")
        if value is None and name not in shipped:
            raise invalid(
                f"{key}.{name}", value, "the name of a shipped one, because null deletes", nearest(name, shipped)
            )
    return result


def merge(key: str, base: Any, over: Any) -> Any:
    """Return `over` merged over `base`: a dictionary merges, a list or a scalar replaces, null deletes."""
    if not isinstance(over, Mapping):
        if isinstance(base, Mapping):
            raise invalid(key, over, "a dictionary to merge")
        return over
    if not isinstance(base, Mapping):
        base = {}
    result = dict(base)
    for name, value in over.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge(f"{key}.{name}", base.get(name), value)
    return result


def narrowed(services: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the services with the ranges that the site's variables give to some, of those that there are."""
    result = dict(services)
    for name, (variable, usual) in RANGES.items():
        ports = settings.get(variable, usual)
        if ports != usual and isinstance(services.get(name), Mapping):
            result[name] = {**services[name], "ports": [f"{ports}/tcp"]}
    return result
