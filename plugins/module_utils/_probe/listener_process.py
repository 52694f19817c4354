# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The detached process of the listener: it holds the ports, answers probes, and ends on request or by itself."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import selectors
import signal
import socket
import struct
import time
from collections.abc import Iterator, Sequence
from typing import Callable, NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._linux.nft import ListingError
from ansible_collections.hpc.ports.plugins.module_utils._linux.systemd import own_scope
from ansible_collections.hpc.ports.plugins.module_utils._model.names import FOLDER
from ansible_collections.hpc.ports.plugins.module_utils._model.ports import PortRange
from ansible_collections.hpc.ports.plugins.module_utils._model.wire import ListenerFacts
from ansible_collections.hpc.ports.plugins.module_utils._probe import counters
from ansible_collections.hpc.ports.plugins.module_utils._probe.protocol import greeting, question

_NETWORK = "/proc/thread-self/ns/net"
STOP_REQUEST = "end "
_UNIT = "hpc-ports-verify-{0}.scope"
ANSWER_TIMEOUT = 10.0  # seconds; a listener answers within milliseconds
# linux/in.h; Python 3.9 has no name for it.
IP_PKTINFO = 8
_PKTINFO = struct.Struct("=I4s4s")
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid


class ListenError(RuntimeError):
    """The listener cannot be started or stopped; the text says what to do."""


class Orders(NamedTuple):
    """The task of a listener.

    ports      ports to hold and to count packets at; in passive mode only to count at and to look for services
    addresses  addresses of this host, bound one by one if a service holds a port on some address only (127.0.0.1)
    lifetime   seconds after which the process ends by itself
    key        a UDP request is answered only if it has this key
    nonce      the answer to probes
    counted    more ports to count packets at: those that this host probes on other hosts
    passive    hold no port, only report the services
    """

    ports: Sequence[PortRange]
    addresses: Sequence[str] = ()
    lifetime: int = 300
    key: str = ""
    nonce: str = ""
    counted: Sequence[PortRange] = ()
    passive: bool = False


def detach(files: frozenset[int], work: Callable[[], None]) -> None:
    """Run `work` in a detached process with its own session, which keeps only `files` open."""
    child = os.fork()
    if child:
        if os.waitpid(child, 0)[1]:
            raise ListenError("Cannot start the listener: cannot create a process.")
        return
    try:
        os.setsid()
        if os.fork():
            os._exit(0)
    except OSError:
        os._exit(1)
    try:
        _close_other_files(files)
        work()
    finally:
        os._exit(0)


def _close_other_files(files: frozenset[int]) -> None:
    """Close all other files, leave the current folder, and set the name of the process."""
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    for number in [int(name) for name in os.listdir("/proc/self/fd")]:
        if number > 2 and number not in files:
            with contextlib.suppress(OSError):
                os.close(number)
    with contextlib.suppress(OSError), open("/proc/self/comm", "w", encoding="utf-8") as file:
        file.write("hpc-ports")  # the name that `ss -p` shows


def run_listener(
    sockets: Sequence[socket.socket], control: socket.socket, facts: ListenerFacts, orders: Orders
) -> None:
    """Serve until the end, then remove the counting table and the control socket."""
    for number in (signal.SIGTERM, signal.SIGALRM, signal.SIGHUP):
        signal.signal(number, _end)
    signal.alarm(orders.lifetime + 5)  # ends the process even if the loop hangs
    try:
        own_scope(_UNIT.format(facts["id"]), "temporary listeners of hpc.ports", orders.lifetime + 10)
        is_stopped = serve(sockets, control, facts, orders)
    except SystemExit:
        is_stopped = False
    if not is_stopped:
        _stop_counting()
        _remove_control_socket(control)


def _stop_counting() -> None:
    with contextlib.suppress(ListingError):
        counters.unload()


def _end(number: int, frame: object) -> None:
    raise SystemExit


def serve(sockets: Sequence[socket.socket], control: socket.socket, facts: ListenerFacts, orders: Orders) -> bool:
    """Answer connections and datagrams. Return True after a stop request, False at the end of the lifetime."""
    answer, request = greeting(orders.nonce), question(orders.key)
    deadline = time.monotonic() + orders.lifetime
    with selectors.DefaultSelector() as selector:
        for sock in sockets:
            is_tcp = sock.type == socket.SOCK_STREAM
            selector.register(
                sock, selectors.EVENT_READ, _tcp_handler(answer) if is_tcp else _udp_handler(request, answer)
            )
        selector.register(control, selectors.EVENT_READ)
        while time.monotonic() < deadline:
            for key, _events in selector.select(max(0.0, deadline - time.monotonic())):
                if key.data:
                    key.data(key.fileobj)
                elif _handle_stop(control, facts, sockets):
                    return True
    return False


