# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kinds of address: addresses that no policy distinguishes share one."""

from __future__ import annotations

import ipaddress

from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.networks import parse_network
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.address_classes import address_kinds
from hypothesis import given
from hypothesis import strategies as st

ADDRESSES = st.one_of(
    st.integers(0, 15).map(lambda number: f"10.0.0.{number}"),
    st.integers(0, 15).map(lambda number: f"fe80::{number:x}"),
    st.integers(0, 15).map(lambda number: f"fd00::{number:x}"),
)
NETWORKS = st.builds(
    lambda address, bits: str(
        ipaddress.ip_network(f"{address}/{(128 if ':' in address else 32) - bits}", strict=False)
    ),
    ADDRESSES,
    st.sampled_from([0, 1, 2, 3, 32]),
)
POLICIES = st.lists(
    st.dictionaries(st.sampled_from("abcdef"), st.lists(NETWORKS, min_size=1, max_size=3), max_size=3).map(
        lambda networks: {"networks": networks}
    ),
    min_size=1,
    max_size=1,
)


@given(POLICIES, st.lists(ADDRESSES, min_size=1, max_size=8))
def test_addresses_of_a_kind_are_in_the_same_networks(
    policies: list[dict[str, dict[str, list[str]]]], texts: list[str]
) -> None:
    found = address_kinds(
        policies, map(parse_network, texts), [parse_network("10.0.0.0/8"), parse_network("10.0.0.0/30")]
    )
    assert found.numbers.keys() == set(map(parse_network, texts))
    for text in texts:
        address = ipaddress.ip_address(text)
        kind = found.kinds[found.numbers[parse_network(text)]]
        assert kind == (
            address.version,
            address.is_link_local,
            {
                key
                for key, networks in policies[0]["networks"].items()
                if any(address in ipaddress.ip_network(network) for network in networks)
            },
            next((text for text in ("10.0.0.0/30", "10.0.0.0/8") if address in ipaddress.ip_network(text)), ""),
        )
    assert len(set(found.kinds)) == len(found.kinds)


def test_networks_of_one_key_are_the_same_in_all_policies() -> None:
    policies = [{"networks": {"a": ["10.0.0.0/24"]}}, {"networks": {"a": ["10.0.0.0/24"], "b": ["0.0.0.0/0"]}}]
    found = address_kinds(policies, map(parse_network, ["10.0.0.1", "10.0.0.255", "10.1.0.1", "fd00::1"]))
    assert list(found.numbers.values()) == [0, 0, 1, 2]
    assert [kind.networks for kind in found.kinds] == [{"a", "b"}, {"b"}, set()]
