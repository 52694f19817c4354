# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every flow is needed: without it, what it is for fails. Run by `dev/test platform`."""

from __future__ import annotations

import json

import pytest

from ansible_collections.hpc.ports.tests.lab.hosts import ROOT, firewall
from ansible_collections.hpc.ports.tests.platform import flows, uses
from ansible_collections.hpc.ports.tests.platform.uses import output


# Seconds: long enough for what passes, and most of these do not.
_SHORT = 10
# Without state: jobs that hang because of a closed port would stand in the way of the next.
_ANEW = {"head": "systemctl stop slurmctld; rm -rf /var/lib/slurm/slurmctld/*; systemctl start slurmctld",
         "node1": "systemctl restart slurmd", "node2": "systemctl restart slurmd"}
_READY = 'until [ "$(sinfo --noheader --states=idle --nodes=node1,node2 --format=%D)" = 2 ]; do sleep 0.3; done'


def restore() -> None:
    """Have all flows on again, and Slurm as after its start."""
    done = firewall()
    assert done.code == 0, done.output
    for host, script in _ANEW.items():
        output(host, script)
    output("login1", _READY, 60)


def failed_without(*off: str) -> dict[str, list[str]]:
    """Return which uses fail without these flows, by flow."""
    done = firewall("-e", json.dumps(flows.site_without(*off)), "-e", "firewall_cut_established=true")
    assert done.code == 0, done.output
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(uses, "PATIENCE", _SHORT)
        errors = uses.errors_of(use for flow in off for use in flows.shown_for(flow))
    restore()
    return {flow: [use.name for use in flows.shown_for(flow) if use.name in errors] for flow in off}


@pytest.fixture(name="failed", scope="module")
def _failed() -> dict[str, list[str]]:
    """Which uses failed without each flow."""
    found = {flow: names for off in flows.rounds() for flow, names in failed_without(*off).items()}
    flows.written(ROOT / "tests" / "output", flows.page(found))
    return found


def test_every_flow_is_needed(failed: dict[str, list[str]]) -> None:
    assert failed == {flow: [use.name for use in flows.shown_for(flow)] for flow in failed}


def test_the_page_says_so(failed: dict[str, list[str]]) -> None:
    assert flows.PAGE.read_text(encoding="utf-8") == flows.page(failed), "tests/output/flows.md is the page: copy it"
