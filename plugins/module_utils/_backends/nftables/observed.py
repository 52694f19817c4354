# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read whom observe mode has recorded on this host: see `records.py`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, Callable, NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables import records
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables.records import RecordSet
from ansible_collections.hpc.ports.plugins.module_utils._linux import netlink
from ansible_collections.hpc.ports.plugins.module_utils._linux.nft_elements import Element, counters, set_elements
from ansible_collections.hpc.ports.plugins.module_utils._linux.nft_fingerprint import Table
from ansible_collections.hpc.ports.plugins.module_utils._linux.nft_listings import table_of
from ansible_collections.hpc.ports.plugins.module_utils._model.names import TABLES

# The kernel pads each part of a key to a multiple of this.
_UNIT = 4
_ADDRESS_SIZES = {4: 4, 6: 16}
_NAMES = {6: "tcp", 17: "udp"}


class Record(NamedTuple):
    """Packets that enforce mode would drop, with the seconds since the last one.

    `target` is empty except for forwarded packets. With protocol `ip`, `port` is the number of the IP protocol.
    """

    direction: str
    peer: str
    target: str
    protocol: str
    port: int
    packets: int
    last_seconds: int


class Observed(NamedTuple):
    """The records, how many more there are, the packets that did not fit, and for how many seconds it has recorded.

    `seconds` is None on a host that does not record.
    """

    records: tuple[Record, ...]
    left_out: int
    unrecorded: dict[str, int]
    seconds: int | None

    def as_data(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "observes": self.seconds is not None,
            "seconds": self.seconds,
            "records": [record._asdict() for record in self.records],
            "left_out": self.left_out,
            "unrecorded": self.unrecorded,
        }

    def by_port(self) -> list[dict[str, Any]]:
        """Return the records of each port as a text with a line for each, which is small: see the module."""
        lines: dict[tuple[str, str, int], list[str]] = defaultdict(list)
        for record in self.records:
            words = (record.peer, record.target, str(record.packets), str(record.last_seconds))
            lines[record.direction, record.protocol, record.port].append(" ".join(filter(None, words)))
        return [
            {"direction": direction, "protocol": protocol, "port": port, "peers": "\n".join(texts)}
            for (direction, protocol, port), texts in sorted(lines.items())
        ]


class Kernel(NamedTuple):
    """Access to the kernel. Tests replace the functions."""

    set_elements: Callable[[Table, str], Iterable[Element]] = set_elements
    counters: Callable[[Table], dict[str, int]] = counters


def observed(most: int, kernel: Kernel = Kernel()) -> Observed:
    """Return what this host has recorded: at most so many records, the last packet first. Raises NetlinkError."""
    for table in map(table_of, TABLES):
        began = next(iter(kernel.set_elements(table, records.SINCE)), None)
        if began is not None:
            found = sorted(_records(table, kernel), key=lambda record: (record.last_seconds, record))
            counted = kernel.counters(table)
            unrecorded = {direction: counted.get(records.unrecorded(direction), 0) for direction in records.DIRECTIONS}
            age = _seconds_since(records.SINCE_SECONDS, began)
            return Observed(tuple(found[:most]), max(0, len(found) - most), unrecorded, age)
    return Observed((), 0, dict.fromkeys(records.DIRECTIONS, 0), None)


def _records(table: Table, kernel: Kernel) -> Iterator[Record]:
    for record_set in records.record_sets(records.DIRECTIONS):
        # While the kernel makes room for more, it may return an element twice.
        elements = {element.key: element for element in kernel.set_elements(table, record_set.name)}
        yield from (record_of(record_set, element) for element in elements.values())


def record_of(record_set: RecordSet, element: Element) -> Record:
    """Return the record of an element. Raises NetlinkError for a key of another form."""
    size, key = _ADDRESS_SIZES[record_set.version], element.key
    after = size * record_set.addresses
    if len(key) != after + _UNIT * (2 if record_set.has_ports else 1):
        raise netlink.NetlinkError(f"The set {record_set.name} has an element of {len(key)} bytes.")
    addresses = [netlink.address_text(key[start : start + size]) for start in range(0, after, size)]
    protocol = netlink.number("!B", key, after)
    return Record(
        record_set.direction,
        addresses[0],
        addresses[1] if len(addresses) > 1 else "",
        _NAMES.get(protocol, "ip"),
        netlink.number("!H", key, after + _UNIT) if record_set.has_ports else protocol,
        element.packets,
        _seconds_since(records.SECONDS, element),
    )


def _seconds_since(lifetime: int, element: Element) -> int:
    return max(0, int(lifetime - element.expires))
