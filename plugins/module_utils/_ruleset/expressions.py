# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Evaluate the matches of a rule (libnftables JSON) for a packet: True, False, or None for unknown.

Each property of a packet is a number with known and unknown bits; interfaces are text. If a packet lacks the property,
for example TCP flags of a UDP packet, the match fails with any operator, as in the kernel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Callable, NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._ruleset.sets import Members, equals
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.symbols import (
    EVERY_BIT,
    SYMBOLS,
    SYN,
    TCP,
    UDP,
    Unknown,
    Value,
    number_of,
)

_WITH_PORTS = (TCP, UDP, 33, 132, 136)  # DCCP, SCTP and UDP-Lite, too
_ECHO_REQUEST = {1: 8, 58: 128}


class Absent(Exception):
    """The packet lacks this property: the kernel stops evaluating the rule."""


class View(NamedTuple):
    """A packet as a chain sees it. None: unknown. An empty interface: the packet has none at this hook.

    state        state of connection tracking; empty before connection tracking
    touched      names of sets that rules changed for this packet
    original     source, destination, source port and port before a rule translated one of them; None: not translated
    source_kind, destination_kind  route types, such as `local`
    returns      whether the route to the source uses the incoming interface
    """

    version: int
    protocol: int
    source: int | None
    destination: int | None
    source_port: int | None
    port: int | None
    flags: int = SYN
    incoming: str | None = ""
    outgoing: str | None = ""
    state: str | None = "new"
    mark: int | None = 0
    connection_mark: int | None = 0
    translated: int = 0
    source_kind: str = ""
    destination_kind: str = ""
    returns: bool | None = None
    touched: frozenset[str] = frozenset()
    original: tuple[int | None, int | None, int | None, int | None] | None = None


def _number(kind: str, number: int | None) -> Value:
    return Value(kind, 0, 0) if number is None else Value(kind, number)


# ---- properties of a packet


def values_of(expression: Any, view: View) -> tuple[Value, ...]:
    """Return the value of an expression for a packet, or one per part of a concatenation. Raises Absent, Unknown."""
    kind, data = _single_item(expression)
    if kind == "concat":
        return tuple(value for part in data for value in _part_values(part, view))
    if kind == "&":
        return (_masked(values_of(data[0], view)[0], data[1]),)
    if kind not in _READERS or not isinstance(data, dict):
        raise Unknown
    return (_READERS[kind](data, view),)


def _part_values(part: Any, view: View) -> tuple[Value, ...]:
    """Return the value of a part of a concatenation. Raises Absent.

    An unknown part is a value without known bits, because the other parts alone may exclude a match.
    """
    try:
        return values_of(part, view)
    except Unknown:
        return (Value("", 0, 0),)


def _single_item(expression: Any) -> tuple[str, Any]:
    if not isinstance(expression, dict) or len(expression) != 1:
        raise Unknown
    return next(iter(expression.items()))


def _masked(value: Value, mask: Any) -> Value:
    if isinstance(value.number, str):
        raise Unknown
    bits = number_of(value.kind, mask)
    return Value(value.kind, value.number & bits, value.known | ~bits)


def _payload(data: Mapping[str, Any], view: View) -> Value:
    protocol, field = data.get("protocol", ""), data.get("field", "")
    if data.get("base") in ("th", "transport") and data.get("len") == 16 and data.get("offset") in (0, 16):
        protocol, field = "th", "dport" if data["offset"] else "sport"
    if protocol in ("ip", "ip6"):
        return _network_header(4 if protocol == "ip" else 6, field, view)
    if protocol in ("icmp", "icmpv6"):
        return _icmp(protocol, field, view)
    if protocol == "th" and view.protocol not in _WITH_PORTS:
        raise Unknown
    if protocol in SYMBOLS["protocol"] and view.protocol != SYMBOLS["protocol"][protocol]:
        raise Absent
    if field in ("sport", "dport"):
        return _number("port", view.port if field == "dport" else view.source_port)
    if (protocol, field) == ("tcp", "flags"):
        return Value("flags", view.flags)
    raise Unknown


def _network_header(version: int, field: str, view: View) -> Value:
    if view.version != version:
        raise Absent
    if field in ("saddr", "daddr"):
        return _number("address", view.source if field == "saddr" else view.destination)
    if field in ("protocol", "nexthdr"):
        return Value("protocol", view.protocol)
    if field == "version":
        return Value("number", version)
    if field == "frag-off":
        return Value("number", 0, 0x3FFF)  # not a fragment; the flag "don't fragment" is not known
    raise Unknown


def _icmp(protocol: str, field: str, view: View) -> Value:
    """Return a field of an echo request, the only ICMP message that opens a connection."""
    if view.protocol != SYMBOLS["protocol"][protocol]:
        raise Absent
    if field == "type":
        return Value(protocol + " type", _ECHO_REQUEST[view.protocol])
    if field == "code":
        return Value(protocol + " code", 0)
    raise Unknown


