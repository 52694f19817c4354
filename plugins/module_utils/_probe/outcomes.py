# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The outcomes of probes, and the errno values and ICMP errors that lead to each."""

from __future__ import annotations

import errno
import os
from typing import Final, Literal, NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._model.ports import PortRange
from ansible_collections.hpc.ports.plugins.module_utils._probe.icmp import Notice

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
    """The result of a probe.

    detail    explanation, or empty
    rejected  whether a host or router sent an administrative reject; False for silence
    nonce     what a listener sent, or empty
    seconds   time until the outcome
    """

    outcome: OutcomeName
    detail: str = ""
    rejected: bool = False
    nonce: str = ""
    seconds: float = 0.0
    attempts: int = 1


SILENCE = ProbeOutcome(FILTERED)


def outcome_of_error(probe: Probe, number: int, notice: Notice | None, at_once: bool = False) -> ProbeOutcome:
    """Return the outcome for an errno (0: no error) and the ICMP error behind it, if the kernel reports one.

    `at_once`: the error came before anything was sent, so it does not come from a router.
    """
    # A reset after the handshake proves a listener.
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
        return ProbeOutcome(FILTERED, f"Blocked by this host itself: {os.strerror(number)}.", True)
    if number == errno.EHOSTUNREACH and not notice and not at_once:
        return ProbeOutcome(FILTERED, f"{os.strerror(number)}; the kernel does not report the sender.")
    sender = f" (reported by {notice.sender})" if notice else ""
    return ProbeOutcome(ERROR, f"{os.strerror(number)}{sender}.")


def _is_reject(probe: Probe, notice: Notice) -> bool:
    """Return whether an ICMP error is an administrative reject.

    A host sends `port unreachable` for a closed UDP port; for TCP only a firewall sends it.
    """
    if notice.is_port_unreachable:
        return probe.port.protocol == "tcp" or notice.sender != probe.address
    return notice.is_prohibition
