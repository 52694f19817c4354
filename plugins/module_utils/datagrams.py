# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What probes and listeners say to each other over UDP, and what makes a real UDP service answer."""

from __future__ import annotations

import struct
from typing import Tuple

QUESTION = b"hpc.ports probe"
ANSWER = b"hpc.ports answer"

# RFC 1035: which name servers has the root? RFC 5905: the time, please.
_DNS = struct.pack("!HHHHHH", 0x6870, 0x0100, 1, 0, 0, 0) + b"\0" + struct.pack("!HH", 2, 1)
_NTP = b"\x23" + bytes(47)
# RFC 5531: call procedure 0 of rpcbind without credentials; every RPC service answers, others that they are not it.
_RPC = struct.pack("!IIIIIIIIII", 0x68706370, 0, 2, 100000, 2, 0, 0, 0, 0, 0)
_RPC_PORTS = frozenset({111, 875, 2049, 20048, *range(32765, 32769)})


def answer_to(datagram: bytes) -> bytes:
    """Return a listener's answer, or nothing to other datagrams: it must not talk to itself or echo strangers."""
    return ANSWER if datagram == QUESTION else b""


def questions_for(port: int) -> Tuple[bytes, ...]:
    """Return what a probe sends to a UDP port: the listener's question, and that of the service usual there."""
    if port in _RPC_PORTS:
        return QUESTION, _RPC
    return (QUESTION, *{53: (_DNS,), 123: (_NTP,)}.get(port, ()))
