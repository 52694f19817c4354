# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host in observe mode has recorded, as the module observed_info returns it, checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import ip_network
from typing import Any, NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._model.policy import Network
from ansible_collections.hpc.ports.plugins.module_utils._model.ports import PortRange
from ansible_collections.hpc.ports.plugins.module_utils._model.shown import shown_start
from ansible_collections.hpc.ports.plugins.plugin_utils._audit.answers import (
    Listener,
    Published,
    listeners_of,
    published_of,
    served_by,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._audit.checked import (
    choice_of,
    invalid_answer,
    items_of,
    list_of,
    number_of,
    port_of,
    protocol_of,
)

_MOST = 10**12


class Record(NamedTuple):
    """Packets from or to a peer, and the seconds since the last one. `target` is empty unless they were forwarded."""

    peer: str
    target: str
    packets: int
    last_seconds: int


class RecordedPort(NamedTuple):
    """The records of one port in one direction: `in`, `out` or `forward`. Their addresses are not checked."""

    direction: str
    protocol: str
    port: int
    records: tuple[Record, ...]


class Recorded(NamedTuple):
    """What a host has recorded. `seconds` is None if it does not observe."""

    seconds: int | None
    ports: tuple[RecordedPort, ...]
    listeners: tuple[Listener, ...]
    published: tuple[Published, ...]
    container_networks: tuple[Network, ...]
    left_out: int
    unrecorded: int
    problems: tuple[str, ...]

    @property
    def served(self) -> list[tuple[PortRange, str]]:
        """Return the ports of the host that others can reach, with who holds them."""
        return served_by(self.listeners, self.published)


def recorded_of(result: Mapping[str, Any]) -> Recorded:
    """Return what a host has recorded. Raises ValueError for a result of another form, which names the key."""
    seconds = result.get("seconds")
    return Recorded(
        None if seconds is None else number_of(result, "seconds", _MOST),
        tuple(map(_recorded_port, items_of(result, "ports"))),
        listeners_of(result),
        published_of(result),
        tuple(_network(text) for text in list_of(result, "container_networks")),
        number_of(result, "left_out", _MOST),
        sum(_unrecorded(result.get("unrecorded"))),
        tuple(shown_start(str(text)) for text in list_of(result, "problems")),
    )


def _recorded_port(item: Mapping[str, Any]) -> RecordedPort:
    direction = choice_of(item, "direction", ("in", "out", "forward"))
    text = item.get("peers")
    if not isinstance(text, str):
        raise invalid_answer("peers", text, "text")
    records = tuple(_records(text, 4 if direction == "forward" else 3))
    return RecordedPort(direction, protocol_of(item), port_of(item), records)


def _records(text: str, columns: int) -> Iterator[Record]:
    """Yield the record of each line. There may be millions, so only the form is checked here."""
    for line in text.split("\n"):
        words = line.split(" ")
        try:
            packets, last = int(words[-2]), int(words[-1])
        except (IndexError, ValueError):
            packets = last = -1
        if len(words) != columns or not 0 <= packets <= _MOST or not 0 <= last <= _MOST:
            raise invalid_answer("peers", line, f"{columns} words: addresses, packets and seconds")
        yield Record(words[0], words[1] if columns > 3 else "", packets, last)


def _network(text: object) -> Network:
    try:
        return ip_network(str(text))
    except ValueError:
        raise invalid_answer("container_networks", text, "networks") from None


def _unrecorded(value: object) -> Iterator[int]:
    if not isinstance(value, Mapping):
        raise invalid_answer("unrecorded", value, "a dictionary")
    yield from (number_of(value, direction, _MOST) for direction in ("in", "out", "forward"))
