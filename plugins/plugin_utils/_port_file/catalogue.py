# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The port file as typed and validated data: services, endpoints and flows (docs/ARCHITECTURE.md, section 2)."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from itertools import filterfalse
from typing import TYPE_CHECKING, Any

from ansible_collections.hpc.ports.plugins.module_utils._model.policy import MANAGEMENT_FLOW
from ansible_collections.hpc.ports.plugins.module_utils._model.ports import PortRange
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.advice import (
    ENDPOINT_KEYS,
    FLOW_KEYS,
    INLINE,
    empty_endpoint_advice,
    endpoint_advice,
    inventory_host_advice,
    service_advice,
    unused_service_advice,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.canonical_groups import CANONICAL_GROUPS
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import invalid
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.everything import ANY, is_everything
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.merge import (
    RANGES,
    merged_section,
    narrowed,
    started,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.nesting import check_nesting
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.networks import (
    PLATFORM_PREFIX,
    collapsed,
    has_hosts,
    is_nearly_all,
    subtracted,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.validators import (
    boolean_of,
    check_complete,
    check_keys,
    choice_of,
    day_of,
    host_name_of,
    list_of,
    mapping_of,
    name_of,
    networks_of,
    ports_of,
    range_of,
    text_of,
    texts_of,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.variables import SITE_DEFAULTS

if TYPE_CHECKING:
    from netaddr import IPNetwork

EXPOSURES = ("public", "platform", "cluster", "host")
NEEDS = ("required", "recommended", "optional", "conditional")
SECTIONS = ("firewall_services", "firewall_endpoints", "firewall_flows")
# The endpoint of the hosts that Ansible runs on. The management flow comes from it.
CONTROLLERS = "controllers"
SWITCHES = ("firewall_ssh_through_tunnel",)
# The keys of an entry. An entry that overrides no shipped one must have the keys of REQUIRED.
KEYS = {
    "firewall_services": ("ports", "title", "exposure", "broad", "unit", "accept"),
    "firewall_endpoints": ("groups", "fallback_groups", "cidrs", "hostnames", "except", "title"),
    "firewall_flows": (
        "from",
        "to",
        "services",
        "within_cluster",
        "need",
        "enabled",
        "title",
        "reference",
        "note",
        "review_by",
        "unless",
        "accept",
    ),
}
REQUIRED = {
    "firewall_services": ("ports",),
    "firewall_endpoints": (),
    "firewall_flows": ("from", "to", "services", "need"),
}
# The keys of a flow that say what it connects.
_CONNECTING = frozenset(("from", "to", "services", "within_cluster"))
# The name of a systemd unit. Escaped names contain backslashes.
UNIT = re.compile(r"[A-Za-z0-9:_.@\\-]{1,255}", re.ASCII)

_NODES = (
    f"networks of the cluster's nodes, no wider than /{PLATFORM_PREFIX[4]} (IPv4) or /{PLATFORM_PREFIX[6]} (IPv6), "
    "because flows within the cluster are open to them"
)
_SERVICE = "the name of a service from firewall_services"
_ENDPOINT = "the name of an endpoint from firewall_endpoints or of an inventory group"
_EVERYWHERE = "For connections from everywhere, write a flow from the endpoint anywhere."


@dataclass(frozen=True)
class Acceptance:
    """Findings of a lint rule that a site accepts, with the reason, and the day of the next review."""

    rule: str
    reason: str
    review_by: date | None = None
    declared_by_site: bool = False


@dataclass(frozen=True)
class Service:
    """A named set of ports. `unit` is the systemd unit that usually listens on them."""

    name: str
    ports: tuple[PortRange, ...]
    title: str = ""
    exposure: str = "platform"
    broad: bool = False
    unit: str = ""
    accept: tuple[Acceptance, ...] = ()
    declared_by_site: bool = False

    @property
    def has_own_ports(self) -> bool:
        """Return whether broad services leave out its ports: it is neither broad nor `any/ip`."""
        return not (self.broad or is_everything(self.ports))


@dataclass(frozen=True)
class Endpoint:
    """A named set of addresses: inventory groups, networks and host names.

    A host of `fallback_groups` is in the endpoint if one of its clusters has no other host of the endpoint.
    Addresses in `excepted` are not in the endpoint.
    """

    name: str
    groups: tuple[str, ...] = ()
    fallback_groups: tuple[str, ...] = ()
    cidrs: tuple[IPNetwork, ...] = ()
    hostnames: tuple[str, ...] = ()
    excepted: tuple[IPNetwork, ...] = ()
    title: str = ""
    declared_by_site: bool = False


@dataclass(frozen=True)
class Flow:
    """Permission for sources to open connections to targets on services.

    `changed_by_site` says whether the site itself wrote one of `from`, `to`, `services` and `within_cluster`.
    """

    name: str
    sources: tuple[str, ...]
    targets: tuple[str, ...]
    services: tuple[str, ...]
    need: str
    within_cluster: bool = False
    enabled: bool | None = None
    title: str = ""
    reference: tuple[str, ...] = ()
    note: str = ""
    review_by: date | None = None
    unless: str = ""
    accept: tuple[Acceptance, ...] = ()
    changed_by_site: bool = False


@dataclass(frozen=True)
class Catalogue:
    """The validated port file of an inventory. Every inventory group is also an endpoint."""

    services: dict[str, Service]
    endpoints: dict[str, Endpoint]
    flows: dict[str, Flow]
    clusters: dict[str, tuple[IPNetwork, ...]] = field(default_factory=dict)
    switches: frozenset[str] = frozenset()
    broad_yields: bool = True
    isolated: tuple[IPNetwork, ...] = ()


def load_catalogue(shipped: Mapping[str, Any], site: Mapping[str, Any], groups: Collection[str]) -> Catalogue:
    """Return the catalogue of a site.

    `shipped` and `site` have the variables of the port file as keys (`firewall_services`, …). `site` also has the
    settings of the whole inventory (see `SITE_DEFAULTS` in `variables.py`). `groups` are the inventory groups: with
    their hosts, an error says so if a flow names a host. Raises PortFileError for the first mistake.
    """
    site = {**SITE_DEFAULTS, **site}
    for key in SITE_DEFAULTS:
        check_nesting(key, site[key])
    for key in ("firewall_broad_yields", *SWITCHES):
        boolean_of(key, site[key])
    base = started(shipped, site["firewall_shipped"])
    merged = {key: merged_section(key, shipped.get(key, {}), base.get(key, {}), site[key]) for key in SECTIONS}
    for variable, _usual in RANGES.values():
        range_of(variable, site[variable])
    known_groups = {*groups, *CANONICAL_GROUPS}
    own = site["firewall_services"]
    services = {
        name: _service(name, value, own.get(name), base.get("firewall_services", {}))
        for name, value in sorted(narrowed(merged["firewall_services"], own, site).items())
    }
    endpoints = {
        name: _endpoint(name, value, name in site["firewall_endpoints"])
        for name, value in sorted(merged["firewall_endpoints"].items())
    }
    flows = {
        name: _flow(name, value, site["firewall_flows"].get(name), base.get("firewall_flows", {}))
        for name, value in sorted(merged["firewall_flows"].items())
    }
    for flow in flows.values():
        _check_deleted(flow, site, base, known_groups)
        _check_names(flow, services, endpoints, known_groups, groups if isinstance(groups, Mapping) else {})
        _check_everything(flow, services, endpoints)
    _check_management(flows)
    return Catalogue(
        services=services,
        endpoints={**{name: Endpoint(name, groups=(name,)) for name in known_groups}, **endpoints},
        flows=flows,
        clusters=_clusters(site["firewall_clusters"]),
        switches=frozenset(name for name in SWITCHES if site[name]),
        broad_yields=site["firewall_broad_yields"],
        isolated=networks_of("firewall_isolated_networks", site["firewall_isolated_networks"]),
    )


def with_entries(catalogue: Catalogue, entries: Mapping[str, Mapping[str, Any]]) -> Catalogue:
    """Return the catalogue with further entries of the site, such as those of a draft. Raises PortFileError.

    `entries` has the three dictionaries. An entry replaces the whole entry of the same name.
    """
    own = {key: entries.get(key, {}) for key in SECTIONS}
    services = {name: _service(name, value, value, ()) for name, value in own["firewall_services"].items()}
    endpoints = {name: _endpoint(name, value, True) for name, value in own["firewall_endpoints"].items()}
    flows = {name: _flow(name, value, value, ()) for name, value in own["firewall_flows"].items()}
    result = replace(
        catalogue,
        services={**catalogue.services, **services},
        endpoints={**catalogue.endpoints, **endpoints},
        flows={**catalogue.flows, **flows},
    )
    for flow in flows.values():
        _check_names(flow, result.services, result.endpoints, (), {})
        _check_everything(flow, result.services, result.endpoints)
    return result


def _check_management(flows: Mapping[str, Flow]) -> None:
    flow = flows.get(MANAGEMENT_FLOW)
    key = f"firewall_flows.{MANAGEMENT_FLOW}"
    advice = (
        "Without this flow, Ansible is locked out of every host. To change who may connect, edit the endpoint "
        "controllers."
    )
    if flow is None or flow.enabled is False:
        raise invalid(key, flow and {"enabled": False}, "an enabled flow", advice)
    for name, got, wanted in (
        ("need", flow.need, "required"),
        ("unless", flow.unless, ""),
        ("within_cluster", flow.within_cluster, False),
    ):
        if got != wanted:
            raise invalid(f"{key}.{name}", got, repr(wanted), advice)


def _service(name: str, value: Any, own: Any, shipped: Collection[str]) -> Service:
    """Return a service from its merged value. `own` is what the site itself wrote, or None."""
    key = f"firewall_services.{name}"
    check_keys(key, value, KEYS["firewall_services"])
    check_complete(key, value, REQUIRED["firewall_services"], name, shipped)
    service = Service(
        name=name,
        ports=tuple(
            port_range
            for text in list_of(f"{key}.ports", value["ports"], "ports")
            for port_range in ports_of(f"{key}.ports", text)
        ),
        title=text_of(f"{key}.title", value.get("title", "")),
        exposure=choice_of(f"{key}.exposure", value.get("exposure", "platform"), EXPOSURES),
        broad=boolean_of(f"{key}.broad", value.get("broad", False)),
        unit=_unit(f"{key}.unit", value.get("unit", "")),
        accept=_acceptances(f"{key}.accept", value.get("accept", {}), own),
        declared_by_site=own is not None,
    )
    if service.broad and is_everything(service.ports):
        raise invalid(
            f"{key}.broad",
            True,
            f"false, because {ANY} leaves no port to other services",
            "A broad service may have 1-65535/tcp and 1-65535/udp.",
        )
    return service


def _unit(key: str, value: Any) -> str:
    unit = text_of(key, value)
    if unit and not UNIT.fullmatch(unit):
        raise invalid(key, unit, "a systemd unit such as 'slurmctld.service'")
    return unit


def _endpoint(name: str, value: Any, declared_by_site: bool) -> Endpoint:
    key = f"firewall_endpoints.{name}"
    check_keys(key, value, KEYS["firewall_endpoints"], instead=ENDPOINT_KEYS)
    return Endpoint(
        name=name,
        groups=texts_of(f"{key}.groups", value.get("groups", []), "group names", may_be_empty=True),
        fallback_groups=texts_of(
            f"{key}.fallback_groups", value.get("fallback_groups", []), "group names", may_be_empty=True
        ),
        cidrs=networks_of(f"{key}.cidrs", value.get("cidrs", [])),
        hostnames=tuple(
            host_name_of(f"{key}.hostnames", host_name)
            for host_name in list_of(f"{key}.hostnames", value.get("hostnames", []), "host names", may_be_empty=True)
        ),
        excepted=networks_of(f"{key}.except", value.get("except", [])),
        title=text_of(f"{key}.title", value.get("title", "")),
        declared_by_site=declared_by_site,
    )


def _flow(name: str, value: Any, own: Any, shipped: Collection[str]) -> Flow:
    """Return a flow from its merged value. `own` is what the site itself wrote, or None."""
    key = f"firewall_flows.{name}"
    check_keys(key, value, KEYS["firewall_flows"], instead=FLOW_KEYS)
    check_complete(key, value, REQUIRED["firewall_flows"], name, shipped)
    enabled = value.get("enabled")
    return Flow(
        name=name,
        sources=_names(key, "from", value, "endpoints"),
        targets=_names(key, "to", value, "endpoints"),
        services=_names(key, "services", value, "services"),
        need=choice_of(f"{key}.need", value["need"], NEEDS),
        within_cluster=boolean_of(f"{key}.within_cluster", value.get("within_cluster", False)),
        enabled=None if enabled is None else boolean_of(f"{key}.enabled", enabled),
        title=text_of(f"{key}.title", value.get("title", "")),
        reference=texts_of(f"{key}.reference", value.get("reference", []), "references", may_be_empty=True),
        note=text_of(f"{key}.note", value.get("note", "")),
        review_by=day_of(f"{key}.review_by", value.get("review_by")),
        unless=choice_of(f"{key}.unless", value.get("unless", ""), ("", *SWITCHES)),
        accept=_acceptances(f"{key}.accept", value.get("accept", {}), own),
        changed_by_site=isinstance(own, Mapping) and not _CONNECTING.isdisjoint(own),
    )


def _names(key: str, part: str, value: Mapping[str, Any], members: str) -> tuple[str, ...]:
    """Return the names in `from`, `to` or `services`."""
    for entry in list_of(f"{key}.{part}", value[part], members):
        if isinstance(entry, Mapping):
            expected = _SERVICE if part == "services" else _ENDPOINT
            raise invalid(f"{key}.{part}", entry, expected, INLINE[part])
    return texts_of(f"{key}.{part}", value[part], members)


def _acceptances(key: str, value: Any, own: Any) -> tuple[Acceptance, ...]:
    """Return the accepted findings: each value is a reason, or a dictionary with `reason` and `review_by`."""
    if not isinstance(value, Mapping):
        raise invalid(key, value, "a dictionary of rules with reasons, such as {exposure: 'gateway, reviewed'}")
    by_site = own.get("accept") if isinstance(own, Mapping) else None
    return tuple(_acceptance(f"{key}.{rule}", rule, entry, rule in (by_site or {})) for rule, entry in value.items())


def _acceptance(key: str, rule: Any, value: Any, declared_by_site: bool) -> Acceptance:
    if not isinstance(value, Mapping):
        value = {"reason": value}
    check_keys(key, value, ("reason", "review_by"), required=("reason",))
    reason = text_of(key, value["reason"])
    if not reason.strip():
        raise invalid(key, reason, "a reason, such as 'jump host, hardened, reviewed'")
    return Acceptance(str(rule), reason, day_of(f"{key}.review_by", value.get("review_by")), declared_by_site)


def _check_deleted(flow: Flow, site: Mapping[str, Any], base: Mapping[str, Any], groups: Collection[str]) -> None:
    """Raise PortFileError if the site deletes, with null, a service or an endpoint that a flow names."""
    for name in flow.services:
        if site["firewall_services"].get(name, flow) is None:
            expected = f"a dictionary, because flow {flow.name} uses this service"
            advice = unused_service_advice(name, flow.name, flow.services)
            raise invalid(f"firewall_services.{name}", None, expected, advice)
    for name in (*flow.sources, *flow.targets):
        if site["firewall_endpoints"].get(name, flow) is None and name not in groups:
            expected = f"a dictionary, because flow {flow.name} names this endpoint"
            advice = empty_endpoint_advice(base.get("firewall_endpoints", {}).get(name, {}), flow.name)
            raise invalid(f"firewall_endpoints.{name}", None, expected, advice)


def _check_names(
    flow: Flow,
    services: Collection[str],
    endpoints: Mapping[str, Endpoint],
    groups: Collection[str],
    members: Mapping[str, Collection[str]],
) -> None:
    key = f"firewall_flows.{flow.name}"
    for name in flow.services:
        if name not in services:
            advice = service_advice(name, services)
            raise invalid(f"{key}.services", name, "a service from firewall_services", advice)
    for side, names in (("from", flow.sources), ("to", flow.targets)):
        for name in names:
            if name not in endpoints and name not in groups:
                raise invalid(
                    f"{key}.{side}",
                    name,
                    "an endpoint from firewall_endpoints or an inventory group",
                    inventory_host_advice(name, members, flow.within_cluster)
                    or endpoint_advice(name, [*endpoints, *groups]),
                )
            endpoint = endpoints.get(name)
            if flow.within_cluster and endpoint and (endpoint.cidrs or endpoint.hostnames):
                raise invalid(
                    f"{key}.{side}",
                    name,
                    "an endpoint that has only groups, because the flow has within_cluster",
                    "Put cluster networks into firewall_clusters.",
                )


def _check_everything(flow: Flow, services: Mapping[str, Service], endpoints: Mapping[str, Endpoint]) -> None:
    """Raise PortFileError if a flow opens `any/ip` to any address."""
    name = next((name for name in flow.services if is_everything(services[name].ports)), None)
    sources = [endpoints[source] for source in flow.sources if source in endpoints]
    if name and _has_all(network for source in sources for network in source.cidrs):
        is_all = _has_all(network for source in sources for network in subtracted(source.cidrs, source.excepted))
        how_many = "all addresses" if is_all else "nearly all addresses (an except leaves all others)"
        raise invalid(
            f"firewall_flows.{flow.name}.from",
            list(flow.sources),
            f"sources that do not contain {how_many}, because the service {name} is {ANY}",
            "Name the groups or networks of the sources, or a service with the ports that anyone may use.",
        )


def _has_all(networks: Iterable[IPNetwork]) -> bool:
    """Return whether networks have all addresses of IPv4 or of IPv6 together."""
    return any(text.endswith("/0") for text in collapsed(networks))


def _clusters(value: Any) -> dict[str, tuple[IPNetwork, ...]]:
    clusters = {}
    for name, cluster in mapping_of("firewall_clusters", value).items():
        key = f"firewall_clusters.{name_of('name in firewall_clusters', name)}"
        if not isinstance(cluster, Mapping):
            raise invalid(key, cluster, "a dictionary such as {cidrs: [10.20.0.0/16]}")
        check_keys(key, cluster, ("cidrs",), required=("cidrs",))
        clusters[str(name)] = networks_of(f"{key}.cidrs", cluster["cidrs"])
        for network in filterfalse(has_hosts, clusters[str(name)]):
            raise invalid(
                f"{key}.cidrs", str(network), "a network that can contain hosts, not loopback, multicast or broadcast"
            )
        for network in filter(is_nearly_all, clusters[str(name)]):
            raise invalid(f"{key}.cidrs", str(network), _NODES, _EVERYWHERE)
    return clusters
