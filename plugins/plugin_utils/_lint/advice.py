# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The advice of the two source documents, checked against the flows that are on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from typing import NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._model.ports import PortRange
from ansible_collections.hpc.ports.plugins.plugin_utils._lint.broad import Closed, closed_text
from ansible_collections.hpc.ports.plugins.plugin_utils._lint.findings import Finding, flow_key, ports_text
from ansible_collections.hpc.ports.plugins.plugin_utils._lint.networks import (
    KNOWN_PREFIX,
    MOST_PORTS,
    Breach,
    has_too_many_ports,
    internal_networks,
    networks_of,
    outside_networks,
    reaches,
    source_networks,
    widest_breach,
    without_networks,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._lint.software import Software, ports_for, software
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.catalogue import Flow, Service
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import listed
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.everything import is_everything, port_texts
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.networks import PLATFORM_PREFIX

OUTSIDE_CLUSTER = "hosts outside the cluster"


class Advice(NamedTuple):
    """The sources that may connect to this software on hosts of these groups (on all hosts without groups)."""

    rule: str
    software: Software
    breach: Callable[[Plan, Flow], Breach | None]
    expected: str
    groups: tuple[str, ...] = ()


def _advice(plan: Plan, today: date) -> Iterator[Finding]:
    for flow in plan.flows_on.values():
        for advice, ports, breach in breaches_of(plan, flow):
            yield Finding(
                advice.rule,
                breach.severity,
                flow_key(flow),
                f"Opens {ports_text(ports)} to {breach.source}, expected {advice.expected}.",
            )


def breaches_of(plan: Plan, flow: Flow) -> Iterator[tuple[Advice, list[PortRange], Breach]]:
    """Yield the advice that a flow does not follow, with the ports that it opens, and to which sources."""
    for advice in ADVICE:
        ports = ports_for(plan, flow, advice.software)
        breach = advice.breach(plan, flow) if ports and reaches(plan, flow, advice.groups) else None
        if breach:
            yield advice, ports, breach


def _from_unknown(plan: Plan, flow: Flow) -> Breach | None:
    return widest_breach(source_networks(plan, flow), KNOWN_PREFIX)


def _from_outside(plan: Plan, flow: Flow) -> Breach | None:
    external = [
        network
        for network in source_networks(plan, flow)
        if not any(network in internal for internal in internal_networks())
    ]
    return widest_breach(external, KNOWN_PREFIX)


def _from_other_clusters(plan: Plan, flow: Flow) -> Breach | None:
    return None if flow.within_cluster else Breach(OUTSIDE_CLUSTER)


def _from_others_than_monitoring(plan: Plan, flow: Flow) -> Breach | None:
    book = plan.addresses
    if not any(book.members(name) - book.members("monitoring") for name in flow.targets):
        return None
    servers = book.peers(("monitoring",), None, source=True)
    for name in flow.sources:
        if without_networks(book.peers((name,), None, source=True), servers):
            return Breach(name)
    return None


def _docker_without_encryption(plan: Plan, today: date) -> Iterator[Finding]:
    for flow in plan.flows_on.values():
        if ports_for(plan, flow, DOCKER_PLAIN) and reaches(plan, flow):
            yield Finding(
                "docker-without-encryption",
                "warning",
                flow_key(flow),
                "Opens 2375/tcp: every client of this port is root on the host, without a password and without "
                "encryption. Use Docker with TLS on 2376/tcp.",
            )


def _access_review(plan: Plan, today: date) -> Iterator[Finding]:
    for flow in plan.flows_on.values():
        ports = ports_for(plan, flow, RDP) if reaches(plan, flow) else []
        ports += ports_for(plan, flow, VSCODE) if reaches(plan, flow, ("workbench",)) else []
        if flow.review_by and flow.review_by < today:
            yield Finding(
                "access-review",
                "warning",
                flow_key(flow),
                f"Was due for review on {flow.review_by}. Check who still needs the flow, then set a new review_by.",
            )
        elif not flow.review_by and ports:
            yield Finding(
                "access-review",
                "warning",
                flow_key(flow),
                f"Opens {ports_text(ports)}, expected review_by, the date of the next review of who needs the flow.",
            )


def _mutual_tls_note(plan: Plan, today: date) -> Iterator[Finding]:
    for flow in plan.flows_on.values():
        if ports_for(plan, flow, CAC_LOGIN) and not flow.note and reaches(plan, flow, ("control_plane",)):
            yield Finding(
                "mutual-tls-note",
                "warning",
                flow_key(flow),
                "Opens 8443/tcp, expected a note that says where TLS ends: on the platform itself, never on a load "
                "balancer, because the platform checks the client's certificate.",
            )


def _least_privilege(plan: Plan, today: date) -> Iterator[Finding]:
    used = sorted({name for flow in plan.flows_on.values() for name in flow.services})
    services = [plan.catalogue.services[name] for name in used]
    closed = Closed(plan)
    for service in services:
        if has_too_many_ports(plan, service.name) and not service.broad:
            yield _range_not_broad(plan, service, closed)
    if not plan.catalogue.broad_yields and any(service.broad for service in services):
        yield Finding(
            "least-privilege",
            "warning",
            "firewall_broad_yields",
            "Is false, so broad services also open the ports of databases, monitoring and Docker on the same "
            "host. Set it to true.",
        )
    for flow in plan.flows_on.values():
        broad = [name for name in flow.services if plan.catalogue.services[name].broad]
        breach = between_wide_networks(plan, flow) if broad else None
        if breach:
            yield Finding(
                "least-privilege",
                breach.severity,
                flow_key(flow),
                f"Opens the whole range of {listed(broad)} between hosts and {breach.source}, expected only the "
                "needed ports, or narrower networks.",
            )


def _range_not_broad(plan: Plan, service: Service, closed: Closed) -> Finding:
    """Return the one finding for a range, with the flows that open it widely, and what `broad: true` would close."""
    flows = [flow for flow in plan.flows_on.values() if service.name in flow.services]
    breaches = {flow.name: breach for flow in flows if (breach := between_wide_networks(plan, flow))}
    widely = f", also to {min(breaches.values(), key=_rank).source} (flow {listed([*breaches])})" if breaches else ""
    narrowed = closed.narrowed_by(service)
    taken = f", and takes these ports from {listed(narrowed)} on the same hosts" if narrowed else ""
    would_close = closed_text(closed.by_flow(service, only_needed=False))
    warning = f" broad: true would close {would_close}: open what is needed in other flows." if would_close else ""
    # any/ip cannot be broad.
    broad = "1-65535/tcp and 1-65535/udp with broad: true" if is_everything(service.ports) else "broad: true"
    return Finding(
        "least-privilege",
        min(breaches.values(), key=_rank).severity if breaches else "warning",
        f"firewall_services.{service.name}",
        f"Has {listed(port_texts(service.ports))}, more than {MOST_PORTS} ports{widely}{taken}, expected only the "
        f"needed ports, or {broad}, so that the ports of other services stay closed.{warning}",
    )


def _rank(breach: Breach) -> bool:
    return breach.severity != "error"


def between_wide_networks(plan: Plan, flow: Flow) -> Breach | None:
    """Return the wide network from or to which a flow opens its services, unless it is within a cluster."""
    if flow.within_cluster:
        return None
    return _from_unknown(plan, flow) or widest_breach(networks_of(plan, flow, flow.targets), PLATFORM_PREFIX)


def _udp_by_address(plan: Plan, today: date) -> Iterator[Finding]:
    """Skip flows from anywhere, where a forged address gains nothing, and from single hosts, which are few."""
    flows = [
        flow.name
        for flow in plan.flows_on.values()
        if _has_udp(plan, flow)
        and any(
            network.size > 1 and network.prefixlen >= PLATFORM_PREFIX[network.version]
            for network in outside_networks(plan, flow, flow.sources)
        )
    ]
    if flows:
        yield Finding(
            "udp-by-address",
            "note",
            "firewall_flows",
            f"Flows that accept UDP from whole networks: {listed(flows)}. UDP has no handshake, so a packet with a "
            "forged address of such a network passes. Check sources on hosts and routers (rp_filter, see "
            "docs/security.md), and let the services authenticate their clients.",
        )


def _has_udp(plan: Plan, flow: Flow) -> bool:
    is_opened = any(plan.addresses.members(name) & plan.hosts.keys() for name in flow.targets)
    return is_opened and any(
        ports.protocol == "udp" for name in flow.services for ports in plan.catalogue.services[name].ports
    )


SSH = software("ssh", "22/tcp")
DOCKER = software("docker_plain docker_tls", "2375-2376/tcp")
DOCKER_PLAIN = software("docker_plain", "2375/tcp")
RDP = software("rdp rdp_udp", "3389/tcp 3389/udp")
VSCODE = software("vscode_server", "3000/tcp")
DESKTOPS = software("rdp rdp_udp jupyter vscode_server", "3389/tcp 3389/udp 8888/tcp 3000/tcp")
CAC_LOGIN = software("cac_login", "8443/tcp")
SCHEDULERS = software(
    "slurmctld slurmd slurmdbd pbs_server pbs_mom pbs_comm", "6817-6819/tcp 15001-15003/tcp 17001/tcp"
)
SLURM_SQL = software("slurm_sql", "3306/tcp")
MONITORING = software("prometheus fluentd", "9090/tcp 24224/tcp 24224/udp")
CONTROL_PLANE = software(
    "cloud_cacher legacy_api postgresql amqp vault internal_api rabbitmq_management mongodb",
    "3000/tcp 4006/tcp 5432/tcp 5672/tcp 8200/tcp 8888/tcp 15672/tcp 27017/tcp",
)
NFS = software("nfs rpcbind mountd", "111/tcp 111/udp 2049/tcp 2049/udp 20048/tcp 20048/udp")
_KNOWN = "networks no wider than /16 (IPv4) or /48 (IPv6)"
_INTERNAL = "private networks, or networks no wider than /16 (IPv4) or /48 (IPv6)"
_IN_CLUSTER = "within_cluster: true, because only nodes of the cluster use it"

ADVICE = (
    Advice("ssh-known-sources", SSH, _from_unknown, _KNOWN),
    Advice("scheduler-in-cluster", SCHEDULERS, _from_other_clusters, _IN_CLUSTER),
    Advice(
        "scheduler-in-cluster", SLURM_SQL, _from_other_clusters, _IN_CLUSTER, ("slurm_controller", "slurm_database")
    ),
    Advice("monitoring-from-servers", MONITORING, _from_others_than_monitoring, "only the endpoint monitoring"),
    Advice("monitoring-internal", MONITORING, _from_outside, _INTERNAL, ("monitoring",)),
    Advice("docker-internal", DOCKER, _from_outside, _INTERNAL),
    Advice("control-plane-internal", CONTROL_PLANE, _from_outside, _INTERNAL, ("control_plane", "platform_database")),
    Advice("nfs-internal", NFS, _from_outside, _INTERNAL),
    Advice("workbench-known-sources", DESKTOPS, _from_unknown, _KNOWN, ("workbench",)),
)


RULES = (_advice, _docker_without_encryption, _access_review, _mutual_tls_note, _least_privilege, _udp_by_address)
