# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare each expectation with the result of its probe. Unknown is never right (docs/ARCHITECTURE.md, section 5)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from ansible_collections.hpc.ports.plugins.plugin_utils._expectations.expected import OPEN, Expectation
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import listed
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.evidence import (
    ERROR,
    LISTENER,
    MISSING,
    NOBODY,
    REFUSED,
    SERVICE,
    Results,
    Seen,
)

RIGHT, WRONG, UNKNOWN, UNPROVEN = "right", "wrong", "unknown", "unproven"
ANSWERED_BY = "The answer came from "
UNREAD = "What {0} said cannot be read."
ANSWERED_BUT_NOT_BY = "The answer did not come from "
DEAD_END = "A container proxy accepts the connection but cannot reach the container: "
_NOBODY_LISTENS = "The packet was accepted, and then refused because nothing listens on the port."
_PATH_UNKNOWN = "the path to the target is unknown."


class Verdict(NamedTuple):
    """An expectation, what was seen, who listened there until the end, and what that means.

    Some silence without listeners is `unproven`: nothing speaks against it, and nothing proves it. So is an address to
    which the source has no route, where it has one to another address of the target in the same family.
    `container_of` is the host whose container the source is; empty if the source is a host.
    """

    expectation: Expectation
    seen: Seen
    held_by: str
    verdict: str
    why: str
    container_of: str = ""

    @property
    def source_host(self) -> str:
        """Return the host that the connection leaves: the source, or the host of the container."""
        return self.container_of or self.expectation.source

    @property
    def denying_host(self) -> str:
        """Return the host whose policy denies the connection."""
        return self.source_host if self.expectation.denied_by == "source" else self.expectation.target


class _Case(NamedTuple):
    expectation: Expectation
    seen: Seen
    held_by: str
    why_nobody: str
    answered_by: str  # the host whose nonce it was
    answers: bool  # whether the service there has answered anybody
    passive: bool
    dead_end: str  # what the proxy there does not reach
    is_broad: bool  # users may listen there, and need not
    is_routed: bool  # the source has a route to some address of the target, of this family
    counters: Mapping[str, int | None]

    def counted(self, name: str) -> bool | None:
        """Whether packets came that far; None where nobody counted."""
        count = self.counters[name]
        return None if count is None else count > 0


def verdicts_of(expectations: Iterable[Expectation], results: Results, broad: Collection[str] = ()) -> list[Verdict]:
    """Return a verdict for each expectation, in order. `broad` are the flows whose ports nobody need listen on."""
    probed = [(expectation, results.seen(expectation)) for expectation in expectations]
    answering = {
        (expectation.address, expectation.protocol, expectation.port)
        for expectation, seen in probed
        if seen.outcome == OPEN
    }
    routed = {_hosts_and_family(expectation) for expectation, seen in probed if seen.source}
    return [
        _verdict(
            _Case(
                expectation,
                seen,
                *results.holder(expectation),
                results.host_of(seen.nonce),
                (expectation.address, expectation.protocol, expectation.port) in answering,
                results.passive,
                results.dead_end(expectation),
                expectation.flow in broad,
                _hosts_and_family(expectation) in routed,
                results.counters(expectation),
            )
        )
        for expectation, seen in probed
    ]


def _hosts_and_family(expectation: Expectation) -> tuple[str, str, bool]:
    return expectation.source, expectation.target, ":" in expectation.address


def _verdict(case: _Case) -> Verdict:
    verdict, why = _verdict_of_wrong_name(case) or _verdict_by_outcome(case)
    return Verdict(case.expectation, case.seen, case.held_by, verdict, why)


def _verdict_of_wrong_name(case: _Case) -> tuple[str, str] | None:
    if not case.seen.elsewhere:
        return None
    name, addresses = next(iter(case.seen.elsewhere.items()))
    return (
        WRONG,
        f"{case.expectation.source} resolves {name} to {listed(addresses)}, not to {case.expectation.address}.",
    )


