# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Put our rules back when something has flushed them: a program that sleeps until the kernel deletes a chain of ours.

This file is copied to hosts as it is, and runs there for as long as the host does. So it imports nothing of this
collection, and little of Python. Its arguments are the folder of the changes (see module `transaction`), the confirmed
ruleset, the file of our policy in firewalld, and the ruleset that our table gets where firewalld cannot load its own. A
host has the second, or the third and perhaps the fourth.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
import sys
import time
from contextlib import contextmanager, suppress
from typing import Callable, Iterator, NamedTuple, Optional, Sequence, Tuple

# linux/netlink.h, linux/netfilter/nfnetlink.h and nf_tables.h
_NETFILTER, _GROUP = 12, 1 << 6
_SUBSYSTEM = 10 << 8
_GET_CHAIN = _SUBSYSTEM | 4
_DELETED = (_SUBSYSTEM | 2, _SUBSYSTEM | 5)  # a table, a chain
_COMMITTED = _SUBSYSTEM | 15
_REQUEST, _ERROR, _INET = 1, 2, 1
_HEADER = struct.Struct("=IHHII")
_FAMILY_SIZE = 4
_TABLE_OF_CHAIN, _NAME_OF_CHAIN, _PROCESS, _PROGRAM = 1, 3, 2, 3

# The chains without which our rules judge nothing.
NFTABLES = (b"hpc_ports", b"input")
FIREWALLD = (b"firewalld", b"filter_IN_policy_hpc_ports_in")
# Held for as long as this program runs.
RUNS = "watch"
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_ATTEMPTS = 10
_PAUSE = 0.1  # seconds; also how often firewalld is asked for its state while it starts or stops
_STARTS_WITHIN = 30.0
_LONGEST_PAUSE = 60.0  # between attempts to put back what does not load
_WARNING, _ERROR_LEVEL = 4, 3
_ASK_STATE = ("busctl", "get-property", "org.fedoraproject.FirewallD1", "/org/fedoraproject/FirewallD1",
              "org.fedoraproject.FirewallD1", "state")


class Host(NamedTuple):
    """Where a host has what this program reads."""

    changes: str
    ruleset: str
    policy: str
    closed: str

    @property
    def staged(self) -> str:
        """Return the ruleset of a change that awaits its confirmation."""
        return "{0}/.{1}.new".format(*os.path.split(self.ruleset))

    @property
    def armed(self) -> str:
        """Return the folder of a change that awaits its confirmation; empty where there is none."""
        with suppress(OSError):
            return os.path.join(self.changes, os.readlink(os.path.join(self.changes, "armed")))
        return ""


# ---- the kernel

def subscribed() -> socket.socket:
    """Return a socket that gets what the kernel says of its rules. Raises OSError."""
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETFILTER)
    sock.bind((0, _GROUP))
    return sock


def next_deletion(sock: socket.socket) -> str:
    """Sleep until a chain or table of ours is deleted, or the socket's time is over; return who did it, as a sentence."""
    buffer = bytearray(1 << 17)
    found = False
    while True:
        try:
            size = sock.recv_into(buffer)
        except socket.timeout:
            return ""
        except OSError as exc:
            if exc.errno != errno.ENOBUFS:
                raise
            return ""  # More was said than there was room for: any of it may have been about us.
        for kind, body in _messages(bytes(buffer[:size])):
            found = found or kind in _DELETED and any(names[0] + b"\0" in body for names in (NFTABLES, FIREWALLD))
            if found and kind == _COMMITTED:
                return _committer(body)


def _messages(data: bytes) -> Iterator[Tuple[int, bytes]]:
    start = 0
    while start + _HEADER.size <= len(data):
        size, kind = _HEADER.unpack_from(data, start)[:2]
        yield kind, data[start + _HEADER.size:start + size]
        start += max(size + 3 & ~3, _HEADER.size)


