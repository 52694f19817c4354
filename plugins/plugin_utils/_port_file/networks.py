# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parse, compare and collapse networks, IPv4 and IPv6."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from functools import cache

from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import shown_value

with suppress(ImportError):  # `missing_library` reports a missing netaddr
    from netaddr import INET_PTON, AddrFormatError, IPAddress, IPNetwork, IPSet, cidr_merge, iprange_to_cidrs

# No other host has these addresses: unspecified, loopback, multicast and broadcast.
_NO_HOSTS = ("0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/4", "255.255.255.255/32", "::/128", "::1/128", "ff00::/8")
# The shortest prefixes of a network that counts as named, by IP version. Wider ones are nearly the whole internet.
PLATFORM_PREFIX = {4: 8, 6: 16}


def parse_network(text: object) -> IPNetwork:
    """Return the network for `10.0.0.0/8`, `fd00::/64` or a single address. Raises ValueError, worded for users."""
    if not isinstance(text, str):
        raise ValueError(f"got {shown_value(text)}, expected a network such as '10.20.0.0/16' or 'fd00:20::/64'")
    address, slash, length = text.partition("/")
    ip = parse_address(address, got=text, expected="an IPv4 or IPv6 network, such as '10.20.0.0/16' or 'fd00:20::/64'")
    bits = address_bits(ip)
    if slash and not (length.isascii() and length.isdigit() and len(length) <= 3 and int(length) <= bits):
        raise ValueError(f"got {shown_value(text)}, expected a prefix length from 0 to {bits} after the slash")
    network = IPNetwork((ip.value, int(length) if slash else bits), version=ip.version)
    if network.ip != network.network:
        raise ValueError(f"got {shown_value(text)}, expected a network without host bits, such as '{network.cidr}'")
    return network


def parse_address(text: object, got: object = None, expected: str = "an IPv4 or IPv6 address") -> IPAddress:
    """Return the address. Raises ValueError, which shows `got` (default: `text`) and says what was `expected`."""
    got = text if got is None else got
    try:
        ip = IPAddress(text, flags=INET_PTON) if isinstance(text, str) else None
    except (AddrFormatError, ValueError):
        ip = None
    if ip is None:
        raise ValueError(f"got {shown_value(got)}, expected {expected}")
    if ip.is_ipv4_mapped():
        raise ValueError(f"got {shown_value(got)}, expected the plain IPv4 address, '{ip.ipv4()}'")
    return ip


def is_address(text: str) -> bool:
    """Return whether the text is an address, not a name."""
    try:
        parse_address(text)
    except ValueError:
        return False
    return True


def is_loopback(text: str) -> bool:
    """Return whether a name or an address is the host itself. SSH tunnels also end there."""
    return text == "localhost" or is_address(text) and parse_address(text).is_loopback()


def is_reachable(ip: IPAddress) -> bool:
    """Return whether another host can have the address: it is not unspecified, loopback, multicast or broadcast."""
    return has_hosts(single(ip))


def has_hosts(network: IPNetwork) -> bool:
    """Return whether hosts can be in a network: it is not wholly unspecified, loopback, multicast or broadcast."""
    return not any(network in other for other in _no_hosts())


def is_nearly_all(network: IPNetwork) -> bool:
    """Return whether a network is nearly the whole internet. Link-local addresses reach no further than one link."""
    return network.prefixlen < PLATFORM_PREFIX[network.version] and not network.is_link_local()


@cache
def _no_hosts() -> tuple[IPNetwork, ...]:
    return tuple(map(IPNetwork, _NO_HOSTS))


def address_bits(ip: IPAddress) -> int:
    """Return 32 or 128, the prefix length of a single address."""
    return 32 if ip.version == 4 else 128


def collapsed(networks: Iterable[IPNetwork]) -> tuple[str, ...]:
    """Return the smallest list of prefixes that covers exactly these networks, sorted, IPv4 first."""
    return tuple(str(network) for network in cidr_merge(list(networks)))


def subtracted(networks: Iterable[IPNetwork], excepted: Iterable[IPNetwork]) -> list[IPNetwork]:
    """Return the addresses of `networks` that are in none of `excepted`, as the fewest networks."""
    return list((IPSet(networks) - IPSet(excepted)).iter_cidrs())


def networks_between(first: str, last: str) -> list[IPNetwork]:
    """Return the fewest networks that cover the addresses from first to last. Empty if they are not a range."""
    with suppress(ValueError):
        start, end = parse_address(first), parse_address(last)
        if start.version == end.version and start <= end:
            return list(iprange_to_cidrs(start, end))
    return []


def single(address: IPAddress) -> IPNetwork:
    """Return the network that contains only this address."""
    return IPNetwork((address.value, address_bits(address)), version=address.version)
