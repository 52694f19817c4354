# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find flows and services that do not do what they seem to do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import date

from ansible_collections.hpc.ports.plugins.module_utils._model.policy import MANAGEMENT_FLOW
from ansible_collections.hpc.ports.plugins.module_utils._model.ports import PortRange, without
from ansible_collections.hpc.ports.plugins.plugin_utils._lint.coverage import first_covering, sides_and_services
from ansible_collections.hpc.ports.plugins.plugin_utils._lint.findings import Finding, flow_key, hosts_text, ports_text
from ansible_collections.hpc.ports.plugins.plugin_utils._lint.networks import claimed_ports, uses_broad, uses_range
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import HostKind, Plan
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.catalogue import Flow
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.variables import SITE_DEFAULTS

# Ranges of srun that the role slurm does not write into slurm.conf: the default, and the range of the document.
UNPINNED = ([f"{SITE_DEFAULTS['firewall_srun_ports']}/tcp"], ["8192-60000/tcp"])
# One in this many ephemeral ports may be closed to srun: lockd always has one of the usual ones.
MOST_LOST = 1000


def _duplicate_flows(plan: Plan, today: date) -> Iterator[Finding]:
    seen: dict[tuple[object, ...], str] = {}
    for flow in plan.catalogue.flows.values():
        first = seen.setdefault(sides_and_services(flow), flow.name)
        if first != flow.name:
            yield Finding(
                "duplicate-flow",
                "warning",
                flow_key(flow),
                f"Is equal to flow {first} (which is {'on' if first in plan.flows_on else 'off'}). Keep one of them.",
            )


def equal_flows(plan: Plan, flow: Flow) -> list[str]:
    """Return the names of the other flows that are equal to a flow."""
    others = [other for other in plan.catalogue.flows.values() if other.name != flow.name]
    return [other.name for other in others if sides_and_services(other) == sides_and_services(flow)]


def _shadowed_flows(plan: Plan, today: date) -> Iterator[Finding]:
    # A range of thousands of ports is one finding of least-privilege, whatever else it covers.
    flows = [flow for flow in plan.flows_on.values() if not uses_broad(plan, flow) and not uses_range(plan, flow)]
    for name, covering in first_covering(plan, flows).items():
        if name != MANAGEMENT_FLOW:
            yield Finding(
                "shadowed-flow",
                "warning",
                flow_key(plan.flows_on[name]),
                f"Flow {covering} covers this flow completely, so turning this flow off closes nothing. Turn off "
                "or narrow one of them.",
            )


def _unused_services(plan: Plan, today: date) -> Iterator[Finding]:
    used = {name for flow in plan.catalogue.flows.values() for name in flow.services}
    for service in plan.catalogue.services.values():
        if service.declared_by_site and service.name not in used:
            yield Finding(
                "unused-service",
                "warning",
                f"firewall_services.{service.name}",
                "No flow uses this service, so it opens nothing, and broad services do not exclude its ports. Use it "
                "in a flow, which may be off, or delete it.",
            )


def _srun_unpinned(plan: Plan, today: date) -> Iterator[Finding]:
    service = plan.catalogue.services.get("srun")
    if not service or [str(port_range) for port_range in service.ports] not in UNPINNED:
        return
    hosts_by_kind: dict[tuple[HostKind, PortRange], list[str]] = defaultdict(list)
    for name in _srun_hosts(plan):
        hosts_by_kind[plan.kinds[name], plan.inventory.hosts[name].ephemeral_ports].append(name)
    lost: dict[tuple[PortRange, ...], list[str]] = defaultdict(list)
    for (kind, ephemeral), hosts in hosts_by_kind.items():
        closed = without([ephemeral], _unclaimed(plan, kind))
        if _size(closed) * MOST_LOST > _size([ephemeral]):
            lost[tuple(closed)] += hosts
    for ports, hosts in sorted(lost.items()):
        yield Finding(
            "srun-unpinned",
            "warning",
            hosts_text(sorted(hosts)),
            f"srun without SrunPortRange uses any port of firewall_ephemeral_ports, but {ports_text(ports)} is "
            "not open to it, and srun hangs on such a port. Set SrunPortRange in slurm.conf and "
            "firewall_srun_ports to one narrow range, such as 60001-63000.",
        )


def _size(ranges: Iterable[PortRange]) -> int:
    return sum(ports.last - ports.first + 1 for ports in ranges)


def _srun_hosts(plan: Plan) -> set[str]:
    targets = {name for flow in plan.flows_on.values() if "srun" in flow.services for name in flow.targets}
    return {host for name in targets for host in plan.addresses.members(name) if host in plan.hosts}


def _unclaimed(plan: Plan, kind: HostKind) -> list[PortRange]:
    """Return the ports that are open inside the cluster on hosts of a kind and belong to no other service."""
    ports = [
        ports
        for flow in plan.flows_on.values()
        if flow.within_cluster and kind.endpoints & set(flow.targets)
        for name in flow.services
        for ports in plan.catalogue.services[name].ports
    ]
    return without(ports, claimed_ports(plan, kind))


RULES = (_duplicate_flows, _shadowed_flows, _unused_services, _srun_unpinned)
