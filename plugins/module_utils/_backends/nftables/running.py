# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel has of a table of ours, asked from nft each time; `kernel.py` keeps the answers."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from ansible_collections.hpc.ports.plugins.module_utils._backends.nft_listing import parse_listing, without_records
from ansible_collections.hpc.ports.plugins.module_utils._linux.command import CommandError, Run, run
from ansible_collections.hpc.ports.plugins.module_utils._linux.files import Places
from ansible_collections.hpc.ports.plugins.module_utils._model.names import TABLE
from ansible_collections.hpc.ports.plugins.module_utils._model.state import State


def running_state(table: str = TABLE) -> State:
    """Return our table in the kernel, as `parse_listing` does. Raises CommandError."""
    return parse_listing(listing(table))


def listing(table: str, program: Run = run) -> str:
    """Return the listing of a table, without what packets have recorded; empty without a table. Raises CommandError."""
    try:
        return without_records(program(["nft", "-s", "list", "table", *table.split()]))
    except CommandError as exc:
        if "No such file or directory" in exc.output:
            return ""
        raise


def all_or_nothing(places: Places) -> AbstractContextManager[None]:
    """Do nothing: the ruleset is a single file, and the other files rarely change."""
    return nullcontext()