def _verdict_by_outcome(case: _Case) -> tuple[str, str]:
    if case.seen.outcome == MISSING:
        return (
            UNKNOWN,
            f"{case.expectation.source} reported no results: Ansible did not reach it, or its module failed.",
        )
    if case.seen.outcome == ERROR and case.is_routed and not case.seen.source:
        return UNPROVEN, (
            f"{case.expectation.source} has no route to {case.expectation.address}, but it reaches other addresses of "
            f"{case.expectation.target}."
        )
    if case.seen.outcome == ERROR:
        return UNKNOWN, f"The probe failed: {case.seen.detail}"
    if case.seen.outcome == OPEN:
        return _verdict_of_answer(case)
    if case.seen.outcome == REFUSED:
        return _verdict_of_refusal(case)
    return _verdict_of_blocked_flow(case) if case.expectation.expected == OPEN else _verdict_of_closed_port(case)


def _verdict_of_answer(case: _Case) -> tuple[str, str]:
    """Judge an answer. It proves the listener by its nonce, or because the target counted its answer."""
    if case.answered_by not in ("", case.expectation.target):
        return WRONG, f"{ANSWERED_BY}{case.answered_by}."
    if case.expectation.expected != OPEN:
        return WRONG, "The probe got an answer."
    if case.held_by == LISTENER and not case.answered_by and not case.counted("answered"):
        return WRONG, f"{ANSWERED_BUT_NOT_BY}the listener on {case.expectation.target}."
    if case.held_by == SERVICE and not case.answered_by and case.dead_end:
        return WRONG, f"{DEAD_END}{case.dead_end}."
    if case.held_by == NOBODY and not case.answered_by and not case.passive:
        return UNKNOWN, f"The probe got an answer, but {case.why_nobody}."
    return RIGHT, ""


def _verdict_of_refusal(case: _Case) -> tuple[str, str]:
    """Judge a refusal. It comes from the host itself, or from a firewall that rejects as a host does."""
    if case.expectation.expected != OPEN and case.counted("arrived") and not case.counted("passed"):
        return RIGHT, ""
    if case.held_by != NOBODY:
        return WRONG, (
            f"The connection was refused although a {case.held_by} has the port: something other than the rules of "
            "hpc.ports rejects it."
        )
    if case.expectation.expected != OPEN:
        return WRONG, _NOBODY_LISTENS
    if case.passive:
        return (RIGHT, "") if case.is_broad else (WRONG, _NOBODY_LISTENS)
    return UNKNOWN, f"The connection was refused, and {case.why_nobody}."


def _verdict_of_blocked_flow(case: _Case) -> tuple[str, str]:
    if case.seen.rejected:
        return WRONG, case.seen.detail
    if not case.seen.reachable:
        return UNKNOWN, f"No answer, and no answer to an echo either: {case.seen.path or _PATH_UNKNOWN}"
    if case.expectation.protocol == "udp" and case.held_by != LISTENER:
        return _verdict_of_silent_udp(case)
    return WRONG, "No answer, although the host answers echoes."


def _verdict_of_silent_udp(case: _Case) -> tuple[str, str]:
    """Judge a silent UDP port. A service need not answer, but the target can count accepted packets."""
    if case.held_by == SERVICE and case.counted("passed"):
        return RIGHT, ""
    if case.counted("passed") is False:
        return WRONG, "No answer, and the rules did not accept the packet."
    return UNPROVEN if case.passive else UNKNOWN, (
        "No answer, but the service on the port need not answer a probe."
        if case.held_by == SERVICE
        else f"No answer, and {case.why_nobody}."
    )


def _verdict_of_closed_port(case: _Case) -> tuple[str, str]:
    """Silence is believed where the path is proven and somebody would have answered; of TCP the host itself would.

    What the target counts is better: a packet that came and did not pass, or one that passed though nobody answered.
    """
    if case.counted("passed"):
        return WRONG, "The packet was accepted, although nothing answered in time."
    if case.counted("arrived"):
        return RIGHT, ""
    if not case.seen.reachable:
        return (
            UNKNOWN,
            f"The missing answer proves nothing without a path to the target: {case.seen.path or _PATH_UNKNOWN}",
        )
    if case.held_by == NOBODY and not (case.passive and case.expectation.protocol == "tcp"):
        return UNPROVEN if case.passive else UNKNOWN, f"The missing answer proves nothing: {case.why_nobody}."
    if case.expectation.protocol == "udp" and case.held_by == SERVICE and not (case.answers or case.seen.rejected):
        return UNPROVEN if case.passive else UNKNOWN, (
            "The service on the port answered no probe at all, so the missing answer proves nothing."
        )
    return RIGHT, ""
