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

import contextlib
import errno
import fcntl
import json
import os
import selectors
import signal
import socket
import struct
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Callable, NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._linux.bound_ports import ANY, Holders, holders, is_held
from ansible_collections.hpc.ports.plugins.module_utils._linux.libnftables import ListingError
from ansible_collections.hpc.ports.plugins.module_utils._linux.routes import Addresses, local_addresses
from ansible_collections.hpc.ports.plugins.module_utils._linux.systemd import own_scope
from ansible_collections.hpc.ports.plugins.module_utils._model.names import FOLDER
from ansible_collections.hpc.ports.plugins.module_utils._model.ports import PortRange, parse_ports
from ansible_collections.hpc.ports.plugins.module_utils._probe import counters
from ansible_collections.hpc.ports.plugins.module_utils._probe.protocol import greeting, question
from ansible_collections.hpc.ports.plugins.module_utils._probe.sockets import raise_file_limit

# Ports by the address that they are bound to, such as {"0.0.0.0": ["22/tcp"]}.
ByAddress = dict[str, list[str]]
_Take = Callable[[PortRange, str], socket.socket]

_NETWORK = "/proc/thread-self/ns/net"
_TO_END = "end "
_UNIT = "hpc-ports-verify-{0}.scope"
_PATIENCE = 10.0  # seconds; a listener answers within milliseconds
_BACKLOG = 1024
_SPARE_FILES = 64
# linux/in.h; Python 3.9 has no name for it.
_IP_PKTINFO = 8
_PKTINFO = struct.Struct("=I4s4s")
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid


class ListenError(RuntimeError):
    """The listener could not be started or asked; the text says what to do."""


@dataclass
class Bound:
    """What was bound: `listening` is ours, `in_use` a service's, `not_held` nobody's, with the reason."""

    sockets: list[socket.socket] = field(default_factory=list)
    listening: ByAddress = field(default_factory=dict)
    in_use: ByAddress = field(default_factory=dict)
    not_held: dict[str, dict[str, str]] = field(default_factory=dict)


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


# ---- start and stop


def start(orders: Orders, patience: float = _PATIENCE) -> dict[str, Any]:
    """Start the listener, in place of one that may run and has to answer by then, and return what it holds.

    Keys: id, listening, in_use, not_held, own, and not_counted: why nothing is counted, or nothing. Raises ListenError,
    NetlinkError and OSError.
    """
    _check_file_limit(len(orders.ports) * (len(ANY) + len(orders.addresses)))
    _ended("", patience)
    with _control() as control:
        now = holders()
        found = seen(orders.ports, now) if orders.passive else bind(orders.ports, orders.addresses, now)
        facts = {
            "id": uuid.uuid4().hex,
            "listening": found.listening,
            "in_use": found.in_use,
            "not_held": found.not_held,
            "own": own_among(orders.addresses, local_addresses()),
            "not_counted": _counting(orders),
        }
        files = frozenset(sock.fileno() for sock in (*found.sockets, control))
        _detach(files, lambda: _listen(found.sockets, control, facts, orders))
        _close(found.sockets)
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


def stop(identity: str = "") -> dict[str, Any]:
    """End the listener that `identity` names (any when empty) and return what was there until now.

    Keys: alive, listening, not_held, own, of in_use what a service still holds, not_counted, and counts, see `counting`.
    Raises ListenError and OSError.
    """
    counted = _counted()
    return until_now(identity, _ended(identity, _PATIENCE), holders(), *counted)


def until_now(
    identity: str, facts: dict[str, Any], now: Holders, counts: counters.Counts, not_counted: str
) -> dict[str, Any]:
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


def _counted() -> tuple[counters.Counts, str]:
    """What was counted, or nothing and why."""
    try:
        return counters.counts(), ""
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


# ---- binding


def seen(ports: Sequence[PortRange], now: Holders) -> Bound:
    """Hold nothing; return which of the ports a service holds, on which addresses."""
    found = Bound()
    for port in ports:
        for address in sorted(now.get((port.protocol, port.first), ())):
            found.in_use.setdefault(address, []).append(str(port))
    return found


