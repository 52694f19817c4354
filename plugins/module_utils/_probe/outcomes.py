# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The outcomes of probes, and the errno values and ICMP errors that lead to each."""

from __future__ import annotations

import errno
import os
from typing import Final, Literal, NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._model.ports import PortRange
from ansible_collections.hpc.ports.plugins.module_utils._probe.icmp import (
    Notice,
)

OutcomeName = Literal["open", "refused", "filtered", "error"]
OPEN: Final = "open"
REFUSED: Final = "refused"
FILTERED: Final = "filtered"
ERROR: Final = "error"


class Probe(NamedTuple):
    """One connection attempt: an address in its normal form, and one port of tcp or udp."""

    address: str
    port: PortRange


class ProbeOutcome(NamedTuple):
    """What came of a probe; `rejected` when filtered is more than silence: somebody said that it is not allowed."""

    outcome: OutcomeName
    detail: str = ""
    rejected: bool = False
    nonce: str = ""
    seconds: float = 0.0
    attempts: int = 1


SILENCE = ProbeOutcome(FILTERED)


def outcome_of_error(probe: Probe, number: int, notice: Notice | None, at_once: bool = False) -> ProbeOutcome:
    """Return what an errno means (0: none), with the ICMP error behind it where the kernel tells.

    `at_once` when it came before anything was sent: then no router has said it.
    """
    # A reset after the handshake was done: somebody listens.
    if number in (0, errno.ECONNRESET, errno.EPIPE):
        return ProbeOutcome(OPEN)
    if number == errno.ETIMEDOUT:
        return SILENCE
    if notice and _is_reject(probe, notice):
        return ProbeOutcome(
            FILTERED, f"Rejected by {notice.sender} (ICMP type {notice.type}, code {notice.code}).", True
        )
    if number == errno.ECONNREFUSED:
        return ProbeOutcome(REFUSED)
    if number in (errno.EPERM, errno.EACCES):
        return ProbeOutcome(FILTERED, f"Not let out by this host itself: {os.strerror(number)}.", True)
    if number == errno.EHOSTUNREACH and not notice and not at_once:
        return ProbeOutcome(FILTERED, f"{os.strerror(number)}, and the kernel does not tell who says so.")
    said_by = f", says {notice.sender}" if notice else ""
    return ProbeOutcome(ERROR, f"{os.strerror(number)}{said_by}.")


def _is_reject(probe: Probe, notice: Notice) -> bool:
    """A host says `port unreachable` of UDP when nobody listens; of TCP only a firewall says it."""
    if notice.is_port_unreachable:
        return probe.port.protocol == "tcp" or notice.sender != probe.address
    return notice.is_prohibition
