# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask and tell systemd, where it runs the host."""

from __future__ import annotations

import os
from contextlib import suppress

from ansible_collections.hpc.ports.plugins.module_utils._linux.command import CommandError, run


def has_systemd() -> bool:
    """Tell whether systemd runs the host, as sd_booted(3) does."""
    return os.path.isdir("/run/systemd/system")


def is_active(unit: str) -> bool:
    """Tell whether systemd has the unit running."""
    return has_systemd() and _agrees("is-active", unit)


def is_enabled(unit: str) -> bool:
    """Tell whether systemd starts the unit when the host boots."""
    return has_systemd() and _agrees("is-enabled", unit)


def _agrees(verb: str, unit: str) -> bool:
    try:
        run(["systemctl", verb, "--quiet", unit])
    except CommandError:
        return False
    return True


def has_failed(unit: str) -> bool:
    """Tell whether systemd calls the unit failed."""
    return has_systemd() and _agrees("is-failed", unit)


def state(unit: str) -> str:
    """Return how systemd calls the state of a unit, such as `failed`. Raises CommandError."""
    return run(["systemctl", "show", "--property=ActiveState", "--value", unit]).strip()


def reload_units() -> None:
    """Have systemd read its units again. Raises CommandError."""
    run(["systemctl", "daemon-reload"])


def restart(unit: str) -> None:
    """Have systemd start a unit, or start it anew, and wait until it has. Raises CommandError."""
    run(["systemctl", "restart", unit])


def forget(unit: str) -> None:
    """Have systemd forget a unit whose file is gone: it would show as active or failed, though not found, until a reboot."""
    for verb in ("stop", "reset-failed"):
        # To reset one that has not failed is an error.
        with suppress(CommandError):
            run(["systemctl", verb, unit])


def own_scope(unit: str, description: str, lifetime: int) -> None:
    """Put this process into a transient unit of its own, which systemd ends after `lifetime` seconds.

    Then the end of the session that started it does not end it. Nothing happens where systemd does not run the host,
    or refuses.
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
