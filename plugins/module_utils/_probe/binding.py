# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bind the ports of a listener, except where a service holds them."""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Callable

from ansible_collections.hpc.ports.plugins.module_utils._linux.bound_ports import ANY, Holders, is_held
from ansible_collections.hpc.ports.plugins.module_utils._model.ports import PortRange, parse_ports
from ansible_collections.hpc.ports.plugins.module_utils._model.wire import PortsByAddress
from ansible_collections.hpc.ports.plugins.module_utils._probe.listener_process import IP_PKTINFO

_Take = Callable[[PortRange, str], socket.socket]
_BACKLOG = 1024
_PATIENCE = 5.0
"""Seconds to wait for an outgoing connection that uses a port to end."""
_TIME_WAIT = 65.0
"""Seconds to wait for the port of a connection that this host has ended: the kernel keeps it for 60 s."""
_PAUSE = 0.1
# Columns of /proc/net/tcp, see proc(5).
_LOCAL, _STATE, _IN_TIME_WAIT = 1, 3, "06"


@dataclass
class BoundPorts:
    """The sockets of a listener and its ports: held by it, held by a service, or held by nobody, with the reason."""

    sockets: list[socket.socket] = field(default_factory=list)
    listening: PortsByAddress = field(default_factory=dict)
    in_use: PortsByAddress = field(default_factory=dict)
    not_held: dict[str, dict[str, str]] = field(default_factory=dict)


def find_services(ports: Sequence[PortRange], now: Holders) -> BoundPorts:
    """Return the ports that services hold, by address, and bind none."""
    bound = BoundPorts()
    for port in ports:
        for address in sorted(now.get((port.protocol, port.first), ())):
            bound.in_use.setdefault(address, []).append(str(port))
    return bound


def bound_socket(port: PortRange, address: str) -> socket.socket:
    """Return a socket that is bound to the port. Raises OSError."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM if port.protocol == "tcp" else socket.SOCK_DGRAM)
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if port.protocol == "tcp":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # ignore old connections in TIME_WAIT
        elif family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        sock.bind((address, port.first))
        if port.protocol == "tcp":
            sock.listen(_BACKLOG)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


def bind_ports(
    ports: Sequence[PortRange],
    addresses: Sequence[str],
    before: Holders,
    take: _Take = bound_socket,
    patience: float = _PATIENCE,
) -> BoundPorts:
    """Bind each port to the wildcard addresses, or to single addresses if a service holds it on some address.

    `before`: which addresses services held before the call. `take`: the function that binds one port. `patience`:
    seconds to wait for ports that outgoing connections use; those in TIME_WAIT take up to a minute.
    """
    bound = BoundPorts()
    for port in ports:
        for version, wildcard in ANY.items():
            reason = _bind_one(bound, before, port, wildcard, take)
            if reason:
                own = [address for address in addresses if (":" in address) == (version == 6)]
                reasons = {address: _bind_one(bound, before, port, address, take) for address in own} or {
                    wildcard: reason
                }
                for address, text in reasons.items():
                    if text:
                        bound.not_held.setdefault(address, {})[str(port)] = text
    _bind_late(bound, before, take, patience)
    return bound


def _bind_late(bound: BoundPorts, before: Holders, take: _Take, patience: float) -> None:
    """Try the ports again that are in use without a service: outgoing connections use them, and many of these end."""
    began = time.monotonic()
    while waiting := list(_in_use_without_service(bound)):
        waited = time.monotonic() - began
        if waited > patience and (waited > _TIME_WAIT or not any(map(_is_left, waiting))):
            break
        time.sleep(_PAUSE)
        for address, port in waiting:
            if not _bind_one(bound, before, parse_ports(port), address, take):
                del bound.not_held[address][port]
    bound.not_held = {address: reasons for address, reasons in bound.not_held.items() if reasons}


def _is_left(held: tuple[str, str]) -> bool:
    """Return whether a connection of this port, which has ended, is in TIME_WAIT."""
    port = parse_ports(held[1])
    return port.protocol == "tcp" and port.first in ports_in_time_wait()


def ports_in_time_wait() -> set[int]:
    """Return the TCP ports of this host whose connections have ended and that the kernel does not give out yet."""
    ports = set()
    for name in ("tcp", "tcp6"):
        with suppress(OSError), open(f"/proc/self/net/{name}", encoding="ascii") as file:
            columns = [line.split() for line in file]
        ports |= {int(line[_LOCAL].rpartition(":")[2], 16) for line in columns if line[_STATE] == _IN_TIME_WAIT}
    return ports


def _in_use_without_service(bound: BoundPorts) -> Iterator[tuple[str, str]]:
    for address, reasons in bound.not_held.items():
        for port, reason in reasons.items():
            if reason == os.strerror(errno.EADDRINUSE):
                yield address, port


def _bind_one(bound: BoundPorts, before: Holders, port: PortRange, address: str, take: _Take) -> str:
    """Bind a port and record it as listening or in use; otherwise return the reason."""
    try:
        bound.sockets.append(take(port, address))
    except OSError as exc:
        if exc.errno != errno.EADDRINUSE or not is_held(before, port.protocol, port.first, address):
            return os.strerror(exc.errno or 0)
        bound.in_use.setdefault(address, []).append(str(port))
    else:
        bound.listening.setdefault(address, []).append(str(port))
    return ""
