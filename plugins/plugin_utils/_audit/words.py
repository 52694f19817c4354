# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Words that the reports of audit and of observe mode have in common."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from ansible_collections.hpc.ports.plugins.plugin_utils._audit.answers import PUBLISHED_BY

if TYPE_CHECKING:
    from ansible_collections.hpc.ports.plugins.plugin_utils._audit.seen import Seen, Side

_SHOWN = 5
_UNITS = ((86400, "day"), (3600, "hour"), (60, "minute"))


def shortened(names: Collection[str]) -> str:
    """Return the first few names, and how many more there are."""
    first = list(names)[:_SHOWN]
    more = len(names) - len(first)
    return ", ".join(first) + (f" and {more} more" if more else "")


def counted(number: int, noun: str) -> str:
    """Return a number of things, such as `12,300 packets`."""
    return f"1 {noun}" if number == 1 else f"{number:,} {noun}s"


def duration(seconds: int) -> str:
    """Return a time in its largest unit, rounded down, such as `2 hours`."""
    for size, unit in _UNITS:
        if seconds >= size:
            return counted(seconds // size, unit)
    return counted(seconds, "second")


def side_text(side: Side) -> str:
    """Return the names of one side, or the first of them."""
    return shortened([*side.groups, *side.endpoints, *side.rest, *side.addresses])


def seen_text(seen: Seen, noun: str, *more: str) -> str:
    """Return a group of connections: `slurm_compute to head 8649/udp, 40 hosts, 12,300 packets; gmond listens`."""
    hosts = len(seen.sources.hosts)
    parts = [
        f"{side_text(seen.sources)} to {side_text(seen.targets)} {shortened(list(map(str, seen.ports)))}",
        *([counted(hosts, "host")] if hosts > 1 else []),
        counted(seen.number, noun),
        *more,
    ]
    holders = [name if name.startswith(PUBLISHED_BY) else f"{name} listens" for name in seen.listeners]
    return "; ".join([", ".join(parts), *([", ".join(holders)] if holders else [])])


def seen_data(seen: Seen) -> dict[str, Any]:
    """Return a group of connections as plain data, without its count."""
    return {
        "from": _side_data(seen.sources),
        "to": _side_data(seen.targets),
        "ports": list(map(str, seen.ports)),
        "within_cluster": seen.within_cluster,
        "listeners": list(seen.listeners),
    }


def _side_data(side: Side) -> dict[str, list[str]]:
    return {name: list(names) for name, names in side._asdict().items()}
