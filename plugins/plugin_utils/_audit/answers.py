# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module audit_info says of a host, checked: a host may answer anything."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any, NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._model.shown import shown_start

_LONGEST_NAME = 60
_PROTOCOLS = ("tcp", "udp", "ip")


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
    """What a host does now."""

    listeners: tuple[Listener, ...]
    connections: tuple[Connection, ...]
    left_out: int
    problems: tuple[str, ...]


def answer_of(result: Mapping[str, Any]) -> Answer:
    """Return the answer of a host. Raises ValueError for a result of another form, which names the key."""
    return Answer(
        tuple(
            Listener(
                _protocol(item), _address(item, "address"), _port(item), _name(item, "process"), _name(item, "unit")
            )
            for item in _items(result, "listeners")
        ),
        tuple(
            Connection(
                _choice(item, "direction", ("in", "out")),
                _address(item, "peer"),
                _protocol(item),
                _port(item),
                _number(item, "count", 10**9),
            )
            for item in _items(result, "connections")
        ),
        _number(result, "connections_left_out", 10**9),
        tuple(shown_start(str(text)) for text in _list(result, "problems")),
    )


def _list(data: Mapping[str, Any], key: str) -> list[Any]:
    value = data.get(key)
    if not isinstance(value, list):
        raise _invalid(key, value, "a list")
    return value


def _items(data: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    items = _list(data, key)
    for item in items:
        if not isinstance(item, Mapping):
            raise _invalid(key, item, "dictionaries")
    return items


def _protocol(item: Mapping[str, Any]) -> str:
    return _choice(item, "protocol", _PROTOCOLS)


def _choice(item: Mapping[str, Any], key: str, choices: tuple[str, ...]) -> str:
    value = item.get(key)
    if value not in choices:
        raise _invalid(key, value, "one of " + ", ".join(choices))
    return str(value)


def _address(item: Mapping[str, Any], key: str) -> str:
    value = item.get(key)
    try:
        return str(ip_address(str(value)))
    except ValueError as exc:
        raise _invalid(key, value, "an address") from exc


def _port(item: Mapping[str, Any]) -> int:
    return _number(item, "port", 65535)


def _number(item: Mapping[str, Any], key: str, largest: int) -> int:
    value = item.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= largest:
        raise _invalid(key, value, f"a number from 0 to {largest}")
    return int(value)


def _name(item: Mapping[str, Any], key: str) -> str:
    return shown_start(str(item.get(key, "")), _LONGEST_NAME)


def _invalid(key: str, value: object, expected: str) -> ValueError:
    return ValueError(f"{key}: got {shown_start(repr(value), _LONGEST_NAME)}, expected {expected}")
