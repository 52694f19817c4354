# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every flow is needed: without it, its use fails. `dev/test platform` runs one round of them, `dev/test flows` all."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from ansible_collections.hpc.ports.tests.platform import flows
from ansible_collections.hpc.ports.tests.platform.uses import USES, Use, errors_of, output
from ansible_collections.hpc.ports.tests.support.hosts import ROOT, firewall
from ansible_collections.hpc.ports.tests.support.run import FULL, scaled, turn

ALL = FULL or bool(os.environ.get("HPC_PORTS_ALL_FLOWS"))
ROUNDS = flows.rounds() if ALL else turn(flows.rounds())
# What passes takes a second or two, and none of what is shown is to pass.
SHORT = scaled(7)
# Without state: jobs that hang because of a closed port would stand in the way of the next.
_ANEW = {
    "head": "systemctl stop slurmctld; rm -rf /var/lib/slurm/slurmctld/*; systemctl start slurmctld",
    "node1": "systemctl restart slurmd",
    "node2": "systemctl restart slurmd",
}
_READY = 'until [ "$(sinfo --noheader --states=idle --nodes=node1,node2 --format=%D)" = 2 ]; do sleep 0.3; done'


@pytest.fixture(name="failed", scope="module")
def _failed() -> dict[str, list[str]]:
    """Which uses fail without each flow, as the tests find it."""
    return {}


@contextmanager
def without(*off: str) -> Iterator[None]:
    """Have the flows off while the block runs. Afterwards all are on, and Slurm is as after its start."""
    changes = "-e", json.dumps(flows.site_without(*off)), "-e", "firewall_cut_established=true"
    try:
        done = firewall(*changes)
        assert done.code == 0, done.output
        yield
    finally:
        done = firewall()
        assert done.code == 0, done.output
    for host, script in _ANEW.items():
        output(host, script)
    output("login1", _READY, scaled(60))


def shown_for(off: list[str]) -> list[Use]:
    """Return what shows what these flows are for."""
    return [use for flow in off for use in flows.shown_for(flow)]


@pytest.mark.parametrize("off", ROUNDS, ids="+".join)
def test_every_flow_is_needed(off: list[str], failed: dict[str, list[str]]) -> None:
    with without(*off):
        # The controls first: a job that hangs would stand in their way.
        errors = errors_of([*flows.controls(off), *shown_for(off)], SHORT)
    failed.update({flow: [use.name for use in flows.shown_for(flow) if use.name in errors] for flow in off})
    assert flows.wrong(off, errors, errors_of(shown_for(off), SHORT)) == []


@pytest.mark.skipif(not ALL, reason="one round of flows leaves the other uses as they are")
def test_nothing_failed_for_another_reason() -> None:
    # With all flows on, all of it works as before.
    assert errors_of(USES.values()) == {}


@pytest.mark.skipif(not ALL, reason="the page is about all flows")
def test_the_page_says_so(failed: dict[str, list[str]]) -> None:
    page = flows.page(failed)
    flows.written(ROOT / "tests" / "output", page)
    assert flows.PAGE.read_text(encoding="utf-8") == page, "tests/output/flows.md is the page: copy it"
