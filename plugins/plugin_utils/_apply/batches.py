# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the failure of a host means to the rest of a play that takes its hosts in batches (`serial`).

Ansible ends all plays of a playbook as soon as every host of a batch has failed, so no later play could say it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# How many hosts are named.
_SHOWN = 20


def with_batches(text: str, task_vars: Mapping[str, Any]) -> str:
    """Return why a host failed, with whom that leaves behind."""
    note = _note(task_vars)
    return f"{text.rstrip().rstrip('.')}. {note}" if note else text


def _note(task_vars: Mapping[str, Any]) -> str:
    """Return which hosts of a play are done when this one fails, and which are left; empty where none comes later.

    Batches are taken to be in the order of the inventory, as they are unless the play has `order`.
    """
    hosts, batch = task_vars.get("ansible_play_hosts_all", []), task_vars.get("ansible_play_batch", [])
    places = [place for place, host in enumerate(hosts) if host in batch]
    left = hosts[places[-1] + 1 :] if places else []
    if not left:
        return ""
    is_last = len(batch) == 1
    before, going = hosts[: places[0]], set(task_vars["ansible_play_hosts"])
    parts = [
        ("Done", [host for host in before if host in going]),
        ("Failed before", [host for host in before if host not in going]),
        ("Left as they are" if is_last else "Left in that case", left),
    ]
    lists = " ".join(f"{what}: {_text(names)}." for what, names in parts if names)
    goes_on = "ends with this host" if is_last else "goes on unless every host of this batch fails"
    without = f":!{task_vars['inventory_hostname']}"
    return (
        f"This play takes its hosts in batches, and {goes_on}. {lists} To go on without this one: --limit "
        f"'all{without}', or '{without}' at the end of your own limit."
    )


def _text(hosts: Sequence[str]) -> str:
    more = len(hosts) - _SHOWN
    return ", ".join(hosts[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
