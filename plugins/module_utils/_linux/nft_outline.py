# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of the kernel, their base chains and their sizes, without reading any rule (nfnetlink).

The time of a listing by nft grows with all rules and elements of a host. The time of this does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._linux import netlink
from ansible_collections.hpc.ports.plugins.module_utils._linux.nfnetlink import (
    GET_CHAIN,
    GET_ELEMENT,
    GET_SET,
    GET_TABLE,
    TABLE,
    Ask,
    answers,
    family_name,
    family_number,
    text,
    within,
)

# linux/netfilter/nf_tables.h.
_HOOKS = ("prerouting", "input", "forward", "output", "postrouting", "ingress")
_HOOKS_OF = {"arp": ("input", "output", "forward"), "netdev": ("ingress", "egress")}
_DORMANT = 1
_NAME = 3  # of a chain; the name of a table is where a chain or set has the name of its table
_TABLE_FLAGS = 2
_CHAIN_HOOK, _CHAIN_POLICY, _CHAIN_USE, _CHAIN_KIND = 4, 5, 6, 7
_HOOK_NUMBER = 1
_SET_NAME, _SET_FLAGS, _SET_DATA, _SET_DESCRIPTION = 2, 3, 6, 9
_ANONYMOUS, _VERDICTS = 1, 0xFFFFFF00
_SIZE = 1  # of a set description
_ELEMENTS = 3


class BaseChain(NamedTuple):
    """A base chain: its type (`kind`), hook and policy, and how many rules it has itself."""

    name: str
    kind: str
    hook: str
    policy: str
    rules: int


class TableOutline(NamedTuple):
    """A table; `size` is how many rules and jumps it has. It judges no packet if it is dormant or has no `bases`."""

    family: str
    name: str
    bases: tuple[BaseChain, ...]
    size: int
    is_dormant: bool = False

    def __str__(self) -> str:
        """Return family and name."""
        return f"{self.family} {self.name}"


class TableContents(NamedTuple):
    """How many rules, jumps and elements of a table decide on packets, and its named maps with verdicts."""

    size: int
    verdict_maps: tuple[str, ...]


class _Set(NamedTuple):
    name: str
    is_anonymous: bool
    has_verdicts: bool
    size: int


def table_outlines(request: Ask = netlink.ask) -> list[TableOutline]:
    """Return the tables of this thread's network namespace. Raises NetlinkError."""
    bases: dict[tuple[int, bytes], list[BaseChain]] = {}
    sizes: dict[tuple[int, bytes], int] = {}
    for family, content in answers(request, GET_CHAIN):
        key = family, netlink.part(content, TABLE)
        # The rules of a chain, and the jumps to it.
        size = netlink.number("!I", netlink.part(content, _CHAIN_USE))
        sizes[key] = sizes.get(key, 0) + size
        if _CHAIN_HOOK in content:
            bases.setdefault(key, []).append(_base(family, content, size))
    return [
        TableOutline(
            family_name(family),
            text(name),
            tuple(bases.get((family, name), ())),
            sizes.get((family, name), 0),
            bool(flags & _DORMANT),
        )
        for family, name, flags in _tables(request)
    ]


def _tables(request: Ask) -> Iterator[tuple[int, bytes, int]]:
    for family, content in answers(request, GET_TABLE):
        yield family, netlink.part(content, TABLE), netlink.number("!I", content.get(_TABLE_FLAGS, bytes(4)))


def contents(table: TableOutline, most: int, request: Ask = netlink.ask) -> TableContents:
    """Return the size of all that decides on packets in a table; elements of plain sets are not counted.

    Counting stops above `most`. Raises NetlinkError.
    """
    if table.size > most:
        return TableContents(table.size, ())
    size, maps = table.size, []
    for listed in _sets(table, request):
        if listed.is_anonymous:
            size += listed.size
        elif listed.has_verdicts:
            maps.append(listed.name)
            size += _elements(table, listed.name, most - size, request)
        if size > most:
            break
    return TableContents(size, tuple(maps))


def plain_elements(table: TableOutline, most: int, request: Ask = netlink.ask) -> int:
    """Return how many elements the named sets and maps without verdicts have; counting stops above `most`.

    Raises NetlinkError.
    """
    count = 0
    for listed in _sets(table, request):
        if not listed.is_anonymous and not listed.has_verdicts and count <= most:
            count += _elements(table, listed.name, most - count, request)
    return count


def _base(family: int, content: dict[int, bytes], size: int) -> BaseChain:
    hooks = _HOOKS_OF.get(family_name(family), _HOOKS)
    hook = netlink.number("!I", netlink.part(netlink.attributes(content[_CHAIN_HOOK]), _HOOK_NUMBER))
    policy = netlink.number("!I", content.get(_CHAIN_POLICY, b"\0\0\0\1"))
    return BaseChain(
        text(netlink.part(content, _NAME)),
        text(netlink.part(content, _CHAIN_KIND)),
        hooks[hook] if hook < len(hooks) else str(hook),
        "accept" if policy else "drop",
        size,
    )


def _sets(table: TableOutline, request: Ask) -> Iterator[_Set]:
    for _family, content in answers(request, GET_SET, family_number(table.family), within(table.name)):
        flags, data = (netlink.number("!I", content.get(kind, bytes(4))) for kind in (_SET_FLAGS, _SET_DATA))
        size = netlink.attributes(content.get(_SET_DESCRIPTION, b"")).get(_SIZE, bytes(4))
        yield _Set(
            text(netlink.part(content, _SET_NAME)),
            bool(flags & _ANONYMOUS),
            data == _VERDICTS,
            netlink.number("!I", size),
        )


def _elements(table: TableOutline, name: str, most: int, request: Ask) -> int:
    """Return how many elements a set has; counting stops above `most`."""
    count = 0
    for _family, content in answers(request, GET_ELEMENT, family_number(table.family), within(table.name, name)):
        count += sum(1 for _element in netlink.nested(content.get(_ELEMENTS, b"")))
        if count > most:
            break
    return count
