# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the elements of one set, with counters and remaining time, and named counters, from the kernel (nfnetlink).

The time it takes grows with these elements only: nft before 1.0.2 reads all tables of the host for any listing.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from typing import NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._linux import netlink
from ansible_collections.hpc.ports.plugins.module_utils._linux.nfnetlink import (
    GET_ELEMENT,
    GET_OBJECT,
    TABLE,
    Ask,
    answers,
    family_name,
    family_number,
    text,
    within,
)
from ansible_collections.hpc.ports.plugins.module_utils._linux.nft_fingerprint import Table

# linux/netfilter/nf_tables.h.
_ELEMENTS = 3
_KEY, _EXPIRATION, _EXPRESSION, _EXPRESSIONS = 1, 5, 7, 11
_VALUE = 1
_EXPRESSION_NAME, _EXPRESSION_DATA = 1, 2
_COUNTED_PACKETS = 2
_OBJECT_NAME, _OBJECT_KIND, _OBJECT_DATA, _COUNTER = 2, 3, 4, 1


class Element(NamedTuple):
    """An element: its key as the kernel has it, packets, and seconds until it expires; without a timeout 0."""

    key: bytes
    packets: int
    expires: float


def set_elements(table: Table, name: str, request: Ask = netlink.ask) -> Iterator[Element]:
    """Yield the elements of a set; none if there is no such set. Raises NetlinkError."""
    try:
        for _family, content in answers(request, GET_ELEMENT, family_number(table[0]), within(table[1], name)):
            yield from map(_element, netlink.nested(content.get(_ELEMENTS, b"")))
    except netlink.NetlinkError as exc:
        if exc.code != errno.ENOENT:
            raise


def _element(raw: bytes) -> Element:
    content = netlink.attributes(raw)
    key = netlink.part(netlink.attributes(netlink.part(content, _KEY)), _VALUE)
    expires = netlink.number("!Q", content[_EXPIRATION]) / 1000 if _EXPIRATION in content else 0.0
    expressions = [content[_EXPRESSION]] if _EXPRESSION in content else netlink.nested(content.get(_EXPRESSIONS, b""))
    return Element(key, sum(map(_packets, expressions)), expires)


def _packets(raw: bytes) -> int:
    expression = netlink.attributes(raw)
    if expression.get(_EXPRESSION_NAME) != b"counter\0":
        return 0
    return _counted(netlink.part(expression, _EXPRESSION_DATA))


def _counted(raw: bytes) -> int:
    return netlink.number("!Q", netlink.part(netlink.attributes(raw), _COUNTED_PACKETS))


def counters(table: Table, request: Ask = netlink.ask) -> dict[str, int]:
    """Return the packets of each named counter of a table; empty if there is no such table. Raises NetlinkError."""
    return {
        text(netlink.part(content, _OBJECT_NAME)): _counted(netlink.part(content, _OBJECT_DATA))
        for family, content in answers(request, GET_OBJECT, family_number(table[0]), within(table[1]))
        # An old kernel returns the objects of all tables.
        if (family_name(family), text(netlink.part(content, TABLE))) == table
        and netlink.number("!I", netlink.part(content, _OBJECT_KIND)) == _COUNTER
    }
