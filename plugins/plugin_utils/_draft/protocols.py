# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""IP protocols by the names that iptables and nft print (/etc/protocols), as ports of a port file."""

from __future__ import annotations

from ansible_collections.hpc.ports.plugins.module_utils._model.ports import ALWAYS_ACCEPTED, EVERYTHING, PortRange
from ansible_collections.hpc.ports.plugins.plugin_utils._draft.chains import Unreadable

_NUMBERS = {
    **{"tcp": 6, "udp": 17, "icmp": 1, "igmp": 2, "ipv6-icmp": 58, "icmpv6": 58, "icmp6": 58, "esp": 50, "ah": 51},
    **{"gre": 47, "sctp": 132, "udplite": 136, "dccp": 33, "vrrp": 112, "ospf": 89, "ipip": 4, "ipencap": 4},
    **{"comp": 108, "ipcomp": 108},
}


def protocol_number(name: str) -> int:
    """Return the number of a protocol, 0 for all protocols, -1 for an unknown one."""
    if name in ("", "all"):
        return 0
    return _NUMBERS.get(name.lower(), int(name) if name.isdigit() else -1)


def protocol_ports(name: str) -> tuple[PortRange, ...]:
    """Return all ports of a protocol; none if every host accepts it anyway. Raises Unreadable for an unknown name."""
    number = protocol_number(name)
    if not number:
        return EVERYTHING
    if number in (6, 17):
        return (PortRange("tcp" if number == 6 else "udp", 0, 65535),)
    if number in ALWAYS_ACCEPTED:
        return ()
    if not 0 < number < 256:
        raise Unreadable(f"protocol {name}")
    return (PortRange("ip", number, number),)
