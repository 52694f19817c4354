# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Regular expressions for the JSON schema of the port file. Python and JavaScript read them alike.

A pattern accepts each text that the plan accepts. It may accept more, because no expression says everything.
"""

from __future__ import annotations

from collections.abc import Iterable

from ansible.module_utils.parsing.convert_bool import BOOLEANS
from ansible_collections.hpc.ports.plugins.module_utils._model.names import FLOW_NAME, INTERFACE_PATTERN
from ansible_collections.hpc.ports.plugins.module_utils._model.ports import EVERYTHING, PROTOCOLS
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.catalogue import UNIT
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.everything import ANY
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.networks import PLATFORM_PREFIX
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.validators import HOST_NAME

# A template, and a value from the vault, which is a string in an editor.
TEMPLATE = r"\{\{|\{%|\{#|^\$ANSIBLE_VAULT;"


def numbers(low: int, high: int) -> str:
    """Return a pattern of the numbers from low to high, without leading zeros: `[2-9]|1[0-2]` for 2 to 12."""
    parts = []
    while low <= high:
        # The largest block of numbers that begins at low: its last `free` digits are free.
        free = 0
        while low and low % 10 ** (free + 1) == 0 and low + 10 ** (free + 1) - 1 <= high:
            free += 1
        first = low // 10**free
        last = min(first - first % 10 + 9, (high + 1) // 10**free - 1)
        digit = f"[{first % 10}-{last % 10}]" if first < last else f"{first % 10}"
        parts.append(f"{first // 10 or ''}{digit}" + r"\d" * free)
        low = (last + 1) * 10**free
    return "|".join(parts)


def one_of(patterns: Iterable[str]) -> str:
    """Return a pattern of any of these."""
    return f"(?:{'|'.join(patterns)})"


def _in_any_case(word: str) -> str:
    return "".join(f"[{letter.upper()}{letter}]" if letter.isalpha() else letter for letter in word)


def _upside_down() -> str:
    """Return a lookahead that no range passes whose first number is larger than its last one.

    The first number has more digits, or a larger digit where they differ first.
    """
    more_digits = (rf"[1-9]\d{{{rest}}}-0*\d{{1,{rest}}}" for rest in range(1, 5))
    larger_digit = (
        rf"{digit}\d{{{rest}}}-0*\1[0-{digit - 1}]\d{{{rest}}}" for digit in range(1, 10) for rest in range(5)
    )
    return rf"(?!0*(?:{one_of(more_digits)}|(\d*){one_of(larger_digit)})(?!\d))"


def _range(number: str, needs_last: bool = False) -> str:
    return rf"{number}(?:-{number}){'' if needs_last else '?'}"


_PORT = f"0*{one_of([numbers(1, 65535)])}"
_IP_NUMBERS = [ports for ports in EVERYTHING if ports.protocol == "ip"]
_IP_PROTOCOL = f"0*{one_of(numbers(ports.first, ports.last) for ports in _IP_NUMBERS)}"
_WITH_PORTS = one_of(name for name in PROTOCOLS if name != "ip")
PORTS = f"{ANY}|{_upside_down()}{one_of([f'{_range(_PORT)}/{_WITH_PORTS}', f'{_range(_IP_PROTOCOL)}/ip'])}"
PORT_RANGE = _upside_down() + _range(_PORT, needs_last=True)


def networks(shortest: tuple[int, int]) -> str:
    """Return a pattern of networks of IPv4 and IPv6 whose prefixes have at least these lengths."""
    octet = one_of([numbers(0, 255)])
    ipv4, ipv6 = (f"0*{one_of([numbers(low, high)])}" for low, high in zip(shortest, (32, 128)))
    return rf"{octet}(?:\.{octet}){{3}}(?:/{ipv4})?|(?=[^/]*:)[0-9A-Fa-f:.]+(?:/{ipv6})?"


NETWORK = networks((0, 0))
# IPv6 networks of link-local addresses may be wider than others: fe80::/10.
CLUSTER_NETWORK = networks((PLATFORM_PREFIX[4], 10))
NAME = FLOW_NAME.pattern
NAME_ONLY = f"^{NAME}$"
INTERFACE = INTERFACE_PATTERN.pattern
UNIT_NAME = f"{UNIT.pattern}|"
HOST = HOST_NAME.pattern.replace(r"\Z", "$")
# Days and points in time, as YAML and Python read them.
DAY = r"\d{4}-?(?:\d{1,2}-?\d{1,2}|W\d{2}(?:-?\d)?)(?:[Tt\s].*)?"
NOT_BLANK = r"[\s\S]*\S[\s\S]*"
# YAML 1.1, which Ansible reads, has more words for true and false than the YAML 1.2 of editors.
SWITCH_WORDS = "|".join(word for text in ("yes", "no", "on", "off") for word in (text, text.title(), text.upper()))
# The words that Ansible converts for a role, in any case.
_BOOLEANS = sorted(word for word in BOOLEANS if isinstance(word, str))
SWITCH_OF_A_ROLE = rf"\s*{one_of(map(_in_any_case, _BOOLEANS))}\s*"
