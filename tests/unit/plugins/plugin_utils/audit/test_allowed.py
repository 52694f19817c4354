# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whom a policy lets connect, for many peers at once: as `evaluate` says of each."""

from __future__ import annotations

import random
from ipaddress import ip_address

from ansible_collections.hpc.ports.plugins.module_utils._model.evaluate import evaluate
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import Policy
from ansible_collections.hpc.ports.plugins.plugin_utils._audit.allowed import peers_of
from ansible_collections.hpc.ports.tests.support.platforms import packets_at_edges, policies, special_packets
from hypothesis import given, settings
from hypothesis import strategies as st


@settings(deadline=None)
@given(policies(), st.integers(0, 2**32))
def test_it_agrees_with_evaluate(platform: list[Policy], seed: int) -> None:
    randomness = random.Random(seed)
    for policy in (policy._replace(mode="enforce") for policy in platform):
        for direction in ("in", "out"):
            packets = [*special_packets(direction), *packets_at_edges(policy, direction, randomness, 100)]
            for packet in (packet._replace(interface="", source_port=49152) for packet in packets):
                peer = ip_address(packet.peer)
                found = peers_of(policy, direction, packet.protocol, packet.port).have(peer.version, int(peer))
                if evaluate(policy, packet).reason != "always accepted" or packet.protocol == "ip":
                    assert found == evaluate(policy, packet).passes, packet
