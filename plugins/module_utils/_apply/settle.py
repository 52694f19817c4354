# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Put the files that a reboot loads in place, once the rules that run are confirmed, and tell systemd."""

from __future__ import annotations

from collections.abc import Sequence

from ansible_collections.hpc.ports.plugins.module_utils._apply.pending import LastThings
from ansible_collections.hpc.ports.plugins.module_utils._backends.running import RunningRules
from ansible_collections.hpc.ports.plugins.module_utils._linux import files, systemd
from ansible_collections.hpc.ports.plugins.module_utils._linux.command import CommandError
from ansible_collections.hpc.ports.plugins.module_utils._linux.files import Places

_NOT_ON_DISK = "The new ruleset runs, but a reboot would not load it: {0}. Fix this and run again."
_NOT_STARTED = (
    "The new ruleset runs, and a reboot loads it, but systemd could not start its services: {0}. Fix this and run "
    "again."
)


def settle(last_things: LastThings, rules: RunningRules) -> None:
    """Put the staged files in place, so that a reboot loads them. Raises RuntimeError: the next run repairs it."""
    places = Places(**{name: tuple(paths) for name, paths in last_things["places"].items()})
    try:
        with rules.all_or_nothing(places):
            files.commit(places)
    except (CommandError, OSError) as exc:
        files.discard(places)
        reason = f"cannot write {exc.filename}: {exc.strerror}" if isinstance(exc, OSError) else str(exc)
        raise RuntimeError(_NOT_ON_DISK.format(reason)) from exc
    _update_systemd(last_things, (*places.paths, *places.gone))


def _update_systemd(last_things: LastThings, paths: Sequence[str]) -> None:
    try:
        if last_things["concerns_unit"]:
            systemd.read_units(paths)
        for unit in last_things["ends"]:
            systemd.forget(unit)
        for unit in last_things["starts"]:
            systemd.restart(unit)
    except CommandError as exc:
        raise RuntimeError(_NOT_STARTED.format(exc)) from exc
