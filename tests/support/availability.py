# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections to a host that live, and new ones that come, while policies are applied: how many lost a packet."""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple

import pytest
from ansible_collections.hpc.ports.tests.support.machine import Machine
from ansible_collections.hpc.ports.tests.support.namespaces import HOST, Space
from ansible_collections.hpc.ports.tests.support.run import scaled

CLIENT = "10.64.9.9"  # The flow of SSH accepts this client.
SECONDS = scaled(30)  # Only a test that fails waits for so long.
RATE = 500.0  # New connections a second.
SERVER = """
import socket, sys
listener = socket.create_server(("", int(sys.argv[1])), backlog=4096)
print("ready", flush=True)
while True:
    listener.accept()[0].close()
"""
APPLIES = """
import json, sys, uuid
from ansible_collections.hpc.ports.plugins.module_utils._apply.confirm import confirm
from ansible_collections.hpc.ports.plugins.module_utils._apply.ensure import Options, ensure_present
for data in json.load(sys.stdin):
    options = Options(confirm_within=300, lockout_guard=True, cut_established=False, transport="",
                      token=uuid.uuid4().hex, watch=False)
    assert ensure_present(sys.argv[1], data, options, check=False).pending
    assert confirm(options.token)["status"] == "confirmed"
"""
NODES = tuple(f"10.65.{number}.0/25" for number in range(40))


def listening(space: Space, version: int, port: int) -> socket.socket:
    with space.entered():
        family = socket.AF_INET if version == 4 else socket.AF_INET6
        return socket.create_server(("", port), family=family, backlog=4096)


def connected(space: Space, source: str, target: str, port: int) -> socket.socket:
    with space.entered():
        sock = socket.socket(socket.AF_INET6 if ":" in target else socket.AF_INET, socket.SOCK_STREAM)
        sock.settimeout(SECONDS)
        sock.bind((source, 0))
        sock.connect((target, port))
    return sock


@contextmanager
def session(
    server_space: Space, client_space: Space, source: str, target: str, port: int
) -> Iterator[tuple[socket.socket, socket.socket]]:
    """An established connection: the server's and the client's end."""
    with (
        listening(server_space, 6 if ":" in target else 4, port) as listener,
        connected(client_space, source, target, port) as client,
        listener.accept()[0] as server,
    ):
        server.settimeout(SECONDS)
        for one, other in ((client, server), (server, client)):
            say(one, other)
        yield server, client


def say(one: socket.socket, other: socket.socket, size: int = 64) -> None:
    """Send so many bytes, which the other end receives."""
    one.sendall(b"x" * size)
    got = 0
    while got < size:
        got += len(other.recv(size - got)) or pytest.fail("The connection was closed")


def lost_connections(
    connect: Callable[[int], socket.socket],
    living: tuple[socket.socket, socket.socket],
    process: subprocess.Popen[str],
    rate: float,
) -> tuple[int, int, float]:
    """Connect so many times a second until the process ends; `connect` gets the number of the connection.

    Return how many connections there were, how many lost a packet, and how many seconds the slowest took.

    Meanwhile a living connection talks. A connection that had to send its SYN again would have taken a second: the
    kernel's own count needs no clock. One that is refused raises OSError.
    """
    count, lost, slowest = 0, 0, 0.0
    start = time.monotonic()
    while process.poll() is None:
        began = time.monotonic()
        with connect(count) as sock:
            slowest = max(slowest, time.monotonic() - began)
            lost += retransmissions(sock) > 0
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        say(*living)
        count += 1
        time.sleep(max(0.0, start + count / rate - time.monotonic()))
    return count, lost, slowest


def retransmissions(sock: socket.socket) -> int:
    return int(struct.unpack_from("I", sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104), 100)[0])


@contextmanager
def started(
    space: Space, program: str, *arguments: str, text: str = "", machine: Machine | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Have Python run a program in the network of the space; with a machine, on that host, with its programs."""
    options: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    if machine:
        process = subprocess.Popen(
            [*space.prefix, machine.pair.python, "-c", program, *arguments], **options, env=machine.environment
        )
    else:
        with space.entered():
            process = subprocess.Popen([sys.executable, "-c", program, *arguments], **options)
    assert process.stdin and process.stdout
    try:
        process.stdin.write(text)
        process.stdin.close()
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


class Availability(NamedTuple):
    """How many connections came meanwhile, how many lost a packet, and how many seconds the slowest took.

    `of_living` is how many packets each end of a living connection lost.
    """

    connections: int
    lost: int
    slowest: float
    of_living: list[int]


class Way(NamedTuple):
    """Who connects to whom: a connection lives, and new ones come.

    The addresses of the new ones are forms, such as `10.64.1.{}`: with many addresses, no pair of ports comes again
    while either end or conntrack remembers it.
    """

    client: Space
    server: Space
    living: tuple[str, str]
    new: tuple[str, str]

    def connect(self, number: int) -> socket.socket:
        """Return a new connection to port 6000."""
        source, target = (form.format(number % 250 + 1) for form in self.new)
        return connected(self.client, source, target, 6000)

    def session(self) -> AbstractContextManager[tuple[socket.socket, socket.socket]]:
        """Return an established connection to port 22: the server's and the client's end."""
        return session(self.server, self.client, *self.living, 22)


def applied_meanwhile(
    machine: Machine, steps: list[dict[str, Any]], rate: float, listens: int = 6000, way: Way | None = None
) -> Availability:
    """Give the host these policies, one after the other, while connections to port 6000 come at this rate.

    They come from the peer, if there is no other `way`. The server `listens` on another port if NAT translates port
    6000.
    """
    host, peer = machine.host, machine.pair.peer
    way = way or Way(peer, host, (CLIENT, HOST[4]), ("10.64.1.{}", HOST[4]))
    with started(way.server, SERVER, str(listens)) as server, way.session() as living:
        assert server.stdout and server.stdout.readline() == "ready\n"
        with started(host, APPLIES, machine.backend, text=json.dumps(steps), machine=machine) as applies:
            lost = lost_connections(way.connect, living, applies, rate)
            assert applies.returncode == 0
        return Availability(*lost, [retransmissions(end) for end in living])
