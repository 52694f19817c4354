# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The connections that the kernel tracks, over ctnetlink (linux/netfilter/nfnetlink_conntrack.h), and their number."""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._linux import netlink

TCP, UDP = 6, 17

_NETFILTER = 12
_CREATE, _GET, _DELETE = 1 << 8, 1 << 8 | 1, 1 << 8 | 2
_HEAD = struct.Struct("!BBH")  # nfgenmsg: family, version, -
_THERE, _BACK, _STATUS, _PROTOCOL_INFO, _TIMEOUT, _ID, _MASTER, _ZONE = 1, 2, 3, 4, 7, 12, 14, 18
_NAMING = (_THERE, _ZONE, _ID)
_NESTED = 0x8000
# Attributes of a tuple: its addresses and its protocol.
_ADDRESSES, _PROTOCOL = 1, 2
_SOURCES, _TARGETS = (1, 3), (2, 4)
_NUMBER, _SOURCE_PORT, _TARGET_PORT = 1, 2, 3
_TCP_INFO, _TCP_STATE, _TCP_FLAGS_THERE, _TCP_FLAGS_BACK = 1, 1, 4, 5
# Status bits: another connection, its master, announced this one; the other end has answered; a full table keeps the
# entry; the entry is in the table.
_EXPECTED, _SEEN_REPLY, _ASSURED, _CONFIRMED = 1, 2, 4, 8
_ESTABLISHED, _TIME_WAIT, _CLOSE = 3, 7, 8
# Set if tracking began in the middle of a connection: it is not known which end opened it.
_LIBERAL = 0x08
_FOLDER = "/proc/sys/net/netfilter"
_NEARLY_FULL = 90  # percent
_DISCARD = 9  # the port of the service discard
_FIVE_DAYS = 432000  # seconds: the kernel's default for an established connection


class ConntrackTuple(NamedTuple):
    """One direction of a connection; protocols without ports have 0."""

    protocol: int
    source: str
    source_port: int
    target: str
    target_port: int

    def __str__(self) -> str:
        """Return both ends, such as `tcp 10.64.9.9:51000 -> 192.0.2.1:6000`."""
        name = {TCP: "tcp", UDP: "udp"}.get(self.protocol, f"ip/{self.protocol}")
        return f"{name} {_end_text(self.source, self.source_port)} -> {_end_text(self.target, self.target_port)}"


def _end_text(address: str, port: int) -> str:
    text = f"[{address}]" if ":" in address and port else address
    return f"{text}:{port}" if port else text


class ConntrackEntry(NamedTuple):
    """A tracked connection: `there` is the tuple of its first packet, `back` the tuple of its replies, before NAT.

    `picked_up`: tracking began in the middle of the connection. `is_over`: it has ended. `is_related`: another
    connection announced it, its `master`, if known.
    """

    there: ConntrackTuple
    back: ConntrackTuple
    picked_up: bool
    is_over: bool
    is_related: bool
    master: ConntrackTuple | None
    family: int
    name: bytes


def entries() -> Iterator[ConntrackEntry]:
    """Yield all tracked connections. Raises NetlinkError."""
    return map(parse_entry, netlink.ask(_NETFILTER, _GET, netlink.ALL, _HEAD.pack(0, 0, 0)))


def create_established(there: ConntrackTuple) -> None:
    """Have the kernel track a TCP connection that is established already; `there` is the way of its first packet.

    The entry is as the kernel makes it when it sees such a connection for the first time. Does nothing if the kernel
    tracks the connection. Raises NetlinkError.
    """
    family = netlink.FAMILIES[6 if ":" in there.source else 4]
    back = ConntrackTuple(there.protocol, there.target, there.target_port, there.source, there.source_port)
    seconds = _number(_FOLDER + "/nf_conntrack_tcp_timeout_established") or _FIVE_DAYS
    liberal = bytes([_LIBERAL, _LIBERAL])  # value and mask
    tcp = netlink.attribute(_TCP_STATE, bytes([_ESTABLISHED])) + b"".join(
        netlink.attribute(kind, liberal) for kind in (_TCP_FLAGS_THERE, _TCP_FLAGS_BACK)
    )
    body = b"".join(
        (
            _nest(_THERE, _tuple_bytes(there)),
            _nest(_BACK, _tuple_bytes(back)),
            netlink.attribute(_STATUS, struct.pack("!I", _SEEN_REPLY | _ASSURED | _CONFIRMED)),
            netlink.attribute(_TIMEOUT, struct.pack("!I", seconds)),
            _nest(_PROTOCOL_INFO, _nest(_TCP_INFO, tcp)),
        )
    )
    try:
        for answer in netlink.ask(_NETFILTER, _CREATE, netlink.ONE | netlink.NEW, _HEAD.pack(family, 0, 0) + body):
            raise netlink.NetlinkError(f"Got an answer of {len(answer)} bytes to a new entry, expected none.")
    except netlink.NetlinkError as exc:
        if exc.code != errno.EEXIST:
            raise


