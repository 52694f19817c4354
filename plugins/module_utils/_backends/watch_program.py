# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restore our rules after a flush: a program that sleeps until the kernel deletes rules of ours.

This file is copied to hosts unchanged and runs there all the time, so it imports nothing of this collection, and little
of Python. Its arguments are the folder of changes (see `_apply/transaction.py`), the confirmed ruleset, the file of our
policy in firewalld, two rulesets for our table if the rules do not load, with nftables and with firewalld, and the
confirmed ruleset of our table beside firewalld. A host has the second and perhaps the fourth, or the third, the sixth
and perhaps the fifth. With firewalld and observe mode it has the sixth alone.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Callable, NamedTuple

# linux/netlink.h, linux/netfilter/nfnetlink.h and nf_tables.h
_NETFILTER, _GROUP = 12, 1 << 6
_SUBSYSTEM = 10 << 8
_RULE, _GET_RULE = _SUBSYSTEM | 6, _SUBSYSTEM | 7
_DELETED_TABLE = _SUBSYSTEM | 2
_DELETED = (_DELETED_TABLE, _SUBSYSTEM | 5, _SUBSYSTEM | 8)  # a chain, a rule
_COMMITTED = _SUBSYSTEM | 15
_REQUEST, _DUMP, _ERROR, _INET = 1, 0x300, 2, 1
_HEADER = struct.Struct("=IHHII")
_FAMILY_SIZE = 4
_TABLE_OF_RULE, _CHAIN_OF_RULE, _PROCESS, _PROGRAM = 1, 2, 2, 3

# The chains that every ruleset has, and that have to contain rules for our rules to take effect, with their tables.
_OURS, _PUBLISHED, _FIREWALLDS = b"hpc_ports", b"hpc_ports_published", b"firewalld"
_JUDGING = (b"prerouting", b"arriving", b"input")
NFTABLES = tuple((_OURS, chain) for chain in _JUDGING)
PUBLISHED = tuple((_PUBLISHED, chain) for chain in _JUDGING)
FIREWALLD = ((_FIREWALLDS, b"filter_INPUT"), (_FIREWALLDS, b"filter_IN_policy_hpc_ports_in"))
# In the folder of an unconfirmed change: firewalld was restarted, and has forgotten the change.
RESTARTED = "restarted"
_REPLACEMENT = 'add table inet {0}; delete table inet {0}; include "{1}"'
# Held for as long as this program runs.
RUNS = "watch"
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_ATTEMPTS = 10
_PAUSE = 0.1  # seconds; also how often firewalld is asked for its state while it starts or stops
_STARTS_WITHIN = 30.0
_LONGEST_PAUSE = 60.0  # between attempts to restore rules that do not load
_WARNING, _ERROR_LEVEL = 4, 3
_ASK_STATE = (
    "busctl",
    "get-property",
    "org.fedoraproject.FirewallD1",
    "/org/fedoraproject/FirewallD1",
    "org.fedoraproject.FirewallD1",
    "state",
)


class WatchedHost(NamedTuple):
    """The paths that this program reads on a host."""

    changes: str
    ruleset: str
    policy: str
    closed: str
    closed_firewalld: str
    published: str

    @property
    def armed(self) -> str:
        """Return the folder of an unconfirmed change; empty without one."""
        with suppress(OSError):
            return os.path.join(self.changes, os.readlink(os.path.join(self.changes, "armed")))
        return ""


# ---- the kernel


def subscribed() -> socket.socket:
    """Return a socket that receives the kernel's notifications about rules. Raise OSError."""
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETFILTER)
    sock.bind((0, _GROUP))
    return sock


class Loss(NamedTuple):
    """A deletion: its cause as a sentence, and the tables that a process other than their owner deleted.

    Another table may have replaced such a table at once, with rules that are not ours.
    """

    cause: str = ""
    tables: frozenset[bytes] = frozenset()


