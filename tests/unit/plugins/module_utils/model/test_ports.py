# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports and port ranges: parsing, joining and subtraction."""

from __future__ import annotations

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._model.ports import (
    ALWAYS_ACCEPTED,
    EVERYTHING,
    PortRange,
    common_ports,
    merged,
    parse_policy_ports,
    parse_ports,
    without,
)
from hypothesis import given
from hypothesis import strategies as st

FORM = "expected PORT/PROTOCOL or FIRST-LAST/PROTOCOL, such as '22/tcp' or '8192-60000/tcp'"
# IP protocols that no range has.
WITHOUT = {*ALWAYS_ACCEPTED, 6, 17}
PORTS = st.integers(1, 20)
RANGES = st.one_of(
    st.builds(
        lambda protocol, ends: PortRange(protocol, min(ends), max(ends)),
        st.sampled_from(["tcp", "udp"]),
        st.tuples(PORTS, PORTS),
    ),
    st.builds(lambda ends: PortRange("ip", min(ends), max(ends)), st.tuples(PORTS, PORTS)),
)
LISTS = st.lists(RANGES, max_size=8)


def numbers(ranges: list[PortRange]) -> set[tuple[str, int]]:
    return {(item.protocol, port) for item in ranges for port in range(item.first, item.last + 1)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("22/tcp", PortRange("tcp", 22, 22)),
        ("1/udp", PortRange("udp", 1, 1)),
        ("65535/tcp", PortRange("tcp", 65535, 65535)),
        ("8192-60000/tcp", PortRange("tcp", 8192, 60000)),
        ("22-22/tcp", PortRange("tcp", 22, 22)),
        ("112/ip", PortRange("ip", 112, 112)),
        ("3-5/ip", PortRange("ip", 3, 5)),
        ("0/ip", PortRange("ip", 0, 0)),
        ("255/ip", PortRange("ip", 255, 255)),
    ],
)
def test_parse_ports(text: str, expected: PortRange) -> None:
    assert parse_ports(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0/tcp", "got '0/tcp', expected ports from 1 to 65535"),
        ("65536/tcp", "got '65536/tcp', expected ports from 1 to 65535"),
        ("1-65536/udp", "got '1-65536/udp', expected ports from 1 to 65535"),
        ("0-22/tcp", "got '0-22/tcp', expected ports from 1 to 65535"),
        ("30-20/tcp", "got '30-20/tcp', expected the lower port first, such as '20-30/tcp'"),
        ("22/sctp", "got '22/sctp', expected one of the protocols tcp, udp, ip"),
        ("22-", f"got '22-', {FORM}"),
        ("22-/tcp", f"got '22-/tcp', {FORM}"),
        ("-22/tcp", f"got '-22/tcp', {FORM}"),
        ("30-20", f"got '30-20', {FORM}"),
        ("ssh", f"got 'ssh', {FORM}"),
        ("22", f"got '22', {FORM}"),
        (22, f"got 22, {FORM}"),
        (None, f"got None, {FORM}"),
        ("", f"got '', {FORM}"),
        ("22/tcp ", f"got '22/tcp ', {FORM}"),
        ("22/tcp\n", f"got '22/tcp\\n', {FORM}"),
        ("22/TCP", f"got '22/TCP', {FORM}"),
        ("٢٢/tcp", f"got '٢٢/tcp', {FORM}"),
        ("1000000/tcp", f"got '1000000/tcp', {FORM}"),
        ("256/ip", "got '256/ip', expected IP protocol numbers from 0 to 255, such as '112/ip'"),
        ("5-4/ip", "got '5-4/ip', expected IP protocol numbers from 0 to 255, such as '112/ip'"),
        ("3-7/ip", "got '3-7/ip', expected an IP protocol other than ICMP, IGMP, TCP, UDP and ICMPv6"),
        ("1/ip", "got '1/ip', expected an IP protocol other than ICMP, IGMP, TCP, UDP and ICMPv6"),
        ("2/ip", "got '2/ip', expected an IP protocol other than ICMP, IGMP, TCP, UDP and ICMPv6"),
        ("6/ip", "got '6/ip', expected an IP protocol other than ICMP, IGMP, TCP, UDP and ICMPv6"),
        ("17/ip", "got '17/ip', expected an IP protocol other than ICMP, IGMP, TCP, UDP and ICMPv6"),
        ("58/ip", "got '58/ip', expected an IP protocol other than ICMP, IGMP, TCP, UDP and ICMPv6"),
    ],
)
def test_parse_ports_says_what_was_expected(text: object, message: str) -> None:
    with pytest.raises(ValueError) as error:
        parse_ports(text)
    assert str(error.value) == message


