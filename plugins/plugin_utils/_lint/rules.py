# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a plan that is valid may still have wrong: the advice of the documents, and flows that are not what they seem.

Advice of the documents, held against the flows that are on:

- `ssh-known-sources`: SSH comes from networks no wider than /16 (IPv4) or /48 (IPv6).
- `scheduler-in-cluster`: Slurm, its SQL server and PBS are reached inside their cluster only.
- `monitoring-from-servers`: Prometheus and Fluentd on nodes are reached from the endpoint `monitoring` only.
- `monitoring-internal`: on the monitoring servers they are reached from internal or known networks.
- `docker-internal`: the Docker API is reached from internal or known networks.
- `docker-without-encryption`: 2375 is open at all.
- `control-plane-internal`: databases, queues, Vault and internal services are never public.
- `nfs-internal`: NFS is reached from internal or known networks.
- `workbench-known-sources`: remote desktops, Jupyter and VS Code come from known networks.
- `access-review`: remote desktops and VS Code have a day of review; no day of review of any flow is past.
- `mutual-tls-note`: smart-card login says in its note where TLS ends.
- `least-privilege`: no whole ranges of ports from or to wide networks, and none that does not yield.
- `udp-by-address`: flows let UDP in by a network alone. A note: it is to be known, and there may be nothing to mend.

Flows and services that are not what they seem:

- `exposure`: a flow opens a service further than the service says.
- `duplicate-flow`: two flows say the same.
- `shadowed-flow`: another flow that is on covers all of it, so turning it off closes nothing.
- `unused-service`: the site declares a service that no flow names.
- `srun-unpinned`: srun takes ports that its flow does not open on the host.

Endpoints:

- `empty-endpoint`: a flow that is on has an endpoint with nobody behind it.
- `missing-group`: an endpoint of the site lists a group that the inventory lacks.
- `hidden-group`: a group of the inventory has the name of an endpoint that does not list it.
- `host-in-network`: a network holds a managed host that the endpoint does not name, so its own side stays closed.
- `empty-cluster`: networks of a cluster that no managed host is in.
- `host-in-cluster-network`: a network of a cluster holds a managed host that is not in the cluster.

The way of Ansible's own ssh:

