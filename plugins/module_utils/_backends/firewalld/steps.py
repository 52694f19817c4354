# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what firewalld runs to what it should run without a reload, by D-Bus calls that lose no connection.

firewalld has no transaction: it removes and adds rules one by one, and empties an ipset before it fills it. So nothing
is changed where packets are judged by it: rules come before others go, and of the two copies of an ipset one holds
while the other is filled. Where rules and ipsets change at once, the rules first let go of the copy that is filled, so
that new ports never meet old peers. At every instant whatever both allow passes, and nothing that neither allows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld import dbus

_IPSET = re.compile(r'\bipset="([^"]+)"')
_OTHER = {"a": "b", "b": "a"}
Command = list[str]


class Runtime(NamedTuple):
    """What firewalld runs of ours: the rich rules of each policy, and the entries of ipsets."""

    rules: dict[str, Sequence[str]]
    entries: dict[str, Sequence[str]]


def forward(old: Runtime, new: Runtime) -> list[list[Command]]:
    """Return the commands from one to the other, which have the same policies and ipsets, in phases.

    Where no rule changes, one copy of the ipsets is filled, then the other. Else the first phase fills one copy that no
    rule looks up, the second adds the new rules, which look up that copy, the third takes the old ones out, the fourth
    fills the other copy.
    """
    ipsets = _changed(old, new)
    if not _rules_change(old, new):
        return [_fill(new, ipsets, "b"), _fill(new, ipsets, "a")]
    return _by_rules(old, new, "a")


def backward(old: Runtime, new: Runtime) -> list[list[Command]]:
    """Return for each phase of `forward(old, new)` the commands that undo it, however far it came, and those before."""
    ipsets = _changed(old, new)
    if not _rules_change(old, new):
        return [_fill(old, ipsets, "b"), [*_fill(old, ipsets, "a"), *_fill(old, ipsets, "b")]]
    let_go, changed_over = _without(old, ipsets, "a"), _without(new, ipsets, "b")
    to_old = [*_all_rules(let_go), *_fill(old, ipsets, "a"), *_all_rules(old.rules)]
    return [
        to_old,
        # Not by what firewalld was to take in this phase: it may have refused it, and would again.
        to_old,
        [*_all_rules(_united(let_go, changed_over)), *to_old],
        [command for phase in _by_rules(new, old, "b") for command in phase],
    ]


def _by_rules(old: Runtime, new: Runtime, lead: str) -> list[list[Command]]:
    """Return the four phases; `lead` is the copy that is filled first.

    All ipsets that change are changed over so, also those that no changed rule names: one flow may come to allow by its
    peers what another allowed by its ports.
    """
    ipsets, other = _changed(old, new), _OTHER[lead]
    let_go, changed_over = _without(old, ipsets, lead), _without(new, ipsets, other)
    both = _united(let_go, changed_over)
    return [
        [*_rules_commands(old.rules, let_go), *_fill(new, ipsets, lead)],
        _rules_commands(let_go, both),
        _rules_commands(both, changed_over),
        [*_fill(new, ipsets, other), *_rules_commands(changed_over, new.rules)],
    ]


def _changed(old: Runtime, new: Runtime) -> list[str]:
    """Return the ipsets that change, without the letter of the copy."""
    return sorted({name[:-1] for name in new.entries if sorted(old.entries[name]) != sorted(new.entries[name])})


def _rules_change(old: Runtime, new: Runtime) -> bool:
    return any(set(rules) != set(new.rules[name]) for name, rules in old.rules.items())


def _without(runtime: Runtime, bases: Iterable[str], copy: str) -> dict[str, Sequence[str]]:
    """Return the rules but those that look up one copy of these ipsets."""
    gone = {base + copy for base in bases}
    return {
        name: [rule for rule in rules if not gone & set(_IPSET.findall(rule))] for name, rules in runtime.rules.items()
    }


def _united(one: dict[str, Sequence[str]], other: dict[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    return {name: list(dict.fromkeys([*rules, *other[name]])) for name, rules in one.items()}


def _rules_commands(before: dict[str, Sequence[str]], after: dict[str, Sequence[str]]) -> list[Command]:
    return _all_rules({name: rules for name, rules in after.items() if set(rules) != set(before[name])})


def _all_rules(rules: dict[str, Sequence[str]]) -> list[Command]:
    return [dbus.rich_rules_command(name, found) for name, found in rules.items()]


def _fill(runtime: Runtime, bases: Iterable[str], copy: str) -> list[Command]:
    return [dbus.entries_command(base + copy, runtime.entries[base + copy]) for base in bases]
