# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rollback: our table as it is now, as a tested nft script."""

from __future__ import annotations

from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables.kernel import script_state
from ansible_collections.hpc.ports.plugins.module_utils._linux.command import CommandError, run
from ansible_collections.hpc.ports.plugins.module_utils._model.names import TABLE
from ansible_collections.hpc.ports.plugins.module_utils._model.state import State


def restoring_script(running: State, table: str = TABLE) -> str:
    """Return the transaction that restores our table, counters included; if `running` is empty, it deletes the table.

    Raises CommandError, or RuntimeError for a table that nft lists but cannot load.
    """
    script = f"add table {table}\ndelete table {table}\n"
    if not running:
        return script
    # As a block, not as single commands: nft loads the objects of a block in the order of their dependencies.
    script += run(["nft", "list", "table", *table.split()])
    _check_script(script, running, table)
    return script


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
