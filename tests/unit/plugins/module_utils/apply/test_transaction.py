# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What counts the time of a change; all else needs a host: tests/kernel."""

from __future__ import annotations

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._apply.transaction import Pending, clock_command

PENDING = Pending("0f3c", 30, 1234.56, "10.0.0.9", 51234, {})
# On the clock of the deadline, which goes on while the machine is suspended.
SCRIPT = ["/bin/sh", "/run/hpc-ports/0f3c/revert", "at", "1235"]


@pytest.mark.parametrize(
    "by_systemd,expected",
    [
        (False, SCRIPT),
        (
            True,
            [
                "systemd-run",
                "--quiet",
                "--collect",
                "--unit=hpc-ports-revert-0f3c.service",
                "--property=Restart=on-abnormal",
                "--description=Undo the change of the firewall unless it is confirmed",
                *SCRIPT,
            ],
        ),
    ],
)
def test_the_clock_of_a_change(by_systemd: bool, expected: list[str]) -> None:
    assert clock_command(PENDING, by_systemd) == expected
