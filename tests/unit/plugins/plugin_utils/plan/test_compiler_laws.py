# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare the plan with an oracle: for random sites, a host passes a packet if and only if an enabled flow allows it.

The oracle is written from the design alone and naively: it works on the plain data of a site, address by address and
port by port, and shares no code with the plan.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from itertools import product
from typing import Any

from ansible_collections.hpc.ports.plugins.module_utils._model.evaluate import Packet, evaluate
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import Policy, parse_policy
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError
from ansible_collections.hpc.ports.tests.support.random_sites import (
    CLUSTERS,
    MANAGED_GROUPS,
    NAMES,
    PORTS,
    PROTOCOLS,
    SITES,
    SITES_OF_GROUPS,
    Site,
)
from ansible_collections.hpc.ports.tests.support.sites import SHIPPED
from hypothesis import event, given, settings
from hypothesis import strategies as st

OFF = {"required": True, "recommended": True, "optional": False}


# ---- The oracle -----------------------------------------------------------------------------------------------------


@dataclass
class Oracle:
    """The flows of a site, evaluated directly from the design."""

    site: Site

    def __post_init__(self) -> None:
        self.flows = {**SHIPPED["firewall_flows"], **self.site.flows}
        self.services = {**SHIPPED["firewall_services"], **self.site.services}
        self.endpoints = {**SHIPPED["firewall_endpoints"], **self.site.endpoints}
        # Names are looked up only for flows that are on.
        self.on: list[dict[str, Any]] = []
        self.on = [flow for flow in self.flows.values() if self.is_on(flow)]

    def accepts(self, host: str, peer: str, protocol: str, port: int) -> bool:
        return any(
            self.is_on_side(host, flow["to"])
            and self.comes_from(flow, host, peer)
            and self.has_port(flow, protocol, port, self.claims(host))
            for flow in self.on
        )

    def opens(self, host: str, peer: str, protocol: str, port: int) -> bool:
        return any(
            self.is_on_side(host, flow["from"]) and self.goes_to(flow, host, peer, protocol, port) for flow in self.on
        )

    def is_on(self, flow: dict[str, Any]) -> bool:
        if flow.get("enabled") is not None:
            return flow["enabled"]
        if flow.get("unless") and self.site.tunnel:
            return False
        if flow["need"] != "conditional":
            return OFF[flow["need"]]
        if not flow.get("within_cluster"):
            return all(self.has_anybody(flow[side]) for side in ("from", "to"))
        return any(
            all(
                self.networks_of_cluster(cluster) or self.hosts_of_cluster(flow[side], cluster)
                for side in ("from", "to")
            )
            for cluster in CLUSTERS
        )

    def has_anybody(self, names: list[str]) -> bool:
        return any(
            self.endpoint(name).get("hostnames")
            or self.members(name)
            or any(self.has_rest(network, name) for network in self.endpoint(name).get("cidrs", []))
            for name in names
        )

    def has_rest(self, network: str, name: str) -> bool:
        """Return whether some address of the network is not excepted; only one network is excepted here."""
        whole = ip_network(network)
        return not any(
            whole.version == other.version and whole.subnet_of(other)
            for other in map(ip_network, self.endpoint(name).get("except", []))
        )

    def hosts_of_cluster(self, names: list[str], cluster: str) -> list[str]:
        return [host for name in names for host in self.members(name) if cluster in self.clusters(host)]

    def networks_of_cluster(self, cluster: str) -> list[str]:
        return self.site.clusters.get(cluster, {"cidrs": []})["cidrs"]

    def endpoint(self, name: str) -> dict[str, Any]:
        return {"groups": [], **self.endpoints.get(name, {"groups": [name]})}

    def in_groups(self, groups: list[str]) -> list[str]:
        return [name for name, host in self.site.hosts.items() if set(groups) & set(host["groups"])]

    def members(self, name: str) -> set[str]:
        """Return the hosts on the side of an endpoint."""
        hosts = {host for host in self.site.hosts if self.is_in_groups_or_named(host, name)}
        served = {cluster for host in hosts for cluster in self.clusters(host)}
        others = self.in_groups(self.endpoint(name).get("fallback_groups", []))
        return hosts | {host for host in others if self.clusters(host) - served and not self.is_excepted(host, name)}

    def is_in_groups_or_named(self, host: str, name: str) -> bool:
        is_named = self.is_managed(host) and self.is_named_by_its_very_address(host, name)
        is_in = host in self.in_groups(self.endpoint(name)["groups"]) or is_named
        return is_in and not self.is_excepted(host, name)

    def is_excepted(self, host: str, name: str) -> bool:
        data = self.site.hosts[host]
        own = {*data["addresses"], *data.get("source_addresses", [])}
        return any(is_in(text, self.endpoint(name).get("except", [])) for text in own)

    def clusters(self, host: str) -> set[str]:
        value = self.site.hosts[host]["cluster"]
        return {value} if isinstance(value, str) else set(value)

    def share_a_cluster(self, flow: dict[str, Any], host: str, other: str) -> bool:
        return not flow.get("within_cluster") or bool(self.clusters(host) & self.clusters(other))

    def is_managed(self, host: str) -> bool:
        return bool(set(self.site.hosts[host]["groups"]) & set(MANAGED_GROUPS))

    def is_on_side(self, host: str, names: list[str]) -> bool:
        return any(host in self.members(name) for name in names)

    def is_named_by_its_very_address(self, host: str, name: str) -> bool:
        whole = {"10": "/32", "fd": "/128"}
        own = {text + whole[text[:2]] for text in self.site.hosts[host]["addresses"]}
        return bool(own & set(self.networks(name)))

    def networks(self, name: str) -> list[str]:
        """Return the networks of an endpoint, with its host names if an enabled flow needs them."""
        endpoint = self.endpoint(name)
        needed = any(name in (*flow["from"], *flow["to"]) for flow in self.on)
        found = [text for host in endpoint.get("hostnames", []) for text in NAMES[host]] if needed else []
        return [*endpoint.get("cidrs", []), *(str(ip_network(text)) for text in found)]

    def is_outside(self, flow: dict[str, Any], side: str, host: str, peer: str) -> bool:
        """Return whether the peer is in a network of this side or of a cluster of the host."""
        in_cluster = [text for cluster in self.clusters(host) for text in self.networks_of_cluster(cluster)]
        if flow.get("within_cluster") and is_in(peer, in_cluster):
            return True
        return any(
            is_in(peer, self.networks(name))
            and not is_in(peer, self.endpoint(name).get("except", []))
            and not self.is_of_excepted_host(peer, name)
            for name in flow[side]
        )

    def is_of_excepted_host(self, peer: str, name: str) -> bool:
        """Return whether a managed host that the endpoint excepts has this address, excepted or not."""
        return any(
            self.is_managed(host)
            and self.is_excepted(host, name)
            and peer in (*data["addresses"], *data.get("source_addresses", []))
            for host, data in self.site.hosts.items()
        )

    def comes_from(self, flow: dict[str, Any], host: str, peer: str) -> bool:
        return self.is_outside(flow, "from", host, peer) or any(
            self.is_on_side(other, flow["from"])
            and self.share_a_cluster(flow, host, other)
            and peer in data.get("source_addresses", data["addresses"])
            for other, data in self.site.hosts.items()
        )

    def goes_to(self, flow: dict[str, Any], host: str, peer: str, protocol: str, port: int) -> bool:
        if self.is_outside(flow, "to", host, peer) and self.has_port(flow, protocol, port, set(self.services)):
            return True
        return any(
            peer in data["addresses"]
            and self.is_on_side(other, flow["to"])
            and self.share_a_cluster(flow, host, other)
            and self.has_port(flow, protocol, port, self.claims(other))
            for other, data in self.site.hosts.items()
        )

    def claims(self, host: str) -> set[str]:
        """Return the services that any flow, enabled or not, has on a host."""
        return {
            service for flow in self.flows.values() if self.is_on_side(host, flow["to"]) for service in flow["services"]
        }

    def has_port(self, flow: dict[str, Any], protocol: str, port: int, claiming: set[str]) -> bool:
        named = [name for name in claiming if not self.services[name].get("broad")]
        claimed = self.site.yields and any(self.covers(name, protocol, port) for name in named)
        return any(
            self.covers(name, protocol, port) and not (self.services[name].get("broad") and claimed)
            for name in flow["services"]
        )

    def covers(self, service: str, protocol: str, port: int) -> bool:
        for text in self.services[service]["ports"]:
            ports, slash, wanted = text.partition("/")
            first, dash, last = ports.partition("-")
            if wanted == protocol and int(first) <= port <= int(last or first):
                return True
        return False


