# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare the ports that services of a host are configured to listen on with the port file."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any, TypedDict

from ansible_collections.hpc.ports.plugins.module_utils._model.ports import PortRange, parse_ports, without
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import Vaulted, invalid, listed
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.everything import parse_service_ports
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.merge import (
    merged_section,
    narrowed,
    shipped_port_file,
    started,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.nesting import check_nesting
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.vaults import plain

__all__ = [
    "Listener",
    "config_ports",
    "enabled_flows",
    "rpc_ports",
    "service_port",
    "site_services",
    "unchecked_ports",
    "unopened_ports",
]

# RPC programs of NFS whose ports are not fixed (RFC 5531 numbers), and the service that has them.
RPC_PROGRAMS = {"100005": "mountd", "100021": "nfs_locks", "100024": "nfs_locks", "100011": "rquotad"}
_NEEDED = ("required", "recommended", "conditional")
_RPC_LINE = re.compile(r"\s*(\d+)\s+\d+\s+(tcp|udp)\s+(\d+)", re.ASCII)
_INCLUDE = re.compile(r"^\s*include\s", re.IGNORECASE | re.MULTILINE)


class Listener(TypedDict):
    """A listener: `ports` in the notation of the port file, and the `service` of the port file that it belongs to."""

    what: str
    service: str
    ports: str


def config_ports(text: str, path: str, options: Mapping[str, Mapping[str, str]]) -> list[Listener]:
    """Return the listeners in the configuration of a service, a file of `OPTION=VALUE`.

    `options` maps the name of an option to its `service` and its `default`. Names match in any case, the last value
    counts. An option that is absent has its default, except in a file that includes others, which are not seen.
    """
    without_comments = "\n".join(line.partition("#")[0] for line in text.splitlines())
    listeners: list[Listener] = []
    for option, setting in options.items():
        values = re.findall(rf"(?:^|\s){re.escape(option)}\s*=\s*[\"']?([0-9][0-9-]*)", without_comments, re.IGNORECASE)
        if values or not _INCLUDE.search(without_comments):
            description = f"{option} of {path}" if values else f"{option}, not set in {path},"
            listeners.append(
                {
                    "what": description,
                    "service": setting["service"],
                    "ports": f"{values[-1] if values else setting['default']}/tcp",
                }
            )
    return listeners


def rpc_ports(text: str) -> list[Listener]:
    """Return where the side services of NFS version 3 listen, from what `rpcinfo -p` prints."""
    registrations = {match.groups() for match in map(_RPC_LINE.match, text.splitlines()) if match}
    return [
        {
            "what": f"RPC program {number} ({RPC_PROGRAMS[number]})",
            "service": RPC_PROGRAMS[number],
            "ports": f"{port}/{protocol}",
        }
        for number, protocol, port in sorted(registrations)
        if number in RPC_PROGRAMS
    ]


def site_services(site: Any, settings: Mapping[str, Any] | None = None, shipped: Any = True) -> dict[str, Any]:
    """Return the services of the port file: those of a site merged over the shipped ones, as the plan merges them.

    `settings` are the site's other variables, some of which narrow a range of ports. `shipped` is its
    `firewall_shipped`. Raises PortFileError.
    """
    services = _merged("firewall_services", site, shipped)
    return narrowed(services, plain(site), settings or {})


def enabled_flows(site: Any, shipped: Any = True) -> list[str]:
    """Return the flows of the port file, merged as the plan does it, that are on by `enabled` or their need.

    A conditional flow counts: only the plan knows whether its endpoints have hosts. Raises PortFileError.
    """
    flows = _merged("firewall_flows", site, shipped)
    return sorted(
        name
        for name, flow in flows.items()
        if isinstance(flow, Mapping) and flow.get("enabled", flow.get("need") in _NEEDED) is True
    )


def _merged(key: str, site: Any, is_shipped: Any) -> dict[str, Any]:
    check_nesting(key, site)
    check_nesting("firewall_shipped", is_shipped)
    shipped = shipped_port_file()
    return merged_section(key, shipped[key], started(shipped, plain(is_shipped))[key], plain(site))


def service_port(services: Mapping[str, Mapping[str, Any]], name: str, position: int | None = None) -> str:
    """Return a TCP port of a service, to be written into its configuration; empty if it has none.

    `position` counts the ports from 0, in the order of the port file; without it the first range is returned whole, as
    `6817` or `6817-6820`. Raises ValueError for ports that cannot be parsed.
    """
    ranges = [port_range for port_range in _port_ranges(services, name) if port_range.protocol == "tcp"]
    if position is None:
        return str(ranges[0]).partition("/")[0] if ranges else ""
    for port_range in ranges:
        if position <= port_range.last - port_range.first:
            return str(port_range.first + position)
        position -= port_range.last - port_range.first + 1
    return ""


def unopened_ports(listeners: Iterable[Listener], services: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return a sentence for each listener outside the ports of its service.

    `services` are those of the port file, merged. Services that it lacks are not checked (see `unchecked_ports`).
    Raises ValueError for ports that cannot be parsed.
    """
    sentences = []
    for listener in listeners:
        name = listener["service"]
        if name in services and without([parse_ports(listener["ports"])], _port_ranges(services, name)):
            sentences.append(
                f"{listener['what']} is {listener['ports']}, but service {name} of the port file "
                f"{_ports_text(services[name])}."
            )
    return sentences


def unchecked_ports(listeners: Iterable[Listener], services: Collection[str]) -> list[str]:
    """Return a sentence for each listener that is not checked, because the port file lacks its service."""
    return [
        f"{listener['what']} is {listener['ports']}, and nothing checks that: the port file has no service "
        f"{listener['service']}."
        for listener in listeners
        if listener["service"] not in services
    ]


def _ports_text(service: Mapping[str, Any]) -> str:
    """Return the ports of a service for a message: the first few, without values from the vault."""
    ports = [repr(text) if isinstance(text, Vaulted) else text for text in service.get("ports") or ()]
    return f"is {listed(ports)}" if ports else "has no port"


def _port_ranges(services: Mapping[str, Mapping[str, Any]], name: str) -> list[PortRange]:
    service = services.get(name, {})
    if not isinstance(service, Mapping):
        raise invalid(f"firewall_services.{name}", service, "a dictionary")
    ports = service.get("ports", [])
    if not isinstance(ports, (list, tuple)):
        raise invalid(f"firewall_services.{name}.ports", ports, "a list of ports")
    return [port_range for text in ports for port_range in parse_service_ports(text)]
