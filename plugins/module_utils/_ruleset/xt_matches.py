# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What matches of iptables-nft ask, from the kernel: an nft that is built without the library of iptables lists their names.

Debian 13 has such an nft. The words are those that an nft with the library writes.
"""

from __future__ import annotations

import re
import struct
from typing import Callable, NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._linux.netlink import (
    NetlinkError,
    ask,
    attributes,
    nested,
    number,
    part,
)
from ansible_collections.hpc.ports.plugins.module_utils._linux.nfnetlink import (
    GET_RULE,
    TABLE,
    Ask,
    answers,
    family_name,
    text,
)

# linux/netfilter/nf_tables.h.
_HANDLE, _EXPRESSIONS = 3, 4
_EXPRESSION_NAME, _EXPRESSION_DATA = 1, 2
_MATCH_NAME, _MATCH_REVISION, _MATCH_DATA = 1, 2, 3
# linux/netfilter/xt_conntrack.h, revisions 2 and 3: where flags, their negations and states are.
_CONNTRACK = struct.Struct("=HHH")
_CONNTRACK_AT = 146
_STATE, _AS_STATE = 1, 1 << 13  # what is asked; that it was written as -m state
_STATES = {1: "invalid", 2: "established", 4: "related", 8: "new", 256: "untracked"}
# linux/netfilter/xt_addrtype.h, revision 1: types of the source and of the destination, flags.
_ADDRTYPE = struct.Struct("=HHI")
_NOT_DESTINATION = 2
_TYPES = {
    1 << place: name
    for place, name in enumerate(
        ("unspec", "unicast", "local", "broadcast", "anycast", "multicast", "blackhole", "unreachable", "prohibit")
    )
}
# linux/netfilter/xt_multiport.h, revision 1: which ports, how many; the ports, whether a range goes on, the negation.
_MULTIPORT = struct.Struct("=BB15H15BB")
_SIDES = {0: "sport", 1: "dport"}
_PLACES = 15

_WORD = re.compile(r'xt match "([^"]*)"')
_HANDLE_OF = re.compile(r"# handle ([0-9]+)$")
_PROTOCOL = re.compile(r"meta l4proto (tcp|udp|6|17)\b")
_PROTOCOLS = {"6": "tcp", "17": "udp"}


class XtMatch(NamedTuple):
    """A match of iptables: its extension, the revision of its data, and these."""

    name: str
    revision: int
    data: bytes


# The matches of each rule, by its table and handle.
Matches = dict[tuple[str, str], list[XtMatch]]


def write_out_matches(listing: str, matches: Callable[[], Matches]) -> str:
    """Return a listing with handles in which matches that have only their name are written out, as far as they are known."""
    if not _WORD.search(listing):
        return listing
    try:
        found = matches()
    except NetlinkError:
        return listing
    lines, table = listing.splitlines(), ""
    for place, line in enumerate(lines):
        if line.startswith("table "):
            table = " ".join(line.split()[1:3])
        handle = _HANDLE_OF.search(line)
        if handle and "xt match" in line:
            lines[place] = _written_out(line, found.get((table, handle[1]), []))
    return "\n".join([*lines, ""])


def _written_out(line: str, matches: list[XtMatch]) -> str:
    """Return a rule with words in the place of names; it stays as it is where these are others than the kernel's."""
    if _WORD.findall(line) != [match.name for match in matches]:
        return line
    protocol = _PROTOCOL.search(line)
    left = iter(matches)
    named = _PROTOCOLS.get(protocol[1], protocol[1]) if protocol else ""
    return _WORD.sub(lambda found: words(next(left), named) or found[0], line)


def words(match: XtMatch, protocol: str = "") -> str:
    """Return what a match asks in words of nft, or nothing; `protocol` is that of the rule."""
    try:
        if match.name == "conntrack" and match.revision in (2, 3):
            return _state(*_CONNTRACK.unpack_from(match.data, _CONNTRACK_AT))
        if match.name == "addrtype" and match.revision == 1:
            return _type(*_ADDRTYPE.unpack_from(match.data))
        if match.name == "multiport" and match.revision == 1 and protocol:
            return _ports(protocol, _MULTIPORT.unpack_from(match.data))
    except struct.error:
        pass
    return ""


def _state(flags: int, negated: int, states: int) -> str:
    if flags & ~_AS_STATE != _STATE or states & ~sum(_STATES) or not states:
        return ""
    return "ct state {}{}".format(
        "!= " if negated & _STATE else "", ",".join(name for bit, name in _STATES.items() if states & bit)
    )


def _type(source: int, destination: int, flags: int) -> str:
    if source or flags & ~_NOT_DESTINATION or destination & ~sum(_TYPES) or not destination:
        return ""
    return "fib daddr type {}{}".format(
        "!= " if flags else "", _set([name for bit, name in _TYPES.items() if destination & bit])
    )


def _ports(protocol: str, data: tuple[int, ...]) -> str:
    side, count, ports, goes_on, negated = data[0], data[1], data[2 : 2 + _PLACES], data[2 + _PLACES : -1], data[-1]
    if side not in _SIDES or not 0 < count <= _PLACES:
        return ""
    found: list[str] = []
    for place in range(count):
        is_end = place > 0 and goes_on[place - 1]
        found[len(found) - int(bool(is_end)) :] = [f"{found[-1]}-{ports[place]}" if is_end else str(ports[place])]
    return "{} {} {}{}".format(protocol, _SIDES[side], "!= " if negated else "", _set(found))


def _set(members: list[str]) -> str:
    return members[0] if len(members) == 1 else "{{ {} }}".format(", ".join(members))


# ---- the kernel


def kernel_matches(asked: Ask = ask) -> Matches:
    """Return the matches of all rules of this thread's network namespace. Raises NetlinkError."""
    found: Matches = {}
    for family, rule in answers(asked, GET_RULE):
        matches = [
            _match(data)
            for data in map(attributes, nested(rule.get(_EXPRESSIONS, b"")))
            if text(part(data, _EXPRESSION_NAME)) == "match"
        ]
        if matches:
            table = f"{family_name(family)} {text(part(rule, TABLE))}"
            found[table, str(number("!Q", part(rule, _HANDLE)))] = matches
    return found


def _match(expression: dict[int, bytes]) -> XtMatch:
    data = attributes(part(expression, _EXPRESSION_DATA))
    return XtMatch(text(part(data, _MATCH_NAME)), number("!I", part(data, _MATCH_REVISION)), part(data, _MATCH_DATA))
