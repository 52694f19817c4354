# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read from the kernel where iptables-nft rules translate a destination, for an nft that does not show it.

An nft that is built without the library of iptables lists only `xt target "DNAT"` or nothing; nft 1.0.6 shows no such
rule of IPv6. The targets are written as an nft with the library writes them.
"""

from __future__ import annotations

import ipaddress
import re
import struct
from collections.abc import Iterator, Mapping
from typing import Callable

from ansible_collections.hpc.ports.plugins.module_utils._linux import netlink
from ansible_collections.hpc.ports.plugins.module_utils._linux.nfnetlink import (
    GET_RULE,
    TABLE,
    Ask,
    answers,
    family_name,
    text,
)

# linux/netfilter/nf_tables.h
_HANDLE, _EXPRESSIONS = 3, 4
_EXPRESSION_NAME, _EXPRESSION_DATA = 1, 2
_NAME, _REVISION, _DATA = 1, 2, 3
# linux/netfilter/nf_nat.h: nf_nat_ipv4_multi_range_compat with one range, and the start of nf_nat_range2.
_OLD_RANGE = struct.Struct("=II4s4s2s2s")
_RANGE = struct.Struct("=I16s16s2s2s")
_HAS_ADDRESS, _HAS_PORT = 1, 2
_KNOWN_FLAGS = 0x1F  # these two, and which of several addresses and ports
_OLD_TARGETS = {("ip", "DNAT", 0), ("ip", "REDIRECT", 0)}
_TARGETS = {*((family, "DNAT", revision) for family in ("ip", "ip6") for revision in (1, 2)), ("ip6", "REDIRECT", 0)}

_HIDDEN = re.compile(r'xt target "(?:DNAT|REDIRECT)"|# xt_(?:DNAT|REDIRECT)\b|(?<=counter)(?= +# handle [0-9]+$)')
_HANDLE_OF = re.compile(r"# handle ([0-9]+)$")

# The translations of rules in the notation of nft, by table and handle.
Targets = Mapping[tuple[str, str], str]


def write_out_targets(listing: str, targets: Callable[[], Targets]) -> str:
    """Return a listing with handles in which translations of destinations are written out, as far as possible.

    `targets` reads them from the kernel; it is called only if the listing may need them.
    """
    lines = listing.splitlines()
    if not any(_HIDDEN.search(line) for line in lines):
        return listing
    try:
        by_rule = targets()
    except netlink.NetlinkError:
        return listing
    table = ""
    for place, line in enumerate(lines):
        if line.startswith("table "):
            table = " ".join(line.split()[1:3])
        handle = _HANDLE_OF.search(line)
        target = by_rule.get((table, handle[1]), "") if handle else ""
        if handle and target and _HIDDEN.search(line):
            lines[place] = f"{_HIDDEN.sub('', line[: handle.start()]).rstrip()} {target} {handle[0]}"
    return "\n".join([*lines, ""])


def kernel_targets(request: Ask = netlink.ask) -> Targets:
    """Return the translations of all rules in the network namespace of this thread. Raises NetlinkError."""
    return dict(_read_targets(request))


def _read_targets(request: Ask) -> Iterator[tuple[tuple[str, str], str]]:
    for family, rule in answers(request, GET_RULE):
        for data in map(netlink.attributes, netlink.nested(rule.get(_EXPRESSIONS, b""))):
            if text(netlink.part(data, _EXPRESSION_NAME)) == "target":
                target = netlink.attributes(netlink.part(data, _EXPRESSION_DATA))
                notation = nft_notation(
                    family_name(family),
                    text(netlink.part(target, _NAME)),
                    netlink.number("!I", netlink.part(target, _REVISION)),
                    netlink.part(target, _DATA),
                )
                if notation:
                    handle = str(netlink.number("!Q", netlink.part(rule, _HANDLE)))
                    yield (f"{family_name(family)} {text(netlink.part(rule, TABLE))}", handle), notation


def nft_notation(family: str, name: str, revision: int, data: bytes) -> str:
    """Return a target that translates the destination in the notation of nft, or an empty text."""
    try:
        if (family, name, revision) in _OLD_TARGETS:
            count, flags, *ends = _OLD_RANGE.unpack_from(data)
        elif (family, name, revision) in _TARGETS:
            count, (flags, *ends) = 1, _RANGE.unpack_from(data)
        else:
            return ""
    except struct.error:
        return ""
    if count != 1 or flags & ~_KNOWN_FLAGS or not (name == "REDIRECT" or flags & (_HAS_ADDRESS | _HAS_PORT)):
        return ""
    size = 4 if family == "ip" else 16
    target = _ends_text([str(ipaddress.ip_address(end[:size])) for end in ends[:2]]) if flags & _HAS_ADDRESS else ""
    if ":" in target:
        target = f"[{target}]"
    if flags & _HAS_PORT:
        target += ":" + _ends_text([str(int.from_bytes(end, "big")) for end in ends[2:]])
    return " to ".join(filter(None, ["dnat" if name == "DNAT" else "redirect", target]))


def _ends_text(ends: list[str]) -> str:
    return ends[0] if ends[0] == ends[1] else "-".join(ends)
