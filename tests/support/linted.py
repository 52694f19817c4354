# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans for tests of lint, and the findings of one rule in them."""

from __future__ import annotations

from datetime import date
from typing import Any

from ansible_collections.hpc.ports.plugins.plugin_utils._lint.rules import findings
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan
from ansible_collections.hpc.ports.tests.support.sites import make_plan

TODAY = date(2026, 11, 21)
HOSTS: dict[str, Any] = {
    "ctl": {"groups": ["control_plane"], "addresses": ["10.0.0.1"]},
    "login": {"groups": ["slurm_login"], "addresses": ["10.1.0.1"], "cluster": "alpha"},
    "node": {"groups": ["slurm_compute"], "addresses": ["10.1.0.2"], "cluster": "alpha"},
    "desk": {"groups": ["workbench"], "addresses": ["10.2.0.1"]},
    "watch": {"groups": ["monitoring"], "addresses": ["10.3.0.1"]},
    "files": {"groups": ["nfs_server"], "addresses": ["10.4.0.1"]},
}


def plan_of(
    flows: dict[str, Any],
    ports: str | list[str] = "443/tcp",
    endpoints: dict[str, Any] | None = None,
    hosts: dict[str, Any] | None = None,
    service: dict[str, Any] | None = None,
    **settings: Any,
) -> Plan:
    """Return the plan of flows that are on, whose service `web` has these ports and is public."""
    web = {"ports": ports.split() if isinstance(ports, str) else ports, "exposure": "public", **(service or {})}
    known = {"anywhere": {"cidrs": ["0.0.0.0/0", "::/0"]}, **(endpoints or {})}
    full = {name: {"services": ["web"], "need": "recommended", **flow} for name, flow in flows.items()}
    return make_plan(
        {"services": {"web": web, **settings.pop("services", {})}, "endpoints": known, "flows": full},
        HOSTS if hosts is None else hosts,
        {"a.example.org": ["10.9.0.9"]},
        **settings,
    )


def found(rule: str, plan: Plan) -> list[tuple[str, str, str]]:
    """Return severity, subject and message of each finding of a rule."""
    return [(item.severity, item.subject, item.message) for item in findings(plan, TODAY) if item.rule == rule]
