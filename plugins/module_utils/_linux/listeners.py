# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who listens on which ports of this host: processes and their systemd units."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._linux.bound_ports import bound_sockets

_SOCKET = re.compile(r"socket:\[(\d+)\]")
# The last unit in the path of a cgroup, such as /system.slice/ssh.service.
_UNIT = re.compile(r"/([^/]+\.(?:service|scope|socket))(?:/|$)")


class Listener(NamedTuple):
    """A port that something is bound to; `process` and `unit` are empty if it is the kernel, or is not known."""

    protocol: str
    address: str
    port: int
    process: str
    unit: str


def listeners(proc: str = "/proc") -> list[Listener]:
    """Return who listens in the network namespace of this process, each port and address once. Raises OSError."""
    bound = list(bound_sockets(f"{proc}/net"))
    names = _holders({sock.inode for sock in bound} - {0}, proc)
    found = {Listener(sock.protocol, sock.address, sock.port, *names.get(sock.inode, ("", ""))) for sock in bound}
    return sorted(found, key=lambda listener: (listener.protocol, listener.port, listener.address, listener.process))


def _holders(inodes: set[int], proc: str) -> dict[int, tuple[str, str]]:
    """Return the process and the unit of each socket, those of the lowest process id."""
    found: dict[int, tuple[str, str]] = {}
    for process in sorted(filter(str.isdigit, os.listdir(proc)), key=int):
        held = (set(_sockets_of(f"{proc}/{process}/fd")) & inodes) - found.keys()
        if held:
            name = _text(f"{proc}/{process}/comm").strip(), _unit_of(_text(f"{proc}/{process}/cgroup"))
            found.update(dict.fromkeys(held, name))
        if len(found) == len(inodes):
            break
    return found


def _sockets_of(folder: str) -> Iterator[int]:
    # A process may have ended meanwhile.
    with suppress(OSError):
        for name in os.listdir(folder):
            with suppress(OSError):
                match = _SOCKET.fullmatch(os.readlink(f"{folder}/{name}"))
                if match:
                    yield int(match[1])


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _unit_of(cgroups: str) -> str:
    """Return the systemd unit in the list of a process's cgroups, of version 1 or 2."""
    units = [match[1] for line in cgroups.splitlines() for match in _UNIT.finditer(line.split(":", 2)[-1])]
    return units[-1] if units else ""
