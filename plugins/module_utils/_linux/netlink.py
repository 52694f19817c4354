# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Netlink: requests to the kernel, its answers and their attributes, in the format of linux/netlink.h."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from typing import Callable, NamedTuple

FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
# Flags of a request: for one answer, with an acknowledgement; for all objects; for an object that must not exist yet.
ONE, ALL, NEW = 0x4, 0x300, 0x600

_REQUEST = 0x1
_ERROR, _DONE = 2, 3
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_read_attribute = _ATTRIBUTE.unpack_from
_KIND = 0x3FFF  # the two highest bits are flags for the format of the content
_AT_ONCE = 1 << 17  # bytes; the kernel sends at most 32 KiB
_PATIENCE = 10.0  # seconds; an answer takes milliseconds
_MAPPED = bytes(10) + b"\xff\xff"


class NetlinkError(RuntimeError):
    """The kernel refused a request, or its answer cannot be read; `code` is the errno, or 0."""

    def __init__(self, text: str, code: int = 0) -> None:
        super().__init__(text)
        self.code = code


class Message(NamedTuple):
    """One message of the kernel; the body starts with a structure that depends on the kind."""

    kind: int
    body: bytes


def ask(
    protocol: int, kind: int, amount: int, body: bytes, opened: Callable[[int, int, int], socket.socket] = socket.socket
) -> Iterator[bytes]:
    """Yield the body of each answer to a request, of this thread's network namespace. Raises NetlinkError."""
    try:
        with opened(socket.AF_NETLINK, socket.SOCK_RAW, protocol) as sock:
            sock.settimeout(_PATIENCE)
            sock.send(_HEADER.pack(_HEADER.size + len(body), kind, _REQUEST | amount, 0, 0) + body)
            while True:
                for message in messages(sock.recv(_AT_ONCE)):
                    if message.kind in (_ERROR, _DONE):
                        _check(message)
                        return
                    yield message.body
    except OSError as exc:
        raise NetlinkError(str(exc), exc.errno or 0) from exc


def _check(message: Message) -> None:
    """Raise NetlinkError if a request failed; old kernels end their answer without a code."""
    code = -int(struct.unpack_from("=i", message.body)[0]) if len(message.body) >= 4 else 0
    if code:
        raise NetlinkError(os.strerror(code), code)


def messages(data: bytes) -> Iterator[Message]:
    """Yield the messages of one datagram. Raises NetlinkError."""
    start = 0
    while start < len(data):
        if len(data) - start < _HEADER.size:
            raise _cut_short(data)
        size, kind = _HEADER.unpack_from(data, start)[:2]
        if not _HEADER.size <= size <= len(data) - start:
            raise _cut_short(data)
        yield Message(kind, data[start + _HEADER.size : start + size])
        start += _aligned(size)


def attributes(data: bytes) -> dict[int, bytes]:
    """Return the content of each attribute by its kind. Raises NetlinkError."""
    contents = {}
    start, end = 0, len(data)
    # One loop without function calls: a busy host has millions of attributes.
    while start < end:
        if end - start < 4:
            raise _cut_short(data)
        size, kind = _read_attribute(data, start)
        if not 4 <= size <= end - start:
            raise _cut_short(data)
        contents[kind & _KIND] = data[start + 4 : start + size]
        start += (size + 3) & ~3
    return contents


def nested(data: bytes) -> Iterator[bytes]:
    """Yield the contents of attributes of any kind, in order. Raises NetlinkError."""
    start = 0
    while start < len(data):
        size = number("=H", data, start)
        if not 4 <= size <= len(data) - start:
            raise _cut_short(data)
        yield data[start + 4 : start + size]
        start += _aligned(size)


def attribute(kind: int, content: bytes) -> bytes:
    """Return an attribute as bytes."""
    size = _ATTRIBUTE.size + len(content)
    return _ATTRIBUTE.pack(size, kind) + content + bytes(_aligned(size) - size)


def address_text(raw: bytes) -> str:
    """Return an address of 4 or 16 bytes as text; IPv4 mapped into IPv6 is returned as IPv4. Raises NetlinkError."""
    if raw.startswith(_MAPPED) and len(raw) == 16:
        raw = raw[12:]
    try:
        return socket.inet_ntop(socket.AF_INET if len(raw) == 4 else socket.AF_INET6, raw)
    except ValueError as exc:
        raise NetlinkError(f"An answer of the kernel has an address of {len(raw)} bytes.") from exc


def address_bytes(text: str) -> bytes:
    """Return an address as bytes."""
    return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)


def number(form: str, data: bytes, start: int = 0) -> int:
    """Return the number of this struct format. Raises NetlinkError."""
    try:
        return int(struct.unpack_from(form, data, start)[0])
    except struct.error as exc:
        raise _cut_short(data) from exc


def part(content: dict[int, bytes], kind: int) -> bytes:
    """Return the content of a required attribute. Raises NetlinkError."""
    if kind not in content:
        raise NetlinkError(f"An answer of the kernel lacks the attribute {kind}.")
    return content[kind]


def _cut_short(data: bytes) -> NetlinkError:
    return NetlinkError(f"An answer of the kernel is cut short: {len(data)} bytes.")


def _aligned(size: int) -> int:
    return (size + 3) & ~3
