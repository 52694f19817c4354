# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of verify: a table a target, each wrong or unknown connection with what to look at, and the counts."""

from __future__ import annotations

import textwrap
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.hpc.ports.plugins.plugin_utils.expectations import OPEN, Expected, Skipped
from ansible_collections.hpc.ports.plugins.plugin_utils.verdicts import RIGHT, UNKNOWN, WRONG, Verdict

FORMAT = 1
_WIDTH = 110
_MOST_LINES = 100
_BLANK = ""

_ADVICE = {
    "!BLOCKED": """\
!BLOCKED: a flow lets this in, and it did not get through. Look, in this order, at
  the rule: `--check --diff` of the playbook hpc.ports.site shows whether both hosts run their policy
  the source: does it come from one of its firewall_source_addresses? `ip route get ADDRESS` on the source tells
  what lies between: other tables on both hosts (`nft list ruleset`), security groups, firewalls, routes""",
    "!OPEN": """\
!OPEN: no flow lets this in, and it got through. Look, in this order, at
  the rule: `--check --diff` of the playbook hpc.ports.site shows a policy that is not loaded, or was changed by hand
  the source: does the target see another address than you think (NAT), or one of its firewall_trusted_interfaces?
  what lies between: is the address the target's own, or does something else answer there?""",
}


class Row(NamedTuple):
    """Ports of one target that are alike: the flows that open them, and a cell a source."""

    ports: str
    flows: str
    cells: tuple[str, ...]


class Compared(NamedTuple):
    """Whether a host runs its policy; None where that could not be read, with the reason; `objects` differ."""

    is_equal: bool | None
    objects: Sequence[str] = ()
    reason: str = ""


class Found(NamedTuple):
    """All that the report is made of; `compared` says by host whether it runs its policy, see `Compared`."""

    expected: Expected
    verdicts: Sequence[Verdict]
    compared: Mapping[str, Compared]


def summary(found: Found) -> dict[str, Any]:
    """Return the counts as plain data."""
    verdicts, expected = found.verdicts, found.expected
    count = Counter(item.verdict for item in verdicts)
    return {
        "connections": len(verdicts),
        "sources": len({item.expectation.source for item in verdicts}),
        "targets": len({item.expectation.target for item in verdicts}),
        **{name: count[name] for name in (RIGHT, WRONG, UNKNOWN)},
        "not_tried": sum(item.connections for item in expected.skipped),
        "outsiders": expected.unmanaged,
        "not_running_policy": sorted(host for host, item in found.compared.items() if not item.is_equal),
    }


def as_data(found: Found) -> dict[str, Any]:
    """Return everything as plain data: format, summary, hosts, not_tried and verdicts."""
    return {
        "format": FORMAT,
        "summary": summary(found),
        "hosts": {host: item._asdict() for host, item in found.compared.items()},
        "not_tried": [item._asdict() for item in found.expected.skipped],
        "verdicts": [item.as_data() for item in found.verdicts],
    }


def report(found: Found) -> list[str]:
    """Return the lines to show."""
    verdicts = found.verdicts
    lines = []
    by_target = defaultdict(list)
    for item in verdicts:
        by_target[item.expectation.target].append(item)
    for target, items in sorted(by_target.items()):
        lines += [*table(target, items), ""]
    lines += [*compared_lines(found.compared), *wrong_lines(verdicts), *unknown_lines(verdicts),
              *map(_not_tried, found.expected.skipped)]
    seen = {_cell([item]) for item in verdicts}
    lines += [line for cell, text in _ADVICE.items() if cell in seen for line in ("", *text.splitlines())]
    return [*lines, "", summary_line(summary(found))]


def summary_line(counts: dict[str, Any]) -> str:
    """Return the counts in words."""
    outsiders = ", ".join(counts["outsiders"]) or "NO HOST outside the managed groups"
    return (f"{counts['connections']} connections from {counts['sources']} hosts to {counts['targets']}: "
            f"{counts[RIGHT]} right, {counts[WRONG]} wrong, {counts[UNKNOWN]} unknown. "
            f"From outside: {outsiders}.")


# ---- the table of a target

def table(target: str, items: Sequence[Verdict]) -> list[str]:
    """Return a row for all ports alike that are open for someone or not right, and one for the rest.

    Sources whose columns are equal share one; its letter is explained above the table.
    """
    sources = sorted({item.expectation.source for item in items})
    rows = _rows(items, sources)
    columns: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for number in range(len(sources)):
        columns[tuple(row.cells[number] for row in rows)].append(number)
    shown = list(columns.values())
    letters = [_letter(number) for number in range(len(shown))]
    addresses = ", ".join(sorted({item.expectation.address for item in items}, key=lambda text: (":" in text, text)))
    lines = [f"{target}  {addresses}"]
    for letter, numbers in zip(letters, shown):
        names = ", ".join(sources[number] for number in numbers)
        lines += textwrap.wrap(names, _WIDTH, initial_indent=f"  {letter:<3}", subsequent_indent="     ",
                               break_on_hyphens=False)
    cells = [["port", "flow", *letters]]
    cells += [[row.ports, row.flows, *(row.cells[numbers[0]] for numbers in shown)] for row in rows]
    return lines + _aligned(cells)