def _committer(body: bytes) -> str:
    found = dict(_attributes(body[_FAMILY_SIZE:]))
    if _PROCESS not in found or _PROGRAM not in found:
        return ""
    raw = found[_PROGRAM].rstrip(b"\0").decode("ascii", "replace")
    name = "".join(char if char.isprintable() else "?" for char in raw)
    return " {0} (process {1}) deleted it.".format(name, int.from_bytes(found[_PROCESS][:4], "big"))


def _attributes(data: bytes) -> Iterator[Tuple[int, bytes]]:
    start = 0
    while start + 4 <= len(data):
        size, kind = struct.unpack_from("=HH", data, start)
        yield kind & 0x3FFF, data[start + 4:start + size]
        start += max(size + 3 & ~3, 4)


def has_chain(table: bytes, chain: bytes) -> bool:
    """Tell whether the kernel has a chain in a table of the family inet. Raises OSError."""
    body = struct.pack("=BBH", _INET, 0, 0) + _named(_TABLE_OF_CHAIN, table) + _named(_NAME_OF_CHAIN, chain)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETFILTER) as sock:
        sock.send(_HEADER.pack(_HEADER.size + len(body), _GET_CHAIN, _REQUEST, 0, 0) + body)
        kind, answer = next(_messages(sock.recv(1 << 17)))
    if kind != _ERROR:
        return True
    code = -struct.unpack_from("=i", answer)[0]
    if code != errno.ENOENT:
        raise OSError(code, os.strerror(code))
    return False


def _named(kind: int, name: bytes) -> bytes:
    text = name + b"\0"
    return struct.pack("=HH", len(text) + 4, kind) + text + bytes(-len(text) % 4)


# ---- put back

