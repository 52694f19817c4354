# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A temporary table that only counts: how far the opening packets of probes, and the answers to them, get.

firewalld has no counters, and the counters of the nftables backend count flows, not peers. This table is the same for
both backends. It accepts every packet, and has its chains before and after all other tables:

    left        an opening packet has passed all rules of the source
    arrived     it has reached the target, before any rule
    passed      it has passed all incoming rules of the target; if they send it to a container, those that forward it
    answered    the answer has passed all rules of the target
    returned    the answer has reached the source, before any rule

Each count has the own address of the host, the address of the peer, and the port of the target, all before any address
translation on this host: incoming packets are counted before the rules that translate, packets that have passed these
rules by the original addresses that connection tracking keeps. If the source itself translates a connection, the answer
returns to another address, so it is counted once more by the original addresses. Without connection tracking there is
no translation, and this table does not enable tracking.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Callable, NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._linux.conntrack import is_tracking
from ansible_collections.hpc.ports.plugins.module_utils._linux.nft import execute
from ansible_collections.hpc.ports.plugins.module_utils._model.names import COUNTING_TABLE
from ansible_collections.hpc.ports.plugins.module_utils._model.ports import PortRange
from ansible_collections.hpc.ports.plugins.module_utils._model.wire import Counts
from ansible_collections.hpc.ports.plugins.module_utils._probe.protocol import question

# Runs nft commands, such as `nft.execute`.
Nft = Callable[..., str]

_UDP_HEADER = 8


class _Count(NamedTuple):
    """A point where packets are counted: opening packets or answers, on the host that sends or receives them."""

    hook: str
    priority: int
    is_opening: bool
    is_sent: bool

    @property
    def port(self) -> str:
        """Return the field of the packet that has the port of the target."""
        return "dport" if self.is_opening else "sport"

    @property
    def by_packet(self) -> tuple[str, str]:
        """Return the fields of the packet that have the own address and the address of the peer."""
        return ("saddr", "daddr") if self.is_sent else ("daddr", "saddr")

    @property
    def by_connection(self) -> tuple[str, str]:
        """Return the same fields of the packet that opened the connection; an answer has the opposite direction."""
        return ("saddr", "daddr") if self.is_sent == self.is_opening else ("daddr", "saddr")


_FIRST, _LAST = -400, 32000  # before connection tracking and all filters, or after them
_COUNTED = {
    "arrived": _Count("prerouting", _FIRST, is_opening=True, is_sent=False),
    "returned": _Count("prerouting", _FIRST, is_opening=False, is_sent=False),
    "passed": _Count("input", _LAST, is_opening=True, is_sent=False),
    "left": _Count("postrouting", _LAST, is_opening=True, is_sent=True),
    "answered": _Count("postrouting", _LAST, is_opening=False, is_sent=True),
}
_TRACKED = -199  # at prerouting, the connection is known from this priority on
_NO_CONNECTION = "ct state invalid,untracked"
_TRANSLATED = "ct status snat,dnat"
_SENT_ON = "ct status dnat"  # at the hook forward: this host has translated the destination
# IP version, and in nft the protocol and the type of an address.
_Family = tuple[str, str, str]
_FAMILIES: tuple[_Family, ...] = (("4", "ip", "ipv4_addr"), ("6", "ip6", "ipv6_addr"))
# The notation depends on the version of nft, even with the option for numbers.
_PROTOCOLS = {6: "tcp", 17: "udp", "6": "tcp", "17": "udp"}
_MOST = 65535  # elements of a set; further packets are not counted


def load(
    ports: Sequence[PortRange], key: str, nft: Nft = execute, is_tracked: Callable[[], bool] = is_tracking
) -> None:
    """Start to count at these ports, from 0. Raises ListingError, for example without nftables."""
    nft(script(ports, key, is_tracked()))


def unload(nft: Nft = execute) -> None:
    """Delete the table, if there is one. Raises ListingError."""
    nft(f"add table {COUNTING_TABLE}\ndelete table {COUNTING_TABLE}\n")


