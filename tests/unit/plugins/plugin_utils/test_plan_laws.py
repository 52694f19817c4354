# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan against an oracle: for random sites, a host passes a packet if and only if some flow that is on says so.

The oracle is written from the design alone and naively: it works on the plain data of a site, address by address and
port by port, and shares no code with the plan.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from itertools import product
from typing import Any

from hypothesis import event, given, settings
from hypothesis import strategies as st

from ansible_collections.hpc.ports.plugins.module_utils.evaluate import Packet, evaluate
from ansible_collections.hpc.ports.plugins.module_utils.policy import Policy, parse_policy
from ansible_collections.hpc.ports.plugins.plugin_utils.errors import PortFileError
from ansible_collections.hpc.ports.plugins.plugin_utils.plan import Plan
from ansible_collections.hpc.ports.tests.support.sites import SHIPPED, make_plan

MANAGED_GROUPS = ("control_plane", "slurm_controller", "slurm_compute")
GROUPS = (*MANAGED_GROUPS, "desks")
CLUSTERS = ("default", "alpha", "beta")
PROTOCOLS = ("tcp", "udp")
# Names of hosts that the name service knows; the addresses are those that hosts have, too.
NAMES = {"a.example.org": ["10.0.0.1", "fd00::1"], "b.example.org": ["10.0.0.6"]}
PORTS = range(1, 31)
OFF = {"required": True, "recommended": True, "optional": False}


@dataclass
class Site:
    """All that a plan is made of, as plain data."""

    services: dict[str, Any]
    endpoints: dict[str, Any]
    flows: dict[str, Any]
    hosts: dict[str, Any]
    clusters: dict[str, Any] = field(default_factory=dict)
    tunnel: bool = False
    yields: bool = True

    def plan(self) -> Plan:
        port_file = {"services": self.services, "endpoints": self.endpoints, "flows": self.flows}
        return make_plan(port_file, self.hosts, NAMES, firewall_clusters=self.clusters,
                         firewall_ssh_through_tunnel=self.tunnel, firewall_broad_yields=self.yields)


# ---- Random sites ---------------------------------------------------------------------------------------------------


def address(family: int, number: int) -> str:
    return f"10.0.0.{number}" if family == 4 else f"fd00::{number:x}"


def network(family: int, number: int, bits: int) -> str:
    """Return a network of 1 to 16 addresses, sixteen of which are those that hosts have."""
    first = number >> bits << bits
    return f"{address(family, first)}/{(32 if family == 4 else 128) - bits}"


FAMILIES = st.sampled_from([4, 6])
SMALL_NETWORKS = st.builds(network, FAMILIES, st.integers(0, 15), st.integers(0, 4))
NETWORKS = st.one_of(SMALL_NETWORKS, st.sampled_from(["0.0.0.0/0", "::/0"]))
RANGES = st.builds(
    lambda first, length, protocol: f"{first}-{min(first + length, 30)}/{protocol}",
    st.integers(1, 30), st.integers(0, 12), st.sampled_from(PROTOCOLS))
SERVICES = st.fixed_dictionaries({
    name: st.fixed_dictionaries({"ports": st.lists(RANGES, min_size=1, max_size=2), "broad": st.just(broad)})
    for name, broad in [("s0", False), ("s1", False), ("s2", False), ("b0", True), ("b1", True)]
})
GROUP_LISTS = st.lists(st.sampled_from([*GROUPS, "absent"]), unique=True, max_size=2)
ENDPOINTS = st.fixed_dictionaries({
    "e0": st.fixed_dictionaries({"groups": GROUP_LISTS, "cidrs": st.lists(NETWORKS, max_size=2)}),
    "e1": st.fixed_dictionaries({"groups": GROUP_LISTS, "cidrs": st.lists(NETWORKS, max_size=1),
                                 "hostnames": st.lists(st.sampled_from(sorted(NAMES)), max_size=1)}),
    # Of groups only, so that flows within a cluster may name it.
    "e2": st.fixed_dictionaries({"groups": GROUP_LISTS}),
})
OF_GROUPS = ("e2", *GROUPS)


