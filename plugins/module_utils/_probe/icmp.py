# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ICMP: which addresses answer an echo, and who rejected a packet and why."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import time
from collections.abc import Sequence
from typing import Callable, NamedTuple

# linux/in.h, linux/in6.h, linux/errqueue.h; Python 3.9 has no names for them.
_RECVERR = {socket.AF_INET: (socket.IPPROTO_IP, 11), socket.AF_INET6: (socket.IPPROTO_IPV6, 25)}
_ERROR = struct.Struct("=IBBBBII")  # errno, origin, type, code, -, info, data
_ORIGIN_ICMP = (2, 3)
# Type and code of an administrative reject, by IP version. RFC 792 and 1812; RFC 4443.
_PROHIBITED = {4: {(3, 9), (3, 10), (3, 13)}, 6: {(1, 1), (1, 5), (1, 6)}}
_PORT_UNREACHABLE = {4: (3, 3), 6: (1, 4)}
_ECHO_REQUEST = {4: 8, 6: 128}
_ECHO_REPLY = {4: 0, 6: 129}
_ECHO = struct.Struct("!BBHHH")
_AT_ONCE = 100  # what the receive buffer of a socket holds


class Notice(NamedTuple):
    """An ICMP error: who sent it, of which IP version, type and code."""

    sender: str
    version: int
    type: int
    code: int

    @property
    def is_prohibition(self) -> bool:
        """Tell whether a firewall or router says that it is not allowed."""
        return (self.type, self.code) in _PROHIBITED[self.version]

    @property
    def is_port_unreachable(self) -> bool:
        """Tell whether it says what a host says when nobody listens, which firewalls may say too."""
        return (self.type, self.code) == _PORT_UNREACHABLE[self.version]


class EchoResult(NamedTuple):
    """Whether an address answered an echo; None where that could not be tried, with the reason."""

    reachable: bool | None
    detail: str = ""


SILENT = EchoResult(False, "No answer to an echo.")


# ---- errors


def ask_for_notices(sock: socket.socket) -> None:
    """Have the kernel keep the ICMP errors of a socket, for `notice_of`."""
    level, option = _RECVERR[socket.AddressFamily(sock.family)]
    sock.setsockopt(level, option, 1)


def notice_of(sock: socket.socket) -> Notice | None:
    """Return the ICMP error that a socket has met, if any. Kernels before 5.10 tell none of an opening TCP socket."""
    with contextlib.suppress(OSError):
        data, extra, flags, peer = sock.recvmsg(64, 512, socket.MSG_ERRQUEUE)
        for level, kind, content in extra:
            if (level, kind) in _RECVERR.values():
                return _notice(content)
    return None


def _notice(content: bytes) -> Notice | None:
    number, origin, kind, code, pad, info, data = _ERROR.unpack_from(content)
    if origin not in _ORIGIN_ICMP:
        return None
    version = 4 if origin == 2 else 6
    return Notice(_sender(content[_ERROR.size :], version), version, kind, code)


def _sender(address: bytes, version: int) -> str:
    """The offender, a sockaddr_in or sockaddr_in6."""
    if version == 4:
        return socket.inet_ntop(socket.AF_INET, address[4:8])
    return socket.inet_ntop(socket.AF_INET6, address[8:24])


# ---- echo


def raw_socket(version: int) -> socket.socket:
    """Return a socket for echoes of an IP version. Raises OSError, as without the right to it."""
    if version == 4:
        return socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    return socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)


def echo(
    addresses: Sequence[str], timeout: float, attempts: int, opened: Callable[[int], socket.socket] = raw_socket
) -> dict[str, EchoResult]:
    """Return for each address whether it answers an echo within `timeout` seconds, tried up to `attempts` times.

    The addresses are in their normal form. Needs the right to open raw sockets.
    """
    found: dict[str, EchoResult] = {}
    for version in (4, 6):
        wanted = [address for address in addresses if (":" in address) == (version == 6)]
        for start in range(0, len(wanted), _AT_ONCE):
            found.update(_echo(wanted[start : start + _AT_ONCE], version, timeout, attempts, opened))
    return found


def _echo(
    addresses: Sequence[str], version: int, timeout: float, attempts: int, opened: Callable[[int], socket.socket]
) -> dict[str, EchoResult]:
    try:
        sock = opened(version)
    except OSError as exc:
        return {address: EchoResult(None, f"Cannot send an echo: {exc.strerror}.") for address in addresses}
    found = {address: SILENT for address in addresses}
    identity = int.from_bytes(os.urandom(2), "big")
    with sock:
        for _attempt in range(attempts):
            found.update(_unsent(sock, _silent(found), version, identity))
            found.update(_answers(sock, _silent(found), version, identity, time.monotonic() + timeout))
    return found


def _silent(found: dict[str, EchoResult]) -> list[str]:
    return [address for address, path in found.items() if path == SILENT]


def _unsent(sock: socket.socket, addresses: Sequence[str], version: int, identity: int) -> dict[str, EchoResult]:
    """Send one echo to each address, and return where that could not be done."""
    failed = {}
    for number, address in enumerate(addresses):
        try:
            sock.sendto(request(version, identity, number), (address, 0))
        except OSError as exc:
            failed[address] = EchoResult(False, f"An echo could not be sent: {exc.strerror}.")
    return failed


def request(version: int, identity: int, number: int) -> bytes:
    """Return an echo request; the kernel fills in the checksum of version 6."""
    packet = _ECHO.pack(_ECHO_REQUEST[version], 0, 0, identity, number)
    checksum = _checksum(packet) if version == 4 else 0
    return _ECHO.pack(_ECHO_REQUEST[version], 0, checksum, identity, number)


def _checksum(packet: bytes) -> int:
    """RFC 1071, for an even number of bytes."""
    total = sum(struct.unpack(f"!{len(packet) // 2}H", packet))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def _answers(
    sock: socket.socket, addresses: Sequence[str], version: int, identity: int, deadline: float
) -> dict[str, EchoResult]:
    found: dict[str, EchoResult] = {}
    while len(found) < len(addresses) and time.monotonic() < deadline:
        sock.settimeout(max(0.001, deadline - time.monotonic()))
        try:
            packet, peer = sock.recvfrom(256)
        except OSError:  # the time is over
            break
        if peer[0] in addresses and is_reply(packet, version, identity):
            found[peer[0]] = EchoResult(True)
    return found


def is_reply(packet: bytes, version: int, identity: int) -> bool:
    """Tell whether a packet, of version 4 with its header, answers an echo of this identity."""
    body = packet[(packet[0] & 0x0F) * 4 :] if version == 4 else packet
    kind, code, checksum, number = struct.unpack_from("!BBHH", body)
    return (kind, number) == (_ECHO_REPLY[version], identity)