def script(ports: Sequence[PortRange], key: str, is_tracked: bool) -> str:
    """Return the commands that recreate the table; `is_tracked`: the kernel tracks connections."""
    lines = [form.format(COUNTING_TABLE) for form in ("add table {0}", "delete table {0}", "table {0} {{")]
    lines += [f"set ports {{ type inet_proto . inet_service; {_elements(ports)} }}"]
    lines += [
        f"set {name}_{number} {{ type {kind} . {kind} . inet_proto . inet_service; flags dynamic; size {_MOST}; }}"
        for name in _COUNTED
        for number, family, kind in _FAMILIES
    ]
    for hook, priority in sorted({(count.hook, count.priority) for count in _COUNTED.values()}):
        rules = (
            rule
            for name, count in _COUNTED.items()
            if count.hook == hook
            for rule in _rules(name, count, key, is_tracked and priority == _LAST)
        )
        lines += _chain(hook, hook, priority, rules)
    if is_tracked:
        lines += _chain(
            "translated", "prerouting", _TRACKED, _rules_of_translated("returned", _answer_matches(), _TRANSLATED)
        )
        lines += _chain("forward", "forward", _LAST, _rules_of_translated("passed", _opening_matches(key), _SENT_ON))
    return "\n".join([*lines, "}", ""])


def _chain(name: str, hook: str, priority: int, rules: Iterable[str]) -> list[str]:
    return [f"chain {name} {{ type filter hook {hook} priority {priority}; policy accept;", *rules, "}"]


def _rules_of_translated(name: str, matches: Iterable[str], status: str) -> list[str]:
    return [
        _by_connection(name, _COUNTED[name], family, f"{match} {status}") for match in matches for family in _FAMILIES
    ]


def _elements(ports: Iterable[PortRange]) -> str:
    names = sorted({f"{port.protocol} . {port.first}" for port in ports})
    return "elements = {{ {} }}".format(", ".join(names)) if names else ""


def _rules(name: str, count: _Count, key: str, is_tracked: bool) -> Iterator[str]:
    for family in _FAMILIES:
        for match in _opening_matches(key) if count.is_opening else _answer_matches():
            if is_tracked:
                yield _by_connection(name, count, family, match)
                yield _by_packet(name, count, family, f"{match} {_NO_CONNECTION}")
            else:
                yield _by_packet(name, count, family, match)


def _by_packet(name: str, count: _Count, family: _Family, match: str) -> str:
    own, peer = (f"{family[1]} {whose}" for whose in count.by_packet)
    return _rule(name, family, match, own, peer, "th " + count.port)


def _by_connection(name: str, count: _Count, family: _Family, match: str) -> str:
    own, peer = (f"ct original {family[1]} {whose}" for whose in count.by_connection)
    direction = "ct direction {}".format("original" if count.is_opening else "reply")
    return _rule(name, family, f"{match} {direction}", own, peer, "ct original proto-dst")


def _rule(name: str, family: _Family, match: str, own: str, peer: str, port: str) -> str:
    return (
        f"meta nfproto ipv{family[0]} {match} meta l4proto . {port} @ports "
        f"update @{name}_{family[0]} {{ {own} . {peer} . meta l4proto . {port} counter }}"
    )


def _opening_matches(key: str) -> tuple[str, str]:
    """Return the matches for opening packets.

    The datagrams of probes are recognized by their length, so production traffic on the same port costs one comparison.
    """
    return ("tcp flags & (fin | syn | rst | ack) == syn", f"udp length {_UDP_HEADER + len(question(key))}")


def _answer_matches() -> tuple[str, str]:
    return "tcp flags & (syn | ack) == (syn | ack)", "meta l4proto udp"


def read_counts(nft: Nft = execute) -> Counts:
    """Return the counts until now. Raises ListingError."""
    return parse_counts(json.loads(nft(f"list table {COUNTING_TABLE}", as_json=True)))


def parse_counts(listing: Mapping[str, Any]) -> Counts:
    """Return the counts in a listing of the table, in the JSON of libnftables.

    The count of a full set is None: packets that are not in the set may have arrived as well.
    """
    counts: Counts = {name: {} for name in _COUNTED}
    for entry in listing["nftables"]:
        name = entry.get("set", {}).get("name", "").rpartition("_")[0]
        elements, counted = entry.get("set", {}).get("elem", []), counts.get(name)
        if counted is not None:
            _add(elements, counted)
            counts[name] = counted if len(elements) < _MOST else None
    return counts


def _add(elements: Iterable[Mapping[str, Any]], counted: dict[str, dict[str, dict[str, list[str]]]]) -> None:
    for element in elements:
        own, peer, number, port = element["elem"]["val"]["concat"]
        by_number = counted.setdefault(own, {}).setdefault(peer, {})
        by_number.setdefault(str(element["elem"]["counter"]["packets"]), []).append(
            f"{port}/{_PROTOCOLS.get(number, number)}"
        )
