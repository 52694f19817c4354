# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Chains of rules, as iptables and nftables have them, and what they decide on opening packets to this host.

The policies of this collection accept replies, loopback and ICMP anyway, so they are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from ansible_collections.hpc.ports.plugins.plugin_utils._draft.regions import Decision, Region, minus_all

ACCEPT, DROP, RETURN, JUMP, GOTO, PASS = "accept", "drop", "return", "jump", "goto", "pass"


class Unreadable(ValueError):
    """A match or verdict that a port file cannot express; the text says which."""


class Rule(NamedTuple):
    """What a rule matches, and its verdict; `chain` is the target of a jump or goto."""

    region: Region
    verdict: str
    chain: str = ""


class Read(NamedTuple):
    """The regions that rules accept, and the rules that could not be read, each with the reason."""

    accepted: list[Region]
    left: list[str]


class Chains(Mapping[str, Sequence[Rule]]):
    """Chains by name, each parsed when it is first used: rules that no packet to this host meets are no problem."""

    def __init__(self, names: Iterable[str], parse: Callable[[str], list[Rule]]) -> None:
        self._names, self._parse = list(names), parse
        self._parsed: dict[str, list[Rule]] = {}

    def __getitem__(self, name: str) -> Sequence[Rule]:
        """Return the rules of a chain."""
        if name not in self._parsed:
            self._parsed[name] = self._parse(name)
        return self._parsed[name]

    def __contains__(self, name: object) -> bool:
        """Return whether there is a chain of this name, without parsing it."""
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        """Yield the names."""
        return iter(self._names)

    def __len__(self) -> int:
        """Return the number of chains."""
        return len(self._names)


def decisions(
    chains: Mapping[str, Sequence[Rule]], chain: str, region: Region, path: tuple[str, ...] = ()
) -> Iterator[Decision]:
    """Yield what the rules of a chain decide on a region, in order."""
    gone: list[Region] = []
    for rule in chains[chain]:
        pieces = minus_all(region.common(rule.region), gone)
        for piece in pieces:
            if rule.verdict in (ACCEPT, DROP):
                yield Decision(piece, rule.verdict == ACCEPT)
            elif rule.chain in chains and rule.chain not in path:
                yield from decisions(chains, rule.chain, piece, (*path, chain))
        if rule.verdict in (RETURN, GOTO):
            gone += pieces


def is_any(pattern: str, interfaces: Collection[str]) -> bool:
    """Return whether packets from other hosts come in on an interface that a rule names, such as `eth0` or `ens*`.

    `interfaces` are those by which the host is reached. Raises Unreadable for any other interface.
    """
    if not any(fnmatchcase(name, pattern) for name in interfaces):
        raise Unreadable(f"interface {pattern}")
    return True


def opens_by_flags(mask: set[str], wanted: set[str]) -> bool:
    """Return whether a TCP packet with only the flag SYN has the wanted flags of a mask."""
    return (mask & {"SYN"}) == wanted
