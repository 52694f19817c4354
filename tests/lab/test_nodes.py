# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node leaves and comes back: who is touched, what is open, and what is left over. On the lab as `site.yml` left it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.hpc.ports.tests.support.hosts import (
    FIREWALL_ONLY,
    ROOT,
    Play,
    executions,
    managed_hosts,
    on,
    play,
    restoring,
    state,
)

# Its egress is restricted, and Ansible reaches it with sudo.
NODE = "alpha-compute1"
# Those who let it in, by nftables and by firewalld. Nobody of other clusters, of PBS, or a Workbench host.
OTHERS = {"alpha-controller", "alpha-login", "alpha-compute2", "ctl1", "ctl2", "monitor1", "nfs1", "nfs2", "workspace1"}
INVENTORY = ROOT / "extensions" / "molecule" / "inventory"
NETWORKS = ["10.203.0.0/24", "fd00:203::/64"]


class Site:
    """A copy of the lab's inventory."""

    def __init__(self, folder: Path) -> None:
        self.path = folder
        variables = folder / "group_vars" / "all"
        variables.mkdir(parents=True)
        self.hosts: dict[str, Any] = yaml.safe_load((INVENTORY / "hosts.yml").read_text(encoding="utf-8"))
        self.firewall: dict[str, Any] = yaml.safe_load(
            (INVENTORY / "group_vars" / "all" / "firewall.yml").read_text(encoding="utf-8"))
        (variables / "lab.yml").symlink_to(INVENTORY / "group_vars" / "all" / "lab.yml")

    def written(self) -> tuple[str, str]:
        """Write it; return the options that have a playbook take it."""
        (self.path / "hosts.yml").write_text(yaml.safe_dump(self.hosts), encoding="utf-8")
        (self.path / "group_vars" / "all" / "firewall.yml").write_text(yaml.safe_dump(self.firewall), encoding="utf-8")
        return "-i", str(self.path)

    def without_node(self) -> Site:
        """Take the node out, of all groups."""
        for part in (self.hosts["all"], *self.hosts["all"]["children"].values()):
            part.get("hosts", {}).pop(NODE, None)
        return self

    def by_networks(self) -> Site:
        """Name the nodes of cluster alpha by their networks wherever they are the source of a flow."""
        shipped = yaml.safe_load((ROOT / "roles" / "firewall" / "vars" / "port_file.yml").read_text(encoding="utf-8"))
        self.firewall["firewall_clusters"] = {"alpha": {"cidrs": NETWORKS}}
        self.firewall["firewall_endpoints"]["cluster_networks"] = {"cidrs": NETWORKS}
        for name in ("agent_tunnel", "monitoring_push", "dns", "ntp", "workspace_cluster_api"):
            flow = self.firewall["firewall_flows"].setdefault(name, {})
            flow["from"] = [*shipped["firewall_flows"][name]["from"], "cluster_networks"]
        return self