def next_loss(sock: socket.socket) -> Loss:
    """Sleep until rules of ours may have been deleted, or the socket times out."""
    buffer = bytearray(1 << 17)
    tables: list[bytes] = []
    is_found = False
    while True:
        try:
            size = sock.recv_into(buffer)
        except socket.timeout:
            return Loss()
        except OSError as exc:
            if exc.errno != errno.ENOBUFS:
                raise
            return Loss()  # The buffer overflowed: a lost notification may have been about our rules.
        for kind, body in _messages(bytes(buffer[:size])):
            names = (
                [name for name in (_OURS, _PUBLISHED, _FIREWALLDS) if name + b"\0" in body] if kind in _DELETED else []
            )
            is_found = is_found or bool(names)
            tables += names if kind == _DELETED_TABLE else []
            if is_found and kind == _COMMITTED:
                return _loss(tables, *_committer(body))


def forget(sock: socket.socket) -> None:
    """Discard the pending notifications of the kernel. Raise OSError."""
    buffer = bytearray(1 << 17)
    sock.setblocking(False)
    while True:
        try:
            sock.recv_into(buffer)
        except BlockingIOError:
            return
        except OSError as exc:
            if exc.errno != errno.ENOBUFS:
                raise


def _loss(tables: Sequence[bytes], process: int, program: str) -> Loss:
    # firewalld deletes its table as it stops and reloads.
    whole = frozenset(tables) - ({_FIREWALLDS} if program == "firewalld" else set())
    return Loss(f" {program} (process {process}) deleted it." if program else "", whole)


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    start = 0
    while start + _HEADER.size <= len(data):
        size, kind = _HEADER.unpack_from(data, start)[:2]
        yield kind, data[start + _HEADER.size : start + size]
        start += max(size + 3 & ~3, _HEADER.size)


def _committer(body: bytes) -> tuple[int, str]:
    """Return the process that changed rules, and the name of its program; the name is empty if unknown."""
    attributes = dict(_attributes(body[_FAMILY_SIZE:]))
    raw = attributes.get(_PROGRAM, b"").rstrip(b"\0").decode("ascii", "replace")
    return int.from_bytes(attributes.get(_PROCESS, b"")[:4], "big"), "".join(
        char if char.isprintable() else "?" for char in raw
    )


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    start = 0
    while start + 4 <= len(data):
        size, kind = struct.unpack_from("=HH", data, start)
        yield kind & 0x3FFF, data[start + 4 : start + size]
        start += max(size + 3 & ~3, 4)


def are_loaded(chains: Sequence[tuple[bytes, bytes]]) -> bool:
    """Return whether each of these chains, in tables of the family inet, has a rule. Raise OSError."""
    return all(_has_rule(table, chain) for table, chain in chains)


def judging_chains(always: Sequence[tuple[bytes, bytes]], ruleset: str) -> tuple[tuple[bytes, bytes], ...]:
    """Return these chains of a table, and those of a ruleset that judge all packets, not those of one flow."""
    table = always[0][0]
    start = b"add rule inet " + table + b" "
    found = set(always)
    with suppress(OSError), open(ruleset, "rb") as file:
        for line in file:
            if line.startswith(start) and not line.startswith((start + b"in_", start + b"out_")):
                found.add((table, line.split()[4]))
    return tuple(sorted(found))


def _has_rule(table: bytes, chain: bytes) -> bool:
    body = struct.pack("=BBH", _INET, 0, 0) + _named(_TABLE_OF_RULE, table) + _named(_CHAIN_OF_RULE, chain)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETFILTER) as sock:
        sock.send(_HEADER.pack(_HEADER.size + len(body), _GET_RULE, _REQUEST | _DUMP, 0, 0) + body)
        kind, answer = next(_messages(sock.recv(1 << 17)))
    code = -struct.unpack_from("=i", answer)[0] if kind == _ERROR else 0
    if code not in (0, errno.ENOENT):
        raise OSError(code, os.strerror(code))
    return kind == _RULE


def _named(kind: int, name: bytes) -> bytes:
    text = name + b"\0"
    return struct.pack("=HH", len(text) + 4, kind) + text + bytes(-len(text) % 4)


# ---- put back


