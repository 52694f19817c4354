# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils.errors import PortFileError
from ansible_collections.hpc.ports.plugins.plugin_utils.store import Store, store_key


@dataclass
class SmallPlan:
    """As much of a plan as a store looks at."""

    policies: dict[str, dict[str, Any]] = field(default_factory=lambda: {"abc": {"mode": "observe"}})
    hosts: dict[str, str] = field(default_factory=lambda: {"n1": "abc", "n/2": "abc"})


def test_policy_of_a_host(tmp_path: Path) -> None:
    store = Store(str(tmp_path), "key").made(SmallPlan)
    assert Store(str(tmp_path), "key").policy("n1") == {"mode": "observe"}
    assert store.policy("n/2") == {"mode": "observe"}
    assert store.policy("other") is None
    assert store.plan() == SmallPlan()


def test_error_is_that_of_the_worker_that_met_it(tmp_path: Path) -> None:
    def bad() -> Any:
        raise PortFileError("Invalid x: got 'y', expected z.")

    for make in (bad, SmallPlan):
        with pytest.raises(PortFileError, match="^Invalid x: got 'y', expected z.$"):
            Store(str(tmp_path), "key").made(make)


def _make_in_worker(folder: str) -> None:
    def make() -> SmallPlan:
        with open(f"{folder}/made", "a", encoding="utf-8") as file:
            file.write("x")
        return SmallPlan()

    Store(folder, "key").made(make)


def test_many_workers_make_one_plan(tmp_path: Path) -> None:
    context = get_context("fork")
    workers = [context.Process(target=_make_in_worker, args=(str(tmp_path),)) for _number in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert {worker.exitcode for worker in workers} == {0}
    assert (tmp_path / "made").read_text(encoding="utf-8") == "x"


def test_kept_is_made_once(tmp_path: Path) -> None:
    store = Store(str(tmp_path), "key").made(SmallPlan)
    assert store.kept("hosts", lambda plan: sorted(plan.hosts)) == ["n/2", "n1"]
    assert store.kept("hosts", lambda plan: []) == ["n/2", "n1"]


@pytest.mark.parametrize("other", [
    ("task2", {"groups": {"all": ["n1"]}, "ansible_play_batch": ["n1"]}),
    ("task1", {"groups": {"all": ["n1", "n2"]}, "ansible_play_batch": ["n1"]}),
    ("task1", {"groups": {"all": ["n1"]}, "ansible_play_batch": ["n2"]}),
])
def test_key_stands_for_task_batch_and_groups(other: tuple[str, dict[str, Any]]) -> None:
    same = ("task1", {"groups": {"all": ["n1"]}, "ansible_play_batch": ["n1"]})
    assert store_key(*same) == store_key(*same)
    assert store_key(*same) != store_key(*other)
