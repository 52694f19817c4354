# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find services that a flow opens more widely than they allow, unless another rule reports the same cause."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from ansible_collections.hpc.ports.plugins.module_utils._model.ports import without
from ansible_collections.hpc.ports.plugins.plugin_utils._lint.advice import (
    OUTSIDE_CLUSTER,
    between_wide_networks,
    breaches_of,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._lint.findings import Finding, flow_key
from ansible_collections.hpc.ports.plugins.plugin_utils._lint.networks import (
    Breach,
    has_too_many_ports,
    networks_of,
    source_networks,
    widest_breach,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.catalogue import Flow, Service
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.networks import PLATFORM_PREFIX

_OTHER_HOSTS = "other hosts"


def _exposure(plan: Plan, today: date) -> Iterator[Finding]:
    for flow in plan.flows_on.values():
        widest = widest_breach(source_networks(plan, flow), PLATFORM_PREFIX)
        for service in (plan.catalogue.services[name] for name in flow.services):
            source = _excess_source(flow, service.exposure, widest)
            if source and not _is_reported(plan, flow, service, source):
                yield Finding(
                    "exposure",
                    "error",
                    flow_key(flow),
                    f"Opens service {service.name} to {source}, but its exposure is {service.exposure}.",
                )


def _excess_source(flow: Flow, exposure: str, widest: Breach | None) -> str:
    if exposure == "host":
        return _OTHER_HOSTS
    if exposure == "cluster" and not flow.within_cluster:
        return OUTSIDE_CLUSTER
    return widest.source if widest and exposure != "public" else ""


def _is_reported(plan: Plan, flow: Flow, service: Service, source: str) -> bool:
    """Return whether another rule reports that the flow opens all ports of the service to this source."""
    if source == _OTHER_HOSTS:
        return False
    if service.broad or has_too_many_ports(plan, service.name):
        breach = between_wide_networks(plan, flow)
        return breach is not None and breach.source == source
    reported = [
        port
        for _advice, ports, breach in breaches_of(plan, flow)
        if _is_same(plan, flow, breach.source, source)
        for port in ports
    ]
    return not without(service.ports, reported)


def _is_same(plan: Plan, flow: Flow, reported: str, source: str) -> bool:
    """Return whether what another rule reports includes the source: the same networks, or an endpoint with them."""
    if reported in (source, OUTSIDE_CLUSTER):
        return True
    networks = networks_of(plan, flow, (reported,)) if reported in flow.sources else ()
    widest = widest_breach(networks, PLATFORM_PREFIX)
    return widest is not None and widest.source == source


RULES = (_exposure,)
