# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Draft the entries of a port file for connections that should pass: flows, with services and endpoints by name."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Collection, Container, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import yaml
from ansible_collections.hpc.ports.plugins.module_utils._model.ports import EVERYTHING, PortRange, merged, without
from ansible_collections.hpc.ports.plugins.plugin_utils._draft.regions import Region
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.catalogue import Catalogue

with suppress(ImportError):  # `missing_library` reports a missing netaddr
    from netaddr import IPSet, spanning_cidr

_UNSAFE = re.compile(r"[^a-z0-9]+")
_LONGEST_NAME = 64
_WHERE = (
    "# Add these entries to those of group_vars/all: of two files with firewall_flows, Ansible takes the last one.\n"
)
# A range of more ports stays whole, unless a service is at least half of it.
_SHORT = {"tcp": 100, "udp": 100}
_ANYWHERE = {("0.0.0.0/0",): "anywhere_ipv4", ("::/0",): "anywhere_ipv6", ("0.0.0.0/0", "::/0"): "anywhere_but"}


@dataclass
class Draft:
    """New entries of the three dictionaries of a port file; existing services and endpoints are used by name.

    `enabled` are flows of the catalogue that are off, and that the draft turns on.
    """

    catalogue: Catalogue
    services: dict[str, Any] = field(default_factory=dict)
    endpoints: dict[str, Any] = field(default_factory=dict)
    flows: dict[str, Any] = field(default_factory=dict)
    enabled: list[str] = field(default_factory=list)

    def add(
        self,
        sources: list[str],
        ports: Iterable[PortRange],
        targets: list[str],
        prefix: str,
        within_cluster: bool = False,
        service: str = "",
    ) -> None:
        """Add a flow from endpoints to endpoints. `service` is a name for a new service, empty for one by its ports."""
        services = self._services(merged(ports), self._usual_at(targets), service)
        name = self.unused(f"{prefix}_{services[0]}", (self.flows, self.catalogue.flows))
        within = {"within_cluster": True} if within_cluster else {}
        self.flows[name] = {"from": sources, "to": targets, "services": services, **within, "need": "recommended"}

    def entries(self) -> dict[str, dict[str, Any]]:
        """Return the new entries of the three dictionaries."""
        return {"firewall_services": self.services, "firewall_endpoints": self.endpoints, "firewall_flows": self.flows}

    def text(self) -> str:
        """Return the entries as YAML; empty if there are none."""
        entries = self.entries()
        entries["firewall_flows"] = {**{name: {"enabled": True} for name in self.enabled}, **self.flows}
        if not entries["firewall_flows"]:
            return ""
        return entries_text({key: value for key, value in entries.items() if value})

    def _usual_at(self, targets: Collection[str]) -> set[str]:
        """Return the services of the flows that end at one of these endpoints or groups."""
        names = self._with_groups(targets)
        flows = [flow for flow in self.catalogue.flows.values() if names & self._with_groups(flow.targets)]
        return {name for flow in flows for name in flow.services}

    def _with_groups(self, names: Collection[str]) -> set[str]:
        """Return names of endpoints and groups, with the groups of the endpoints."""
        known = [self.catalogue.endpoints[name] for name in names if name in self.catalogue.endpoints]
        return {*names, *(group for endpoint in known for group in endpoint.groups)}

    def _services(self, ports: list[PortRange], usual: Container[str], preferred: str = "") -> list[str]:
        """Return services that have exactly these ports together: existing ones, and one new one for the rest.

        Of two services with the same ports, such as Grafana and VS Code on 3000/tcp, one that is usual there is meant.
        An existing service cuts no piece out of a long range: a range around sixty services is no list of them.
        """
        if tuple(ports) == tuple(merged(EVERYTHING)):
            return [self._new_service("everything", ["any/ip"])]
        names: list[str] = []
        rest = ports
        known = self._known_services()
        for name in sorted(known, key=lambda name: (-_size(known[name]), name not in usual, name)):
            own = known[name]
            if not without(own, rest) and not _cuts(own, ports):
                names.append(name)
                rest = without(rest, own)
        if rest:
            texts = [str(port) for port in rest]
            usual = ("port_" if len(rest) == 1 else "ports_") + texts[0]
            names.append(self._new_service(_safe(preferred) or _safe(usual), texts))
        return sorted(names)

    def _known_services(self) -> Mapping[str, tuple[PortRange, ...]]:
        return {name: service.ports for name, service in self.catalogue.services.items() if service.has_own_ports}

    def _new_service(self, name: str, ports: list[str]) -> str:
        for known, entry in self.services.items():
            if entry["ports"] == ports:
                return known
        name = self.unused(name, (self.services, self.catalogue.services))
        self.services[name] = {"ports": ports}
        return name

    def endpoint(self, sources: IPSet) -> str:
        """Return the name of an endpoint that has exactly these networks, a new one if there is none."""
        known, entry = self._known_endpoint(sources), _networks(sources)
        first = f"net{'s' * (len(entry['cidrs']) > 1)}_{_safe(entry['cidrs'][0])}"
        return known or self._new_endpoint(_ANYWHERE.get(tuple(entry["cidrs"]), first), entry)

    def endpoints_of(self, parts: Iterable[IPSet]) -> list[str]:
        """Return names of endpoints with these networks together: existing ones for parts, and one for the rest."""
        by_name: dict[str, list[IPSet]] = defaultdict(list)
        for part in parts:
            by_name[self._known_endpoint(part)].append(part)
        known = self._known_endpoint(_together(chain.from_iterable(by_name.values())))
        if known:
            return [known]
        rest = _together(by_name.pop("", []))
        return sorted(by_name) + ([self.endpoint(rest)] if rest.size else [])

    def _known_endpoint(self, sources: IPSet) -> str:
        """Return the name of an endpoint of the catalogue that has exactly these networks, empty if there is none."""
        for name, own in self.catalogue.endpoints.items():
            is_plain = not (own.groups or own.fallback_groups or own.hostnames or own.excepted)
            if is_plain and own.cidrs and IPSet(own.cidrs) == sources:
                return name
        return ""

    def hosts_endpoint(self, hosts: Mapping[str, Iterable[str]]) -> str:
        """Return the name of an endpoint that has exactly these hosts. `hosts` has the addresses of each.

        Each address is listed: a network of several addresses would not open anything on a managed host.
        """
        entry = {"cidrs": [address for addresses in hosts.values() for address in addresses]}
        first = _safe(next(iter(hosts)))
        return self._new_endpoint(f"host_{first}" if len(hosts) == 1 else f"hosts_{first}", entry)

    def _new_endpoint(self, name: str, entry: dict[str, list[str]]) -> str:
        for known, own in self.endpoints.items():
            if own == entry:
                return known
        name = self.unused(name, (self.endpoints, self.catalogue.endpoints))
        self.endpoints[name] = entry
        return name

    @staticmethod
    def unused(name: str, taken: Iterable[Mapping[str, Any]]) -> str:
        """Return the name, or with a number if one of the dictionaries has it."""
        name = name[: _LONGEST_NAME - 4]
        candidates = (name if number == 1 else f"{name}_{number}" for number in range(1, 1000))
        return next(candidate for candidate in candidates if not any(candidate in names for names in taken))


