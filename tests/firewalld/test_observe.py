# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Observe mode beside firewalld: the host stays as the site has it, and our table records what enforce would drop."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables.observed import Observed, observed
from ansible_collections.hpc.ports.plugins.module_utils._model.evaluate import Packet, evaluate
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import parse_policy
from ansible_collections.hpc.ports.tests.firewalld.daemons import Daemon
from ansible_collections.hpc.ports.tests.firewalld.verdicts import ALLOWED, applied, check_verdicts, past_guards
from ansible_collections.hpc.ports.tests.support.namespaces import forget_connections
from ansible_collections.hpc.ports.tests.support.platforms import packets_at_edges
from ansible_collections.hpc.ports.tests.support.run import scaled
from ansible_collections.hpc.ports.tests.support.samples import SSH, policy
from ansible_collections.hpc.ports.tests.support.signs import wait_until
from ansible_collections.hpc.ports.tests.support.verdicts import opening_of

OBSERVED = {**ALLOWED, "mode": "observe"}
ENFORCED = parse_policy(ALLOWED)
NAME = "inet hpc_ports_published"
PACKETS = {
    direction: past_guards(packets_at_edges(ENFORCED, direction, random.Random(0), 80)) for direction in ("in", "out")
}


def everything(daemon: Daemon) -> list[str]:
    """Return all rules and the names of the files; the tables may have changed places."""
    return sorted(daemon.host.shell("nft -s list ruleset; ls -A /etc/systemd/system /etc/firewalld/*").split("\n"))


def passed(daemon: Daemon) -> set[Packet]:
    """Send all packets once; return those that passed."""
    found: set[Packet] = set()
    for direction, wire in (("in", daemon.wires.inward), ("out", daemon.wires.outward)):
        with daemon.host.entered():
            forget_connections()
        by_opening = {opening_of(packet): packet for packet in PACKETS[direction]}
        found |= {by_opening[opening] for opening in wire.answered(list(by_opening), tries=1)}
    return found


def records(daemon: Daemon) -> Observed:
    with daemon.host.entered():
        return observed(10_000)


def policies_of(daemon: Daemon) -> list[str]:
    """Return our policies in the kernel, and those of which there is a file."""
    return daemon.host.shell(
        "nft list table inet firewalld | grep -o 'chain filter_[A-Z]*_policy_hpc_ports_[a-z]* ' || true; "
        "cd /etc/firewalld; ls policies ipsets | grep hpc_ports || true"
    ).split("\n")[:-1]


def test_a_host_observes_enforces_and_observes_again(daemon: Daemon) -> None:
    before, by_site = everything(daemon), passed(daemon)
    assert not applied(daemon.runs, OBSERVED)
    assert (passed(daemon), policies_of(daemon)) == (by_site, [])
    denied = [packet for sent in PACKETS.values() for packet in sent if not evaluate(ENFORCED, packet).passes]
    assert {record[:5]: record.packets for record in records(daemon).records} == Counter(
        (packet.direction, packet.peer, "", packet.protocol, packet.port) for packet in denied
    )
    assert applied(daemon.runs, ALLOWED)
    assert records(daemon).seconds is None
    for sent in PACKETS.values():
        check_verdicts(daemon, daemon.wires, ENFORCED, sent)
    enforcing = daemon.runs.state()
    result = daemon.module(policy=OBSERVED)
    assert not any(change for kind, change in result["changes"].items() if kind != "objects"), result["changes"]
    assert (passed(daemon), len(records(daemon).records) > 0) == (by_site, True)
    daemon.runs.undo_now()
    assert daemon.runs.state()._replace(left=[]) == enforcing._replace(left=[])
    assert applied(daemon.runs, OBSERVED)
    assert (passed(daemon), policies_of(daemon)) == (by_site, [])
    assert daemon.module(state="absent")["changed"]
    assert everything(daemon) == before


@pytest.mark.takes_turns
def test_other_flows_need_no_reload_and_keep_the_records(daemon: Daemon) -> None:
    applied(daemon.runs, OBSERVED)
    passed(daemon)
    found = {record[:6] for record in records(daemon).records}
    assert not applied(daemon.runs, policy(SSH, mode="observe"))
    assert {record[:6] for record in records(daemon).records} == {record for record in found if record[0] == "in"}


@pytest.mark.takes_turns
def test_the_watch_lets_observe_mode_begin_and_loads_its_table_again(daemon: Daemon) -> None:
    """The change awaits its confirmation while the files still have our policies."""
    for wanted in (ALLOWED, OBSERVED):
        result = daemon.module(policy=wanted, watch=True, confirm_within=scaled(60))
        daemon.host.shell(
            "sleep 3; busctl --timeout=300 call org.fedoraproject.FirewallD1 "
            "/org/fedoraproject/FirewallD1 org.fedoraproject.FirewallD1 getDefaultZone"
        )
        assert daemon.module("firewall_confirm", token=result["pending"]["token"])["status"] == "confirmed"
    assert policies_of(daemon) == []
    before = daemon.runs.state().table
    for command in (f"nft delete table {NAME}", f"nft flush table {NAME}"):
        daemon.host.shell(command)
        wait_until(lambda: daemon.runs.state(asks_firewalld=False).table == before)
    assert records(daemon).seconds is not None


@pytest.mark.takes_turns
def test_a_boot_observes(daemon: Daemon) -> None:
    applied(daemon.runs, OBSERVED)
    daemon.boot()
    daemon.wait_for_firewalld()
    assert not daemon.module(policy=OBSERVED, check=True)["changed"]
    assert (records(daemon).records, policies_of(daemon)) == ((), [])
    passed(daemon)
    assert records(daemon).records
