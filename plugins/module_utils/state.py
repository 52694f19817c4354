# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host runs, as named objects, and how two such states differ: the words that both backends answer in."""

from __future__ import annotations

from typing import Any, Dict, FrozenSet, List, NamedTuple, Tuple

# The objects of a firewall by what they are called, such as `chain input`, each as lines of text.
State = Dict[str, Tuple[str, ...]]


class FlowView(NamedTuple):
    """A flow as a running ruleset has it: ports such as `tcp 22`, and addresses; `any` stands for all of them."""

    ports: FrozenSet[str]
    addresses: FrozenSet[str]


# By the name of a rule, such as `in_slurm_control`.
FlowViews = Dict[str, FlowView]


def state_diff(before: State, after: State) -> Dict[str, str]:
    """Return Ansible's `diff` of two states: only the objects that differ, in order."""
    names = changed_objects(before, after)
    return {"before": _text(before, names), "after": _text(after, names)}


def _text(state: State, names: List[str]) -> str:
    blocks = [[name + ":"] + ["    " + line for line in state[name]] for name in names if name in state]
    return "".join(line + "\n" for block in blocks for line in block)


def changed_objects(before: State, after: State) -> List[str]:
    """Return the names of the objects that differ, sorted."""
    return sorted(name for name in {**before, **after} if before.get(name) != after.get(name))


def flow_changes(before: FlowViews, after: FlowViews) -> Dict[str, Any]:
    """Return what changed in the words of the design: flows added and removed, ports and addresses changed."""
    both = sorted(set(before) & set(after))
    return {
        "flows_added": sorted(set(after) - set(before)),
        "flows_removed": sorted(set(before) - set(after)),
        "ports_changed": _members({name: (before[name].ports, after[name].ports) for name in both}),
        "addresses_changed": _members({name: (before[name].addresses, after[name].addresses) for name in both}),
    }


def _members(pairs: Dict[str, Tuple[FrozenSet[str], FrozenSet[str]]]) -> Dict[str, Dict[str, List[str]]]:
    return {name: {"added": sorted(new - old), "removed": sorted(old - new)}
            for name, (old, new) in pairs.items() if old != new}
