# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the conditions of iptables-nft matches from the kernel, for an nft that lists only their names.

An nft that is built without the library of iptables does so; Debian 13 has such an nft. The conditions are written as
an nft with the library writes them.
"""

from __future__ import annotations

import re
import struct
from typing import Callable, NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._linux import netlink
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
# linux/netfilter/xt_conntrack.h, revisions 2 and 3: flags, negated flags and states, at this offset.
_CONNTRACK = struct.Struct("=HHH")
_CONNTRACK_AT = 146
_STATE, _AS_STATE = 1, 1 << 13  # the condition on the state; the rule was written with -m state
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
# linux/netfilter/xt_multiport.h, revision 1: the side, the number of ports, the ports, which of
# them start a range, and the negation.
_MULTIPORT = struct.Struct("=BB15H15BB")
_SIDES = {0: "sport", 1: "dport"}
_PLACES = 15

_WORD = re.compile(r'xt match "([^"]*)"')
_HANDLE_OF = re.compile(r"# handle ([0-9]+)$")
_PROTOCOL = re.compile(r"meta l4proto (tcp|udp|6|17)\b")
_PROTOCOLS = {"6": "tcp", "17": "udp"}


class XtMatch(NamedTuple):
    """An iptables match: its extension, the revision of its data, and the data."""

    name: str
    revision: int
    data: bytes


# The matches of each rule, by its table and handle.
Matches = dict[tuple[str, str], list[XtMatch]]


def write_out_matches(listing: str, matches: Callable[[], Matches]) -> str:
    """Return a listing with handles in which the conditions of matches are written out, as far as possible.

    `matches` reads the matches from the kernel; it is called only if the listing needs them.
    """
    if not _WORD.search(listing):
        return listing
    try:
        by_rule = matches()
    except netlink.NetlinkError:
        return listing
    lines, table = listing.splitlines(), ""
    for place, line in enumerate(lines):
        if line.startswith("table "):
            table = " ".join(line.split()[1:3])
        handle = _HANDLE_OF.search(line)
        if handle and "xt match" in line:
            lines[place] = _written_out(line, by_rule.get((table, handle[1]), []))
    return "\n".join([*lines, ""])


def _written_out(line: str, matches: list[XtMatch]) -> str:
    """Return a rule with the conditions of its matches; unchanged if the names differ from those of the kernel."""
    if _WORD.findall(line) != [match.name for match in matches]:
        return line
    protocol = _PROTOCOL.search(line)
    remaining = iter(matches)
    named = _PROTOCOLS.get(protocol[1], protocol[1]) if protocol else ""
    return _WORD.sub(lambda shown: nft_notation(next(remaining), named) or shown[0], line)


def nft_notation(match: XtMatch, protocol: str = "") -> str:
    """Return a match in the notation of nft, or an empty text; `protocol` is the protocol of the rule."""
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
    side, count, ports, starts_range, negated = (
        data[0],
        data[1],
        data[2 : 2 + _PLACES],
        data[2 + _PLACES : -1],
        data[-1],
    )
    if side not in _SIDES or not 0 < count <= _PLACES:
        return ""
    members: list[str] = []
    for place in range(count):
        is_end = place > 0 and starts_range[place - 1]
        members[len(members) - int(bool(is_end)) :] = [f"{members[-1]}-{ports[place]}" if is_end else str(ports[place])]
    return "{} {} {}{}".format(protocol, _SIDES[side], "!= " if negated else "", _set(members))


def _set(members: list[str]) -> str:
    return members[0] if len(members) == 1 else "{{ {} }}".format(", ".join(members))


# ---- the kernel


def kernel_matches(request: Ask = netlink.ask) -> Matches:
    """Return the matches of all rules in the network namespace of this thread. Raises NetlinkError."""
    by_rule: Matches = {}
    for family, rule in answers(request, GET_RULE):
        matches = [
            _match(data)
            for data in map(netlink.attributes, netlink.nested(rule.get(_EXPRESSIONS, b"")))
            if text(netlink.part(data, _EXPRESSION_NAME)) == "match"
        ]
        if matches:
            table = f"{family_name(family)} {text(netlink.part(rule, TABLE))}"
            by_rule[table, str(netlink.number("!Q", netlink.part(rule, _HANDLE)))] = matches
    return by_rule


def _match(expression: dict[int, bytes]) -> XtMatch:
    data = netlink.attributes(netlink.part(expression, _EXPRESSION_DATA))
    return XtMatch(
        text(netlink.part(data, _MATCH_NAME)),
        netlink.number("!I", netlink.part(data, _MATCH_REVISION)),
        netlink.part(data, _MATCH_DATA),
    )
