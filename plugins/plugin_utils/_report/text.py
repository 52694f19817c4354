# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What verify shows: a table a kind of target, each connection that is not right with what to do, and the counts."""

from __future__ import annotations

import textwrap
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from ansible_collections.hpc.ports.plugins.plugin_utils._expectations.expected import OPEN, Expectation, Skipped
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import listed
from ansible_collections.hpc.ports.plugins.plugin_utils._report.causes import (
    MOST_NAMES,
    advice_lines,
    causes_of,
    some_of,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.cells import Compared
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.diagnosis import Diagnosis
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.document import Summary
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.evidence import REFUSED
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.verdicts import (
    RIGHT,
    UNKNOWN,
    UNPROVEN,
    WRONG,
    Verdict,
)

_WIDTH = 110
_MOST_LINES = 100
_MOST_TABLES = 40
_MOST_CAUSES = 3  # in the message of the task that fails
_BLANK = ""
# The worst first.
_CELL_TEXTS = ("!OPEN", "!BLOCKED", "!REFUSED", "?", "not tested", "open", "–")


class Row(NamedTuple):
    """Ports of one kind of target that are alike: the flows that open them, and a cell a source."""

    ports: str
    flows: str
    cells: tuple[str, ...]


class Findings(NamedTuple):
    """Everything that the report shows.

    `compared`: whether each host runs its policy. `diagnoses`: of the connections that are not right. `unreadable`:
    hosts whose results cannot be read, `left_out`: hosts that took no part in the tests, both with the reason.
    `asks_containers`: a host of the run judges what its containers open, so connections are tried from those that run.
    """

    verdicts: Sequence[Verdict]
    skipped: Sequence[Skipped]
    outsiders: Sequence[str]
    classes: Mapping[str, Sequence[str]]
    compared: Mapping[str, Compared]
    diagnoses: Mapping[Expectation, Diagnosis]
    unreadable: Mapping[str, str] = MappingProxyType({})
    left_out: Mapping[str, str] = MappingProxyType({})
    asks_containers: bool = False


def summary(findings: Findings) -> Summary:
    """Return the counts as plain data. What is unproven counts as not tested."""
    tried = [verdict for verdict in findings.verdicts if verdict.verdict != UNPROVEN]
    count = Counter(verdict.verdict for verdict in tried)
    from_containers = sum(bool(verdict.container_of) for verdict in tried)
    return {
        "connections": len(tried),
        "sources": len({verdict.source_host for verdict in tried}),
        "targets": len({verdict.expectation.target for verdict in tried}),
        "right": count[RIGHT],
        "wrong": count[WRONG],
        "unknown": count[UNKNOWN],
        "not_tested": sum(skip.connections for skip in not_tested(findings)),
        "from_containers": from_containers if findings.asks_containers else None,
        "outsiders": list(findings.outsiders),
        "left_out": sorted(findings.left_out),
        "not_running_policy": sorted(host for host, comparison in findings.compared.items() if not comparison.is_equal),
    }


def not_tested(findings: Findings) -> list[Skipped]:
    """Return what was not tried, and what was and proves nothing, with the reasons."""
    unproven = Counter(
        (verdict.expectation.source, verdict.expectation.target, verdict.why)
        for verdict in findings.verdicts
        if verdict.verdict == UNPROVEN
    )
    return [
        *findings.skipped,
        *(Skipped(source, target, count, why) for (source, target, why), count in unproven.items()),
    ]


def report(findings: Findings, most_tables: int = _MOST_TABLES) -> list[str]:
    """Return the lines to show."""
    compared = {
        host: comparison
        for host, comparison in findings.compared.items()
        if host not in findings.unreadable or findings.unreadable[host] not in comparison.reason
    }
    lines = [
        *_tables(findings, most_tables),
        *not_tested_lines(not_tested(findings)),
        *compared_lines(compared),
        *unreadable_lines(findings.unreadable),
        *_shortened(cause_lines(findings.verdicts, findings.diagnoses)),
        *_advice(findings),
    ]
    return [*lines, "", *left_out_lines(findings.left_out), summary_line(summary(findings))]


def summary_line(counts: Summary) -> str:
    """Return the counts in words."""
    outsiders = some_of(counts["outsiders"]) or "NO HOST outside the managed groups"
    containers = "" if counts["from_containers"] is None else f" From containers: {counts['from_containers']}."
    return (
        f"{counts['connections']} connections from {counts['sources']} hosts to {counts['targets']}: {counts['right']} "
        f"right, {counts['wrong']} wrong, {counts['unknown']} unknown. From outside: {outsiders}.{containers}"
    )


# ---- the tables


def _tables(findings: Findings, most: int) -> list[str]:
    """Where there are many kinds of target, only those where something is not right have a table."""
    class_of = {host: name for name, hosts in findings.classes.items() for host in hosts}
    by_target: dict[str, list[Verdict]] = defaultdict(list)
    for verdict in findings.verdicts:
        by_target[class_of.get(verdict.expectation.target, verdict.expectation.target)].append(verdict)
    shown = {
        name: verdicts
        for name, verdicts in by_target.items()
        if len(by_target) <= most or any(verdict.verdict in (WRONG, UNKNOWN) for verdict in verdicts)
    }
    lines = [
        line
        for name, verdicts in sorted(shown.items())[:most]
        for line in (
            *table(_hosts_text(name, {verdict.expectation.target for verdict in verdicts}), verdicts, class_of),
            "",
        )
    ]
    if len(shown) > most:
        lines += [f"{len(shown) - most} more kinds of host are in the files of the report.", ""]
    if len(shown) < len(by_target):
        lines += [
            f"{len(by_target) - len(shown)} kinds of host without problems are only in the files of the report.",
            "",
        ]
    return lines


def _hosts_text(class_name: str, hosts: Collection[str]) -> str:
    return ", ".join(sorted(hosts)) if len(hosts) <= MOST_NAMES else f"{class_name} ({len(hosts)} hosts)"


def table(target: str, verdicts: Sequence[Verdict], class_of: Mapping[str, str]) -> list[str]:
    """Return a row for all ports alike that are open for someone or not right, and one for the rest.

    Hosts of one class share a column, and so do columns that are equal; a letter is explained above the table.
    """
    members = defaultdict(set)
    for verdict in verdicts:
        members[class_of.get(verdict.expectation.source, verdict.expectation.source)].add(verdict.expectation.source)
    sources = sorted(members)
    rows = _rows(verdicts, sources, class_of)
    columns: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for number in range(len(sources)):
        columns[tuple(row.cells[number] for row in rows)].append(number)
    shown = list(columns.values())
    letters = [_column_letter(number) for number in range(len(shown))]
    addresses = sorted({verdict.expectation.address for verdict in verdicts}, key=lambda text: (":" in text, text))
    lines = [f"{target}  {', '.join(addresses) if len(addresses) <= 2 * MOST_NAMES else ''}".rstrip()]
    for letter, numbers in zip(letters, shown):
        names = ", ".join(_hosts_text(sources[number], members[sources[number]]) for number in numbers)
        lines += textwrap.wrap(
            names, _WIDTH, initial_indent=f"  {letter:<3}", subsequent_indent="     ", break_on_hyphens=False
        )
    cells = [["port", "flow", *letters]]
    cells += [[row.ports, row.flows, *(row.cells[numbers[0]] for numbers in shown)] for row in rows]
    return lines + _aligned(cells)


def _column_letter(number: int) -> str:
    return (_column_letter(number // 26 - 1) if number >= 26 else "") + chr(ord("A") + number % 26)


def _rows(verdicts: Sequence[Verdict], sources: Sequence[str], class_of: Mapping[str, str]) -> list[Row]:
    by_port: dict[tuple[str, int], dict[str, list[Verdict]]] = defaultdict(lambda: defaultdict(list))
    for verdict in verdicts:
        source = class_of.get(verdict.expectation.source, verdict.expectation.source)
        by_port[verdict.expectation.protocol, verdict.expectation.port][source].append(verdict)
    alike: dict[tuple[str, str, tuple[str, ...]], list[int]] = defaultdict(list)
    others: dict[bool, list[tuple[str, ...]]] = defaultdict(list)
    for (protocol, port), verdicts_by_source in sorted(by_port.items()):
        cells = tuple(_cell(verdicts_by_source[source]) for source in sources)
        flow_names = {verdict.expectation.flow for group in verdicts_by_source.values() for verdict in group}
        flows = ", ".join(sorted(flow_names - {""}))
        if flows or set(cells) - {"–", "?", "not tested", _BLANK}:
            alike[protocol, flows, cells].append(port)
        else:
            others["not tested" in cells].append(cells)
    rows = [Row(_ports_text(ports, protocol), flows, cells) for (protocol, flows, cells), ports in alike.items()]
    return rows + [_row_of_others(cells) for is_left_out, cells in sorted(others.items())]


def _row_of_others(cells: Sequence[tuple[str, ...]]) -> Row:
    merged = tuple(next(text for text in ("?", "not tested", "–", _BLANK) if text in column) for column in zip(*cells))
    return Row(f"{len(cells)} other ports", "", merged)


def _cell(verdicts: Iterable[Verdict]) -> str:
    """Return the text for one port on all addresses: the worst of them."""
    texts = {_cell_text(verdict) for verdict in verdicts}
    return next((text for text in _CELL_TEXTS if text in texts), _BLANK)


def _cell_text(verdict: Verdict) -> str:
    is_open = verdict.expectation.expected == OPEN
    if verdict.verdict == RIGHT:
        return "open" if is_open else "–"
    if verdict.verdict in (UNKNOWN, UNPROVEN):
        return "?" if verdict.verdict == UNKNOWN else "not tested"
    return "!OPEN" if not is_open else "!REFUSED" if verdict.seen.outcome == REFUSED else "!BLOCKED"


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
    lines = [
        f"wrong: {host} does not run its policy; these differ: {listed(comparison.objects)}"
        for host, comparison in sorted(compared.items())
        if comparison.is_equal is False
    ]
    return lines + [
        f"unknown: whether {host} runs its policy: {comparison.reason}"
        for host, comparison in sorted(compared.items())
        if comparison.is_equal is None
    ]


def cause_lines(verdicts: Sequence[Verdict], diagnoses: Mapping[Expectation, Diagnosis]) -> list[str]:
    """Return one line for all connections that are wrong for one reason, then for those that are unknown for one."""
    return [cause.line() for kind in (WRONG, UNKNOWN) for cause in causes_of(verdicts, diagnoses, kind)]


def unreadable_lines(hosts: Mapping[str, str]) -> list[str]:
    """Return one line for each host of which some answer cannot be read."""
    return [f"unknown: what {host} reported cannot be read: {reason}" for host, reason in sorted(hosts.items())]


def left_out_lines(left_out: Mapping[str, str]) -> list[str]:
    """Return one line for all hosts that took no part for one reason."""
    by_reason: dict[str, list[str]] = defaultdict(list)
    for host, reason in sorted(left_out.items()):
        by_reason[reason].append(host)
    return [f"left out: {', '.join(hosts)}: {reason}" for reason, hosts in by_reason.items()]


def not_tested_lines(skipped: Sequence[Skipped]) -> list[str]:
    """Return one line for each reason, with the pair where there is one."""
    alike: dict[str, list[Skipped]] = defaultdict(list)
    for skip in skipped:
        alike[skip.reason].append(skip)
    return _shortened([_not_tested_line(reason, group) for reason, group in alike.items()])


def _not_tested_line(reason: str, skipped: Sequence[Skipped]) -> str:
    pairs = [f"{skip.source} -> {skip.target}" for skip in skipped if skip.source]
    where = f" {pairs[0]}{f' and {len(pairs) - 1} more' if pairs[1:] else ''}" if pairs else ""
    return f"not tested:{where} {sum(skip.connections for skip in skipped)}: {reason}"


def _advice(findings: Findings) -> list[str]:
    lines = advice_lines(findings.verdicts, findings.diagnoses)
    return _shortened(["", "What to do:", *(f"  {text}" for text in lines)]) if lines else []


def _shortened(lines: list[str]) -> list[str]:
    if len(lines) <= _MOST_LINES:
        return lines
    return [*lines[:_MOST_LINES], f"… and {len(lines) - _MOST_LINES} more, all in the file of the report"]


# ---- the end


def failure(findings: Findings, require_outsider: bool) -> str:
    """Return why the play must fail, or nothing."""
    counts = summary(findings)
    if not counts["connections"]:
        return (
            "No connection was tested: expected at least one managed host and another host in the play that "
            "verify_query selects. With --limit, name hosts on both sides."
        )
    if counts["wrong"] or counts["unknown"]:
        lines = cause_lines(findings.verdicts, findings.diagnoses)
        more = len(lines) - _MOST_CAUSES
        return " ".join(
            [
                f"Of {counts['connections']} connections, {counts['wrong']} are wrong and {counts['unknown']} are "
                f"unknown; see the report above{f' for {more} more causes' if more > 0 else ''}.",
                *lines[:_MOST_CAUSES],
            ]
        )
    if counts["not_running_policy"]:
        return (
            f"All {counts['connections']} connections are right, but these hosts do not run their policy, or it could "
            f"not be read: {', '.join(counts['not_running_policy'])}; see the report above."
        )
    if require_outsider and not counts["outsiders"]:
        return "No host outside the managed groups took part, and verify_require_outsider is true: add one to the play."
    return ""


def warnings_of(counts: Summary) -> list[str]:
    """Return what a good result leaves unproven."""
    if counts["outsiders"]:
        return []
    return [
        "No host outside the managed groups took part, so the tests do not show that the firewall blocks other hosts. "
        "Add a host to the inventory that is in no group of the collection."
    ]
