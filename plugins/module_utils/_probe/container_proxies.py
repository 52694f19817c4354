# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proxies of containers on this host, which take connections whether or not they reach their container.

docker-proxy takes the connection to a published port first, and connects to the container then. Where that fails, a client
is connected and hears nothing.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Callable, NamedTuple

_PROGRAM = "docker-proxy"
_PATIENCE = 1.0  # seconds; the container is on this host


class Proxy(NamedTuple):
    """A TCP port of this host, and where in a container its connections go."""

    port: int
    address: str
    target: int


def proxies(proc: str = "/proc") -> Iterator[Proxy]:
    """Yield the proxies that run, by their command lines."""
    for pid in filter(str.isdigit, os.listdir(proc)):
        with suppress(OSError, KeyError, ValueError):
            with open(f"{proc}/{pid}/cmdline", "rb") as file:
                words = file.read().decode("utf-8", "replace").split("\0")
            options = dict(zip(words[1::2], words[2::2]))
            if os.path.basename(words[0]) == _PROGRAM and options["-proto"] == "tcp":
                yield Proxy(
                    int(options["-host-port"]),
                    str(ipaddress.ip_address(options["-container-ip"])),
                    int(options["-container-port"]),
                )


def connects(address: str, port: int) -> str:
    """Return why this host cannot connect to an address; empty where it can."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with closing(socket.socket(family, socket.SOCK_STREAM)) as sock:
        sock.settimeout(_PATIENCE)
        try:
            sock.connect((address, port))
        except socket.timeout:
            return "no answer"
        except OSError as exc:
            return os.strerror(exc.errno or 0)
    return ""


def dead_ends(proc: str = "/proc", try_to_connect: Callable[[str, int], str] = connects) -> dict[str, str]:
    """Return by port, such as `8080/tcp`, what a proxy has behind it that this host cannot connect to, and why."""
    reasons = {found: try_to_connect(found.address, found.target) for found in set(proxies(proc))}
    return {
        f"{found.port}/tcp": f"{found.address} port {found.target}: {reason}"
        for found, reason in sorted(reasons.items())
        if reason
    }
