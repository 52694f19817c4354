# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Explain what a failed host means for the rest of a play that runs in batches (`serial`).

Ansible ends a playbook as soon as every host of a batch has failed, so no later play could explain it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# Maximum number of hosts in a list.
_SHOWN = 20


def with_batches(text: str, task_vars: Mapping[str, Any]) -> str:
    """Return the error message of a host, with a note about the hosts of other batches."""
    note = _batches_note(task_vars)
    return f"{text.rstrip().rstrip('.')}. {note}" if note else text


def _batches_note(task_vars: Mapping[str, Any]) -> str:
    """Return which hosts of the play are done and which are left if this host fails; empty in the last batch.

    Batches are assumed to be in the order of the inventory, which holds unless the play sets `order`.
    """
    hosts, batch = task_vars.get("ansible_play_hosts_all", []), task_vars.get("ansible_play_batch", [])
    places = [place for place, host in enumerate(hosts) if host in batch]
    left = hosts[places[-1] + 1 :] if places else []
    if not left:
        return ""
    is_last = len(batch) == 1
    before, running = hosts[: places[0]], set(task_vars["ansible_play_hosts"])
    parts = [
        ("Done", [host for host in before if host in running]),
        ("Failed before", [host for host in before if host not in running]),
        ("Not changed" if is_last else "Not changed if the play ends", left),
    ]
    lists = " ".join(f"{label}: {_shortened(names)}." for label, names in parts if names)
    outcome = "ends with this host" if is_last else "continues unless every host of this batch fails"
    without = f":!{task_vars['inventory_hostname']}"
    return (
        f"This play runs on its hosts in batches, and {outcome}. {lists} To continue without this host, use --limit "
        f"'all{without}', or append '{without}' to your own limit."
    )


def _shortened(hosts: Sequence[str]) -> str:
    more = len(hosts) - _SHOWN
    return ", ".join(hosts[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
