# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What explain shows: the answer first, then what the plan, the rules and the probe say, and what to do."""

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
_COUNTED = {
    "left": "left",
    "arrived": "arrived",
    "passed": "passed the rules",
    "answered": "answers left",
    "returned": "answers returned",
}


def answer_line(found: Answer) -> str:
    """Return the answer in one line, for each address where it is not the same for all."""
    if not found.ways:
        return f"{_WORDS[found.code]}: {found.reasons.sentences[0]}"
    texts = {way.code: way for way in reversed(found.ways)}
    if len(texts) == 1:
        return f"{_WORDS[found.code]}: {found.ways[0].text}{_but(found)}"
    ordered = sorted(found.ways, key=lambda way: way.code != found.code)
    return " ".join(f"{_WORDS[way.code]}, to {way.address}: {way.text}" for way in ordered)


def _but(found: Answer) -> str:
    """What else the one has to know who reads no further."""
    if found.code in (SHOULD, SHOULD_NOT, UNKNOWN):
        return f" What the rules of {' and '.join(found.silent) or 'both'} let through is not known."
    is_nobody = found.code == YES and all(way.listening == () for way in found.ways)
    return " But nobody listens there now." if is_nobody else ""


def lines(found: Answer, notes: Sequence[str], probe: str) -> list[str]:
    """Return the lines to show; `notes` are said first of all, `probe` says why there was none."""
    sections = {
        "Plan": list(_plan(found)),
        "Rulesets": list(_rules(found)),
        "Probe": list(_probe(found, probe)),
        "What to do" if found.code in (BROKEN, EXPOSED) else "To change it": found.advice,
    }
    shown = [answer_line(found), *_addresses(found), *notes]
    for title, texts in sections.items():
        shown += ["", f"{title}:", *(f"  {text}" for text in texts)] if texts else []
    return shown


def _addresses(found: Answer) -> Iterator[str]:
    """Of which addresses the answer speaks: a host may have others, which the plan does not know."""
    pairs = found.reasons.pairs
    if pairs:
        sources = ", ".join(dict.fromkeys(pair.source_address for pair in pairs))
        targets = ", ".join(dict.fromkeys(pair.target_address for pair in pairs))
        yield (
            f"It speaks of addresses that the plan knows: {sources} of {found.reasons.source}; {targets} of "
            f"{found.reasons.target}."
        )


def _plan(found: Answer) -> Iterator[str]:
    yield from found.reasons.sentences
    if found.why_not:
        yield f"The hosts were not asked: {found.why_not}"


def _rules(found: Answer) -> Iterator[str]:
    for host, why in found.silent.items():
        yield f"Not known of {host}: {why}"
    for way in found.ways:
        if way.sides:
            yield f"{' or '.join(way.sources)} to {way.address}:"
        yield from (f"  {side.host} {side.what}: {side.text}" for side in way.sides)
    listening = {way.listening for way in found.ways} - {None}
    if listening:
        where = sorted({address for addresses in listening for address in addresses or ()})
        target, port = found.reasons.target, found.reasons.port
        unit = found.ways[0].unit if found.ways[0].intended else ""
        yield (
            f"Somebody listens for {port} on {target}: {listed(where)}"
            if where
            else (f"Nobody listens for {port} on {target} now{f'; {unit} should' if unit else ''}.")
        )


def _probe(found: Answer, probe: str) -> Iterator[str]:
    cells = [way.cell for way in found.ways if way.cell]
    for cell in cells:
        yield from _cell_lines(cell)
    if not cells:
        yield probe


def _cell_lines(cell: Mapping[str, Any]) -> Iterator[str]:
    seconds = f" after {cell['seconds']:.4f} s" if cell["seconds"] is not None else ""
    holder = {LISTENER: ", by the listener of the probe", SERVICE: ", where a service listens"}.get(cell["held_by"], "")
    yield f"{cell['address']}: {cell['outcome']}{seconds}{holder if cell['outcome'] == 'open' else ''}"
    if cell["detail"]:
        yield f"  {cell['detail']}"
    if cell["counters"]:
        counted = ", ".join(
            f"{'?' if count is None else count} {_COUNTED[name]}" for name, count in cell["counters"].items()
        )
        yield f"  Packets: {counted}"
    if cell["diagnosis"]:
        yield f"  [{cell['diagnosis']['code']}] {cell['diagnosis']['text']}"
    elif cell["verdict"] != RIGHT:
        yield f"  It proves nothing: {cell['why']}"
