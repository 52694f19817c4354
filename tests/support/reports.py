# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports (format 2) of sites that do not exist: a small one, one of any size, and what a report is made of."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any

SCHEMA: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "roles" / "verify" / "files" / "report.schema.json").read_text(encoding="utf-8")
)
SERVICES = {
    "ssh": {"title": "Secure shell", "ports": ["22/tcp"]},
    "slurmctld": {"title": "Slurm controller daemon", "ports": ["6817/tcp"]},
    "slurmd": {"title": "Slurm node daemon", "ports": ["6818/tcp"]},
    "nfs": {"title": "NFS", "ports": ["2049/tcp"]},
    "docker": {"title": "Docker without encryption", "ports": ["2375/tcp", "2376/tcp"]},
    "postgresql": {"title": "PostgreSQL", "ports": ["5432/tcp"]},
    "prometheus": {"title": "Prometheus", "ports": ["9090/tcp"]},
}
FLOWS = {
    name: {
        "title": title,
        "from": sources,
        "to": targets,
        "services": services,
        "need": need,
        "within_cluster": within,
        "reference": reference,
        "note": "",
        "is_on": name != "postgres_admin",
    }
    for name, title, sources, targets, services, need, within, reference in (
        (
            "admin_ssh",
            "Administrators log in",
            ["admin_networks"],
            ["managed"],
            ["ssh"],
            "required",
            False,
            ["E-HPC: SSH"],
        ),
        (
            "slurm_control",
            "Nodes talk to their controller",
            ["slurm_nodes"],
            ["slurm_controller"],
            ["slurmctld"],
            "conditional",
            True,
            ["ACTIVATE: Slurm Scheduler", "E-HPC: Slurm"],
        ),
        (
            "slurm_nodes",
            "The controller talks to its nodes",
            ["slurm_controller"],
            ["slurm_compute"],
            ["slurmd"],
            "conditional",
            True,
            ["E-HPC: Slurm"],
        ),
        (
            "nfs_v4",
            "Nodes mount the controller's files",
            ["slurm_nodes"],
            ["slurm_controller"],
            ["nfs"],
            "conditional",
            True,
            ["E-HPC: NFS"],
        ),
        (
            "monitoring",
            "Monitoring reads from all",
            ["monitoring"],
            ["managed"],
            ["prometheus"],
            "recommended",
            False,
            ["E-HPC: Monitoring"],
        ),
        (
            "postgres_admin",
            "Administrators read the database",
            ["admin_networks"],
            ["slurm_controller"],
            ["postgresql"],
            "optional",
            False,
            ["E-HPC: Slurm"],
        ),
    )
}
PORTS = {
    22: "ssh",
    6817: "slurmctld",
    6818: "slurmd",
    2049: "nfs",
    2375: "docker",
    2376: "docker",
    5432: "postgresql",
    9090: "prometheus",
}


def host(
    name: str, roles: Sequence[str], cluster: str, number: int, kind: str = "", managed: bool = True, **changes: Any
) -> dict[str, Any]:
    """Return a host that runs its policy."""
    address = f"10.{number // 60000}.{number // 250 % 250}.{number % 250 + 1}"
    return {
        "managed": managed,
        "roles": list(roles),
        "clusters": [cluster],
        "addresses": [address],
        "source_addresses": [address],
        "class": kind or name,
        "backend": "nftables" if managed else "",
        "is_equal": True if managed else None,
        "objects": [],
        "reason": "",
        **changes,
    }


def cell(source: str, target: str, address: str, port: int, flow: str = "", **changes: Any) -> dict[str, Any]:
    """Return a right cell; a flow makes it open."""
    intended = "open" if flow else "filtered"
    counters = {
        "left": 1,
        "arrived": 1,
        "passed": 1 if flow else 0,
        "answered": 1 if flow else 0,
        "returned": 1 if flow else 0,
    }
    return {
        "source": source,
        "target": target,
        "address": address,
        "protocol": "tcp",
        "port": port,
        "services": [PORTS[port]] if port in PORTS else [],
        "intended": intended,
        "compiled": intended,
        "outcome": intended,
        "verdict": "right",
        "flow": flow,
        "denied_by": "" if flow else "target",
        "rule": f"in {port}/tcp from 10.0.0.0/8: accept" if flow else f"no rule of {target}: drop",
        "held_by": "listener",
        "seconds": 0.0012 if flow else 1.0,
        "attempts": 1 if flow else 2,
        "counters": counters,
        "detail": "",
        "why": "",
        "diagnosis": None,
        **changes,
    }


def wrong(code: str, text: str, advice: str, **changes: Any) -> dict[str, Any]:
    """Return what makes a cell a wrong one."""
    return {
        "verdict": "wrong",
        "why": "No answer, although the host answers echoes.",
        "diagnosis": {"code": code, "text": text, "advice": advice},
        **changes,
    }


