# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does a match of a rule, as libnftables writes it in JSON, hold for a packet? Yes, no, or None: it cannot be told.

Whatever a rule can look at is a number of some kind, of which each bit is known or not; interfaces are text. What a
packet lacks, as TCP flags where it is UDP, makes a match fail whatever its operator is: the kernel leaves the rule.
"""

from __future__ import annotations

import ipaddress
import socket
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any, Callable, NamedTuple

TCP, UDP = 6, 17
SYN, ACK = 0x02, 0x10
SOURCE_NAT, DESTINATION_NAT = 1 << 4, 1 << 5
_WITH_PORTS = (TCP, UDP, 33, 132, 136)  # DCCP, SCTP and UDP-Lite, too
_ECHO_REQUEST = {1: 8, 58: 128}
_ALL = -1  # every bit

_FLAGS = {"fin": 1, "syn": 2, "rst": 4, "psh": 8, "ack": 16, "urg": 32, "ecn": 64, "cwr": 128}
_NAMES: Mapping[str, Mapping[str, int]] = {
    "protocol": {
        "icmp": 1,
        "igmp": 2,
        "tcp": 6,
        "udp": 17,
        "dccp": 33,
        "gre": 47,
        "esp": 50,
        "ah": 51,
        "icmpv6": 58,
        "ipv6-icmp": 58,
        "comp": 108,
        "ipcomp": 108,
        "sctp": 132,
        "udplite": 136,
    },
    "nfproto": {"ipv4": 2, "ipv6": 10},
    "ethertype": {"ip": 0x0800, "arp": 0x0806, "vlan": 0x8100, "8021q": 0x8100, "ip6": 0x86DD},
    "state": {"invalid": 1, "established": 2, "related": 4, "new": 8, "untracked": 64},
    "status": {
        "expected": 1,
        "seen-reply": 2,
        "assured": 4,
        "confirmed": 8,
        "snat": SOURCE_NAT,
        "dnat": DESTINATION_NAT,
        "dying": 512,
    },
    "direction": {"original": 0, "reply": 1},
    "flags": _FLAGS,
    "packet type": {"host": 0, "unicast": 0, "broadcast": 1, "multicast": 2, "other": 3},
    "route type": {
        "unspec": 0,
        "unicast": 1,
        "local": 2,
        "broadcast": 3,
        "anycast": 4,
        "multicast": 5,
        "blackhole": 6,
        "unreachable": 7,
        "prohibit": 8,
    },
    "hardware": {"ether": 1, "loopback": 772},
    "icmp type": {
        "echo-reply": 0,
        "destination-unreachable": 3,
        "source-quench": 4,
        "redirect": 5,
        "echo-request": 8,
        "router-advertisement": 9,
        "router-solicitation": 10,
        "time-exceeded": 11,
        "parameter-problem": 12,
        "timestamp-request": 13,
        "timestamp-reply": 14,
        "info-request": 15,
        "info-reply": 16,
        "address-mask-request": 17,
        "address-mask-reply": 18,
    },
    "icmpv6 type": {
        "destination-unreachable": 1,
        "packet-too-big": 2,
        "time-exceeded": 3,
        "parameter-problem": 4,
        "echo-request": 128,
        "echo-reply": 129,
        "mld-listener-query": 130,
        "mld-listener-report": 131,
        "mld-listener-done": 132,
        "mld-listener-reduction": 132,
        "nd-router-solicit": 133,
        "nd-router-advert": 134,
        "nd-neighbor-solicit": 135,
        "nd-neighbor-advert": 136,
        "nd-redirect": 137,
        "router-renumbering": 138,
        "ind-neighbor-solicit": 141,
        "ind-neighbor-advert": 142,
        "mld2-listener-report": 143,
    },
    "icmp code": {
        "net-unreachable": 0,
        "host-unreachable": 1,
        "prot-unreachable": 2,
        "port-unreachable": 3,
        "frag-needed": 4,
        "net-prohibited": 9,
        "host-prohibited": 10,
        "admin-prohibited": 13,
    },
    "icmpv6 code": {"no-route": 0, "admin-prohibited": 1, "addr-unreachable": 3, "port-unreachable": 4},
}


class Absent(Exception):
    """The packet has no such thing: the kernel leaves the rule."""


class Unknown(Exception):
    """It cannot be told from what is known."""


class View(NamedTuple):
    """A packet as a chain sees it; None stands for what is not known, an empty interface for none.

    `state` is that of connection tracking, empty where it has not seen the packet yet. `touched` are sets that rules
    have changed on the way. `source_kind` and `destination_kind` are types of routes, such as `local`.
    """

    version: int
    protocol: int
    source: int | None
    destination: int | None
    source_port: int | None
    port: int | None
    flags: int = SYN
    coming: str | None = ""
    leaving: str | None = ""
    state: str | None = "new"
    mark: int | None = 0
    connection_mark: int | None = 0
    translated: int = 0
    source_kind: str = ""
    destination_kind: str = ""
    returns: bool | None = None
    touched: frozenset[str] = frozenset()


class Value(NamedTuple):
    """A number of some kind, and which of its bits are known; or the name of an interface."""

    kind: str
    number: int | str
    known: int = _ALL


def _number(kind: str, number: int | None) -> Value:
    return Value(kind, 0, 0) if number is None else Value(kind, number)


# ---- what a packet has


def values_of(expression: Any, view: View) -> tuple[Value, ...]:
    """Return what an expression is for a packet, part by part where it is a concatenation. Raises Absent, Unknown."""
    kind, data = _only(expression)
    if kind == "concat":
        return tuple(value for part in data for value in _or_unknown(part, view))
    if kind == "&":
        return (_masked(values_of(data[0], view)[0], data[1]),)
    if kind not in _READERS or not isinstance(data, dict):
        raise Unknown
    return (_READERS[kind](data, view),)


def _or_unknown(part: Any, view: View) -> tuple[Value, ...]:
    """Return what a part of a concatenation is: the others may rule a match out by themselves. Raises Absent."""
    try:
        return values_of(part, view)
    except Unknown:
        return (Value("", 0, 0),)


def _only(expression: Any) -> tuple[str, Any]:
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
    if protocol in _NAMES["protocol"] and view.protocol != _NAMES["protocol"][protocol]:
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
        return Value("number", 0, 0x3FFF)  # not a fragment; that it must not become one is not known
    raise Unknown


def _icmp(protocol: str, field: str, view: View) -> Value:
    """An echo request: the only message that opens anything."""
    if view.protocol != _NAMES["protocol"][protocol]:
        raise Absent
    if field == "type":
        return Value(protocol + " type", _ECHO_REQUEST[view.protocol])
    if field == "code":
        return Value(protocol + " code", 0)
    raise Unknown


def _meta(data: Mapping[str, Any], view: View) -> Value:
    key = data.get("key")
    if key in ("iifname", "iif", "oifname", "oif"):
        return _interface(view.coming if key.startswith("i") else view.leaving)
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
    if key in ("iiftype", "oiftype") and "lo" in (view.coming, view.leaving):
        return Value("hardware", 772)
    raise Unknown


def _interface(name: str | None) -> Value:
    if name is None:
        raise Unknown
    return Value("interface", name)


def _tracked(data: Mapping[str, Any], view: View) -> Value:
    key = data.get("key")
    if key == "state":
        return _number("state", None if view.state is None else _NAMES["state"][view.state or "invalid"])
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
    if view.state == "new" and data.get("dir") == "original" and not view.translated:
        return _original(str(key).replace("ip6 ", "").replace("ip ", ""), view)
    raise Unknown


def _original(key: str, view: View) -> Value:
    """Return what the first packet of the connection has: this one."""
    if key in ("saddr", "daddr"):
        return _number("address", view.source if key == "saddr" else view.destination)
    if key in ("proto-src", "proto-dst"):
        return _number("port", view.port if key == "proto-dst" else view.source_port)
    if key == "protocol":
        return Value("protocol", view.protocol)
    raise Unknown


def _route(data: Mapping[str, Any], view: View) -> Value:
    flags = data.get("flags", [])
    asked = {flags} if isinstance(flags, str) else set(flags)
    if view.mark == 0:
        asked.discard("mark")
    if data.get("result") == "type" and asked in ({"saddr"}, {"daddr"}):
        kind = view.source_kind if asked == {"saddr"} else view.destination_kind
        return _number("route type", _NAMES["route type"].get(kind))
    if data.get("result") in ("oif", "oifname", "check") and asked == {"saddr", "iif"} and view.coming:
        return _number("existence", None if view.returns is None else int(view.returns))
    raise Unknown


def _extension(data: Mapping[str, Any], view: View) -> Value:
    """IPv6 extension headers: a packet that opens something has none."""
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


# ---- what a rule compares it with


def number_of(kind: str, data: Any) -> int:
    """Return the number that JSON stands for. Raises Unknown."""
    if isinstance(data, int):
        return int(data)
    if isinstance(data, dict) and list(data) == ["|"]:
        data = data["|"]
    if isinstance(data, list):
        result = 0
        for item in data:
            result |= number_of(kind, item)
        return result
    if not isinstance(data, str):
        raise Unknown
    if data in _NAMES.get(kind, ()):
        return _NAMES[kind][data]
    return _parsed(kind, data)


def _parsed(kind: str, text: str) -> int:
    try:
        if kind == "address":
            return int(ipaddress.ip_address(text))
        return socket.getprotobyname(text) if kind == "protocol" else int(text, 0)
    except (ValueError, OSError) as exc:
        raise Unknown from exc


def range_of(kind: str, data: Any) -> tuple[int, int]:
    """Return the first and the last number that JSON stands for. Raises Unknown."""
    if isinstance(data, dict) and "range" in data:
        first, last = data["range"]
        return number_of(kind, first), number_of(kind, last)
    if isinstance(data, dict) and "prefix" in data and kind == "address":
        first = number_of(kind, data["prefix"]["addr"])
        width = 128 if ":" in data["prefix"]["addr"] else 32
        return first, first | (1 << width - data["prefix"]["len"]) - 1
    number = number_of(kind, data)
    return number, number


def _is_one(value: Value, data: Any) -> bool | None:
    """Tell whether a value is what JSON stands for: a single one, a range, a prefix or a name."""
    if data == "*" and value.kind != "interface":
        return True
    try:
        if isinstance(value.number, str):
            return _is_named(value.number, data)
        result = _is_between(value.number, value.known, *range_of(value.kind, data))
        may_be_more = isinstance(data, dict) and "may_be_shorter" in data.get("prefix", ())
        return None if may_be_more and not result else result
    except (Unknown, KeyError, TypeError, ValueError):
        return None


def _is_named(name: str, data: Any) -> bool:
    if not isinstance(data, str):
        raise Unknown
    return name.startswith(data[:-1]) if data.endswith("*") else name == data


def _is_between(number: int, known: int, first: int, last: int) -> bool | None:
    if known == _ALL:
        return first <= number <= last
    return False if first == last and (number ^ first) & known else None


# ---- sets and maps


class Members:
    """The elements of a set, or the keys of a map with what each stands for."""

    def __init__(self, elements: Sequence[Any], kinds: Sequence[str], is_map: bool) -> None:
        pairs = [(_unwrapped(item[0]), item[1]) if is_map else (_unwrapped(item), None) for item in elements]
        self._others = [payload for key, payload in pairs if key == "*"]
        self._pairs = [pair for pair in pairs if pair[0] != "*"]
        self._ranges: list[tuple[int, int, Any]] = []
        self._is_sorted = len(kinds) == 1 and kinds[0] != "interface" and self._sort(kinds[0])
        self._firsts = [item[0] for item in self._ranges]

    def _sort(self, kind: str) -> bool:
        """Put elements that are numbers in order; the kernel has none that overlap."""
        try:
            self._ranges = sorted(
                ((*range_of(kind, key), payload) for key, payload in self._pairs), key=lambda item: item[0]
            )
        except (Unknown, KeyError, TypeError, ValueError):
            return False
        return True

    def found(self, values: Sequence[Value]) -> tuple[list[Any], bool]:
        """Return what may be found for a value, and whether it may be that nothing is."""
        value = values[0]
        if self._is_sorted and value.known == _ALL and isinstance(value.number, int):
            place = bisect_right(self._firsts, value.number) - 1
            hits = [self._ranges[place][2]] if place >= 0 and value.number <= self._ranges[place][1] else []
            return self._or_others(hits, not hits)
        hits = []
        for key, payload in self._pairs:
            is_it = _are(values, key)
            if is_it is not False:
                hits.append(payload)
            if is_it:
                return hits, False
        return self._or_others(hits, True)

    def _or_others(self, hits: list[Any], may_miss: bool) -> tuple[list[Any], bool]:
        return (hits + self._others, False) if may_miss and self._others else (hits, may_miss)


def _unwrapped(element: Any) -> Any:
    """Return an element without its time-out, comment or counter."""
    return element["elem"]["val"] if isinstance(element, dict) and "elem" in element else element


def _are(values: Sequence[Value], key: Any) -> bool | None:
    parts = key["concat"] if isinstance(key, dict) and "concat" in key else [key]
    if len(parts) != len(values):
        return None
    found = [_is_one(value, _unwrapped(part)) for value, part in zip(values, parts)]
    return False if False in found else None if None in found else True


# ---- matches

# Returns the elements that `@name` or an anonymous set has, as the values need them. Raises Unknown.
Finder = Callable[[Any, Sequence[Value], bool], Members]


def holds(match: Mapping[str, Any], view: View, members: Finder) -> bool | None:
    """Tell whether a match holds for a packet; None where that cannot be told."""
    try:
        values = values_of(match["left"], view)
        operator, right = match["op"], match["right"]
        if isinstance(right, dict) and "set" in right or isinstance(right, str) and right.startswith("@"):
            hits, may_miss = members(right, values, False).found(values)
            return _negated(operator, (None if may_miss else True) if hits else False)
        if operator in ("in", "!"):
            return _has_bits(values[0], number_of(values[0].kind, right), operator == "!")
        if operator in ("<", ">", "<=", ">="):
            return _is_ordered(values[0], operator, number_of(values[0].kind, right))
        return _negated(operator, _are(values, right))
    except Absent:
        return False
    except (Unknown, KeyError):
        return None


def _negated(operator: str, result: bool | None) -> bool | None:
    if operator not in ("==", "!=", "in"):
        raise Unknown
    return result if operator != "!=" or result is None else not result


def _has_bits(value: Value, bits: int, is_none_wanted: bool) -> bool | None:
    if isinstance(value.number, str):
        raise Unknown
    if value.number & value.known & bits:
        return not is_none_wanted
    return None if bits & ~value.known else is_none_wanted


def _is_ordered(value: Value, operator: str, number: int) -> bool | None:
    if value.known != _ALL or isinstance(value.number, str):
        return None
    return {
        "<": value.number < number,
        ">": value.number > number,
        "<=": value.number <= number,
        ">=": value.number >= number,
    }[operator]
