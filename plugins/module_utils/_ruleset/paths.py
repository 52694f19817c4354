# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ways that a packet may go through rules of which some cannot be told, and where they end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._model.names import POLICY_IN, POLICY_OUT, TABLE
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.expressions import View


class Place(NamedTuple):
    """A rule, or the policy of a base chain, as text."""

    table: str
    chain: str
    rule: str

    @property
    def is_ours(self) -> bool:
        """Tell whether it is of our table, or of our policies in firewalld's."""
        is_policy = self.table.endswith(" firewalld") and (POLICY_IN in self.chain or POLICY_OUT in self.chain)
        return self.table == TABLE or is_policy

    def __str__(self) -> str:
        """Return how a text names it."""
        return "table {}, chain {}: {}".format(*self)


class Trail(NamedTuple):
    """How a packet came to where it is: what was guessed, what was noted, and who accepted it."""

    guesses: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    accepted: tuple[Place, ...] = ()

    def guessing(self, reason: str) -> Trail:
        """Return the trail with one more guess."""
        return self if reason in self.guesses else self._replace(guesses=(*self.guesses, reason))

    def noting(self, note: str) -> Trail:
        """Return the trail with one more note."""
        return self if note in self.notes else self._replace(notes=(*self.notes, note))


Branches = dict[View, Trail]


class End(NamedTuple):
    place: Place
    trail: Trail


class Exits(NamedTuple):
    """Where a packet may go on from a rule or a chain: to the next rule, back to the caller, out of the base chain."""

    onward: Branches
    returned: Branches
    accepted: Branches
    ended: dict[str, End]

    def end(self, verdict: str, end: End) -> None:
        """Note a way that ends. They are in order; of those with one verdict, the last counts."""
        self.ended.pop(verdict, None)
        self.ended[verdict] = end

    def add_ends(self, other: Exits) -> None:
        """Note the ways out that another flow has."""
        for verdict, end in other.ended.items():
            self.end(verdict, end)
        join(self.accepted, other.accepted)


def no_exits() -> Exits:
    """Return a flow without ways."""
    return Exits({}, {}, {}, {})


def join(ways: Branches, others: Mapping[View, Trail]) -> None:
    """Add ways; of two that come to the same, the one with fewer guesses stays."""
    for view, trail in others.items():
        known = ways.get(view)
        if known is None or len(trail.guesses) < len(known.guesses):
            ways[view] = trail