def opened(port: PortRange, address: str) -> socket.socket:
    """Return a socket that has the port. Raises OSError."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM if port.protocol == "tcp" else socket.SOCK_DGRAM)
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if port.protocol == "tcp":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # past connections do not count
        elif family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        sock.bind((address, port.first))
        if port.protocol == "tcp":
            sock.listen(_BACKLOG)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


def bind(ports: Sequence[PortRange], addresses: Sequence[str], before: Holders, take: _Take = opened) -> Bound:
    """Bind each port on all addresses of both families, and around a service that has it on some address only.

    `before` is who held ports before that; `take` is how one is taken.
    """
    found = Bound()
    for port in ports:
        for version, wildcard in ANY.items():
            reason = _bind_one(found, before, port, wildcard, take)
            if reason:
                own = [address for address in addresses if (":" in address) == (version == 6)]
                reasons = {address: _bind_one(found, before, port, address, take) for address in own} or {
                    wildcard: reason
                }
                for address, text in reasons.items():
                    if text:
                        found.not_held.setdefault(address, {})[str(port)] = text
    return found


def _bind_one(found: Bound, before: Holders, port: PortRange, address: str, take: _Take) -> str:
    """Bind, and note it as listening or in use; return the reason where it is neither."""
    try:
        found.sockets.append(take(port, address))
    except OSError as exc:
        if exc.errno != errno.EADDRINUSE or not is_held(before, port.protocol, port.first, address):
            return os.strerror(exc.errno or 0)
        found.in_use.setdefault(address, []).append(str(port))
    else:
        found.listening.setdefault(address, []).append(str(port))
    return ""


# ---- the process


def _detach(files: frozenset[int], work: Callable[[], None]) -> None:
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


def _listen(sockets: Sequence[socket.socket], control: socket.socket, facts: dict[str, Any], orders: Orders) -> None:
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


def serve(sockets: Sequence[socket.socket], control: socket.socket, facts: dict[str, Any], orders: Orders) -> bool:
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
                elif _is_told_to_end(control, facts, sockets):
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
                sock.sendmsg([said], [source_of(*item) for item in extra], 0, peer)

    return answer


def source_of(level: int, kind: int, data: bytes) -> tuple[int, int, bytes]:
    """Return what has an answer go out from the address that was asked: what came with the datagram, without its way."""
    if level == socket.IPPROTO_IP and kind == _IP_PKTINFO:
        interface, local, asked = _PKTINFO.unpack(data)
        data = _PKTINFO.pack(0, local, asked)
    return level, kind, data


# ---- the word on the socket


def place() -> str:
    """Return where the listener of this network namespace is found. Raises OSError."""
    return f"{FOLDER}/listen-{os.stat(_NETWORK).st_ino}"


def _control() -> socket.socket:
    """Return a new socket at that place, where nobody answers. Raises ListenError."""
    sock = socket.socket(socket.AF_UNIX)
    try:
        with _alone():
            _clear(place())
            sock.bind(place())
            sock.listen()
    except OSError as exc:
        sock.close()
        raise _unusable(exc) from exc
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
        sock.settimeout(_PATIENCE)
        try:
            sock.connect(path)
        except FileNotFoundError:
            return
        except ConnectionRefusedError:
            os.unlink(path)
            return
    raise ListenError("Cannot start the listener: another one is being started on this host. Run one verify at a time.")


def _unusable(exc: OSError) -> ListenError:
    hint = " A listener needs root: set become." if isinstance(exc, PermissionError) else ""
    return ListenError(f"Cannot use {place()}, where a listener is found: {exc.strerror}.{hint}")


def _give_up(control: socket.socket) -> None:
    """Leave the place: first its name goes, then nobody answers there."""
    with contextlib.suppress(OSError):
        os.unlink(control.getsockname())
    control.close()


def _is_told_to_end(control: socket.socket, facts: dict[str, Any], sockets: Sequence[socket.socket]) -> bool:
    with contextlib.suppress(OSError), control.accept()[0] as connection:
        if _user_of(connection) != os.geteuid():
            return False
        connection.settimeout(1.0)
        # Who only looks whether there is a listener says nothing.
        is_meant = connection.recv(64).decode(errors="replace") in (_TO_END, _TO_END + facts["id"])
        if is_meant:
            _stop_counting()
            _close(sockets)
            _give_up(control)
        connection.sendall(json.dumps(facts).encode())
        return is_meant
    return False


def _ended(identity: str, patience: float) -> dict[str, Any]:
    """Tell the listener to end and return what it says; nothing where there is none. Raises ListenError."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(patience)
        try:
            sock.connect(place())
            _check_user(sock)
            sock.sendall((_TO_END + identity).encode())
            sock.shutdown(socket.SHUT_WR)
            return dict(json.loads(b"".join(iter(lambda: sock.recv(65536), b""))))
        except socket.timeout as exc:
            raise ListenError(
                f"The listener on this host does not answer within {patience:.0f} s. It ends by itself "
                "at the end of its lifetime; `ss -xlp` shows its process."
            ) from exc
        except (ConnectionError, FileNotFoundError, ValueError):
            return {}
        except OSError as exc:
            raise _unusable(exc) from exc


def _check_user(sock: socket.socket) -> None:
    user = _user_of(sock)
    if user != os.geteuid():
        raise ListenError(
            f"A process of uid {user} answers at {place()}, expected uid {os.geteuid()}. End that process; "
            "`ss -xlp` shows it."
        )


def _user_of(sock: socket.socket) -> int:
    raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(raw)[1])


def _close(sockets: Sequence[socket.socket]) -> None:
    for sock in sockets:
        sock.close()
