# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way back: what our table is now, as an nft script that was tried."""

from __future__ import annotations

from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables.kernel import script_state
from ansible_collections.hpc.ports.plugins.module_utils._linux.command import CommandError, run
from ansible_collections.hpc.ports.plugins.module_utils._model.names import TABLE
from ansible_collections.hpc.ports.plugins.module_utils._model.state import State


def restoring_script(running: State) -> str:
    """Return the transaction that makes our table what `running` says, counters included; none at all if it is empty.

    Raises CommandError, or RuntimeError for a table that nft lists and cannot load.
    """
    script = f"add table {TABLE}\ndelete table {TABLE}\n"
    if not running:
        return script
    # As a block, not command by command: each nft loads the objects of a block in the order that they need.
    script += run(["nft", "list", "table", *TABLE.split()])
    _try(script, running)
    return script


def _try(script: str, running: State) -> None:
    try:
        if script_state(script) == running:
            return
        reason = "the result differs"
    except CommandError as exc:
        reason = exc.output
    raise RuntimeError(
        f"Cannot prepare the rollback: table {TABLE} contains an object that nft lists but cannot load ({reason}), so "
        "this change could not be undone. Nothing was changed. Delete the foreign objects from the table, or delete "
        "the table, and run again."
    )