def _tcp_handler(answer: bytes) -> Callable[[socket.socket], None]:
    """Return a function that accepts one connection and sends the nonce. The probe closes the connection by a reset."""

    def accept(sock: socket.socket) -> None:
        with contextlib.suppress(OSError), sock.accept()[0] as connection:
            connection.send(answer)

    return accept


def _udp_handler(request: bytes, answer: bytes) -> Callable[[socket.socket], None]:
    """Return a function that answers one datagram, from the address that the datagram was sent to."""

    def reply(sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            datagram, control_messages, flags, peer = sock.recvmsg(len(request) + 1, 128)
            if datagram == request:
                sock.sendmsg([answer], [reply_control(*message) for message in control_messages], 0, peer)

    return reply


def reply_control(level: int, kind: int, data: bytes) -> tuple[int, int, bytes]:
    """Return the control message that makes an answer leave from the address that the datagram was sent to.

    This is the control message of the datagram without its interface, so that the kernel chooses the route.
    """
    if level == socket.IPPROTO_IP and kind == IP_PKTINFO:
        interface, local, destination = _PKTINFO.unpack(data)
        data = _PKTINFO.pack(0, local, destination)
    return level, kind, data


def socket_path() -> str:
    """Return the path of the control socket for this network namespace. Raises OSError."""
    return f"{FOLDER}/listen-{os.stat(_NETWORK).st_ino}"


def control_socket() -> socket.socket:
    """Return a new control socket. Raises ListenError, for example if another listener answers there."""
    sock = socket.socket(socket.AF_UNIX)
    try:
        with _folder_lock():
            _remove_stale_socket(socket_path())
            sock.bind(socket_path())
            sock.listen()
    except OSError as exc:
        sock.close()
        raise unusable_socket(exc) from exc
    except ListenError:
        sock.close()
        raise
    return sock


@contextlib.contextmanager
def _folder_lock() -> Iterator[None]:
    """Lock the folder, so that only one process at a time checks and creates the control socket."""
    os.makedirs(FOLDER, mode=0o700, exist_ok=True)
    handle = os.open(FOLDER, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _remove_stale_socket(path: str) -> None:
    """Remove the socket of a killed process. Raises ListenError if a process answers there, and OSError."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(ANSWER_TIMEOUT)
        try:
            sock.connect(path)
        except FileNotFoundError:
            return
        except ConnectionRefusedError:
            os.unlink(path)
            return
    raise ListenError(
        "Cannot start the listener: another one is being started on this host. Run only one verify at a time."
    )


def unusable_socket(exc: OSError) -> ListenError:
    """Return the error for a control socket that cannot be used."""
    hint = " A listener needs root: set become." if isinstance(exc, PermissionError) else ""
    return ListenError(f"Cannot use the control socket {socket_path()}: {exc.strerror}.{hint}")


def _remove_control_socket(control: socket.socket) -> None:
    """Remove the control socket: first its path, so that no process can connect to a socket that is being closed."""
    with contextlib.suppress(OSError):
        os.unlink(control.getsockname())
    control.close()


def _handle_stop(control: socket.socket, facts: ListenerFacts, sockets: Sequence[socket.socket]) -> bool:
    """Answer one connection to the control socket; return whether it is a stop request for this listener."""
    with contextlib.suppress(OSError), control.accept()[0] as connection:
        if user_of(connection) != os.geteuid():
            return False
        connection.settimeout(1.0)
        # A process that only checks for a listener sends nothing.
        is_stop_request = connection.recv(64).decode(errors="replace") in (STOP_REQUEST, STOP_REQUEST + facts["id"])
        if is_stop_request:
            _stop_counting()
            close_all(sockets)
            _remove_control_socket(control)
        connection.sendall(json.dumps(facts).encode())
        return is_stop_request
    return False


def user_of(sock: socket.socket) -> int:
    """Return the uid of the process at the other end of a Unix socket."""
    raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(raw)[1])


def close_all(sockets: Sequence[socket.socket]) -> None:
    """Close the sockets."""
    for sock in sockets:
        sock.close()
