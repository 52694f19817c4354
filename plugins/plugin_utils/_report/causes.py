# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Causes: connections that are not right for one reason are one sentence, and so is what to do about them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from ansible_collections.hpc.ports.plugins.plugin_utils._expectations.expected import Expectation, port_text
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.diagnosis import Diagnosis
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.verdicts import UNKNOWN, WRONG, Verdict

MOST_NAMES = 3
Diagnoses = Mapping[Expectation, Diagnosis]
# A name, an address or a port of a sentence, without the full stop or colon behind it.
_WORD = re.compile(r"[\w-]+(?:[.:/]+[\w-]+)*|::[\w:./]+")
_SOURCE, _TARGET = "<source>", "<target>"


class Cause(NamedTuple):
    """Connections from each of the sources to each of the targets that have one reason; the first one's tells it."""

    sources: Sequence[str]
    targets: Sequence[str]
    verdicts: Sequence[Verdict]
    diagnosis: Diagnosis | None

    def line(self) -> str:
        """Return all of it as one sentence."""
        first = self.verdicts[0]
        what = f"{some_of(self.sources)} -> {some_of(self.targets)} {self._which()}"
        if first.verdict == UNKNOWN:
            return f"unknown: {what}: {first.why}"
        said = f"[{self.diagnosis.code}] {self.diagnosis.text}" if self.diagnosis else first.why
        return (
            f"wrong: {what}: expected {first.expectation.expected} ({self._flows()}), was {first.seen.outcome}. {said}"
        )

    def _which(self) -> str:
        """Return the ports; of two hosts with the address."""
        items = [item.expectation for item in self.verdicts]
        if len(self.sources) == len(self.targets) == 1:
            return _some([f"{item.address} {port_text(item)}" for item in items])
        ports = list(dict.fromkeys(map(port_text, items)))
        return f"{_some(ports)} ({len(items)} connections)"

    def _flows(self) -> str:
        flows = sorted({item.expectation.flow for item in self.verdicts} - {""})
        if not flows:
            return "no flow allows it"
        return f"flow {flows[0]} allows it" if len(flows) == 1 else f"flows {some_of(flows)} allow it"


def causes_of(verdicts: Iterable[Verdict], diagnoses: Diagnoses, kind: str) -> list[Cause]:
    """Return the causes of what is wrong, or else unknown (`kind`), in the order of the first connection of each."""
    alike: dict[tuple[str, ...], list[Verdict]] = defaultdict(list)
    for item in verdicts:
        if item.verdict == kind:
            alike[_reason(item, diagnoses.get(item.expectation))].append(item)
    return [
        Cause(*found, diagnoses.get(found[2][0].expectation) if kind == WRONG else None)
        for items in alike.values()
        for found in _blocks(items)
    ]


def _reason(item: Verdict, found: Diagnosis | None) -> tuple[str, ...]:
    if item.verdict == UNKNOWN:
        return (_neutral(item.why, item),)
    return (
        item.expectation.expected,
        item.seen.outcome,
        _neutral(f"{found.code} {found.text}" if found else item.why, item),
    )


def _neutral(text: str, item: Verdict) -> str:
    """Return a sentence without what is particular to one connection."""
    what = item.expectation
    marks = {
        what.flow: "<flow>",
        port_text(what): "<port>",
        item.seen.peer: "<peer>",
        what.address: "<address>",
        what.target: _TARGET,
        what.source: _SOURCE,
    }
    return _WORD.sub(lambda match: marks.get(match[0], match[0]), text)


def _blocks(items: Sequence[Verdict]) -> Iterator[tuple[list[str], list[str], list[Verdict]]]:
    """Yield targets that have the same sources together, with these."""
    sources: dict[str, set[str]] = defaultdict(set)
    for item in items:
        sources[item.expectation.target].add(item.expectation.source)
    targets: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for target, found in sources.items():
        targets[tuple(sorted(found))].append(target)
    for block, names_of_targets in targets.items():
        known = set(names_of_targets)
        yield list(block), sorted(known), [item for item in items if item.expectation.target in known]


def advice_lines(verdicts: Iterable[Verdict], diagnoses: Diagnoses) -> list[str]:
    """Return what to do, once for all hosts where it is the same."""
    alike: dict[str, list[Verdict]] = defaultdict(list)
    for item in verdicts:
        found = diagnoses.get(item.expectation)
        if found:
            alike[_neutral(f"{found.code}: {found.advice}", item)].append(item)
    return [_told(text, items) for text, items in alike.items()]


def _told(text: str, items: Sequence[Verdict]) -> str:
    """Return advice with the names of all hosts that it is for; of what else differs, the first one's."""
    first = items[0].expectation
    marks = {
        "<flow>": first.flow,
        "<port>": port_text(first),
        "<peer>": items[0].seen.peer,
        "<address>": first.address,
        _SOURCE: some_of(sorted({item.expectation.source for item in items})),
        _TARGET: some_of(sorted({item.expectation.target for item in items})),
    }
    return re.sub("|".join(marks), lambda match: marks[match[0]], text)


def some_of(names: Sequence[str]) -> str:
    """Return the first of these names, and how many more there are."""
    more = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def _some(which: Sequence[str]) -> str:
    return which[0] if len(which) == 1 else f"{which[0]} and {len(which) - 1} more"
