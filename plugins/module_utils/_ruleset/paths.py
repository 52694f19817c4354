# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The branches of a packet on its way through rules whose effect may be unknown, and where the branches end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._model.names import POLICY_IN, POLICY_OUT, TABLES
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.expressions import View


class Place(NamedTuple):
    """A rule or the policy of a base chain, as text."""

    table: str
    chain: str
    rule: str

    @property
    def is_ours(self) -> bool:
        """Return whether it belongs to a table of hpc.ports, or to its policies in the table of firewalld."""
        is_policy = self.table.endswith(" firewalld") and (POLICY_IN in self.chain or POLICY_OUT in self.chain)
        return self.table in TABLES or is_policy

    def __str__(self) -> str:
        """Return the place for messages."""
        return "table {}, chain {}: {}".format(*self)


class Trail(NamedTuple):
    """The history of one branch: assumptions about unknown matches, notes, and the rules that accepted the packet."""

    guesses: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    accepted: tuple[Place, ...] = ()

    def guessing(self, reason: str) -> Trail:
        """Return the trail with one more assumption."""
        return self if reason in self.guesses else self._replace(guesses=(*self.guesses, reason))

    def noting(self, note: str) -> Trail:
        """Return the trail with one more note."""
        return self if note in self.notes else self._replace(notes=(*self.notes, note))


# The possible states of the packet at one point, each with its history.
Branches = dict[View, Trail]


class End(NamedTuple):
    """The end of a branch: the rule or policy that ended it, and its history."""

    place: Place
    trail: Trail


class Exits(NamedTuple):
    """Where the branches of a packet leave a rule or a chain.

    onward    to the next rule
    returned  back to the calling chain
    accepted  out of the base chain
    ended     dropped, rejected or unknown: the last end of each verdict, in order
    """

    onward: Branches
    returned: Branches
    accepted: Branches
    ended: dict[str, End]

    def end(self, verdict: str, end: End) -> None:
        """Record the end of a branch. Only the last end of each verdict is kept, in order."""
        self.ended.pop(verdict, None)
        self.ended[verdict] = end

    def add_ends(self, other: Exits) -> None:
        """Add the ends and accepted branches of other exits."""
        for verdict, end in other.ended.items():
            self.end(verdict, end)
        join(self.accepted, other.accepted)


def no_exits() -> Exits:
    """Return exits without branches."""
    return Exits({}, {}, {}, {})


def join(branches: Branches, others: Mapping[View, Trail]) -> None:
    """Add branches; of two with the same state, keep the one with fewer assumptions."""
    for view, trail in others.items():
        known = branches.get(view)
        if known is None or len(trail.guesses) < len(known.guesses):
            branches[view] = trail
