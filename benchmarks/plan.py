# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the plan of an inventory costs, and how that grows. See README.md."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / ".collections"))

from ansible_collections.hpc.ports.benchmarks import measuring
from ansible_collections.hpc.ports.benchmarks.measuring import Conditions, Cost, print_table, spread
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan, compile_plan
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.store import Store
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
HEADER = (
    "hosts",
    "policies",
    "inventory, s",
    "playbook",
    "compile",
    "hand out",
    "ms/host",
    "inventory, MB",
    "playbook, MB",
)


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


def command(folder: Path, *arguments: str) -> Cost:
    """Return what a command of Ansible costs; it must succeed."""
    program, *options = arguments
    environment = {
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".collections"),
        "ANSIBLE_LOCAL_TEMP": str(folder / "tmp"),
        "ANSIBLE_CONFIG": str(folder / "ansible.cfg"),
    }
    path = str(Path(sys.executable).parent / program)
    return measuring.run(path, "-i", "hosts.yml", *options, folder=folder, environment=environment).cost


def compiled(count: int) -> Plan:
    """Return the plan alone, from plain data to policies."""
    shipped = yaml.safe_load(PORT_FILE.read_text(encoding="utf-8"))
    variables = {host.name: host.variables for host in hosts_of(count)}
    groups: dict[str, list[str]] = {"all": list(variables)}
    for host in hosts_of(count):
        for group in host.groups:
            groups.setdefault(group, []).append(host.name)
    catalogue = load_catalogue(shipped, SITE, groups)
    return compile_plan(catalogue, load_inventory(groups, variables.__getitem__))


def handed_out(plan: Plan, folder: Path) -> None:
    """Store a plan, and read the policy of each host, as the workers of a play do."""
    store = Store(str(folder), "plan").made(lambda: plan)
    for host in plan.hosts:
        assert store.policy(host)


class Measured(NamedTuple):
    """One round: what the commands cost, CPU seconds in this process, and how many policies there are."""

    inventory: Cost
    playbook: Cost
    compile: float
    hand_out: float
    policies: int


def measured(count: int, folder: Path) -> Measured:
    """Return what a plan of so many hosts costs; the folder has their site."""
    start = process_time()
    plan = compiled(count)
    between = process_time()
    with TemporaryDirectory() as stored:
        handed_out(plan, Path(stored))
        end = process_time()
    inventory = command(folder, "ansible-inventory", "--list")
    playbook = command(folder, "ansible-playbook", "plan.yml")
    return Measured(inventory, playbook, between - start, end - between, len(plan.policies))


def row(count: int, rounds: Sequence[Measured]) -> Iterator[str]:
    """Yield the cells of a line."""
    yield f"{count:,}"
    yield str(rounds[0].policies)
    yield f"{median(one.inventory.cpu for one in rounds):.2f}"
    yield spread([one.playbook.cpu / one.inventory.cpu for one in rounds])
    yield spread([one.compile / one.inventory.cpu for one in rounds])
    yield spread([one.hand_out / one.inventory.cpu for one in rounds])
    yield f"{1000 * median(one.playbook.cpu for one in rounds) / count:.2f}"
    yield f"{median(one.inventory.memory for one in rounds):.0f}"
    yield f"{median(one.playbook.memory for one in rounds):.0f}"


def main() -> None:
    """Print one line a size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", type=int, nargs="*", default=[100, 1000, 10000], help="numbers of hosts")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    conditions, lines = Conditions(), []
    for count in options.sizes:
        with TemporaryDirectory() as name:
            write_site(Path(name), count)
            rounds = [measured(count, Path(name)) for turn in range(options.rounds)]
        lines.append(list(row(count, rounds)))
    print(f"{conditions.text(options.rounds)}\n")
    print_table(HEADER, lines)


if __name__ == "__main__":
    main()
