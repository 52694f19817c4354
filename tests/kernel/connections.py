# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections of the host under test, many at once, and which of them live."""

from __future__ import annotations

import itertools
import socket
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._model.evaluate import Packet
from ansible_collections.hpc.ports.tests.support.namespaces import Pair, Space
from ansible_collections.hpc.ports.tests.support.run import SLOWNESS, scaled

SECONDS = scaled(30)  # Only a test that fails waits for so long.
PATIENCE = 0.3 * SLOWNESS  # seconds; What gets from one namespace to another has done so by then.
_TYPES = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


class Living(NamedTuple):
    """A connection: both ends, and the packet that opened it, as the host saw it."""

    server: socket.socket
    client: socket.socket
    name: str
    packet: Packet


class Connections:
    """What opens connections between a pair, and closes them all at the end."""

    def __init__(self, pair: Pair) -> None:
        self._pair, self._stack = pair, ExitStack()
        self._listeners: dict[tuple[Space, str, int], socket.socket] = {}

    def __enter__(self) -> Connections:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def opened(
        self,
        direction: str,
        protocol: str,
        source: str,
        target: str,
        port: int,
        listen: str = "",
        is_connected: bool = True,
    ) -> Living:
        """Return a new connection in or out of the host; `listen` is the address of a server of TCP, any by default.

        The server of UDP connects to its client, or does not.
        """
        spaces = (self._pair.host, self._pair.peer)
        server_space, client_space = spaces if direction == "in" else spaces[::-1]
        if protocol == "tcp":
            listener = self._listener(server_space, listen or ("::" if ":" in target else "0.0.0.0"), port)
        else:
            listener = self.bound(server_space, protocol, target, port)
        client = self.bound(client_space, protocol, source, 0)
        client.connect((target, port))
        server = self._accepted(listener, client, is_connected)
        source_port = client.getsockname()[1]
        packet = Packet(direction, protocol, source if direction == "in" else target, port, source_port)
        return Living(server, client, f"{protocol} {_end(source, source_port)} -> {_end(target, port)}", packet)

    def bound(self, space: Space, protocol: str, address: str, port: int) -> socket.socket:
        """Return a socket with an address; several may have the same."""
        with space.entered():
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            sock = self._stack.enter_context(socket.socket(family, _TYPES[protocol]))
        sock.settimeout(SECONDS)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if protocol == "udp" and port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if address == "::":
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if port == DUAL_PORT else 1)
        sock.bind((address, port))
        return sock

    def _listener(self, space: Space, address: str, port: int) -> socket.socket:
        key = (space, address, port)
        if key not in self._listeners:
            self._listeners[key] = self.bound(space, "tcp", address, port)
            self._listeners[key].listen(1024)
        return self._listeners[key]

    def _accepted(self, listener: socket.socket, client: socket.socket, is_connected: bool) -> socket.socket:
        if listener.type == socket.SOCK_STREAM:
            server = self._stack.enter_context(listener.accept()[0])
            server.settimeout(SECONDS)
            return server
        client.send(b"opening")
        peer = listener.recvfrom(64)[1]
        if is_connected:
            listener.connect(peer)
        return listener


DUAL_PORT = 6064  # A server of TCP that listens on :: has IPv4 here too.


def _end(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


_tokens = itertools.count(1)


def passing(ends: Sequence[tuple[socket.socket, socket.socket]]) -> list[bool]:
    """Send from each first end; return which second ends receive it, and nothing else."""
    tokens = [f"token {next(_tokens)}".encode() for end in ends]
    for (sender, _receiver), token in zip(ends, tokens):
        _send(sender, token)
    deadline = time.monotonic() + PATIENCE
    return [_receive(receiver, deadline) == token for (sender, receiver), token in zip(ends, tokens)]


def _send(sock: socket.socket, token: bytes) -> None:
    with suppress(OSError):
        sock.send(token)


def _receive(sock: socket.socket, deadline: float) -> bytes:
    sock.settimeout(max(0.001, deadline - time.monotonic()))
    try:
        return sock.recv(64)
    except OSError:
        return b""


def living(connections: Iterable[Living], first: str) -> set[str]:
    """Return the names of those which live: what both ends say arrives. Raises AssertionError for one that half lives.

    `first` is the end that speaks first, and then again: `server` or `client`.
    """
    found = list(connections)
    turns = [[(item.server, item.client) for item in found], [(item.client, item.server) for item in found]]
    turns = turns if first == "server" else turns[::-1]
    results = [passing(ends) for ends in (*turns, turns[0])]
    for item, outcome in zip(found, zip(*results)):
        assert len(set(outcome)) == 1, f"{item.name} lives in part: {outcome}"
    return {item.name for item, lives in zip(found, results[0]) if lives}
