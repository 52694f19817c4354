# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cut the established connections of this host and its containers that a policy does not allow, and no others.

It is not enough to delete the conntrack entry of a connection. The next packet that the host itself sends creates a new
entry, because the output chain judges only new connections, or does not exist. So the socket of the host is closed
first, which sends a reset to the peer. The sockets also show TCP connections that the kernel does not track, for
example connections older than the rules.

Of a TCP connection of a container, the socket is in the network namespace of the container. It is closed there, because
the chain forward accepts packets that open no connection.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Callable, NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._apply.live_connections import (
    AnyConnection,
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
from ansible_collections.hpc.ports.plugins.module_utils._linux.namespaces import close_in_namespaces, other_namespaces
from ansible_collections.hpc.ports.plugins.module_utils._linux.netlink import NetlinkError
from ansible_collections.hpc.ports.plugins.module_utils._linux.routes import Addresses, local_addresses
from ansible_collections.hpc.ports.plugins.module_utils._linux.sock_diag import Socket, destroy, sockets
from ansible_collections.hpc.ports.plugins.module_utils._model.evaluate import evaluate
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import Network, Policy
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.forwarded_connections import ForwardedConnection

_EPHEMERAL = "/proc/sys/net/ipv4/ip_local_port_range"
_PAUSE = 1.0  # seconds after which a connection that the host continues is tracked again
_NAMED = 5  # how many connections a message lists
_RETURNED = "this host continues to send"
_RETURNED_FORWARDED = "a container or guest continues to send"
_NO_ENTRIES = (
    "Cannot list the connections that the kernel tracks, so only TCP sockets were checked. Load the kernel module "
    "nf_conntrack_netlink."
)
_NO_SOCKETS = (
    "Cannot list the {0} sockets, so connections that were cut may continue as soon as this host sends. Load the "
    "kernel module {0}_diag."
)


class KernelCalls(NamedTuple):
    """The calls to the kernel: list addresses, sockets and conntrack entries, close a socket, delete an entry.

    `namespaces` returns the network namespaces of containers.
    """

    addresses: Callable[[], Addresses] = local_addresses
    sockets: Callable[[int], Iterable[Socket]] = sockets
    entries: Callable[[], Iterable[ConntrackEntry]] = entries
    destroy: Callable[[Socket], None] = destroy
    delete: Callable[[ConntrackEntry], None] = delete
    namespaces: Callable[[], Iterable[str]] = other_namespaces


class CutResult(NamedTuple):
    """The connections that were cut, such as `tcp 10.64.9.9:51000 -> 192.0.2.1:6000`.

    `not_done` says which connections were not cut and why, as sentences, or is empty.
    """

    connections: tuple[str, ...]
    not_done: str


def cut_connections(policy: Policy, calls: KernelCalls = KernelCalls(), pause: float = _PAUSE) -> CutResult:
    """Cut the connections that the policy, which runs already, does not allow.

    Waits `pause` seconds if there are any. Raises no error.
    """
    if policy.mode == "observe":
        return CutResult((), "")
    try:
        host = host_connections(policy.addresses, calls)
    except NetlinkError as exc:
        return CutResult((), f"Nothing was cut: cannot read the addresses of this host: {exc}.")
    chosen = denied_connections(policy, host)
    failed = _end_all(policy, host, chosen, calls)
    if chosen:
        time.sleep(pause)
        failed = {**_tracked_again(host.addresses, chosen, calls), **failed}
    done = {str(connection) for connection in chosen} - set(failed)
    return CutResult(tuple(sorted(done)), " ".join([*host.problems, *_failure_sentences(failed)]))


def host_connections(known: Iterable[Network] = (), calls: KernelCalls = KernelCalls()) -> HostConnections:
    """Read the state of this host, the sockets first: its policy allows every connection that is opened from now on.

    Its addresses include those by which others know it, which need not be bound here. Raises NetlinkError.
    """
    problems: list[str] = []
    held = (
        *_read_all(lambda: calls.sockets(TCP), _NO_SOCKETS.format("tcp"), problems),
        *_read_all(lambda: calls.sockets(UDP), _NO_SOCKETS.format("udp"), problems),
    )
    addresses = calls.addresses().with_networks(known)
    return HostConnections(addresses, held, _read_all(calls.entries, _NO_ENTRIES, problems), tuple(problems))


def _read_all(read: Callable[[], Iterable[Any]], problem: str, problems: list[str]) -> tuple[Any, ...]:
    try:
        return tuple(read())
    except NetlinkError as exc:
        problems.append(f"{problem} The kernel reports: {exc}.")
        return ()


def _end_all(
    policy: Policy, host: HostConnections, chosen: Sequence[AnyConnection], calls: KernelCalls
) -> dict[str, str]:
    """Close the sockets, then delete the conntrack entries; return the reason for each connection that failed."""
    held = {key_of(sock): sock for sock in host.sockets if not sock.listens}
    failed = {}
    _close_in_containers([item for item in chosen if isinstance(item, ForwardedConnection)], calls)
    for connection in chosen:
        sock, entry = held.get(connection.key), connection.entry
        try:
            # In this order, as NAT applies to the reset only while the entry exists.
            if sock and isinstance(connection, LiveConnection) and _is_closed_by_us(policy, connection):
                _unless_gone(calls.destroy, sock)
        except NetlinkError as exc:
            failed[str(connection)] = f"the kernel did not close the socket: {exc}"
        try:
            if entry:
                _unless_gone(calls.delete, entry)
        except NetlinkError as exc:
            failed[str(connection)] = f"the kernel did not delete the conntrack entry: {exc}"
    return failed


def _close_in_containers(chosen: Iterable[ForwardedConnection], calls: KernelCalls) -> None:
    """Close the sockets of containers, at either end. Guests that are no containers have none here."""
    entries_of_tcp = [item.entry for item in chosen if item.entry.there.protocol == TCP]
    if entries_of_tcp:
        ends = {way for entry in entries_of_tcp for way in (entry.there, entry.back)}
        # A connection that goes on is named afterwards.
        with suppress(OSError):
            close_in_namespaces(calls.namespaces(), ends)


def _unless_gone(end: Callable[[Any], None], target: object) -> None:
    try:
        end(target)
    except NetlinkError as exc:
        if exc.code != errno.ENOENT:
            raise


def _is_closed_by_us(policy: Policy, connection: LiveConnection) -> bool:
    """Return whether the socket is closed, too. The chains judge each UDP packet that belongs to no tracked connection.

    So a UDP socket has to be closed only where the host could continue by sending first. It stays open if this host may
    be the client, and its server sent first after a long silence: the policy allows the connections of the client.
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
        first, last = 32768, 60999  # the default of the kernel
    return range(first, last + 1)


def _tracked_again(addresses: Addresses, chosen: Iterable[AnyConnection], calls: KernelCalls) -> dict[str, str]:
    """Return the reason by connection that is tracked again; of TCP only those that the kernel picked up in the middle.

    It tracks a connection between the other ends the other way around if the end speaks first that did not open it.
    """
    own, forwarded = {}, {}
    for connection in chosen:
        if isinstance(connection, LiveConnection):
            own[connection.key] = str(connection)
        else:
            protocol, *ends = connection.key
            forwarded.update(dict.fromkeys([connection.key, (protocol, *ends[2:], *ends[:2])], str(connection)))
    reasons = {}
    for entry in _read_all(calls.entries, "", []):
        if entry.is_over or (entry.there.protocol == TCP and not entry.picked_up):
            continue
        tracked = connection_of(addresses, entry, set())
        if tracked and tracked.key in own:
            reasons[own[tracked.key]] = _RETURNED
        elif entry.there in forwarded:
            reasons[forwarded[entry.there]] = _RETURNED_FORWARDED
    return reasons


def _failure_sentences(failed: dict[str, str]) -> Iterator[str]:
    for reason in sorted(set(failed.values())):
        names = sorted(name for name, why in failed.items() if why == reason)
        more = f", … ({len(names)} in all)" if len(names) > _NAMED else ""
        yield "Not cut, because {}: {}{}.".format(reason, ", ".join(names[:_NAMED]), more)
