# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A site with a flow of each kind, to explain."""

from __future__ import annotations

from typing import Any

from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan
from ansible_collections.hpc.ports.tests.support.sites import make_plan

SERVICES: dict[str, Any] = {
    "slurmctld": {"ports": ["6817/tcp"]},
    "docker": {"ports": ["2375/tcp"]},
    "web": {"ports": ["443/tcp"]},
    "rest": {"ports": ["6820/tcp"]},
    "user_ports": {"ports": ["1024-65535/tcp"], "broad": True},
}
ENDPOINTS = {"users": {"cidrs": ["198.51.100.0/24"]}, "admins": {"cidrs": []}, "site": {"cidrs": ["10.0.0.0/8"]}}
FLOWS: dict[str, Any] = {
    "control": {
        "from": ["slurm_login", "slurm_compute"],
        "to": ["slurm_controller"],
        "services": ["slurmctld"],
        "within_cluster": True,
        "need": "required",
    },
    "docker": {"from": ["slurm_login"], "to": ["slurm_controller"], "services": ["docker"], "need": "optional"},
    "rest": {"from": ["admins"], "to": ["slurm_controller"], "services": ["rest"], "need": "conditional"},
    "tunnel": {
        "from": ["slurm_login"],
        "to": ["slurm_controller"],
        "services": ["rest"],
        "need": "recommended",
        "unless": "firewall_ssh_through_tunnel",
    },
    "no_rest": {
        "from": ["users"],
        "to": ["slurm_controller"],
        "services": ["rest"],
        "need": "required",
        "enabled": False,
    },
    "web": {"from": ["users", "site"], "to": ["control_plane"], "services": ["web"], "need": "required"},
    "work": {
        "from": ["slurm_login"],
        "to": ["slurm_controller"],
        "services": ["user_ports"],
        "within_cluster": True,
        "need": "required",
    },
}
HOSTS: dict[str, dict[str, Any]] = {
    "ctl": {"groups": ["control_plane"], "addresses": ["10.0.0.1", "fd00::1"]},
    "head": {"groups": ["slurm_controller"], "cluster": "alpha", "addresses": ["10.1.0.1", "fd01::1"]},
    "login": {"groups": ["slurm_login"], "cluster": "alpha", "addresses": ["10.1.0.2", "fd01::2"]},
    "other": {"groups": ["slurm_login"], "cluster": "beta", "addresses": ["10.2.0.2"]},
    "laptop": {"groups": ["offices"], "addresses": ["198.51.100.7"]},
    "six": {"groups": ["slurm_login"], "cluster": "gamma", "addresses": ["fd06::1"]},
}


def plan_of(changes: dict[str, dict[str, Any]] | None = None, **settings: Any) -> Plan:
    hosts = {name: {**host, **(changes or {}).get(name, {})} for name, host in HOSTS.items()}
    return make_plan(
        {"services": SERVICES, "endpoints": ENDPOINTS, "flows": FLOWS},
        hosts,
        firewall_ssh_through_tunnel=True,
        **settings,
    )
