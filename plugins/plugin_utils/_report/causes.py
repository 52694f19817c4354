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
        connections = f"{some_of(self.sources)} -> {some_of(self.targets)} {self._ports()}"
        if first.verdict == UNKNOWN:
            return f"unknown: {connections}: {first.why}"
        reason = f"[{self.diagnosis.code}] {self.diagnosis.text}" if self.diagnosis else first.why
        return (
            f"wrong: {connections}: expected {first.expectation.expected} ({self._flows()}), was {first.seen.outcome}. "
            f"{reason}"
        )

    def _ports(self) -> str:
        """Return the ports; of two hosts with the address."""
        expectations = [verdict.expectation for verdict in self.verdicts]
        if len(self.sources) == len(self.targets) == 1:
            return _first_of([f"{expectation.address} {port_text(expectation)}" for expectation in expectations])
        ports = list(dict.fromkeys(map(port_text, expectations)))
        return f"{_first_of(ports)} ({len(expectations)} connections)"

    def _flows(self) -> str:
        flows = sorted({verdict.expectation.flow for verdict in self.verdicts} - {""})
        if not flows:
            return "no flow allows it"
        return f"flow {flows[0]} allows it" if len(flows) == 1 else f"flows {some_of(flows)} allow it"


def causes_of(verdicts: Iterable[Verdict], diagnoses: Diagnoses, kind: str) -> list[Cause]:
    """Return the causes of what is wrong, or else unknown (`kind`), in the order of the first connection of each."""
    alike: dict[tuple[str, ...], list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        if verdict.verdict == kind:
            alike[_reason(verdict, diagnoses.get(verdict.expectation))].append(verdict)
    return [
        Cause(*block, diagnoses.get(block[2][0].expectation) if kind == WRONG else None)
        for verdicts_alike in alike.values()
        for block in _blocks(verdicts_alike)
    ]


def _reason(verdict: Verdict, diagnosis: Diagnosis | None) -> tuple[str, ...]:
    if verdict.verdict == UNKNOWN:
        return (_neutral(verdict.why, verdict),)
    return (
        verdict.expectation.expected,
        verdict.seen.outcome,
        _neutral(f"{diagnosis.code} {diagnosis.text}" if diagnosis else verdict.why, verdict),
    )


def _neutral(text: str, verdict: Verdict) -> str:
    """Return a sentence without what is particular to one connection."""
    expectation = verdict.expectation
    marks = {
        expectation.flow: "<flow>",
        port_text(expectation): "<port>",
        verdict.seen.peer: "<peer>",
        expectation.address: "<address>",
        expectation.target: _TARGET,
        expectation.source: _SOURCE,
    }
    return _WORD.sub(lambda match: marks.get(match[0], match[0]), text)


def _blocks(verdicts: Sequence[Verdict]) -> Iterator[tuple[list[str], list[str], list[Verdict]]]:
    """Yield targets that have the same sources together, with these."""
    sources: dict[str, set[str]] = defaultdict(set)
    for verdict in verdicts:
        sources[verdict.expectation.target].add(verdict.expectation.source)
    targets: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for target, sources_of_target in sources.items():
        targets[tuple(sorted(sources_of_target))].append(target)
    for block_sources, target_names in targets.items():
        block_targets = set(target_names)
        block = [verdict for verdict in verdicts if verdict.expectation.target in block_targets]
        yield list(block_sources), sorted(block_targets), block


def advice_lines(verdicts: Iterable[Verdict], diagnoses: Diagnoses) -> list[str]:
    """Return what to do, once for all hosts where it is the same."""
    alike: dict[str, list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        diagnosis = diagnoses.get(verdict.expectation)
        if diagnosis:
            alike[_neutral(f"{diagnosis.code}: {diagnosis.advice}", verdict)].append(verdict)
    return [_advice_text(text, verdicts_alike) for text, verdicts_alike in alike.items()]


def _advice_text(text: str, verdicts: Sequence[Verdict]) -> str:
    """Return advice with the names of all hosts that it is for; of what else differs, the first one's."""
    first = verdicts[0].expectation
    marks = {
        "<flow>": first.flow,
        "<port>": port_text(first),
        "<peer>": verdicts[0].seen.peer,
        "<address>": first.address,
        _SOURCE: some_of(sorted({verdict.expectation.source for verdict in verdicts})),
        _TARGET: some_of(sorted({verdict.expectation.target for verdict in verdicts})),
    }
    return re.sub("|".join(marks), lambda match: marks[match[0]], text)


def some_of(names: Sequence[str]) -> str:
    """Return the first of these names, and how many more there are."""
    more = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def _first_of(texts: Sequence[str]) -> str:
    return texts[0] if len(texts) == 1 else f"{texts[0]} and {len(texts) - 1} more"
