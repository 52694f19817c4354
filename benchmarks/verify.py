# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many connections verify tries, and how long it takes to choose them. See README.md."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / ".collections"))

from ansible_collections.hpc.ports.plugins.plugin_utils._expectations.expected import MOST, expected_of
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan, compile_plan
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.catalogue import load_catalogue
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.inventory import load_inventory

PORT_FILE = ROOT / "plugins" / "plugin_utils" / "_port_file" / "port_file.yml"
NODES_OF_A_CLUSTER = 40
SITE = {"firewall_endpoints": {"controllers": {"cidrs": ["192.0.2.1/32"]}}, "firewall_srun_ports": "60001-63000"}
ONCE = (
    ("control_plane",),
    ("control_plane",),
    ("workspace",),
    ("monitoring",),
    ("workbench", "web_portal"),
    ("offices",),
)
FIRST = {0: ("slurm_controller", "slurm_database", "nfs_server"), 1: ("slurm_login", "nfs_client")}
# Columns: hosts, classes of them, connections, those beside them that the whole matrix would have, the most that one
# host opens, seconds to compile the plan and to choose the connections, and their ratio.
HEADER = ("hosts", "classes", "connections", "left out", "a source", "compile", "choose", "ratio")


class Host(NamedTuple):
    """One host of the inventory."""

    name: str
    groups: tuple[str, ...]
    variables: dict[str, Any]


def hosts_of(count: int) -> Iterator[Host]:
    """Yield what a platform has once, an outsider among it, and clusters of 40 nodes, every third restricted."""
    for number in range(count):
        cluster, node = divmod(number - len(ONCE), NODES_OF_A_CLUSTER)
        variables: dict[str, Any] = {
            "firewall_addresses": [f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", f"fd00::{number:x}"]
        }
        if number >= len(ONCE):
            variables["firewall_cluster"] = f"cluster{cluster}"
            variables["firewall_egress"] = "open" if cluster % 3 else "restricted"
        groups = ONCE[number] if number < len(ONCE) else FIRST.get(node, ("slurm_compute", "nfs_client"))
        yield Host(f"host{number}", groups, variables)


def plan_of(count: int) -> Plan:
    """Return the plan of such a platform."""
    shipped = yaml.safe_load(PORT_FILE.read_text(encoding="utf-8"))
    variables = {host.name: host.variables for host in hosts_of(count)}
    groups: dict[str, list[str]] = {"all": list(variables)}
    for host in hosts_of(count):
        for group in host.groups:
            groups.setdefault(group, []).append(host.name)
    return compile_plan(load_catalogue(shipped, SITE, groups), load_inventory(groups, variables.__getitem__))


def measured(count: int, most: int, repeat: int) -> dict[str, float]:
    """Return the columns of one row; each time is the best of some runs."""
    times = []
    for _turn in range(repeat):
        start = perf_counter()
        plan = plan_of(count)
        compiled = perf_counter()
        found = expected_of(plan, list(plan.inventory.hosts), most=most)
        times.append((compiled - start, perf_counter() - compiled))
    compile_seconds, choose_seconds = (min(column) for column in zip(*times))
    by_source: dict[str, int] = {}
    for item in found.expectations:
        by_source[item.source] = by_source.get(item.source, 0) + 1
    values = (
        count,
        len(found.classes),
        len(found.expectations),
        sum(item.connections for item in found.skipped),
        max(by_source.values()),
        compile_seconds,
        choose_seconds,
        choose_seconds / compile_seconds,
    )
    return dict(zip(HEADER, values))


def main() -> None:
    """Print one row a size, as a table or as JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", type=int, nargs="*", default=[20, 200, 2000], help="numbers of hosts")
    parser.add_argument("--most", type=int, default=MOST, help=f"verify_most (default: {MOST})")
    parser.add_argument("--repeat", type=int, default=3, help="take the best of this many runs (default: 3)")
    parser.add_argument("--json", action="store_true", help="print a line of JSON a size")
    arguments = parser.parse_args()
    if not arguments.json:
        print(" ".join(f"{name:>11}" for name in HEADER))
    for count in arguments.sizes:
        row = measured(count, arguments.most, arguments.repeat)
        text = (
            json.dumps(row)
            if arguments.json
            else " ".join(f"{value:11d}" if isinstance(value, int) else f"{value:11.2f}" for value in row.values())
        )
        print(text, flush=True)


if __name__ == "__main__":
    main()
