# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node leaves and comes back: which hosts change, what is open, what is left over."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.hpc.ports.tests.support.hosts import (
    FIREWALL_ONLY,
    ROOT,
    Play,
    executed_anywhere,
    firewall,
    forget_executions,
    managed_hosts,
    mending,
    on,
    play,
    restoring,
    state,
)
from ansible_collections.hpc.ports.tests.support.run import scaled

# Its egress is restricted, and Ansible reaches it with sudo.
NODE = "alpha-compute1"
# Those who let it in, by nftables and by firewalld. Nobody of other clusters, of PBS, or a Workbench host.
OTHERS = {"alpha-controller", "alpha-login", "alpha-compute2", "ctl1", "ctl2", "monitor1", "nfs1", "nfs2", "workspace1"}
# Enough of them to see that a second run changes nothing, and that check mode says what a run does.
SOME = ("--limit", f"{NODE},alpha-controller,nfs2")
# Slurm's, and one with firewalld: what the others have makes no difference.
SOME_OTHERS = ("--limit", "alpha-controller,nfs2")
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
            (INVENTORY / "group_vars" / "all" / "firewall.yml").read_text(encoding="utf-8")
        )
        for name in ("all/lab.yml", "by_sudo.yml"):
            (folder / "group_vars" / name).symlink_to(INVENTORY / "group_vars" / name)

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
        shipped = yaml.safe_load(
            (ROOT / "plugins" / "plugin_utils" / "_port_file" / "port_file.yml").read_text(encoding="utf-8")
        )
        self.firewall["firewall_clusters"] = {"alpha": {"cidrs": NETWORKS}}
        self.firewall["firewall_endpoints"]["cluster_networks"] = {"cidrs": NETWORKS}
        for name in ("agent_tunnel", "monitoring_push", "dns", "ntp", "workspace_cluster_api"):
            flow = self.firewall["firewall_flows"].setdefault(name, {})
            flow["from"] = [*shipped["firewall_flows"][name]["from"], "cluster_networks"]
        return self


def good(run: Play) -> Play:
    assert run.code == 0, run.output
    return run


def states() -> dict[str, tuple[list[str], str]]:
    return {host: state(host) for host in managed_hosts()}


def reaches(target: str, port: int) -> str:
    """Return the outcome of a connection of the node: `refused` if it passed and nothing listens."""
    program = (
        "import socket\ntry:\n    socket.create_connection(('{0}', {1}), {2})\n    print('open')\n"
        "except ConnectionRefusedError:\n    print('refused')\nexcept OSError:\n    print('filtered')"
    )
    return on(NODE, f'python3 -c "{program.format(target, port, scaled(2))}"').strip()


def test_a_kind_with_a_limit_touches_the_new_node_alone() -> None:
    with mending(NODE):
        good(play("remove", "--limit", NODE))
        forget_executions()
        run = good(play("slurm", "--limit", NODE))
        assert (set(run.changed), set(executed_anywhere())) == ({NODE}, {NODE})


def test_a_node_leaves_and_comes_back(tmp_path: Path) -> None:
    before = states()
    with mending(NODE, *OTHERS):
        _leaves(before, Site(tmp_path / "without").without_node())
        good(play("remove", "--limit", NODE))
        _comes_back(tmp_path / "report.json")
        assert states() == before


def _leaves(before: dict[str, Any], without: Site) -> None:
    # Slurm, by nftables, and NFS, by firewalld.
    assert (reaches("10.203.0.21", 6817), reaches("10.203.0.52", 2049)) == ("refused", "refused")
    forget_executions()
    run = good(play("remove_node", f"-eold={NODE}"))
    assert f"Remove {NODE} from the inventory now" in run.text
    assert {host for host, changed in run.changed.items() if changed} == OTHERS
    assert executed_anywhere() == {host: ["firewall", "firewall_confirm"] for host in OTHERS}
    assert (reaches("10.203.0.21", 6817), reaches("10.203.0.52", 2049)) == ("filtered", "filtered")
    assert "10.203.0.23" not in on("alpha-controller", "nft list table inet hpc_ports")
    assert state(NODE) == before[NODE]
    again = good(play("remove_node", f"-eold={NODE}", *SOME))
    assert set(again.changed.values()) == {0}
    # Once the inventory lacks it there is nothing left to do.
    after = good(firewall(*SOME_OTHERS, *without.written()))
    assert set(after.changed.values()) == {0}


def _comes_back(report: Path) -> None:
    checked = good(play("add_node", f"-enew={NODE}", *FIREWALL_ONLY, "--check", *SOME))
    forget_executions()
    run = good(play("add_node", f"-enew={NODE}", f"-everify_report={report}", "-everify_page="))
    assert {host: run.changed[host] for host in checked.changed} == checked.changed
    assert {host for host, changed in run.changed.items() if changed} == {*OTHERS, NODE}
    executed = executed_anywhere()
    assert {host for host, modules in executed.items() if "firewall_confirm" in modules} == {*OTHERS, NODE}
    assert all(executed[host][:2] == ["firewall", "firewall_confirm"] for host in OTHERS)
    again = good(play("add_node", f"-enew={NODE}", *FIREWALL_ONLY, *SOME))
    assert set(again.changed.values()) == {0}
    assert (reaches("10.203.0.21", 6817), reaches("10.203.0.52", 2049)) == ("refused", "refused")
    _check_proven(json.loads(report.read_text(encoding="utf-8"))["cells"])


def _check_proven(cells: list[dict[str, Any]]) -> None:
    """The connections of the new node were tried, and no others."""
    assert all(NODE in (cell["source"], cell["target"]) for cell in cells)
    assert {cell["verdict"] for cell in cells} == {"right"}
    # From and to it, open and closed, with those who let it in and with strangers.
    assert {cell["intended"] for cell in cells if cell["source"] == NODE} == {"open", "filtered"}
    assert {"alpha-compute2", "outsider"} <= {cell["source"] for cell in cells}


@pytest.mark.takes_turns(0)
def test_by_networks_nobody_else_is_touched(tmp_path: Path) -> None:
    known = Site(tmp_path / "known").by_networks()
    site = known.written()
    with restoring("alpha-controller", "nfs2", NODE):
        good(firewall(*SOME_OTHERS, *Site(tmp_path / "before").by_networks().without_node().written()))
        good(play("remove", "--limit", NODE))
        forget_executions()
        run = good(play("add_node", f"-enew={NODE}", *FIREWALL_ONLY, *site))
        assert "No other host changes." in run.text
        assert (set(run.changed), set(executed_anywhere())) == ({NODE}, {NODE})
        # Slurm and NFS let it in all the same.
        assert (reaches("10.203.0.21", 6817), reaches("10.203.0.52", 2049)) == ("refused", "refused")
        run = good(play("remove_node", f"-eold={NODE}", *site))
        assert ("No other host changes." in run.text, executed_anywhere()) == (True, {})
