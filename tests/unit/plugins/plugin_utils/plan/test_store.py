# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of the store of a plan during one run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.store import Store, store_key
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError


@dataclass
class SmallPlan:
    """The part of a plan that a store reads."""

    policies: dict[str, dict[str, Any]] = field(default_factory=lambda: {"abc": {"mode": "observe"}})
    hosts: dict[str, str] = field(default_factory=lambda: {"n1": "abc", "n/2": "abc"})
    report_only: bool = False

    @property
    def addresses(self) -> SmallPlan:
        """Return what has the addresses of hosts."""
        return self

    def texts_of(self, host: str) -> list[str]:
        """Return the addresses of a host."""
        return [f"address of {host}"]


def test_policy_of_a_host(tmp_path: Path) -> None:
    store = Store(str(tmp_path), "key").made(SmallPlan)
    assert Store(str(tmp_path), "key").policy("n1") == {"mode": "observe", "addresses": ["address of n1"]}
    assert store.policy("n/2") == {"mode": "observe", "addresses": ["address of n/2"]}
    assert store.policy("other") is None
    assert Store(str(tmp_path), "unknown").policy("n1") is None
    assert store.plan() == SmallPlan()


def test_a_plan_for_a_report_only_gives_nothing_to_other_readers(tmp_path: Path) -> None:
    plan = SmallPlan(report_only=True)
    store = Store(str(tmp_path), "key").made(lambda: plan)
    assert store.plan(report_only=True) == plan
    assert store.kept("hosts", lambda plan: sorted(plan.hosts), report_only=True) == ["n/2", "n1"]
    readers: list[Callable[[], object]] = [
        store.plan,
        lambda: store.policy("n1"),
        lambda: store.policy("other"),
        lambda: store.kept("told", lambda plan: 1),
        lambda: store.part("verify", "n1", parts_of),
    ]
    for read in readers:
        with pytest.raises(PortFileError, match="^This plan is for a report only, because plan_info "):
            read()
    # Nothing of it is on the disk for a reader that does not ask.
    assert not list(tmp_path.rglob("abc")) and not list(tmp_path.rglob("host-*"))


def test_all_workers_raise_the_same_error(tmp_path: Path) -> None:
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


def test_kept_results_are_computed_once(tmp_path: Path) -> None:
    store = Store(str(tmp_path), "key").made(SmallPlan)
    assert store.kept("hosts", lambda plan: sorted(plan.hosts)) == ["n/2", "n1"]
    assert store.kept("hosts", lambda plan: []) == ["n/2", "n1"]


class Parts(NamedTuple):
    """The part of a result that a store reads."""

    parts: dict[str, dict[str, Any]]


def parts_of(plan: SmallPlan) -> Parts:
    return Parts({host: {"name": host, "policy": digest} for host, digest in plan.hosts.items()})


def test_each_host_reads_its_part_of_a_result_computed_once(tmp_path: Path) -> None:
    store = Store(str(tmp_path), "key").made(SmallPlan)
    assert store.part("verify-1", "n/2", parts_of) == {"name": "n/2", "policy": "abc"}
    # Another worker makes nothing.
    other = Store(str(tmp_path), "key")
    assert other.part("verify-1", "n1", lambda plan: Parts({})) == {"name": "n1", "policy": "abc"}
    assert other.whole("verify-1") == parts_of(SmallPlan())
    # Another run does not mix with it.
    assert other.part("verify-2", "n1", lambda plan: Parts({"n1": {"name": "other"}})) == {"name": "other"}
    assert other.part("verify-1", "n1", lambda plan: Parts({})) == {"name": "n1", "policy": "abc"}


def test_a_failure_to_compute_parts_is_an_error_in_each_worker(tmp_path: Path) -> None:
    def bad(plan: SmallPlan) -> Parts:
        raise PortFileError("Invalid verify_query: got '[', expected a JMESPath expression.")

    store = Store(str(tmp_path), "key").made(SmallPlan)
    for host in ("n1", "n/2"):
        with pytest.raises(PortFileError, match="^Invalid verify_query"):
            store.part("verify-1", host, bad)
    assert store.part("verify-1", "n1", parts_of) == {"name": "n1", "policy": "abc"}


def test_amounts_add_up_by_name(tmp_path: Path) -> None:
    store = Store(str(tmp_path), "key")
    assert [store.added("verify-1", amount) for amount in (5, 0, 7)] == [(1, 5), (2, 5), (3, 12)]
    assert store.added("verify-2", 1) == (1, 1)


def _part_in_worker(folder: str, host: str) -> None:
    def make(plan: SmallPlan) -> Parts:
        with open(f"{folder}/made", "a", encoding="utf-8") as file:
            file.write("x")
        return parts_of(plan)

    assert Store(folder, "key").part("verify-1", host, make)["name"] == host


def test_many_workers_make_the_parts_once(tmp_path: Path) -> None:
    Store(str(tmp_path), "key").made(SmallPlan)
    context = get_context("fork")
    workers = [
        context.Process(target=_part_in_worker, args=(str(tmp_path), ("n1", "n/2")[number % 2])) for number in range(8)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert {worker.exitcode for worker in workers} == {0}
    assert (tmp_path / "made").read_text(encoding="utf-8") == "x"


@pytest.mark.parametrize(
    "other",
    [
        ("task2", {"groups": {"all": ["n1"]}, "ansible_play_batch": ["n1"]}),
        ("task1", {"groups": {"all": ["n1", "n2"]}, "ansible_play_batch": ["n1"]}),
        ("task1", {"groups": {"all": ["n1"]}, "ansible_play_batch": ["n2"]}),
    ],
)
def test_the_key_depends_on_task_batch_and_groups(other: tuple[str, dict[str, Any]]) -> None:
    same = ("task1", {"groups": {"all": ["n1"]}, "ansible_play_batch": ["n1"]})
    assert store_key(*same) == store_key(*same)
    assert store_key(*same) != store_key(*other)
