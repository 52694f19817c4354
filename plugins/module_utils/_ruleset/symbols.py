# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Turn the names, numbers, ranges and prefixes in rules (libnftables JSON) into numbers."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping
from typing import Any, NamedTuple

TCP, UDP = 6, 17
SYN, ACK = 0x02, 0x10
SOURCE_NAT, DESTINATION_NAT = 1 << 4, 1 << 5
EVERY_BIT = -1
TCP_FLAGS = {"fin": 1, "syn": 2, "rst": 4, "psh": 8, "ack": 16, "urg": 32, "ecn": 64, "cwr": 128}
SYMBOLS: Mapping[str, Mapping[str, int]] = {
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
    "flags": TCP_FLAGS,
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


class Unknown(Exception):
    """The result depends on facts that are not known."""


class Value(NamedTuple):
    """A number of some kind and a mask of its known bits; or the name of an interface."""

    kind: str
    number: int | str
    known: int = EVERY_BIT


def number_of(kind: str, data: Any) -> int:
    """Return the number of a JSON value: a number, a name, or a list of flags. Raises Unknown."""
    if isinstance(data, int):
        return int(data)
    if isinstance(data, dict) and list(data) == ["|"]:
        data = data["|"]
    if isinstance(data, list):
        result = 0
        for flag in data:
            result |= number_of(kind, flag)
        return result
    if not isinstance(data, str):
        raise Unknown
    if data in SYMBOLS.get(kind, ()):
        return SYMBOLS[kind][data]
    return _parse_number(kind, data)


def _parse_number(kind: str, text: str) -> int:
    try:
        if kind == "address":
            return int(ipaddress.ip_address(text))
        return socket.getprotobyname(text) if kind == "protocol" else int(text, 0)
    except (ValueError, OSError) as exc:
        raise Unknown from exc


def range_of(kind: str, data: Any) -> tuple[int, int]:
    """Return the first and last number of a JSON value: a range, a prefix, or a single value. Raises Unknown."""
    if isinstance(data, dict) and "range" in data:
        first, last = data["range"]
        return number_of(kind, first), number_of(kind, last)
    if isinstance(data, dict) and "prefix" in data and kind == "address":
        first = number_of(kind, data["prefix"]["addr"])
        width = 128 if ":" in data["prefix"]["addr"] else 32
        return first, first | (1 << width - data["prefix"]["len"]) - 1
    number = number_of(kind, data)
    return number, number