def whole(
    hosts: dict[str, Any], cells: list[dict[str, Any]], not_tested: Sequence[dict[str, Any]] = (), mode: str = "active"
) -> dict[str, Any]:
    """Return the report of hosts and cells, with its counts."""
    classes: dict[str, list[str]] = {}
    for name, properties in hosts.items():
        classes.setdefault(properties["class"], []).append(name)
    connections_by_verdict = {
        verdict: sum(cell["verdict"] == verdict for cell in cells) for verdict in ("right", "wrong", "unknown")
    }
    summary = {
        "connections": len(cells),
        "sources": len({cell["source"] for cell in cells}),
        "targets": len({cell["target"] for cell in cells}),
        **connections_by_verdict,
        "not_tested": sum(skipped["connections"] for skipped in not_tested),
        "from_containers": None,
        "outsiders": sorted({cell["source"] for cell in cells if not hosts[cell["source"]]["managed"]}),
        "left_out": [],
        "not_running_policy": sorted(
            name for name, properties in hosts.items() if properties["managed"] and not properties["is_equal"]
        ),
    }
    return {
        "format": 2,
        "made": "2026-11-22T08:00:00Z",
        "inventory": ["inventories/site", "more/hosts.yml"],
        "mode": mode,
        "summary": summary,
        "hosts": hosts,
        "classes": classes,
        "services": SERVICES,
        "flows": FLOWS,
        "outside": [opening for name, members in classes.items() for opening in _outside(name, hosts[members[0]])],
        "cells": cells,
        "not_tested": list(not_tested),
    }


