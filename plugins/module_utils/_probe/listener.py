# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Temporary listeners: one detached process that holds ports where nobody listens, and ends by itself.

The process is found by a Unix socket in a folder that only root can write to, so no other user can take its name. The
socket is named by the network namespace, because there is one set of ports in each. The process is ended by a word on
that socket: nothing is ever killed, so no other process can be hit. A process that is killed leaves the socket behind,
where nobody answers: the next one takes its place. What it said at its start it says again at its end, which proves that
it was there all the time. Where systemd runs the host it is a transient unit, so that the end of a session does not end
it.
"""

from __future__ import annotations

import json
import os
import socket
import uuid
from collections.abc import Sequence
from typing import cast

from ansible_collections.hpc.ports.plugins.module_utils._linux.bound_ports import ANY, Holders, holders, is_held
from ansible_collections.hpc.ports.plugins.module_utils._linux.libnftables import ListingError
from ansible_collections.hpc.ports.plugins.module_utils._linux.routes import Addresses, local_addresses
from ansible_collections.hpc.ports.plugins.module_utils._model.ports import parse_ports
from ansible_collections.hpc.ports.plugins.module_utils._model.wire import Counts, ListenerFacts, ListenResult
from ansible_collections.hpc.ports.plugins.module_utils._probe import counters
from ansible_collections.hpc.ports.plugins.module_utils._probe.binding import bind_ports, find_services
from ansible_collections.hpc.ports.plugins.module_utils._probe.listener_process import (
    ANSWER_TIMEOUT,
    STOP_REQUEST,
    ListenError,
    Orders,
    close_all,
    control_socket,
    detach,
    run_listener,
    socket_path,
    unusable_socket,
    user_of,
)
from ansible_collections.hpc.ports.plugins.module_utils._probe.sockets import raise_file_limit

_SPARE_FILES = 64


# ---- start and stop


def start(orders: Orders, patience: float = ANSWER_TIMEOUT) -> ListenerFacts:
    """Start the listener, in place of one that may run and has to answer by then, and return what it holds.

    Keys: id, listening, in_use, not_held, own, and not_counted: why nothing is counted, or nothing. Raises ListenError,
    NetlinkError and OSError.
    """
    _check_file_limit(len(orders.ports) * (len(ANY) + len(orders.addresses)))
    _ended("", patience)
    with control_socket() as control:
        now = holders()
        found = find_services(orders.ports, now) if orders.passive else bind_ports(orders.ports, orders.addresses, now)
        facts: ListenerFacts = {
            "id": uuid.uuid4().hex,
            "listening": found.listening,
            "in_use": found.in_use,
            "not_held": found.not_held,
            "own": own_among(orders.addresses, local_addresses()),
            "not_counted": _counting(orders),
        }
        files = frozenset(sock.fileno() for sock in (*found.sockets, control))
        detach(files, lambda: run_listener(found.sockets, control, facts, orders))
        close_all(found.sockets)
    return facts


def own_among(addresses: Sequence[str], host: Addresses) -> dict[str, bool]:
    """Return of each address whether it is one of this host's own; one that is not is translated on the way here."""
    return {address: host.is_local(address) for address in addresses}


def _counting(orders: Orders) -> str:
    """Begin to count; return why that could not be."""
    try:
        counters.load([*orders.ports, *orders.counted], orders.key)
    except ListingError as exc:
        return str(exc)
    return ""


def stop(identity: str = "") -> ListenResult:
    """End the listener that `identity` names (any when empty) and return what was there until now.

    Keys: alive, listening, not_held, own, of in_use what a service still holds, not_counted, and counts, see `counting`.
    Raises ListenError and OSError.
    """
    counted = _counted()
    return stop_result(identity, _ended(identity, ANSWER_TIMEOUT), holders(), *counted)


def stop_result(
    identity: str, facts: ListenerFacts | None, now: Holders, counts: Counts, not_counted: str
) -> ListenResult:
    """Return what `stop` returns of what a listener said at its end: nothing where it is another one, or none."""
    if not facts or identity not in ("", facts["id"]):
        return {
            "alive": False,
            "listening": {},
            "in_use": {},
            "not_held": {},
            "own": {},
            "not_counted": "",
            "counts": {},
        }
    in_use = {
        address: [text for text in ports if is_held(now, *_key(text), address)]
        for address, ports in facts["in_use"].items()
    }
    return {
        "alive": True,
        "listening": facts["listening"],
        "in_use": in_use,
        "not_held": facts["not_held"],
        "own": facts["own"],
        "not_counted": facts["not_counted"] or not_counted,
        "counts": counts,
    }


def _counted() -> tuple[Counts, str]:
    """What was counted, or nothing and why."""
    try:
        return counters.read_counts(), ""
    except ListingError as exc:
        return {}, str(exc)


def _key(text: str) -> tuple[str, int]:
    port = parse_ports(text)
    return port.protocol, port.first


def _check_file_limit(most: int) -> None:
    limit = raise_file_limit(most + _SPARE_FILES)
    if limit < most + _SPARE_FILES:
        raise ListenError(
            f"Too many ports for the limit of open files: got {limit}, expected {most + _SPARE_FILES}. "
            "Raise the hard limit (ulimit -Hn), or name fewer ports."
        )


# ---- the control socket


def _ended(identity: str, patience: float) -> ListenerFacts | None:
    """Tell the listener to end and return what it says; nothing where there is none. Raises ListenError."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(patience)
        try:
            sock.connect(socket_path())
            _check_user(sock)
            sock.sendall((STOP_REQUEST + identity).encode())
            sock.shutdown(socket.SHUT_WR)
            return cast(ListenerFacts, dict(json.loads(b"".join(iter(lambda: sock.recv(65536), b"")))))
        except socket.timeout as exc:
            raise ListenError(
                f"The listener on this host does not answer within {patience:.0f} s. It ends by itself "
                "at the end of its lifetime; `ss -xlp` shows its process."
            ) from exc
        except (ConnectionError, FileNotFoundError, ValueError):
            return None
        except OSError as exc:
            raise unusable_socket(exc) from exc


def _check_user(sock: socket.socket) -> None:
    user = user_of(sock)
    if user != os.geteuid():
        raise ListenError(
            f"A process of uid {user} answers at {socket_path()}, expected uid {os.geteuid()}. End that process; "
            "`ss -xlp` shows it."
        )
