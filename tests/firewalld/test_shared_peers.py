# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Flows with the same long list of peers share ipsets. The peers of one begin to differ, and become the same again."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld.config import LONG
from ansible_collections.hpc.ports.plugins.module_utils._model.evaluate import Packet
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import parse_policy
from ansible_collections.hpc.ports.plugins.module_utils._model.quick_check import check_script, parse_answer
from ansible_collections.hpc.ports.tests.firewalld.daemons import Daemon, call
from ansible_collections.hpc.ports.tests.firewalld.verdicts import applied, check_verdicts
from ansible_collections.hpc.ports.tests.support.availability import APPLIES, applied_meanwhile
from ansible_collections.hpc.ports.tests.support.namespaces import HOST
from ansible_collections.hpc.ports.tests.support.packets import Wires
from ansible_collections.hpc.ports.tests.support.runs import Runs
from ansible_collections.hpc.ports.tests.support.samples import SSH, policy

# New connections a second.
RATE = 200.0
FILL = tuple(f"10.7{number // 250}.{number % 250}.0/25" for number in range(LONG))
# The new connections come from 10.64.1.0/24: all but NOBODY have it.
MANY, OTHER, NOBODY = (*FILL, "10.64.1.0/24"), (*FILL, "10.64.0.0/16"), (*FILL, "10.66.0.0/16")
SHORT = ("10.64.1.0/24",)
# The release before this one: each flow has its own.
_EACH_ITS_OWN = """
from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld import config
config.LONG = 1_000_000
"""
KEY = "0123456789abcdef"


def sharing(first: tuple[str, ...], second: tuple[str, ...], third: tuple[str, ...] = FILL) -> dict[str, Any]:
    """Return a policy of three flows with these peers: connections to port 6000 are those of the second one."""
    return {
        **policy(
            SSH,
            ("in", "a", ["5000/tcp"], first),
            ("in", "b", ["6000/tcp"], second),
            ("in", "c", ["7000/tcp", "53/udp"], third),
        ),
        "addresses": [HOST[4]],
    }


TOGETHER = sharing(MANY, MANY, MANY)
# All neighbours are a change: the flow whose ipsets others use goes, comes back, and what others use is short or long.
WALK = [
    TOGETHER,
    sharing(MANY, OTHER, MANY),
    sharing(OTHER, OTHER, OTHER),
    sharing(NOBODY, OTHER, OTHER),
    sharing(NOBODY, MANY, NOBODY),
    TOGETHER,
    sharing(SHORT, MANY, MANY),
    sharing(SHORT, SHORT, SHORT),
    sharing(MANY, MANY, SHORT),
    sharing(NOBODY, MANY, OTHER),
    sharing((), MANY, MANY),
]


def entries(daemon: Daemon) -> dict[str, int]:
    """Return how many entries firewalld has in the ipsets of IPv4 of each of the three flows."""
    return {
        name: int(daemon.host.shell(call("ipset.getEntries", "s", f"hpc_ports_in_{name}")).split()[1])
        for name in ("a_4a", "a_4b", "b_4a", "b_4b", "c_4a", "c_4b")
    }


def apply_as_before(daemon: Daemon, *steps: dict[str, Any]) -> None:
    """Give the host these policies as the release before this one does."""
    machine = daemon.machine
    daemon.host.run(
        daemon.python, "-c", _EACH_ITS_OWN + APPLIES, machine.backend, text=json.dumps(steps), **machine.environment
    )


def handle(daemon: Daemon) -> str:
    """What the kernel calls firewalld's table: another after each reload."""
    return daemon.host.shell("nft -a list table inet firewalld | head -n 1")


def test_each_step_has_its_verdicts_and_needs_no_reload(daemon: Daemon, runs: Runs, wires: Wires) -> None:
    packets = [
        Packet("in", protocol, peer, port, 20_000 + number)
        for number, (peer, (protocol, port)) in enumerate(
            (peer, ports)
            for peer in ("10.64.1.7", "10.64.2.7", "10.66.0.7", "10.70.3.7", "10.70.3.200", "10.71.5.7", "10.65.0.1")
            for ports in (("tcp", 5000), ("tcp", 6000), ("tcp", 7000), ("udp", 53), ("tcp", 5999))
        )
    ]
    for number, wanted in enumerate(WALK):
        is_reloaded = applied(runs, wanted)
        assert is_reloaded == (number == 0)
        check_verdicts(daemon, wires, parse_policy(wanted), packets)
    runs.apply(TOGETHER)
    count = len(MANY)
    assert entries(daemon) == {"a_4a": count, "a_4b": count, "b_4a": 0, "b_4b": 0, "c_4a": 0, "c_4b": 0}


@pytest.mark.takes_turns
def test_no_connection_is_lost_as_flows_part_and_meet(daemon: Daemon) -> None:
    daemon.runs.apply(WALK[-1])
    before = handle(daemon)
    found = applied_meanwhile(daemon.machine, [*WALK, *reversed(WALK[:-1])], RATE)
    assert (found.lost, found.of_living, handle(daemon)) == (0, [0, 0], before)
    assert found.connections >= 2 * len(WALK)


@pytest.mark.takes_turns
def test_a_host_of_the_release_before_changes_over(daemon: Daemon) -> None:
    """Its ipsets are all in use afterwards, or empty; and so it goes back."""
    apply_as_before(daemon, TOGETHER)
    assert set(entries(daemon).values()) == {len(MANY)}
    before, names = handle(daemon), daemon.host.shell("ls /etc/firewalld/ipsets")
    found = applied_meanwhile(daemon.machine, [TOGETHER, sharing(MANY, MANY, OTHER)], RATE)
    assert (found.lost, found.of_living, handle(daemon)) == (0, [0, 0], before)
    assert entries(daemon)["b_4a"] == 0 and daemon.host.shell("ls /etc/firewalld/ipsets") == names
    apply_as_before(daemon, sharing(MANY, MANY, OTHER))
    assert set(entries(daemon).values()) == {len(MANY)} and handle(daemon) == before


def unchanged(daemon: Daemon) -> bool:
    """Return whether the quick check answers."""
    return parse_answer(daemon.host.run("sh", "-c", check_script(KEY), check=False).stdout) is not None


DRIFT = {
    "an entry of the shared ipset is gone": ("a_4a", "--remove-entry=10.64.1.0/24"),
    "an entry more in the shared ipset": ("a_4b", "--add-entry=10.99.0.0/16"),
    "an entry in an ipset that nobody looks up": ("b_4a", "--add-entry=10.99.0.0/16"),
}


@pytest.mark.takes_turns
def test_drift_is_seen_and_mended(daemon: Daemon) -> None:
    def settled() -> None:
        pending = daemon.module(policy=TOGETHER, key=KEY).get("pending")
        if pending:
            daemon.module("firewall_confirm", token=pending["token"])
            daemon.module(policy=TOGETHER, key=KEY)

    settled()
    before, kernel = handle(daemon), daemon.runs.state(asks_firewalld=False)
    for kind, (name, option) in DRIFT.items():
        assert unchanged(daemon), kind
        daemon.says(f"--ipset=hpc_ports_in_{name}", option)
        assert not unchanged(daemon), kind
        found = daemon.module(policy=TOGETHER, key=KEY, check=True)
        assert found["changes"]["objects"] == [f"ipset hpc_ports_in_{name}"], kind
        settled()
        assert (handle(daemon), daemon.runs.state(asks_firewalld=False)) == (before, kernel), kind
