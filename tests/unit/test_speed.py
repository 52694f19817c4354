# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a plan of 2,000 hosts costs, next to `ansible-inventory --list`, and how the cost grows with the flows."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from time import process_time
from typing import Any

import pytest
from ansible_collections.hpc.ports.benchmarks.plan import write_site
from ansible_collections.hpc.ports.plugins.plugin_utils._lint.rules import findings
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan
from ansible_collections.hpc.ports.tests.support.cpu import cost_of, ratio
from ansible_collections.hpc.ports.tests.support.sites import make_plan

ROOT = Path(__file__).parents[2]
# A play reads the inventory and makes the plan. The plan costs this many times the CPU time of the listing, measured on
# two cores with Python 3.11.
USUAL = 0.66


def seconds_of(folder: Path, program: str, *options: str) -> float:
    """Return the CPU seconds of a program of Ansible over the platform in a folder."""
    return cost_of(
        str(Path(sys.executable).with_name(program)),
        "-i",
        "hosts.yml",
        *options,
        folder=folder,
        environment={
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".collections"),
            "ANSIBLE_CONFIG": str(folder / "ansible.cfg"),
            "ANSIBLE_LOCAL_TEMP": str(folder / "tmp"),
            "ANSIBLE_NOCOLOR": "1",
        },
    ).seconds


@pytest.mark.slow
def test_a_plan_of_2000_hosts(tmp_path: Path) -> None:
    write_site(tmp_path, 2000)
    bound = 1 + 1.5 * USUAL
    assert (
        ratio(
            lambda: seconds_of(tmp_path, "ansible-playbook", "plan.yml"),
            lambda: seconds_of(tmp_path, "ansible-inventory", "--list"),
            bound,
        )
        <= bound
    )


# ---- How plan and lint grow with the flows --------------------------------------------------------------------------

FEW = 150
TIMES = 16
# For 16 times the flows, n log n costs 25 times as much, and comparing each flow with each other 256 times as much.
MOST = 32


def _sources(count: int, networks: int = 1, **more: list[str]) -> dict[str, Any]:
    """Return endpoints with networks of their own."""
    return {
        f"e{number}": {
            "cidrs": [f"10.{number >> 8}.{number & 255}.{place * 8}/29" for place in range(networks)],
            **more,
        }
        for number in range(count)
    }


def _flow(source: str, target: str, service: str = "s0") -> dict[str, Any]:
    return {"from": [source], "to": [target], "services": [service], "need": "recommended"}


def _services(count: int, length: int = 1) -> dict[str, Any]:
    return {
        f"s{number}": {"ports": [f"{1000 + number}-{999 + number + length}/tcp"], "exposure": "public"}
        for number in range(count)
    }


def _hosts(count: int, groups: int) -> dict[str, Any]:
    return {
        f"h{number}": {
            "groups": ["managed", f"g{number % groups}"],
            "egress": "restricted" if number % 8 else "open",
            "addresses": [f"172.16.{number >> 8}.{number & 255}"],
        }
        for number in range(count)
    }


def one_target(count: int) -> dict[str, Any]:
    return {"endpoints": _sources(count), "flows": {f"f{number}": _flow(f"e{number}", "g0") for number in range(count)}}


def own_targets(count: int) -> dict[str, Any]:
    return {
        "endpoints": _sources(count, 2, **{"except": ["10.0.0.9/32", "172.16.0.0/30"]}),
        "flows": {f"f{number}": _flow(f"e{number}", f"g{number}") for number in range(count)},
        "hosts": _hosts(count, count),
    }


def many_networks(count: int) -> dict[str, Any]:
    few = count // 10
    pairs = [(number % few, (number // few + number + 1) % few) for number in range(count)]
    return {
        "endpoints": _sources(few, 20),
        "flows": {
            f"f{number}": {**_flow("", "g0"), "from": [f"e{first}", f"e{second}"]}
            for number, (first, second) in enumerate(pairs)
        },
    }


def overlapping_ports(count: int) -> dict[str, Any]:
    return {
        "services": _services(count, 500),
        "endpoints": _sources(1),
        "flows": {f"f{number}": _flow("e0", "g0", f"s{number}") for number in range(count)},
    }


def nested_groups(count: int) -> dict[str, Any]:
    groups = 10
    return {
        "services": _services(count // groups),
        "endpoints": {
            f"e{number}": {"groups": [f"g{group}" for group in range(number + 1)]} for number in range(groups)
        },
        "flows": {f"f{number}": _flow(f"e{number % groups}", "g0", f"s{number // groups}") for number in range(count)},
        "hosts": _hosts(10 * groups, groups),
    }


def all_alike(count: int) -> dict[str, Any]:
    """Return flows that all cover each other, the last one by name first."""
    return {
        "endpoints": {f"e{number}": {"groups": ["g1"]} for number in range(count)},
        "flows": {f"f{9999 - number}": _flow(f"e{number}", "g0") for number in range(count)},
    }


SHAPES = pytest.mark.parametrize(
    "shape", [one_target, own_targets, many_networks, overlapping_ports, nested_groups, all_alike]
)


@pytest.mark.slow
@SHAPES
def test_a_plan_does_not_compare_each_flow_with_each_other(shape: Callable[[int], dict[str, Any]]) -> None:
    few, many = shape(FEW), shape(TIMES * FEW)
    assert ratio(lambda: _seconds(lambda: _plan(many)), lambda: _seconds(lambda: _plan(few)), MOST) <= MOST


@pytest.mark.slow
@SHAPES
def test_lint_does_not_compare_each_flow_with_each_other(shape: Callable[[int], dict[str, Any]]) -> None:
    few, many = _plan(shape(FEW)), _plan(shape(TIMES * FEW))
    assert ratio(lambda: _seconds(lambda: _lint(many)), lambda: _seconds(lambda: _lint(few)), MOST) <= MOST


def _plan(shape: dict[str, Any]) -> Plan:
    site = {"services": _services(1), **{name: value for name, value in shape.items() if name != "hosts"}}
    return make_plan(site, shape.get("hosts", _hosts(10, 2)))


def _lint(plan: Plan) -> None:
    findings(plan, date(2026, 11, 28))


def _seconds(run: Callable[[], object]) -> float:
    start = process_time()
    run()
    return process_time() - start
