# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Propose entries of the port file for connections that were seen: see `seen.py`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from ipaddress import ip_address
from typing import TYPE_CHECKING

from ansible_collections.hpc.ports.plugins.module_utils._model.ports import PortRange, common_ports, merged, without
from ansible_collections.hpc.ports.plugins.plugin_utils._audit.cover import Groups
from ansible_collections.hpc.ports.plugins.plugin_utils._audit.seen import EPHEMERAL, Seen, Side
from ansible_collections.hpc.ports.plugins.plugin_utils._draft.port_file import Draft
from ansible_collections.hpc.ports.plugins.plugin_utils._lint.advice import SCHEDULERS, SLURM_SQL
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.catalogue import Flow
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.membership import addresses_of

with suppress(ImportError):  # `missing_library` reports a missing netaddr
    from netaddr import IPNetwork, IPSet

if TYPE_CHECKING:
    from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan

_PREFIX = "seen"
# More addresses than these are proposed as networks, of these prefixes if they suffice.
_MOST_ADDRESSES = 16
_PREFIXES = {4: (24, 20, 16), 6: (64, 56, 48)}
_BITS = {4: 32, 6: 128}
# More ports than these that nobody holds are proposed as a range, rounded to a multiple.
_MOST_PORTS, _MULTIPLE = 3, 1000
# Names of programs that do not say what the service is.
_GENERIC = re.compile(
    r"(python|java|node|perl|ruby|php|beam|mono|dotnet|(ba|da|z)?sh$|sudo$|systemd|init$|.*-proxy$|conmon|rootlessport)"
)


def proposed(plan: Plan, seen: Iterable[Seen]) -> Draft:
    """Return the entries that allow what was seen: flows that are off are turned on, others are new."""
    draft = Draft(plan.catalogue)
    for item in seen:
        flow = _flow_that_is_off(plan, item)
        if flow:
            draft.enabled += [flow.name] if flow.name not in draft.enabled else []
            continue
        ports = _proposed_ports(item)
        within = item.within_cluster and (_is_for_clusters(plan, ports) or _has_several_clusters(plan, item))
        sources, targets = (_endpoints(plan, draft, side, within) for side in (item.sources, item.targets))
        draft.add(sources, ports, targets, _PREFIX, within_cluster=within, service=_service_name(item))
    return draft


def _flow_that_is_off(plan: Plan, seen: Seen) -> Flow | None:
    """Return the first flow that would allow all of it, and that the site has neither turned on nor off."""
    for flow in plan.catalogue.flows.values():
        if flow.name not in plan.flows_on and flow.enabled is None and (seen.within_cluster or not flow.within_cluster):
            services = [plan.catalogue.services[name] for name in flow.services]
            ports = [ports for service in services if service.has_own_ports for ports in service.ports]
            if not without(seen.ports, ports) and all(
                _has(plan, names, side) for names, side in ((flow.sources, seen.sources), (flow.targets, seen.targets))
            ):
                return flow
    return None


def _has(plan: Plan, endpoints: Iterable[str], side: Side) -> bool:
    """Return whether endpoints have all of a side. Their host names are not looked up."""
    names = list(endpoints)
    hosts = set().union(*(plan.addresses.members(name) for name in names))
    if not set(side.hosts) <= hosts or not set(side.endpoints) <= set(names):
        return False
    networks = IPSet(network for name in names for network in plan.addresses.networks(name))
    return all(IPNetwork(address) in networks for address in side.addresses)


def _is_for_clusters(plan: Plan, ports: list[PortRange]) -> bool:
    """Return whether a service with one of these ports should stay within a cluster."""
    services = [service.ports for service in plan.catalogue.services.values() if service.exposure == "cluster"]
    return any(common_ports(ports, own) for own in (*services, SCHEDULERS.ports, SLURM_SQL.ports))


def _has_several_clusters(plan: Plan, seen: Seen) -> bool:
    """Return whether the groups of both sides have hosts of different clusters, which were not seen to connect."""
    hosts = {host for name in (*seen.sources.groups, *seen.targets.groups) for host in plan.inventory.groups[name]}
    return len({plan.inventory.hosts[host].clusters for host in hosts & plan.inventory.managed}) > 1


def _proposed_ports(seen: Seen) -> list[PortRange]:
    """Return the ports; many ephemeral ports that nobody holds as a range around them."""
    found = list(seen.ports)
    for protocol in () if seen.listeners else ("tcp", "udp"):
        loose = [ports for ports in seen.ports if ports.protocol == protocol and ports.first >= EPHEMERAL]
        if sum(ports.last - ports.first + 1 for ports in loose) > _MOST_PORTS:
            first = loose[0].first // _MULTIPLE * _MULTIPLE
            found.append(
                PortRange(protocol, first, min(65535, loose[-1].last // _MULTIPLE * _MULTIPLE + _MULTIPLE - 1))
            )
    return merged(found)


def _service_name(seen: Seen) -> str:
    """Return the name of the program that holds the port, if it says what the service is."""
    names = {name.split(" ")[0].split(".service")[0] for name in seen.listeners}
    telling = sorted(name for name in names if not _GENERIC.match(name))
    return telling[0] if len(telling) == 1 else ""


def _endpoints(plan: Plan, draft: Draft, side: Side, within_cluster: bool) -> list[str]:
    """Return names for a side: its groups and endpoints, and new endpoints for its other hosts and addresses.

    A flow that stays within a cluster can only have groups.
    """
    names = [*side.groups, *side.endpoints]
    if side.rest and within_cluster:
        return [*names, *Groups(plan).cover(side.rest, share=0).groups]
    if side.rest:
        names.append(draft.hosts_endpoint({host: _addresses(plan, host) for host in side.rest}))
    if side.addresses:
        names.append(draft.endpoint(_widened(side.addresses)))
    return names


def _addresses(plan: Plan, host: str) -> list[str]:
    """Return all addresses of a host, each once."""
    networks = [network for source in (False, True) for network in addresses_of(plan.addresses, host, source)]
    return list(dict.fromkeys(str(network.ip) for network in networks))


def _widened(addresses: Iterable[str]) -> IPSet:
    """Return the addresses; many of one family as the networks around them."""
    parsed = list(map(ip_address, addresses))
    networks: list[IPNetwork] = []
    for version, prefixes in _PREFIXES.items():
        own = {int(address) for address in parsed if address.version == version}
        for prefix in (_BITS[version], *prefixes):
            free = _BITS[version] - prefix
            starts = {number >> free << free for number in own}
            if len(starts) <= _MOST_ADDRESSES:
                break
        networks += (IPNetwork((start, prefix), version=version) for start in starts)
    return IPSet(networks)
