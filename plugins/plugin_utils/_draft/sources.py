# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recognize the rules of other firewall programs by their text."""

from __future__ import annotations

import re
from collections.abc import Collection

from ansible_collections.hpc.ports.plugins.plugin_utils._draft.chains import Read
from ansible_collections.hpc.ports.plugins.plugin_utils._draft.iptables import read_iptables
from ansible_collections.hpc.ports.plugins.plugin_utils._draft.nftables import read_nftables

EXPECTED = "the output of nft -j list ruleset, iptables-save or ip6tables-save, or /etc/ufw/user.rules or user6.rules"
# What only rules of ip6tables have.
_IPV6 = re.compile(r"icmpv6|icmp6|ipv6-icmp|^:ufw6-|^:\S+6-|-[sd] \S*:", re.MULTILINE)


def read_rules(text: str, interfaces: Collection[str] = ()) -> Read:
    """Return what the rules accept. Raises ValueError for rules of another form.

    `interfaces` are those by which other hosts reach this one: a rule for one of them is a rule for all packets.
    """
    if text.lstrip().startswith("{"):
        return read_nftables(text, interfaces)
    if "*filter" not in text:
        raise ValueError(f"got {text[:60]!r}, expected {EXPECTED}")
    version = 6 if _IPV6.search(text) else 4
    ufw = "ufw6-user-input" if version == 6 else "ufw-user-input"
    root = ufw if f":{ufw} " in text and ":INPUT " not in text else "INPUT"
    return read_iptables(text, version, root, interfaces)
