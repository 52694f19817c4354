# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run with nothing to change costs, next to a play that pings the same hosts."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from ansible_collections.hpc.ports.tests.support.cpu import cost_of, ratio
from ansible_collections.hpc.ports.tests.support.hosts import (
    FIREWALL,
    FIREWALL_ONLY,
    LAB,
    ROOT,
    Play,
    executed_anywhere,
    forget_executions,
    managed_hosts,
    on,
    play,
)
from ansible_collections.hpc.ports.tests.support.run import scaled

SITE = ("playbooks/site.yml", *FIREWALL_ONLY)
# The most that such a run may cost, times the ping, on the controller and the hosts together. On a busy machine it
# costs 0.9 to 1.0, and the whole site 1.2 to 1.35; a single round differs by 0.15.
MOST = {(FIREWALL,): 1.2, SITE: 1.5}
PING = """
- hosts: "{{ groups | hpc.ports.host_pattern }}"
  gather_facts: false
  become: true
  tasks:
    - ansible.builtin.ping:
"""


def seconds_of_hosts() -> float:
    """Return the CPU seconds that the managed hosts have taken since they were started."""
    hosts = [f"{LAB}-{host}" for host in managed_hosts()]
    nanoseconds = subprocess.run(
        ["podman", "stats", "--no-stream", "--format={{.CPUNano}}", *hosts], check=True, capture_output=True, text=True
    ).stdout.split()
    assert len(nanoseconds) == len(hosts)
    return sum(map(int, nanoseconds)) / 10**9


def seconds_of(playbook: str, *options: str) -> float:
    """Return the CPU seconds of a playbook that changes nothing, on the controller and on the hosts."""
    before = seconds_of_hosts()
    cost = cost_of(
        "ansible-playbook",
        playbook,
        *options,
        folder=ROOT,
        environment={"ANSIBLE_NOCOLOR": "1", "ANSIBLE_TIMEOUT": str(scaled(30))},
    )
    on_hosts = seconds_of_hosts() - before
    assert Play(0, cost.output).changed == dict.fromkeys(managed_hosts(), 0), cost.output
    print(f"{Path(playbook).name}: {cost.seconds:.2f} s of CPU on the controller, {on_hosts:.2f} on the hosts")
    return cost.seconds + on_hosts


@pytest.mark.parametrize("run", MOST)
def test_a_run_with_nothing_to_change(tmp_path: Path, run: tuple[str, ...]) -> None:
    ping = tmp_path / "ping.yml"
    ping.write_text(PING, encoding="utf-8")
    # The connections are there then, and the records of the quick check.
    seconds_of(*run)
    seconds_of(str(ping))
    assert ratio(lambda: _without_executions(*run), lambda: seconds_of(str(ping)), MOST[run]) <= MOST[run]


def _without_executions(*run: str) -> float:
    forget_executions()
    seconds = seconds_of(*run)
    assert executed_anywhere() == {}
    return seconds


NODE = "alpha-compute1"
PIN = "SrunPortRange=60001-63000"


def remote_executions(*options: str) -> tuple[int, Play]:
    """Return how often a run of site.yml without verify executes something on a plain compute node, and the run."""
    run = play("site", "--limit", NODE, *FIREWALL_ONLY, "-vvv", *options)
    assert run.code == 0, run.output
    return run.output.count("SSH: EXEC"), run


def test_a_compute_node_with_nothing_to_change_executes_two_shell_commands() -> None:
    """One for Slurm, one for the firewall; a line of slurm.conf that was changed by hand is written again."""
    remote_executions()  # leaves the record of the quick check
    try:
        for text in ("", f"ClusterName=alpha\\n{PIN}\\n"):
            on(NODE, f"mkdir -p /etc/slurm; [ -z '{text}' ] || printf '{text}' > /etc/slurm/slurm.conf")
            forget_executions()
            count, run = remote_executions()
            assert (count, run.changed) == (2, {NODE: 0}), run.output
            assert executed_anywhere() == {}
        for line in ("SrunPortRange=1-200", "# none"):
            on(NODE, f"sed -i '2s/.*/{line}/' /etc/slurm/slurm.conf")
            assert f"+{PIN}" in remote_executions("--check", "--diff")[1].output
            assert remote_executions()[1].changed == {NODE: 1}
            assert on(NODE, "tail -n 1 /etc/slurm/slurm.conf").strip() == PIN
            on(NODE, f"printf 'ClusterName=alpha\\n{PIN}\\n' > /etc/slurm/slurm.conf")
    finally:
        on(NODE, "rm -rf /etc/slurm")
