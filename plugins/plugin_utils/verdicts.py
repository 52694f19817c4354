# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verdicts: what was expected and what came of it, side by side. Unknown is never right (DESIGN section 5)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ansible_collections.hpc.ports.plugins.plugin_utils.expectations import FILTERED, OPEN, Expectation, port_text

RIGHT, WRONG, UNKNOWN = "right", "wrong", "unknown"
REFUSED, ERROR, MISSING = "refused", "error", "missing"
LISTENER, SERVICE, NOBODY = "listener", "service", "nobody"
_OUTCOMES = (OPEN, REFUSED, FILTERED, ERROR)
_ANY = {4: "0.0.0.0", 6: "::"}


class Seen(NamedTuple):
    """What came of one probe, or that nothing is known of it; `rejected` when somebody said that it is not allowed."""

    outcome: str
    detail: str = ""
    rejected: bool = False
    reachable: bool | None = None
    path: str = ""


class Verdict(NamedTuple):
    """An expectation, what was seen, what listened there until the end, and what that means."""

    expectation: Expectation
    seen: Seen
    held_by: str
    verdict: str
    why: str

    def as_data(self) -> dict[str, Any]:
        """Return plain data, flat."""
        return {"verdict": self.verdict, **self.expectation._asdict(), "outcome": self.seen.outcome,
                "detail": self.seen.detail, "reachable": self.seen.reachable, "held_by": self.held_by, "why": self.why}


@dataclass(frozen=True)
class Results:
    """What hosts reported, by host: of the module `probe` its `results`, of `listen` what it said when stopped.

    A host that is missing, or says nothing of the kind, was not reached, for example, or its module failed.
    """

    probed: Mapping[str, list[Mapping[str, Any]]] = field(default_factory=dict)
    stopped: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def verdicts_of(expectations: Iterable[Expectation], results: Results) -> list[Verdict]:
    """Return a verdict for each expectation, in order."""
    seen = {source: _seen_by(found) for source, found in results.probed.items()}
    held = {target: _held_on(said) for target, said in results.stopped.items()}
    nothing = Seen(MISSING)
    items = [(item, seen.get(item.source, {}).get((item.address, port_text(item)), nothing)) for item in expectations]
    answering = {(item.address, item.protocol, item.port) for item, what in items if what.outcome == OPEN}
    return [_verdict(item, what, _holder(held.get(item.target), item),
                     (item.address, item.protocol, item.port) in answering) for item, what in items]


def _seen_by(found: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], Seen]:
    return {(result["address"], port): Seen(
        outcome, result["details"].get(port, ""), port in result["rejected"], result["reachable"],
        result["details"].get("path", "")) for result in found for outcome in _OUTCOMES for port in result[outcome]}


# By the address bound and the port: who had it until the end, or why nobody had it; None where the listener died.
_Held = dict[tuple[str, str], tuple[str, str]]


def _held_on(said: Mapping[str, Any]) -> _Held | None:
    if not said.get("alive"):
        return None
    nobody = {(address, port): (NOBODY, f"no listener could be put there ({reason})")
              for address, reasons in said["failed"].items() for port, reason in reasons.items()}
    ours = {(address, port): (LISTENER, "") for address, ports in said["listening"].items() for port in ports}
    services = {(address, port): (SERVICE, "") for address, ports in said["in_use"].items() for port in ports}
    return {**nobody, **ours, **services}


def _holder(held: _Held | None, item: Expectation) -> tuple[str, str]:
    """Who held the port of the address until the end, or nobody with the reason."""
    if held is None:
        return NOBODY, f"the listener on {item.target} was not there until the end"
    wildcard = _ANY[6 if ":" in item.address else 4]
    return held.get((item.address, port_text(item))) or held.get((wildcard, port_text(item))) or (
        NOBODY, f"the service on {item.target} was not there until the end")


# ---- the rules

def _verdict(item: Expectation, seen: Seen, holder: tuple[str, str], answers: bool) -> Verdict:
    held_by, why_nobody = holder
    if seen.outcome == MISSING:
        verdict, why = UNKNOWN, f"{item.source} reported nothing: it was not reached, or its module failed."
    elif seen.outcome == ERROR:
        verdict, why = UNKNOWN, f"The probe failed: {seen.detail}"
    elif seen.outcome == OPEN:
        verdict, why = (RIGHT, "") if item.expected == OPEN else (WRONG, "It was answered.")
    elif seen.outcome == REFUSED:
        verdict, why = _refused(item, held_by, why_nobody)
    elif item.expected == OPEN:
        verdict, why = _blocked(item, seen, held_by, why_nobody)
    else:
        verdict, why = _kept_out(item, seen, held_by, why_nobody, answers)
    return Verdict(item, seen, held_by, verdict, why)


def _refused(item: Expectation, held_by: str, why_nobody: str) -> tuple[str, str]:
    """A refusal comes from a host that was reached, or from a firewall that rejects as a host does."""
    if held_by == NOBODY and item.expected == OPEN:
        return UNKNOWN, f"It was refused, and {why_nobody}."
    if held_by == NOBODY:
        return WRONG, "It was let in, and refused because nobody listened."
    return WRONG, f"It was refused, though a {held_by} was there: something else rejects, not our rules."


def _blocked(item: Expectation, seen: Seen, held_by: str, why_nobody: str) -> tuple[str, str]:
    if seen.rejected:
        return WRONG, seen.detail
    if not seen.reachable:
        return UNKNOWN, f"No answer, and none to an echo either: {seen.path or 'the path is unknown.'}"
    if item.protocol == "udp" and held_by != LISTENER:
        return UNKNOWN, ("No answer, but the service there may keep silent." if held_by == SERVICE
                         else f"No answer, and {why_nobody}.")
    return WRONG, "No answer, though the host answers echoes."


def _kept_out(item: Expectation, seen: Seen, held_by: str, why_nobody: str, answers: bool) -> tuple[str, str]:
    """Silence is believed where the path is proven and somebody would have answered."""
    if not seen.reachable:
        return UNKNOWN, f"Silence proves nothing without a path: {seen.path or 'the path is unknown.'}"
    if held_by == NOBODY:
        return UNKNOWN, f"Silence proves nothing: {why_nobody}."
    if item.protocol == "udp" and held_by == SERVICE and not (answers or seen.rejected):
        return UNKNOWN, "The service there answered nobody, so its silence proves nothing."
    return RIGHT, ""