def _outside(name: str, properties: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what is open to outside on hosts of a class: ssh on all that are managed, the metrics of Slurm's hosts."""
    openings = (
        ("admin_ssh", "ssh", "22/tcp", properties["managed"], ["198.51.100.0/24", "2001:db8:9::/48"]),
        ("monitoring", "prometheus", "9090/tcp", "slurm_login" in properties["roles"], ["203.0.113.0/28"]),
    )
    for flow, service, port, is_open, networks in openings:
        if is_open:
            yield {
                "to": name,
                "flow": flow,
                "services": [service],
                "ports": [port],
                "endpoints": FLOWS[flow]["from"],
                "networks": networks,
            }


# ---- a small site


def small() -> dict[str, Any]:
    """Return the report of ten hosts, with one fault of each layer, one unknown and one host that was changed."""
    hosts = {
        "ctl1": host(
            "ctl1", ["slurm_controller"], "alpha", 1, is_equal=False, objects=["chain input", "set ssh_sources"]
        ),
        "login1": host("login1", ["slurm_login"], "alpha", 2),
        "outsider": host("outsider", [], "", 99, managed=False),
        **{
            f"node{number}": host(f"node{number}", ["slurm_compute"], "alpha", 10 + number, "alpha slurm_compute")
            for number in range(1, 6)
        },
        "monitor1": host("monitor1", ["monitoring"], "default", 30),
        "nfs1": host("nfs1", ["nfs_server"], "alpha", 31, is_equal=None, reason="No sudo password was given."),
    }
    cells = [
        cell
        for source in hosts
        for target in hosts
        if hosts[target]["managed"] and source != target and (source, target) != ("monitor1", "nfs1")
        for cell in _pair(hosts, source, target)
    ]
    _add_faults(cells)
    return whole(
        hosts,
        cells,
        [
            {
                "source": "monitor1",
                "target": "nfs1",
                "connections": 8,
                "reason": "monitor1 has no address that resolves; set firewall_source_addresses.",
            },
            {"source": "", "target": "", "connections": 2, "reason": "No ports to probe: vrrp (112/ip)."},
        ],
    )


def _pair(hosts: dict[str, Any], source: str, target: str) -> Iterator[dict[str, Any]]:
    for port in PORTS:
        flow = flow_of(hosts[source], hosts[target], port)
        yield cell(source, target, hosts[target]["addresses"][0], port, flow)


def flow_of(source: dict[str, Any], target: dict[str, Any], port: int) -> str:
    """Return the flow that opens a port from one host to another, or nothing."""
    same = source["clusters"] == target["clusters"] and source["managed"]
    from_slurm = same and source["roles"][0].startswith("slurm")
    if port == 9090 and "monitoring" in source["roles"]:
        return "monitoring"
    if port == 6818 and same and source["roles"] == ["slurm_controller"] and target["roles"] == ["slurm_compute"]:
        return "slurm_nodes"
    if port in (6817, 2049) and from_slurm and target["roles"] == ["slurm_controller"]:
        return "slurm_control" if port == 6817 else "nfs_v4"
    return ""


def _add_faults(cells: list[dict[str, Any]]) -> None:
    cells_by_place = {(cell["source"], cell["target"], cell["port"]): cell for cell in cells}
    cells_by_place["login1", "ctl1", 6817].update(
        wrong(
            "other_table",
            "Rules of another program on ctl1 drop packets from 10.0.0.3 to 6817/tcp: table inet docker, chain input: "
            "drop; flow slurm_control allows them.",
            "Change that rule on ctl1: an accept of hpc.ports does not override a drop of another table.",
            outcome="filtered",
            counters={"left": 2, "arrived": 2, "passed": 2, "answered": 0, "returned": 0},
            seconds=1.0,
        )
    )
    for node in ("node2", "node3"):
        cells_by_place[node, "ctl1", 2049].update(
            wrong(
                "ruleset_drops",
                "The rules of hpc.ports on ctl1 drop packets to 2049/tcp (chain input), but flow nfs_v4 allows them.",
                "Run the playbook site on ctl1: its rules are older than the plan, or somebody changed them by hand.",
                outcome="filtered",
                compiled="filtered",
                seconds=1.0,
            )
        )
    cells_by_place["outsider", "login1", 22].update(
        wrong(
            "ruleset_allows",
            "No flow allows outsider to connect to 22/tcp of login1, but login1 accepts the connection: table inet "
            "hpc_ports, chain input.",
            "Run the playbook site on login1: its rules are not loaded, or somebody changed them by hand. If the "
            "connection is wanted, add a flow.",
            outcome="open",
            compiled="open",
            why="The probe got an answer.",
        )
    )
    cells_by_place["node1", "node4", 6818].update(
        verdict="unknown",
        outcome="error",
        compiled="unknown",
        seconds=None,
        counters=None,
        held_by="",
        why="The probe failed: no route to host",
        detail="EHOSTUNREACH",
    )


# ---- a site of any size


def large(hosts: int = 2000, cells: int = 60000, clusters: int = 40, seed: int = 1) -> dict[str, Any]:
    """Return the report of many hosts in clusters; each managed one is a target at least once."""
    rng = random.Random(seed)
    site = _site(hosts, clusters)
    members_by_class: dict[str, list[str]] = {}
    for name, properties in site.items():
        members_by_class.setdefault(properties["class"], []).append(name)
    pairs = islice(_pairs(site, members_by_class), cells // len(PORTS))
    all_cells = [cell for source, target in pairs for cell in _pair(site, source, target)]
    for cell in rng.sample(all_cells, min(40, len(all_cells))):
        cell.update(
            wrong(
                "not_arrived",
                f"Packets from {cell['source']} to {cell['address']} {cell['port']}/tcp did not arrive at "
                f"{cell['target']}: 1 sent, 0 arrived.",
                "Check the network between the hosts: security groups, another firewall, routes, VLANs or the MTU.",
                outcome="open" if cell["intended"] == "filtered" else "filtered",
            )
        )
    for cell in all_cells:
        cell["seconds"] = round(cell["seconds"] + rng.random() / 100, 6)
    return whole(
        site,
        all_cells,
        [
            {"source": "", "target": name, "connections": 9, "reason": f"{name} did not answer."}
            for name in list(site)[:30]
        ],
    )


def _site(hosts: int, clusters: int) -> dict[str, Any]:
    site = {
        "outsider": host("outsider", [], "", 1, managed=False),
        "monitor1": host("monitor1", ["monitoring"], "default", 2),
    }
    for number in range(hosts - len(site)):
        cluster = f"cluster{number % clusters + 1:02}"
        rank = number // clusters
        role = ("slurm_controller", "slurm_login")[rank] if rank < 2 else "slurm_compute"
        name = f"{cluster}-{role.removeprefix('slurm_')}{'' if rank < 2 else rank - 1}"
        site[name] = host(name, [role], cluster, number + 3, f"{cluster} {role}" if rank >= 2 else name)
    return site


def _next_member(turns: Iterator[str]) -> str:
    return next(turns)


def _pairs(site: dict[str, Any], members_by_class: dict[str, list[str]]) -> Iterator[tuple[str, str]]:
    """Every host once as a target, then every class to the other ones, members in turn."""
    turns = {kind: cycle(names) for kind, names in members_by_class.items()}
    order = list(members_by_class)
    seen = set()
    first = ((_next_member(turns[order[number % len(order)]]), name) for number, name in enumerate(site))
    rest = (
        (_next_member(turns[source]), _next_member(turns[target]))
        for step in range(len(order))
        for source, target in zip(order, order[step:] + order[:step])
    )
    for source, target in (pair for part in (first, rest) for pair in part):
        if source != target and site[target]["managed"] and (source, target) not in seen:
            seen.add((source, target))
            yield source, target
