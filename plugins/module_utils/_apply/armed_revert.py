# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the host itself undoes a change that no new connection confirms (docs/ARCHITECTURE.md, section 6).

The files that undo a change are in a folder named by the token of the change. While the change awaits confirmation, the
link `armed` points to this folder. The script that undoes the change moves the link into the folder, so that a later
module can see the result. A process that arms, confirms or undoes a change holds the lock. All of this is under /run: a
reboot forgets the change, and the host starts with the last confirmed rules. The files of an unconfirmed change are
staged beside their final places: see `_linux/files.py`. `decision.py` has what the module that confirms needs.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from contextlib import suppress

from ansible_collections.hpc.ports.plugins.module_utils._apply import lock
from ansible_collections.hpc.ports.plugins.module_utils._apply.decision import (
    ARMED,
    SCRIPT,
    UNDONE,
    folder_of,
    script_of,
    unit_of,
    was_undone,
)
from ansible_collections.hpc.ports.plugins.module_utils._apply.kept_code import keep_code
from ansible_collections.hpc.ports.plugins.module_utils._apply.pending import (
    NOTE,
    LastThings,
    Pending,
    uptime,
    write_note,
)
from ansible_collections.hpc.ports.plugins.module_utils._backends.change import Undo
from ansible_collections.hpc.ports.plugins.module_utils._linux.command import run
from ansible_collections.hpc.ports.plugins.module_utils._linux.files import Places, naming
from ansible_collections.hpc.ports.plugins.module_utils._linux.systemd import has_systemd
from ansible_collections.hpc.ports.plugins.module_utils._model.names import FOLDER

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
        undone=UNDONE,
        staged=_quoted(places.staged),
        folders=_quoted(places.folders),
    )
    folder = folder_of(pending)
    os.mkdir(folder, 0o700)
    try:
        _write(folder, {**undo.files, SCRIPT: script})
        write_note(folder, pending)
        # Start the clock first: if this process is killed in between, it leaves a clock with nothing to undo.
        _start_clock(pending)
        # After all that undoes the change, as it needs the most room.
        keep_code(folder, token)
        with naming(ARMED):
            os.symlink(pending.token, ARMED)
    except BaseException:
        # A clock that was started ends by itself, as its folder is gone.
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return pending


def _write(folder: str, texts: Mapping[str, str]) -> None:
    for name, text in texts.items():
        path = os.path.join(folder, name)
        with naming(path), open(path, "w", encoding="utf-8") as file:
            file.write(text)


def _forget_decided() -> None:
    """Remove earlier changes and a link `armed` to a missing folder; keep the notes of the last undone changes."""
    with suppress(FileNotFoundError):
        os.unlink(ARMED)
    folders = {entry.path for entry in os.scandir(FOLDER) if entry.is_dir(follow_symlinks=False)}
    kept = sorted(filter(was_undone, folders), key=_armed_at)[-_REMEMBERED:]
    for folder in folders.difference(kept):
        shutil.rmtree(folder)
    for folder in kept:
        for name in set(os.listdir(folder)) - {NOTE, UNDONE}:
            os.unlink(os.path.join(folder, name))


def _armed_at(folder: str) -> int:
    return os.lstat(os.path.join(folder, UNDONE)).st_mtime_ns


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
    program = ["/bin/sh", script_of(pending.token), "at", str(int(pending.deadline) + 1)]
    if not by_systemd:
        return program
    # If it is killed, for example when memory runs out, systemd starts it again, and it continues with the same
    # deadline.
    return [
        "systemd-run",
        "--quiet",
        "--collect",
        "--unit=" + unit_of(pending.token),
        "--property=Restart=on-abnormal",
        "--description=Undo the change of the firewall unless it is confirmed",
        *program,
    ]
