# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long the plan takes, and how that grows with the inventory. See README.md."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / ".collections"))

from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import compile_plan
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.catalogue import load_catalogue
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.inventory import load_inventory

PORT_FILE = ROOT / "plugins" / "plugin_utils" / "_port_file" / "port_file.yml"
NODES_OF_A_CLUSTER = 500
SITE = {
    "firewall_endpoints": {
        "controllers": {"cidrs": ["192.0.2.1/32"]},
        "admin_networks": {"cidrs": ["198.51.100.0/24"]},
    },
    "firewall_srun_ports": "60001-63000",
}
PLAYBOOK = [{"hosts": "all", "gather_facts": False, "tasks": [{"hpc.ports.plan_info": {}, "run_once": True}]}]
# Columns: hosts, seconds of three commands, the ratio, and milliseconds a host.
HEADER = ("hosts", "policies", "inventory", "compile", "playbook", "ratio", "ms/host")


class Host(NamedTuple):
    """One host of the inventory."""

    name: str
    groups: tuple[str, ...]
    variables: dict[str, Any]


def hosts_of(count: int) -> Iterator[Host]:
    """Yield a platform with this many hosts: what it has once, and clusters of 500 nodes, every third restricted."""
    kinds = [("control_plane",), ("control_plane",), ("workspace",), ("monitoring",), ("workbench", "web_portal")]
    for number in range(count):
        cluster, node = divmod(number - len(kinds), NODES_OF_A_CLUSTER)
        variables: dict[str, Any] = {"ansible_host": f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"}
        groups = kinds[number] if number < len(kinds) else _node_groups(node)
        if number >= len(kinds):
            variables["firewall_cluster"] = f"cluster{cluster}"
            variables["firewall_egress"] = "open" if cluster % 3 else "restricted"
        yield Host(f"host{number}", groups, variables)


def _node_groups(node: int) -> tuple[str, ...]:
    first = {0: ("slurm_controller", "slurm_database", "nfs_server"), 1: ("slurm_login",)}
    return first.get(node, ("slurm_compute", "nfs_client"))


def write_site(folder: Path, count: int) -> None:
    """Write an inventory file, a playbook with only the plan in it, and no settings."""
    groups: dict[str, dict[str, Any]] = {}
    hosts = list(hosts_of(count))
    for host in hosts:
        for group in host.groups:
            groups.setdefault(group, {"hosts": {}})["hosts"][host.name] = None
    inventory = {"all": {"hosts": {host.name: host.variables for host in hosts}, "children": groups, "vars": SITE}}
    (folder / "hosts.yml").write_text(yaml.safe_dump(inventory), encoding="utf-8")
    (folder / "ansible.cfg").write_text("[defaults]\n", encoding="utf-8")
    (folder / "plan.yml").write_text(yaml.safe_dump(PLAYBOOK), encoding="utf-8")


def command_seconds(folder: Path, *command: str) -> float:
    """Return how long a whole command takes; CalledProcessError where it fails."""
    environment = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".collections"),
        "ANSIBLE_LOCAL_TEMP": str(folder / "tmp"),
        "ANSIBLE_CONFIG": str(folder / "ansible.cfg"),
    }
    start = perf_counter()
    subprocess.run(
        [str(Path(sys.executable).parent / command[0]), "-i", "hosts.yml", *command[1:]],
        cwd=folder,
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return perf_counter() - start


def compile_seconds(count: int) -> tuple[float, int]:
    """Return how long the plan alone takes, from plain data to policies, and how many policies there are."""
    shipped = yaml.safe_load(PORT_FILE.read_text(encoding="utf-8"))
    variables = {host.name: host.variables for host in hosts_of(count)}
    groups: dict[str, list[str]] = {"all": list(variables)}
    for host in hosts_of(count):
        for group in host.groups:
            groups.setdefault(group, []).append(host.name)
    start = perf_counter()
    catalogue = load_catalogue(shipped, SITE, groups)
    plan = compile_plan(catalogue, load_inventory(groups, variables.__getitem__))
    return perf_counter() - start, len(plan.policies)


def measured(count: int, repeat: int) -> dict[str, float]:
    """Return the columns of one row; each time is the best of some runs."""
    compiled, policies = min(compile_seconds(count) for turn in range(repeat))
    with tempfile.TemporaryDirectory() as name:
        write_site(Path(name), count)
        listed = min(command_seconds(Path(name), "ansible-inventory", "--list") for turn in range(repeat))
        planned = min(command_seconds(Path(name), "ansible-playbook", "plan.yml") for turn in range(repeat))
    values = (count, policies, listed, compiled, planned, planned / listed, 1000 * planned / count)
    return dict(zip(HEADER, values))


def main() -> None:
    """Print one row a size, as a table or as JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", type=int, nargs="*", default=[100, 1000, 10000], help="numbers of hosts")
    parser.add_argument("--repeat", type=int, default=3, help="take the best of this many runs (default: 3)")
    parser.add_argument("--json", action="store_true", help="print a line of JSON a size")
    arguments = parser.parse_args()
    if not arguments.json:
        print(" ".join(f"{name:>9}" for name in HEADER))
    for count in arguments.sizes:
        row = measured(count, arguments.repeat)
        text = (
            json.dumps(row)
            if arguments.json
            else " ".join(f"{value:9d}" if isinstance(value, int) else f"{value:9.2f}" for value in row.values())
        )
        print(text, flush=True)


if __name__ == "__main__":
    main()