def flows(names: tuple[str, ...], within_cluster: bool) -> st.SearchStrategy[dict[str, Any]]:
    sides = st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True)
    return st.fixed_dictionaries(
        {
            "from": sides,
            "to": sides,
            "services": st.lists(st.sampled_from(["s0", "s1", "s2", "b0", "b1"]), min_size=1, max_size=2, unique=True),
            "need": st.sampled_from(["recommended", "recommended", "conditional", "optional"]),
            "within_cluster": st.just(within_cluster),
        },
        optional={"enabled": st.booleans(), "unless": st.just("firewall_ssh_through_tunnel")},
    )


FLOWS = st.lists(st.one_of(flows(("e0", "e1", *OF_GROUPS), False), flows(OF_GROUPS, True)), min_size=1, max_size=5).map(
    lambda items: {f"f{number}": item for number, item in enumerate(items)})
HOST = st.fixed_dictionaries({
    "groups": st.lists(st.sampled_from(GROUPS), max_size=2, unique=True),
    "cluster": st.one_of(st.sampled_from(CLUSTERS), st.lists(st.sampled_from(CLUSTERS), min_size=1, max_size=2)),
    "egress": st.sampled_from(["open", "restricted"]),
    "mode": st.sampled_from(["enforce", "enforce", "observe"]),
})
CLUSTER_NETWORKS = st.dictionaries(
    st.sampled_from(CLUSTERS), st.fixed_dictionaries({"cidrs": st.lists(SMALL_NETWORKS, max_size=2)}), max_size=2)


@st.composite
def hosts(draw: st.DrawFn, apart: bool) -> dict[str, Any]:
    """Return hosts with addresses of their own; unless `apart`, some come from addresses other than their own."""
    result: dict[str, Any] = {"h0": {"groups": ["desks"], "cluster": "alpha", "addresses": [address(4, 7)]}}
    for number in range(1, draw(st.integers(2, 6)) + 1):
        host = draw(HOST)
        host["addresses"] = draw(st.sampled_from([[address(4, number)], [address(6, number)],
                                                  [address(4, number), address(6, number)],
                                                  [address(4, number), address(4, number + 8)]]))
        if not apart and draw(st.integers(0, 3)) == 0:
            host["source_addresses"] = [address(4, number + 100)]
        result[f"h{number}"] = host
    return result


SITES = st.builds(Site, SERVICES, ENDPOINTS, FLOWS, hosts(apart=False), CLUSTER_NETWORKS, st.booleans(),
                  st.sampled_from([True, True, False]))
# Without networks of any kind, and where every host comes from where it is.
SITES_OF_GROUPS = st.builds(
    Site, SERVICES, st.just({"e2": {"groups": ["slurm_compute", "desks"]}}),
    st.lists(st.one_of(flows(OF_GROUPS, False), flows(OF_GROUPS, True)), min_size=1, max_size=5).map(
        lambda items: {f"f{number}": item for number, item in enumerate(items)}),
    hosts(apart=True), st.just({}), st.booleans(), st.booleans())


# ---- The oracle -----------------------------------------------------------------------------------------------------


