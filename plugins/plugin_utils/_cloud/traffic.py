# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ports of a rule in the words of clouds, and what a cloud has no word for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._model.ports import EVERYTHING, PortRange, merged, without
from ansible_collections.hpc.ports.plugins.plugin_utils._cloud.groups import Group, GroupRule

ALL = "all"
_NAMES = {1: "icmp", 58: "icmpv6"}
# One entry of what is written.
Data = dict[str, Any]
_ICMP = frozenset(_NAMES.values())


class Traffic(NamedTuple):
    """One protocol and its port ranges: `tcp`, `udp`, `icmp`, `icmpv6`, `all`, or the number of an IP protocol.

    Only TCP and UDP have ranges.
    """

    protocol: str
    ranges: tuple[PortRange, ...] = ()


class Single(NamedTuple):
    """A part of a rule with one protocol, one range of ports or none, and one peer: a group or a network."""

    rule: GroupRule
    protocol: str
    ports: PortRange | None
    group: str
    network: str

    @property
    def version(self) -> int:
        """Return the IP version of the network, 0 for a group."""
        return 0 if self.group else 6 if ":" in self.network else 4


class Export(NamedTuple):
    """What is written for a cloud, and what the user has to know about it. `text` is the content of a file."""

    text: str
    warnings: list[str]


Writer = Callable[[list[Group]], Export]


def is_everything(ports: Iterable[PortRange]) -> bool:
    """Return whether the ports are all that `any/ip` stands for."""
    return not without(EVERYTHING, ports)


def traffic_of(ports: Iterable[PortRange]) -> list[Traffic]:
    """Return the ports by protocol."""
    ports = merged(ports)
    if is_everything(ports):
        return [Traffic(ALL)]
    found = []
    for protocol in ("tcp", "udp"):
        ranges = tuple(port_range for port_range in ports if port_range.protocol == protocol)
        found += [Traffic(protocol, ranges)] if ranges else []
    numbers = [
        number
        for port_range in ports
        if port_range.protocol == "ip"
        for number in range(port_range.first, port_range.last + 1)
    ]
    return [*found, *(Traffic(_NAMES.get(number, str(number))) for number in numbers)]


def range_text(port_range: PortRange, separator: str = "-") -> str:
    """Return a range as `22` or `8000-8010`."""
    return separator.join(map(str, dict.fromkeys([port_range.first, port_range.last])))


class Words:
    """The traffic of rules in a cloud that knows some protocols only. What it does not know is in `gaps`.

    `knows` says of a protocol without ports whether the cloud knows it.
    """

    def __init__(self, cloud: str, knows: Callable[[str], bool] = lambda protocol: True) -> None:
        """Remember the cloud."""
        self.cloud, self.knows = cloud, knows
        self._gaps: dict[tuple[str, str], dict[str, None]] = {}

    def of(self, rule: GroupRule) -> Iterator[Traffic]:
        """Yield the traffic of a rule that the cloud knows."""
        for traffic in traffic_of(rule.ports):
            if traffic.ranges or self.knows(traffic.protocol):
                yield traffic
            else:
                kind = traffic.protocol if traffic.protocol in _ICMP else "other"
                self._gaps.setdefault((kind, ", ".join(rule.flows)), {})[traffic.protocol] = None

    def single(self, rule: GroupRule) -> Iterator[Single]:
        """Yield a rule with one range and one peer for each range and peer."""
        for traffic in self.of(rule):
            for ports in traffic.ranges or (None,):
                for group in rule.groups:
                    yield Single(rule, traffic.protocol, ports, group, "")
                for network in rule.networks:
                    yield Single(rule, traffic.protocol, ports, "", network)

    @property
    def gaps(self) -> list[str]:
        """Return what is not in the rules."""
        texts = []
        for (kind, flows), protocols in self._gaps.items():
            names = kind if kind in _ICMP else f"IP protocol {', '.join(protocols)}"
            what = f"{names} of {flows}" if flows else names
            texts.append(f"{self.cloud} has no rules for {what}, so no group opens it.")
        return texts
