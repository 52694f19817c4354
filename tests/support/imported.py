# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read of the rules of other firewall programs, against what the kernel does with real packets."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from ansible_collections.hpc.ports.plugins.plugin_utils._draft.regions import Region
from ansible_collections.hpc.ports.tests.support.namespaces import HOST, forget_connections
from ansible_collections.hpc.ports.tests.support.packets import Opening, Wires
from hypothesis import event

SOURCES = ("10.64.0.1", "10.64.0.2", "10.64.0.5", "10.64.1.1", "10.65.0.1")
PORTS = (1, 21, 22, 23, 79, 80, 81, 442, 443, 8080, 65535)


def is_accepted(regions: Sequence[Region], source: str, protocol: str, port: int) -> bool:
    return any(source in region.sources and any(p.covers(protocol, port) for p in region.ports) for region in regions)


def check(wires: Wires, regions: Sequence[Region]) -> None:
    """See that exactly what is read as accepted passes. Call it in the namespace of the host."""
    numbered = enumerate(product(SOURCES, ("tcp", "udp"), PORTS), 20000)
    sent = {
        Opening(protocol, source, HOST[4], port, number): is_accepted(regions, source, protocol, port)
        for number, (source, protocol, port) in numbered
    }
    forget_connections()
    answered = wires.inward.answered(list(sent))
    assert {packet for packet in sent if sent[packet] != (packet in answered)} == set()
    event(f"{sum(sent.values())} of {len(sent)} pass")
