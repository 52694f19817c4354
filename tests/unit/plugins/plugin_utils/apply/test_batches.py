# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of the note about batches."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils._apply.batches import with_batches

HOSTS = [f"n{number}" for number in range(1, 7)]


def message(host: str, batch: list[str], gone: tuple[str, ...] = (), hosts: list[str] | None = None) -> str:
    """Return the message about a failed host after the hosts in `gone` have failed."""
    hosts = hosts or HOSTS
    return with_batches(
        "It is refused.",
        {
            "inventory_hostname": host,
            "ansible_play_hosts_all": hosts,
            "ansible_play_batch": batch,
            "ansible_play_hosts": [name for name in hosts if name not in gone],
        },
    )


def text(outcome: str, lists: str, host: str) -> str:
    return (
        f"It is refused. This play runs on its hosts in batches, and {outcome}. {lists} To continue without this "
        f"host, use --limit 'all:!{host}', or append ':!{host}' to your own limit."
    )


def test_the_failure_of_a_single_host_batch_ends_the_play() -> None:
    assert message("n3", ["n3"]) == text("ends with this host", "Done: n1, n2. Not changed: n4, n5, n6.", "n3")
    assert message("n1", ["n1"]) == text("ends with this host", "Not changed: n2, n3, n4, n5, n6.", "n1")


def test_the_play_ends_if_every_host_of_the_batch_fails() -> None:
    assert message("n3", ["n3", "n4"]) == text(
        "continues unless every host of this batch fails", "Done: n1, n2. Not changed if the play ends: n5, n6.", "n3"
    )


def test_hosts_that_failed_before_are_not_done() -> None:
    assert message("n4", ["n4"], ("n1", "n3")) == text(
        "ends with this host", "Done: n2. Failed before: n1, n3. Not changed: n5, n6.", "n4"
    )


def test_the_last_remaining_host_of_a_batch_ends_the_play() -> None:
    """Ansible removes failed hosts from the batch."""
    assert message("n4", ["n4"], ("n3",)).startswith(
        "It is refused. This play runs on its hosts in batches, and ends with this "
        "host. Done: n1, n2. Failed before: n3. Not changed: n5, n6."
    )


def test_long_lists_are_cut() -> None:
    hosts = [f"n{number}" for number in range(1, 45)]
    shown = ", ".join(hosts[:20])
    left = ", ".join(hosts[22:42])
    assert f"Done: {shown} and 1 more. Not changed: {left} and 2 more. " in message("n22", ["n22"], hosts=hosts)
    assert f"Done: {shown}. Not changed: " in message("n21", ["n21"], hosts=hosts)


@pytest.mark.parametrize(
    "task_vars",
    [
        {},
        {"ansible_play_hosts_all": HOSTS, "ansible_play_batch": HOSTS, "ansible_play_hosts": HOSTS},
        {"ansible_play_hosts_all": HOSTS, "ansible_play_batch": HOSTS[4:], "ansible_play_hosts": HOSTS},
        {"ansible_play_hosts_all": HOSTS, "ansible_play_batch": [], "ansible_play_hosts": []},
    ],
)
def test_there_is_no_note_in_the_last_batch(task_vars: dict[str, Any]) -> None:
    assert with_batches("It is refused.", {"inventory_hostname": "n5", **task_vars}) == "It is refused."