def _safe(text: str) -> str:
    """Return a text as the name of an entry."""
    return _UNSAFE.sub("_", text.lower()).strip("_")


def _together(parts: Iterable[IPSet]) -> IPSet:
    return IPSet([network for part in parts for network in part.iter_cidrs()])


def _size(ports: Iterable[PortRange]) -> int:
    return sum(port.last - port.first + 1 for port in ports)


def _cuts(own: Iterable[PortRange], ports: Iterable[PortRange]) -> bool:
    """Return whether a service is a small piece of a long range."""
    return any(
        part.protocol == port.protocol
        and port.first <= part.first
        and part.last <= port.last
        and _size([port]) > max(_SHORT.get(port.protocol, 1), 2 * _size([part]))
        for port in ports
        for part in own
    )


def _networks(sources: IPSet) -> dict[str, list[str]]:
    """Return networks, or the smallest network around those of each family with exceptions, if that is shorter."""
    by_version = {
        version: [network for network in sources.iter_cidrs() if network.version == version] for version in (4, 6)
    }
    around = [
        spanning_cidr(networks).cidr if len(networks) > 1 else networks[0]
        for networks in by_version.values()
        if networks
    ]
    missing = [str(network) for network in (IPSet(around) - sources).iter_cidrs()]
    cidrs = [str(network) for network in sources.iter_cidrs()]
    if missing and len(missing) + len(around) < len(cidrs):
        return {"cidrs": list(map(str, around)), "except": missing}
    return {"cidrs": cidrs}


def entries_text(entries: Mapping[str, Mapping[str, Any]]) -> str:
    """Return entries of a port file as YAML, with a comment that says where to put them."""
    # Names from Ansible carry their origin, which YAML cannot write.
    plain = json.loads(json.dumps(entries))
    return _WHERE + yaml.safe_dump(plain, sort_keys=False, width=120)


def drafted(catalogue: Catalogue, regions: Iterable[Region], targets: list[str], prefix: str = "imported") -> Draft:
    """Return a draft of flows for all regions: one for all sources of the same ports."""
    ports: dict[tuple[str, ...], list[PortRange]] = defaultdict(list)
    sources: dict[tuple[str, ...], IPSet] = {}
    for region in regions:
        key = tuple(map(str, region.sources.iter_cidrs()))
        ports[key] += region.ports
        sources[key] = region.sources
    by_ports: dict[tuple[PortRange, ...], list[IPSet]] = defaultdict(list)
    for key in sorted(ports):
        by_ports[tuple(merged(ports[key]))].append(sources[key])
    draft = Draft(catalogue)
    for own, parts in by_ports.items():
        draft.add(draft.endpoints_of(parts), own, targets, prefix)
    return draft
