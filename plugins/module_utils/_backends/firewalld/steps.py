# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Change the running rules of firewalld without a reload, by D-Bus calls that lose no connection.

firewalld has no transaction: it removes and adds rules one by one, and empties an ipset before it fills it. So nothing
is changed while packets depend on it: new rules are added before old ones are removed, and while one of the two copies
of an ipset is filled, the other one matches. If both rules and ipsets change, the rules that use a copy are removed
before the copy is filled, so that new ports are never combined with old peers. At every instant, packets that both the
old and the new rules allow pass, and packets that neither allows do not.
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
    """Our running configuration in firewalld: the rich rules of each policy, and the entries of ipsets."""

    rules: dict[str, Sequence[str]]
    entries: dict[str, Sequence[str]]


def forward(old: Runtime, new: Runtime) -> list[list[Command]]:
    """Return the commands that change `old` to `new`, in phases. Both have the same policies and ipsets.

    If no rule changes, the phases fill one copy of the ipsets, then the other. Otherwise, the first phase fills one
    copy that no rule looks up, the second adds the new rules, which look up that copy, the third removes the old rules,
    and the fourth fills the other copy.
    """
    ipsets = _changed(old, new)
    if not _rules_change(old, new):
        return [_fill(new, ipsets, "b"), _fill(new, ipsets, "a")]
    return _by_rules(old, new, "a")


def backward(old: Runtime, new: Runtime) -> list[list[Command]]:
    """Return for each phase of `forward(old, new)` the commands that undo it, even if incomplete, and all before."""
    ipsets = _changed(old, new)
    if not _rules_change(old, new):
        return [_fill(old, ipsets, "b"), [*_fill(old, ipsets, "a"), *_fill(old, ipsets, "b")]]
    remaining, added = _without(old, ipsets, "a"), _without(new, ipsets, "b")
    to_old = [*_all_rules(remaining), *_fill(old, ipsets, "a"), *_all_rules(old.rules)]
    return [
        to_old,
        # Do not set the rules of this phase: firewalld may have refused them, and would refuse them again.
        to_old,
        [*_all_rules(_united(remaining, added)), *to_old],
        [command for phase in _by_rules(new, old, "b") for command in phase],
    ]


def _by_rules(old: Runtime, new: Runtime, lead: str) -> list[list[Command]]:
    """Return the four phases; `lead` is the copy that is filled first.

    This applies to all ipsets that change, also those that no changed rule names: the new peers of one flow may allow
    a packet that the ports of another flow allowed before.
    """
    ipsets, other = _changed(old, new), _OTHER[lead]
    remaining, added = _without(old, ipsets, lead), _without(new, ipsets, other)
    both = _united(remaining, added)
    return [
        [*_rules_commands(old.rules, remaining), *_fill(new, ipsets, lead)],
        _rules_commands(remaining, both),
        _rules_commands(both, added),
        [*_fill(new, ipsets, other), *_rules_commands(added, new.rules)],
    ]


def _changed(old: Runtime, new: Runtime) -> list[str]:
    """Return the ipsets that change, without the letter of the copy."""
    return sorted({name[:-1] for name in new.entries if sorted(old.entries[name]) != sorted(new.entries[name])})


def _rules_change(old: Runtime, new: Runtime) -> bool:
    return any(set(rules) != set(new.rules[name]) for name, rules in old.rules.items())


def _without(runtime: Runtime, bases: Iterable[str], copy: str) -> dict[str, Sequence[str]]:
    """Return the rules except those that look up this copy of these ipsets."""
    gone = {base + copy for base in bases}
    return {
        name: [rule for rule in rules if not gone & set(_IPSET.findall(rule))] for name, rules in runtime.rules.items()
    }


def _united(one: dict[str, Sequence[str]], other: dict[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    return {name: list(dict.fromkeys([*rules, *other[name]])) for name, rules in one.items()}


def _rules_commands(before: dict[str, Sequence[str]], after: dict[str, Sequence[str]]) -> list[Command]:
    return _all_rules({name: rules for name, rules in after.items() if set(rules) != set(before[name])})


def _all_rules(rules: dict[str, Sequence[str]]) -> list[Command]:
    return [dbus.rich_rules_command(name, policy_rules) for name, policy_rules in rules.items()]


def _fill(runtime: Runtime, bases: Iterable[str], copy: str) -> list[Command]:
    return [dbus.entries_command(base + copy, runtime.entries[base + copy]) for base in bases]