@contextmanager
def _alone(host: Host) -> Iterator[None]:
    """Wait until no run changes this host, and keep others from it."""
    with open(os.path.join(host.changes, "lock"), "a", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def put_back(host: Host, cause: str) -> None:
    """Have the kernel run our rules again where they are gone; `cause` says who deleted them. Raises OSError."""
    with _alone(host):
        if os.path.exists(host.ruleset) and not has_chain(*NFTABLES):
            _say("The table inet hpc_ports is gone.{0}".format(cause))
            _load(host)
        if os.path.exists(host.policy) and not has_chain(*FIREWALLD):
            _start_firewalld(host, cause)
        if os.path.exists(host.closed) and not host.armed and has_chain(*NFTABLES) and has_chain(*FIREWALLD):
            _run("nft", "delete", "table", "inet", "hpc_ports")
            _say("The rules of firewalld are back. Deleted the table inet hpc_ports.")


def _load(host: Host) -> None:
    armed = host.armed
    if armed and not (os.path.exists(os.path.join(armed, "made")) and os.path.exists(host.staged)):
        _undo(armed)
        return
    ruleset = host.staged if armed else host.ruleset
    for _attempt in range(_ATTEMPTS):
        if _run("nft", "-f", ruleset) == 0:
            _say("Loaded {0} again.".format(ruleset))
            return
        time.sleep(_PAUSE)
    raise OSError(errno.EIO, "nft cannot load it, and this host has no rules of ours", ruleset)


def _undo(armed: str) -> None:
    """Undo a change that was not made to its end, or that firewalld has forgotten."""
    _say("Undoing the change that awaits its confirmation.")
    _run("/bin/sh", os.path.join(armed, "revert"), "locked")


def _start_firewalld(host: Host, cause: str) -> None:
    """Have firewalld load its rules where it runs without them."""
    _wait_while(_is_busy)
    if has_chain(*FIREWALLD):
        return
    # As the host boots, one that is enabled and does not run has not come up.
    if _state() == "inactive" and (cause or _run("systemctl", "is-enabled", "--quiet", "firewalld.service")):
        _say("firewalld was stopped: this host has no rules of ours until it is started.")
        return
    _say("The rules of firewalld are gone.{0} Restarting it.".format(cause))
    _close(host)  # Before 1.0 it takes more than two seconds.
    _run("systemctl", "restart", "firewalld.service")
    # Before 2.0 it is active a second or two before it has any rules.
    _wait_while(lambda: not has_chain(*FIREWALLD) and _state() == "active")
    if not has_chain(*FIREWALLD):
        raise OSError(errno.EIO, "firewalld did not load it, and this host has no rules of ours", host.policy)
    _say("firewalld has loaded its rules again.")
    if host.armed:
        _undo(host.armed)


def _close(host: Host) -> None:
    """Load the ruleset of a host whose firewalld has none, if it has one; say why where that fails."""
    try:
        if os.path.exists(host.closed) and not has_chain(*NFTABLES) and _run("nft", "-f", host.closed) == 0:
            _say("Loaded {0}: this host lets in ssh from the controllers, and nothing else.".format(host.closed),
                 _ERROR_LEVEL)
    except OSError as exc:  # a host with firewalld need not have nft
        _say("Cannot load {0}: {1}".format(host.closed, exc), _ERROR_LEVEL)


def _is_busy() -> bool:
    """Tell whether firewalld starts, stops or reloads: then its rules are on their way. It answers after a reload."""
    state = _state()
    return (state in ("activating", "deactivating", "reloading", "refreshing")
            or state == "active" and "INIT" in _output(*_ASK_STATE))


def _state() -> str:
    return _output("systemctl", "show", "--property=ActiveState", "--value", "firewalld.service")


def _wait_while(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + _STARTS_WITHIN
    while holds() and time.monotonic() < end:
        time.sleep(_PAUSE)


def _run(*command: str) -> int:
    """Return the exit code of a program, which writes to where this one does."""
    return _code(os.posix_spawnp(command[0], command, dict(os.environ, PATH=_PATH, LC_ALL="C")))


def _code(process: int) -> int:
    status = os.waitpid(process, 0)[1]
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else -1


def _output(*command: str) -> str:
    """Return what a program writes; nothing where it fails."""
    reader, writer = os.pipe()
    process = os.posix_spawnp(command[0], command, dict(os.environ, PATH=_PATH, LC_ALL="C"),
                              file_actions=[(os.POSIX_SPAWN_DUP2, writer, 1)])
    os.close(writer)
    with open(reader, encoding="utf-8", errors="replace") as file:
        text = file.read().strip()
    return "" if _code(process) else text


def _say(text: str, level: int = _WARNING) -> None:
    # As systemd reads it, see sd-daemon(3).
    sys.stdout.write("<{0}>{1}\n".format(level, text))
    sys.stdout.flush()


def _tell_systemd(text: str) -> None:
    """Do as sd_notify(3) does."""
    path = os.environ.pop("NOTIFY_SOCKET", "")
    if path:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.sendto(text.encode("ascii"), "\0" + path[1:] if path.startswith("@") else path)


def main(arguments: Sequence[str]) -> None:
    """Watch for as long as the host runs. Raises OSError."""
    host = Host(*arguments)
    os.makedirs(host.changes, mode=0o700, exist_ok=True)
    with open(os.path.join(host.changes, RUNS), "a", encoding="ascii") as file, subscribed() as sock:
        fcntl.flock(file, fcntl.LOCK_EX)
        _tell_systemd("READY=1")
        cause = ""
        while True:
            sock.settimeout(_seconds_to_next(host, cause, sock.gettimeout()))
            cause = next_deletion(sock)


def _seconds_to_next(host: Host, cause: str, before: Optional[float]) -> Optional[float]:
    """Put back what is gone; return None, or where that fails after how many seconds to try again."""
    try:
        put_back(host, cause)
    except OSError as exc:
        _say(str(exc), _ERROR_LEVEL)
        _close(host)
        return min(2 * before, _LONGEST_PAUSE) if before else 1.0
    return None


if __name__ == "__main__":
    main(sys.argv[1:])
