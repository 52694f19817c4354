# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A temporary table that only counts: how far the packets that open probed connections, and their answers, come.

firewalld has no counters, and those of nftables count flows, not peers; this table is the same on both. It accepts
everything and is asked before and after all other tables:

    left        an opening packet has passed all rules of the source, by the address it goes to
    arrived     it has come to the target, before any rule, by the address it comes from
    passed      it has passed all rules of the target that judge what comes in
    answered    the answer has passed all rules of the target, by the address it goes to
    returned    the answer has come to the source, before any rule, by the address it comes from
"""

from __future__ import annotations

import json
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, Sequence, Tuple

from ansible_collections.hpc.ports.plugins.module_utils.datagrams import question
from ansible_collections.hpc.ports.plugins.module_utils.libnftables import run
from ansible_collections.hpc.ports.plugins.module_utils.ports import PortRange

TABLE = "inet hpc_ports_verify"
# By what is counted and by peer: the ports by how many packets, such as {"arrived": {"10.0.0.1": {"2": ["22/tcp"]}}}.
Counts = Dict[str, Dict[str, Dict[str, List[str]]]]

# What runs commands of nft, as `libnftables.run` does.
Nft = Callable[..., str]

_UDP_HEADER = 8
# Where each is counted: hook, priority (before conntrack and all filters, or after them), whose address, which port.
_COUNTED = {
    "arrived": ("prerouting", -400, "saddr", "dport"),
    "returned": ("prerouting", -400, "saddr", "sport"),
    "passed": ("input", 32000, "saddr", "dport"),
    "left": ("postrouting", 32000, "daddr", "dport"),
    "answered": ("postrouting", 32000, "daddr", "sport"),
}
# Number, what an address is called, the type of one.
_FAMILIES = (("4", "ip", "ipv4_addr"), ("6", "ip6", "ipv6_addr"))
# What nft calls them depends on its version, even if asked for numbers.
_PROTOCOLS = {6: "tcp", 17: "udp", "6": "tcp", "17": "udp"}
_MOST = 65535  # elements of a set; what comes beyond is not counted


def load(ports: Sequence[PortRange], key: str, nft: Nft = run) -> None:
    """Begin to count at these ports, from 0. Raises ListingError, as where nftables is not there."""
    nft(script(ports, key))


def unload(nft: Nft = run) -> None:
    """Take the table away; none may be there. Raises ListingError."""
    nft("add table {0}\ndelete table {0}\n".format(TABLE))


def script(ports: Sequence[PortRange], key: str) -> str:
    """Return the commands that make the table anew."""
    hooks = sorted({(hook, priority) for hook, priority, whose, port in _COUNTED.values()})
    lines = ["add table {0}".format(TABLE), "delete table {0}".format(TABLE), "table {0} {{".format(TABLE)]
    lines += ["set ports {{ type inet_proto . inet_service; {0} }}".format(_elements(ports))]
    lines += ["set {0}_{1} {{ type {2} . inet_proto . inet_service; flags dynamic; size {3}; }}".format(
        name, number, kind, _MOST) for name in _COUNTED for number, family, kind in _FAMILIES]
    for hook, priority in hooks:
        lines += ["chain {0} {{ type filter hook {0} priority {1}; policy accept;".format(hook, priority),
                  *_rules(hook, key), "}"]
    return "\n".join([*lines, "}", ""])


def _elements(ports: Iterable[PortRange]) -> str:
    names = sorted({"{0} . {1}".format(port.protocol, port.first) for port in ports})
    return "elements = {{ {0} }}".format(", ".join(names)) if names else ""


def _rules(hook: str, key: str) -> Iterator[str]:
    for name, (where, priority, whose, port) in _COUNTED.items():
        if where == hook:
            for number, family, kind in _FAMILIES:
                for what in _opening(key) if port == "dport" else _answering():
                    yield (f"meta nfproto ipv{number} {what} meta l4proto . th {port} @ports "
                           f"update @{name}_{number} {{ {family} {whose} . meta l4proto . th {port} counter }}")


def _opening(key: str) -> Tuple[str, str]:
    """Our own datagrams are told by their length: production traffic on the same port costs one comparison."""
    return ("tcp flags & (fin | syn | rst | ack) == syn",
            "udp length {0}".format(_UDP_HEADER + len(question(key))))


def _answering() -> Tuple[str, str]:
    return "tcp flags & (syn | ack) == (syn | ack)", "meta l4proto udp"


def counts(nft: Nft = run) -> Counts:
    """Return what was counted until now. Raises ListingError."""
    return counts_in(json.loads(nft("list table {0}".format(TABLE), as_json=True)))


def counts_in(listing: Mapping[str, Any]) -> Counts:
    """Return the counts of a listing of the table, as libnftables gives it in JSON."""
    found: Counts = {name: {} for name in _COUNTED}
    for item in listing["nftables"]:
        name = item.get("set", {}).get("name", "").rpartition("_")[0]
        for element in item["set"].get("elem", []) if name in found else ():
            peer, number, port = element["elem"]["val"]["concat"]
            protocol = _PROTOCOLS.get(number, number)
            by_number = found[name].setdefault(peer, {})
            by_number.setdefault(str(element["elem"]["counter"]["packets"]), []).append("{0}/{1}".format(
                port, protocol))
    return found
