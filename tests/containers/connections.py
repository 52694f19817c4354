# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real connections from one network namespace, many at once, and how each ends."""

from __future__ import annotations

import asyncio
import errno
import selectors
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import NamedTuple, TypeVar

from ansible_collections.hpc.ports.tests.support.namespaces import Space
from ansible_collections.hpc.ports.tests.support.run import SLOWNESS, scaled

T = TypeVar("T")
# How long an answer may take before it counts as none: a lost SYN is sent again after a second.
_PATIENCE = 2
FILTERED, REFUSED, SILENT = "filtered", "refused", "accepted, but no answer"
_LATE = (FILTERED, SILENT)
_TYPES = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


class Try(NamedTuple):
    """A connection to open; without a source the kernel chooses it."""

    protocol: str
    source: str
    target: str
    port: int


def outcomes(
    tries: Mapping[T, tuple[Space, Try]], expected: Mapping[T, str] | None = None, patience: float = _PATIENCE
) -> dict[T, str]:
    """Open all connections at once, each from its namespace; return the answer that each got, or why it got none.

    A connection that is expected to be answered and is not is tried again, with more patience.
    """
    found = _tried(tries, patience * SLOWNESS)
    late = [key for key in expected or () if expected and found[key] != expected[key] and found[key] in _LATE]
    return {**found, **_tried({key: tries[key] for key in late}, scaled(4 * _PATIENCE))}


def _tried(tries: Mapping[T, tuple[Space, Try]], patience: float) -> dict[T, str]:
    sockets: dict[T, socket.socket] = {}
    for space in {space for space, _one in tries.values()}:
        with space.entered():
            for key, (place, one) in tries.items():
                if place is space:
                    sockets[key] = socket.socket(_family(one.target), _TYPES[one.protocol])
    try:
        return dict(
            zip(tries, asyncio.run(_all([(one, sockets[key]) for key, (_space, one) in tries.items()], patience)))
        )
    finally:
        for sock in sockets.values():
            sock.close()


def _family(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


async def _all(tries: list[tuple[Try, socket.socket]], patience: float) -> list[str]:
    return await asyncio.gather(*(_one(one, sock, patience) for one, sock in tries))


async def _one(one: Try, sock: socket.socket, patience: float) -> str:
    loop = asyncio.get_running_loop()
    sock.setblocking(False)
    silence = FILTERED
    try:
        if one.source:
            sock.bind((one.source, 0))
        await asyncio.wait_for(loop.sock_connect(sock, (one.target, one.port)), patience)
        if one.protocol == "udp":
            await loop.sock_sendall(sock, b"a datagram")
            return (await asyncio.wait_for(loop.sock_recv(sock, 4096), patience)).decode()
        silence = SILENT
        await loop.sock_sendall(sock, b"GET / HTTP/1.0\r\n\r\n")
        lines = (await asyncio.wait_for(_rest(sock), patience)).decode().split("\n")
        return next((line for line in reversed(lines) if line.strip()), SILENT)
    except asyncio.TimeoutError:
        return silence
    except ConnectionRefusedError:
        return REFUSED
    except PermissionError:  # a datagram that rules for the output drop
        return FILTERED
    except OSError as exc:
        return errno.errorcode.get(exc.errno or 0, str(exc))


async def _rest(sock: socket.socket) -> bytes:
    text = b""
    while more := await asyncio.get_running_loop().sock_recv(sock, 4096):
        text += more
    return text


def answer(space: Space, server: str, name: str) -> str:
    """Return the IPv4 address that a DNS server has for a name, asked from a namespace; empty without an answer."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    question = bytes.fromhex("abcd 0100 0001 0000 0000 0000") + labels + bytes.fromhex("00 0001 0001")
    with space.entered():
        sock = socket.socket(_family(server), socket.SOCK_DGRAM)
    with sock:
        sock.settimeout(scaled(_PATIENCE))
        try:
            sock.sendto(question, (server, 53))
            found = sock.recv(4096)
        except OSError:
            return ""
    return socket.inet_ntoa(found[-4:]) if found[6:8] > b"\0\0" else ""


def dns_answer(question: bytes) -> bytes:
    """Return the answer of a DNS server that knows every name: 10.64.0.7."""
    end = question.index(b"\0", 12) + 5
    record = bytes.fromhex("c00c 0001 0001 0000003c 0004") + socket.inet_aton("10.64.0.7")
    return question[:2] + bytes.fromhex("8180 0001 0001 0000 0000") + question[12:end] + record


class Servers:
    """What answers datagrams in namespaces, and connections with its name: a thread, until it is closed."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._end, end = socket.socketpair()
        self._selector.register(end, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def udp(self, space: Space, address: str, port: int, reply: Callable[[bytes], bytes]) -> None:
        """Answer datagrams."""
        with space.entered():
            sock = socket.socket(_family(address), socket.SOCK_DGRAM)
        sock.bind((address, port))
        self._selector.register(sock, selectors.EVENT_READ, reply)

    def tcp(self, space: Space, address: str, port: int, name: str) -> None:
        """Accept connections and say a name."""
        with space.entered():
            sock = socket.socket(_family(address), socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address, port))
        sock.listen(100)
        self._selector.register(sock, selectors.EVENT_READ, name.encode())

    def close(self) -> None:
        """End the thread, and close its sockets."""
        self._end.close()
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        self._selector.close()

    def _serve(self) -> None:
        while True:
            for key, _events in self._selector.select():
                if not key.data:
                    return
                assert isinstance(key.fileobj, socket.socket)
                with suppress(OSError):
                    _serve_once(key.fileobj, key.data)


def _serve_once(sock: socket.socket, reply: bytes | Callable[[bytes], bytes]) -> None:
    if isinstance(reply, bytes):
        with sock.accept()[0] as connection:
            connection.settimeout(scaled(1))
            connection.recv(4096)
            connection.sendall(reply)
        return
    question, sender = sock.recvfrom(4096)
    sock.sendto(reply(question), sender)
