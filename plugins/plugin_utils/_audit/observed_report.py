# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of what hosts in observe mode have recorded: as text, JSON and an HTML page."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._model.shown import shown, shown_data
from ansible_collections.hpc.ports.plugins.plugin_utils._audit.denied import Denied, denied_of
from ansible_collections.hpc.ports.plugins.plugin_utils._audit.objections import without_objections
from ansible_collections.hpc.ports.plugins.plugin_utils._audit.proposals import proposed
from ansible_collections.hpc.ports.plugins.plugin_utils._audit.recorded import Recorded
from ansible_collections.hpc.ports.plugins.plugin_utils._audit.seen import Seen, seen_of
from ansible_collections.hpc.ports.plugins.plugin_utils._audit.words import (
    counted,
    duration,
    seen_data,
    seen_text,
    shortened,
    side_text,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._report.html import page_of

if TYPE_CHECKING:
    from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan

FORMAT = 1


class Report(NamedTuple):
    """What hosts recorded and no flow allows, the proposed entries as YAML, and what is to be said about the hosts.

    `left_out` are flows that are not proposed because of lint, `allowed` is how many records the port file allows now.
    `inventory` are the sources of the inventory, which the page names.
    """

    seen: list[Seen]
    draft: str
    left_out: list[str]
    allowed: int
    notes: list[str]
    inventory: Sequence[str] = ()


def report_of(plan: Plan, recorded: Mapping[str, Recorded], silent: Mapping[str, str]) -> Report:
    """Return the report. `silent` says why nothing is known of a host."""
    denied = denied_of(plan, recorded)
    valid = {host: answer for host, answer in recorded.items() if host not in denied.invalid}
    seen = seen_of(plan, denied.openings, {host: answer.served for host, answer in valid.items()})
    draft, left_out = without_objections(plan, proposed(plan, seen))
    notes = [*_about_hosts(valid, {**silent, **denied.invalid}), *_about_packets(denied)]
    return Report(seen, draft.text(), left_out, denied.allowed, notes)


def _about_hosts(recorded: Mapping[str, Recorded], silent: Mapping[str, str]) -> list[str]:
    observing = {host: answer.seconds for host, answer in recorded.items() if answer.seconds is not None}
    others = sorted(recorded.keys() - observing.keys())
    newest = min(observing, key=lambda host: (observing[host], host), default="")
    full = [f"{host} ({answer.unrecorded})" for host, answer in sorted(recorded.items()) if answer.unrecorded]
    left = [f"{host} ({answer.left_out})" for host, answer in sorted(recorded.items()) if answer.left_out]
    known, unknown = [], []
    if newest:
        since = duration(observing[newest])
        known = [f"In observe mode: {counted(len(observing), 'host')}, for {since} or longer ({newest})."]
    if others:
        unknown = [f"Not in observe mode, so nothing is known: {shortened(others)}. Set firewall_mode: observe."]
    return [
        *known,
        *unknown,
        *([f"Packets that did not fit into the records of their host: {shortened(full)}."] if full else []),
        *([f"Records that were left out: {shortened(left)}."] if left else []),
        *(f"Nothing is known of {host}: {reason}." for host, reason in sorted(silent.items())),
        *(f"{host}: {problem}" for host, answer in sorted(recorded.items()) for problem in answer.problems),
    ]


def _about_packets(denied: Denied) -> list[str]:
    """Return what is said about packets for which no flow is proposed."""
    packets = {
        "Packets that others routed straight to containers, which no flow allows; publish the ports:": (
            denied.to_containers
        ),
        "Packets from addresses that no host can have, which are forged:": denied.impossible,
        "Packets from outside the inventory to ports that nobody holds, such as scans:": denied.unanswered,
    }
    return [f"{text} {_by_host(numbers)}." for text, numbers in packets.items() if numbers]


def _by_host(packets: Mapping[str, int]) -> str:
    return shortened([f"{host} ({counted(number, 'packet')})" for host, number in sorted(packets.items())])


# ---- the screen


def lines(report: Report) -> list[str]:
    """Return the report for a screen."""
    title = "Connections that no flow allows, and that the hosts accept only because they observe:"
    texts = [f"  {seen_text(item, 'packet', f'last {duration(item.last_seconds)} ago')}" for item in report.seen] or [
        "  none"
    ]
    allowed = f"The port file now allows {counted(report.allowed, 'older record')}."
    result = [title, *texts, "", *report.notes, *([allowed] if report.allowed else [])]
    if report.left_out:
        result += ["", "Not proposed, because lint objects:", *(f"  {text}" for text in report.left_out)]
    return result + (["", "Proposed entries of the port file:", *report.draft.splitlines()] if report.draft else [])


# ---- files


def data_of(report: Report) -> dict[str, Any]:
    """Return plain data: the fields of the report."""
    return {
        "format": FORMAT,
        "seen": [
            {**seen_data(item), "packets": item.number, "last_seconds": item.last_seconds} for item in report.seen
        ],
        "draft": report.draft,
        "left_out": report.left_out,
        "allowed": report.allowed,
        "notes": report.notes,
    }


def _json(report: Report) -> str:
    return json.dumps(data_of(report), indent=1) + "\n"


def _html(report: Report) -> str:
    data = shown_data({**data_of(report), "draft": ""})
    rows = [{"from": side_text(item.sources), "to": side_text(item.targets)} for item in report.seen]
    texts = "\n".join(map(shown, report.draft.splitlines()))
    inventory = shown_data(list(report.inventory))
    return page_of("observed", {**data, "titles": shown_data(rows), "draft": texts, "inventory": inventory})


# What writes a file, by the end of its name.
WRITERS: Mapping[str, Callable[[Report], str]] = {".json": _json, ".html": _html}