@pytest.fixture(name="without_node", scope="module")
def _without_node(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    return Site(tmp_path_factory.mktemp("without")).without_node().written()


@pytest.fixture(autouse=True, scope="module")
def _restored() -> Iterator[None]:
    """Leave every host as it was; each test but the last does so itself."""
    with restoring("all"):
        yield


def touched(hosts: Iterable[str]) -> dict[str, set[str]]:
    """Return the hosts that executed a module since they were asked last, and which."""
    return {host: found for host in hosts for found in [set(executions(host))] if found}


def forget(hosts: Iterable[str]) -> None:
    for host in hosts:
        executions(host)


def good(run: Play) -> Play:
    assert run.code == 0, run.output
    return run


def reaches(target: str, port: int) -> str:
    """Return what a connection of the node comes to: `refused` where it got through and nobody listens."""
    program = ("import socket\ntry:\n    socket.create_connection(('{0}', {1}), 1)\n    print('open')\n"
               "except ConnectionRefusedError:\n    print('refused')\nexcept OSError:\n    print('filtered')")
    return on(NODE, f'python3 -c "{program.format(target, port)}"').strip()


def test_a_kind_with_a_limit_touches_the_new_node_alone(counting: str) -> None:
    hosts = managed_hosts()
    good(play("remove", "--limit", NODE))
    forget(hosts)
    run = good(play("slurm", "--limit", NODE, counting))
    assert (set(run.changed), set(touched(hosts))) == ({NODE}, {NODE})


def test_a_node_leaves_and_comes_back(counting: str, without_node: tuple[str, str]) -> None:
    hosts = managed_hosts()
    before = {host: state(host) for host in hosts}
    # Slurm, by nftables, and NFS, by firewalld.
    assert (reaches("10.203.0.21", 6817), reaches("10.203.0.52", 2049)) == ("refused", "refused")

    forget(hosts)
    run = good(play("remove_node", f"-eold={NODE}", counting))
    assert f"Take {NODE} out of the inventory now" in run.text
    assert {host for host, changed in run.changed.items() if changed} == OTHERS
    assert touched(hosts) == {host: {"firewall", "confirm"} for host in OTHERS}
    assert (reaches("10.203.0.21", 6817), reaches("10.203.0.52", 2049)) == ("filtered", "filtered")
    assert "10.203.0.23" not in on("alpha-controller", "nft list table inet hpc_ports")
    assert state(NODE) == before[NODE]
    again = good(play("remove_node", f"-eold={NODE}"))
    assert set(again.changed.values()) == {0}
    # Once the inventory lacks it there is nothing left to do.
    after = good(play("site", *FIREWALL_ONLY, *without_node))
    assert (NODE in after.changed, set(after.changed.values())) == (False, {0})

    good(play("remove", "--limit", NODE))
    forget(hosts)
    checked = good(play("add_node", f"-enew={NODE}", *FIREWALL_ONLY, "--check"))
    run = good(play("add_node", f"-enew={NODE}", *FIREWALL_ONLY, counting))
    assert run.changed == checked.changed
    assert {host for host, changed in run.changed.items() if changed} == {*OTHERS, NODE}
    found = touched(hosts)
    assert found.pop(NODE) >= {"firewall", "confirm"}
    assert found == {host: {"firewall", "confirm"} for host in OTHERS}
    assert {host: state(host) for host in hosts} == before
    again = good(play("add_node", f"-enew={NODE}", *FIREWALL_ONLY))
    assert set(again.changed.values()) == {0}
    assert (reaches("10.203.0.21", 6817), reaches("10.203.0.52", 2049)) == ("refused", "refused")


def test_the_connections_of_a_new_node_are_proven(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    good(play("add_node", f"-enew={NODE}", f"-everify_report={report}", "-everify_page="))
    cells = yaml.safe_load(report.read_text(encoding="utf-8"))["cells"]
    assert all(NODE in (cell["source"], cell["target"]) for cell in cells)
    assert {cell["verdict"] for cell in cells} == {"right"}
    # From and to it, open and closed, with those who let it in and with strangers.
    assert {cell["intended"] for cell in cells if cell["source"] == NODE} == {"open", "filtered"}
    assert {"alpha-compute2", "outsider"} <= {cell["source"] for cell in cells}


def test_by_networks_nobody_else_is_touched(counting: str, tmp_path: Path) -> None:
    hosts = managed_hosts()
    known = Site(tmp_path / "known").by_networks()
    site = known.written()
    good(play("site", *FIREWALL_ONLY, *Site(tmp_path / "before").by_networks().without_node().written()))
    good(play("remove", "--limit", NODE))
    forget(hosts)
    run = good(play("add_node", f"-enew={NODE}", *FIREWALL_ONLY, *site, counting))
    assert "No other host changes." in run.text
    assert (set(run.changed), set(touched(hosts))) == ({NODE}, {NODE})
    # Slurm lets it in all the same.
    assert reaches("10.203.0.21", 6817) == "refused"
    run = good(play("remove_node", f"-eold={NODE}", *site, counting))
    assert ("No other host changes." in run.text, touched(hosts)) == (True, {})
