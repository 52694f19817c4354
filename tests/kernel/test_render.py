# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rulesets that `render` writes, on a host that has nothing but them: real packets, and the module on top."""

from __future__ import annotations

import fcntl
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._linux.command import find_program
from ansible_collections.hpc.ports.tests.support.machine import (
    NO_FLOWS,
    OWN_ADDRESSES,
    RULESET,
    UNIT,
    Machine,
    without_invocation,
)
from ansible_collections.hpc.ports.tests.support.namespaces import forget_connections
from ansible_collections.hpc.ports.tests.support.rendered import CLASSES, class_of, give, put
from ansible_collections.hpc.ports.tests.support.verdicts import check_loopback, check_verdicts, joined

UNCHANGED = {
    "backend": "nftables",
    "changed": False,
    "changes": {**NO_FLOWS, "objects": []},
    "diff": {"before": "", "after": ""},
    "other_rules": {"dropping": [], "bypassing": [], "published": [], "translating": []},
    "ephemeral_ports": "32768-60999",
    "reserved_ports": "",
    "own_addresses": OWN_ADDRESSES,
}


@contextmanager
def watched(machine: Machine) -> Iterator[None]:
    """Hold the file that a watch would hold: this systemd starts none."""
    path = machine.path("/run/hpc-ports/watch")
    path.parent.mkdir(mode=0o700, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.mark.parametrize("name", CLASSES)
def test_the_files_alone_judge_as_the_policy_and_are_what_the_module_makes(
    machine: Machine, tmp_path: Path, name: str
) -> None:
    found = class_of(tmp_path / "rulesets", name, nft=str(find_program("nft")))
    put(found.folder / "nftables", machine.host)
    # What the unit does as the host boots.
    [command] = re.findall("^ExecStart=(.*)$", machine.host.shell(f"cat {UNIT}"), re.MULTILINE)
    machine.host.shell(command)
    with joined(machine.pair) as wires:
        for _direction, packets in found.packets():
            with machine.host.entered():
                forget_connections()
            check_verdicts(wires, found.policy, packets)
        with machine.host.entered():
            check_loopback()
    before = machine.listing(), machine.files()
    with watched(machine):
        assert without_invocation(machine.apply(found.data, watch=True)) == UNCHANGED
    assert (machine.listing(), machine.files()) == before
    assert machine.systemctl_calls() == []


def test_user_data_writes_the_same_files(machine: Machine, tmp_path: Path) -> None:
    found = class_of(tmp_path / "rulesets", CLASSES[0], nft=str(find_program("nft")))
    # With the systemctl that only takes notes.
    give(found.folder / "cloud-init.yml", partial(machine.host.run, path=machine.programs))
    assert machine.systemctl_calls() == ["daemon-reload", "start hpc-ports.service", "start hpc-ports-watch.service"]
    machine.host.shell(f"nft -f {RULESET}")
    with watched(machine):
        assert without_invocation(machine.apply(found.data, watch=True)) == UNCHANGED
