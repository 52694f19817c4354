# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of an audit as text, and a draft of the flows that its connections need."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ansible_collections.hpc.ports.plugins.plugin_utils._audit import denied as openings
from ansible_collections.hpc.ports.plugins.plugin_utils._audit import proposals
from ansible_collections.hpc.ports.plugins.plugin_utils._audit.answers import Answer
from ansible_collections.hpc.ports.plugins.plugin_utils._audit.ends import HOST, End, Ends
from ansible_collections.hpc.ports.plugins.plugin_utils._audit.findings import (
    PUBLISHED_BY,
    Denied,
    Findings,
    Unused,
    denied_connections,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._audit.names import Names, shortened
from ansible_collections.hpc.ports.plugins.plugin_utils._audit.seen import Count, seen_of
from ansible_collections.hpc.ports.plugins.plugin_utils._draft.port_file import Draft

if TYPE_CHECKING:
    from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan

_UNITS = ((86400, "days"), (3600, "hours"), (60, "minutes"), (1, "seconds"))


def lines(plan: Plan, findings: Findings) -> list[str]:
    """Return the findings for a screen."""
    names = Names(plan)
    parts = [
        (
            "Connections that no flow allows. They continue until they end, but could not be opened again:",
            [_denied_text(names, item) for item in findings.denied],
        ),
        (
            "Listeners that no flow reaches:",
            [
                f"{names.text(item.hosts)}: {item.ports}" + (f", {item.listener}" if item.listener else "")
                for item in findings.unreached
            ],
        ),
        (
            "Flows without a listener:",
            [f"{names.text(item.hosts)}: {item.flow} ({shortened(item.ports)})" for item in findings.unserved],
        ),
    ]
    if findings.unused is not None:
        parts.append(("Flows without a packet:", [_unused_text(names, item) for item in findings.unused]))
    return [line for title, texts in parts for line in (title, *(f"  {text}" for text in texts or ["none"]), "")]


def _denied_text(names: Names, item: Denied) -> str:
    hosts, strangers = names.hosts(item.peers)
    peers = ", ".join(filter(None, [names.text(hosts) if hosts else "", shortened(strangers)]))
    word = "from" if item.direction == "in" else "to"
    number = "1 connection" if item.number == 1 else f"{item.number} connections"
    holders = [text if text.startswith(PUBLISHED_BY) else f"{text} listens" for text in item.listeners]
    by = f"; {', '.join(holders)}" if holders else ""
    return f"{names.text(item.hosts)}: {item.port}/{item.protocol} {word} {peers}, {number}{by}"


def _unused_text(names: Names, item: Unused) -> str:
    flow = f"{item.flow} ({shortened(item.ports)})"
    return f"{names.text(item.hosts)}: {flow}, counted for at most {_duration(item.seconds)}"


def _duration(seconds: int) -> str:
    """Return a duration, rounded up, in the largest unit of which there are at least two."""
    size, unit = next(((size, unit) for size, unit in _UNITS if seconds >= 2 * size), _UNITS[-1])
    return f"{-(-seconds // size)} {unit}"


def proposed(plan: Plan, answers: Mapping[str, Answer]) -> Draft:
    """Return the entries of the port file that the denied connections need."""
    ends, found = Ends(plan), openings.Denied()
    for host, item in denied_connections(plan, answers):
        own, peer = End(HOST, host), ends[item.peer].end
        if item.direction == "in":
            found.add((item.protocol, item.port), own, peer, Count(item.number, 0, 0))
        else:
            found.add((item.protocol, item.port), peer, own, Count(0, item.number, 0))
    return proposals.proposed(plan, seen_of(plan, found.openings, {host: answers[host].listeners for host in answers}))
