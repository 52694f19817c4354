# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A digest of some tables in the kernel (nfnetlink): as long as the digest is the same, nft lists the same rules.

The time it takes grows with the size of these tables only. A different digest does not mean different rules: rules that
were reloaded have another digest.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator

from ansible_collections.hpc.ports.plugins.module_utils._linux import netlink
from ansible_collections.hpc.ports.plugins.module_utils._linux.nfnetlink import (
    GET_CHAIN,
    GET_ELEMENT,
    GET_FLOWTABLE,
    GET_OBJECT,
    GET_RULE,
    GET_SET,
    GET_TABLE,
    SET,
    TABLE,
    Ask,
    answers,
    family_name,
    family_number,
    text,
    within,
)
from ansible_collections.hpc.ports.plugins.module_utils._model.names import TABLES, is_record

# linux/netfilter/nf_tables.h.
_CHAIN_COUNTERS = 8
_EXPRESSIONS, _EXPRESSION_NAME = 4, 1
_OBJECT_KIND, _OBJECT_DATA, _COUNTER = 3, 4, 1
_SET_FLAGS, _ANONYMOUS = 3, 1
_SET_COUNT = 20
_HEAD = struct.Struct("=IHI")
# The family and name of a table.
Table = tuple[str, str]


class NoTableError(netlink.NetlinkError):
    """The kernel has no table with this name, or the name is not one that a request can have."""


def fingerprint(tables: Iterable[Table], is_terse: bool, request: Ask = netlink.ask) -> str:
    """Return a digest of these tables without their counters; `is_terse` leaves out the elements of named sets.

    The tables are those of the network namespace of this thread. The records of observe mode are left out, as counters
    are. Raises NetlinkError, NoTableError for a missing table.
    """
    digest = hashlib.sha256()
    for table in tables:
        for kind, content in _contents(table, is_terse, request):
            for attribute in sorted(content):
                digest.update(_HEAD.pack(kind, attribute, len(content[attribute])) + content[attribute])
    return digest.hexdigest()


def _contents(table: Table, is_terse: bool, request: Ask) -> Iterator[tuple[int, dict[int, bytes]]]:
    """Yield the attributes of each object of a table, with its kind."""
    for content in _of(table, request, GET_TABLE):
        yield GET_TABLE, content
        break
    else:
        raise NoTableError("There is no table {} {}.".format(*table))
    for kind in (GET_CHAIN, GET_RULE, GET_OBJECT, GET_FLOWTABLE, GET_SET):
        for content in _of(table, request, kind):
            if kind == GET_SET and _is_record(table, content):
                yield kind, {name: value for name, value in content.items() if name != _SET_COUNT}
                continue
            yield kind, _uncounted(kind, content)
            if kind == GET_SET and (
                not is_terse or netlink.number("!I", content.get(_SET_FLAGS, bytes(4))) & _ANONYMOUS
            ):
                for elements in _of(table, request, GET_ELEMENT, text(netlink.part(content, SET))):
                    yield GET_ELEMENT, elements


def _is_record(table: Table, content: dict[int, bytes]) -> bool:
    return " ".join(table) in TABLES and is_record(text(netlink.part(content, SET)))


def _of(table: Table, request: Ask, kind: int, name: str = "") -> Iterator[dict[int, bytes]]:
    for family, content in answers(request, kind, family_number(table[0]), within(table[1], name)):
        # An old kernel returns tables, chains and flowtables of all tables.
        if (family_name(family), text(netlink.part(content, TABLE))) == table:
            yield content


def _uncounted(kind: int, content: dict[int, bytes]) -> dict[int, bytes]:
    """Return an object without the attributes that change with each packet."""
    if kind == GET_CHAIN:
        return {name: value for name, value in content.items() if name != _CHAIN_COUNTERS}
    if kind == GET_OBJECT and netlink.number("!I", netlink.part(content, _OBJECT_KIND)) == _COUNTER:
        return {name: value for name, value in content.items() if name != _OBJECT_DATA}
    if kind == GET_RULE:
        return {
            **content,
            _EXPRESSIONS: b"".join(map(_uncounted_expression, netlink.nested(content.get(_EXPRESSIONS, b"")))),
        }
    return content


def _uncounted_expression(raw: bytes) -> bytes:
    name = netlink.attributes(raw).get(_EXPRESSION_NAME, b"")
    return name if name == b"counter\0" else raw
