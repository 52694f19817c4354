# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Chains of rules, as iptables and nftables have them, and what they decide on opening packets to this host.

The policies of this collection accept replies, loopback and ICMP anyway, so they are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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


def opens_by_flags(mask: set[str], wanted: set[str]) -> bool:
    """Return whether a TCP packet with only the flag SYN has the wanted flags of a mask."""
    return (mask & {"SYN"}) == wanted
