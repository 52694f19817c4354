# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start and stop temporary listeners: one detached process that holds free ports, and ends by itself.

The process is found by its control socket, a Unix socket in a folder that only root can write to, so no other user can
take its path. The path contains the network namespace, because each namespace has its own ports. A stop request on this
socket ends the process: no process is ever killed, so no wrong process can be hit. A killed listener leaves the socket
behind, but does not answer there; the next listener replaces it. At its end the process returns the facts that it
reported at its start, which proves that it ran all the time. On hosts with systemd it is a transient unit, so that it
survives the end of the session.
"""

from __future__ import annotations

import json
import os
import socket
import uuid
from collections.abc import Sequence
from typing import cast

from ansible_collections.hpc.ports.plugins.module_utils._linux.bound_ports import ANY, Holders, holders, is_held
from ansible_collections.hpc.ports.plugins.module_utils._linux.nft import ListingError
from ansible_collections.hpc.ports.plugins.module_utils._linux.routes import Addresses, local_addresses
from ansible_collections.hpc.ports.plugins.module_utils._model.ports import parse_ports
from ansible_collections.hpc.ports.plugins.module_utils._model.wire import Counts, ListenerFacts, StoppedListener
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
    """Start a listener and return what it holds. A running listener is stopped first.

    `patience`: seconds to wait for the running listener. Raises ListenError, NetlinkError and OSError.
    """
    _check_file_limit(len(orders.ports) * (len(ANY) + len(orders.addresses)))
    _stop_running("", patience)
    with control_socket() as control:
        now = holders()
        bound = find_services(orders.ports, now) if orders.passive else bind_ports(orders.ports, orders.addresses, now)
        facts: ListenerFacts = {
            "id": uuid.uuid4().hex,
            "listening": bound.listening,
            "in_use": bound.in_use,
            "not_held": bound.not_held,
            "own": own_among(orders.addresses, local_addresses()),
            "not_counted": _start_counting(orders),
        }
        files = frozenset(sock.fileno() for sock in (*bound.sockets, control))
        detach(files, lambda: run_listener(bound.sockets, control, facts, orders))
        close_all(bound.sockets)
    return facts


def own_among(addresses: Sequence[str], host: Addresses) -> dict[str, bool]:
    """Return whether each address is an address of this host; packets to any other are translated on their way here."""
    return {address: host.is_local(address) for address in addresses}


def _start_counting(orders: Orders) -> str:
    """Start to count packets; return why this failed, or an empty text."""
    try:
        counters.load([*orders.ports, *orders.counted], orders.key)
    except ListingError as exc:
        return str(exc)
    return ""


def stop(identity: str = "") -> StoppedListener:
    """Stop the listener with this id (any if empty), and return what it held until now.

    Raises ListenError and OSError.
    """
    counted = _counts_or_reason()
    return stop_result(identity, _stop_running(identity, ANSWER_TIMEOUT), holders(), *counted)


def stop_result(
    identity: str, facts: ListenerFacts | None, now: Holders, counts: Counts, not_counted: str
) -> StoppedListener:
    """Return the result of `stop` from the facts that a listener returned at its end.

    All values are empty if there was no listener, or another one. `in_use` has only ports that a service still holds.
    """
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
        address: [text for text in ports if is_held(now, *_protocol_and_port(text), address)]
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


def _counts_or_reason() -> tuple[Counts, str]:
    """Return the counts, or no counts and the reason."""
    try:
        return counters.read_counts(), ""
    except ListingError as exc:
        return {}, str(exc)


def _protocol_and_port(text: str) -> tuple[str, int]:
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


def _stop_running(identity: str, patience: float) -> ListenerFacts | None:
    """Send the stop request and return the facts of the listener; None if there is none. Raises ListenError."""
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
                f"The listener on this host did not answer within {patience:.0f} s. It ends by itself "
                "after its lifetime; `ss -xlp` shows its process."
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
