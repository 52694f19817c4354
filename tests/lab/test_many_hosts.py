# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many hosts and few forks, over real ssh: each change is confirmed in time, however many hosts come after it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.hpc.ports.tests.support.hosts import FIREWALL, Play, play_started
from ansible_collections.hpc.ports.tests.lab.many_hosts import CONTROLLER, ManyHosts, many_hosts

COUNT = 100
FORKS = 5
# Seconds; far fewer than all the hosts take together.
WINDOW = 30
# What the host has of ours in the kernel and on disk, and what of a change that awaits something.
STATE = "nft list tables; find /etc/hpc-ports /run/hpc-ports ! -type d 2> /dev/null || true"
APPLIED = "table inet hpc_ports\n/etc/hpc-ports/ruleset.nft\n/run/hpc-ports/lock\n"
_CONFIRMED = re.compile(r'^changed: \[(\w+)\] => .*"confirmed_from": "([0-9.]+) port [0-9]+"', re.MULTILINE)


@pytest.fixture(name="hosts")
def _hosts() -> Iterator[ManyHosts]:
    with many_hosts(COUNT) as hosts:
        yield hosts


def firewall_everywhere(inventory: Path) -> tuple[Play, float]:
    """Give all of them their firewalls; return how that ended, and after how many seconds."""
    start = time.monotonic()
    with play_started(FIREWALL, "-v", "-i", str(inventory), f"-efirewall_confirm_within={WINDOW}",
                      ANSIBLE_FORKS=str(FORKS)) as process:
        output = process.communicate(timeout=600)[0]
    return Play(process.returncode, output), time.monotonic() - start


def test_a_hundred_hosts_with_five_forks(hosts: ManyHosts, tmp_path: Path) -> None:
    inventory = tmp_path / "hosts.json"
    inventory.write_text(json.dumps(hosts.inventory), encoding="utf-8")
    everywhere = hosts.names

    first, seconds = firewall_everywhere(inventory)
    ended = time.monotonic()
    # Other codes tell of failed or of unreachable hosts.
    assert first.code == 0, first.output
    assert first.changed == dict.fromkeys(everywhere, 1)
    assert dict(_CONFIRMED.findall(first.output)) == dict.fromkeys(everywhere, CONTROLLER)
    assert seconds > WINDOW
    assert hosts.everywhere(STATE) == dict.fromkeys(everywhere, APPLIED)

    second, more = firewall_everywhere(inventory)
    assert second.code == 0, second.output
    assert second.changed == dict.fromkeys(everywhere, 0)

    time.sleep(max(0.0, ended + WINDOW + 2 - time.monotonic()))
    assert hosts.everywhere(STATE) == dict.fromkeys(everywhere, APPLIED)
    print(f"{COUNT} hosts, {FORKS} forks: {seconds:.0f} s, and {more:.0f} s where nothing changed")