@dataclass
class Oracle:
    """What the design says of a site."""

    site: Site

    def __post_init__(self) -> None:
        self.flows = {**SHIPPED["firewall_flows"], **self.site.flows}
        self.services = {**SHIPPED["firewall_services"], **self.site.services}
        self.endpoints = {**SHIPPED["firewall_endpoints"], **self.site.endpoints}
        self.on = [flow for flow in self.flows.values() if self.is_on(flow)]

    def accepts(self, host: str, peer: str, protocol: str, port: int) -> bool:
        return any(
            self.is_on_side(host, flow["to"]) and self.comes_from(flow, host, peer)
            and self.has_port(flow, protocol, port, self.claims(host)) for flow in self.on)

    def opens(self, host: str, peer: str, protocol: str, port: int) -> bool:
        return any(self.is_on_side(host, flow["from"]) and self.goes_to(flow, host, peer, protocol, port)
                   for flow in self.on)

    def is_on(self, flow: dict[str, Any]) -> bool:
        if flow.get("enabled") is not None:
            return flow["enabled"]
        if flow.get("unless") and self.site.tunnel:
            return False
        if flow["need"] != "conditional":
            return OFF[flow["need"]]
        if not flow.get("within_cluster"):
            return all(self.has_anybody(flow[side]) for side in ("from", "to"))
        return any(all(self.networks_of_cluster(cluster) or self.hosts_of_cluster(flow[side], cluster)
                       for side in ("from", "to")) for cluster in CLUSTERS)

    def has_anybody(self, names: list[str]) -> bool:
        return any(endpoint.get("cidrs") or endpoint.get("hostnames") or self.in_groups(endpoint["groups"])
                   for endpoint in map(self.endpoint, names))

    def hosts_of_cluster(self, names: list[str], cluster: str) -> list[str]:
        return [host for name in names for host in self.in_groups(self.endpoint(name)["groups"])
                if cluster in self.clusters(host)]

    def networks_of_cluster(self, cluster: str) -> list[str]:
        return self.site.clusters.get(cluster, {"cidrs": []})["cidrs"]

    def endpoint(self, name: str) -> dict[str, Any]:
        return {"groups": [], **self.endpoints.get(name, {"groups": [name]})}

    def in_groups(self, groups: list[str]) -> list[str]:
        return [name for name, host in self.site.hosts.items() if set(groups) & set(host["groups"])]

    def clusters(self, host: str) -> set[str]:
        value = self.site.hosts[host]["cluster"]
        return {value} if isinstance(value, str) else set(value)

    def share_a_cluster(self, flow: dict[str, Any], host: str, other: str) -> bool:
        return not flow.get("within_cluster") or bool(self.clusters(host) & self.clusters(other))

    def is_managed(self, host: str) -> bool:
        return bool(set(self.site.hosts[host]["groups"]) & set(MANAGED_GROUPS))

    def is_on_side(self, host: str, names: list[str]) -> bool:
        return any(host in self.in_groups(self.endpoint(name)["groups"])
                   or self.is_managed(host) and self.is_named_by_its_very_address(host, name) for name in names)

    def is_named_by_its_very_address(self, host: str, name: str) -> bool:
        whole = {"10": "/32", "fd": "/128"}
        own = {text + whole[text[:2]] for text in self.site.hosts[host]["addresses"]}
        return bool(own & set(self.networks(name)))

    def networks(self, name: str) -> list[str]:
        """Networks of an endpoint; a host name counts where a flow that is on needs it."""
        endpoint = self.endpoint(name)
        needed = any(name in (*flow["from"], *flow["to"]) for flow in self.on)
        found = [text for host in endpoint.get("hostnames", []) for text in NAMES[host]] if needed else []
        return [*endpoint.get("cidrs", []), *(str(ip_network(text)) for text in found)]

    def is_outside(self, flow: dict[str, Any], side: str, host: str, peer: str) -> bool:
        """Whether the peer is in a network of this side, or in one of a cluster of the host."""
        networks = [text for name in flow[side] for text in self.networks(name)]
        if flow.get("within_cluster"):
            networks += [text for cluster in self.clusters(host) for text in self.networks_of_cluster(cluster)]
        return any(ip_address(peer) in ip_network(text) for text in networks)

    def comes_from(self, flow: dict[str, Any], host: str, peer: str) -> bool:
        return self.is_outside(flow, "from", host, peer) or any(
            self.is_on_side(other, flow["from"]) and self.share_a_cluster(flow, host, other)
            and peer in data.get("source_addresses", data["addresses"]) for other, data in self.site.hosts.items())

    def goes_to(self, flow: dict[str, Any], host: str, peer: str, protocol: str, port: int) -> bool:
        if self.is_outside(flow, "to", host, peer) and self.has_port(flow, protocol, port, set(self.services)):
            return True
        return any(
            peer in data["addresses"] and self.is_on_side(other, flow["to"]) and self.share_a_cluster(flow, host, other)
            and self.has_port(flow, protocol, port, self.claims(other)) for other, data in self.site.hosts.items())

    def claims(self, host: str) -> set[str]:
        """Services that some flow, on or off, has on a host."""
        return {service for flow in self.flows.values() if self.is_on_side(host, flow["to"])
                for service in flow["services"]}

    def has_port(self, flow: dict[str, Any], protocol: str, port: int, claiming: set[str]) -> bool:
        named = [name for name in claiming if not self.services[name].get("broad")]
        claimed = self.site.yields and any(self.covers(name, protocol, port) for name in named)
        return any(self.covers(name, protocol, port) and not (self.services[name].get("broad") and claimed)
                   for name in flow["services"])

    def covers(self, service: str, protocol: str, port: int) -> bool:
        for text in self.services[service]["ports"]:
            ports, slash, wanted = text.partition("/")
            first, dash, last = ports.partition("-")
            if wanted == protocol and int(first) <= port <= int(last or first):
                return True
        return False


