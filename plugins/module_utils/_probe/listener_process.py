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

from ansible_collections.hpc.ports.plugins.module_utils._linux.libnftables import ListingError
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
    """The listener could not be started or asked; the text says what to do."""


class Orders(NamedTuple):
    """What a listener is to do.

    ports      what to hold, or in passive mode only to look at, and to count at
    addresses  this host's own, tried one by one where a service has a port on some address only, such as 127.0.0.1
    lifetime   seconds after which it ends by itself
    key        who asks over UDP has to know it
    nonce      what it answers
    counted    more ports to count at: those that this host probes elsewhere
    passive    hold nothing, see only which services there are
    """

    ports: Sequence[PortRange]
    addresses: Sequence[str] = ()
    lifetime: int = 300
    key: str = ""
    nonce: str = ""
    counted: Sequence[PortRange] = ()
    passive: bool = False


def detach(files: frozenset[int], work: Callable[[], None]) -> None:
    """Run `work` in a process of its own session that has no file of ours open but these."""
    child = os.fork()
    if child:
        if os.waitpid(child, 0)[1]:
            raise ListenError("Cannot start the listener: no process could be made for it.")
        return
    try:
        os.setsid()
        if os.fork():
            os._exit(0)
    except OSError:
        os._exit(1)
    try:
        _let_go(files)
        work()
    finally:
        os._exit(0)


def _let_go(files: frozenset[int]) -> None:
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    for number in [int(name) for name in os.listdir("/proc/self/fd")]:
        if number > 2 and number not in files:
            with contextlib.suppress(OSError):
                os.close(number)
    with contextlib.suppress(OSError), open("/proc/self/comm", "w", encoding="utf-8") as file:
        file.write("hpc-ports")  # what `ss -p` shows


def run_listener(
    sockets: Sequence[socket.socket], control: socket.socket, facts: ListenerFacts, orders: Orders
) -> None:
    """What the process does, to its end; then nothing of the run is left on this host."""
    for number in (signal.SIGTERM, signal.SIGALRM, signal.SIGHUP):
        signal.signal(number, _end)
    signal.alarm(orders.lifetime + 5)  # ends the process even where the loop hangs
    try:
        own_scope(_UNIT.format(facts["id"]), "temporary listeners of hpc.ports", orders.lifetime + 10)
        is_told = serve(sockets, control, facts, orders)
    except SystemExit:
        is_told = False
    if not is_told:
        _stop_counting()
        _give_up(control)


def _stop_counting() -> None:
    with contextlib.suppress(ListingError):
        counters.unload()


def _end(number: int, frame: object) -> None:
    raise SystemExit


def serve(sockets: Sequence[socket.socket], control: socket.socket, facts: ListenerFacts, orders: Orders) -> bool:
    """Take connections and answer datagrams; return True when told to end, False when the lifetime is over."""
    said, asked = greeting(orders.nonce), question(orders.key)
    deadline = time.monotonic() + orders.lifetime
    with selectors.DefaultSelector() as selector:
        for sock in sockets:
            is_tcp = sock.type == socket.SOCK_STREAM
            selector.register(sock, selectors.EVENT_READ, _take(said) if is_tcp else _answer(asked, said))
        selector.register(control, selectors.EVENT_READ)
        while time.monotonic() < deadline:
            for key, _events in selector.select(max(0.0, deadline - time.monotonic())):
                if key.data:
                    key.data(key.fileobj)
                elif _handle_stop(control, facts, sockets):
                    return True
    return False


def _take(said: bytes) -> Callable[[socket.socket], None]:
    """Return what takes one connection, and says the nonce. The probe closes it by a reset."""

    def take(sock: socket.socket) -> None:
        with contextlib.suppress(OSError), sock.accept()[0] as connection:
            connection.send(said)

    return take


def _answer(asked: bytes, said: bytes) -> Callable[[socket.socket], None]:
    """Return what answers one datagram, from the address that was asked, also where the host has several."""

    def answer(sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            datagram, extra, flags, peer = sock.recvmsg(len(asked) + 1, 128)
            if datagram == asked:
                sock.sendmsg([said], [reply_control(*item) for item in extra], 0, peer)

    return answer


def reply_control(level: int, kind: int, data: bytes) -> tuple[int, int, bytes]:
    """Return what has an answer go out from the address that was asked: what came with the datagram, without its way."""
    if level == socket.IPPROTO_IP and kind == IP_PKTINFO:
        interface, local, asked = _PKTINFO.unpack(data)
        data = _PKTINFO.pack(0, local, asked)
    return level, kind, data


def socket_path() -> str:
    """Return where the listener of this network namespace is found. Raises OSError."""
    return f"{FOLDER}/listen-{os.stat(_NETWORK).st_ino}"


def control_socket() -> socket.socket:
    """Return a new socket at that place, where nobody answers. Raises ListenError."""
    sock = socket.socket(socket.AF_UNIX)
    try:
        with _alone():
            _clear(socket_path())
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
def _alone() -> Iterator[None]:
    """Have this process alone look at the place and take it."""
    os.makedirs(FOLDER, mode=0o700, exist_ok=True)
    handle = os.open(FOLDER, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _clear(path: str) -> None:
    """Remove what a process has left there that was killed. Raises ListenError where one answers, and OSError."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(ANSWER_TIMEOUT)
        try:
            sock.connect(path)
        except FileNotFoundError:
            return
        except ConnectionRefusedError:
            os.unlink(path)
            return
    raise ListenError("Cannot start the listener: another one is being started on this host. Run one verify at a time.")


def unusable_socket(exc: OSError) -> ListenError:
    hint = " A listener needs root: set become." if isinstance(exc, PermissionError) else ""
    return ListenError(f"Cannot use {socket_path()}, where a listener is found: {exc.strerror}.{hint}")


def _give_up(control: socket.socket) -> None:
    """Leave the place: first its name goes, then nobody answers there."""
    with contextlib.suppress(OSError):
        os.unlink(control.getsockname())
    control.close()


def _handle_stop(control: socket.socket, facts: ListenerFacts, sockets: Sequence[socket.socket]) -> bool:
    with contextlib.suppress(OSError), control.accept()[0] as connection:
        if user_of(connection) != os.geteuid():
            return False
        connection.settimeout(1.0)
        # Who only looks whether there is a listener says nothing.
        is_meant = connection.recv(64).decode(errors="replace") in (STOP_REQUEST, STOP_REQUEST + facts["id"])
        if is_meant:
            _stop_counting()
            close_all(sockets)
            _give_up(control)
        connection.sendall(json.dumps(facts).encode())
        return is_meant
    return False


def user_of(sock: socket.socket) -> int:
    raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(raw)[1])


def close_all(sockets: Sequence[socket.socket]) -> None:
    for sock in sockets:
        sock.close()
