# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ports to test on a host: ports of services, and ports next to and between them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ansible_collections.hpc.ports.plugins.module_utils._model.policy import Policy, segments
from ansible_collections.hpc.ports.plugins.module_utils._model.ports import PortRange, without
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.everything import port_texts

if TYPE_CHECKING:
    from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan


def probed_ports(plan: Plan, policy: Policy) -> list[tuple[str, int]]:
    """Return the ports to test on hosts of a policy.

    These are the first and last ports of all named services, the edges of broad services, and a few other ports.
    """
    named = [ports for service in plan.catalogue.services.values() if service.has_own_ports for ports in service.ports]
    ports_to_test = set(_ends(named)) | _edges(plan, policy)
    for protocol in ("tcp", "udp"):
        rest = without([PortRange(protocol, 1, 65535)], named)
        if rest:
            ports_to_test |= {(protocol, port) for port in (rest[0].first, rest[len(rest) // 2].first, rest[-1].last)}
    return _with_numbers(ports_to_test)


def flow_ports(plan: Plan, flow: str, opened: Iterable[PortRange]) -> list[tuple[str, int]]:
    """Return the first and last port of each `opened` range of a flow's services."""
    opened = list(opened)
    ranges = [ports for name in plan.flows_on[flow].services for ports in plan.catalogue.services[name].ports]
    pieces = [piece for ports in ranges for piece in without([ports], without([ports], opened))]
    return _with_numbers(_ends(pieces))


def portless(plan: Plan) -> list[str]:
    """Return descriptions of the services that are IP protocols, which have no ports."""
    return sorted(
        {
            f"{service.name} ({text})"
            for service in plan.catalogue.services.values()
            for text in port_texts(service.ports)
            if text.endswith("/ip")
        }
    )


def _with_numbers(ports: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    """Return the ports to which a program can connect: no IP protocols, and no port 0."""
    return sorted(port for port in set(ports) if port[0] != "ip" and 1 <= port[1] <= 65535)


def _ends(ranges: Iterable[PortRange]) -> Iterable[tuple[str, int]]:
    return ((ports.protocol, port) for ports in ranges for port in (ports.first, ports.last))


def _edges(plan: Plan, policy: Policy) -> set[tuple[str, int]]:
    """Return the first and last ports of each segment of broad services and `any/ip`, and the ports next to them."""
    services = plan.catalogue.services
    broad = {
        flow.name for flow in plan.flows_on.values() if not all(services[name].has_own_ports for name in flow.services)
    }
    ports_to_test = set()
    for segment in segments(rule for rule in policy.rules if rule.direction == "in"):
        if any(rule.flow in broad for rule in segment.rules):
            first, last = segment.ports.first, segment.ports.last
            ports_to_test |= {(segment.ports.protocol, port) for port in (first - 1, first, last, last + 1)}
    return ports_to_test
