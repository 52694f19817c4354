# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A site with hosts that are alike and hosts that are not, to probe."""

from __future__ import annotations

from typing import Any

from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan
from ansible_collections.hpc.ports.tests.support.sites import make_plan

SERVICES: dict[str, Any] = {
    "web": {"ports": ["443/tcp"]},
    "metrics": {"ports": ["9090/udp"]},
    "agents": {"ports": ["15002-15005/tcp"]},
    "vrrp": {"ports": ["112/ip"]},
    "user_ports": {"ports": ["1024-65535/tcp"], "broad": True},
}
ENDPOINTS = {"users": {"cidrs": ["198.51.100.0/24", "2001:db8::/64"]}}
FLOWS = {
    "https": {"from": ["users"], "to": ["control_plane"], "services": ["web"], "need": "required"},
    "work": {"from": ["slurm_compute"], "to": ["slurm_compute"], "services": ["user_ports"], "need": "required"},
    "monitor": {"from": ["monitoring"], "to": ["slurm_compute"], "services": ["metrics"], "need": "required"},
}
HOSTS: dict[str, dict[str, Any]] = {
    "ctl": {"groups": ["control_plane"], "addresses": ["10.0.0.1", "fd00::1"]},
    "n1": {"groups": ["slurm_compute"], "addresses": ["10.1.0.1", "fd01::1"]},
    "n2": {"groups": ["slurm_compute"], "addresses": ["10.1.0.2", "fd01::2"]},
    "n3": {"groups": ["slurm_compute"], "addresses": ["10.1.0.3", "fd01::3"]},
    "mon": {"groups": ["monitoring"], "addresses": ["10.2.0.1"]},
    "laptop": {"groups": ["offices"], "addresses": ["198.51.100.7"]},
    "stranger": {"groups": ["offices"], "addresses": ["203.0.113.7"]},
}


def plan_of(
    hosts: dict[str, dict[str, Any]] | None = None, flows: dict[str, Any] | None = None, **settings: Any
) -> Plan:
    return make_plan(
        {"services": SERVICES, "endpoints": ENDPOINTS, "flows": {**FLOWS, **(flows or {})}}, hosts or HOSTS, **settings
    )
