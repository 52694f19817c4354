# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module audit_info says of a host, checked: a host may answer anything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from typing import Any, NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._model.ports import PortRange
from ansible_collections.hpc.ports.plugins.module_utils._model.shown import shown_start
from ansible_collections.hpc.ports.plugins.plugin_utils._audit.checked import (
    address_of,
    choice_of,
    invalid_answer,
    items_of,
    list_of,
    name_of,
    number_of,
    port_of,
    protocol_of,
)


class Listener(NamedTuple):
    """A port that something is bound to on a host; `process` and `unit` may be empty."""

    protocol: str
    address: str
    port: int
    process: str
    unit: str

    @property
    def is_local(self) -> bool:
        """Return whether only the host itself reaches it."""
        return ip_address(self.address).is_loopback

    @property
    def holder(self) -> str:
        """Return who listens, such as `gmond (gmond.service)`; empty if it is not known."""
        unit = f" ({self.unit})" if self.unit else ""
        return f"{self.process}{unit}" if self.process else self.unit


class Published(NamedTuple):
    """Ports of a host that NAT rules publish, and who publishes them."""

    ports: PortRange
    by: str


# What stands before who publishes a port, in place of the name of a process.
PUBLISHED_BY = "published by "


class Counters(NamedTuple):
    """Packets that opened connections to a host, by flow, in at most so many seconds."""

    packets: Mapping[str, int]
    seconds: int


class Connection(NamedTuple):
    """Connections with one peer on one port; `direction` is `in` if the peer opened them, else `out`.

    `number` is how many there are.
    """

    direction: str
    peer: str
    protocol: str
    port: int
    number: int


class Answer(NamedTuple):
    """What a host does now.

    `counters` is None on a host without rules of ours. `ansible_from` is an address, or empty without ssh.
    """

    listeners: tuple[Listener, ...]
    connections: tuple[Connection, ...]
    left_out: int
    problems: tuple[str, ...]
    published: tuple[Published, ...] = ()
    counters: Counters | None = None
    ansible_from: str = ""


def answer_of(result: Mapping[str, Any]) -> Answer:
    """Return the answer of a host. Raises ValueError for a result of another form, which names the key."""
    return Answer(
        listeners_of(result),
        tuple(
            Connection(
                choice_of(item, "direction", ("in", "out")),
                address_of(item, "peer"),
                protocol_of(item),
                port_of(item),
                number_of(item, "count", 10**9),
            )
            for item in items_of(result, "connections")
        ),
        number_of(result, "connections_left_out", 10**9),
        tuple(shown_start(str(text)) for text in list_of(result, "problems")),
        published_of(result),
        _counters(result.get("counters")),
        address_of(result, "ansible_from") if result.get("ansible_from") else "",
    )


def published_of(result: Mapping[str, Any]) -> tuple[Published, ...]:
    """Return the published ports in an answer. Raises ValueError as `answer_of`."""
    return tuple(map(_published, items_of(result, "published")))


def _published(item: Mapping[str, Any]) -> Published:
    first, last = number_of(item, "first", 65535), number_of(item, "last", 65535)
    if first > last:
        raise invalid_answer("last", last, f"a number from {first} to 65535")
    return Published(PortRange(choice_of(item, "protocol", ("tcp", "udp")), first, last), name_of(item, "by"))


def _counters(value: object) -> Counters | None:
    if value is None:
        return None
    packets = value.get("packets") if isinstance(value, Mapping) else None
    if not isinstance(value, Mapping) or not isinstance(packets, Mapping):
        raise invalid_answer("counters", value, "packets by flow, or nothing")
    seconds = number_of(value, "seconds", 10**10)
    return Counters({str(flow): number_of(packets, flow, 2**64) for flow in packets}, seconds)


def listeners_of(result: Mapping[str, Any]) -> tuple[Listener, ...]:
    """Return the listeners in an answer. Raises ValueError as `answer_of`."""
    return tuple(
        Listener(
            protocol_of(item),
            address_of(item, "address"),
            port_of(item),
            name_of(item, "process"),
            name_of(item, "unit"),
        )
        for item in items_of(result, "listeners")
    )


def served_by(listeners: Iterable[Listener], published: Iterable[Published] = ()) -> list[tuple[PortRange, str]]:
    """Return the ports of a host that others can reach, each with who listens on it or publishes it."""
    held = [(PortRange(item.protocol, item.port, item.port), item.holder) for item in listeners if not item.is_local]
    return [*held, *((item.ports, f"{PUBLISHED_BY}{item.by}") for item in published)]
