# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read tables, chains, rules and sets from the kernel (nfnetlink), as nft does, but only those that are needed."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Callable

from ansible_collections.hpc.ports.plugins.module_utils._linux import netlink

# linux/netfilter/nfnetlink.h and nf_tables.h.
_NETFILTER, _SUBSYSTEM = 12, 10 << 8
GET_TABLE, GET_CHAIN, GET_RULE, GET_SET, GET_ELEMENT, GET_OBJECT, GET_FLOWTABLE = (
    _SUBSYSTEM | kind for kind in (1, 4, 7, 10, 13, 19, 23)
)
_HEAD = struct.Struct("=BBH")  # nfgenmsg: family, version, resource
_FAMILIES = {1: "inet", 2: "ip", 3: "arp", 5: "netdev", 7: "bridge", 10: "ip6"}
# Attributes: the table of an object, and the set of an element.
TABLE, SET = 1, 2
# A function that sends a request to the kernel, such as `netlink.ask`.
Ask = Callable[[int, int, int, bytes], Iterator[bytes]]


def answers(request: Ask, kind: int, family: int = 0, body: bytes = b"") -> Iterator[tuple[int, dict[int, bytes]]]:
    """Yield the family and the attributes of each object of a kind. Raises NetlinkError."""
    for answer in request(_NETFILTER, kind, netlink.ALL, _HEAD.pack(family, 0, 0) + body):
        yield netlink.number("=B", answer), netlink.attributes(answer[_HEAD.size :])


def within(table: str, name: str = "") -> bytes:
    """Return the attributes that limit a request to one table, or to the elements of its set `name`."""
    return netlink.attribute(TABLE, _raw(table)) + (netlink.attribute(SET, _raw(name)) if name else b"")


def family_name(family: int) -> str:
    """Return the name that nft has for a family."""
    return _FAMILIES.get(family, str(family))


def family_number(name: str) -> int:
    """Return the number that the kernel has for a family; 0 stands for all families."""
    return next((key for key, family in _FAMILIES.items() if family == name), 0)


def text(raw: bytes) -> str:
    """Return the text of a name."""
    return raw.rstrip(b"\0").decode("utf-8", "replace")


def _raw(name: str) -> bytes:
    return name.encode() + b"\0"
