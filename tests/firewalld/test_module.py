# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules on a host with firewalld, as Ansible starts them."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.hpc.ports.tests.firewalld.daemons import Daemon
from ansible_collections.hpc.ports.tests.support.cpu import ratio
from ansible_collections.hpc.ports.tests.support.neighbours import LARGE, seconds_of_a_run
from ansible_collections.hpc.ports.tests.support.samples import SAMPLE


def test_a_policy_is_carried_and_confirmed_and_then_nothing_changes(daemon: Daemon) -> None:
    result = daemon.started_module(policy=SAMPLE, diff=True)
    assert not result.get("failed"), result
    assert result["backend"] == "firewalld"
    assert daemon.says("--version") == daemon.version
    assert daemon.started_module("firewall_confirm", token=result["pending"]["token"])["status"] == "confirmed"
    assert daemon.says("--info-policy=hpc_ports_in").startswith("hpc_ports_in (active)")
    assert not daemon.started_module(policy=SAMPLE)["changed"]


@pytest.mark.takes_turns
def test_large_tables_of_others_cost_no_more_than_the_run_itself(daemon: Daemon, tmp_path: Path) -> None:
    """Each listing of the libnftables 0.9.8 of Debian 11 reads all rules of the host."""
    daemon.runs.apply(SAMPLE)
    alone = min(seconds_of_a_run(daemon.machine, tmp_path) for _run in range(3))
    daemon.host.nft(LARGE)
    try:
        seconds_of_a_run(daemon.machine, tmp_path)  # What the tables of others are is read once.
        assert ratio(lambda: seconds_of_a_run(daemon.machine, tmp_path), lambda: alone, 2.0) <= 2.0
    finally:
        daemon.host.nft("delete table ip kube\ndelete table ip blocklist\n")
