# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small platform rendered as `playbooks/render.yml` does, for hosts that get nothing but these files."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from ansible_collections.hpc.ports.plugins.module_utils._model.evaluate import Packet
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import Policy, parse_policy
from ansible_collections.hpc.ports.plugins.plugin_utils._render.classes import all_files, rendered, target_of
from ansible_collections.hpc.ports.plugins.plugin_utils._render.folder import work_of
from ansible_collections.hpc.ports.tests.support.namespaces import Space
from ansible_collections.hpc.ports.tests.support.platforms import packets_at_edges, special_packets
from ansible_collections.hpc.ports.tests.support.sites import make_plan

_SITE: dict[str, Any] = {
    "services": {
        "slurmctld": {"ports": ["6817/tcp"]},
        "srun": {"ports": ["60001-60100/tcp"], "broad": True},
        "web": {"ports": ["443/tcp"]},
        "names": {"ports": ["53/udp", "53/tcp"]},
    },
    "endpoints": {
        "controllers": {"cidrs": ["10.64.9.9/32", "fd64::9/128"]},
        "anywhere": {"cidrs": ["0.0.0.0/0", "::/0"]},
        "resolvers": {"cidrs": ["10.64.0.53/32"]},
    },
    "flows": {
        "control": {
            "from": ["slurm_compute"],
            "to": ["slurm_controller"],
            "services": ["slurmctld"],
            "within_cluster": True,
            "need": "recommended",
        },
        "srun": {
            "from": ["slurm_controller", "slurm_compute"],
            "to": ["slurm_compute"],
            "services": ["srun"],
            "within_cluster": True,
            "need": "recommended",
        },
        "web": {"from": ["anywhere"], "to": ["slurm_controller"], "services": ["web"], "need": "recommended"},
        "names": {
            "from": ["slurm_controller", "slurm_compute"],
            "to": ["resolvers"],
            "services": ["names"],
            "need": "recommended",
        },
    },
}
# Nodes come and go in this network, and no inventory has them.
_CLUSTERS = {"alpha": {"cidrs": ["10.64.4.0/24", "fd64:4::/64"]}}
_HOSTS: dict[str, Any] = {
    "head": {"groups": ["slurm_controller"], "addresses": ["10.64.0.1", "fd64::1"], "cluster": "alpha"},
    "node": {"groups": ["slurm_compute"], "addresses": ["10.64.4.1"], "cluster": "alpha", "egress": "restricted"},
}
CLASSES = ("slurm_controller-alpha", "slurm_compute-alpha-restricted")


class Class(NamedTuple):
    """One class: its folder, and the policy of its hosts, as plain data and parsed."""

    folder: Path
    data: Mapping[str, Any]
    policy: Policy

    def packets(self) -> Iterator[tuple[str, list[Packet]]]:
        """Yield by direction the packets where its verdicts change."""
        for direction in ("in", "out"):
            edges = packets_at_edges(self.policy, direction, random.Random(0), 200)
            yield direction, [*special_packets(direction), *edges]


def class_of(folder: Path, name: str, firewalld_version: str = "1.0", nft: str = "/usr/sbin/nft") -> Class:
    """Render the platform into a folder, and return one of its classes."""
    plan = make_plan(_SITE, _HOSTS, firewall_clusters=_CLUSTERS)
    classes = rendered(plan, target_of(["nftables", "firewalld"], firewalld_version, nft))
    assert {host_class.name for host_class in classes} == set(CLASSES)
    work_of(str(folder), all_files(classes)).do()
    data = plan.policies[next(host_class.digest for host_class in classes if host_class.name == name)]
    return Class(folder / name, data, parse_policy(data))


def put(tree: Path, host: Space) -> None:
    """Put the files of a tree in their places on a host, as the build of an image does, and do nothing else there."""
    packed = subprocess.run(
        ["tar", "-cC", str(tree), "--owner=0", "--group=0", "etc"], check=True, capture_output=True
    ).stdout
    subprocess.run([*host.prefix, "tar", "-xC", "/", "--no-overwrite-dir"], input=packed, check=True)


def give(user_data: Path, run: Callable[..., Any]) -> None:
    """Do what cloud-init does with user-data of these two kinds; `run` runs a command on the host."""
    data = yaml.safe_load(user_data.read_text(encoding="utf-8"))
    assert set(data) == {"write_files", "runcmd"}
    for file in data["write_files"]:
        run(
            "sh",
            "-ec",
            'mkdir -p "$(dirname "$0")"; cat > "$0"; chmod "$1" "$0"',
            file["path"],
            file["permissions"],
            text=file["content"],
        )
    for words in data["runcmd"]:
        run(*words)
