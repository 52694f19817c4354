# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections to and from a container live, and new ones come, while policies are applied."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.hpc.ports.tests.support.availability import CLIENT, NODES, RATE, Way, applied_meanwhile
from ansible_collections.hpc.ports.tests.support.machine import Machine
from ansible_collections.hpc.ports.tests.support.namespaces import HOST, Space
from ansible_collections.hpc.ports.tests.support.published import CONTAINER, with_container
from ansible_collections.hpc.ports.tests.support.run import examples
from ansible_collections.hpc.ports.tests.support.samples import ANYWHERE, SSH, policy

# The container reaches others, and they reach it, by these flows.
KEPT = (
    SSH,
    ("in", "served", ["6000/tcp"], ("10.64.0.0/16",)),
    ("out", "used", ["22/tcp", "6000/tcp"], ("10.64.0.0/16",)),
)
FILTERED = (("back*",), ("back0", "docker*"), ("back*", "br-*"), ())
# The peer answers the container, whose ports 22 and 6000 are those of the host.
ROUTE = f"ip route add {CONTAINER[4]}/32 via {HOST[4]}\n"
PUBLISHED = (
    "table ip nat { chain pre { type nat hook prerouting priority dstnat; "
    f"ip daddr {HOST[4]} tcp dport {{ 22, 6000 }} dnat to {CONTAINER[4]}; }}; }}"
)


@pytest.fixture
def inside(machine: Machine) -> Iterator[Space]:
    """A container of the host, which publishes its ports."""
    with with_container(machine.pair) as found:
        machine.pair.peer.arrange(ROUTE)
        machine.nft(PUBLISHED)
        yield found


def unconcerned_policies(count: int) -> list[dict[str, Any]]:
    """Return policies, each other than the one before, of which none touches the flows of the container.

    Egress, the chains for forwarded packets, and the ports and peers of other flows come and go.
    """
    randomness = random.Random(0)
    found: list[dict[str, Any]] = []
    for number in range(count):
        peers = NODES[: 10 + number % 20]
        rules = [*KEPT, ("in", "nfs", ["2049/tcp"], peers)]
        rules += [("in", "web", ["6000-6010/tcp"], ANYWHERE)] * randomness.randrange(2)
        rules += [("out", "data", [f"{1024 + number}-7000/tcp"], peers)] * randomness.randrange(2)
        filtered = randomness.choice(FILTERED)
        found.append(
            policy(
                *rules,
                egress=randomness.choice(("open", "restricted")),
                interfaces=("ib0",) * randomness.randrange(2),
                containers=("veth*",) * randomness.randrange(2),
                filtered=filtered,
            )
        )
    return found


@pytest.mark.parametrize("is_inward", [True, False], ids=["published", "egress"])
def test_no_connection_of_a_container_is_lost_through_applies_that_do_not_concern_it(
    machine: Machine, inside: Space, is_inward: bool
) -> None:
    """300 of them in a full run."""
    peer = machine.pair.peer
    way = Way(peer, inside, (CLIENT, HOST[4]), ("10.64.1.{}", HOST[4]))
    if not is_inward:
        way = Way(inside, peer, (CONTAINER[4], "10.64.0.9"), (CONTAINER[4], "10.64.1.{}"))
    steps = [{**data, "addresses": [HOST[4]]} for data in unconcerned_policies(examples(100, least=15))]
    machine.apply({**policy(*KEPT, egress="restricted", filtered=FILTERED[0]), "addresses": [HOST[4]]})
    found = applied_meanwhile(machine, steps, RATE, way=way)
    assert (found.lost, found.of_living) == (0, [0, 0])
    assert found.connections >= len(steps)
    assert not machine.apply(steps[-1])["changed"]
