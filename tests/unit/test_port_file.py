# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shipped port file against a table of the same facts, typed separately from the documents (port_table.csv).

Both sides become single rows: one range of ports, one protocol, one kind of host or endpoint on each side.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import compile_plan
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.canonical_groups import CANONICAL_GROUPS
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.catalogue import load_catalogue
from ansible_collections.hpc.ports.tests.support.sites import accepts, make_inventory, make_resolver

ROOT = Path(__file__).parents[2]
TABLE = Path(__file__).parent / "port_table.csv"
SHIPPED = yaml.safe_load(
    (ROOT / "plugins" / "plugin_utils" / "_port_file" / "port_file.yml").read_text(encoding="utf-8")
)
SERVICES, ENDPOINTS, FLOWS = (SHIPPED[f"firewall_{name}"] for name in ("services", "endpoints", "flows"))

# The short forms of the table.
SHORT = {
    "@cluster": "slurm_controller slurm_database slurm_login slurm_compute pbs_server pbs_comm pbs_login pbs_execution",
    "@every": "control_plane platform_storage platform_database slurm_controller slurm_database slurm_login "
    "slurm_compute pbs_server pbs_comm pbs_login pbs_execution nfs_server nfs_client workspace workbench "
    "web_portal monitoring managed",
    "@platform": "control_plane platform",
    "@kubernetes": "control_plane",
}
STATES = {"required": "on", "recommended": "on", "conditional": "both sides", "optional": "off"}


class Row(NamedTuple):
    """One row of a port table, cut down to single values."""

    port: str
    protocol: str
    source: str
    target: str
    cluster: str
    need: str
    state: str
    exposure: str


def rows_of_table() -> Iterator[Row]:
    with TABLE.open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            sides = [
                [name for word in line[side].split() for name in SHORT.get(word, word).split()]
                for side in ("from", "to")
            ]
            for protocol, source, target in product(line["protocol"].split(), *sides):
                yield Row(
                    line["port"],
                    protocol,
                    source,
                    target,
                    line["cluster"],
                    line["need"],
                    line["state"],
                    line["exposure"],
                )


def rows_of_port_file() -> Iterator[Row]:
    for flow in FLOWS.values():
        cluster = "same" if flow.get("within_cluster") else "any"
        state = {True: "on", False: "off", None: STATES[flow["need"]]}[flow.get("enabled")]
        for service in flow["services"]:
            exposure = SERVICES[service]["exposure"]
            for ports, source, target in product(SERVICES[service]["ports"], kinds(flow["from"]), kinds(flow["to"])):
                port, protocol = ports.split("/")
                yield Row(port, protocol, source, target, cluster, flow["need"], state, exposure)


def kinds(names: list[str]) -> list[str]:
    """Return the groups behind endpoints, and the names of those that have addresses or leave room for them."""
    result = []
    for name in names:
        endpoint = ENDPOINTS.get(name, {"groups": [name]})
        result += [*endpoint.get("groups", []), *endpoint.get("fallback_groups", [])]
        if "cidrs" in endpoint or not endpoint["groups"]:
            result.append(name)
    return result


def test_every_row_of_the_table_is_in_the_port_file() -> None:
    missing = Counter(rows_of_table()) - Counter(rows_of_port_file())
    assert sorted(missing.elements()) == []


def test_every_row_of_the_port_file_is_in_the_table() -> None:
    surplus = Counter(rows_of_port_file()) - Counter(rows_of_table())
    assert sorted(surplus.elements()) == []


def test_the_plan_accepts_the_port_file() -> None:
    catalogue = load_catalogue(SHIPPED, {}, [])
    assert (len(catalogue.services), len(catalogue.flows)) == (len(SERVICES), len(FLOWS))


def test_the_managed_hosts_are_the_canonical_groups() -> None:
    assert tuple(ENDPOINTS["managed_hosts"]["groups"]) == CANONICAL_GROUPS
    assert tuple(SHORT["@every"].split()) == CANONICAL_GROUPS


