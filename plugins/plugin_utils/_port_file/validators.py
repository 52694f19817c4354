# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks for single values. Each returns the value, converted, or raises PortFileError, which names the key."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from datetime import date, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from unicodedata import category

from ansible_collections.hpc.ports.plugins.module_utils._model.names import INTERFACE_PATTERN
from ansible_collections.hpc.ports.plugins.module_utils._model.ports import PortRange, parse_ports
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.advice import network_advice, ports_advice
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import (
    PortFileError,
    Vaulted,
    invalid,
    nearest,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.everything import parse_service_ports
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.networks import parse_network

if TYPE_CHECKING:
    from netaddr import IPNetwork

# The maximum length of a fully qualified host name.
_LONGEST_NAME = 253
# A longer string is not a network or a port range.
_LONGEST_PARSED = 100
HOST_NAME = re.compile(r"(?=.{1,253}\Z)(?!-)[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})*\.?", re.ASCII)


def check_keys(
    key: str,
    value: Any,
    allowed: Collection[str],
    required: Collection[str] = (),
    instead: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Raise PortFileError for an unknown key, with advice from `instead`, or for a missing key."""
    for name in mapping_of(key, value):
        if name not in allowed:
            advice = instead.get(name) or nearest(name, allowed)
            raise invalid(f"key in {key}", name, f"one of {', '.join(allowed)}", advice)
    for name in required:
        if name not in value:
            raise invalid(key, dict(value), f"a dictionary with the key {name!r}")


def check_complete(
    key: str, value: Mapping[Any, Any], required: Collection[str], name: str, shipped: Collection[str]
) -> None:
    """Raise PortFileError for a missing key of the entry `name`, which may be a misspelt name of a `shipped` entry."""
    absent = next((word for word in required if word not in value), None)
    if absent and name in shipped:
        raise invalid(key, dict(value), f"a dictionary with the key {absent!r}")
    if absent:
        expected = f"a dictionary with the key {absent!r}, because it overrides no shipped entry"
        raise invalid(key, dict(value), expected, nearest(name, shipped))


def mapping_of(key: str, value: Any) -> Mapping[Any, Any]:
    """Return the value if it is a dictionary."""
    if not isinstance(value, Mapping):
        raise invalid(key, value, "a dictionary")
    return value


def list_of(key: str, value: Any, members: str, may_be_empty: bool = False) -> list[Any]:
    """Return the value if it is a list. An empty list needs `may_be_empty`."""
    if not isinstance(value, (list, tuple)):
        raise invalid(key, value, f"a list of {members}")
    if not (value or may_be_empty):
        raise invalid(key, value, f"a non-empty list of {members}")
    return list(value)


def texts_of(key: str, value: Any, members: str, may_be_empty: bool = False) -> tuple[str, ...]:
    """Return the strings of a list."""
    return tuple(text_of(key, text) for text in list_of(key, value, members, may_be_empty))


def text_of(key: str, value: Any) -> str:
    """Return the value, a plain str or `Vaulted`, if it is a string without control characters."""
    if not isinstance(value, str):
        raise invalid(key, value, "a string")
    if not (value.isprintable() or all(_is_plain(letter) for letter in value)):
        raise invalid(key, value, "a string without control characters")
    return value if isinstance(value, Vaulted) else str(value)


def _is_plain(letter: str) -> bool:
    """Return whether a character is neither a surrogate nor a control character; line breaks and tabs are allowed."""
    return letter in "\n\r\t" or category(letter) not in ("Cc", "Cs")


def name_of(key: str, value: Any) -> str:
    """Return the value if it is a printable name."""
    name = text_of(key, value)
    if not (name.isprintable() and 0 < len(name) <= _LONGEST_NAME):
        raise invalid(key, name, f"1 to {_LONGEST_NAME} printable characters")
    return name


def boolean_of(key: str, value: Any) -> bool:
    """Return the value if it is a boolean."""
    if not isinstance(value, bool):
        raise invalid(key, value, "true or false")
    return value


def choice_of(key: str, value: Any, choices: Collection[str]) -> str:
    """Return the value if it is one of the choices."""
    if value not in choices:
        raise invalid(key, value, f"one of {', '.join(filter(None, choices))}", nearest(value, choices))
    return str(value)


def day_of(key: str, value: Any) -> date | None:
    """Return the date for a date or a string in ISO format. None stays None."""
    if isinstance(value, datetime):
        return value.date()
    try:
        return value if value is None or isinstance(value, date) else date.fromisoformat(value)
    except (TypeError, ValueError) as exc:
        raise invalid(key, value, "a date such as '2027-06-30'") from exc


def host_name_of(key: str, value: Any) -> str:
    """Return the value if it is a host name of the characters in RFC 1123."""
    if not (isinstance(value, str) and HOST_NAME.fullmatch(value)):
        raise invalid(key, value, "a host name such as 'node1.example.org'")
    return str(value)


def interface_patterns_of(key: str, value: Any) -> tuple[str, ...]:
    """Return the sorted names of interfaces, or the starts of their names and an asterisk."""
    names = texts_of(key, value, "interface names", may_be_empty=True)
    for name in names:
        if not INTERFACE_PATTERN.fullmatch(name):
            raise invalid(key, name, "an interface name of up to 15 characters, such as 'ib0' or 'cni*'")
    return tuple(sorted(set(names)))


def networks_of(key: str, value: Any) -> tuple[IPNetwork, ...]:
    """Return the networks of a list."""
    cidrs = list_of(key, value, "networks", may_be_empty=True)
    expected = "a network such as '10.20.0.0/16' or 'fd00:20::/64'"
    return tuple(parsed(key, parse_network, cidr, expected, network_advice(cidr)) for cidr in cidrs)


def ports_of(key: str, value: Any) -> tuple[PortRange, ...]:
    """Return the port ranges with their protocols of one text in `ports`."""
    expected = "PORT/PROTOCOL or FIRST-LAST/PROTOCOL, such as '22/tcp' or '8192-60000/tcp'"
    return parsed(key, parse_service_ports, value, expected, ports_advice(value))


def range_of(key: str, value: Any) -> PortRange:
    """Return the TCP port range for a range without a protocol, such as `60001-63000`."""
    try:
        if isinstance(value, str) and "-" in value:
            return parse_ports(f"{value}/tcp")
    except ValueError:
        pass
    raise invalid(key, value, "a port range FIRST-LAST within 1-65535, such as '60001-63000'")


def parsed(key: str, parse: Callable[[Any], Any], value: Any, expected: str, advice: str = "") -> Any:
    """Return the parsed value. A ValueError becomes a PortFileError, which names the key and ends with the advice.

    For a vaulted or very long value, which the original message could reveal or repeat in full, the new message says
    only what was `expected`.
    """
    try:
        return parse(value)
    except ValueError as exc:
        if not isinstance(value, str) or isinstance(value, Vaulted) or len(value) > _LONGEST_PARSED:
            raise invalid(key, value, expected, advice) from exc
        raise PortFileError(" ".join(filter(None, [f"Invalid {key}: {exc}.", advice]))) from exc
