# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many hosts and few forks, over real ssh: each change is confirmed in time, however many hosts come after it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.hpc.ports.tests.lab.many_hosts import CONTROLLER, ManyHosts, many_hosts
from ansible_collections.hpc.ports.tests.support.hosts import Play, firewall
from ansible_collections.hpc.ports.tests.support.run import FULL, scaled

COUNT = 100 if FULL else 40
FORKS = 5
# Seconds; fewer than all the hosts take together.
WINDOW = scaled(30 if FULL else 15)
# What the host has of ours in the kernel and on disk, and what of a change that awaits something: nothing that could
# undo one. Every change makes the lock, and its end is the last that happens in that folder. The listings, and the
# record of a run with nothing to change, spare later runs time.
STATE = """
nft list tables
find /etc/hpc-ports /run/hpc-ports ! -type d ! -name 'listing-*' ! -name unchanged 2> /dev/null || true
"""
APPLIED = "table inet hpc_ports\n/etc/hpc-ports/ruleset.nft\n/run/hpc-ports/lock\n"
TIMES = "stat -c %.9Y /run/hpc-ports/lock /run/hpc-ports"
_CONFIRMED = re.compile(r'^changed: \[(\w+)\] => .*"confirmed_from": "([0-9.]+) port [0-9]+"', re.MULTILINE)


@pytest.fixture(name="hosts")
def _hosts() -> Iterator[ManyHosts]:
    with many_hosts(COUNT) as hosts:
        yield hosts


def firewall_on(hosts: ManyHosts, folder: Path, *options: str) -> Play:
    """Give them their firewalls, a few at a time."""
    inventory = folder / "hosts.json"
    inventory.write_text(json.dumps(hosts.inventory), encoding="utf-8")
    return firewall("-v", "-i", str(inventory), f"--forks={FORKS}", f"-efirewall_confirm_within={WINDOW}", *options)


def confirmed_before_the_last_began(times: dict[str, str]) -> int:
    """Return on how many hosts a change had been confirmed when it began on the last one."""
    starts, confirmed = zip(*(map(float, text.split()) for text in times.values()))
    return sum(moment < max(starts) for moment in confirmed)


@pytest.mark.takes_turns(0)
def test_many_hosts_with_five_forks(hosts: ManyHosts, tmp_path: Path) -> None:
    everywhere = hosts.names
    first = firewall_on(hosts, tmp_path)
    # Other codes tell of failed or of unreachable hosts.
    assert first.code == 0, first.output
    assert first.changed == dict.fromkeys(everywhere, 1)
    assert dict(_CONFIRMED.findall(first.output)) == dict.fromkeys(everywhere, CONTROLLER)
    assert hosts.everywhere(STATE) == dict.fromkeys(everywhere, APPLIED)
    # No host waited for those after it.
    assert confirmed_before_the_last_began(hosts.everywhere(TIMES)) >= COUNT - 2 * FORKS

    some = list(everywhere)[:: 1 if FULL else 8]
    second = firewall_on(hosts, tmp_path, "--limit", ",".join(some))
    assert (second.code, second.changed) == (0, dict.fromkeys(some, 0)), second.output
    assert hosts.everywhere(STATE) == dict.fromkeys(everywhere, APPLIED)
