# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Query and control systemd, on hosts that systemd runs."""

from __future__ import annotations

import os
from contextlib import suppress

from ansible_collections.hpc.ports.plugins.module_utils._linux.command import CommandError, run


def has_systemd() -> bool:
    """Return whether systemd runs the host, as sd_booted(3) does."""
    return os.path.isdir("/run/systemd/system")


def is_active(unit: str) -> bool:
    """Return whether the unit is active."""
    return has_systemd() and _query("is-active", unit)


def is_enabled(unit: str) -> bool:
    """Return whether systemd starts the unit at boot."""
    return has_systemd() and _query("is-enabled", unit)


def _query(verb: str, unit: str) -> bool:
    try:
        run(["systemctl", verb, "--quiet", unit])
    except CommandError:
        return False
    return True


def has_failed(unit: str) -> bool:
    """Return whether the unit has failed."""
    return has_systemd() and _query("is-failed", unit)


def state(unit: str) -> str:
    """Return the state of a unit, such as `failed`. Raises CommandError."""
    return run(["systemctl", "show", "--property=ActiveState", "--value", unit]).strip()


def reload_units() -> None:
    """Have systemd reload its unit files. Raises CommandError."""
    run(["systemctl", "daemon-reload"])


def restart(unit: str) -> None:
    """Start or restart a unit, and wait until it has started. Raises CommandError."""
    run(["systemctl", "restart", unit])


def forget(unit: str) -> None:
    """Stop a unit whose file is gone: otherwise it is listed as active or failed, and not found, until a reboot."""
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
