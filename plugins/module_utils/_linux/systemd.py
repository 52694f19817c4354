# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Query and control systemd, on hosts that systemd runs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._linux.command import CommandError, run
from ansible_collections.hpc.ports.plugins.module_utils._model.names import PUBLISHED_SERVICE, SERVICE

# The units that a run asks about: one program tells of all.
_ASKED = ("firewalld.service", SERVICE, PUBLISHED_SERVICE)
# In the order in which systemd looks for a unit, see systemd.unit(5).
_FOLDERS = (
    "/etc/systemd/system.control",
    "/run/systemd/system.control",
    "/run/systemd/transient",
    "/run/systemd/generator.early",
    "/etc/systemd/system",
    "/etc/systemd/system.attached",
    "/run/systemd/system",
    "/run/systemd/system.attached",
    "/run/systemd/generator",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
    "/run/systemd/generator.late",
)


def has_systemd() -> bool:
    """Return whether systemd runs the host, as sd_booted(3) does."""
    return os.path.isdir("/run/systemd/system")


def is_active(unit: str) -> bool:
    """Return whether the unit is active."""
    return _seen(unit).active in ("active", "reloading", "refreshing")


def is_enabled(unit: str) -> bool:
    """Return whether systemd starts the unit at boot.

    systemctl is asked only where the files and systemd do not both tell that there is no such unit, or that it is
    masked: systemd may not have read these files since they changed.
    """
    script = "/etc/init.d/" + unit[: -len(".service")]
    paths = (*(f"{folder}/{unit}" for folder in _FOLDERS), script)
    path = next(filter(os.path.lexists, paths), "")
    sure = {"": "not-found", os.devnull: "masked"}.get(path and os.path.realpath(path))
    if not has_systemd() or sure == _seen(unit).load:
        return False
    try:
        run(["systemctl", "is-enabled", "--quiet", unit])
    except CommandError:
        return False
    return True


def has_failed(unit: str) -> bool:
    """Return whether the unit has failed."""
    return _seen(unit).active == "failed"


def state(unit: str) -> str:
    """Return the state of a unit, such as `failed`. Raises CommandError."""
    return _seen(unit).active or run(["systemctl", "show", "--property=ActiveState", "--value", unit]).strip()


class _Unit(NamedTuple):
    """What systemd says of a unit, such as `not-found` and `inactive`; empty if it does not answer."""

    load: str = ""
    active: str = ""


def _seen(unit: str) -> _Unit:
    if not has_systemd():
        return _Unit()
    return _units(_ASKED).get(unit) or _units((unit,)).get(unit, _Unit())


@cache
def _units(names: tuple[str, ...]) -> dict[str, _Unit]:
    """Return what systemd says of each unit, from one program; nothing if it does not answer."""
    try:
        blocks = _shown(names, "LoadState,ActiveState")
    except CommandError:
        return {}
    return {name: _Unit(block.get("LoadState", ""), block.get("ActiveState", "")) for name, block in blocks.items()}


def _shown(names: Sequence[str], properties: str) -> dict[str, dict[str, str]]:
    """Return the properties of each unit, from one program. Raises CommandError."""
    text = run(["systemctl", "show", f"--property={properties}", *names])
    # In the order of the names, as an alias has the Id of another unit.
    blocks = (dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in text.split("\n\n"))
    return dict(zip(names, blocks))


def ask_again() -> None:
    """Forget what systemd has said: the units may have changed since then."""
    _units.cache_clear()


def read_units(paths: Iterable[str]) -> None:
    """Have systemd read the unit files that are new, changed or gone. Raises CommandError.

    When it is asked about a unit that it has not loaded, systemd reads its file (tested with 247, 252 and 257). Only
    where it has loaded another one, or is too old for this, does it reload the units of all programs: this takes it
    0.1 s of CPU time or more.
    """
    ask_again()
    if not _has_read({os.path.basename(path): path for path in paths if os.path.dirname(path) in _FOLDERS}):
        run(["systemctl", "daemon-reload"])


def _has_read(units: Mapping[str, str]) -> bool:
    """Return whether systemd has these units, with their paths by name, as the files are now."""
    try:
        shown = _shown(sorted(units), "LoadState,NeedDaemonReload")
    except CommandError:
        return False
    return shown.keys() == units.keys() and all(
        block.get("NeedDaemonReload") == "no"
        and block.get("LoadState") == ("loaded" if os.path.lexists(units[name]) else "not-found")
        for name, block in shown.items()
    )


def restart(unit: str) -> None:
    """Start or restart a unit, and wait until it has started. Raises CommandError."""
    ask_again()
    run(["systemctl", "restart", unit])


def forget(unit: str) -> None:
    """Stop a unit whose file is gone: otherwise it is listed as active or failed, and not found, until a reboot."""
    ask_again()
    for verb in ("stop", "reset-failed"):
        # It is an error to reset a unit that has not failed.
        with suppress(CommandError):
            run(["systemctl", verb, unit])


def own_scope(unit: str, description: str, lifetime: int) -> None:
    """Move this process into a transient unit of its own, which systemd stops after `lifetime` seconds.

    So the process survives the end of its session. Nothing happens if systemd does not run the host, or refuses.
    """
    if has_systemd():
        with suppress(CommandError):
            run(
                [
                    "busctl",
                    "--system",
                    "call",
                    "org.freedesktop.systemd1",
                    "/org/freedesktop/systemd1",
                    "org.freedesktop.systemd1.Manager",
                    "StartTransientUnit",
                    "ssa(sv)a(sa(sv))",
                    unit,
                    "replace",
                    "3",
                    "PIDs",
                    "au",
                    "1",
                    str(os.getpid()),
                    "Description",
                    "s",
                    description,
                    "RuntimeMaxUSec",
                    "t",
                    str(lifetime * 1_000_000),
                    "0",
                ]
            )
