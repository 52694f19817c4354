# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Merge the port file of a site over the shipped port file, for the plan and for the filters of the roles."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from ansible.module_utils.common.yaml import yaml_load
from ansible_collections.hpc.ports.plugins.module_utils._model.names import FLOW_NAME
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import MANAGEMENT_FLOW
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import (
    PortFileError,
    invalid,
    nearest,
    shown_value,
)

# The shipped port file.
PORT_FILE = Path(__file__).with_name("port_file.yml")
# By broad service: the variable that sets its port range, and the default of this variable.
RANGES = {"srun": ("firewall_srun_ports", "8192-60999"), "user_ports": ("firewall_user_ports", "1024-65535")}


@cache
def shipped_port_file() -> dict[str, Any]:
    """Return the shipped port file. It is shared: nobody may change it.

    Ansible's own loader would note the line of each value and copy all of it, which costs more than the plan.
    """
    return yaml_load(PORT_FILE.read_text(encoding="utf-8"))


def started(shipped: Mapping[str, Any], is_shipped: Any) -> Mapping[str, Any]:
    """Return the base of the merge: the shipped port file, or only its management flow without `firewall_shipped`."""
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
    """Return one dictionary of the port file, merged. Raises PortFileError.

    `over` comes from the site, and `base` from `started`. `shipped` is the complete shipped dictionary: a site may
    delete any name in it, even if `base` lacks the name.
    """
    result: dict[str, Any] = merge(key, base, over)
    for name, value in over.items():
        if not (isinstance(name, str) and FLOW_NAME.fullmatch(name)):
            raise invalid(
                f"name in {key}", name, "a name that starts with a lower-case letter, then up to 63 of a-z, 0-9 and _"
            )
        if value is None and name not in shipped:
            raise invalid(
                f"{key}.{name}",
                value,
                "the name of a shipped entry, because null deletes a shipped entry",
                nearest(name, shipped),
            )
    return result


def merge(key: str, base: Any, over: Any) -> Any:
    """Return `over` merged over `base`: a dictionary is merged, a list or scalar replaces, null deletes."""
    if not isinstance(over, Mapping):
        if isinstance(base, Mapping):
            raise invalid(key, over, "a dictionary, because it is merged over the shipped one")
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


def narrowed(services: Mapping[str, Any], own: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the services, where the broad services of `RANGES` have the port ranges from the site's variables.

    `own` are the services that the site itself wrote. Raises PortFileError if they have other ports.
    """
    result = dict(services)
    for name, (variable, usual) in RANGES.items():
        ports = settings.get(variable, usual)
        if ports != usual and isinstance(services.get(name), Mapping):
            wanted = [f"{ports}/tcp"]
            written = own[name].get("ports") if isinstance(own.get(name), Mapping) else None
            if written not in (None, wanted):
                raise _ignored(f"firewall_services.{name}.ports", written, variable, ports)
            result[name] = {**services[name], "ports": wanted}
    return result


def _ignored(key: str, written: Any, variable: str, ports: Any) -> PortFileError:
    """Return the error for ports that the variable of the range would override."""
    return invalid(
        key,
        written,
        f"no ports, because {variable} is {shown_value(ports)}",
        f"Write the range into {variable} and delete the ports here, or delete {variable} if the service needs more "
        "than one range of TCP.",
    )
