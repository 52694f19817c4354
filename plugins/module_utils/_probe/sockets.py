# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Helpers of listeners and probes: parse a single port, raise the limit of open files, avoid TIME_WAIT."""

from __future__ import annotations

import resource
import socket
import struct

from ansible_collections.hpc.ports.plugins.module_utils._model.ports import PortRange, parse_ports


def single_port(text: object) -> PortRange:
    """Return the port of a text such as `22/tcp`. Raises ValueError for a range or an IP protocol."""
    port = parse_ports(text)
    if port.first != port.last or port.protocol == "ip":
        raise ValueError(f"got {text!r}, expected one port of tcp or udp, such as '22/tcp'")
    return port


def raise_file_limit(wanted: int) -> int:
    """Raise the limit of open files to `wanted` if the hard limit allows; return the new limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    reached = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (reached, hard))
    return reached


def reset_on_close(sock: socket.socket) -> None:
    """Make close() reset a TCP connection, so that no TIME_WAIT remains."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
