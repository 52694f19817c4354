# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Others' tables on a host, very large ones, and what a run beside them costs."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from ansible_collections.hpc.ports.tests.support.cpu import cost_of
from ansible_collections.hpc.ports.tests.support.machine import Machine
from ansible_collections.hpc.ports.tests.support.namespaces import ROOT
from ansible_collections.hpc.ports.tests.support.samples import SAMPLE

CHAINS, RULES = 1_000, 100


def address(number: int) -> str:
    """Return one of 100,000 addresses."""
    return f"198.{18 + number // 50_000}.{number // 250 % 200}.{number % 250}"


# As kube-proxy has them, and as a blocklist.
LARGE = "\n".join(
    [
        "table ip kube {",
        "chain input { type filter hook input priority 5; policy accept;",
        *(f"jump c{number}" for number in range(CHAINS)),
        "}",
        *(
            f"chain c{number} {{\n" + "tcp dport 443 ip daddr 203.0.113.1 counter drop\n" * RULES + "}"
            for number in range(CHAINS)
        ),
        "}",
        "table ip blocklist {",
        "set listed {\ntype ipv4_addr",
        "elements = {",
        ", ".join(map(address, range(CHAINS * RULES))),
        "}",
        "}",
        "chain input { type filter hook input priority 6; policy accept;\nip saddr @listed drop\n}",
        "}",
    ]
)


def seconds_of_a_run(machine: Machine, folder: Path) -> float:
    """Return the CPU seconds of the module and of what it starts, where it changes nothing."""
    arguments = json.dumps({"ANSIBLE_MODULE_ARGS": {"policy": SAMPLE, "watch": False}})
    machine.path("/run/arguments").write_text(arguments, encoding="utf-8")
    command = shlex.join([machine.pair.python, str(ROOT / "plugins" / "modules" / "firewall.py")])
    cost = cost_of(
        *machine.host.prefix,
        "sh",
        "-c",
        f"exec {command} < /run/arguments",
        folder=folder,
        environment=machine.environment,
    )
    assert json.loads(cost.output.splitlines()[-1])["changed"] is False, cost.output
    return cost.seconds
