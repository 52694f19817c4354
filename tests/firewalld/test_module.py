# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules on a host with firewalld, as Ansible starts them."""

from __future__ import annotations

from ansible_collections.hpc.ports.tests.firewalld.daemons import Daemon
from ansible_collections.hpc.ports.tests.support.samples import SAMPLE


def test_a_policy_is_carried_and_confirmed_and_then_nothing_changes(daemon: Daemon) -> None:
    result = daemon.started_module(policy=SAMPLE, diff=True)
    assert not result.get("failed"), result
    assert result["backend"] == "firewalld"
    assert daemon.says("--version") == daemon.version
    assert daemon.started_module("confirm", token=result["pending"]["token"])["status"] == "confirmed"
    assert daemon.says("--info-policy=hpc_ports_in").startswith("hpc_ports_in (active)")
    assert not daemon.started_module(policy=SAMPLE)["changed"]
