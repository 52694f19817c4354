# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ICMP: send echo requests, and read the ICMP errors that a socket received."""

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
_BATCH = 100  # addresses at a time: the receive buffer of a socket holds so many replies


class Notice(NamedTuple):
    """An ICMP error: who sent it, of which IP version, type and code."""

    sender: str
    version: int
    type: int
    code: int

    @property
    def is_prohibition(self) -> bool:
        """Return whether a firewall or router rejected the packet administratively."""
        return (self.type, self.code) in _PROHIBITED[self.version]

    @property
    def is_port_unreachable(self) -> bool:
        """Return whether the error means a closed port; firewalls can send this error as well."""
        return (self.type, self.code) == _PORT_UNREACHABLE[self.version]


class EchoResult(NamedTuple):
    """Whether an address answered an echo request; None if none could be sent, with the reason in `detail`."""

    reachable: bool | None
    detail: str = ""


SILENT = EchoResult(False, "No echo reply.")


# ---- errors


def ask_for_notices(sock: socket.socket) -> None:
    """Make the kernel queue the ICMP errors of a socket for `notice_of`."""
    level, option = _RECVERR[socket.AddressFamily(sock.family)]
    sock.setsockopt(level, option, 1)


def notice_of(sock: socket.socket) -> Notice | None:
    """Return the ICMP error that a socket received, if any.

    Kernels before 5.10 report none for a TCP socket that is connecting.
    """
    with contextlib.suppress(OSError):
        data, extra, flags, peer = sock.recvmsg(64, 512, socket.MSG_ERRQUEUE)
        for level, kind, content in extra:
            if (level, kind) in _RECVERR.values():
                return _parse_notice(content)
    return None


def _parse_notice(content: bytes) -> Notice | None:
    number, origin, kind, code, pad, info, data = _ERROR.unpack_from(content)
    if origin not in _ORIGIN_ICMP:
        return None
    version = 4 if origin == 2 else 6
    return Notice(_sender_address(content[_ERROR.size :], version), version, kind, code)


def _sender_address(address: bytes, version: int) -> str:
    """Return the sender of the ICMP error from its sockaddr_in or sockaddr_in6."""
    if version == 4:
        return socket.inet_ntop(socket.AF_INET, address[4:8])
    return socket.inet_ntop(socket.AF_INET6, address[8:24])


# ---- echo


def raw_socket(version: int) -> socket.socket:
    """Return a socket for echo requests. Raises OSError, for example without the permission for raw sockets."""
    if version == 4:
        return socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    return socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)


def echo(
    addresses: Sequence[str], timeout: float, attempts: int, opened: Callable[[int], socket.socket] = raw_socket
) -> dict[str, EchoResult]:
    """Return whether each address answers an echo request within `timeout` seconds, in up to `attempts` attempts.

    The addresses are in their normal form. Raw sockets need a permission; without it the results are None.
    """
    results: dict[str, EchoResult] = {}
    for version in (4, 6):
        wanted = [address for address in addresses if (":" in address) == (version == 6)]
        for start in range(0, len(wanted), _BATCH):
            results.update(_echo(wanted[start : start + _BATCH], version, timeout, attempts, opened))
    return results


def _echo(
    addresses: Sequence[str], version: int, timeout: float, attempts: int, opened: Callable[[int], socket.socket]
) -> dict[str, EchoResult]:
    try:
        sock = opened(version)
    except OSError as exc:
        return {address: EchoResult(None, f"Cannot send an echo: {exc.strerror}.") for address in addresses}
    results = {address: SILENT for address in addresses}
    identity = int.from_bytes(os.urandom(2), "big")
    with sock:
        for _attempt in range(attempts):
            results.update(_send_requests(sock, _silent(results), version, identity))
            results.update(_collect_replies(sock, _silent(results), version, identity, time.monotonic() + timeout))
    return results


def _silent(results: dict[str, EchoResult]) -> list[str]:
    return [address for address, path in results.items() if path == SILENT]


def _send_requests(sock: socket.socket, addresses: Sequence[str], version: int, identity: int) -> dict[str, EchoResult]:
    """Send one echo request to each address, and return the addresses for which this failed."""
    failed = {}
    for number, address in enumerate(addresses):
        try:
            sock.sendto(request(version, identity, number), (address, 0))
        except OSError as exc:
            failed[address] = EchoResult(False, f"Sending an echo failed: {exc.strerror}.")
    return failed


def request(version: int, identity: int, number: int) -> bytes:
    """Return an echo request; the kernel fills in the checksum of IPv6."""
    packet = _ECHO.pack(_ECHO_REQUEST[version], 0, 0, identity, number)
    checksum = _checksum(packet) if version == 4 else 0
    return _ECHO.pack(_ECHO_REQUEST[version], 0, checksum, identity, number)


def _checksum(packet: bytes) -> int:
    """Return the checksum of RFC 1071 for an even number of bytes."""
    total = sum(struct.unpack(f"!{len(packet) // 2}H", packet))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def _collect_replies(
    sock: socket.socket, addresses: Sequence[str], version: int, identity: int, deadline: float
) -> dict[str, EchoResult]:
    results: dict[str, EchoResult] = {}
    while len(results) < len(addresses) and time.monotonic() < deadline:
        sock.settimeout(max(0.001, deadline - time.monotonic()))
        try:
            packet, peer = sock.recvfrom(256)
        except OSError:  # timeout
            break
        if peer[0] in addresses and is_reply(packet, version, identity):
            results[peer[0]] = EchoResult(True)
    return results


def is_reply(packet: bytes, version: int, identity: int) -> bool:
    """Return whether a packet answers an echo request of this identity; an IPv4 packet includes its IP header."""
    body = packet[(packet[0] & 0x0F) * 4 :] if version == 4 else packet
    kind, code, checksum, number = struct.unpack_from("!BBHH", body)
    return (kind, number) == (_ECHO_REPLY[version], identity)
