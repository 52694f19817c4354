# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks in a sentence."""

from __future__ import annotations

import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.networks import collapsed
from ansible_collections.hpc.ports.plugins.plugin_utils._report.networks import blocks_of, networks_text
from hypothesis import given
from hypothesis import strategies as st
from netaddr import IPNetwork, IPSet


def without(network: str, *excepted: str) -> list[str]:
    return [str(part) for part in (IPSet([network]) - IPSet(excepted)).iter_cidrs()]


@pytest.mark.parametrize(
    ("networks", "text"),
    [
        ([], ""),
        (["10.0.0.0/18"], "10.0.0.0/18"),
        (["10.0.0.0/18", "fd00::/64"], "10.0.0.0/18, fd00::/64"),
        (["10.0.0.0/24", "10.0.3.0/24"], "10.0.0.0/24, 10.0.3.0/24"),
        (["10.0.0.0/25", "10.0.0.128/26"], "10.0.0.0/25, 10.0.0.128/26"),
        (without("10.0.0.0/18", "10.0.9.7/32"), "10.0.0.0/18 except 10.0.9.7/32"),
        (without("10.0.0.0/18", "10.0.9.7/32", "10.0.0.0/24"), "10.0.0.0/18 except 10.0.0.0/24, 10.0.9.7/32"),
        (["192.0.2.0/24", *without("10.0.0.0/18", "10.0.9.7/32")], "10.0.0.0/18 except 10.0.9.7/32; 192.0.2.0/24"),
        (without("0.0.0.0/0", "10.0.0.0/8"), "0.0.0.0/0 except 10.0.0.0/8"),
        (without("fd00::/48", "fd00::5/128"), "fd00::/48 except fd00::5/128"),
        (
            without("10.0.0.0/18", *(f"10.0.{number}.1/32" for number in range(9))),
            "10.0.0.0/18 except 10.0.0.1/32, 10.0.1.1/32, 10.0.2.1/32 and 6 more",
        ),
        (["10.0.0.0/25", "nowhere", "10.0.0.128/25", "?"], "10.0.0.0/25, nowhere, 10.0.0.128/25 and 1 more"),
        ([f"10.{number}.0.0/24" for number in range(5)], "10.0.0.0/24, 10.1.0.0/24, 10.2.0.0/24 and 2 more"),
    ],
)
def test_a_network_without_some_addresses_is_named_with_them(networks: list[str], text: str) -> None:
    assert networks_text(networks, 3) == text


NETWORKS = st.builds(
    lambda base, number, length: IPNetwork(f"{base}{number}/{length}").cidr,
    *(st.just("10.0.0."), st.integers(0, 255), st.integers(24, 32)),
)


@given(st.lists(NETWORKS, max_size=12), st.booleans())
def test_blocks_have_exactly_the_networks_and_name_no_more(networks: list[IPNetwork], is_rest: bool) -> None:
    wanted = IPSet(["10.0.0.0/22"]) - IPSet(networks) if is_rest else IPSet(networks)
    texts = [str(network) for network in wanted.iter_cidrs()]
    blocks = blocks_of(texts)
    found = [IPSet([str(block.network)]) - IPSet(map(str, block.excepted)) for block in blocks]
    together = IPSet([network for part in found for network in part.iter_cidrs()])
    assert (together, sum(part.size for part in found)) == (wanted, wanted.size)
    assert sum(1 + len(block.excepted) for block in blocks) <= len(texts)
    assert collapsed(wanted.iter_cidrs()) == tuple(texts)