def _meta(data: Mapping[str, Any], view: View) -> Value:
    key = data.get("key")
    if key in ("iifname", "iif", "oifname", "oif"):
        return _interface(view.incoming if key.startswith("i") else view.outgoing)
    if key == "l4proto":
        return Value("protocol", view.protocol)
    if key == "nfproto":
        return Value("nfproto", 2 if view.version == 4 else 10)
    if key == "protocol":
        return Value("ethertype", 0x0800 if view.version == 4 else 0x86DD)
    if key == "mark":
        return _number("mark", view.mark)
    if key == "pkttype":
        return Value("packet type", 0)
    if key in ("iiftype", "oiftype") and "lo" in (view.incoming, view.outgoing):
        return Value("hardware", 772)
    raise Unknown


def _interface(name: str | None) -> Value:
    if name is None:
        raise Unknown
    return Value("interface", name)


def _tracked(data: Mapping[str, Any], view: View) -> Value:
    key = data.get("key")
    if key == "state":
        return _number("state", None if view.state is None else SYMBOLS["state"][view.state or "invalid"])
    if view.state in ("", "untracked"):
        raise Absent
    if key == "mark":
        return _number("mark", view.connection_mark)
    if key == "zone":
        return Value("number", 0)
    if key == "direction" and view.state:
        return Value("direction", int(view.state != "new"))
    if key == "status" and view.state == "new":
        return Value("status", view.translated, 0x3F)
    if view.state == "new" and data.get("dir") == "original":
        return _original_field(str(key), view)
    raise Unknown


def _original_field(key: str, view: View) -> Value:
    """Return a field of the first packet of the connection: of this packet, before rules translated it."""
    family, _space, field = key.rpartition(" ")
    if family and family != ("ip" if view.version == 4 else "ip6"):
        raise Absent
    source, destination, source_port, port = view.original or (
        view.source,
        view.destination,
        view.source_port,
        view.port,
    )
    if field in ("saddr", "daddr"):
        return _number("address", source if field == "saddr" else destination)
    if field in ("proto-src", "proto-dst"):
        return _number("port", port if field == "proto-dst" else source_port)
    if field == "protocol":
        return Value("protocol", view.protocol)
    raise Unknown


def _route(data: Mapping[str, Any], view: View) -> Value:
    flags = data.get("flags", [])
    selectors = {flags} if isinstance(flags, str) else set(flags)
    if view.mark == 0:
        selectors.discard("mark")
    if data.get("result") == "type" and selectors in ({"saddr"}, {"daddr"}):
        kind = view.source_kind if selectors == {"saddr"} else view.destination_kind
        return _number("route type", SYMBOLS["route type"].get(kind))
    if data.get("result") in ("oif", "oifname", "check") and selectors == {"saddr", "iif"} and view.incoming:
        return _number("existence", None if view.returns is None else int(view.returns))
    raise Unknown


def _extension(data: Mapping[str, Any], view: View) -> Value:
    """Return that the packet has no IPv6 extension header, because packets that open a connection have none."""
    if "field" in data or view.version == 4:
        raise Absent
    return Value("existence", 0)


_READERS: dict[str, Callable[[Mapping[str, Any], View], Value]] = {
    "payload": _payload,
    "meta": _meta,
    "ct": _tracked,
    "fib": _route,
    "exthdr": _extension,
}


# ---- matches

# Returns the elements of `@name` or of an anonymous set, prepared for the kinds of the values. Raises Unknown.
SetLookup = Callable[[Any, Sequence[Value], bool], Members]


def holds(match: Mapping[str, Any], view: View, members: SetLookup) -> bool | None:
    """Return whether a match holds for a packet. None: unknown."""
    try:
        values = values_of(match["left"], view)
        operator, right = match["op"], match["right"]
        if isinstance(right, dict) and "set" in right or isinstance(right, str) and right.startswith("@"):
            hits, may_miss = members(right, values, False).lookup(values)
            return _negated(operator, (None if may_miss else True) if hits else False)
        if operator in ("in", "!"):
            return _has_bits(values[0], number_of(values[0].kind, right), operator == "!")
        if operator in ("<", ">", "<=", ">="):
            return _is_ordered(values[0], operator, number_of(values[0].kind, right))
        return _negated(operator, equals(values, right))
    except Absent:
        return False
    except (Unknown, KeyError):
        return None


def _negated(operator: str, result: bool | None) -> bool | None:
    if operator not in ("==", "!=", "in"):
        raise Unknown
    return result if operator != "!=" or result is None else not result


def _has_bits(value: Value, bits: int, is_negated: bool) -> bool | None:
    if isinstance(value.number, str):
        raise Unknown
    if value.number & value.known & bits:
        return not is_negated
    return None if bits & ~value.known else is_negated


def _is_ordered(value: Value, operator: str, number: int) -> bool | None:
    if value.known != EVERY_BIT or isinstance(value.number, str):
        return None
    return {
        "<": value.number < number,
        ">": value.number > number,
        "<=": value.number <= number,
        ">=": value.number >= number,
    }[operator]