@pytest.mark.parametrize("name", FLOWS)
def test_a_flow_is_documented(name: str) -> None:
    flow = FLOWS[name]
    assert flow["title"] and flow["reference"]
    assert all(text.partition(": ")[0] in ("ACTIVATE", "E-HPC", "Proven", "Vendor") for text in flow["reference"])


@pytest.mark.parametrize("section", [SERVICES, ENDPOINTS], ids=["services", "endpoints"])
def test_services_and_endpoints_have_titles(section: dict[str, Any]) -> None:
    assert [name for name, value in section.items() if not value.get("title")] == []


def test_nothing_is_declared_in_vain() -> None:
    assert set(SERVICES) == {name for flow in FLOWS.values() for name in flow["services"]}
    assert set(ENDPOINTS) <= {name for flow in FLOWS.values() for name in (*flow["from"], *flow["to"])}


def test_only_the_documented_doors_are_open_to_anyone() -> None:
    doors = [
        (kind, port)
        for flow in FLOWS.values()
        if "anywhere" in flow["from"]
        for service in flow["services"]
        for port in SERVICES[service]["ports"]
        for kind in kinds(flow["to"])
    ]
    assert doors == [
        ("control_plane", "443/tcp"),
        ("control_plane", "80/tcp"),
        ("control_plane", "8443/tcp"),
        ("data_mover", "443/tcp"),
        ("data_mover", "50000-51000/tcp"),
    ]


def test_services_of_a_cluster_stay_in_it() -> None:
    leaving = [
        name
        for name, flow in FLOWS.items()
        if not flow.get("within_cluster")
        and any(SERVICES[service]["exposure"] == "cluster" for service in flow["services"])
    ]
    assert leaving == ["slurm_federation", "slurm_federation_accounting"]
    assert {FLOWS[name]["need"] for name in leaving} == {"optional"}


def test_ssh_between_platform_and_clusters_is_what_the_tunnel_replaces() -> None:
    assert {name: flow["unless"] for name, flow in FLOWS.items() if "unless" in flow} == {
        "cluster_ssh": "firewall_ssh_through_tunnel"
    }


@pytest.mark.parametrize(
    ("port", "except_on"),
    # Prometheus and Fluentd on a workspace are the user's own.
    [("2375/tcp", set()), ("2376/tcp", set()), ("9090/tcp", {"workspace"}), ("24224/tcp", {"workspace"})],
)
def test_broad_services_never_cover(port: str, except_on: set[str]) -> None:
    broad = {name for name, service in SERVICES.items() if service.get("broad")}
    exposed = {kind for flow in FLOWS.values() if broad & set(flow["services"]) for kind in kinds(flow["to"])}
    claimed = {
        kind
        for flow in FLOWS.values()
        for service in set(flow["services"]) - broad
        if port in SERVICES[service]["ports"]
        for kind in kinds(flow["to"])
    }
    assert exposed - claimed == except_on


def test_the_sql_server_of_accounting_is_claimed_on_controllers() -> None:
    claimed = {kind for flow in FLOWS.values() if "slurm_sql" in flow["services"] for kind in kinds(flow["to"])}
    assert claimed == {"slurm_database", "slurm_controller"}


def test_users_enter_a_cluster_by_its_login_nodes_or_else_by_its_controller() -> None:
    hosts = {
        "alpha": {"groups": ["slurm_controller"], "addresses": ["10.1.0.1"], "cluster": "alpha"},
        "login": {"groups": ["slurm_login"], "addresses": ["10.1.0.2"], "cluster": "alpha"},
        "beta": {"groups": ["slurm_controller"], "addresses": ["10.2.0.1"], "cluster": "beta"},
        "ctl": {"groups": ["control_plane"], "addresses": ["10.0.0.1"], "cluster": "beta"},
    }
    inventory = make_inventory(hosts)
    site = {"firewall_endpoints": {"controllers": {"cidrs": ["192.0.2.1/32"]}}}
    plan = compile_plan(load_catalogue(SHIPPED, site, inventory.groups), inventory, make_resolver({}))
    assert [host for host in ("alpha", "login", "beta") if accepts(plan, host, "10.0.0.1", 22)] == ["login", "beta"]
