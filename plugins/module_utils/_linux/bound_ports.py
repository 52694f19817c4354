# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ports of this host that services are bound to, from /proc/net."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._linux.netlink import address_text

# The addresses that services are bound to, by protocol and port.
Holders = dict[tuple[str, int], set[str]]

ANY = {4: "0.0.0.0", 6: "::"}
# linux/tcp_states.h: a listening TCP socket; a UDP socket that is not connected to a peer.
_RECEIVES = {"tcp": "0A", "udp": "07"}
_TABLES = (("tcp", "tcp"), ("tcp", "tcp6"), ("udp", "udp"), ("udp", "udp6"))


class BoundSocket(NamedTuple):
    """A socket that a service is bound to. `inode` identifies it; sockets of the kernel itself have 0."""

    protocol: str
    address: str
    port: int
    inode: int


def bound_sockets(folder: str = "/proc/net") -> Iterator[BoundSocket]:
    """Yield the bound sockets in the network namespace of this process. Raises OSError."""
    for protocol, name in _TABLES:
        yield from _entries(protocol, _lines(f"{folder}/{name}"))


def holders(folder: str = "/proc/net") -> Holders:
    """Return the bound addresses by protocol and port, in the network namespace of this process. Raises OSError."""
    bound: Holders = {}
    for sock in bound_sockets(folder):
        bound.setdefault((sock.protocol, sock.port), set()).add(sock.address)
    return bound


def is_held(bound: Holders, protocol: str, port: int, address: str) -> bool:
    """Return whether a service is bound to exactly this address; a service on `::` has 0.0.0.0, too."""
    addresses = bound.get((protocol, port), set())
    return address in addresses or (address == ANY[4] and ANY[6] in addresses)


def _lines(path: str) -> Iterable[str]:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().splitlines()[1:]
    except FileNotFoundError:
        return []  # a kernel without IPv6


def _entries(protocol: str, lines: Iterable[str]) -> Iterator[BoundSocket]:
    for line in lines:
        fields = line.split()
        if fields[3] == _RECEIVES[protocol]:
            address, port = fields[1].split(":")
            yield BoundSocket(protocol, _address(address), int(port, 16), int(fields[9]))


def _address(digits: str) -> str:
    """Return the address of hexadecimal digits: the kernel prints each 32-bit word in the byte order of the machine."""
    words = [int(digits[start : start + 8], 16) for start in range(0, len(digits), 8)]
    return address_text(struct.pack(f"={len(words)}I", *words))
