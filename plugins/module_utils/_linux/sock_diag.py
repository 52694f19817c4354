# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The TCP and UDP sockets of this host, and how to close a socket of another process (linux/inet_diag.h)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._linux import netlink
from ansible_collections.hpc.ports.plugins.module_utils._linux.conntrack import TCP

_SOCK_DIAG = 4
_BY_FAMILY, _DESTROY = 20, 21
_HEAD = struct.Struct("=BBBBI")  # family, protocol, extensions, -, states
_ESTABLISHED, _OPENING, _TIME_WAIT, _CLOSE, _LISTENS = 1, 2, 6, 7, 10
_TCP_STATES = ~(1 << _TIME_WAIT | 1 << _CLOSE) & 0xFFFFFFFF
_UDP_STATES = 1 << _ESTABLISHED  # connected to one peer
# In the answer: family, state, timer, retransmissions; then the identity of the socket, with its cookie at the end.
_NAME = slice(4, 52)
_ADDRESSES = {4: (slice(8, 12), slice(24, 28)), 6: (slice(8, 24), slice(24, 40))}


class Socket(NamedTuple):
    """A socket with both its ends; it has no connection if it `listens`, and none yet if it `opens` one."""

    protocol: int
    local: str
    local_port: int
    peer: str
    peer_port: int
    listens: bool
    opens: bool
    family: int
    name: bytes


def sockets(protocol: int) -> Iterator[Socket]:
    """Yield the sockets of a protocol: TCP sockets that are open or listen, and connected UDP sockets.

    Raises NetlinkError.
    """
    states = _TCP_STATES if protocol == TCP else _UDP_STATES
    for family in netlink.FAMILIES.values():
        for body in netlink.ask(
            _SOCK_DIAG, _BY_FAMILY, netlink.ALL, _HEAD.pack(family, protocol, 0, 0, states) + bytes(48)
        ):
            yield parse_socket(protocol, body)


def destroy(sock: Socket) -> None:
    """Close a socket and send a reset to the peer. Raises NetlinkError.

    If the connection has just ended, the kernel would take the listening socket instead; the cookie in the name
    prevents it.
    """
    for answer in netlink.ask(
        _SOCK_DIAG, _DESTROY, netlink.ONE, _HEAD.pack(sock.family, sock.protocol, 0, 0, 0) + sock.name
    ):
        raise netlink.NetlinkError(f"Got an answer of {len(answer)} bytes to a deletion, expected none.")


def parse_socket(protocol: int, body: bytes) -> Socket:
    """Return the socket of an answer. Raises NetlinkError."""
    family, state = netlink.number("=B", body), netlink.number("=B", body, 1)
    local, peer = _ADDRESSES[4 if family == netlink.FAMILIES[4] else 6]
    if len(body) < _NAME.stop:
        raise netlink.NetlinkError(f"An answer of the kernel is cut short: {len(body)} bytes.")
    return Socket(
        protocol,
        netlink.address_text(body[local]),
        netlink.number("!H", body, 4),
        netlink.address_text(body[peer]),
        netlink.number("!H", body, 6),
        state == _LISTENS,
        state == _OPENING,
        family,
        body[_NAME],
    )
