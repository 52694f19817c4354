# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cut the living connections of this host that a policy does not allow, and only those.

To have the kernel forget a connection is not enough: the next packet that the host itself sends makes it known again,
as the output chain judges only openings, or is not there. So the host's own socket is closed first, with a reset to
the peer. The sockets also tell of TCP connections that the kernel does not track, such as those older than the rules.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Iterable, Iterator
from typing import Any, Callable, NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._apply.live_connections import (
    HostConnections,
    LiveConnection,
    connection_of,
    denied_connections,
    key_of,
)
from ansible_collections.hpc.ports.plugins.module_utils._linux.conntrack import (
    TCP,
    UDP,
    ConntrackEntry,
    delete,
    entries,
)
from ansible_collections.hpc.ports.plugins.module_utils._linux.netlink import NetlinkError
from ansible_collections.hpc.ports.plugins.module_utils._linux.routes import Addresses, local_addresses
from ansible_collections.hpc.ports.plugins.module_utils._linux.sock_diag import Socket, destroy, sockets
from ansible_collections.hpc.ports.plugins.module_utils._model.evaluate import evaluate
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import Policy

_EPHEMERAL = "/proc/sys/net/ipv4/ip_local_port_range"
_PAUSE = 1.0  # seconds after which a connection that the host goes on with is tracked again
_NAMED = 5  # connections in a message
_RETURNED = "this host goes on sending"
_NO_ENTRIES = (
    "The connections that the kernel tracks cannot be listed, so only sockets of tcp were looked at. "
    "Load the kernel module nf_conntrack_netlink."
)
_NO_SOCKETS = (
    "The sockets of {0} cannot be listed, so what was cut may go on as soon as this host sends. "
    "Load the kernel module {0}_diag."
)


class KernelCalls(NamedTuple):
    """How the kernel is asked what there is, and told what goes."""

    addresses: Callable[[], Addresses] = local_addresses
    sockets: Callable[[int], Iterable[Socket]] = sockets
    entries: Callable[[], Iterable[ConntrackEntry]] = entries
    destroy: Callable[[Socket], None] = destroy
    delete: Callable[[ConntrackEntry], None] = delete


class CutResult(NamedTuple):
    """What was cut, such as `tcp 10.64.9.9:51000 -> 192.0.2.1:6000`; what was not, and why, empty when all was."""

    connections: tuple[str, ...]
    not_done: str


def cut_connections(policy: Policy, calls: KernelCalls = KernelCalls(), pause: float = _PAUSE) -> CutResult:
    """Cut what the policy, which runs already, does not allow; takes `pause` where there is any. Raises nothing."""
    if policy.mode == "observe":
        return CutResult((), "")
    try:
        host = _this_host(calls)
    except NetlinkError as exc:
        return CutResult((), f"Nothing was cut: the kernel does not tell the addresses of this host: {exc}.")
    chosen = denied_connections(policy, host)
    failed = _end_all(policy, host, chosen, calls)
    if chosen:
        time.sleep(pause)
        failed = {**dict.fromkeys(_returned(host.addresses, chosen, calls), _RETURNED), **failed}
    done = {str(connection) for connection in chosen} - set(failed)
    return CutResult(tuple(sorted(done)), " ".join([*host.problems, *_worded(failed)]))


def _this_host(calls: KernelCalls) -> HostConnections:
    """The sockets come first: whatever is opened from now on, the policy allows."""
    problems: list[str] = []
    held = (
        *_listed(lambda: calls.sockets(TCP), _NO_SOCKETS.format("tcp"), problems),
        *_listed(lambda: calls.sockets(UDP), _NO_SOCKETS.format("udp"), problems),
    )
    return HostConnections(calls.addresses(), held, _listed(calls.entries, _NO_ENTRIES, problems), tuple(problems))


def _listed(read: Callable[[], Iterable[Any]], problem: str, problems: list[str]) -> tuple[Any, ...]:
    try:
        return tuple(read())
    except NetlinkError as exc:
        problems.append(f"{problem} The kernel says: {exc}.")
        return ()


def _end_all(
    policy: Policy, host: HostConnections, chosen: Iterable[LiveConnection], calls: KernelCalls
) -> dict[str, str]:
    """Close the sockets, then have the kernel forget the connections; return what failed, and why."""
    held = {key_of(sock): sock for sock in host.sockets if not sock.listens}
    failed = {}
    for connection in chosen:
        sock, entry = held.get(connection.key), connection.entry
        try:
            # In this order: the reset to the peer is translated as the connection was.
            if sock and _is_closed_by_us(policy, connection):
                _unless_gone(calls.destroy, sock)
        except NetlinkError as exc:
            failed[str(connection)] = f"the kernel does not close their sockets: {exc}"
        try:
            if entry:
                _unless_gone(calls.delete, entry)
        except NetlinkError as exc:
            failed[str(connection)] = f"the kernel does not forget them: {exc}"
    return failed


def _unless_gone(end: Callable[[Any], None], item: object) -> None:
    try:
        end(item)
    except NetlinkError as exc:
        if exc.code != errno.ENOENT:
            raise


def _is_closed_by_us(policy: Policy, connection: LiveConnection) -> bool:
    """Tell whether the socket goes, too. For UDP the chains judge each packet of what is not tracked.

    So a socket of UDP has to go only where the host may send by itself. It stays where it may be a client's, which its
    server spoke to first after a long silence: what a client opens the policy allows.
    """
    if connection.protocol == TCP:
        return True
    if connection.directions[0] == "out":
        return False
    return not (connection.local_port in _ephemeral_ports() and evaluate(policy, connection.opening("out")).passes)


def _ephemeral_ports() -> range:
    try:
        with open(_EPHEMERAL, encoding="ascii") as file:
            first, last = map(int, file.read().split())
    except OSError:
        first, last = 32768, 60999  # what the kernel starts with
    return range(first, last + 1)


def _returned(addresses: Addresses, chosen: Iterable[LiveConnection], calls: KernelCalls) -> Iterator[str]:
    """Yield those connections that are tracked again, in their middle where that can be told."""
    names = {connection.key: str(connection) for connection in chosen}
    for entry in _listed(calls.entries, "", []):
        found = connection_of(addresses, entry, set())
        if found and found.key in names and (entry.picked_up or found.protocol != TCP) and not entry.is_over:
            yield names[found.key]


def _worded(failed: dict[str, str]) -> Iterator[str]:
    for reason in sorted(set(failed.values())):
        names = sorted(name for name, why in failed.items() if why == reason)
        more = f", … ({len(names)} in all)" if len(names) > _NAMED else ""
        yield "Not cut, as {}: {}{}.".format(reason, ", ".join(names[:_NAMED]), more)
