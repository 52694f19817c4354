# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the host itself undoes a change that no new connection confirms (docs/ARCHITECTURE.md, section 6).

The files that undo a change are in a folder named by the token of the change. While the change awaits confirmation, the
link `armed` points to this folder. The script that undoes the change moves the link into the folder, so that a later
module can see the result. A process that arms, confirms or undoes a change holds the lock. All of this is under /run: a
reboot forgets the change, and the host starts with the last confirmed rules. The files of an unconfirmed change are
staged beside their final places: see `_linux/files.py`.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Iterable
from contextlib import suppress

from ansible_collections.hpc.ports.plugins.module_utils._apply import lock
from ansible_collections.hpc.ports.plugins.module_utils._apply.pending import (
    NOTE,
    FormatError,
    LastThings,
    Pending,
    read_note,
    uptime,
    write_note,
)
from ansible_collections.hpc.ports.plugins.module_utils._backends.change import Undo
from ansible_collections.hpc.ports.plugins.module_utils._linux.command import CommandError, run
from ansible_collections.hpc.ports.plugins.module_utils._linux.files import Places, naming
from ansible_collections.hpc.ports.plugins.module_utils._linux.systemd import has_systemd
from ansible_collections.hpc.ports.plugins.module_utils._model.names import FOLDER

_ARMED = FOLDER + "/armed"
_SCRIPT = "revert"
_MADE = "made"
_UNDONE = "undone"
# How many undone changes are remembered: several controllers may ask, each for its own.
_REMEMBERED = 8

# The script that the host runs. It needs no Python and nothing of the collection, which may be gone by then.
# $1 is when to start: `now`, `at` that many seconds of uptime ($2), or `locked` if the caller holds the lock. The watch
# and other versions of the collection call it with `locked`, so this argument has to stay. The script reads the clock
# of `Pending.deadline`, as a timer of systemd stands still while a virtual machine is suspended.
_REVERT = """\
#!/bin/sh
# Undo a change of the firewall that no new connection confirmed. Written by the Ansible collection hpc.ports.
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
echo "No new connection confirmed the change of the firewall, so it was undone."
"""


def armed_token() -> str:
    """Return the token of the change that awaits confirmation; empty if there is none."""
    try:
        return os.readlink(_ARMED)
    except FileNotFoundError:
        return ""


def current() -> Pending | None:
    """Return the change that awaits confirmation, or None. The caller holds the lock.

    A change that another version of the collection made is undone at once. Raises CommandError, FormatError, OSError.
    """
    try:
        return read_note(_ARMED)
    except FormatError:
        _undo(armed_token())
        raise


def arm(
    token: str, undo: Undo, places: Places, seconds: int, client: str, client_port: int, last_things: LastThings
) -> Pending:
    """Have the host undo, in `seconds`, the change that follows. `token` is a name that no other change has.

    The host then also removes the files that are staged for `places`. Raises CommandError, OSError: nothing is armed.
    """
    _forget_decided()
    pending = Pending(token, seconds, uptime() + seconds, client, client_port, last_things)
    script = _REVERT.format(
        token=pending.token,
        folder=FOLDER,
        patience=lock.PATIENCE,
        command=undo.command,
        undone=_UNDONE,
        staged=_quoted(places.staged),
        folders=_quoted(places.folders),
    )
    os.mkdir(folder_of(pending), 0o700)
    for name, text in {**undo.files, _SCRIPT: script}.items():
        path = os.path.join(folder_of(pending), name)
        with naming(path), open(path, "w", encoding="utf-8") as file:
            file.write(text)
    write_note(folder_of(pending), pending)
    # Start the clock first: if this process is killed in between, it leaves a clock with nothing to undo.
    _start_clock(pending)
    with naming(_ARMED):
        os.symlink(pending.token, _ARMED)
    return pending


def folder_of(pending: Pending) -> str:
    """Return the folder with the files of an armed change."""
    return os.path.join(FOLDER, pending.token)


def _forget_decided() -> None:
    """Remove earlier changes and a link `armed` to a missing folder; keep the notes of the last undone changes."""
    with suppress(FileNotFoundError):
        os.unlink(_ARMED)
    folders = {entry.path for entry in os.scandir(FOLDER) if entry.is_dir(follow_symlinks=False)}
    kept = sorted(filter(_was_undone, folders), key=_armed_at)[-_REMEMBERED:]
    for folder in folders.difference(kept):
        shutil.rmtree(folder)
    for folder in kept:
        for name in set(os.listdir(folder)) - {NOTE, _UNDONE}:
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
        # In a session of its own, it survives the end of the connection. It ends by itself once the change is decided.
        subprocess.Popen(
            clock_command(pending, by_systemd=False),
            cwd="/",
            start_new_session=True,
            stdin=null,
            stdout=null,
            stderr=null,
        )


def clock_command(pending: Pending, by_systemd: bool) -> list[str]:
    """Return the command that waits for the deadline and undoes the change; as a service it survives its caller."""
    program = ["/bin/sh", _script(pending.token), "at", str(int(pending.deadline) + 1)]
    if not by_systemd:
        return program
    # If it is killed, for example when memory runs out, systemd starts it again, and it continues with the same
    # deadline.
    return [
        "systemd-run",
        "--quiet",
        "--collect",
        "--unit=" + _unit(pending.token),
        "--property=Restart=on-abnormal",
        "--description=Undo the change of the firewall unless it is confirmed",
        *program,
    ]


def _stop_clock(token: str) -> None:
    """Stop the script that waits; otherwise it would find nothing to undo."""
    if has_systemd():
        with suppress(CommandError):
            run(["systemctl", "stop", _unit(token)])


def _unit(token: str) -> str:
    return f"hpc-ports-revert-{token}.service"


def _script(token: str) -> str:
    return os.path.join(FOLDER, token, _SCRIPT)


def note_made(pending: Pending) -> None:
    """Note that the change was made and can be confirmed. Raises OSError."""
    with open(os.path.join(folder_of(pending), _MADE), "w", encoding="utf-8"):
        pass


def was_made(pending: Pending) -> bool:
    """Return whether the change was made: the process that armed it may have died before."""
    return os.path.exists(os.path.join(folder_of(pending), _MADE))


def revert(pending: Pending) -> None:
    """Have the host undo the change now. The caller holds the lock. Raises CommandError."""
    _undo(pending.token)


def _undo(token: str) -> None:
    run(["/bin/sh", _script(token), "locked"])
    _stop_clock(token)


def disarm(pending: Pending) -> None:
    """Keep the change, as far as it was made: the host no longer undoes it. Raises OSError."""
    os.unlink(_ARMED)
    shutil.rmtree(folder_of(pending), ignore_errors=True)
    _stop_clock(pending.token)


def reverted(token: str) -> Pending | None:
    """Return the change with this token if the host has undone it; None if it has not, or if too many followed.

    Raises FormatError, OSError.
    """
    folder = os.path.join(FOLDER, os.path.basename(token))
    return read_note(folder) if _was_undone(folder) else None
