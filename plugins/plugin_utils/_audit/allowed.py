# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a policy lets peers connect, for many peers of one port: `evaluate` is for single packets."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._model.policy import Network, Policy
from ansible_collections.hpc.ports.plugins.module_utils._model.ports import ALWAYS_ACCEPTED


class Peers(NamedTuple):
    """The peers that may connect on a port: all, or those in ranges of addresses, which are sorted and disjoint."""

    everybody: bool
    first: dict[int, list[int]]
    last: dict[int, list[int]]

    def have(self, version: int, number: int) -> bool:
        """Return whether an address is one of them."""
        if self.everybody:
            return True
        place = bisect_right(self.first[version], number) - 1
        return place >= 0 and number <= self.last[version][place]


def peers_of(policy: Policy, direction: str, protocol: str, port: int) -> Peers:
    """Return the peers that may open connections (`in`) or to which the host may (`out`), on untrusted interfaces."""
    everybody = (direction == "out" and policy.egress == "open") or (protocol == "ip" and port in ALWAYS_ACCEPTED)
    networks = [
        network
        for rule in policy.rules
        if rule.direction == direction and any(ports.covers(protocol, port) for ports in rule.ports)
        for network in rule.peers
    ]
    ranges = {version: _ranges(network for network in networks if network.version == version) for version in (4, 6)}
    return Peers(
        everybody,
        {version: [first for first, _last in pairs] for version, pairs in ranges.items()},
        {version: [last for _first, last in pairs] for version, pairs in ranges.items()},
    )


def _ranges(networks: Iterable[Network]) -> list[tuple[int, int]]:
    """Return the ranges of addresses; networks that contain each other are one."""
    found: list[tuple[int, int]] = []
    for first, last in sorted((int(network[0]), int(network[-1])) for network in networks):
        if not found or last > found[-1][1]:
            found.append((first, last))
    return found
