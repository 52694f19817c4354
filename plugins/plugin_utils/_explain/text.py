# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Print the answer of explain: first the answer, then the plan, the rulesets, the probe, and what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.hpc.ports.plugins.plugin_utils._explain.answer import Answer
from ansible_collections.hpc.ports.plugins.plugin_utils._explain.codes import (
    BROKEN,
    EXPOSED,
    NO,
    SHOULD,
    SHOULD_NOT,
    UNKNOWN,
    YES,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import listed
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.evidence import LISTENER, SERVICE
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.verdicts import RIGHT

_WORDS = {
    YES: "Yes",
    NO: "No",
    BROKEN: "It should, but does not",
    EXPOSED: "It should not, but does",
    SHOULD: "It should",
    SHOULD_NOT: "It should not",
    UNKNOWN: "Not known",
}
_COUNTER_TEXTS = {
    "left": "left",
    "arrived": "arrived",
    "passed": "passed the rules",
    "answered": "answers left",
    "returned": "answers returned",
}


def answer_line(answer: Answer) -> str:
    """Return the answer in one line, with one sentence for each address if the answers differ."""
    if not answer.ways:
        return f"{_WORDS[answer.code]}: {answer.reasons.sentences[0]}"
    way_by_code = {way.code: way for way in reversed(answer.ways)}
    if len(way_by_code) == 1:
        return f"{_WORDS[answer.code]}: {answer.ways[0].text}{_caveat(answer)}"
    ordered = sorted(answer.ways, key=lambda way: way.code != answer.code)
    return " ".join(f"{_WORDS[way.code]}, to {way.address}: {way.text}" for way in ordered)


def _caveat(answer: Answer) -> str:
    """Return a caveat that belongs to the first line, or an empty text."""
    if answer.code in (SHOULD, SHOULD_NOT, UNKNOWN):
        return f" The rules of {' and '.join(answer.silent) or 'both hosts'} are unknown."
    is_nobody = answer.code == YES and all(way.listening == () for way in answer.ways)
    return " But nothing listens on the port now." if is_nobody else ""


def lines(answer: Answer, notes: Sequence[str], probe: str) -> list[str]:
    """Return the lines to print; `notes` come right after the answer, `probe` says why there was no probe."""
    sections = {
        "Plan": list(_plan(answer)),
        "Rulesets": list(_rules(answer)),
        "Probe": list(_probe(answer, probe)),
        "What to do" if answer.code in (BROKEN, EXPOSED) else "To change it": answer.advice,
    }
    result = [answer_line(answer), *_addresses(answer), *notes]
    for title, texts in sections.items():
        result += ["", f"{title}:", *(f"  {text}" for text in texts)] if texts else []
    return result


def _addresses(answer: Answer) -> Iterator[str]:
    """Yield the addresses that the answer covers: a host may have others, which are not in the plan."""
    pairs = answer.reasons.pairs
    if pairs:
        sources = ", ".join(dict.fromkeys(pair.source_address for pair in pairs))
        targets = ", ".join(dict.fromkeys(pair.target_address for pair in pairs))
        yield (
            f"The answer covers the addresses in the plan: {sources} of {answer.reasons.source}; {targets} of "
            f"{answer.reasons.target}."
        )


def _plan(answer: Answer) -> Iterator[str]:
    yield from answer.reasons.sentences
    if answer.why_not:
        yield f"The hosts were not asked: {answer.why_not}"


def _rules(answer: Answer) -> Iterator[str]:
    for host, why in answer.silent.items():
        yield f"The rules of {host} are unknown: {why}"
    for way in answer.ways:
        if way.sides:
            yield f"{' or '.join(way.sources)} to {way.address}:"
        yield from (f"  {side.host} {side.what}: {side.text}" for side in way.sides)
    listening = {way.listening for way in answer.ways} - {None}
    if listening:
        bound_addresses = sorted({address for addresses in listening for address in addresses or ()})
        target, port = answer.reasons.target, answer.reasons.port
        unit = answer.ways[0].unit if answer.ways[0].intended else ""
        yield (
            f"Something listens on {port} of {target}: {listed(bound_addresses)}"
            if bound_addresses
            else (f"Nothing listens on {port} of {target} now{f'; {unit} should' if unit else ''}.")
        )


def _probe(answer: Answer, probe: str) -> Iterator[str]:
    cells = [way.cell for way in answer.ways if way.cell]
    for cell in cells:
        yield from _cell_lines(cell)
    if not cells:
        yield probe


def _cell_lines(cell: Mapping[str, Any]) -> Iterator[str]:
    seconds = f" after {cell['seconds']:.4f} s" if cell["seconds"] is not None else ""
    holder = {LISTENER: ", answered by the listener of the probe", SERVICE: ", answered by a service"}.get(
        cell["held_by"], ""
    )
    yield f"{cell['address']}: {cell['outcome']}{seconds}{holder if cell['outcome'] == 'open' else ''}"
    if cell["detail"]:
        yield f"  {cell['detail']}"
    if cell["counters"]:
        packets = ", ".join(
            f"{'?' if count is None else count} {_COUNTER_TEXTS[name]}" for name, count in cell["counters"].items()
        )
        yield f"  Packets: {packets}"
    if cell["diagnosis"]:
        yield f"  [{cell['diagnosis']['code']}] {cell['diagnosis']['text']}"
    elif cell["verdict"] != RIGHT:
        yield f"  The probe proves nothing: {cell['why']}"
