# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The platform works behind its firewall, and nothing inside answers outside. Run by `dev/test platform`."""

from __future__ import annotations

import json

import pytest
from ansible_collections.hpc.ports.tests.platform import flows
from ansible_collections.hpc.ports.tests.platform.uses import USES, answering, errors_of, output
from ansible_collections.hpc.ports.tests.support.hosts import firewall
from ansible_collections.hpc.ports.tests.support.run import FULL

FRONT_DOOR = {("ctl1", 80), ("ctl1", 443), ("ctl1", 8443)}
MANAGED = (
    "ctl1",
    "ctl2",
    "db1",
    "db2",
    "head",
    "accounting",
    "sql1",
    "login1",
    "node1",
    "node2",
    "pbs1",
    "pbs2",
    "pbs3",
    "nfs1",
    "workspace1",
    "monitor1",
)
# What answers whom outside, of all that listens.
ANSWERS = {"outsider": FRONT_DOOR, "laptop1": {*FRONT_DOOR, ("login1", 22), ("pbs3", 22)}}


def test_all_of_it_works() -> None:
    assert errors_of(USES.values()) == {}


def listening(host: str) -> set[tuple[str, int]]:
    """Return the TCP ports on which a host listens for others."""
    ends = [line.split()[3].rpartition(":") for line in output(host, "ss -Htln").splitlines()]
    return {(host, int(port)) for address, _colon, port in ends if not address.startswith(("127.", "[::1]"))}


@pytest.mark.parametrize("source", ANSWERS)
def test_nothing_else_answers_outside(source: str) -> None:
    ends = sorted({end for host in MANAGED for end in listening(host)})
    assert {("sql1", 3306), ("head", 6817), ("node1", 6818), ("ctl1", 5432), ("ctl1", 5672)} < set(ends)
    assert answering(source, ends) == ANSWERS[source]


def test_the_tunnel_holds_over_a_reload() -> None:
    before = output("node1", "cat /run/agent").split()
    ends = "--limit", "node1,ctl1"
    for _attempt in range(2 if FULL else 1):
        without = firewall(*ends, "-e", json.dumps(flows.site_without("smtp", "ntp")))
        assert without.changed == {"node1": 1, "ctl1": 1}, without.output
        assert firewall(*ends).changed == {"node1": 1, "ctl1": 1}
    # The next answer: its number is higher than all that came before, if the connection is the same.
    last = output("node1", "cat /run/agent")
    after = output(
        "node1", f"until answer=$(cat /run/agent); [ \"$answer\" != '{last}' ]; do sleep 0.1; done; echo $answer"
    ).split()
    assert after[0] == before[0] and int(after[1]) > int(before[1])
