# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report as plain data, in the form of roles/verify/files/report.schema.json, and the fact that the role sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from ansible_collections.hpc.ports.plugins.plugin_utils._expectations.expected import OPEN
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.everything import port_texts
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.matrix import outside_of
from ansible_collections.hpc.ports.plugins.plugin_utils._report.matrix import outside_data
from ansible_collections.hpc.ports.plugins.plugin_utils._report.text import Findings, not_tested, summary
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.cells import Run
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.document import Report
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.verdicts import RIGHT, UNPROVEN

FORMAT = 2


def as_data(findings: Findings, run: Run, inventory: Sequence[str] = ()) -> Report:
    """Return everything: see the schema. `inventory` are the names of the sources of the inventory."""
    catalogue = run.plan.catalogue
    class_of = {host: name for name, hosts in findings.classes.items() for host in hosts}
    return {
        "format": FORMAT,
        "made": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "inventory": list(inventory),
        "mode": "passive" if run.results.passive else "active",
        "summary": summary(findings),
        "hosts": {host: run.host(host, name) for host, name in sorted(class_of.items())},
        "classes": {name: list(hosts) for name, hosts in findings.classes.items()},
        "services": {
            name: {"title": service.title, "ports": port_texts(service.ports)}
            for name, service in catalogue.services.items()
        },
        "flows": {
            name: {
                "title": flow.title,
                "from": list(flow.sources),
                "to": list(flow.targets),
                "services": list(flow.services),
                "need": flow.need,
                "within_cluster": flow.within_cluster,
                "reference": list(flow.reference),
                "note": flow.note,
                "is_on": name in run.plan.flows_on,
            }
            for name, flow in catalogue.flows.items()
        },
        "outside": list(map(outside_data, outside_of(run.plan, findings.classes))),
        "cells": [run.cell(verdict) for verdict in findings.verdicts if verdict.verdict != UNPROVEN],
        "not_tested": [
            {"source": skip.source, "target": skip.target, "connections": skip.connections, "reason": skip.reason}
            for skip in not_tested(findings)
        ],
    }


def as_fact(data: Report) -> dict[str, Any]:
    """Return what later tasks ask for: the summary, hosts, what was open to whom, and what is not right."""
    outsiders = set(data["summary"]["outsiders"])
    keys = ("source", "target", "address", "protocol", "port", "services", "flow")
    cells: Sequence[Mapping[str, Any]] = data["cells"]
    return {
        "summary": data["summary"],
        "hosts": data["hosts"],
        "open": [
            {**{key: cell[key] for key in keys}, "from_outside": cell["source"] in outsiders}
            for cell in cells
            if cell["outcome"] == OPEN
        ],
        "not_right": [cell for cell in data["cells"] if cell["verdict"] != RIGHT],
    }
