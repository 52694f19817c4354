# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run with nothing to change costs beside large tables of others, next to the same on a host without them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.hpc.ports.tests.support.cpu import ratio
from ansible_collections.hpc.ports.tests.support.machine import Machine
from ansible_collections.hpc.ports.tests.support.namespaces import Pair
from ansible_collections.hpc.ports.tests.support.neighbours import LARGE, seconds_of_a_run

BOUND = 2.0


@pytest.fixture(name="hosts")
def _hosts(pair: Pair) -> Iterator[tuple[Machine, Machine]]:
    """One that has nothing but us, and one with large neighbours."""
    other = Pair()
    try:
        yield Machine(pair), Machine(other)
    finally:
        other.close()


def test_large_neighbours_cost_no_more_than_the_run_itself(hosts: tuple[Machine, Machine], tmp_path: Path) -> None:
    alone, beside = hosts
    for machine in hosts:
        assert machine.apply()["changed"]
    beside.nft(LARGE)
    assert ratio(lambda: seconds_of_a_run(beside, tmp_path), lambda: seconds_of_a_run(alone, tmp_path), BOUND) <= BOUND
