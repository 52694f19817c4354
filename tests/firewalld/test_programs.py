# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which programs a run of a module starts on a host with firewalld."""

from __future__ import annotations

from ansible_collections.hpc.ports.tests.support.runs import Run, Runs
from ansible_collections.hpc.ports.tests.support.samples import SAMPLE


def programs(run: Run) -> list[str]:
    """Return the first two words of each program that a run has started."""
    started = [operation.split()[1:3] for operation in run.operations if operation.startswith("start ")]
    return [" ".join(words) for words in started]


def test_each_question_is_asked_once(runs: Runs) -> None:
    first = runs.firewall(SAMPLE, confirm_within=600)
    assert first.result and first.result["changed"]
    others = [program for program in programs(first) if not program.startswith("busctl")]
    assert others == [
        "systemctl show",
        "nft --version",
        "unshare -n",
        "systemd-run --quiet",
        "/bin/sh /etc/hpc-ports/undo/run",
        "nft -f",
        "nft -f",
    ]
    confirmation = runs.confirm(first.result["pending"]["token"])
    assert confirmation.result and confirmation.result["status"] == "confirmed"
    assert programs(confirmation) == ["nft -s", "systemctl show"]
    unchanged = runs.firewall(SAMPLE, confirm_within=600)
    assert unchanged.result and not unchanged.result["changed"]
    # busctl asks firewalld for its state, its backend and its panic mode. The confirmation keeps no listing of nft.
    assert programs(unchanged) == ["systemctl show", *["busctl --json=short"] * 3, "nft -s"]