@given(RANGES.filter(lambda item: item.protocol != "ip" or not {*range(item.first, item.last + 1)} & WITHOUT))
def test_a_range_survives_a_round_trip(item: PortRange) -> None:
    assert parse_ports(str(item)) == item


def test_everything_is_all_ports_and_all_ip_protocols_without_ports() -> None:
    assert texts(list(EVERYTHING)) == "0/ip 3-5/ip 7-16/ip 18-57/ip 59-255/ip 0-65535/tcp 0-65535/udp"
    assert [parse_policy_ports(str(ports)) for ports in EVERYTHING] == list(EVERYTHING) == merged(EVERYTHING)
    assert numbers([ports for ports in EVERYTHING if ports.protocol == "ip"]) == {
        ("ip", number) for number in range(256) if number not in WITHOUT
    }


@pytest.mark.parametrize(
    ("text", "expected"), [("22/tcp", ["22"]), ("1-9/udp", ["1-9"]), ("4/ip", ["4"]), ("3-5/ip", ["3", "4", "5"])]
)
def test_firewall_programs_know_ip_protocols_by_single_numbers(text: str, expected: list[str]) -> None:
    assert list(parse_ports(text).numbers()) == expected


def texts(ranges: list[PortRange]) -> str:
    return " ".join(map(str, ranges))


def parsed(text: str) -> list[PortRange]:
    return [parse_ports(word) for word in text.split()]


@pytest.mark.parametrize(
    ("ranges", "expected"),
    [
        ("", ""),
        ("3-4/tcp 1-2/tcp", "1-4/tcp"),
        ("1-2/tcp 4-5/tcp", "1-2/tcp 4-5/tcp"),
        ("1-9/tcp 3-4/tcp 9-10/tcp", "1-10/tcp"),
        ("1/tcp 2/udp", "1/tcp 2/udp"),
        ("4/ip 3/ip 4/ip", "3-4/ip"),
    ],
)
def test_merged(ranges: str, expected: str) -> None:
    assert texts(merged(parsed(ranges))) == expected


@pytest.mark.parametrize(
    ("ranges", "taken", "expected"),
    [
        ("1-9/tcp", "", "1-9/tcp"),
        ("1-9/tcp", "3/tcp 5-6/tcp", "1-2/tcp 4/tcp 7-9/tcp"),
        ("1-9/tcp", "1/tcp 9/tcp", "2-8/tcp"),
        ("3-9/tcp", "1-3/tcp 9-12/tcp", "4-8/tcp"),
        ("3-9/tcp", "1-12/tcp", ""),
        ("3-9/tcp", "3-9/udp 1-2/tcp 10/tcp", "3-9/tcp"),
        ("3/ip 4/ip", "3/ip", "4/ip"),
    ],
)
def test_without(ranges: str, taken: str, expected: str) -> None:
    assert texts(without(parsed(ranges), parsed(taken))) == expected


@given(LISTS)
def test_merged_has_the_same_ports(ranges: list[PortRange]) -> None:
    assert numbers(merged(ranges)) == numbers(ranges)


@given(LISTS)
def test_merged_is_the_fewest_ranges(ranges: list[PortRange]) -> None:
    result = merged(ranges)
    assert result == sorted(result)
    for item, after in zip(result, result[1:]):
        gap = after.first - item.last
        assert item.protocol != after.protocol or gap > 1


@given(LISTS, LISTS)
def test_without_is_the_difference(ranges: list[PortRange], taken: list[PortRange]) -> None:
    result = without(ranges, taken)
    assert numbers(result) == numbers(ranges) - numbers(taken)
    assert result == merged(result)


@given(LISTS, LISTS)
def test_common_ports_are_in_both(ranges: list[PortRange], others: list[PortRange]) -> None:
    result = common_ports(ranges, others)
    assert numbers(result) == numbers(ranges) & numbers(others)
    assert result == merged(result)


@given(RANGES, st.sampled_from(["tcp", "udp", "ip"]), PORTS)
def test_a_range_covers_its_ports(ports: PortRange, protocol: str, port: int) -> None:
    assert ports.covers(protocol, port) == ((protocol, port) in numbers([ports]))
