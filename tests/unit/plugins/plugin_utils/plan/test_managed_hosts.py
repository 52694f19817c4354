# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which hosts get a firewall, as one sentence."""

from __future__ import annotations

import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.managed_hosts import managed_text
from ansible_collections.hpc.ports.tests.support.sites import make_plan

FORTY = ", ".join(f"x{number:02}" for number in range(20)) + " and 20 more"


@pytest.mark.parametrize(
    ("nodes", "others", "text"),
    [
        (1, [], "The only host gets a firewall."),
        (2, [], "All 2 hosts get a firewall."),
        (1, ["jhub"], "1 host gets a firewall, 1 does not: jhub (in no group of hpc.ports)."),
        (9, ["jhub", "dns"], "9 hosts get a firewall, 2 do not: dns, jhub (in no group of hpc.ports)."),
        (
            2,
            [f"x{number:02}" for number in range(40)],
            f"2 hosts get a firewall, 40 do not: {FORTY} (in no group of hpc.ports).",
        ),
    ],
)
def test_hosts_with_and_without_a_firewall(nodes: int, others: list[str], text: str) -> None:
    hosts = {
        f"n{number}": {"groups": ["slurm_compute"], "addresses": [f"10.0.0.{number + 1}"]} for number in range(nodes)
    }
    strangers = {name: {"groups": ["lab"], "addresses": [f"10.0.1.{number + 1}"]} for number, name in enumerate(others)}
    assert managed_text(make_plan({}, {**hosts, **strangers})) == text
