# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The counters of flows, and for how long they can have counted. See also tests/kernel/test_audit.py."""

from __future__ import annotations

import os
import time
from pathlib import Path

from ansible_collections.hpc.ports.plugins.module_utils._apply.flow_counters import (
    CounterReads,
    FlowCounters,
    flow_counters,
)
from ansible_collections.hpc.ports.plugins.module_utils._linux.nft_fingerprint import Table

COUNTED = {"in_web": 3, "in_ssh": 0, "out_dns": 5, "denied_in": 7, "unrecorded_in": 1}


def read(tables: dict[str, dict[str, int]], uptime: float, age: float | None, folder: Path) -> FlowCounters | None:
    path = folder / "ruleset.nft"
    if age is not None:
        path.touch()
        os.utime(path, (time.time() - age,) * 2)
    rulesets = {f"inet {name}": str(path) for name in ("hpc_ports", "hpc_ports_published")}

    def counters(table: Table) -> dict[str, int]:
        return tables.get(table[1], {})

    return flow_counters(CounterReads(counters, lambda: uptime, rulesets))


def test_only_what_flows_let_in_counts(tmp_path: Path) -> None:
    found = read({"hpc_ports": COUNTED}, 50.9, None, tmp_path)
    assert found == FlowCounters({"web": 3, "ssh": 0}, 50)


def test_the_table_beside_firewalld_counts_as_well(tmp_path: Path) -> None:
    found = read({"hpc_ports_published": COUNTED}, 50, None, tmp_path)
    assert found and found.packets == {"web": 3, "ssh": 0}


def test_a_host_without_rules_of_ours_counts_nothing(tmp_path: Path) -> None:
    assert read({}, 50, 10, tmp_path) is None


def test_it_counts_since_the_boot_or_the_last_change_of_the_file(tmp_path: Path) -> None:
    for uptime, age, seconds in ((5000, 1000, 1000), (5000, 9000, 5000), (5000, -600, 0)):
        found = read({"hpc_ports": COUNTED}, uptime, age, tmp_path)
        assert found and 0 <= found.seconds - seconds <= 60
