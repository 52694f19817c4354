# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ssh connection over which this process was started, as the host sees it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from typing import Callable, NamedTuple

_VARIABLE = b"SSH_CONNECTION="
# The name of no interface: an unknown interface is not trusted.
UNKNOWN = "?"
# IPv4 mapped into IPv6 (RFC 4291, 2.5.5.2).
_MAPPED = bytes(10) + b"\xff\xff"
# Returns the interface towards an address, from an address of this host.
Towards = Callable[[str, str], str]


class SshConnection(NamedTuple):
    """Both ends of a TCP connection; addresses are text without a scope, `interface` is an interface of this host."""

    client: str
    client_port: int
    server: str
    server_port: int
    interface: str = UNKNOWN

    def __str__(self) -> str:
        """Return the end of the client, for messages."""
        return f"{self.client} port {self.client_port}"


def _unasked(client: str, server: str) -> str:
    return UNKNOWN


def ssh_connection(towards: Towards = _unasked) -> SshConnection | None:
    """Return the connection of the nearest ancestor process with SSH_CONNECTION, or None.

    sudo and su remove SSH_CONNECTION from the environment; the process that started them still has it.
    """
    for pid in _ancestors(os.getpid()):
        for variable in _content(f"/proc/{pid}/environ").split(b"\0"):
            if variable.startswith(_VARIABLE):
                return parsed_connection(variable[len(_VARIABLE) :].decode("ascii", "replace"), towards)
    return None


def _ancestors(pid: int) -> Iterator[int]:
    while pid > 0:
        yield pid
        # proc(5): the name is in parentheses and may have any characters; the state and the parent follow it.
        fields = _content(f"/proc/{pid}/stat").rpartition(b")")[2].split()
        pid = int(fields[1]) if len(fields) > 1 else 0


def _content(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def parsed_connection(text: str, towards: Towards = _unasked) -> SshConnection | None:
    """Return the connection of a text such as `10.0.0.9 51234 10.0.0.1 22`, or None if it has another form.

    sshd writes the address and port of the client, then those of the server. `towards` returns the interface to the
    client from the address of the server.
    """
    parts = text.split()
    if len(parts) != 4:
        return None
    try:
        found = SshConnection(_address(parts[0]), int(parts[1]), _address(parts[2]), int(parts[3]))
    except (OSError, ValueError):
        return None
    return found._replace(interface=_scope(parts[0]) or towards(found.client, found.server))


def _address(text: str) -> str:
    """Return an address without its scope; nftables sees IPv4 mapped into IPv6 as IPv4. Raises OSError, ValueError."""
    raw = socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text.partition("%")[0])
    raw = raw[len(_MAPPED) :] if raw.startswith(_MAPPED) else raw
    return socket.inet_ntop(socket.AF_INET if len(raw) == 4 else socket.AF_INET6, raw)


def _scope(text: str) -> str:
    return text.partition("%")[2]
