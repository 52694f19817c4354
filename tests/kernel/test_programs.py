# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which programs a run of a module starts on a host with nftables."""

from __future__ import annotations

from ansible_collections.hpc.ports.tests.support.runs import Run, Served
from ansible_collections.hpc.ports.tests.support.samples import SAMPLE

SHOW = "systemctl show"
TEST = "unshare -n"
LIST = "nft -s"


def programs(run: Run) -> list[str]:
    """Return the first two words of each program that a run has started."""
    started = [operation.split()[1:3] for operation in run.operations if operation.startswith("start ")]
    return [" ".join(words) for words in started]


def test_each_question_is_asked_once(machine: Served) -> None:
    first = machine.runs.firewall(SAMPLE)
    assert first.result and first.result["changed"]
    # nft loads the rules in two transactions, of which one changes verdicts.
    assert programs(first) == [SHOW, "nft --version", TEST, "systemd-run --quiet", "nft -f", "nft -f"]
    confirmation = machine.runs.confirm(first.result["pending"]["token"])
    assert confirmation.result and confirmation.result["status"] == "confirmed"
    # The systemctl of these tests knows no unit: a real one has read new files when it answers, and needs no reload.
    assert programs(confirmation) == [LIST, SHOW, "systemctl daemon-reload"]
    # The confirmation keeps no listing, so that it needs few files.
    for is_checked, listings in ((False, [LIST]), (True, [])):
        unchanged = machine.runs.firewall(SAMPLE, _ansible_check_mode=is_checked)
        assert unchanged.result and not unchanged.result["changed"]
        assert programs(unchanged) == [SHOW, *listings]


def test_no_digest_is_computed_of_a_host_that_is_about_to_change(machine: Served) -> None:
    """A run with a key keeps a record for the quick check, which a shell script computes."""
    digest = "/bin/sh -c"
    machine.host.shell("mkdir -p -m 700 /run/hpc-ports")  # as another run has left it that removed our rules
    first = machine.runs.firewall(SAMPLE, key="one")
    assert first.result and digest not in programs(first)
    machine.runs.confirm(first.result["pending"]["token"])
    assert programs(machine.runs.firewall(SAMPLE, key="one")).count(digest) == 2
    changed = {**SAMPLE, "rules": SAMPLE["rules"][1:]}
    assert digest not in programs(machine.runs.firewall(changed, key="two"))


def test_a_run_that_mends_a_drift_tests_what_it_loads(machine: Served) -> None:
    machine.apply()
    machine.nft("add rule inet hpc_ports input tcp dport 23 accept\n")
    mended = machine.runs.firewall(SAMPLE)
    assert mended.result and mended.result["changed"]
    assert programs(mended).count(TEST) == 2  # what is loaded, and what would undo it
    assert programs(mended).count(SHOW) == 1
