# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Opening packets in bulk, and which of them were answered.

A packet that reaches the other kernel is answered at once: a SYN by RST or SYN-ACK, anything else that nobody waits
for by an ICMP error. Both ends are on one CPU, whose queue keeps the order, so when the answer to a last echo request
is there, every other answer that will ever come is there too: nothing waits for a time to pass. But an answer to an
address that the kernel has yet to ask for comes after that, so every packet has the number of its call, and so has
its answer.
"""

from __future__ import annotations

import os
import select
import socket
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from ipaddress import ip_address
from itertools import count
from typing import NamedTuple

from ansible_collections.hpc.ports.tests.support.namespaces import HOST, INTERFACES, PEER, Space

_NUMBERS = {"tcp": 6, "udp": 17}
_ECHO = {1: (8, 0), 58: (128, 129)}
_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
# Port or protocol unreachable (RFC 792, 4443) and unknown next header: the packet arrived, and nobody wanted it.
_ARRIVED = {1: {(3, 2), (3, 3)}, 58: {(1, 4), (4, 1)}}
_ENDLESS = 10.0

# Protocol number, target and its port, the port or echo number of the source (without ports, the source itself), and
# the number of the call.
Key = tuple[int, str, int, object, int]


class Opening(NamedTuple):
    """An opening packet; `port` is the destination port, or the IP protocol number where `protocol` is `ip`."""

    protocol: str
    source: str
    target: str
    port: int
    source_port: int = 0
    interface: str = "eth0"

    @property
    def number(self) -> int:
        """The IP protocol number."""
        return _NUMBERS.get(self.protocol, self.port)

    def key(self, call: int) -> Key:
        """What an answer tells of the packet it answers."""
        if self.number in _ECHO:
            return self.number, self.target, 0, self.source_port, call
        return (
            (self.number, self.target, 0, self.source, call)
            if self.protocol == "ip"
            else (self.number, self.target, self.port, self.source_port, call)
        )


class Wire:
    """One end of a link, with the sockets to send anything from it and to hear the answers.

    Every ruleset under test has to let an echo request from `here` reach `there`, and its answer come back.
    """

    def __init__(
        self,
        space: Space,
        here: Mapping[int, str] | Mapping[object, str],
        there: Mapping[int, str] | Mapping[object, str],
        interfaces: Sequence[str] = INTERFACES,
    ) -> None:
        self.space, self._here, self._there = space, here, there
        self._interfaces = interfaces
        self._calls, self._echoes = count(1), count(1)
        with space.entered(), ExitStack() as stack:
            self._out = {
                (version, name): stack.enter_context(_sender(version, name))
                for version in _FAMILIES
                for name in interfaces
            }
            self._in = {
                stack.enter_context(_receiver(version, number)): (version, number)
                for version, number in ((4, 6), (4, 1), (6, 6), (6, 58))
            }
            self._stack = stack.pop_all()

    def close(self) -> None:
        """Close the sockets."""
        self._stack.close()

    def answered(self, packets: Sequence[Opening], tries: int = 2) -> set[Opening]:
        """Send the packets; those without an answer again, as a client would. Return those with an answer."""
        answered: set[Opening] = set()
        call = next(self._calls) % 65536
        with _one_cpu():
            for _attempt in range(tries):
                keys = self._exchange([packet for packet in packets if packet not in answered], call)
                answered |= {packet for packet in packets if packet.key(call) in keys}
        return answered

    def _exchange(self, packets: Iterable[Opening], call: int) -> set[Key]:
        last = [
            Opening(
                "ip", self._here[version], self._there[version], number, next(self._echoes) % 65536, self._interfaces[0]
            )
            for version, number in ((4, 1), (6, 58))
        ]
        for packet in (*packets, *last):
            self._send(packet, call)
        keys: set[Key] = set()
        for key in self._heard():
            keys.add(key)
            if all(packet.key(call) in keys for packet in last):
                return keys | set(self._come())
        raise AssertionError("An echo request was not answered: the link, or the rule that always accepts ICMP, is cut")

    def _send(self, packet: Opening, call: int) -> None:
        version = ip_address(packet.target).version
        sock = self._out[version, packet.interface]
        place = (packet.target, 0) if version == 4 else (packet.target, 0, 0, _index_of_interface(sock))
        with suppress(PermissionError):  # dropped on its way out
            sock.sendto(_bytes_of(packet, version, call), place)

    def _heard(self) -> Iterator[Key]:
        while True:
            ready = select.select(list(self._in), [], [], _ENDLESS)[0]
            if not ready:
                return
            for sock in ready:
                yield from _keys(sock, *self._in[sock])

    def _come(self) -> Iterator[Key]:
        """Yield what is there by now: to a socket that was looked at before the one that heard the last answer."""
        for sock, kind in self._in.items():
            yield from _keys(sock, *kind)


class Wires(NamedTuple):
    """Both ends: `inward` sends from the peer to the host, `outward` from the host to the peer."""

    inward: Wire
    outward: Wire


def open_wires(host: Space, peer: Space) -> Wires:
    """Return both ends of the link."""
    return Wires(Wire(peer, PEER, HOST), Wire(host, HOST, PEER))


@contextmanager
def _one_cpu() -> Iterator[None]:
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {sorted(allowed)[os.getpid() % len(allowed)]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def _sender(version: int, interface: str) -> socket.socket:
    sock = socket.socket(_FAMILIES[version], socket.SOCK_RAW, socket.IPPROTO_RAW)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
    return sock


def _index_of_interface(sock: socket.socket) -> int:
    return sock.getsockopt(socket.SOL_SOCKET, 62)  # SO_BINDTOIFINDEX


def _receiver(version: int, number: int) -> socket.socket:
    sock = socket.socket(_FAMILIES[version], socket.SOCK_RAW, number)
    sock.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE
    sock.setblocking(False)
    return sock


def _bytes_of(packet: Opening, version: int, call: int) -> bytes:
    payload = _payload(packet, call)
    source, target = (ip_address(text).packed for text in (packet.source, packet.target))
    if version == 4:  # The kernel fills in length, identity and checksum.
        return struct.pack("!BBHHHBBH4s4s", 0x45, 0, 0, 0, 0, 64, packet.number, 0, source, target) + payload
    return struct.pack("!IHBB16s16s", 6 << 28, len(payload), packet.number, 64, source, target) + payload


def _payload(packet: Opening, call: int) -> bytes:
    ports, number = (packet.source_port, packet.port), struct.pack("!I", call)
    if packet.protocol == "tcp":
        return _with_checksum(packet, struct.pack("!HHIIBBHHH", *ports, call, 0, 5 << 4, 2, 8192, 0, 0), 16)
    if packet.protocol == "udp":
        return _with_checksum(packet, struct.pack("!HHHH", *ports, 12, 0) + number, 6)
    if packet.number in _ECHO:
        return _with_checksum(packet, struct.pack("!BBHHH", _ECHO[packet.number][0], 0, 0, packet.source_port, call), 2)
    return bytes(4) + number


def _with_checksum(packet: Opening, payload: bytes, offset: int) -> bytes:
    source, target = (ip_address(text).packed for text in (packet.source, packet.target))
    pseudo = b"" if packet.number == 1 else source + target + struct.pack("!II", len(payload), packet.number)
    text = pseudo + payload
    total = sum(struct.unpack(f"!{len(text) // 2}H", text))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return payload[:offset] + struct.pack("!H", ~total & 0xFFFF or 0xFFFF) + payload[offset + 2 :]


def _keys(sock: socket.socket, version: int, number: int) -> Iterator[Key]:
    while True:
        try:
            data, sender = sock.recvfrom(65536)
        except BlockingIOError:
            return
        if version == 4:
            data = data[(data[0] & 15) * 4 :]
        address = str(ip_address(sender[0].partition("%")[0]))
        yield from _tcp_key(data, address) if number == 6 else _icmp_key(data, address, number)


def _tcp_key(data: bytes, address: str) -> Iterator[Key]:
    far, near, acknowledged, flags = struct.unpack_from("!HH4xIxB", data)
    if flags & 0x04 or flags & 0x12 == 0x12:  # RST, or SYN and ACK
        yield 6, address, far, near, acknowledged - 1


def _icmp_key(data: bytes, address: str, number: int) -> Iterator[Key]:
    kind, code, echo, call = struct.unpack_from("!BB2xHH", data)
    if kind == _ECHO[number][1]:
        yield number, address, 0, echo, call
    elif (kind, code) in _ARRIVED[number]:
        yield _quoted_key(data[8:], 4 if number == 1 else 6)


def _quoted_key(data: bytes, version: int) -> Key:
    number, source, target, rest = (
        (data[9], data[12:16], data[16:20], data[20:])
        if version == 4
        else (data[6], data[8:24], data[24:40], data[40:])
    )
    rest = rest.ljust(12, b"\0")
    if number in (6, 17):
        near, far = struct.unpack_from("!HH", rest)
        return number, str(ip_address(target)), far, near, struct.unpack_from("!I", rest, 4 if number == 6 else 8)[0]
    return number, str(ip_address(target)), 0, str(ip_address(source)), struct.unpack_from("!I", rest, 4)[0]
