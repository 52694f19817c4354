# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packets of a policy, sent for real, and whether each fared as `evaluate` says. For both backends."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables import kernel
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables import ruleset as nftables
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables.update import transactions
from ansible_collections.hpc.ports.plugins.module_utils._model.evaluate import Packet, evaluate
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import Policy
from ansible_collections.hpc.ports.plugins.module_utils._ruleset import walker
from ansible_collections.hpc.ports.tests.support.namespaces import HOST, Pair
from ansible_collections.hpc.ports.tests.support.packets import Opening, Wires, open_wires
from ansible_collections.hpc.ports.tests.support.run import FULL
from hypothesis import Phase

# To find the smallest policy that fails takes minutes.
PHASES = tuple(phase for phase in Phase if FULL or phase is not Phase.shrink)


@contextmanager
def joined(pair: Pair) -> Iterator[Wires]:
    """Have both ends of the link while the block runs."""
    wires = open_wires(pair.host, pair.peer)
    try:
        yield wires
    finally:
        wires.inward.close()
        wires.outward.close()


def own_address(peer: str) -> str:
    """Return the host's address that the peer talks to."""
    return HOST["link"] if peer.startswith("fe80") else HOST[6] if ":" in peer else HOST[4]


def opening_of(packet: Packet) -> Opening:
    """Return the packet as it goes over the link."""
    here = own_address(packet.peer)
    source, target = (packet.peer, here) if packet.direction == "in" else (here, packet.peer)
    return Opening(packet.protocol, source, target, packet.port, packet.source_port, packet.interface)


def whole(packet: Packet) -> walker.TracedPacket:
    """Return the packet with both its ends."""
    opening = opening_of(packet)
    # The best route to every peer is that of the first interface.
    return walker.TracedPacket(
        packet.direction,
        opening.number,
        opening.source,
        opening.target,
        packet.port,
        packet.source_port,
        packet.interface,
        source_kind="unicast" if packet.direction == "in" else "local",
        returns=packet.interface == "eth0",
    )


def passing(wires: Wires, packets: Sequence[Packet]) -> set[Packet]:
    """Return those of the packets, all of one direction, that the kernel let through."""
    by_opening = {opening_of(packet): packet for packet in packets}
    wire = wires.inward if packets[0].direction == "in" else wires.outward
    return {by_opening[opening] for opening in wire.answered(list(by_opening))}


def load_nftables(policy: Policy) -> None:
    """Apply in place, as the module does, in the namespace of this thread; see that it runs as wanted."""
    ruleset = nftables.ruleset_of(policy)
    wanted = kernel.wanted_state(ruleset)
    for script in transactions(ruleset, kernel.running_state(), wanted):
        kernel.load(script)
    assert kernel.running_state() == wanted


def check_verdicts(wires: Wires, policy: Policy, packets: Sequence[Packet]) -> None:
    """See that exactly those packets pass, all of one direction, of which `evaluate` says so."""
    got = passing(wires, packets)
    wrong = {
        packet: judged
        for packet in packets
        for judged in [evaluate(policy, packet)]
        if judged.passes != (packet in got)
    }
    assert not wrong, policy


def check_loopback() -> None:
    """See that the host, whose namespace this thread is in, reaches itself by any of its addresses."""
    for version, family in ((4, socket.AF_INET), (6, socket.AF_INET6)):
        with socket.socket(family, socket.SOCK_STREAM) as sock:
            sock.settimeout(30)
            with pytest.raises(ConnectionRefusedError):
                sock.connect((HOST[version], 9))
