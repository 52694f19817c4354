# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read our table from the kernel, test scripts in a separate network namespace, and load them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache

from ansible_collections.hpc.ports.plugins.module_utils._backends.nft_listing import parse_listing
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables.ruleset import Ruleset, script_of
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables.running import listing
from ansible_collections.hpc.ports.plugins.module_utils._linux.command import CommandError, Run, run
from ansible_collections.hpc.ports.plugins.module_utils._linux.nft import version, version_in
from ansible_collections.hpc.ports.plugins.module_utils._linux.nft_listings import Listing, ListingCache, table_of
from ansible_collections.hpc.ports.plugins.module_utils._model.names import TABLE, digest
from ansible_collections.hpc.ports.plugins.module_utils._model.state import State

OLDEST = (0, 9, 8)
# The oldest version known to handle a transaction that deletes a set and adds it again with another type.
_REDEFINES = (1, 0, 6)
_POLICY = re.compile(" policy [a-z]+;")


def check_version(program: Run = run, kept: ListingCache = ListingCache()) -> None:
    """Raise RuntimeError if nft is too old. The caller has checked that nft is installed.

    A program that an earlier run found new enough is not asked again.
    """
    kept.text(Listing("nft --version"), lambda: _new_version(program))


def _new_version(program: Run) -> str:
    text = program(["nft", "--version"])
    if version_in(text) < OLDEST:
        raise RuntimeError(
            "nft is too old: got {!r}, expected {} or later. Update the package nftables.".format(
                text.strip(), ".".join(map(str, OLDEST))
            )
        )
    return text


def running_state(program: Run = run, kept: ListingCache = ListingCache(), table: str = TABLE) -> State:
    """Return our table in the kernel, as `parse_listing` does; empty if it does not exist. Raises CommandError."""
    command = "nft -s list table " + table
    return parse_listing(kept.text_of_table(command, table_of(table), lambda: listing(table, program)))


def wanted_state(ruleset: Ruleset, program: Run = run) -> State:
    """Return the state of our table after the ruleset is loaded, see `script_state`."""
    return script_state(script_of(ruleset), program, ruleset.table)


def wanted_or_running(
    ruleset: Ruleset, running: State, program: Run = run, kept: ListingCache = ListingCache()
) -> State:
    """Return the state of our table after the ruleset is loaded, without a test if an earlier one led to `running`.

    The earlier test had the same script, the same nft and the same kernel. A ruleset that would be loaded is tested.
    Raises as `script_state` does.
    """
    script = script_of(ruleset)

    def test() -> State:
        return script_state(script, program, ruleset.table)

    earlier = Listing("test " + ruleset.table, about=digest([script, _boot()]))
    return running if kept.text(earlier, lambda: digest(test())) == digest(running) else test()


def _boot() -> str:
    """Return a text that differs after each boot, as the kernel may be another one."""
    with suppress(OSError), open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read()
    return ""


# A run that changes something asks twice: again once no other run can change the host.
@lru_cache(maxsize=2)
def script_state(script: str, program: Run = run, table: str = TABLE) -> State:
    """Return the state of our table after a script: load and list it in a temporary network namespace.

    The caller does not change it. Raises CommandError if the script does not load, RuntimeError if no namespace can be
    created.
    """
    try:
        return _state_after(["-n"], script, program, table)
    except CommandError as exc:
        if not exc.output.startswith("unshare: "):
            raise
    try:
        # A container with only CAP_NET_ADMIN may still be allowed to create a user namespace.
        return _state_after(["-r", "-n"], script, program, table)
    except CommandError as exc:
        if not exc.output.startswith("unshare: "):
            raise
        raise RuntimeError(
            f"Cannot create a network namespace to test the ruleset: {exc.output}. Nothing was changed. Give the "
            "container CAP_SYS_ADMIN, or allow user namespaces."
        ) from exc


def _state_after(namespaces: Sequence[str], script: str, program: Run, table: str) -> State:
    commands = "nft -f - && exec nft -s list table " + table
    return parse_listing(program(["unshare", *namespaces, "sh", "-c", commands], script))


def load(script: str) -> None:
    """Load a script in one transaction. Raises CommandError, and then nothing was loaded."""
    run(["nft", "-f", "-"], script)


def check_definitions(running: State, wanted: State, program: Run = run, table: str = TABLE) -> None:
    """Raise RuntimeError if somebody recreated a set or map with another type and this nft cannot repair it.

    An old nft reads the elements that follow in the transaction as elements of the old type: 0.9.8 turned a single
    address into an interval without an end.
    """
    changed = [
        name
        for name in sorted(wanted)
        if name.startswith(("set ", "map "))
        and name in running
        and fixed_lines(name, running[name]) != fixed_lines(name, wanted[name])
    ]
    if changed and version(program) < _REDEFINES:
        raise RuntimeError(
            "Invalid {} of table {}: got {!r}, expected {!r}. Somebody recreated it with another definition, "
            "and nft before {} cannot change that in one transaction. Nothing was changed. Delete the table and "
            "run again.".format(
                changed[0],
                table,
                "; ".join(fixed_lines(changed[0], running[changed[0]]) or ()),
                "; ".join(fixed_lines(changed[0], wanted[changed[0]]) or ()),
                ".".join(map(str, _REDEFINES)),
            )
        )


def fixed_lines(name: str, lines: Sequence[str] | None) -> tuple[str, ...] | None:
    """Return the lines of an object that cannot be changed in place. The policy of a chain can be changed."""
    if lines is None:
        return None
    if name.startswith("chain "):
        return tuple(_POLICY.sub("", line) for line in lines if line.startswith(("type ", "comment ")))
    return tuple(line for line in lines if not line.startswith("element "))