def is_in(address: str, networks: list[str]) -> bool:
    return any(ip_address(address) in ip_network(network) for network in networks)


# ---- The laws -------------------------------------------------------------------------------------------------------


def policies(plan: Plan) -> dict[str, Policy]:
    return {host: parse_policy(plan.policies[digest]) for host, digest in plan.hosts.items()}


def passes(policy: Policy, direction: str, protocol: str, peer: str, port: int) -> bool:
    judgement = evaluate(policy, Packet(direction, protocol, peer, port))
    assert judgement.passes or policy.mode == "enforce"
    return judgement.reason.startswith("flow")


def peers_of(site: Site) -> list[str]:
    """Return the addresses and source addresses of all hosts, and two unused addresses."""
    found = [text for host in site.hosts.values() for text in (*host["addresses"], *host.get("source_addresses", []))]
    return [*found, "10.0.0.15", "fd00::f"]


@settings(max_examples=3 * settings().max_examples)
@given(SITES, st.lists(st.sampled_from(PORTS), min_size=1, max_size=3, unique=True), st.sampled_from(PROTOCOLS))
def test_a_host_allows_exactly_what_some_flow_allows(site: Site, ports: list[int], protocol: str) -> None:
    oracle, found = Oracle(site), policies(site.plan())
    for host, policy in found.items():
        assert (policy.egress, policy.mode) == (site.hosts[host]["egress"], site.hosts[host]["mode"])
        for peer, port in product(peers_of(site), ports):
            expected = oracle.accepts(host, peer, protocol, port)
            event(f"accepted: {expected}")
            assert passes(policy, "in", protocol, peer, port) == expected, (host, "in", peer, protocol, port)
            if policy.egress == "restricted":
                expected = oracle.opens(host, peer, protocol, port)
                event(f"opened: {expected}")
                assert passes(policy, "out", protocol, peer, port) == expected, (host, "out", peer, protocol, port)