@contextmanager
def _alone(host: WatchedHost) -> Iterator[None]:
    """Wait until no run changes this host, and lock out other runs."""
    os.makedirs(host.changes, mode=0o700, exist_ok=True)
    with open(os.path.join(host.changes, "lock"), "a", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def put_back(host: WatchedHost, loss: Loss) -> None:
    """Reload our rules if they are gone. Raise OSError."""
    with _alone(host):
        if not host.armed and not any(map(os.path.exists, (host.ruleset, host.policy, host.published))):
            raise OSError(errno.ENOENT, "this host has no rules of ours and no file that has them", host.ruleset)
        _put_table_back(host, host.ruleset, NFTABLES, loss)
        try:
            _put_table_back(host, host.published, PUBLISHED, loss)
        finally:
            if _has_policies(host) and (_FIREWALLDS in loss.tables or not are_loaded(FIREWALLD)):
                _start_firewalld(host, loss)
        if os.path.exists(host.closed_firewalld) and not host.armed and are_loaded(NFTABLES) and are_loaded(FIREWALLD):
            _run("nft", "delete", "table", "inet", "hpc_ports")
            _say("The rules of firewalld are back. Deleted the table inet hpc_ports.")


def _has_policies(host: WatchedHost) -> bool:
    """Return whether firewalld should have our policies; a change to observe mode that is made has none."""
    is_going = _is_made(host, host.published) and not os.path.exists(_staged(host.policy))
    return os.path.exists(host.policy) and not is_going


def _is_made(host: WatchedHost, confirmed: str) -> bool:
    """Return whether a change awaits its confirmation that has another version of this ruleset."""
    armed = host.armed
    return bool(armed) and os.path.exists(os.path.join(armed, "made")) and os.path.exists(_staged(confirmed))


def _staged(confirmed: str) -> str:
    return "{}/.{}.new".format(*os.path.split(confirmed))


def _put_table_back(host: WatchedHost, confirmed: str, always: Sequence[tuple[bytes, bytes]], loss: Loss) -> None:
    """Reload a table of ours if it is gone, or if a chain that judges is empty."""
    if not os.path.exists(confirmed):
        return
    armed, is_made = host.armed, _is_made(host, confirmed)
    ruleset = _staged(confirmed) if is_made else confirmed
    table, chains = always[0][0], judging_chains(always, ruleset)
    if table not in loss.tables and are_loaded(chains):
        return
    _say(f"The table inet {table.decode()} is gone.{loss.cause}")
    if armed and not is_made:
        _undo(armed)
        return
    _load(ruleset, chains)


def _load(ruleset: str, chains: Sequence[tuple[bytes, bytes]]) -> None:
    # Replace a table that cannot be filled: another program's table with our name and other chains.
    replacement = _REPLACEMENT.format(chains[0][0].decode(), ruleset)
    # An empty file loads as well: then no rules run, or still the rules of a closed host.
    for _attempt in range(0 if _is_empty(ruleset) else _ATTEMPTS):
        if (_run("nft", "-f", ruleset) == 0 or _run("nft", replacement) == 0) and are_loaded(chains):
            _say(f"Loaded {ruleset} again.")
            return
        time.sleep(_PAUSE)
    raise OSError(errno.EIO, "nft cannot load our rules from it, and this host has none", ruleset)


def _is_empty(ruleset: str) -> bool:
    with open(ruleset, "rb") as file:
        return all(line.startswith(b"#") or not line.strip(b"\0 \t\r\n") for line in file)


def _undo(armed: str) -> None:
    """Undo a change that was interrupted, or that firewalld has forgotten."""
    _say("Undoing the change that awaits its confirmation.")
    _run("/bin/sh", os.path.join(armed, "revert"), "locked")


def _start_firewalld(host: WatchedHost, loss: Loss) -> None:
    """Restart firewalld if it runs without its rules."""
    _wait_while(_is_busy)
    if _FIREWALLDS not in loss.tables and are_loaded(FIREWALLD):
        return
    # During boot, an enabled firewalld that does not run has not started yet.
    if _state() == "inactive" and (loss.cause or _run("systemctl", "is-enabled", "--quiet", "firewalld.service")):
        _say(
            "firewalld was stopped: until it is started, this host has of ours only the table inet hpc_ports_published."
        )
        return
    _say(f"The rules of firewalld are gone.{loss.cause} Restarting it.")
    _close(host)  # before 1.0 the restart takes more than two seconds
    _run("systemctl", "restart", "firewalld.service")
    # Before 2.0 it is active a second or two before it loads any rules.
    _wait_while(lambda: not are_loaded(FIREWALLD) and _state() == "active")
    if not are_loaded(FIREWALLD):
        raise OSError(errno.EIO, "firewalld did not load it, and this host has no rules of ours", host.policy)
    _say("firewalld has loaded its rules again.")
    armed = host.armed
    if armed:
        with open(os.path.join(armed, RESTARTED), "w", encoding="ascii"):
            pass
        _undo(armed)


def _close(host: WatchedHost) -> None:
    """Load the ruleset for a host without rules, if there is one; report a failure."""
    ruleset = next(filter(os.path.exists, (host.closed, host.closed_firewalld)), "")
    try:
        if ruleset and not are_loaded(NFTABLES) and _run("nft", "-f", ruleset) == 0:
            _say(f"Loaded {ruleset}: this host accepts ssh from the controllers, and nothing else.", _ERROR_LEVEL)
    except OSError as exc:  # a host with firewalld may have no nft
        _say(f"Cannot load {ruleset}: {exc}", _ERROR_LEVEL)


def _is_busy() -> bool:
    """Return whether firewalld starts, stops or reloads, and loads its rules anyway. It answers after a reload."""
    state = _state()
    return (
        state in ("activating", "deactivating", "reloading", "refreshing")
        or state == "active"
        and "INIT" in _output(*_ASK_STATE)
    )


def _state() -> str:
    return _output("systemctl", "show", "--property=ActiveState", "--value", "firewalld.service")


def _wait_while(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + _STARTS_WITHIN
    while holds() and time.monotonic() < end:
        time.sleep(_PAUSE)


def _run(*command: str) -> int:
    """Return the exit code of a program, which inherits the output of this one."""
    return _code(os.posix_spawnp(command[0], command, dict(os.environ, PATH=_PATH, LC_ALL="C")))


def _code(process: int) -> int:
    status = os.waitpid(process, 0)[1]
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else -1


def _output(*command: str) -> str:
    """Return the output of a program; empty if it fails."""
    reader, writer = os.pipe()
    process = os.posix_spawnp(
        command[0], command, dict(os.environ, PATH=_PATH, LC_ALL="C"), file_actions=[(os.POSIX_SPAWN_DUP2, writer, 1)]
    )
    os.close(writer)
    with open(reader, encoding="utf-8", errors="replace") as file:
        text = file.read().strip()
    return "" if _code(process) else text


def _say(text: str, level: int = _WARNING) -> None:
    # The format of systemd, see sd-daemon(3).
    sys.stdout.write(f"<{level}>{text}\n")
    sys.stdout.flush()


def _tell_systemd(text: str) -> None:
    """Notify systemd as sd_notify(3) does."""
    path = os.environ.pop("NOTIFY_SOCKET", "")
    if path:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.sendto(text.encode("ascii"), "\0" + path[1:] if path.startswith("@") else path)


def main(arguments: Sequence[str]) -> None:
    """Watch as long as the host runs. Raise OSError."""
    host = WatchedHost(*arguments)
    os.makedirs(host.changes, mode=0o700, exist_ok=True)
    with open(os.path.join(host.changes, RUNS), "a", encoding="ascii") as file, subscribed() as sock:
        fcntl.flock(file, fcntl.LOCK_EX)
        _tell_systemd("READY=1")
        loss, pause = Loss(), 0.0
        while True:
            pause = seconds_to_next(host, loss, pause, sock)
            sock.settimeout(pause or None)
            next_one = next_loss(sock)
            # Rules that could not be restored are still missing, though the host may be closed.
            loss = Loss(next_one.cause or loss.cause, next_one.tables | {_OURS}) if pause else next_one


def seconds_to_next(host: WatchedHost, loss: Loss, before: float, sock: socket.socket) -> float:
    """Restore missing rules; return 0, or after a failure the seconds until the next attempt."""
    try:
        put_back(host, loss)
    except OSError as exc:
        _say(str(exc), _ERROR_LEVEL)
        # Deletions by the attempt itself, or by the restart of firewalld, are no reason to try again at once.
        forget(sock)
        _close(host)
        return min(2 * before, _LONGEST_PAUSE) if before else 1.0
    return 0.0


if __name__ == "__main__":
    main(sys.argv[1:])
