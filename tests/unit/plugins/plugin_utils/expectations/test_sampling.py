# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of connections chosen by class: properties for random sites, checked one by one, and large sites."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from ansible_collections.hpc.ports.plugins.module_utils._model.evaluate import Packet, evaluate
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import parse_policy
from ansible_collections.hpc.ports.plugins.module_utils._model.ports import PortRange
from ansible_collections.hpc.ports.plugins.plugin_utils._expectations.closed_ports import ClosedByRole, roles_of
from ansible_collections.hpc.ports.plugins.plugin_utils._expectations.expected import (
    Expected,
    expected_of,
    probed_ports,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._expectations.selection import Selection
from ansible_collections.hpc.ports.plugins.plugin_utils._expectations.warned_ports import warned_ports
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan, compile_plan
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.catalogue import load_catalogue
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.connections import Connections, Expectation
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.host_classes import HostClass, classes_of
from ansible_collections.hpc.ports.tests.support.random_sites import SITES, Site
from ansible_collections.hpc.ports.tests.support.sites import make_inventory, make_plan
from hypothesis import event, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.slow

PORT_FILE = Path(__file__).resolve().parents[5] / "plugins" / "plugin_utils" / "_port_file" / "port_file.yml"


# ---- every connection, judged one by one ----------------------------------------------------------------------------


class Judged(NamedTuple):
    """The result of the policies. None if the target treats the addresses of the source differently."""

    passes: bool | None
    denied_by: str = ""
    flows: tuple[str, ...] = ()


class OneByOne:
    """Evaluates each connection with `evaluate` and the complete policies, without a cache."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.policies = {host: parse_policy(plan.policies[key]) for host, key in plan.hosts.items()}
        self.hosts = sorted(plan.inventory.hosts)

    def addresses(self, host: str, version: int = 0, source: bool = False) -> list[str]:
        return [
            str(item.ip) for item in self.plan.addresses.host_networks([host], source) if version in (0, item.version)
        ]

    def pairs(self) -> Iterator[tuple[str, str]]:
        for source, target in product(self.hosts, self.policies):
            if not set(self.addresses(source)) & set(self.addresses(target)):
                yield source, target

    def judged(self, source: str, target: str, address: str, protocol: str, port: int) -> Judged:
        froms = self.addresses(source, 6 if ":" in address else 4, source=True)
        leaves = (
            source not in self.policies
            or evaluate(self.policies[source], Packet("out", protocol, address, port)).passes
        )
        entering = [evaluate(self.policies[target], Packet("in", protocol, peer, port)).passes for peer in froms]
        if len({enters and leaves for enters in entering}) != 1:
            return Judged(None)
        passes = leaves and entering[0]
        return Judged(
            passes, "" if passes else "source" if all(entering) else "target", self.flows(target, froms, protocol, port)
        )

    def flows(self, target: str, froms: list[str], protocol: str, port: int) -> tuple[str, ...]:
        """Return the flows that allow an address of the source."""
        policy = self.policies[target]._replace(mode="enforce")
        return tuple(
            rule.flow
            for rule in policy.rules
            if rule.direction == "in"
            and any(
                evaluate(policy._replace(rules=(rule,)), Packet("in", protocol, peer, port)).reason.startswith("flow")
                for peer in froms
            )
        )

    def edges(self, target: str, flow: str) -> set[tuple[str, int]]:
        """Return the open first and last ports of a flow's services, and of their opened ranges, on a target."""
        opened = {
            (ports.protocol, port)
            for rule in self.policies[target].rules
            if (rule.direction, rule.flow) == ("in", flow)
            for ports in rule.ports
            for port in range(ports.first, ports.last + 1)
        }
        found = set()
        for name in self.plan.flows_on[flow].services:
            for ports in self.plan.catalogue.services[name].ports:
                within = {port for port in range(ports.first, ports.last + 1) if (ports.protocol, port) in opened}
                found |= {(ports.protocol, port) for port in within if not {port - 1, port + 1} <= within}
        return found

    def open_by_flows(self) -> Iterator[tuple[str, str, int, str, int]]:
        for source, target in self.pairs():
            for flow in {rule.flow for rule in self.policies[target].rules if rule.direction == "in"}:
                for (protocol, port), address in product(self.edges(target, flow), self.addresses(target)):
                    found = self.judged(source, target, address, protocol, port)
                    if found.passes and flow in found.flows:
                        yield source, target, 6 if ":" in address else 4, protocol, port


def by_host(found: Expected) -> dict[str, str]:
    return {host: name for name, members in found.classes.items() for host in members}


def family(item: Expectation) -> int:
    return 6 if ":" in item.address else 4


def chosen(plan: Plan, most: int = 0) -> Expected:
    return expected_of(plan, list(plan.inventory.hosts), most=most)


# ---- laws -----------------------------------------------------------------------------------------------------------


@given(SITES)
def test_sampled_expectations_match_the_policies(site: Site) -> None:
    plan = site.plan()
    one_by_one = OneByOne(plan)
    for item in chosen(plan).expectations:
        found = one_by_one.judged(item.source, item.target, item.address, item.protocol, item.port)
        assert (item.expected, item.denied_by) == ("open" if found.passes else "filtered", found.denied_by)
        assert found.passes is not None
        assert not item.flow or item.flow in found.flows
        event(f"{item.expected} {item.denied_by}")


@given(SITES)
def test_every_flow_is_tested_between_every_two_classes_that_it_connects(site: Site) -> None:
    plan = site.plan()
    found = chosen(plan)
    names = by_host(found)
    tried = {
        (names[item.source], names[item.target], family(item), item.protocol, item.port)
        for item in found.expectations
        if item.expected == "open"
    }
    for source, target, *where in OneByOne(plan).open_by_flows():
        assert (names[source], names[target], *where) in tried


@given(SITES)
def test_every_host_is_source_and_target_of_an_open_connection_if_possible(site: Site) -> None:
    plan = site.plan()
    found = [item for item in chosen(plan).expectations if item.expected == "open"]
    possible = list(OneByOne(plan).open_by_flows())
    assert {item[0] for item in possible} <= {item.source for item in found}
    assert {item[1] for item in possible} <= {item.target for item in found}


@given(SITES)
def test_every_host_is_a_source_and_every_managed_host_a_target(site: Site) -> None:
    plan = site.plan()
    one_by_one, found = OneByOne(plan), chosen(plan).expectations
    possible = [
        (source, target)
        for source, target in one_by_one.pairs()
        for address in one_by_one.addresses(target)
        if one_by_one.judged(source, target, address, "tcp", 65535).passes is not None
    ]
    assert {item[0] for item in possible} <= {item.source for item in found}
    assert {item[1] for item in possible} <= {item.target for item in found}


@given(SITES)
def test_warned_ports_are_tested_on_every_managed_host(site: Site) -> None:
    plan = site.plan()
    one_by_one, found = OneByOne(plan), chosen(plan)
    tried = {(item.target, item.protocol, item.port) for item in found.expectations if item.expected == "filtered"}
    for port in warned_ports(plan.catalogue.services):
        where = (port.protocol, port.port)
        keep_out = {
            target
            for source, target in one_by_one.pairs()
            for address in one_by_one.addresses(target)
            if one_by_one.judged(source, target, address, *where).passes is False
        }
        assert keep_out == {target for target, *tried_there in tried if tuple(tried_there) == where}
        left = [item.connections for item in found.skipped if f"({port.port}/{port.protocol}) on " in item.reason]
        assert not found.expectations or sum(left) == len(plan.hosts) - len(keep_out)


def closed(plan: Plan, most: int) -> tuple[Selection, ClosedByRole, dict[str, HostClass]]:
    connections = Connections(plan, sorted(plan.inventory.hosts))
    classes = classes_of(connections)
    selection = Selection(connections, classes)
    found = ClosedByRole(selection, {key: probed_ports(plan, connections.policy(key)) for key in plan.policies})
    found.choose(most)
    return selection, found, {host: item for item in classes for host in item.members}


@given(SITES)
def test_every_closed_port_is_tested_once_per_two_roles(site: Site) -> None:
    plan = site.plan()
    selection, found, classes = closed(plan, 10**9)
    tried = Counter(
        (roles_of(classes[item.source], classes[item.target]), item.protocol, item.port) for item in selection.chosen
    )
    one_by_one = OneByOne(plan)
    possible = {
        (roles_of(classes[source], classes[target]), *port)
        for source, target in one_by_one.pairs()
        for port, address in product(found.ports[plan.hosts[target]], one_by_one.addresses(target))
        if one_by_one.judged(source, target, address, *port).passes is False
    }
    assert possible <= tried.keys()
    assert not tried or set(tried.values()) == {1}
    assert {item.expected for item in selection.chosen} <= {"filtered"}
    assert found.left == 0


@given(SITES, st.integers(0, 300))
def test_the_maximum_is_respected_and_the_rest_is_counted(site: Site, most: int) -> None:
    plan = site.plan()
    selection, found, classes = closed(plan, most)
    every, no_more, same = closed(plan, 10**9)
    assert len(selection.chosen) == min(most, len(every.chosen))
    assert len(selection.chosen) + found.left == len(every.chosen)


@settings(max_examples=settings().max_examples // 3)
@given(SITES, st.integers(0, 2000))
def test_no_connection_is_tested_twice_and_the_count_is_complete(site: Site, most: int) -> None:
    plan = site.plan()
    found, least, full = chosen(plan, most), chosen(plan, 0), chosen(plan, 10**9)
    assert len(set(found.expectations)) == len(found.expectations)
    assert len(found.expectations) <= max(most, len(least.expectations))
    assert found.classes == full.classes
    assert chosen(plan, most) == found
    assert all(item.connections >= 0 and item.reason for item in found.skipped)


@given(SITES)
def test_hosts_of_a_class_are_identical(site: Site) -> None:
    """On any port, as source and as target, with any other host."""
    plan = site.plan()
    one_by_one = OneByOne(plan)
    pairs = set(one_by_one.pairs())
    for first, *others in chosen(plan).classes.values():
        for other, third in product(others, one_by_one.hosts):
            if {(first, third), (other, third)} <= pairs:
                assert judgements(one_by_one, first, third) == judgements(one_by_one, other, third)
            if {(third, first), (third, other)} <= pairs:
                assert judgements(one_by_one, third, first) == judgements(one_by_one, third, other)


def judgements(one_by_one: OneByOne, source: str, target: str) -> set[tuple[Any, ...]]:
    return {
        (family, port, protocol, one_by_one.judged(source, target, address, protocol, port))
        for family in (4, 6)
        for address in one_by_one.addresses(target, family)
        for port in (1, 7, 15, 22, 30)
        for protocol in ("tcp", "udp")
    }


# ---- what is warned of ----------------------------------------------------------------------------------------------

SERVICES = {"slurmctld": {"ports": ["6817/tcp"]}, "prometheus": {"ports": ["9091/tcp"]}}
FLOWS = {
    "control": {
        "from": ["slurm_compute"],
        "to": ["slurm_compute"],
        "services": ["slurmctld"],
        "within_cluster": True,
        "need": "required",
    }
}


def nodes(clusters: str, count: int = 4, **values: Any) -> dict[str, dict[str, Any]]:
    return {
        f"{cluster}{number}": {
            "groups": ["slurm_compute"],
            "cluster": cluster,
            **values,
            "addresses": [f"10.{index}.0.{number}", f"fd00:{index + 1}::{number}"],
        }
        for index, cluster in enumerate(clusters)
        for number in range(1, count + 1)
    }


def outsiders(count: int) -> dict[str, dict[str, Any]]:
    return {
        f"out{number}": {"groups": ["offices"], "addresses": [f"203.0.113.{number}", f"2001:db8::{number}"]}
        for number in range(1, count + 1)
    }


def small(hosts: dict[str, dict[str, Any]]) -> Plan:
    return make_plan({"services": SERVICES, "flows": FLOWS}, hosts)


def sources(found: Expected, port: int) -> dict[str, str]:
    """Return the blocked source of a port by target. Each target has one."""
    items = [item for item in found.expectations if item.port == port and item.expected == "filtered"]
    assert len({item.target for item in items}) == len(items)
    return {item.target: item.source for item in items}


def test_outsiders_take_turns_and_schedulers_are_tested_from_another_cluster() -> None:
    found = chosen(small({**nodes("ab"), **outsiders(2)}))
    assert Counter(sources(found, 2375).values()) == {"out1": 4, "out2": 4}
    assert sources(found, 6817).keys() == set(nodes("ab"))
    assert all(source[0] != target[0] and source[0] in "ab" for target, source in sources(found, 6817).items())
    assert len(set(sources(found, 6817).values())) == 8


def test_the_scheduler_of_a_single_cluster_is_tested_from_outsiders() -> None:
    found = chosen(small({**nodes("a"), **outsiders(2)}))
    assert Counter(sources(found, 6817).values()) == {"out1": 2, "out2": 2}


def test_without_outsiders_other_hosts_are_sources() -> None:
    found = chosen(small(nodes("ab")))
    assert sources(found, 2375).keys() == set(nodes("ab"))
    assert len(set(sources(found, 2375).values())) == 7


def test_a_source_that_blocks_the_connection_itself_is_not_preferred() -> None:
    hosts = {**nodes("a", egress="restricted"), "mon": {"groups": ["monitoring"], "addresses": ["10.9.0.1", "fd09::1"]}}
    found = chosen(small(hosts))
    assert set(sources(found, 2375)[name] for name in nodes("a")) == {"mon"}
    # Nobody else is there.
    assert sources(found, 2375)["mon"] in nodes("a")


def test_families_take_turns() -> None:
    found = chosen(small({**nodes("ab"), **outsiders(1)}))
    of_docker = [item for item in found.expectations if item.port in (2375, 2376) and item.expected == "filtered"]
    assert Counter((item.port, family(item)) for item in of_docker) == {
        (2375, 4): 4,
        (2375, 6): 4,
        (2376, 4): 4,
        (2376, 6): 4,
    }


def test_ports_that_a_site_adds_to_a_service_are_warned_too() -> None:
    found = chosen(small({**nodes("a"), **outsiders(1)}))
    assert sources(found, 9090).keys() == sources(found, 9091).keys() == set(nodes("a"))


def test_ports_without_a_blocked_source_are_reported() -> None:
    found = chosen(small(nodes("a", mode="observe")))
    assert (
        "",
        "",
        4,
        "docker_plain (2375/tcp) on 4 hosts: anyone who reaches it is root on the host, but the plan blocks no other "
        "host of "
        "this run.",
    ) in found.skipped


# ---- how much -------------------------------------------------------------------------------------------------------


def test_small_sites_are_tested_completely() -> None:
    plan = small({**nodes("ab"), **outsiders(1)})
    full = chosen(plan, 10**9)
    assert full.skipped == []
    assert chosen(plan, len(full.expectations)) == full
    assert chosen(plan, len(full.expectations) - 1) != full


def test_skip_reasons_name_the_variable_that_raises_the_limit() -> None:
    plan = small({**nodes("ab"), **outsiders(1)})
    least, full = len(chosen(plan, 0).expectations), len(chosen(plan, 10**9).expectations)
    assert chosen(plan, 10).skipped == [
        (
            "",
            "",
            19,
            f"Closed ports between two roles of hosts: verify_most is 10, and the {least} connections for flows and "
            f"warned ports are tested anyway. With verify_most at {least + 19} each is tested once.",
        ),
        (
            "",
            "",
            full - least - 19,
            "Hosts with identical rules share the tests: each flow is tested between every two classes of hosts, each "
            "port that the documents warn about on every host, and every other closed port once for every two roles "
            "of hosts. With verify_most at "
            f"{full} or more, each port of each managed host is tested from one host of each class.",
        ),
    ]
    assert chosen(plan, least + 1).skipped[0] == (
        "",
        "",
        18,
        f"Closed ports between two roles of hosts: verify_most is {least + 1}. With verify_most at "
        f"{least + 19} each is tested once.",
    )


def test_a_query_selects_among_the_chosen_connections() -> None:
    plan = small({**nodes("ab"), **outsiders(1)})
    found = expected_of(plan, list(plan.inventory.hosts), "[?port==`2375`]", most=0)
    assert {item.port for item in found.expectations} == {2375}
    assert len(found.expectations) == 8


# ---- 2,000 hosts ----------------------------------------------------------------------------------------------------


def platform(clusters: int, size: int) -> dict[str, dict[str, Any]]:
    """Return a platform with Slurm clusters, of which every third has restricted egress, and an outsider."""
    groups = [("control_plane",), ("control_plane",), ("workspace",), ("monitoring",), ("workbench", "web_portal")]
    found: list[dict[str, Any]] = [{"groups": item} for item in groups]
    first = {0: ("slurm_controller", "slurm_database", "nfs_server"), 1: ("slurm_login", "nfs_client")}
    for cluster, node in product(range(clusters), range(size)):
        found.append(
            {
                "groups": first.get(node, ("slurm_compute", "nfs_client")),
                "cluster": f"c{cluster}",
                "egress": "open" if cluster % 3 else "restricted",
            }
        )
    found.append({"groups": ("offices",)})
    return {
        f"h{number:04}": {**host, "addresses": [f"10.0.{number >> 8}.{number & 255}", f"fd00::{number:x}"]}
        for number, host in enumerate(found)
    }


@pytest.fixture(scope="module", name="large")
def _large() -> tuple[Plan, Expected]:
    inventory = make_inventory(platform(50, 40))
    site = {"firewall_endpoints": {"controllers": {"cidrs": ["192.0.2.1/32"]}}, "firewall_srun_ports": "60001-63000"}
    shipped = yaml.safe_load(PORT_FILE.read_text(encoding="utf-8"))
    plan = compile_plan(load_catalogue(shipped, site, tuple(inventory.groups)), inventory)
    return plan, expected_of(plan, list(plan.inventory.hosts))


def test_2000_hosts_take_tens_of_thousands_of_connections(large: tuple[Plan, Expected]) -> None:
    plan, found = large
    assert len(plan.inventory.hosts) == 2006
    assert 10_000 < len(found.expectations) <= 50_000
    [left] = [item for item in found.skipped if item.reason.startswith("Hosts with identical rules")]
    assert left.connections > 10**7


def test_each_of_2000_hosts_is_source_and_target(large: tuple[Plan, Expected]) -> None:
    plan, found = large
    for outcome, without in (("open", {"h0003", "h0004"}), ("filtered", set())):
        targets = {item.target for item in found.expectations if item.expected == outcome}
        assert targets >= plan.hosts.keys() - without
    assert {item.source for item in found.expectations} == plan.inventory.hosts.keys()


def test_each_of_2000_hosts_is_tested_for_each_warned_port(large: tuple[Plan, Expected]) -> None:
    plan, found = large
    tried = {(item.target, item.protocol, item.port) for item in found.expectations if item.expected == "filtered"}
    for port in warned_ports(plan.catalogue.services):
        assert {(host, port.protocol, port.port) for host in plan.hosts} <= tried


def test_the_members_of_a_class_share_the_work(large: tuple[Plan, Expected]) -> None:
    plan, found = large
    for side in ("source", "target"):
        count = Counter(getattr(item, side) for item in found.expectations)
        for members in found.classes.values():
            shares = [count[host] for host in members]
            assert max(shares) <= 3 * min(shares) + 12, members


def test_classes_have_readable_names(large: tuple[Plan, Expected]) -> None:
    plan, found = large
    assert len(found.classes) == 155
    assert list(found.classes)[:7] == [
        "control_plane",
        "workspace",
        "monitoring",
        "workbench+web_portal",
        "slurm_controller+slurm_database+nfs_server c0 restricted",
        "slurm_login+nfs_client c0 restricted",
        "slurm_compute+nfs_client c0 restricted",
    ]
    assert list(found.classes)[-1] == "outsider offices"


def test_the_full_matrix_contains_the_warned_ports() -> None:
    """So a completely tested site has these negative tests from every class."""
    inventory = make_inventory(platform(1, 3))
    site = {"firewall_endpoints": {"controllers": {"cidrs": ["192.0.2.1/32"]}}}
    shipped = yaml.safe_load(PORT_FILE.read_text(encoding="utf-8"))
    plan = compile_plan(load_catalogue(shipped, site, tuple(inventory.groups)), inventory)
    found = expected_of(plan, list(plan.inventory.hosts))
    assert not found.skipped or "No ports to probe" in found.skipped[0].reason
    tried = {
        (item.target, item.protocol, item.port)
        for item in found.expectations
        if item.expected == "filtered" and item.source == max(plan.inventory.hosts)
    }
    for port in warned_ports(plan.catalogue.services):
        assert {(host, port.protocol, port.port) for host in plan.hosts} <= tried


def test_each_warned_port_is_listed_once() -> None:
    ports = [(item.protocol, item.port) for item in warned_ports({})]
    assert len(set(ports)) == len(ports) == 16
    assert {PortRange("tcp", port, port) for protocol, port in ports} >= {PortRange("tcp", 22, 22)}
