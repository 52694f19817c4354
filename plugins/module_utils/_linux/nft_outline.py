# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which tables the kernel has, where their base chains are, and how large they are (nfnetlink): no rule is read for it.

A listing by nft costs as much as there are rules and elements; this does not, whatever else a host has.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._linux.netlink import ask, attributes, nested, number, part
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
_NAME = 3  # of a chain; a table has its name where a chain or set has that of its table
_TABLE_FLAGS = 2
_CHAIN_HOOK, _CHAIN_POLICY, _CHAIN_USE, _CHAIN_KIND = 4, 5, 6, 7
_HOOK_NUMBER = 1
_SET_NAME, _SET_FLAGS, _SET_DATA, _SET_DESCRIPTION = 2, 3, 6, 9
_ANONYMOUS, _VERDICTS = 1, 0xFFFFFF00
_SIZE = 1  # of a description
_ELEMENTS = 3


class BaseChain(NamedTuple):
    """A base chain: what kind it is, its hook and policy, and how many rules of its own it has."""

    name: str
    kind: str
    hook: str
    policy: str
    rules: int


class TableOutline(NamedTuple):
    """A table; `size` is how many rules and jumps it has. One that is dormant judges nothing, nor without `bases`."""

    family: str
    name: str
    bases: tuple[BaseChain, ...]
    size: int
    is_dormant: bool = False

    def __str__(self) -> str:
        """Return family and name."""
        return f"{self.family} {self.name}"


class TableContents(NamedTuple):
    """How much there is to read of a table, up to a bound, and which of its named maps have verdicts."""

    size: int
    verdict_maps: tuple[str, ...]


class _Set(NamedTuple):
    name: str
    is_anonymous: bool
    has_verdicts: bool
    size: int


def table_outlines(asked: Ask = ask) -> list[TableOutline]:
    """Return the tables of this thread's network namespace. Raises NetlinkError."""
    bases: dict[tuple[int, bytes], list[BaseChain]] = {}
    sizes: dict[tuple[int, bytes], int] = {}
    for family, found in answers(asked, GET_CHAIN):
        key = family, part(found, TABLE)
        # The rules of a chain, and what leads to it.
        size = number("!I", part(found, _CHAIN_USE))
        sizes[key] = sizes.get(key, 0) + size
        if _CHAIN_HOOK in found:
            bases.setdefault(key, []).append(_base(family, found, size))
    return [
        TableOutline(
            family_name(family),
            text(name),
            tuple(bases.get((family, name), ())),
            sizes.get((family, name), 0),
            bool(flags & _DORMANT),
        )
        for family, name, flags in _tables(asked)
    ]


def _tables(asked: Ask) -> Iterator[tuple[int, bytes, int]]:
    for family, found in answers(asked, GET_TABLE):
        yield family, part(found, TABLE), number("!I", found.get(_TABLE_FLAGS, bytes(4)))


def contents(table: TableOutline, most: int, asked: Ask = ask) -> TableContents:
    """Return how much a table has that tells what becomes of packets; elements of plain sets do not.

    No more is counted where it is over `most`. Raises NetlinkError.
    """
    if table.size > most:
        return TableContents(table.size, ())
    size, maps = table.size, []
    for item in _sets(table, asked):
        if item.is_anonymous:
            size += item.size
        elif item.has_verdicts:
            maps.append(item.name)
            size += _elements(table, item.name, most - size, asked)
        if size > most:
            break
    return TableContents(size, tuple(maps))


def plain_elements(table: TableOutline, most: int, asked: Ask = ask) -> int:
    """Return how many elements the named sets of a table have that are no verdicts, and no more than that they are over
    `most`. Raises NetlinkError.
    """
    count = 0
    for item in _sets(table, asked):
        if not item.is_anonymous and not item.has_verdicts and count <= most:
            count += _elements(table, item.name, most - count, asked)
    return count


def _base(family: int, found: dict[int, bytes], size: int) -> BaseChain:
    hooks = _HOOKS_OF.get(family_name(family), _HOOKS)
    hook = number("!I", part(attributes(found[_CHAIN_HOOK]), _HOOK_NUMBER))
    policy = number("!I", found.get(_CHAIN_POLICY, b"\0\0\0\1"))
    return BaseChain(
        text(part(found, _NAME)),
        text(part(found, _CHAIN_KIND)),
        hooks[hook] if hook < len(hooks) else str(hook),
        "accept" if policy else "drop",
        size,
    )


def _sets(table: TableOutline, asked: Ask) -> Iterator[_Set]:
    for _family, found in answers(asked, GET_SET, family_number(table.family), within(table.name)):
        flags, data = (number("!I", found.get(kind, bytes(4))) for kind in (_SET_FLAGS, _SET_DATA))
        size = attributes(found.get(_SET_DESCRIPTION, b"")).get(_SIZE, bytes(4))
        yield _Set(text(part(found, _SET_NAME)), bool(flags & _ANONYMOUS), data == _VERDICTS, number("!I", size))


def _elements(table: TableOutline, name: str, most: int, asked: Ask) -> int:
    """Return how many elements a set has, and no more than that they are too many."""
    count = 0
    for _family, found in answers(asked, GET_ELEMENT, family_number(table.family), within(table.name, name)):
        count += sum(1 for _element in nested(found.get(_ELEMENTS, b"")))
        if count > most:
            break
    return count
