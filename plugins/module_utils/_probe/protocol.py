# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The messages between probes and listeners, and requests that make real UDP services answer.

A listener sends a nonce that no other host of the run uses, so the probe knows which host answered. Over UDP the
listener answers only probes that send the key of the run, and its answer is shorter than the request: strangers get no
answer, and nothing is amplified.
"""

from __future__ import annotations

import struct

_QUESTION = "hpc.ports probe {0}"
_GREETING = "hpc.ports {0}"
_START = _GREETING.format("").encode()

# RFC 1035: a query for the name servers of the root. RFC 5905: a client request for the time.
_DNS = struct.pack("!HHHHHH", 0x6870, 0x0100, 1, 0, 0, 0) + b"\0" + struct.pack("!HH", 2, 1)
_NTP = b"\x23" + bytes(47)
# RFC 5531: call procedure 0 of rpcbind without credentials; every RPC service answers, others with an error.
_RPC = struct.pack("!IIIIIIIIII", 0x68706370, 0, 2, 100000, 2, 0, 0, 0, 0, 0)
_RPC_PORTS = frozenset({111, 875, 2049, 20048, *range(32765, 32769)})


def question(key: str) -> bytes:
    """Return the request that a probe sends to a UDP listener; `key` is the key of the run."""
    return _QUESTION.format(key).encode()


def greeting(nonce: str) -> bytes:
    """Return the answer of a listener: sent over TCP on connect, over UDP on request."""
    return _GREETING.format(nonce).encode()


def nonce_in(data: bytes) -> str:
    """Return the nonce in the answer of a listener; empty if a service sent this data."""
    return data[len(_START) :].decode("ascii", "replace") if data.startswith(_START) else ""


def questions_for(port: int, key: str) -> tuple[bytes, ...]:
    """Return the requests that a probe sends to a UDP port: for a listener, and for the usual service of this port."""
    if port in _RPC_PORTS:
        return question(key), _RPC
    return (question(key), *{53: (_DNS,), 123: (_NTP,)}.get(port, ()))
