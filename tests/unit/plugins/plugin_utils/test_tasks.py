# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.hpc.ports.plugins.plugin_utils.errors import PortFileError
from ansible_collections.hpc.ports.plugins.plugin_utils.tasks import Limits, lifetime, tasks_of
from ansible_collections.hpc.ports.tests.unit.plugins.plugin_utils.test_expectations import HOSTS, plan_of

LIMITS = Limits(timeout=1.0, attempts=2, concurrency=1000, forks=5)


def test_each_host_is_told_its_part() -> None:
    tasks = tasks_of(plan_of(), list(HOSTS), "[?port==`443` || port==`9090`]", LIMITS)
    assert tasks["laptop"] == {
        "managed": False, "listen": [], "addresses": [], "lifetime": tasks["ctl"]["lifetime"],
        "probes": [{"address": address, "ports": ["443/tcp", "9090/udp"]}
                   for address in ("10.0.0.1", "10.2.0.1", "10.1.0.1", "10.1.0.2", "10.1.0.3")],
    }
    assert (tasks["ctl"]["managed"], tasks["ctl"]["listen"], tasks["ctl"]["addresses"]) == (
        True, ["443/tcp", "9090/udp"], ["10.0.0.1", "fd00::1"])


def test_hosts_without_a_part_are_told_so() -> None:
    assert tasks_of(plan_of(), ["n1"], "", LIMITS) == {
        "n1": {"managed": True, "listen": [], "addresses": [], "lifetime": 60 + 52, "probes": []}}


@pytest.mark.parametrize("name", ["timeout", "attempts", "concurrency"])
def test_limits_have_to_be_more_than_nothing(name: str) -> None:
    with pytest.raises(PortFileError) as failed:
        tasks_of(plan_of(), list(HOSTS), "", LIMITS._replace(**{name: 0}))
    assert str(failed.value) == f"Invalid verify_{name}: got 0, expected more than 0."


@pytest.mark.parametrize("most,hosts,limits,seconds", [
    (0, 1, LIMITS, 60 + 2 * 26),
    (1000, 5, LIMITS, 60 + 2 * 28),
    (1001, 5, LIMITS, 60 + 2 * 30),
    (1001, 6, LIMITS, 60 + 2 * 2 * 30),
    (1001, 6, LIMITS._replace(timeout=0.5), 60 + 2 * 2 * 25),
])
def test_a_lifetime_covers_every_turn(most: int, hosts: int, limits: Limits, seconds: int) -> None:
    assert lifetime(most, hosts, limits) == seconds
