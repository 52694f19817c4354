# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports and port ranges as the port file writes them: `22/tcp`, `8192-60000/tcp`, `112/ip`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

PROTOCOLS = ("tcp", "udp", "ip")
# IP protocol numbers that every host accepts in both directions: ICMP, IGMP and ICMPv6 (RFC 792, 9776, 4443).
ALWAYS_ACCEPTED = (1, 2, 58)
_WITH_PORTS = (6, 17)  # TCP and UDP
_FORM = re.compile(r"([0-9]{1,6})(?:-([0-9]{1,6}))?/([a-z0-9]+)", re.ASCII)


class PortRange(NamedTuple):
    """Ports `first` to `last`, both included; with protocol `ip`, IP protocol numbers."""

    protocol: str
    first: int
    last: int

    def __str__(self) -> str:
        """Return the range as the port file writes it."""
        ports = str(self.first) if self.first == self.last else f"{self.first}-{self.last}"
        return f"{ports}/{self.protocol}"

    def numbers(self) -> Iterable[str]:
        """Return the range as text without protocol; IP protocols each by its own number."""
        return map(str, range(self.first, self.last + 1)) if self.protocol == "ip" else [str(self).split("/", 1)[0]]

    def covers(self, protocol: str, port: int) -> bool:
        """Return whether the range has this port, or this IP protocol number."""
        return self.protocol == protocol and self.first <= port <= self.last


def parse_ports(text: object) -> PortRange:
    """Return the range of a text such as `22/tcp` or `8192-60000/tcp`. Raises ValueError with the expected form."""
    return _parsed(text, 1)


def parse_policy_ports(text: object) -> PortRange:
    """Return the range of a text in a policy or on a host: port 0 is in the ranges that `any/ip` expands to.

    Raises ValueError with the expected form.
    """
    return _parsed(text, 0)


def _parsed(text: object, lowest: int) -> PortRange:
    match = _FORM.fullmatch(text) if isinstance(text, str) else None
    if not match:
        raise ValueError(
            f"got {text!r}, expected PORT/PROTOCOL or FIRST-LAST/PROTOCOL, such as '22/tcp' or '8192-60000/tcp'"
        )
    first, last, protocol = int(match[1]), int(match[2] or match[1]), match[3]
    if protocol not in PROTOCOLS:
        raise ValueError(f"got {text!r}, expected one of the protocols {', '.join(PROTOCOLS)}")
    if protocol == "ip":
        return _ip_protocol(text, first, last)
    if not (lowest <= first <= 65535 and lowest <= last <= 65535):
        raise ValueError(f"got {text!r}, expected ports from {lowest} to 65535")
    if first > last:
        raise ValueError(f"got {text!r}, expected the lower port first, such as '{last}-{first}/{protocol}'")
    return PortRange(protocol, first, last)


def _ip_protocol(text: object, first: int, last: int) -> PortRange:
    if not first <= last <= 255:
        raise ValueError(f"got {text!r}, expected IP protocol numbers from 0 to 255, such as '112/ip'")
    if any(first <= number <= last for number in (*ALWAYS_ACCEPTED, *_WITH_PORTS)):
        raise ValueError(f"got {text!r}, expected an IP protocol other than ICMP, IGMP, TCP, UDP and ICMPv6")
    return PortRange("ip", first, last)


def merged(ranges: Iterable[PortRange]) -> list[PortRange]:
    """Return the same ports as the fewest ranges, sorted."""
    result: list[PortRange] = []
    for ports in sorted(set(ranges)):
        last = result[-1] if result else None
        if last and last.protocol == ports.protocol and ports.first <= last.last + 1:
            result[-1] = last._replace(last=max(last.last, ports.last))
        else:
            result.append(ports)
    return result


def without(ranges: Iterable[PortRange], taken: Iterable[PortRange]) -> list[PortRange]:
    """Return the ports of `ranges` that are not in `taken`, as the fewest ranges, sorted."""
    holes = merged(taken)
    return [piece for ports in merged(ranges) for piece in _pieces(ports, holes)]


def common_ports(ranges: Iterable[PortRange], others: Iterable[PortRange]) -> list[PortRange]:
    """Return the ports that are in both, as the fewest ranges, sorted."""
    ranges = list(ranges)
    return without(ranges, without(ranges, others))


def _pieces(ports: PortRange, holes: list[PortRange]) -> Iterable[PortRange]:
    start = ports.first
    for hole in holes:
        if hole.protocol != ports.protocol or hole.last < start or hole.first > ports.last:
            continue
        if hole.first > start:
            yield ports._replace(first=start, last=hole.first - 1)
        start = hole.last + 1
    if start <= ports.last:
        yield ports._replace(first=start)


# `any/ip`: all ports, and all IP protocols that are not always accepted.
EVERYTHING = tuple(
    without(
        [PortRange("ip", 0, 255), PortRange("tcp", 0, 65535), PortRange("udp", 0, 65535)],
        [PortRange("ip", number, number) for number in (*ALWAYS_ACCEPTED, *_WITH_PORTS)],
    )
)
