# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of an audit as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ansible_collections.hpc.ports.plugins.plugin_utils._audit.cover import Groups
from ansible_collections.hpc.ports.plugins.plugin_utils._audit.findings import Findings, Unused
from ansible_collections.hpc.ports.plugins.plugin_utils._audit.words import seen_text, shortened

if TYPE_CHECKING:
    from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan

_UNITS = ((86400, "days"), (3600, "hours"), (60, "minutes"), (1, "seconds"))


def lines(plan: Plan, findings: Findings) -> list[str]:
    """Return the findings for a screen."""
    groups = Groups(plan)
    parts = [
        (
            "Connections that no flow allows. They continue until they end, but could not be opened again:",
            [seen_text(item, "connection") for item in findings.denied],
        ),
        (
            "Listeners that no flow reaches:",
            [
                f"{groups.text(item.hosts)}: {item.ports}" + (f", {item.listener}" if item.listener else "")
                for item in findings.unreached
            ],
        ),
        (
            "Flows without a listener:",
            [f"{groups.text(item.hosts)}: {item.flow} ({shortened(item.ports)})" for item in findings.unserved],
        ),
    ]
    if findings.unused is not None:
        parts.append(("Flows without a packet:", [_unused_text(groups, item) for item in findings.unused]))
    return [line for title, texts in parts for line in (title, *(f"  {text}" for text in texts or ["none"]), "")]


def _unused_text(groups: Groups, item: Unused) -> str:
    flow = f"{item.flow} ({shortened(item.ports)})"
    return f"{groups.text(item.hosts)}: {flow}, counted for at most {_duration(item.seconds)}"


def _duration(seconds: int) -> str:
    """Return a duration, rounded up, in the largest unit of which there are at least two."""
    size, unit = next(((size, unit) for size, unit in _UNITS if seconds >= 2 * size), _UNITS[-1])
    return f"{-(-seconds // size)} {unit}"