- `ssh-port`: a host has an `ansible_port` that `management_ssh` does not have.
- `jump-host-source`: a host does not let in the jump host that Ansible goes through.
- `jump-host-egress`: a jump host with restricted egress has no way out to a host behind it.
- `jump-host-unknown`: nobody knows which host a jump host is.
- `connection-unread`: a variable of Ansible's connection has no value on the controller.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import date
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._model.policy import MANAGEMENT_FLOW
from ansible_collections.hpc.ports.plugins.module_utils._model.ports import PortRange, merged, parse_ports, without
from ansible_collections.hpc.ports.plugins.plugin_utils._lint.ssh_gaps import Gaps
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import HostKind, Plan
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.canonical_groups import CANONICAL_GROUPS
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.catalogue import (
    CONTROLLERS,
    SITE_DEFAULTS,
    Flow,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import (
    LONGEST,
    listed,
    nearest,
    printable,
    shown_value,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.networks import collapsed, parse_network

if TYPE_CHECKING:
    from netaddr import IPNetwork

# The shortest prefixes that are still a named network, and still known sources, by IP version.
PLATFORM_PREFIX = {4: 8, 6: 16}
KNOWN_PREFIX = {4: 16, 6: 48}
# RFC 1918, RFC 6598 and RFC 4193.
INTERNAL = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
# More than the largest set of ports that a service needs by itself: the 2,768 NodePorts of Kubernetes.
WHOLE_RANGE = 4096
# How much is shown of what is called a jump host.
_LONGEST_NAME = 253


class Finding(NamedTuple):
    """One thing to mend; `subject` is the key or the host, `severity` is error or warning, or note: one to know."""

    rule: str
    severity: str
    subject: str
    message: str


class Breach(NamedTuple):
    """From where a flow opens more than it should."""

    source: str
    severity: str = "error"


class Advice(NamedTuple):
    """Who may reach these ports on these kinds of host (none: on all)."""

    rule: str
    ports: tuple[PortRange, ...]
    breach: Callable[[Plan, Flow], Breach | None]
    expected: str
    groups: tuple[str, ...] = ()


def findings(plan: Plan, today: date) -> list[Finding]:
    """Return what is wrong with a plan, in the order of the rules."""
    return [_readable(finding) for rule in RULES for finding in rule(plan, today)]


def _readable(finding: Finding) -> Finding:
    """Return a finding that is one message: names of jump hosts, for one, are anybody's text."""
    subject = printable(finding.subject, LONGEST // 2)
    return finding._replace(subject=subject, message=printable(finding.message, LONGEST - len(f"{subject}: ")))


# ---- Advice of the documents ----------------------------------------------------------------------------------------


def _advice(plan: Plan, today: date) -> Iterator[Finding]:
    for flow in plan.flows_on.values():
        opened = _named_ports(plan, flow)
        for advice in ADVICE:
            ports = _common(opened, advice.ports)
            breach = advice.breach(plan, flow) if ports and _reaches(plan, flow, advice.groups) else None
            if breach:
                yield Finding(
                    advice.rule,
                    breach.severity,
                    _key(flow),
                    f"Opens {_text(ports)} to {breach.source}, expected {advice.expected}.",
                )


def _from_unknown(plan: Plan, flow: Flow) -> Breach | None:
    return _widest(_source_networks(plan, flow), KNOWN_PREFIX)


def _from_outside(plan: Plan, flow: Flow) -> Breach | None:
    external = [
        network
        for network in _source_networks(plan, flow)
        if not any(network in internal for internal in _internal_networks())
    ]
    return _widest(external, KNOWN_PREFIX)


def _from_other_clusters(plan: Plan, flow: Flow) -> Breach | None:
    return None if flow.within_cluster else Breach("hosts outside the cluster")


def _from_others_than_monitoring(plan: Plan, flow: Flow) -> Breach | None:
    book = plan.addresses
    if not any(book.members(name) - book.members("monitoring") for name in flow.targets):
        return None
    servers = book.peers(("monitoring",), None, source=True)
    for name in flow.sources:
        if _without_networks(book.peers((name,), None, source=True), servers):
            return Breach(name)
    return None


def _docker_without_encryption(plan: Plan, today: date) -> Iterator[Finding]:
    for flow in plan.flows_on.values():
        if _common(_named_ports(plan, flow), DOCKER_PLAIN):
            yield Finding(
                "docker-without-encryption",
                "warning",
                _key(flow),
                "Opens 2375/tcp, where whoever connects is root on the host, without a password and in clear "
                "text. Use Docker with TLS on 2376/tcp.",
            )


def _access_review(plan: Plan, today: date) -> Iterator[Finding]:
    for flow in plan.flows_on.values():
        opened = _named_ports(plan, flow)
        ports = _common(opened, RDP) + (_common(opened, VSCODE) if _reaches(plan, flow, ("workbench",)) else [])
        if flow.review_by and flow.review_by < today:
            yield Finding(
                "access-review",
                "warning",
                _key(flow),
                f"Was to be reviewed by {flow.review_by}: check who still needs it, then move review_by.",
            )
        elif not flow.review_by and ports:
            yield Finding(
                "access-review",
                "warning",
                _key(flow),
                f"Opens {_text(ports)}, expected review_by, the day by which somebody checks who needs it.",
            )


def _mutual_tls_note(plan: Plan, today: date) -> Iterator[Finding]:
    for flow in plan.flows_on.values():
        opened = _common(_named_ports(plan, flow), MUTUAL_TLS)
        if opened and not flow.note and _reaches(plan, flow, ("control_plane",)):
            yield Finding(
                "mutual-tls-note",
                "warning",
                _key(flow),
                "Opens 8443/tcp, expected a note on where TLS ends: on the platform itself, never on a load "
                "balancer, because the platform checks the client's certificate.",
            )


def _least_privilege(plan: Plan, today: date) -> Iterator[Finding]:
    yield from _ranges_that_do_not_yield(plan)
    for flow in plan.flows_on.values():
        wide = [name for name in flow.services if plan.catalogue.services[name].broad or _is_whole_range(plan, name)]
        breach = _from_unknown(plan, flow) or _widest(_networks(plan, flow, flow.targets), PLATFORM_PREFIX)
        if wide and breach and not flow.within_cluster:
            yield Finding(
                "least-privilege",
                breach.severity,
                _key(flow),
                f"Opens the whole range of {listed(wide)} between hosts and {breach.source}, expected the "
                "ports that are needed, or narrower networks.",
            )


def _ranges_that_do_not_yield(plan: Plan) -> Iterator[Finding]:
    used = sorted({name for flow in plan.flows_on.values() for name in flow.services})
    for name in used:
        if _is_whole_range(plan, name) and not plan.catalogue.services[name].broad:
            yield Finding(
                "least-privilege",
                "warning",
                f"firewall_services.{name}",
                f"Has {_text(plan.catalogue.services[name].ports)}, more than {WHOLE_RANGE} ports, expected "
                "those that are needed, or broad: true, so that it yields to other services.",
            )
    if not plan.catalogue.broad_yields and any(plan.catalogue.services[name].broad for name in used):
        yield Finding(
            "least-privilege",
            "warning",
            "firewall_broad_yields",
            "Is false, so broad services also open the ports of databases, monitoring and Docker on the same "
            "host, expected true.",
        )


def _udp_by_address(plan: Plan, today: date) -> Iterator[Finding]:
    """Not from anywhere, where a forged address opens nothing more; nor from hosts alone, whose addresses are few."""
    flows = [
        flow.name
        for flow in plan.flows_on.values()
        if _has_udp(plan, flow)
        and any(
            network.size > 1 and network.prefixlen >= PLATFORM_PREFIX[network.version]
            for network in _source_networks(plan, flow)
        )
    ]
    if flows:
        yield Finding(
            "udp-by-address",
            "note",
            "firewall_flows",
            f"UDP comes from whole networks by {listed(flows)}. UDP has no handshake, so a forged address "
            "of such a network passes. See that hosts and routers check sources (rp_filter, see the README), "
            "and that the services authenticate who asks.",
        )


def _has_udp(plan: Plan, flow: Flow) -> bool:
    is_opened = any(plan.addresses.members(name) & plan.hosts.keys() for name in flow.targets)
    return is_opened and any(
        item.protocol == "udp" for name in flow.services for item in plan.catalogue.services[name].ports
    )


# ---- Flows and services that are not what they seem -----------------------------------------------------------------


def _exposure(plan: Plan, today: date) -> Iterator[Finding]:
    for flow in plan.flows_on.values():
        widest = _widest(_source_networks(plan, flow), PLATFORM_PREFIX)
        for name in flow.services:
            exposure = plan.catalogue.services[name].exposure
            source = _beyond(flow, exposure, widest)
            if source:
                yield Finding(
                    "exposure",
                    "error",
                    _key(flow),
                    f"Opens service {name} to {source}, but its exposure is {exposure}.",
                )


def _beyond(flow: Flow, exposure: str, widest: Breach | None) -> str:
    if exposure == "host":
        return "other hosts"
    if exposure == "cluster" and not flow.within_cluster:
        return "hosts outside the cluster"
    return widest.source if widest and exposure != "public" else ""


def _duplicate_flows(plan: Plan, today: date) -> Iterator[Finding]:
    seen: dict[tuple[object, ...], str] = {}
    for flow in plan.catalogue.flows.values():
        first = seen.setdefault(_says(flow), flow.name)
        if first != flow.name:
            yield Finding(
                "duplicate-flow",
                "warning",
                _key(flow),
                f"Says the same as {first} (which is {'on' if first in plan.flows_on else 'off'}). Keep one.",
            )


def _says(flow: Flow) -> tuple[object, ...]:
    return frozenset(flow.sources), frozenset(flow.targets), frozenset(flow.services), flow.within_cluster


def _shadowed_flows(plan: Plan, today: date) -> Iterator[Finding]:
    flows = [flow for flow in plan.flows_on.values() if not _uses_broad(plan, flow)]
    for flow in flows:
        covering = [
            other.name
            for other in flows
            if other is not flow
            and _covers(plan, other, flow)
            and not (_rank(other) > _rank(flow) and _covers(plan, flow, other))
        ]
        if covering and flow.name != MANAGEMENT_FLOW:
            yield Finding(
                "shadowed-flow",
                "warning",
                _key(flow),
                f"Flow {covering[0]} covers all of it, so turning it off would close nothing. Turn off or "
                "narrow one of them.",
            )


def _rank(flow: Flow) -> tuple[bool, str]:
    """Return what decides which of two flows that cover each other stays; the management flow always does."""
    return flow.name != MANAGEMENT_FLOW, flow.name


def _covers(plan: Plan, wide: Flow, narrow: Flow) -> bool:
    """Tell whether a flow covers another, by what both say and not by who happens to be in the groups today."""
    if wide.within_cluster and not narrow.within_cluster or _says(wide) == _says(narrow):
        return False
    if without(_named_ports(plan, narrow), _named_ports(plan, wide)):
        return False
    sides = ((narrow.sources, wide.sources), (narrow.targets, wide.targets))
    return all(_side_covers(plan, (wide, many), (narrow, few)) for few, many in sides)


def _side_covers(plan: Plan, wide: tuple[Flow, tuple[str, ...]], narrow: tuple[Flow, tuple[str, ...]]) -> bool:
    groups, networks = _groups(plan, narrow[1]), _outside(plan, *narrow)
    return (
        bool(groups or networks)
        and groups <= _groups(plan, wide[1])
        and all(_is_inside(plan, network, wide) for network in networks)
    )


def _is_inside(plan: Plan, network: IPNetwork, side: tuple[Flow, tuple[str, ...]]) -> bool:
    # Only its very address puts a managed host on a side; a network around it does not.
    if network in plan.addresses.hosts_by_address:
        return network in _outside(plan, *side)
    return any(network in other for other in _networks(plan, *side))


def _unused_services(plan: Plan, today: date) -> Iterator[Finding]:
    used = {name for flow in plan.catalogue.flows.values() for name in flow.services}
    for service in plan.catalogue.services.values():
        if service.declared_by_site and service.name not in used:
            yield Finding(
                "unused-service",
                "warning",
                f"firewall_services.{service.name}",
                "No flow names it, so it opens nothing and no broad service yields to it. Name it in a flow, "
                "which may be off, or delete it.",
            )


def _srun_unpinned(plan: Plan, today: date) -> Iterator[Finding]:
    service = plan.catalogue.services.get("srun")
    if not service or [str(item) for item in service.ports] != [f"{SITE_DEFAULTS['firewall_srun_ports']}/tcp"]:
        return
    alike: dict[tuple[HostKind, PortRange], list[str]] = defaultdict(list)
    for name in _srun_hosts(plan):
        alike[plan.kinds[name], plan.inventory.hosts[name].ephemeral_ports].append(name)
    lost: dict[tuple[PortRange, ...], list[str]] = defaultdict(list)
    for (kind, ephemeral), hosts in alike.items():
        lost[tuple(without([ephemeral], _unclaimed(plan, kind)))] += hosts
    for ports, hosts in sorted(lost.items()):
        if ports:
            yield Finding(
                "srun-unpinned",
                "warning",
                _hosts_text(sorted(hosts)),
                f"An unpinned srun takes any port of firewall_ephemeral_ports, but {_text(ports)} is not "
                "open to it, and it hangs when it takes one of these. Set SrunPortRange in slurm.conf and "
                "firewall_srun_ports to one narrow range, such as 60001-63000.",
            )


def _srun_hosts(plan: Plan) -> set[str]:
    targets = {name for flow in plan.flows_on.values() if "srun" in flow.services for name in flow.targets}
    return {host for name in targets for host in plan.addresses.members(name) if host in plan.hosts}


def _unclaimed(plan: Plan, kind: HostKind) -> list[PortRange]:
    """Return what is open inside the cluster on hosts of a kind and is no other service's."""
    ports = [
        item
        for flow in plan.flows_on.values()
        if flow.within_cluster and kind.endpoints & set(flow.targets)
        for name in flow.services
        for item in plan.catalogue.services[name].ports
    ]
    return without(ports, plan.claims[kind] if plan.catalogue.broad_yields else ())


# ---- Endpoints ------------------------------------------------------------------------------------------------------


def _empty_endpoints(plan: Plan, today: date) -> Iterator[Finding]:
    users: dict[str, list[str]] = defaultdict(list)
    for flow in plan.flows_on.values():
        for name in _empty_ends(plan, flow):
            users[name].append(flow.name)
    for name, flows in sorted(users.items()):
        yield Finding(
            "empty-endpoint",
            "warning",
            f"firewall_endpoints.{name}",
            f"Has no address, so it adds nothing to the flow {flows[0]}{_more(flows)}. Give it hosts or "
            "networks, or turn the flow off.",
        )


def _empty_ends(plan: Plan, flow: Flow) -> Iterator[str]:
    """Yield the empty endpoints of a flow, without those that stand for parts of the platform that a site lacks."""
    for names, others, is_target in ((flow.sources, flow.targets, False), (flow.targets, flow.sources, True)):
        alone = _is_empty(plan, flow, names) and not _is_empty(plan, flow, others)
        for name in names:
            endpoint = plan.catalogue.endpoints[name]
            to_fill = not endpoint.groups or (is_target and endpoint.groups != (name,))
            if _is_empty(plan, flow, [name]) and (endpoint.declared_by_site or alone and to_fill):
                yield name


def _is_empty(plan: Plan, flow: Flow, names: Iterable[str]) -> bool:
    if flow.within_cluster and any(plan.catalogue.clusters.values()):
        return False
    return plan.addresses.is_empty(names)


def _missing_groups(plan: Plan, today: date) -> Iterator[Finding]:
    known = {*plan.inventory.groups, *CANONICAL_GROUPS}
    for endpoint in plan.catalogue.endpoints.values():
        for group in endpoint.groups:
            if endpoint.declared_by_site and group not in known:
                yield Finding(
                    "missing-group",
                    "warning",
                    f"firewall_endpoints.{endpoint.name}.groups",
                    f"Lists {shown_value(group)}, which the inventory lacks, so it counts as empty. Add the group to "
                    "the inventory or mend its name.",
                )


def _hidden_groups(plan: Plan, today: date) -> Iterator[Finding]:
    for endpoint in plan.catalogue.endpoints.values():
        if plan.inventory.groups.get(endpoint.name) and endpoint.name not in endpoint.groups:
            yield Finding(
                "hidden-group",
                "warning",
                f"firewall_endpoints.{endpoint.name}.groups",
                "Lacks the group of the inventory that has the same name, so the hosts of that group are not "
                "in it. Add the group, or rename it.",
            )


def _hosts_in_networks(plan: Plan, today: date) -> Iterator[Finding]:
    found: dict[tuple[str, IPNetwork], tuple[str, list[str]]] = {}
    ordered = _by_address(plan)
    for flow in plan.flows_on.values():
        for names, is_target in ((flow.targets, True), (flow.sources, False)):
            for name, network in _named_networks(plan, names):
                # An open egress leaves nothing closed on the side of a source, nor does the plan where Ansible may run.
                hosts = [
                    host
                    for host in _strangers(plan, names, _inside(ordered, network))
                    if is_target
                    or plan.inventory.hosts[host].egress == "restricted"
                    and (flow.name, name) != (MANAGEMENT_FLOW, CONTROLLERS)
                ]
                if hosts:
                    found.setdefault((name, network), (flow.name, hosts))
    for (name, network), (flow_name, hosts) in sorted(found.items()):
        yield Finding(
            "host-in-network",
            "warning",
            f"firewall_endpoints.{name}.cidrs",
            f"{network} holds the managed {_hosts_text(hosts)}, which the endpoint does not name: the host's "
            f"own side of the flow {flow_name} stays closed. Add a group of it, or its address as a network "
            "of its own, or narrow the network.",
        )


def _named_networks(plan: Plan, names: Iterable[str]) -> list[tuple[str, IPNetwork]]:
    """Return the networks of endpoints, without single addresses and what is as good as anywhere."""
    return [
        (name, item)
        for name in names
        for item in plan.catalogue.endpoints[name].cidrs
        if item.size > 1 and item.prefixlen >= PLATFORM_PREFIX[item.version]
    ]


def _strangers(plan: Plan, names: Iterable[str], hosts: Iterable[str]) -> list[str]:
    members = {host for name in names for host in plan.addresses.members(name)}
    return [host for host in hosts if host not in members]


def _empty_clusters(plan: Plan, today: date) -> Iterator[Finding]:
    known = {cluster for name in plan.hosts for cluster in plan.inventory.hosts[name].clusters}
    for cluster, networks in sorted(plan.catalogue.clusters.items()):
        if networks and cluster not in known:
            yield Finding(
                "empty-cluster",
                "warning",
                f"firewall_clusters.{cluster}",
                "No managed host has it in its firewall_cluster, so its networks reach nobody. "
                f"{nearest(cluster, sorted(known)) or 'Mend the name or delete it.'}",
            )


def _hosts_in_cluster_networks(plan: Plan, today: date) -> Iterator[Finding]:
    ordered = _by_address(plan)
    for cluster, networks in sorted(plan.catalogue.clusters.items()):
        for network in networks:
            hosts = [host for host in _inside(ordered, network) if cluster not in plan.inventory.hosts[host].clusters]
            if hosts:
                yield Finding(
                    "host-in-cluster-network",
                    "warning",
                    f"firewall_clusters.{cluster}.cidrs",
                    f"{network} holds the managed {_hosts_text(hosts)}, which is not in the cluster, and "
                    "lets it in as if it were. Narrow the network, or add the cluster to its "
                    "firewall_cluster.",
                )


# ---- The way of Ansible's own ssh -----------------------------------------------------------------------------------


def _ssh_ports(plan: Plan, today: date) -> Iterator[Finding]:
    flow = plan.flows_on[MANAGEMENT_FLOW]
    key, ports = f"firewall_services.{flow.services[0]}", _text(_named_ports(plan, flow))
    for item, hosts in Gaps(plan).closed_ports().items():
        source = "as a jump host" if item.is_jump else "by ansible_port"
        yield Finding(
            "ssh-port",
            "warning",
            _hosts_text(hosts),
            f"Ansible connects to {item.port}/tcp, {source}, but {key} has {ports}. Add {item.port}/tcp to "
            f"{key}.ports, unless something before the host forwards that port to {ports}.",
        )


def _jump_host_sources(plan: Plan, today: date) -> Iterator[Finding]:
    for item, hosts in Gaps(plan).strangers().items():
        yield Finding(
            "jump-host-source",
            "warning",
            _hosts_text(hosts),
            f"Is reached through jump host {item.jump} ({listed(item.addresses)}), which it does not let "
            f"in. Add that to firewall_endpoints.{CONTROLLERS}, or set firewall_source_addresses of "
            f"{item.jump} to what the hosts behind it see.",
        )


def _jump_host_egress(plan: Plan, today: date) -> Iterator[Finding]:
    for item, hosts in Gaps(plan).no_ways_out().items():
        why = (
            f"no flow lets that out to {item.port}/tcp of {listed(item.addresses)}. Write such a flow"
            if item.addresses
            else f"no address of {printable(item.name, _LONGEST_NAME)}, where ssh goes from there, is known. Name its "
            "address, or give it firewall_addresses in the inventory"
        )
        yield Finding(
            "jump-host-egress",
            "warning",
            _hosts_text(hosts),
            f"Is reached through jump host {item.jump}, whose egress is restricted, and {why}.",
        )


def _unknown_jump_hosts(plan: Plan, today: date) -> Iterator[Finding]:
    for name, hosts in Gaps(plan).unknown_jumps().items():
        yield Finding(
            "jump-host-unknown",
            "warning",
            _hosts_text(hosts),
            f"Is reached through jump host {printable(name, _LONGEST_NAME)}, which is no host of the inventory and has no address on "
            "the controller. If it is a managed host with restricted egress, this cuts Ansible off: name it "
            "as the inventory does, or by its address.",
        )


def _unread_connections(plan: Plan, today: date) -> Iterator[Finding]:
    for (variable, reason), hosts in Gaps(plan).unread().items():
        yield Finding(
            "connection-unread",
            "warning",
            _hosts_text(hosts),
            f"Nothing can be told from {variable}: {reason.rstrip('.')}. The plan does as if it was not set, "
            "and may keep Ansible's own ssh out.",
        )


# ---- Ports, networks and words --------------------------------------------------------------------------------------


def _named_ports(plan: Plan, flow: Flow) -> list[PortRange]:
    """Return the ports of a flow without its broad services, which yield to the named ones."""
    services = [plan.catalogue.services[name] for name in flow.services]
    return [item for service in services if not service.broad for item in service.ports]


def _uses_broad(plan: Plan, flow: Flow) -> bool:
    return any(plan.catalogue.services[name].broad for name in flow.services)


def _is_whole_range(plan: Plan, service: str) -> bool:
    ports = merged(plan.catalogue.services[service].ports)
    return sum(item.last - item.first + 1 for item in ports) > WHOLE_RANGE


def _common(ports: Iterable[PortRange], others: Iterable[PortRange]) -> list[PortRange]:
    ports = list(ports)
    return without(ports, without(ports, others))


def _reaches(plan: Plan, flow: Flow, groups: Collection[str]) -> bool:
    hosts = {host for group in groups for host in plan.inventory.groups.get(group, ())}
    return not groups or any(plan.addresses.members(name) & hosts for name in flow.targets)


def _groups(plan: Plan, names: Iterable[str]) -> set[str]:
    return {group for name in names for group in plan.catalogue.endpoints[name].groups}


@cache
def _internal_networks() -> list[IPNetwork]:
    return [parse_network(text) for text in INTERNAL]


def _outside(plan: Plan, flow: Flow, names: Iterable[str]) -> list[IPNetwork]:
    """Return what a side of a flow names beside groups: networks, host names as addresses."""
    return plan.addresses.outside(names, frozenset(plan.catalogue.clusters) if flow.within_cluster else None)


def _networks(plan: Plan, flow: Flow, names: Iterable[str]) -> list[IPNetwork]:
    """Return the same as the fewest prefixes."""
    return [parse_network(text) for text in collapsed(_outside(plan, flow, names))]


def _source_networks(plan: Plan, flow: Flow) -> list[IPNetwork]:
    return _networks(plan, flow, flow.sources)


def _widest(networks: Iterable[IPNetwork], shortest: Mapping[int, int]) -> Breach | None:
    """Return the first network wider than these prefixes; an error where it is as good as anywhere."""
    for network in sorted(networks, key=lambda item: item.prefixlen):
        if network.prefixlen < shortest[network.version]:
            as_anywhere = network.prefixlen < PLATFORM_PREFIX[network.version]
            return Breach(str(network), "error" if as_anywhere else "warning")
    return None


def _without_networks(texts: Iterable[str], others: Iterable[str]) -> list[str]:
    """Return those of `texts` that no network of `others` holds; both are collapsed prefixes."""
    outer = [parse_network(text) for text in others]
    return [text for text in texts if not any(parse_network(text) in network for network in outer)]


def _by_address(plan: Plan) -> list[tuple[int, int, list[str]]]:
    return sorted((item.version, item.first, hosts) for item, hosts in plan.addresses.hosts_by_address.items())


def _inside(ordered: list[tuple[int, int, list[str]]], network: IPNetwork) -> list[str]:
    """Return the hosts with an address in a network, sorted."""
    low = bisect_left(ordered, (network.version, network.first))
    high = bisect_right(ordered, (network.version, network.last + 1))
    return sorted({host for item in ordered[low:high] for host in item[2]})


def _key(flow: Flow) -> str:
    return f"firewall_flows.{flow.name}"


def _text(ports: Iterable[PortRange]) -> str:
    return listed(list(map(str, ports)))


def _hosts_text(hosts: list[str]) -> str:
    return f"host {hosts[0]}{_more(hosts)}"


def _more(names: list[str]) -> str:
    return f" and {len(names) - 1} more" if len(names) > 1 else ""


def _ports(*texts: str) -> tuple[PortRange, ...]:
    return tuple(map(parse_ports, texts))


DOCKER_PLAIN = _ports("2375/tcp")
RDP = _ports("3389/tcp", "3389/udp")
VSCODE = _ports("3000/tcp")
MUTUAL_TLS = _ports("8443/tcp")

_KNOWN = "known sources, networks no wider than /16 (IPv4) or /48 (IPv6)"
_INTERNAL = "internal networks, or known ones no wider than /16 (IPv4) or /48 (IPv6)"
_IN_CLUSTER = "within_cluster: true, because the nodes of a cluster are all that use it"

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
        "the endpoint monitoring alone",
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

RULES: tuple[Callable[[Plan, date], Iterable[Finding]], ...] = (
    _advice,
    _docker_without_encryption,
    _access_review,
    _mutual_tls_note,
    _least_privilege,
    _udp_by_address,
    _exposure,
    _duplicate_flows,
    _shadowed_flows,
    _unused_services,
    _srun_unpinned,
    _empty_endpoints,
    _missing_groups,
    _hidden_groups,
    _hosts_in_networks,
    _empty_clusters,
    _hosts_in_cluster_networks,
    _ssh_ports,
    _jump_host_sources,
    _jump_host_egress,
    _unknown_jump_hosts,
    _unread_connections,
)