def _letter(number: int) -> str:
    return (_letter(number // 26 - 1) if number >= 26 else "") + chr(ord("A") + number % 26)


def _rows(items: Sequence[Verdict], sources: Sequence[str]) -> list[Row]:
    by_port: dict[tuple[str, int], dict[str, list[Verdict]]] = defaultdict(lambda: defaultdict(list))
    for item in items:
        by_port[item.expectation.protocol, item.expectation.port][item.expectation.source].append(item)
    alike: dict[tuple[str, str, tuple[str, ...]], list[int]] = defaultdict(list)
    others = []
    for (protocol, port), found in sorted(by_port.items()):
        cells = tuple(_cell(found[source]) for source in sources)
        flows = ", ".join(sorted({item.expectation.flow for group in found.values() for item in group} - {""}))
        if flows or set(cells) - {"–", "?", _BLANK}:
            alike[protocol, flows, cells].append(port)
        else:
            others.append(cells)
    rows = [Row(_ports_text(ports, protocol), flows, cells) for (protocol, flows, cells), ports in alike.items()]
    if others:
        merged = tuple("?" if "?" in column else max(column) for column in zip(*others))
        rows.append(Row(f"{len(others)} other ports", "", merged))
    return rows


def _cell(items: Iterable[Verdict]) -> str:
    """What stands for the same port on all addresses: the worst of them."""
    texts = {_text(item) for item in items}
    return next((text for text in ("!OPEN", "!BLOCKED", "?", "open", "–") if text in texts), _BLANK)


def _text(item: Verdict) -> str:
    is_open = item.expectation.expected == OPEN
    if item.verdict == RIGHT:
        return "open" if is_open else "–"
    return "?" if item.verdict == UNKNOWN else "!BLOCKED" if is_open else "!OPEN"


def _ports_text(ports: Sequence[int], protocol: str) -> str:
    if len(ports) > 3:
        return f"{ports[0]} … {ports[-1]}/{protocol} ({len(ports)})"
    return f"{', '.join(map(str, ports))}/{protocol}"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows)]
    return ["  " + "  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip() for row in rows]


# ---- what is not right

def compared_lines(compared: Mapping[str, Compared]) -> list[str]:
    """Return one line for each host that does not run its policy, or whose ruleset could not be read."""
    lines = [f"wrong: {host} does not run its policy; these differ: {', '.join(item.objects)}"
             for host, item in sorted(compared.items()) if item.is_equal is False]
    return lines + [f"unknown: whether {host} runs its policy: {item.reason}"
                    for host, item in sorted(compared.items()) if item.is_equal is None]


def wrong_lines(verdicts: Iterable[Verdict]) -> list[str]:
    """Return one line for each wrong connection."""
    lines = []
    for item in verdicts:
        if item.verdict == WRONG:
            what = item.expectation
            flow = f"flow {what.flow} lets it in" if what.flow else "no flow lets it in"
            lines.append(f"wrong: {what.source} -> {what.target} {what.address} {what.port}/{what.protocol}: expected "
                         f"{what.expected} ({flow}), was {item.seen.outcome}. {item.why}")
    return _shortened(lines)


def unknown_lines(verdicts: Iterable[Verdict]) -> list[str]:
    """Return one line for all connections of a source and a target that are unknown for the same reason."""
    alike: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for item in verdicts:
        if item.verdict == UNKNOWN:
            what = item.expectation
            alike[what.source, what.target, item.why].append(f"{what.address} {what.port}/{what.protocol}")
    return _shortened([f"unknown: {source} -> {target} {_some(which)}: {why}"
                       for (source, target, why), which in alike.items()])


def _some(which: Sequence[str]) -> str:
    return which[0] if len(which) == 1 else f"{which[0]} and {len(which) - 1} more"


def _not_tried(item: Skipped) -> str:
    pair = f" {item.source} -> {item.target}" if item.source else ""
    return f"not tried:{pair} {item.connections}: {item.reason}"


def _shortened(lines: list[str]) -> list[str]:
    if len(lines) <= _MOST_LINES:
        return lines
    return [*lines[:_MOST_LINES], f"… and {len(lines) - _MOST_LINES} more, all in the file of the report"]


# ---- the end

def failure(counts: dict[str, Any], require_outsider: bool) -> str:
    """Return why the play must fail, or nothing."""
    if not counts["connections"]:
        return ("Nothing was tried: expected at least one managed host and another host in the play that verify_query "
                "selects. With --limit, name hosts on both sides.")
    if counts[WRONG] or counts[UNKNOWN]:
        return (f"{counts[WRONG]} connections are wrong and {counts[UNKNOWN]} unknown of {counts['connections']}; "
                "see the report above.")
    if counts["not_running_policy"]:
        return (f"All {counts['connections']} connections are right, but these hosts do not run their policy, or it "
                f"could not be read: {', '.join(counts['not_running_policy'])}; see the report above.")
    if require_outsider and not counts["outsiders"]:
        return "No host outside the managed groups took part, and verify_require_outsider is true: add one to the play."
    return ""


def warnings_of(counts: dict[str, Any]) -> list[str]:
    """Return what a good result leaves unproven."""
    if counts["outsiders"]:
        return []
    return ["No host outside the managed groups took part, so nothing shows that strangers are kept out. "
            "Add one to the inventory, in no group of the collection."]
