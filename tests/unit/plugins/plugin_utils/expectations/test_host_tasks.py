# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of the task of each host in a run of verify."""

from __future__ import annotations

import json
import pickle
import re
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils._expectations.host_tasks import (
    HostTask,
    Limits,
    VerifyOptions,
    VerifyRun,
    lifetime,
    names_of,
    new_run,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError
from ansible_collections.hpc.ports.tests.support.probed_site import ENDPOINTS, FLOWS, HOSTS, SERVICES, plan_of
from ansible_collections.hpc.ports.tests.support.sites import make_plan

LIMITS = Limits(timeout=1.0, attempts=2, concurrency=1000, rate=1000.0, forks=5, most=50_000)
QUERY = "[?port==`443` || port==`9090`]"


def begin(query: str = QUERY, hosts: tuple[str, ...] = tuple(HOSTS), passive: bool = False, **limits: Any) -> VerifyRun:
    return new_run(plan_of(), VerifyOptions(hosts, query, passive, LIMITS._replace(**limits)))


def test_each_host_has_a_task() -> None:
    parts = begin().parts
    assert list(parts) == list(HOSTS)
    same = {
        "passive": False,
        "key": parts["ctl"]["key"],
        "lifetime": parts["ctl"]["lifetime"],
        "progress": {"hosts": sum(bool(part["probes"]) for part in parts.values()), "connections": 60},
    }
    assert parts["laptop"] == {
        **same,
        "managed": False,
        "nonce": parts["laptop"]["nonce"],
        "listen": [],
        "addresses": [],
        "counted": ["443/tcp", "9090/udp"],
        "containers": {"interfaces": [], "probes": []},
        "probes": [
            {"address": address, "ports": ["443/tcp", "9090/udp"], "names": []}
            for address in ("10.0.0.1", "10.2.0.1", "10.1.0.1", "10.1.0.2", "10.1.0.3")
        ],
    }
    assert {name: parts["ctl"][name] for name in ("managed", "listen", "addresses")} == {
        "managed": True,
        "listen": ["443/tcp", "9090/udp"],
        "addresses": ["10.0.0.1", "fd00::1"],
    }
    assert json.loads(json.dumps(parts)) == parts


def test_the_role_passes_each_task_to_the_modules_of_the_host() -> None:
    tasks = (Path(__file__).parents[5] / "roles" / "verify" / "tasks" / "main.yml").read_text(encoding="utf-8")
    assert set(re.findall(r"verify_task\.(\w+)", tasks)) >= HostTask.__annotations__.keys() - {"managed"}


def test_ports_are_in_order() -> None:
    ports = begin("").parts["ctl"]["listen"]
    numbers = [(port.partition("/")[2], int(port.partition("/")[0])) for port in ports]
    assert numbers == sorted(numbers) and len(numbers) > 5


def test_a_run_can_be_kept_and_read_again() -> None:
    run = begin()
    again = pickle.loads(pickle.dumps(run))
    assert again == run


def test_a_run_has_one_key_and_each_host_one_nonce() -> None:
    first, second = begin().parts, begin().parts
    assert len({part["key"] for part in first.values()}) == 1
    words = [parts["ctl"]["key"] for parts in (first, second)]
    words += [part["nonce"] for parts in (first, second) for part in parts.values()]
    assert len(set(words)) == len(words) == 2 + 2 * len(HOSTS)
    assert all(re.fullmatch(r"[0-9a-f]{16}", word) for word in words)


def test_without_listeners_there_is_no_key() -> None:
    parts = begin(passive=True).parts
    assert {(part["key"], part["passive"]) for part in parts.values()} == {("", True)}
    # They are told the ports all the same, to say who holds them and to count.
    assert parts["ctl"]["listen"] == ["443/tcp", "9090/udp"]


def test_hosts_without_work_have_an_empty_task() -> None:
    [(host, part)] = begin("", hosts=("n1",)).parts.items()
    assert (host, {**part, "key": "", "nonce": ""}) == (
        "n1",
        {
            "managed": True,
            "passive": False,
            "key": "",
            "nonce": "",
            "listen": [],
            "addresses": [],
            "lifetime": 60 + 2 * 26,
            "probes": [],
            "counted": [],
            "containers": {"interfaces": [], "probes": []},
            "progress": {"hosts": 0, "connections": 0},
        },
    )


def test_names_exclude_addresses() -> None:
    hosts = {**HOSTS, "n1": {"groups": ["slurm_compute"], "addresses": ["n1.example.org", "fd01::1", "n1-ib"]}}
    plan = make_plan(
        {"services": SERVICES, "endpoints": ENDPOINTS, "flows": FLOWS},
        hosts,
        {"n1.example.org": ["10.1.0.1"], "n1-ib": ["10.1.1.1"]},
    )
    assert [names_of(plan, host) for host in ("n1", "n2", "stranger")] == [["n1.example.org", "n1-ib"], [], []]
    probes = new_run(plan, VerifyOptions(tuple(hosts), QUERY, False, LIMITS)).parts["laptop"]["probes"]
    assert [item["names"] for item in probes if item["address"] in ("10.1.0.1", "10.1.1.1", "fd01::1")] == [
        ["n1.example.org", "n1-ib"]
    ] * sum(item["address"] in ("10.1.0.1", "10.1.1.1", "fd01::1") for item in probes)
    assert any(item["names"] for item in probes)


@pytest.mark.parametrize("name", Limits._fields)
@pytest.mark.parametrize("value", [0, -1])
def test_limits_must_be_positive(name: str, value: int) -> None:
    with pytest.raises(PortFileError) as failed:
        begin(**{name: value})
    assert str(failed.value) == f"Invalid verify_{name}: got {value}, expected a number greater than 0."


def test_containers_wait_one_after_the_other() -> None:
    assert lifetime(0, 1, LIMITS, containers=4) == lifetime(0, 1, LIMITS) + 2 * 4 * 3


def test_containers_of_a_host_with_restricted_egress_try_some_of_its_connections() -> None:
    hosts = {**HOSTS, "mon": {**HOSTS["mon"], "egress": "restricted", "filtered_containers": ["pods*"]}}
    run = new_run(plan_of(hosts), VerifyOptions(tuple(hosts), "", False, LIMITS))
    task = run.parts["mon"]["containers"]
    assert task["interfaces"] == ["pods*"]
    tried = [(group["address"], port) for group in task["probes"] for port in group["ports"]]
    assert tried and set(tried) == {
        (item.address, f"{item.port}/{item.protocol}") for item in run.from_containers["mon"]
    }
    assert all(set(group) == {"address", "ports"} for group in task["probes"])
    assert [name for name, part in run.parts.items() if part["containers"]["probes"]] == ["mon"]
    assert pickle.loads(pickle.dumps(run)) == run
    assert run.parts["ctl"]["lifetime"] > begin("").parts["ctl"]["lifetime"]


# Most probes of a host, hosts, limits: three seconds of silence a thousand, 1 ms a try, six echoes, 20 s for a module.
@pytest.mark.parametrize(
    "most,hosts,limits,seconds",
    [
        (0, 1, LIMITS, 60 + 2 * 26),
        (1000, 5, LIMITS, 60 + 2 * 31),
        (1000, 5, LIMITS._replace(rate=100.0), 60 + 2 * 49),
        (1001, 5, LIMITS, 60 + 2 * 34 + 1),
        (1001, 6, LIMITS, 60 + 2 * 2 * 34 + 1),
        (1000, 6, LIMITS._replace(timeout=0.5, attempts=1), 60 + 2 * 2 * 25),
    ],
)
def test_a_lifetime_covers_every_turn(most: int, hosts: int, limits: Limits, seconds: int) -> None:
    assert lifetime(most, hosts, limits) == seconds
