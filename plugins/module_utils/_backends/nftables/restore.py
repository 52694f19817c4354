# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rollback: our table as it is now, as a tested nft script."""

from __future__ import annotations

from ansible_collections.hpc.ports.plugins.module_utils._backends.nft_listing import without_records
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables import records
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables.kernel import script_state
from ansible_collections.hpc.ports.plugins.module_utils._linux.command import CommandError, run
from ansible_collections.hpc.ports.plugins.module_utils._linux.nft import version
from ansible_collections.hpc.ports.plugins.module_utils._model.names import TABLE
from ansible_collections.hpc.ports.plugins.module_utils._model.state import State

# The oldest version known to load an element with a counter: 0.9.8 crashes.
_LOADS_COUNTED = (1, 0, 6)


def restoring_script(running: State, table: str = TABLE) -> str:
    """Return the transaction that restores our table, counters included; if `running` is empty, it deletes the table.

    An old nft cannot restore the records of observe mode, which then begin anew. Raises CommandError, or RuntimeError
    for a table that nft lists but cannot load.
    """
    script = f"add table {table}\ndelete table {table}\n"
    if not running:
        return script
    # As a block, not as single commands: nft loads the objects of a block in the order of their dependencies.
    listing = run(["nft", "list", "table", *table.split()])
    script += listing if _loads_records(listing) else _begun_anew(listing, table)
    _check_script(script, running, table)
    return script


def _loads_records(listing: str) -> bool:
    return without_records(listing) == listing or version(run) >= _LOADS_COUNTED


def _begun_anew(listing: str, table: str) -> str:
    element = "add element {} {} {{ {} }}\n".format(table, records.SINCE, *records.SINCE_ELEMENTS)
    return without_records(listing) + element


def _check_script(script: str, running: State, table: str) -> None:
    try:
        if script_state(script, table=table) == running:
            return
        reason = "the result differs"
    except CommandError as exc:
        reason = exc.output
    raise RuntimeError(
        f"Cannot prepare the rollback: table {table} contains an object that nft lists but cannot load ({reason}), so "
        "this change could not be undone. Nothing was changed. Delete the foreign objects from the table, or delete "
        "the table, and run again."
    )
