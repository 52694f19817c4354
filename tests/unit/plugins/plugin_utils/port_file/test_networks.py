# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of networks and addresses."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network

import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.networks import (
    address_bits,
    collapsed,
    has_hosts,
    is_reachable,
    parse_address,
    parse_network,
)
from hypothesis import given
from hypothesis import strategies as st
from netaddr import IPAddress, IPNetwork

NETWORK = "expected an IPv4 or IPv6 network, such as '10.20.0.0/16' or 'fd00:20::/64'"
ADDRESS = "expected an IPv4 or IPv6 address"
BASES = {4: (0x0A000000, 32), 6: (0xFD << 120, 128)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.20.0.0/16", "10.20.0.0/16"),
        ("10.20.0.1", "10.20.0.1/32"),
        ("10.20.0.1/32", "10.20.0.1/32"),
        ("fd00::1/128", "fd00::1/128"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("fd00:20::/64", "fd00:20::/64"),
        ("FD00:0:0::1", "fd00::1/128"),
        ("::/0", "::/0"),
    ],
)
def test_parse_network(text: str, expected: str) -> None:
    assert str(parse_network(text)) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("10.0.0.1/8", "got '10.0.0.1/8', expected a network without host bits, such as '10.0.0.0/8'"),
        ("fd00::1/64", "got 'fd00::1/64', expected a network without host bits, such as 'fd00::/64'"),
        ("10.0.0.0/33", "got '10.0.0.0/33', expected a prefix length from 0 to 32 after the slash"),
        ("fd00::/129", "got 'fd00::/129', expected a prefix length from 0 to 128 after the slash"),
        ("10.0.0.0/255.0.0.0", "got '10.0.0.0/255.0.0.0', expected a prefix length from 0 to 32 after the slash"),
        ("10.0.0.0/", "got '10.0.0.0/', expected a prefix length from 0 to 32 after the slash"),
        ("10.0.0.0/-1", "got '10.0.0.0/-1', expected a prefix length from 0 to 32 after the slash"),
        ("10.0.0.0/8/8", "got '10.0.0.0/8/8', expected a prefix length from 0 to 32 after the slash"),
        ("10.0.0.0/²", "got '10.0.0.0/²', expected a prefix length from 0 to 32 after the slash"),
        ("10.0.0/8", f"got '10.0.0/8', {NETWORK}"),
        ("10.0.0.256/32", f"got '10.0.0.256/32', {NETWORK}"),
        ("010.0.0.0/8", f"got '010.0.0.0/8', {NETWORK}"),
        ("fd00::zz/64", f"got 'fd00::zz/64', {NETWORK}"),
        ("fd00:::/64", f"got 'fd00:::/64', {NETWORK}"),
        ("fe80::1%eth0/128", f"got 'fe80::1%eth0/128', {NETWORK}"),
        (" 10.0.0.0/8", f"got ' 10.0.0.0/8', {NETWORK}"),
        ("example.org", f"got 'example.org', {NETWORK}"),
        ("", f"got '', {NETWORK}"),
        ("::ffff:10.0.0.1", "got '::ffff:10.0.0.1', expected the plain IPv4 address, '10.0.0.1'"),
        (10, "got 10, expected a network such as '10.20.0.0/16' or 'fd00:20::/64'"),
        (None, "got None, expected a network such as '10.20.0.0/16' or 'fd00:20::/64'"),
    ],
)
def test_parse_network_errors(text: object, message: str) -> None:
    with pytest.raises(ValueError) as error:
        parse_network(text)
    assert str(error.value) == message


@pytest.mark.parametrize("text", ["10.0.0.0/8", "10.1", "1", "fd00::g", "", "10.0.0.1 ", "0x7f.1", "127.1"])
def test_parse_address_errors(text: str) -> None:
    with pytest.raises(ValueError) as error:
        parse_address(text)
    assert str(error.value) == f"got {text!r}, {ADDRESS}"


def test_parse_address() -> None:
    assert parse_address("10.0.0.1") == IPAddress("10.0.0.1")
    assert parse_address("fd00:0::1") == IPAddress("fd00::1")


@pytest.mark.parametrize(("text", "expected"), [("10.0.0.1", 32), ("::1", 128)])
def test_address_bits(text: str, expected: int) -> None:
    assert address_bits(IPAddress(text)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.0.1", True),
        ("fd00::1", True),
        ("fe80::1", True),
        ("127.0.0.1", False),
        ("127.9.9.9", False),
        ("::1", False),
        ("0.0.0.0", False),
        ("::", False),
        ("224.0.0.18", False),
        ("ff02::1", False),
        ("255.255.255.255", False),
    ],
)
def test_is_reachable(text: str, expected: bool) -> None:
    assert is_reachable(IPAddress(text)) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.0.0/8", True),
        ("0.0.0.0/0", True),
        ("::/0", True),
        ("240.0.0.0/4", True),
        ("fe80::/10", True),
        ("127.0.0.0/8", False),
        ("127.1.0.0/16", False),
        ("::1/128", False),
        ("224.0.0.0/4", False),
        ("239.1.0.0/16", False),
        ("ff00::/8", False),
        ("255.255.255.255/32", False),
        ("0.0.0.0/32", False),
    ],
)
def test_has_hosts(text: str, expected: bool) -> None:
    assert has_hosts(IPNetwork(text)) is expected


def small(version: int, number: int, length: int) -> IPNetwork:
    """Return a network of up to 16 addresses among the first 32 of a base."""
    base, bits = BASES[version]
    return IPNetwork((base + (number >> length << length), bits - length), version=version)


NETWORKS = st.lists(st.builds(small, st.sampled_from([4, 6]), st.integers(0, 31), st.integers(0, 4)), max_size=12)


def addresses(texts: list[str]) -> set[object]:
    return {address for text in texts for address in ip_network(text)}


@given(NETWORKS)
def test_collapsed_keeps_the_set_of_addresses(networks: list[IPNetwork]) -> None:
    assert addresses(list(collapsed(networks))) == addresses(list(map(str, networks)))


@given(NETWORKS)
def test_collapsed_returns_the_fewest_prefixes_in_order(networks: list[IPNetwork]) -> None:
    result: list[IPv4Network | IPv6Network] = list(map(ip_network, collapsed(networks)))
    assert result == sorted(result, key=lambda item: (item.version, int(item.network_address)))
    for item, after in zip(result, result[1:]):
        if item.version == after.version:
            assert int(item.broadcast_address) < int(after.network_address)
            assert item.prefixlen != after.prefixlen or item.supernet() != after.supernet()


@given(NETWORKS, st.randoms())
def test_collapsed_does_not_depend_on_order_or_repetition(networks: list[IPNetwork], random: object) -> None:
    shuffled = [*networks, *networks[:2]]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert collapsed(shuffled) == collapsed(networks)


def test_two_halves_collapse_to_the_whole_address_space() -> None:
    halves = ["::/1", "128.0.0.0/1", "8000::/1", "0.0.0.0/1"]
    assert collapsed(map(IPNetwork, halves)) == ("0.0.0.0/0", "::/0")
