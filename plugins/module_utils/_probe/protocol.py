# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What probes and listeners say to each other, and what makes a real UDP service answer.

A listener says a nonce, which no other host of the run has, so a probe knows which host answered. Over UDP it answers
only who knows the key of the run, and with less than was sent: strangers get nothing, and nothing is amplified.
"""

from __future__ import annotations

import struct

_QUESTION = "hpc.ports probe {0}"
_GREETING = "hpc.ports {0}"
_START = _GREETING.format("").encode()

# RFC 1035: which name servers has the root? RFC 5905: the time, please.
_DNS = struct.pack("!HHHHHH", 0x6870, 0x0100, 1, 0, 0, 0) + b"\0" + struct.pack("!HH", 2, 1)
_NTP = b"\x23" + bytes(47)
# RFC 5531: call procedure 0 of rpcbind without credentials; every RPC service answers, others that they are not it.
_RPC = struct.pack("!IIIIIIIIII", 0x68706370, 0, 2, 100000, 2, 0, 0, 0, 0, 0)
_RPC_PORTS = frozenset({111, 875, 2049, 20048, *range(32765, 32769)})


def question(key: str) -> bytes:
    """Return what a probe asks over UDP; `key` is that of the run."""
    return _QUESTION.format(key).encode()


def greeting(nonce: str) -> bytes:
    """Return all that a listener ever says, over TCP at once, over UDP when asked."""
    return _GREETING.format(nonce).encode()


def nonce_in(data: bytes) -> str:
    """Return the nonce that a listener said, or nothing where something else said this."""
    return data[len(_START) :].decode("ascii", "replace") if data.startswith(_START) else ""


def questions_for(port: int, key: str) -> tuple[bytes, ...]:
    """Return what a probe sends to a UDP port: the listener's question, and that of the service usual there."""
    if port in _RPC_PORTS:
        return question(key), _RPC
    return (question(key), *{53: (_DNS,), 123: (_NTP,)}.get(port, ()))
