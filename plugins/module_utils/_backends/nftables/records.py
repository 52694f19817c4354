# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Observe mode: the sets in which the kernel records whom enforce mode would drop, and the rules that fill them.

A record has the address of the peer (of a forwarded packet both addresses), the protocol, the port, a count, and the
time of its last packet, which is when its timeout began. Each set has a fixed size. Packets that find it full are only
counted. Protocols without ports have sets of their own: nft 0.9.8 cannot list a rule with a constant in its key, and
crashes when it loads that listing. An apply does not touch the records; a boot and another mode begin anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._model.names import RECORDS

DIRECTIONS = ("in", "out", "forward")
# Records of each set, and how long a record is kept after its last packet.
MOST, MOST_WITHOUT_PORT = 8192, 256
SECONDS = 30 * 24 * 3600
# An element whose age is that of the records. It must not expire.
SINCE = RECORDS + "since"
SINCE_ELEMENTS = ("0",)
SINCE_SECONDS = 3650 * 24 * 3600
_FAMILIES = ((4, "ip", "ipv4_addr"), (6, "ip6", "ipv6_addr"))
_WITH_PORTS = (6, 17)
_ADDRESSES = {"in": ("saddr",), "out": ("daddr",), "forward": ("saddr", "daddr")}


class RecordSet(NamedTuple):
    """One of the sets: which packets it has."""

    direction: str
    version: int
    has_ports: bool

    @property
    def name(self) -> str:
        """Return the name of the set."""
        return "{}{}_{}v{}".format(RECORDS, self.direction, "" if self.has_ports else "ip_", self.version)

    @property
    def addresses(self) -> int:
        """Return how many addresses a record has."""
        return len(_ADDRESSES[self.direction])


def record_sets(directions: Iterable[str]) -> list[RecordSet]:
    """Return the sets for these directions."""
    return [
        RecordSet(direction, version, has_ports)
        for direction in directions
        for version, _word, _kind in _FAMILIES
        for has_ports in (True, False)
    ]


def unrecorded(direction: str) -> str:
    """Return the name of the counter of the packets that did not fit into the sets of a direction."""
    return f"unrecorded_{direction}"


def sets(directions: Iterable[str]) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return definition and elements of each set by name, and the set whose age is that of the records."""
    kinds = {version: kind for version, _word, kind in _FAMILIES}
    found = {
        record_set.name: (_definition(record_set, kinds[record_set.version]), ())
        for record_set in record_sets(directions)
    }
    return {**found, SINCE: (f"type inet_proto; flags timeout; timeout {SINCE_SECONDS // 86400}d;", SINCE_ELEMENTS)}


def _definition(record_set: RecordSet, kind: str) -> str:
    key = [*[kind] * record_set.addresses, "inet_proto", *(["inet_service"] if record_set.has_ports else [])]
    most = MOST if record_set.has_ports else MOST_WITHOUT_PORT
    # Without an interval the kernel looks for expired records every second.
    return "type {}; size {}; flags dynamic,timeout; timeout {}d; gc-interval 1h;".format(
        " . ".join(key), most, SECONDS // 86400
    )


def rules(direction: str) -> list[str]:
    """Return the rules that record and accept a packet. If its set is full, the packet goes on to the counter."""
    found = []
    for version, word, _kind in _FAMILIES:
        key = " . ".join([*(f"{word} {side}" for side in _ADDRESSES[direction]), "meta l4proto"])
        with_ports, without = (RecordSet(direction, version, has_ports).name for has_ports in (True, False))
        found += [
            f"meta l4proto {number} update @{with_ports} {{ {key} . th dport counter }} accept"
            for number in _WITH_PORTS
        ]
        others = " ".join(f"meta l4proto != {number}" for number in _WITH_PORTS)
        found.append(f"{others} update @{without} {{ {key} counter }} accept")
    return [*found, f'counter name "{unrecorded(direction)}" accept']
