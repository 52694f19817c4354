# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The network namespaces of this host, such as those of containers: to enter them, and to close TCP sockets there."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress

from ansible_collections.hpc.ports.plugins.module_utils._linux.conntrack import TCP, ConntrackTuple
from ansible_collections.hpc.ports.plugins.module_utils._linux.netlink import NetlinkError
from ansible_collections.hpc.ports.plugins.module_utils._linux.sock_diag import destroy, sockets

_NETWORK = 0x40000000  # CLONE_NEWNET


def other_namespaces(proc: str = "/proc") -> list[str]:
    """Return the files of the network namespaces of all processes, except the own one, in the order of process ids."""
    found: dict[tuple[int, int], str] = {}
    for name in sorted(filter(str.isdigit, os.listdir(proc)), key=int):
        # A process may have ended meanwhile.
        with suppress(OSError):
            path = f"{proc}/{name}/ns/net"
            found.setdefault(_identity(path), path)
    found.pop(_identity(f"{proc}/thread-self/ns/net"), None)
    return list(found.values())


def _identity(path: str) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_dev, status.st_ino


@contextmanager
def entered(namespace: str) -> Iterator[None]:
    """Move this thread to a network namespace, and back at the end. Raises OSError."""
    with open("/proc/thread-self/ns/net", "rb") as before:
        _enter(namespace)
        try:
            yield
        finally:
            _set_namespace(before.fileno(), "the own one")


def _enter(namespace: str) -> None:
    with open(namespace, "rb") as file:
        _set_namespace(file.fileno(), namespace)


def _set_namespace(descriptor: int, name: str) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(descriptor, _NETWORK):
        raise OSError(ctypes.get_errno(), "setns", name)


def close_in_namespaces(namespaces: Iterable[str], ends: Collection[ConntrackTuple]) -> None:
    """Close the TCP sockets with these ends, their own first, in these network namespaces. Raises no error.

    A child does it, because a process that could not return would go on in the namespace of a container.
    """
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    try:
        for path in namespaces:
            with suppress(OSError, NetlinkError):
                _close(path, ends)
    finally:
        os._exit(0)


def _close(path: str, ends: Collection[ConntrackTuple]) -> None:
    _enter(path)
    for sock in list(sockets(TCP)):
        if not sock.listens and ConntrackTuple(*sock[:5]) in ends:
            with suppress(NetlinkError):
                destroy(sock)