# ---- The laws -------------------------------------------------------------------------------------------------------


def policies(plan: Plan) -> dict[str, Policy]:
    return {host: parse_policy(plan.policies[digest]) for host, digest in plan.hosts.items()}


def passes(policy: Policy, direction: str, protocol: str, peer: str, port: int) -> bool:
    judgement = evaluate(policy, Packet(direction, protocol, peer, port))
    assert judgement.passes or policy.mode == "enforce"
    return judgement.reason.startswith("flow")


def peers_of(site: Site) -> list[str]:
    """Addresses of all hosts, where they come from, and two of nobody."""
    found = [text for host in site.hosts.values() for text in (*host["addresses"], *host.get("source_addresses", []))]
    return [*found, "10.0.0.15", "fd00::f"]


@settings(max_examples=3 * settings().max_examples)
@given(SITES, st.lists(st.sampled_from(PORTS), min_size=1, max_size=3, unique=True), st.sampled_from(PROTOCOLS))
def test_a_host_passes_what_some_flow_says(site: Site, ports: list[int], protocol: str) -> None:
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
def test_both_ends_agree_where_no_network_is_named(site: Site, port: int, protocol: str) -> None:
    for host in site.hosts.values():
        host["egress"] = "restricted"
    found = policies(site.plan())
    for source, target in product(found, found):
        for here, there in product(site.hosts[source]["addresses"], site.hosts[target]["addresses"]):
            leaves = passes(found[source], "out", protocol, there, port)
            assert leaves == passes(found[target], "in", protocol, here, port), (source, target)


@given(SITES, st.integers())
def test_the_order_of_an_inventory_and_of_a_port_file_changes_nothing(site: Site, seed: int) -> None:
    shuffler = random.Random(seed)

    def shuffled(items: dict[str, Any]) -> dict[str, Any]:
        return {name: turned(items[name]) for name in shuffler.sample(sorted(items), len(items))}

    def turned(item: dict[str, Any]) -> dict[str, Any]:
        return {key: value[::-1] if isinstance(value, list) else value for key, value in item.items()}

    other = Site(shuffled(site.services), shuffled(site.endpoints), shuffled(site.flows), shuffled(site.hosts),
                 shuffled(site.clusters), site.tunnel, site.yields)
    one, two = site.plan(), other.plan()
    assert one.policies == two.policies
    assert one.hosts == two.hosts


@given(SITES)
def test_hosts_alike_share_one_policy(site: Site) -> None:
    twins = {f"{name}-twin": {**host, "addresses": [f"10.9.0.{number}"], "source_addresses": [f"10.9.0.{number}"]}
             for number, (name, host) in enumerate(site.hosts.items())}
    for endpoint in site.endpoints.values():
        # A host that is named by its very address is not like its twin.
        endpoint.update({key: [] for key in ("cidrs", "hostnames") if key in endpoint})
    site.hosts = {**site.hosts, **twins}
    plan = site.plan()
    for name, digest in plan.hosts.items():
        if not name.endswith("-twin"):
            assert plan.hosts[f"{name}-twin"] == digest


@given(SITES)
def test_policies_are_told_apart_and_hold_nothing_unused(site: Site) -> None:
    plan = site.plan()
    assert set(plan.hosts.values()) == set(plan.policies)
    for policy in plan.policies.values():
        assert set(policy["networks"]) == {rule["peers"] for rule in policy["rules"]}
        assert all(rule["ports"] and policy["networks"][rule["peers"]] for rule in policy["rules"])
        assert policy["egress"] == "restricted" or all(rule["direction"] == "in" for rule in policy["rules"])


@given(SITES)
def test_a_host_without_an_address_is_an_error_wherever_it_is(site: Site) -> None:
    site.hosts["lost"] = {"groups": ["slurm_compute"], "cluster": "alpha", "addresses": ["lost.example.org"]}
    try:
        site.plan()
    except PortFileError as error:
        assert str(error).startswith("Invalid firewall_addresses of host lost: got 'lost.example.org', expected")
    else:
        raise AssertionError("expected an error")
