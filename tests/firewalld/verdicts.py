# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Policies that firewalld carries, and which packets it then lets through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.hpc.ports.plugins.module_utils._model.evaluate import Packet, evaluate
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import Policy
from ansible_collections.hpc.ports.tests.firewalld.daemons import VERSIONS, Daemon
from ansible_collections.hpc.ports.tests.support.namespaces import forget_connections
from ansible_collections.hpc.ports.tests.support.packets import Wires
from ansible_collections.hpc.ports.tests.support.run import scaled
from ansible_collections.hpc.ports.tests.support.runs import Runs
from ansible_collections.hpc.ports.tests.support.samples import SSH, policy
from ansible_collections.hpc.ports.tests.support.verdicts import passing

OLDEST = VERSIONS["11"]
# The peer's address in the network of the second interface.
FABRIC = "2001:db8:1::2"
ALLOWED = policy(
    SSH,
    ("in", "web", ["80/tcp", "53/udp"], ("10.64.0.0/30", "fd64::/126")),
    ("out", "web", ["80/tcp", "53/udp"], ("10.64.0.0/30", "fd64::/126")),
    egress="restricted",
)


def applied(runs: Runs, wanted: Mapping[str, Any]) -> bool:
    """Apply this policy, confirm it, check that it runs; return whether firewalld was reloaded."""
    run = runs.firewall(wanted, confirm_within=scaled(60))
    assert run.result and not run.result.get("failed"), run
    if "pending" in run.result:
        answer = runs.confirm(run.result["pending"]["token"]).result
        assert answer and answer["status"] == "confirmed", answer
        if answer.get("leaves"):
            # As the action plugin does, which removes our rules from the other backend so.
            applied(runs, wanted)
    again = runs.module("firewall", policy=wanted)
    assert again["changed"] is False, again
    return any(text.endswith(" reload") for text in run.operations)


def past_guards(packets: Sequence[Packet]) -> list[Packet]:
    """Return the packets that firewalld's guard IPv6_rpfilter lets by, with all that is needed to see them arrive.

    It drops what comes from where the host would not answer through the same interface. To the host, such a packet
    comes from the fabric itself instead. From the host, it is left out where the answer, an ICMP error, comes that way.
    """
    found = []
    for packet in packets:
        is_caught = packet.interface == "fab0" and ":" in packet.peer and not packet.peer.startswith("fe80")
        if is_caught and packet.direction == "in":
            found.append(packet._replace(peer=FABRIC))
        elif not is_caught or packet.protocol == "tcp":
            found.append(packet)
    return found


def differs(version: str, wanted: Policy, packet: Packet) -> bool:
    """Return whether firewalld accepts a packet that the policy drops, as documented.

    On the oldest, restricted egress judges the transport protocols alone: see `_denials` of the backend.
    """
    return version == OLDEST and wanted.egress == "restricted" and packet.direction == "out" and packet.protocol == "ip"


def passes(version: str, wanted: Policy, packet: Packet) -> bool:
    """Return whether firewalld accepts the first packet of a connection."""
    return differs(version, wanted, packet) or evaluate(wanted, packet).passes


def check_verdicts(daemon: Daemon, wires: Wires, wanted: Policy, packets: Sequence[Packet]) -> set[Packet]:
    """See that the packets fare as they should, all of one direction; return those that pass."""
    version = VERSIONS[daemon.release]
    with daemon.host.entered():
        forget_connections()
    got = passing(wires, packets)
    wrong = {packet: packet in got for packet in packets if passes(version, wanted, packet) != (packet in got)}
    assert not wrong, (version, wanted)
    return got
