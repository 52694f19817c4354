# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Change the running rules to the wanted rules by transactions that lose no packet.

A packet that is half way through the old rules sees the old rules of every chain that it enters, but the new contents
of maps and sets at once. So there are up to three transactions:

- Preparation: all new objects except base chains are added and filled before anything refers to them. A chain that is
  added in the same transaction has no old rules, so a packet whose port moves to that chain would be lost. 288 of 322
  swaps lost packets under load on Linux 6.18, and none did with the chain filled before. And 20 to 60 of 60 first
  rulesets lost an outgoing packet, because their sets were added in the same transaction.
- The ruleset itself, the only transaction that changes verdicts: existing objects get new rules and elements in place.
- Retirement: maps, chains and sets that only the old rules refer to are emptied and deleted once these rules are gone.
  When the ruleset's transaction deleted them, 45 to 100 of 100 switches from restricted to open egress lost a packet
  under load; now none of 400 does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables.kernel import fixed_lines
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables.ruleset import Ruleset, script_of
from ansible_collections.hpc.ports.plugins.module_utils._linux.nft import as_script
from ansible_collections.hpc.ports.plugins.module_utils._model.names import is_record
from ansible_collections.hpc.ports.plugins.module_utils._model.state import State


def transactions(ruleset: Ruleset, running: State, wanted: State) -> tuple[str, ...]:
    """Return the nft transactions that change the running state to the wanted state, in the order to load them.

    `wanted` is the state after the ruleset is loaded. Only one transaction changes verdicts.
    """
    script = script_of(ruleset)
    table = ruleset.table
    if running.get("table") or _has_conflict(running, wanted):
        return (_clearance(running, wanted, table) + script,)
    steps = (
        _preparation(ruleset, running),
        _unhooking(running, wanted, table) + script,
        _retirement(running, wanted, table),
    )
    return tuple(filter(None, steps))


# ---- conflicting objects


def _has_conflict(running: State, wanted: State) -> bool:
    """Return whether somebody recreated an object differently, so that it must be deleted before ours can be added."""
    places = {_place(name): fixed_lines(name, lines) for name, lines in wanted.items()}
    return any(
        fixed_lines(name, lines) != places.get(_place(name), fixed_lines(name, lines))
        for name, lines in running.items()
    )


def _place(name: str) -> str:
    """Return the key that is unique for an object of a table; maps and sets share their names."""
    kind, own_name = name.rsplit(" ", 1) if " " in name else (name, "")
    return "{} {}".format("set" if kind == "map" else kind, own_name)


def _clearance(running: State, wanted: State, table: str) -> str:
    """Return the lines before the script, in its transaction, that delete all objects with another definition.

    A table with flags or a comment is no longer ours, and is deleted as a whole: a dormant table cannot be activated
    and get new base chains in one transaction.
    """
    if running["table"]:
        return as_script(["delete table " + table])
    gone = [
        name
        for name, lines in sorted(running.items())
        if fixed_lines(name, lines) != fixed_lines(name, wanted.get(name))
    ]
    filled = [
        name for name in sorted(running) if name.startswith(("set ", "map ")) and (name in gone or not _is_record(name))
    ]
    return as_script(["flush table " + table, *_commands("flush", filled, table), *_commands("delete", gone, table)])


def _is_record(name: str) -> bool:
    return name.startswith("set ") and is_record(name[len("set ") :])


def _commands(verb: str, names: Iterable[str], table: str) -> Iterator[str]:
    for kind, own_name in (name.rsplit(" ", 1) for name in names):
        yield f"{verb} {kind} {table} {own_name}"


# ---- objects to delete


def _unhooking(running: State, wanted: State, table: str) -> str:
    """Return the lines before the script, in its transaction, that delete the unwanted base chains."""
    gone = [name for name in _gone(running, wanted) if _is_base(name, running[name])]
    return as_script([*_commands("flush", gone, table), *_commands("delete", gone, table)])


def _retirement(running: State, wanted: State, table: str) -> str:
    """Return the transaction after the script, which deletes all other unwanted objects: nothing refers to them now.

    They may still refer to each other by rules and elements. Once these are flushed, the order does not matter.
    """
    gone = [name for name in _gone(running, wanted) if not _is_base(name, running[name])]
    leading = [name for name in gone if name.startswith(("chain ", "map "))]
    return as_script([*_commands("flush", leading, table), *_commands("delete", gone, table)])


def _gone(running: State, wanted: State) -> list[str]:
    return sorted(set(running) - set(wanted))


def _is_base(name: str, lines: Sequence[str]) -> bool:
    return name.startswith("chain ") and any(line.startswith("type ") for line in lines)


# ---- objects to add


def _preparation(ruleset: Ruleset, running: State) -> str:
    """Return the transaction before the script, which adds all new objects that nothing refers to yet."""
    table = ruleset.table
    chains = _new("chain", (name for name, chain in ruleset.chains.items() if not chain.base), running)
    counters = _new("counter", ruleset.counters, running)
    filled = [
        (kind, name, *objects[name])
        for kind, objects in (("set", ruleset.sets), ("map", ruleset.maps))
        for name in _new(kind, objects, running)
    ]
    if not chains and not filled:
        return ""
    # What is judged before NAT is judged before input stops to judge it.
    before_nat = _new("chain", ["prerouting"], running) if "chain input" in running else []
    return as_script(
        [
            "add table " + table,
            *(f"add chain {table} {name}" for name in chains),
            *(f"add chain {table} {name} {{ {ruleset.chains[name].base} }}" for name in before_nat),
            *(f"add counter {table} {name}" for name in counters),
            *(f"add {kind} {table} {name} {{ {form} }}" for kind, name, form, elements in filled),
            *(
                "add element {} {} {{ {} }}".format(table, name, ", ".join(elements))
                for kind, name, form, elements in filled
                if elements
            ),
            *(
                f"add rule {table} {name} {rule}"
                for name in [*chains, *before_nat]
                for rule in ruleset.chains[name].rules
            ),
        ]
    )


def _new(kind: str, names: Iterable[str], running: State) -> list[str]:
    return [name for name in names if f"{kind} {name}" not in running]
