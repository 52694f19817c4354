# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What rules in order accept: regions of sources and ports, of which the first rule that matches decides."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from typing import NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._model.ports import EVERYTHING, PortRange, common_ports, without

with suppress(ImportError):  # `missing_library` reports a missing netaddr
    from netaddr import IPNetwork, IPSet


@cache
def anywhere() -> IPSet:
    """Return all addresses of both families."""
    return IPSet(["0.0.0.0/0", "::/0"])


class Region(NamedTuple):
    """Connections from these sources, of both families, to these ports."""

    sources: IPSet
    ports: tuple[PortRange, ...]

    def __bool__(self) -> bool:
        """Return whether there is such a connection."""
        return bool(self.sources.size and self.ports)

    def common(self, other: Region) -> Region:
        """Return what is in both regions."""
        return Region(self.sources & other.sources, tuple(common_ports(self.ports, other.ports)))

    def minus(self, other: Region) -> list[Region]:
        """Return what is not in the other region, as up to two regions."""
        both = self.common(other)
        if not both:
            return [self]
        pieces = (
            Region(self.sources - other.sources, self.ports),
            Region(both.sources, tuple(without(self.ports, other.ports))),
        )
        return [piece for piece in pieces if piece]


def everything() -> Region:
    """Return the region of all connections."""
    return Region(anywhere(), EVERYTHING)


class Decision(NamedTuple):
    """A rule that accepts or drops a region."""

    region: Region
    accepts: bool


def minus_all(region: Region, others: Iterable[Region]) -> list[Region]:
    """Return what of a region is in none of the others."""
    pieces = [region] if region else []
    for other in others:
        pieces = [piece for rest in pieces for piece in rest.minus(other)]
    return pieces


def joined(regions: Iterable[Region]) -> list[Region]:
    """Return the same connections with one region for equal ports: thousands of addresses are one step."""
    networks: dict[tuple[PortRange, ...], list[IPNetwork]] = {}
    for region in regions:
        networks.setdefault(region.ports, []).extend(region.sources.iter_cidrs())
    return [Region(IPSet(found), ports) for ports, found in networks.items()]


def accepted(decisions: Iterable[Decision]) -> list[Region]:
    """Return what is accepted: each decision counts for what the ones before it leave."""
    found: list[Region] = []
    dropped: list[Region] = []
    more: list[Region] = []
    for decision in decisions:
        if decision.accepts:
            dropped, more = joined([*dropped, *more]) if more else dropped, []
            found += minus_all(decision.region, dropped)
        else:
            more.append(decision.region)
    return found


def undecided(region: Region, decisions: Iterable[Decision]) -> list[Region]:
    """Return what of a region no decision is about."""
    return minus_all(region, joined(decision.region for decision in decisions))
