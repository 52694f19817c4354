# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The firewall of a host as named objects, the same for both backends. Almost all import this file, so it is small."""

from __future__ import annotations

from typing import NamedTuple

# The objects of a firewall by their names, such as `chain input`, each as lines of text.
State = dict[str, tuple[str, ...]]


class FlowView(NamedTuple):
    """A flow in a running ruleset: ports such as `22/tcp`, and addresses; `any` stands for all addresses."""

    ports: frozenset[str]
    addresses: frozenset[str]


# By the name of a rule, such as `in_slurm_control`.
FlowViews = dict[str, FlowView]


def changed_objects(before: State, after: State) -> list[str]:
    """Return the names of the objects that differ, sorted."""
    return sorted(name for name in {**before, **after} if before.get(name) != after.get(name))
