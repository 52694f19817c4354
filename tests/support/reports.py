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
        "rule": f"accept tcp {port} of flow {flow}" if flow else "drop what no flow lets in",
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
    for name, about in hosts.items():
        classes.setdefault(about["class"], []).append(name)
    count = {verdict: sum(item["verdict"] == verdict for item in cells) for verdict in ("right", "wrong", "unknown")}
    summary = {
        "connections": len(cells),
        "sources": len({item["source"] for item in cells}),
        "targets": len({item["target"] for item in cells}),
        **count,
        "not_tested": sum(item["connections"] for item in not_tested),
        "outsiders": sorted({item["source"] for item in cells if not hosts[item["source"]]["managed"]}),
        "left_out": [],
        "not_running_policy": sorted(
            name for name, about in hosts.items() if about["managed"] and not about["is_equal"]
        ),
    }
    return {
        "format": 2,
        "made": "2026-11-22T08:00:00Z",
        "mode": mode,
        "summary": summary,
        "hosts": hosts,
        "classes": classes,
        "services": SERVICES,
        "flows": FLOWS,
        "cells": cells,
        "not_tested": list(not_tested),
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
        item
        for source in hosts
        for target in hosts
        if hosts[target]["managed"] and source != target and (source, target) != ("monitor1", "nfs1")
        for item in _pair(hosts, source, target)
    ]
    _break(cells)
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


def _break(cells: list[dict[str, Any]]) -> None:
    found = {(item["source"], item["target"], item["port"]): item for item in cells}
    found["login1", "ctl1", 6817].update(
        wrong(
            "other_table",
            "The table inet docker on ctl1 drops it after our ruleset let it in.",
            "Remove the rule `drop` of chain forward in table inet docker, or put our port before it.",
            outcome="filtered",
            counters={"left": 2, "arrived": 2, "passed": 2, "answered": 0, "returned": 0},
            seconds=1.0,
        )
    )
    for node in ("node2", "node3"):
        found[node, "ctl1", 2049].update(
            wrong(
                "ruleset_drops",
                "The ruleset of ctl1 drops it: it is not that of the policy.",
                "Run the playbook hpc.ports.site on ctl1.",
                outcome="filtered",
                compiled="filtered",
                seconds=1.0,
            )
        )
    found["outsider", "login1", 22].update(
        wrong(
            "ruleset_allows",
            "The ruleset of login1 lets it in by a rule that was added by hand.",
            "Run the playbook hpc.ports.site on login1.",
            outcome="open",
            compiled="open",
            why="The probe got an answer.",
        )
    )
    found["node1", "node4", 6818].update(
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
    kinds: dict[str, list[str]] = {}
    for name, about in site.items():
        kinds.setdefault(about["class"], []).append(name)
    pairs = islice(_pairs(site, kinds), cells // len(PORTS))
    found = [item for source, target in pairs for item in _pair(site, source, target)]
    for item in rng.sample(found, min(40, len(found))):
        item.update(
            wrong(
                "not_arrived",
                f"Nothing of it arrived at {item['target']}, and {item['source']} sent it.",
                "Look at security groups, routes and firewalls between the two.",
                outcome="open" if item["intended"] == "filtered" else "filtered",
            )
        )
    for item in found:
        item["seconds"] = round(item["seconds"] + rng.random() / 100, 6)
    return whole(
        site,
        found,
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


def _taken(turns: Iterator[str]) -> str:
    return next(turns)


def _pairs(site: dict[str, Any], kinds: dict[str, list[str]]) -> Iterator[tuple[str, str]]:
    """Every host once as a target, then every class to the other ones, members in turn."""
    turns = {kind: cycle(names) for kind, names in kinds.items()}
    order = list(kinds)
    seen = set()
    first = ((_taken(turns[order[number % len(order)]]), name) for number, name in enumerate(site))
    rest = (
        (_taken(turns[source]), _taken(turns[target]))
        for step in range(len(order))
        for source, target in zip(order, order[step:] + order[:step])
    )
    for source, target in (pair for part in (first, rest) for pair in part):
        if source != target and site[target]["managed"] and (source, target) not in seen:
            seen.add((source, target))
            yield source, target
