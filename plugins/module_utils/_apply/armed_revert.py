# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One change at a time, and the host itself undoes it unless a new connection confirms it (docs/ARCHITECTURE.md, section 6).

What undoes a change lies in a folder named by the change's token; while it awaits its confirmation, the link `armed`
points there. Who undoes it moves that link into the folder, for those who ask later what became of it. Whoever arms,
confirms or undoes holds the lock. All of it is under /run: a reboot forgets the change, and the host comes up with what
was confirmed last. The files of an unconfirmed change lie staged beside their places: see `_linux/files.py`.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NamedTuple, NoReturn

from ansible_collections.hpc.ports.plugins.module_utils._backends.change import Undo
from ansible_collections.hpc.ports.plugins.module_utils._linux.command import CommandError, run
from ansible_collections.hpc.ports.plugins.module_utils._linux.files import Places, naming
from ansible_collections.hpc.ports.plugins.module_utils._linux.systemd import has_systemd
from ansible_collections.hpc.ports.plugins.module_utils._model.names import FOLDER

_LOCK = FOLDER + "/lock"
_ARMED = FOLDER + "/armed"
_ABOUT = "about.json"
_MADE = "made"
_UNDONE = "undone"
# How many of the changes that were undone are remembered: several controllers may ask, each for its own.
_REMEMBERED = 8
# A revert that is this many seconds late will not come: its clock was lost.
_GRACE = 15.0
# Longer than any change holds the lock, seconds.
PATIENCE = 60.0
_POLL = 0.1

# What the host runs; needs no Python and nothing of the collection, which may be gone by then.
# $1 is how to begin: `now`, `at` that many seconds of uptime ($2), or `locked` for who holds the lock. It looks at the
# clock that `Pending.deadline` is told by: a timer of systemd stands still while a virtual machine is suspended.
_REVERT = """\
#!/bin/sh
# Undo a change of the firewall that nobody confirmed. Written by the Ansible collection hpc.ports.
PATH=/usr/sbin:/usr/bin:/sbin:/bin
token={token}
cd {folder} || exit
if [ "$1" = at ]; then
  while [ -d "$token" ] && read -r up idle < /proc/uptime && [ "${{up%%.*}}" -lt "$2" ]; do sleep 0.5; done
fi
if [ "$1" != locked ]; then
  exec 9> lock
  flock -w {patience:.0f} 9
fi
[ "$(readlink armed)" = "$token" ] || exit 0
tries=0
until (cd "$token" && {command}); do
  tries=$((tries + 1))
  [ "$tries" -lt 60 ] || exit 1
  sleep 1
done
rm -f {staged}
rmdir {folders} 2> /dev/null
mv -T armed "$token/{undone}"
echo "Nobody confirmed the change of the firewall: undone."
"""


class Pending(NamedTuple):
    """A change that awaits confirmation.

    `seconds` long since it was armed, until `deadline` of /proc/uptime. `client` and `client_port` are the connection
    that it came over, empty and 0 where there was none. The port alone is 0 where no other connection confirms it
    (transport `local`). `extra` is what whoever confirms has to know.
    """

    token: str
    seconds: int
    deadline: float
    client: str
    client_port: int
    extra: dict[str, Any]

    @property
    def seconds_left(self) -> float:
        """Return how long until the host undoes it; negative when it should have."""
        return self.deadline - _now()


class BusyError(RuntimeError):
    """Another run changes this host, and does not come to an end."""


class ExpiredError(RuntimeError):
    """The change took longer than the time in which it had to be confirmed."""


# ---- one at a time


@contextmanager
def turn() -> Iterator[Pending | None]:
    """Have this process alone change the host, when no change awaits confirmation any more.

    Yields the change that it waited for, or None. Raises BusyError, OSError.
    """
    waited_for = None
    with _locked() as handle:
        pending = current()
        while pending is not None and not _undone_if_overdue(pending):
            waited_for = pending
            fcntl.flock(handle, fcntl.LOCK_UN)
            time.sleep(_POLL)
            _lock(handle)
            pending = current()
        yield waited_for


