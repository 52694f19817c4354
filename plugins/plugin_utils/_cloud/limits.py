# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many rules a cloud takes: its usual quota, which can be raised, and the number that it never exceeds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError

# The number of rules by the name of a group and the direction. With the direction `both`, they count together, and an
# empty name is the whole project.
Counts = dict[tuple[str, str], int]
_FEWER = "Open fewer, wider ranges of ports, or networks instead of single hosts."


class Limit(NamedTuple):
    """A quota, how the cloud calls it, the greatest number that the cloud grants, 0 if it has none, and what counts."""

    quota: int
    name: str
    most: int = 0
    counted: str = "rules"


LIMITS = {
    "aws": Limit(60, "Inbound or outbound rules per security group", 1000),
    "azure": Limit(1000, "Security rules per NSG", 1000),
    "azure_networks": Limit(4000, "User-specified IP addresses or ranges in an NSG", 4000, "addresses"),
    "gcp": Limit(100, "Firewall rules per project"),
    "openstack": Limit(100, "security_group_rule of the project"),
    "alibaba": Limit(200, "Rules per security group"),
}


def checked(key: str, counts: Mapping[tuple[str, str], int]) -> list[str]:
    """Return warnings about a quota that does not suffice. Raise PortFileError for more than the cloud ever takes."""
    limit = LIMITS[key]
    for place, count in counts.items():
        if limit.most and count > limit.most:
            raise PortFileError(
                f"{_count_text(place, count, limit)}, and the cloud takes at most {limit.most} ({limit.name}). {_FEWER}"
            )
    return [
        f"{_count_text(place, count, limit)}, and the usual quota is {limit.quota} ({limit.name}). Have it raised "
        f"before you apply them. {_FEWER}"
        for place, count in counts.items()
        if count > limit.quota
    ]


def _count_text(place: tuple[str, str], count: int, limit: Limit) -> str:
    name, direction = place
    counted = f"{count} {limit.counted}" + ("" if direction == "both" else f" {direction}")
    return f"The group {name} has {counted}" if name else f"All groups together have {counted}"