def _tuple_bytes(way: ConntrackTuple) -> bytes:
    kinds = (_SOURCES[1], _TARGETS[1]) if ":" in way.source else (_SOURCES[0], _TARGETS[0])
    addresses = netlink.attribute(kinds[0], netlink.address_bytes(way.source)) + netlink.attribute(
        kinds[1], netlink.address_bytes(way.target)
    )
    protocol = (
        netlink.attribute(_NUMBER, bytes([way.protocol]))
        + netlink.attribute(_SOURCE_PORT, struct.pack("!H", way.source_port))
        + netlink.attribute(_TARGET_PORT, struct.pack("!H", way.target_port))
    )
    return _nest(_ADDRESSES, addresses) + _nest(_PROTOCOL, protocol)


def _nest(kind: int, content: bytes) -> bytes:
    return netlink.attribute(kind | _NESTED, content)


def delete(entry: ConntrackEntry) -> None:
    """Delete an entry. Raises NetlinkError, with ENOENT if the entry no longer exists."""
    for answer in netlink.ask(_NETFILTER, _DELETE, netlink.ONE, _HEAD.pack(entry.family, 0, 0) + entry.name):
        raise netlink.NetlinkError(f"Got an answer of {len(answer)} bytes to a deletion, expected none.")


def parse_entry(body: bytes) -> ConntrackEntry:
    """Return the entry of an answer. Raises NetlinkError."""
    content = netlink.attributes(body[_HEAD.size :])
    there = _tuple(netlink.part(content, _THERE))
    info = _tcp_info(content) if there.protocol == TCP else {}
    return ConntrackEntry(
        there=there,
        back=_tuple(netlink.part(content, _BACK)),
        picked_up=_TCP_FLAGS_THERE in info and bool(netlink.number("=B", info[_TCP_FLAGS_THERE]) & _LIBERAL),
        is_over=_TCP_STATE in info and netlink.number("=B", info[_TCP_STATE]) in (_TIME_WAIT, _CLOSE),
        is_related=_STATUS in content and bool(netlink.number("!I", content[_STATUS]) & _EXPECTED),
        master=_tuple(content[_MASTER]) if _MASTER in content else None,
        family=netlink.number("=B", body),
        name=b"".join(
            netlink.attribute(kind | (_NESTED if kind == _THERE else 0), content[kind])
            for kind in _NAMING
            if kind in content
        ),
    )


def _tcp_info(content: dict[int, bytes]) -> dict[int, bytes]:
    info = netlink.attributes(content.get(_PROTOCOL_INFO, b""))
    return netlink.attributes(info.get(_TCP_INFO, b""))


def _tuple(data: bytes) -> ConntrackTuple:
    content = netlink.attributes(data)
    addresses, protocol = (
        netlink.attributes(netlink.part(content, _ADDRESSES)),
        netlink.attributes(netlink.part(content, _PROTOCOL)),
    )
    source, target = (
        netlink.part(addresses, kinds[0] if kinds[0] in addresses else kinds[1]) for kinds in (_SOURCES, _TARGETS)
    )
    return ConntrackTuple(
        netlink.number("=B", netlink.part(protocol, _NUMBER)),
        netlink.address_text(source),
        _port(protocol, _SOURCE_PORT),
        netlink.address_text(target),
        _port(protocol, _TARGET_PORT),
    )


def _port(protocol: dict[int, bytes], kind: int) -> int:
    return netlink.number("!H", protocol[kind]) if kind in protocol else 0


def is_tracking(folder: str = _FOLDER) -> bool:
    """Return whether the kernel tracks connections in this network namespace, such as a datagram to this host."""
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"", (address, _DISCARD))
    return bool(_number(folder + "/nf_conntrack_count"))


def fill_warning(folder: str = _FOLDER) -> str | None:
    """Return a warning if the table is nearly full; None if it is not, or if the kernel tracks no connections."""
    count, limit = _number(folder + "/nf_conntrack_count"), _number(folder + "/nf_conntrack_max")
    if not count or not limit or count * 100 < limit * _NEARLY_FULL:
        return None
    return (
        f"The connection tracking table of this host is nearly full: nf_conntrack_count is {count}, nf_conntrack_max "
        f"is {limit} ({count * 100 // limit} %). Once the table is full, the kernel drops all new connections, even "
        "those that "
        'flows allow ("nf_conntrack: table full, dropping packet"). Raise the sysctl net.netfilter.nf_conntrack_max.'
    )


def _number(path: str) -> int | None:
    """Return the number in a file; None if there is no such file or no number in it."""
    try:
        with open(path, encoding="utf-8") as file:
            return int(file.read())
    except (OSError, ValueError):
        return None
