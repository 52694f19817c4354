# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find userland proxies of containers (docker-proxy) whose container does not answer.

docker-proxy accepts a connection to a published port before it connects to the container. If the container does not
answer, the client is connected but never receives data.
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
    """A published TCP port of this host, and the address and port of the container behind it."""

    port: int
    address: str
    target: int


def proxies(proc: str = "/proc") -> Iterator[Proxy]:
    """Yield the running proxies, found by their command lines."""
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
    """Return why this host cannot connect to an address; empty if it can."""
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
    """Return by published port, such as `8080/tcp`, the container address that does not answer, and the reason."""
    reasons = {proxy: try_to_connect(proxy.address, proxy.target) for proxy in set(proxies(proc))}
    return {
        f"{proxy.port}/tcp": f"{proxy.address} port {proxy.target}: {reason}"
        for proxy, reason in sorted(reasons.items())
        if reason
    }
