# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks in a sentence: a network without some addresses is one network with exceptions, as in the port file."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network
from typing import NamedTuple, TypeVar

# More networks are not compared: with as many addresses of IPv6 this takes a second.
_MOST = 10_000
_N = TypeVar("_N", IPv4Network, IPv6Network)


class Block(NamedTuple):
    """A network without the excepted ones in it."""

    network: IPv4Network | IPv6Network
    excepted: tuple[IPv4Network | IPv6Network, ...] = ()

    def text(self, most: int) -> str:
        """Return the network, with the first few exceptions."""
        excepted = shortened(list(map(str, self.excepted)), most)
        return f"{self.network}{f' except {excepted}' if excepted else ''}"


def networks_text(networks: Sequence[str], most: int) -> str:
    """Return the first few networks, and how many more there are; networks with exceptions if these are fewer.

    The answer of a host may have texts that are no networks. They stay as they are.
    """
    try:
        blocks = blocks_of(networks) if 1 < len(networks) <= _MOST else []
    except ValueError:
        blocks = []
    if not any(block.excepted for block in blocks):
        return shortened(networks, most)
    return shortened([block.text(most) for block in blocks], most, "; ")


def shortened(names: Sequence[str], most: int, separator: str = ", ") -> str:
    """Return the first few names, and how many more there are."""
    more = len(names) - most
    return separator.join(names[:most]) + (f" and {more} more" if more > 0 else "")


def blocks_of(networks: Iterable[str]) -> list[Block]:
    """Return blocks with exactly these networks, which name as few networks as possible."""
    every = list(map(ip_network, networks))
    ipv4 = list(collapse_addresses(network for network in every if isinstance(network, IPv4Network)))
    ipv6 = list(collapse_addresses(network for network in every if isinstance(network, IPv6Network)))
    return [*_blocks_in(IPv4Network("0.0.0.0/0"), ipv4)[0], *_blocks_in(IPv6Network("::/0"), ipv6)[0]]


def _blocks_in(root: _N, networks: Sequence[_N]) -> tuple[list[Block], list[_N]]:
    """Return the blocks of sorted networks in a larger one, and what is left of the larger one."""
    if not networks:
        return [], [root]
    if len(networks) == 1:
        return [Block(networks[0])], sorted(root.address_exclude(networks[0]))
    blocks: list[Block] = []
    left: list[_N] = []
    lower, upper = root.subnets()
    middle = bisect_left(networks, upper)
    for half, own in ((lower, networks[:middle]), (upper, networks[middle:])):
        more, rest = _blocks_in(half, own)
        blocks += more
        left += rest
    whole = Block(root, tuple(left))
    return ([whole] if _length([whole]) < _length(blocks) else blocks), left


def _length(blocks: Iterable[Block]) -> int:
    return sum(1 + len(block.excepted) for block in blocks)
