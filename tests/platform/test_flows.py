# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every flow is needed: without it, what it is for fails. Run by `dev/test platform`."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from ansible_collections.hpc.ports.tests.support.hosts import ROOT, firewall
from ansible_collections.hpc.ports.tests.platform import flows, uses
from ansible_collections.hpc.ports.tests.platform.uses import output


# Seconds: what passes takes one or two, and none of these is to pass.
_SHORT = 7
# Without state: jobs that hang because of a closed port would stand in the way of the next.
_ANEW = {"head": "systemctl stop slurmctld; rm -rf /var/lib/slurm/slurmctld/*; systemctl start slurmctld",
         "node1": "systemctl restart slurmd", "node2": "systemctl restart slurmd"}
_READY = 'until [ "$(sinfo --noheader --states=idle --nodes=node1,node2 --format=%D)" = 2 ]; do sleep 0.3; done'


def restore_slurm() -> None:
    """Have all flows of the cluster on again, and Slurm as after its start."""
    done = firewall("--limit", "slurm")
    assert done.code == 0, done.output
    for host, script in _ANEW.items():
        output(host, script)
    output("login1", _READY, 60)


@pytest.fixture(name="failed", scope="module")
def _failed() -> Iterator[dict[str, list[str]]]:
    """Which uses fail without each flow, as the tests find it. All flows are on again afterwards."""
    yield {}
    assert firewall().code == 0


@pytest.fixture(name="off", params=flows.rounds(), ids="+".join)
def _off(request: pytest.FixtureRequest) -> Iterator[list[str]]:
    """Flows that are off meanwhile."""
    off: list[str] = request.param
    done = firewall("-e", json.dumps(flows.site_without(*off)), "-e", "firewall_cut_established=true")
    assert done.code == 0, done.output
    yield off
    restore_slurm()


def test_every_flow_is_needed(
        off: list[str], failed: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uses, "PATIENCE", _SHORT)
    shown = {flow: flows.shown_for(flow) for flow in off}
    errors = uses.errors_of(use for flow in off for use in shown[flow])
    found = {flow: [use.name for use in shown[flow] if use.name in errors] for flow in off}
    failed.update(found)
    assert found == {flow: [use.name for use in shown[flow]] for flow in off}


def test_nothing_failed_for_another_reason() -> None:
    assert firewall().code == 0
    # With all flows on, all of it works as before.
    assert uses.errors_of(uses.USES.values()) == {}


def test_the_page_says_so(failed: dict[str, list[str]]) -> None:
    page = flows.page(failed)
    flows.written(ROOT / "tests" / "output", page)
    assert flows.PAGE.read_text(encoding="utf-8") == page, "tests/output/flows.md is the page: copy it"