@given(SITES_OF_GROUPS, st.sampled_from(PORTS), st.sampled_from(PROTOCOLS))
def test_both_ends_agree_without_named_networks(site: Site, port: int, protocol: str) -> None:
    for host in site.hosts.values():
        host["egress"] = "restricted"
    found = policies(site.plan())
    for source, target in product(found, found):
        for here, there in product(site.hosts[source]["addresses"], site.hosts[target]["addresses"]):
            leaves = passes(found[source], "out", protocol, there, port)
            assert leaves == passes(found[target], "in", protocol, here, port), (source, target)


@given(SITES, st.integers())
def test_the_plan_does_not_depend_on_the_order_of_its_input(site: Site, seed: int) -> None:
    shuffler = random.Random(seed)

    def shuffled(items: dict[str, Any]) -> dict[str, Any]:
        return {name: turned(items[name]) for name in shuffler.sample(sorted(items), len(items))}

    def turned(item: dict[str, Any]) -> dict[str, Any]:
        return {key: value[::-1] if isinstance(value, list) else value for key, value in item.items()}

    other = Site(
        shuffled(site.services),
        shuffled(site.endpoints),
        shuffled(site.flows),
        shuffled(site.hosts),
        shuffled(site.clusters),
        site.tunnel,
        site.yields,
    )
    one, two = site.plan(), other.plan()
    assert one.policies == two.policies
    assert one.hosts == two.hosts


@given(SITES)
def test_identical_hosts_share_one_policy(site: Site) -> None:
    twins = {
        f"{name}-twin": {**host, "addresses": [f"10.9.0.{number}"], "source_addresses": [f"10.9.0.{number}"]}
        for number, (name, host) in enumerate(site.hosts.items())
    }
    for endpoint in site.endpoints.values():
        # A host that is named by its very address is not like its twin.
        endpoint.update({key: [] for key in ("cidrs", "hostnames", "except") if key in endpoint})
    site.hosts = {**site.hosts, **twins}
    plan = site.plan()
    for name, digest in plan.hosts.items():
        if not name.endswith("-twin"):
            assert plan.hosts[f"{name}-twin"] == digest


@given(SITES)
def test_policies_differ_and_contain_no_unused_networks(site: Site) -> None:
    plan = site.plan()
    assert set(plan.hosts.values()) == set(plan.policies)
    for policy in plan.policies.values():
        assert set(policy["networks"]) == {rule["peers"] for rule in policy["rules"]}
        assert all(rule["ports"] and policy["networks"][rule["peers"]] for rule in policy["rules"])
        assert policy["egress"] == "restricted" or all(rule["direction"] == "in" for rule in policy["rules"])


@given(SITES)
def test_any_managed_host_without_an_address_is_an_error(site: Site) -> None:
    site.hosts["lost"] = {"groups": ["slurm_compute"], "cluster": "alpha", "addresses": ["lost.example.org"]}
    try:
        site.plan()
    except PortFileError as error:
        assert str(error).startswith("Invalid firewall_addresses of host lost: got 'lost.example.org', expected")
    else:
        raise AssertionError("expected an error")
