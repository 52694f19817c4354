# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs of Ansible over 200 hosts cost, with nothing to change and with a change, over ssh. See README.md."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / ".collections"))

from ansible_collections.hpc.ports.benchmarks import measuring
from ansible_collections.hpc.ports.benchmarks.measuring import Conditions, Cost, both, cpu_of_container, print_table
from ansible_collections.hpc.ports.benchmarks.runs import COMPILED_ONCE

PLAYS = {
    "ping": [{"hosts": "all", "gather_facts": False, "tasks": [{"ansible.builtin.ping": None}]}],
    "firewall": [{"hosts": "all", "gather_facts": False, "roles": ["hpc.ports.firewall"]}],
}
STEPS = ("ping", "nothing to change", "a port more")


class Site:
    """The hosts, as a play sees them; `port` is the port of one service of all."""

    def __init__(self, folder: Path, container: str) -> None:
        self._folder, self._container, self.port = folder, container, 20000
        for name, tasks in PLAYS.items():
            (folder / f"{name}.json").write_text(json.dumps(tasks), encoding="utf-8")

    def cost(self, name: str, changes: bool = False) -> Cost:
        """Return what a play costs, on the controller and on the hosts together; each host must change, or none."""
        variables = {
            "firewall_services": {"bench": {"ports": [f"{self.port}/tcp"]}},
            "firewall_flows": {
                "bench": {"from": ["slurm_compute"], "to": ["slurm_compute"], "services": ["bench"], "need": "required"}
            },
            "firewall_confirm_within": 300,
        }
        before = cpu_of_container(self._container)
        done = measuring.run(
            *("ansible-playbook", "-i", str(self._folder / "hosts.json"), f"--extra-vars={json.dumps(variables)}"),
            str(self._folder / f"{name}.json"),
            environment={"ANSIBLE_NOCOLOR": "1"},
        )
        assert ("changed=0" in done.output) != changes, done.output[-3000:]
        assert ("changed=1" in done.output) == changes, done.output[-3000:]
        return done.cost + Cost(0, cpu_of_container(self._container) - before)


def measured(site: Site) -> dict[str, Cost]:
    """Return the costs of the steps, one after the other; before and after, nothing is to change."""
    ping, nothing = site.cost("ping"), site.cost("firewall")
    site.port += 1
    change = site.cost("firewall", changes=True)
    site.cost("firewall")  # leaves the records that the next run with nothing to change compares with
    return dict(zip(STEPS, (ping, nothing, change)))


def rows(rounds: Sequence[dict[str, Cost]]) -> Iterator[list[str]]:
    """Yield the lines of the table."""
    for step in STEPS:
        wall, cpu = (median(values) for values in zip(*((one[step].wall, one[step].cpu) for one in rounds)))
        yield [step, f"{wall:.1f} s; CPU {cpu:.1f} s", both([one[step].per(one[STEPS[0]]) for one in rounds])]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--hosts", type=int, default=200, help="up to 250")
    options = parser.parse_args()
    container, conditions = f"{measuring.lab()}-many", Conditions()
    # Finds the lab as it is imported.
    from ansible_collections.hpc.ports.tests.lab.many_hosts import many_hosts  # pylint: disable=import-outside-toplevel

    with TemporaryDirectory() as name, many_hosts(options.hosts) as hosts:
        subprocess.run(["podman", "exec", container, "rm", COMPILED_ONCE], check=True)
        Path(name, "hosts.json").write_text(json.dumps(hosts.inventory), encoding="utf-8")
        site = Site(Path(name), container)
        first = site.cost("firewall", changes=True)
        site.cost("firewall")
        rounds = []
        for number in range(options.rounds):
            rounds.append(measured(site))
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr, flush=True)
    print(f"{options.hosts} hosts, {conditions.text(options.rounds)}\n")
    print_table(
        ("", "median", "ratio"), [*rows(rounds), ["first, once", f"{first.wall:.1f} s; CPU {first.cpu:.1f} s", ""]]
    )


if __name__ == "__main__":
    main()
