# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The advice of the two source documents, checked against the flows that are on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from typing import NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._model.ports import PortRange, common_ports, parse_ports
from ansible_collections.hpc.ports.plugins.plugin_utils._lint.findings import Finding, flow_key, ports_text
from ansible_collections.hpc.ports.plugins.plugin_utils._lint.networks import (
    KNOWN_PREFIX,
    MOST_PORTS,
    PLATFORM_PREFIX,
    Breach,
    has_too_many_ports,
    internal_networks,
    named_ports,
    networks_of,
    reaches,
    source_networks,
    widest_breach,
    without_networks,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.catalogue import Flow
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import listed
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.everything import port_texts


class Advice(NamedTuple):
    """The sources that may connect to these ports on hosts of these groups (on all hosts without groups)."""

    rule: str
    ports: tuple[PortRange, ...]
    breach: Callable[[Plan, Flow], Breach | None]
    expected: str
    groups: tuple[str, ...] = ()


def _advice(plan: Plan, today: date) -> Iterator[Finding]:
    for flow in plan.flows_on.values():
        opened = named_ports(plan, flow)
        for advice in ADVICE:
            ports = common_ports(opened, advice.ports)
            breach = advice.breach(plan, flow) if ports and reaches(plan, flow, advice.groups) else None
            if breach:
                yield Finding(
                    advice.rule,
                    breach.severity,
                    flow_key(flow),
                    f"Opens {ports_text(ports)} to {breach.source}, expected {advice.expected}.",
                )


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
    return None if flow.within_cluster else Breach("hosts outside the cluster")


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
        if common_ports(named_ports(plan, flow), DOCKER_PLAIN):
            yield Finding(
                "docker-without-encryption",
                "warning",
                flow_key(flow),
                "Opens 2375/tcp: every client of this port is root on the host, without a password and without "
                "encryption. Use Docker with TLS on 2376/tcp.",
            )


def _access_review(plan: Plan, today: date) -> Iterator[Finding]:
    for flow in plan.flows_on.values():
        opened = named_ports(plan, flow)
        ports = common_ports(opened, RDP) + (
            common_ports(opened, VSCODE) if reaches(plan, flow, ("workbench",)) else []
        )
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
        opened = common_ports(named_ports(plan, flow), MUTUAL_TLS)
        if opened and not flow.note and reaches(plan, flow, ("control_plane",)):
            yield Finding(
                "mutual-tls-note",
                "warning",
                flow_key(flow),
                "Opens 8443/tcp, expected a note that says where TLS ends: on the platform itself, never on a load "
                "balancer, because the platform checks the client's certificate.",
            )


def _least_privilege(plan: Plan, today: date) -> Iterator[Finding]:
    yield from _ranges_not_broad(plan)
    for flow in plan.flows_on.values():
        wide = [name for name in flow.services if plan.catalogue.services[name].broad or has_too_many_ports(plan, name)]
        breach = _from_unknown(plan, flow) or widest_breach(networks_of(plan, flow, flow.targets), PLATFORM_PREFIX)
        if wide and breach and not flow.within_cluster:
            yield Finding(
                "least-privilege",
                breach.severity,
                flow_key(flow),
                f"Opens the whole range of {listed(wide)} between hosts and {breach.source}, expected only the "
                "needed ports, or narrower networks.",
            )


def _ranges_not_broad(plan: Plan) -> Iterator[Finding]:
    used = sorted({name for flow in plan.flows_on.values() for name in flow.services})
    for name in used:
        if has_too_many_ports(plan, name) and not plan.catalogue.services[name].broad:
            texts = listed(port_texts(plan.catalogue.services[name].ports))
            yield Finding(
                "least-privilege",
                "warning",
                f"firewall_services.{name}",
                f"Has {texts}, more than {MOST_PORTS} ports, expected only the needed ports, or broad: true, so that "
                "the ports of other services stay closed.",
            )
    if not plan.catalogue.broad_yields and any(plan.catalogue.services[name].broad for name in used):
        yield Finding(
            "least-privilege",
            "warning",
            "firewall_broad_yields",
            "Is false, so broad services also open the ports of databases, monitoring and Docker on the same "
            "host. Set it to true.",
        )


def _udp_by_address(plan: Plan, today: date) -> Iterator[Finding]:
    """Skip flows from anywhere, where a forged address gains nothing, and from single hosts, which are few."""
    flows = [
        flow.name
        for flow in plan.flows_on.values()
        if _has_udp(plan, flow)
        and any(
            network.size > 1 and network.prefixlen >= PLATFORM_PREFIX[network.version]
            for network in source_networks(plan, flow)
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


def _ports(*texts: str) -> tuple[PortRange, ...]:
    return tuple(map(parse_ports, texts))


DOCKER_PLAIN = _ports("2375/tcp")
RDP = _ports("3389/tcp", "3389/udp")
VSCODE = _ports("3000/tcp")
MUTUAL_TLS = _ports("8443/tcp")
_KNOWN = "networks no wider than /16 (IPv4) or /48 (IPv6)"
_INTERNAL = "private networks, or networks no wider than /16 (IPv4) or /48 (IPv6)"
_IN_CLUSTER = "within_cluster: true, because only nodes of the cluster use it"

ADVICE = (
    Advice("ssh-known-sources", _ports("22/tcp"), _from_unknown, _KNOWN),
    Advice(
        "scheduler-in-cluster",
        _ports("6817-6819/tcp", "15001-15003/tcp", "17001/tcp"),
        _from_other_clusters,
        _IN_CLUSTER,
    ),
    Advice(
        "scheduler-in-cluster",
        _ports("3306/tcp"),
        _from_other_clusters,
        _IN_CLUSTER,
        ("slurm_controller", "slurm_database"),
    ),
    Advice(
        "monitoring-from-servers",
        _ports("9090/tcp", "24224/tcp", "24224/udp"),
        _from_others_than_monitoring,
        "only the endpoint monitoring",
    ),
    Advice(
        "monitoring-internal", _ports("9090/tcp", "24224/tcp", "24224/udp"), _from_outside, _INTERNAL, ("monitoring",)
    ),
    Advice("docker-internal", _ports("2375-2376/tcp"), _from_outside, _INTERNAL),
    Advice(
        "control-plane-internal",
        _ports("3000/tcp", "4006/tcp", "5432/tcp", "5672/tcp", "8200/tcp", "8888/tcp", "15672/tcp", "27017/tcp"),
        _from_outside,
        _INTERNAL,
        ("control_plane", "platform_database"),
    ),
    Advice(
        "nfs-internal",
        _ports("111/tcp", "111/udp", "2049/tcp", "2049/udp", "20048/tcp", "20048/udp"),
        _from_outside,
        _INTERNAL,
    ),
    Advice(
        "workbench-known-sources",
        _ports("3389/tcp", "3389/udp", "8888/tcp", "3000/tcp"),
        _from_unknown,
        _KNOWN,
        ("workbench",),
    ),
)


RULES = (_advice, _docker_without_encryption, _access_review, _mutual_tls_note, _least_privilege, _udp_by_address)
