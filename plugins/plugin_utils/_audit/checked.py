# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check the values of an answer: a host may answer anything.

Each function raises ValueError for a value of another form, which names the key.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

from ansible_collections.hpc.ports.plugins.module_utils._model.shown import shown_start

_LONGEST_NAME = 60
_PROTOCOLS = ("tcp", "udp", "ip")


def answered(result: object) -> Mapping[str, Any]:
    """Return the result that a host registered, if its task succeeded. Otherwise the error says why it has none."""
    if not isinstance(result, Mapping):
        raise ValueError("it was not asked")
    if result.get("failed") or result.get("unreachable"):
        raise ValueError(shown_start(str(result.get("msg", "it failed"))).rstrip("."))
    return result


def list_of(data: Mapping[str, Any], key: str) -> list[Any]:
    """Return a list."""
    value = data.get(key)
    if not isinstance(value, list):
        raise invalid_answer(key, value, "a list")
    return value


def items_of(data: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    """Return a list of dictionaries."""
    items = list_of(data, key)
    for item in items:
        if not isinstance(item, Mapping):
            raise invalid_answer(key, item, "dictionaries")
    return items


def protocol_of(item: Mapping[str, Any]) -> str:
    """Return a protocol."""
    return choice_of(item, "protocol", _PROTOCOLS)


def choice_of(item: Mapping[str, Any], key: str, choices: tuple[str, ...]) -> str:
    """Return one of the choices."""
    value = item.get(key)
    if value not in choices:
        raise invalid_answer(key, value, "one of " + ", ".join(choices))
    return str(value)


def address_of(item: Mapping[str, Any], key: str) -> str:
    """Return an address as text, without the interface of an IPv6 address."""
    value = item.get(key)
    try:
        return str(ip_address(str(value).partition("%")[0]))
    except ValueError as exc:
        raise invalid_answer(key, value, "an address") from exc


def port_of(item: Mapping[str, Any]) -> int:
    """Return a port, or the number of an IP protocol."""
    return number_of(item, "port", 65535)


def number_of(item: Mapping[str, Any], key: str, largest: int) -> int:
    """Return a number from 0 to `largest`."""
    value = item.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= largest:
        raise invalid_answer(key, value, f"a number from 0 to {largest}")
    return int(value)


def name_of(item: Mapping[str, Any], key: str) -> str:
    """Return a name, cut to a length that fits a line."""
    return shown_start(str(item.get(key, "")), _LONGEST_NAME)


def invalid_answer(key: str, value: object, expected: str) -> ValueError:
    """Return the error for a value of another form."""
    return ValueError(f"{key}: got {shown_start(repr(value), _LONGEST_NAME)}, expected {expected}")
