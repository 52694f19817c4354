# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a packet costs at three rules and at 1,000 flows, new connections and established ones. See README.md."""

from __future__ import annotations

import argparse
import ctypes
import os
import socket
import struct
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from ipaddress import ip_address
from itertools import cycle, islice
from pathlib import Path
from time import process_time
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / ".collections"))

from ansible_collections.hpc.ports.benchmarks.measuring import Conditions, print_table, spread
from ansible_collections.hpc.ports.benchmarks.rulesets import Flow, Ruled, on_firewalld, on_nftables, used
from ansible_collections.hpc.ports.tests.support.namespaces import HOST, Pair, forget_connections

KINDS = ("new", "established")
# Of one call to the kernel.
MOST = 1000


class _Part(ctypes.Structure):
    """As the kernel's iovec."""

    _fields_ = [("base", ctypes.c_char_p), ("length", ctypes.c_size_t)]


class _Message(ctypes.Structure):
    """As the kernel's mmsghdr."""

    _fields_ = [
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("parts", ctypes.POINTER(_Part)),
        ("parts_length", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
        ("sent", ctypes.c_uint32),
    ]


class Batch:
    """Packets that are sent by a few calls, which cost next to nothing themselves."""

    def __init__(self, packets: Sequence[bytes]) -> None:
        self._parts = (_Part * len(packets))(*(_Part(packet, len(packet)) for packet in packets))
        self._messages = (_Message * len(packets))()
        for message, part in zip(self._messages, self._parts):
            message.parts, message.parts_length = ctypes.pointer(part), 1
        self._libc = ctypes.CDLL(None, use_errno=True)

    def __len__(self) -> int:
        return len(self._messages)

    def send(self, sock: socket.socket) -> float:
        """Send them all; return the CPU seconds of a packet, with its way through the other kernel's rules."""
        begun, done = process_time(), 0
        while done < len(self):
            place = ctypes.byref(self._messages, done * ctypes.sizeof(_Message))
            sent = self._libc.sendmmsg(sock.fileno(), place, min(MOST, len(self) - done), 0)
            if sent < 0:
                raise OSError(ctypes.get_errno(), "sendmmsg")
            done += sent
        return (process_time() - begun) / len(self)


def packets(flows: Sequence[Flow], count: int, is_new: bool) -> Iterator[bytes]:
    """Yield packets to a port of each flow, by turns: of new connections, or of one connection a flow."""
    for number, flow in enumerate(islice(cycle(flows), count)):
        turn = number // len(flows) if is_new else 0
        yield _packet(flow.addresses[turn % len(flow.addresses)], 1024 + turn % 60000, flow.port)


def _packet(source: str, source_port: int, port: int) -> bytes:
    addresses = (ip_address(source).packed, ip_address(HOST[4]).packed)
    # The kernel fills in length, identity and checksum; UDP needs none.
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 0, 0, 0, 64, socket.IPPROTO_UDP, 0, *addresses)
    return header + struct.pack("!HHHH", source_port, port, 12, 0) + b"ours"


class Sent(NamedTuple):
    """What a host is sent from, and by whom it is answered."""

    sender: socket.socket
    servers: list[socket.socket]


@contextmanager
def sockets(pair: Pair, flows: Sequence[Flow]) -> Iterator[Sent]:
    """Have a sender on the peer, and a server on each port of the host."""
    with ExitStack() as stack:
        with pair.peer.entered():
            sender = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW))
        sender.connect((HOST[4], 0))
        with pair.host.entered():
            servers = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for flow in flows]
        for server, flow in zip(servers, flows):
            # What nobody reads is dropped behind the rules.
            server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 0)
            server.bind((HOST[4], flow.port))
            server.settimeout(10)
        yield Sent(sender, servers)


def arrived(pair: Pair) -> int:
    """Return how many packets the host's rules have let through: those that a server has read or had no room for."""
    names, values = (
        line.split() for line in Path(f"/proc/{pair.host.pid}/net/snmp").read_text().splitlines() if "Udp: " in line
    )
    counts = dict(zip(names, values))
    return int(counts["InDatagrams"]) + int(counts["InErrors"])


def cost(pair: Pair, flows: Sequence[Flow], batch: Batch, is_new: bool) -> float:
    """Return the CPU seconds of a packet; each must arrive."""
    with sockets(pair, flows) as (sender, servers):
        if not is_new:
            _answer(flows, sender, servers)
        before = arrived(pair)
        seconds = batch.send(sender)
        for server in servers:
            _read(server)
        assert arrived(pair) - before == len(batch), f"{arrived(pair) - before} of {len(batch)} packets arrived."
    with pair.host.entered():
        forget_connections()
    return seconds


def _answer(flows: Sequence[Flow], sender: socket.socket, servers: Sequence[socket.socket]) -> None:
    Batch(list(packets(flows, len(flows), False))).send(sender)
    for server in servers:
        server.sendto(*server.recvfrom(16))


def _read(server: socket.socket) -> None:
    server.setblocking(False)
    with suppress(BlockingIOError):
        while True:
            server.recv(16)


def measured(
    hosts: Sequence[Ruled], flows: Sequence[Flow], rounds: int, count: int
) -> dict[str, dict[str, list[float]]]:
    """Return the CPU seconds of a packet by host and kind of packet, one of each in a round."""
    batches = {kind: Batch(list(packets(flows, count, kind == "new"))) for kind in KINDS}
    found: dict[str, dict[str, list[float]]] = {host.name: {kind: [] for kind in KINDS} for host in hosts}
    for turn in range(rounds + 1):
        for host in hosts:
            for kind, batch in batches.items():
                seconds = cost(host.pair, flows, batch, kind == "new")
                # The first round warms up.
                found[host.name][kind] += [seconds] if turn else []
    return found


def rows(found: dict[str, dict[str, list[float]]], reference: str) -> Iterator[list[str]]:
    """Yield the lines of a table: by kind of packet, microseconds and the ratio to the reference in the same round."""
    for name, by_kind in found.items():
        cells = []
        for kind, costs in by_kind.items():
            ratios = [cost / other for cost, other in zip(costs, found[reference][kind])]
            cells += [f"{1e6 * min(costs):.2f}", spread(ratios)]
        yield [name, *cells]


def main() -> None:
    """Print a table for each backend that can be had."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--packets", type=int, default=20000, help="in each round, of each kind")
    parser.add_argument("--flows", type=int, default=1000)
    parser.add_argument("--backend", choices=["nftables", "firewalld"], default="nftables")
    options = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    conditions = Conditions()
    with (on_nftables if options.backend == "nftables" else on_firewalld)(options.flows) as hosts:
        found = measured(hosts, used(options.flows), options.rounds, options.packets)
    print(f"{conditions.text(options.rounds)}\n")
    reference = next(name for name in found if "three rules" in name)
    print_table(("", *(title for kind in KINDS for title in (f"{kind}, µs", "ratio"))), rows(found, reference))


if __name__ == "__main__":
    main()
