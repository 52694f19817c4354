# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The types of the JSON report. What each key means, and its values: roles/verify/files/report.schema.json."""

from __future__ import annotations

from typing import Optional, TypedDict

# Packets by counting point, see `COUNTERS` in evidence.py; None: not counted.
PacketCounts = dict[str, Optional[int]]


class DiagnosisData(TypedDict):
    """What is broken, and what to do."""

    code: str
    text: str
    advice: str


class Cell(TypedDict):
    """One tested connection: what the port file intends, what the rulesets do, and what the probe observed."""

    source: str
    target: str
    address: str
    protocol: str
    port: int
    services: list[str]
    intended: str
    compiled: str
    outcome: str
    verdict: str
    flow: str
    denied_by: str
    rule: str
    held_by: str
    seconds: float | None
    attempts: int
    counters: PacketCounts | None
    detail: str
    why: str
    diagnosis: DiagnosisData | None


# `class` is a keyword of Python, so this type cannot be written as a class. The same holds for `from` of a flow.
HostData = TypedDict(
    "HostData",
    {
        "managed": bool,
        "roles": list[str],
        "clusters": list[str],
        "addresses": list[str],
        "source_addresses": list[str],
        "class": str,
        "backend": str,
        "is_equal": Optional[bool],
        "objects": list[str],
        "reason": str,
    },
)


class ServiceData(TypedDict):
    """A service of the port file, with ports such as `6817/tcp`."""

    title: str
    ports: list[str]


FlowData = TypedDict(
    "FlowData",
    {
        "title": str,
        "from": list[str],
        "to": list[str],
        "services": list[str],
        "need": str,
        "within_cluster": bool,
        "reference": list[str],
        "note": str,
        "is_on": bool,
    },
)


class OutsideData(TypedDict):
    """Ports of a class of hosts that a flow opens to networks outside the inventory."""

    to: str
    flow: str
    services: list[str]
    ports: list[str]
    endpoints: list[str]
    networks: list[str]


class Summary(TypedDict):
    """The counts of a run."""

    connections: int
    sources: int
    targets: int
    right: int
    wrong: int
    unknown: int
    not_tested: int
    from_containers: int | None
    outsiders: list[str]
    left_out: list[str]
    not_running_policy: list[str]


class NotTested(TypedDict):
    """Connections that were not tested; source and target are empty for connections of many hosts."""

    source: str
    target: str
    connections: int
    reason: str


class Report(TypedDict):
    """The whole report."""

    format: int
    made: str
    inventory: list[str]
    mode: str
    summary: Summary
    hosts: dict[str, HostData]
    classes: dict[str, list[str]]
    services: dict[str, ServiceData]
    flows: dict[str, FlowData]
    outside: list[OutsideData]
    cells: list[Cell]
    not_tested: list[NotTested]
