# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a plan of 2,000 hosts costs, next to `ansible-inventory --list` of the same hosts."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from ansible_collections.hpc.ports.benchmarks.plan import write_site
from ansible_collections.hpc.ports.tests.support.cpu import cost_of, ratio

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