@contextmanager
def _locked() -> Iterator[int]:
    os.makedirs(FOLDER, mode=0o700, exist_ok=True)
    handle = os.open(_LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _lock(handle)
        yield handle
    finally:
        os.close(handle)


def _lock(handle: int) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            if exc.errno not in (errno.EAGAIN, errno.EACCES):
                raise
        if time.monotonic() > end:
            raise BusyError(
                f"Another process has held {_LOCK} for {PATIENCE:.0f} s: a run that changes this host, or the host "
                f"that undoes a change. Nothing was changed. See what holds it (fuser {_LOCK}), and run "
                "again."
            )
        time.sleep(_POLL)


def current() -> Pending | None:
    """Return the change that awaits confirmation, or None."""
    return _about(_ARMED)


def _about(folder: str) -> Pending | None:
    try:
        with open(os.path.join(folder, _ABOUT), encoding="utf-8") as file:
            return Pending(**json.load(file))
    except FileNotFoundError:
        return None


def _undone_if_overdue(pending: Pending) -> bool:
    if pending.seconds_left > -_GRACE:
        return False
    revert(pending)
    return True


def _now() -> float:
    # As `_REVERT` reads it: in a container whose /proc/uptime is its own (lxcfs), CLOCK_BOOTTIME is still the host's.
    with open("/proc/uptime", encoding="ascii") as file:
        return float(file.read().split()[0])


# ---- arm, and what may follow; all of it in one's turn


def arm(
    token: str, undo: Undo, places: Places, seconds: int, client: str, client_port: int, extra: dict[str, Any]
) -> Pending:
    """Have the host undo, in `seconds`, the change that follows. `token` is a name that no other change has.

    Of the files that are staged at `places` the host then keeps nothing.

    Raises CommandError, OSError: then nothing is armed.
    """
    _forget_decided()
    pending = Pending(token, seconds, _now() + seconds, client, client_port, extra)
    script = _REVERT.format(
        token=pending.token,
        folder=FOLDER,
        patience=PATIENCE,
        command=undo.command,
        undone=_UNDONE,
        staged=_quoted(places.staged),
        folders=_quoted(places.folders),
    )
    os.mkdir(folder_of(pending), 0o700)
    for name, text in {**undo.files, "revert": script, _ABOUT: json.dumps(pending._asdict())}.items():
        path = os.path.join(folder_of(pending), name)
        with naming(path), open(path, "w", encoding="utf-8") as file:
            file.write(text)
    # The clock first: killed in between, this process leaves a clock with nothing to undo.
    _start_clock(pending)
    with naming(_ARMED):
        os.symlink(pending.token, _ARMED)
    return pending


def folder_of(pending: Pending) -> str:
    """Return where the files of an armed change lie."""
    return os.path.join(FOLDER, pending.token)


def _forget_decided() -> None:
    """Remove what is left of earlier changes, and a link `armed` that leads nowhere; of the last undone keep a note."""
    with suppress(FileNotFoundError):
        os.unlink(_ARMED)
    folders = {entry.path for entry in os.scandir(FOLDER) if entry.is_dir(follow_symlinks=False)}
    kept = sorted(filter(_was_undone, folders), key=_armed_at)[-_REMEMBERED:]
    for folder in folders.difference(kept):
        shutil.rmtree(folder)
    for folder in kept:
        for name in set(os.listdir(folder)) - {_ABOUT, _UNDONE}:
            os.unlink(os.path.join(folder, name))


def _was_undone(folder: str) -> bool:
    return os.path.islink(os.path.join(folder, _UNDONE))


def _armed_at(folder: str) -> int:
    return os.lstat(os.path.join(folder, _UNDONE)).st_mtime_ns


def _quoted(paths: Iterable[str]) -> str:
    return " ".join(map(shlex.quote, paths))


def _start_clock(pending: Pending) -> None:
    if has_systemd():
        run(clock_command(pending, by_systemd=True))
        return
    with open(os.devnull, "r+b") as null:
        # A session of its own: the end of the connection does not end it. It ends by itself once the change is decided.
        subprocess.Popen(
            clock_command(pending, by_systemd=False),
            cwd="/",
            start_new_session=True,
            stdin=null,
            stdout=null,
            stderr=null,
        )


def clock_command(pending: Pending, by_systemd: bool) -> list[str]:
    """Return what counts the time of a change and then undoes it; as a service, it outlives whoever starts it."""
    program = ["/bin/sh", folder_of(pending) + "/revert", "at", str(int(pending.deadline) + 1)]
    if not by_systemd:
        return program
    # Killed, as by a kernel without memory, it is started again, and goes on by the same clock.
    return [
        "systemd-run",
        "--quiet",
        "--collect",
        "--unit=" + _unit(pending),
        "--property=Restart=on-abnormal",
        "--description=Undo the change of the firewall unless it is confirmed",
        *program,
    ]


def _stop_clock(pending: Pending) -> None:
    """Stop the script that waits; it would find nothing to undo anyway."""
    if has_systemd():
        with suppress(CommandError):
            run(["systemctl", "stop", _unit(pending)])


def _unit(pending: Pending) -> str:
    return f"hpc-ports-revert-{pending.token}.service"


@contextmanager
def no_longer_than(pending: Pending) -> Iterator[None]:
    """Raise ExpiredError in the block once the change is overdue: what comes later would never be undone."""

    def expire(number: int, frame: FrameType | None) -> NoReturn:
        raise ExpiredError(
            f"This host took longer than the {pending.seconds} s of firewall_confirm_within to load the ruleset, and "
            "went back to what ran before. Give it more."
        )

    # Late where the machine was suspended meanwhile: until then the host that undoes waits for the lock.
    before = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, max(0.001, pending.seconds_left))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def note_made(pending: Pending) -> None:
    """Note that the change was made, and may be confirmed. Raises OSError."""
    with open(os.path.join(folder_of(pending), _MADE), "w", encoding="utf-8"):
        pass


def was_made(pending: Pending) -> bool:
    """Tell whether the change was made; whoever armed it may have died before."""
    return os.path.exists(os.path.join(folder_of(pending), _MADE))


def revert(pending: Pending) -> None:
    """Have the host undo the change now. Raises CommandError."""
    run(["/bin/sh", folder_of(pending) + "/revert", "locked"])
    _stop_clock(pending)


def disarm(pending: Pending) -> None:
    """Keep the change, as far as it was made: from here on the host does not undo it. Raises OSError."""
    os.unlink(_ARMED)
    shutil.rmtree(folder_of(pending), ignore_errors=True)
    _stop_clock(pending)


# ---- confirm


@contextmanager
def confirmation(token: str) -> Iterator[Pending | None]:
    """Yield the change of that token while nobody else decides on it; None when it is not pending any more."""
    with _locked():
        pending = current()
        yield pending if pending and pending.token == token else None


def reverted(token: str) -> Pending | None:
    """Return the change of that token if the host has undone it, and not too many others since; else None."""
    folder = os.path.join(FOLDER, os.path.basename(token))
    return _about(folder) if _was_undone(folder) else None
