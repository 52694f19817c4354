# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The addresses of a host, from sample answers of a kernel."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Callable, Iterator

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._linux.netlink import FAMILIES, attribute
from ansible_collections.hpc.ports.plugins.module_utils._linux.own_addresses import (
    container_networks,
    own_addresses,
    shared_interfaces,
)

UP, DOWN = 0x1043, 0x1002
LINK_LOCAL_SCOPE = 253
SECONDARY_OR_TEMPORARY, DAD_FAILED, DEPRECATED, TENTATIVE, PERMANENT = 0x01, 0x08, 0x20, 0x40, 0x80


def link(index: int, name: str, kind: str = "", master: int = 0, flags: int = UP) -> bytes:
    info = attribute(18, attribute(1, kind.encode() + b"\0")) if kind else b""
    port_of = attribute(10, struct.pack("=I", master)) if master else b""
    return struct.pack("=BBHiII", 0, 0, 1, index, flags, 0) + attribute(3, name.encode() + b"\0") + port_of + info


def address(
    index: int, text: str, flags: int = PERMANENT, scope: int = 0, short: bool = False, peer: str = ""
) -> bytes:
    """An address; `short` has the flags as kernels before 3.14 send them."""
    ip = ipaddress.ip_address(text)
    head = struct.pack("=BBBBI", FAMILIES[ip.version], 24, flags & 0xFF if short else 0, scope, index)
    local = attribute(2, ip.packed) if ip.version == 4 else b""
    shown = ipaddress.ip_address(peer).packed if peer else ip.packed
    return head + attribute(1, shown) + local + (b"" if short else attribute(8, struct.pack("=I", flags)))


def asked(links: list[bytes], addresses: list[bytes]) -> Callable[[int, int, int, bytes], Iterator[bytes]]:
    def kernel(protocol: int, kind: int, amount: int, body: bytes) -> Iterator[bytes]:
        assert (protocol, amount, len(body)) == (0, 0x300, {18: 16, 22: 8}[kind])
        yield from {18: links, 22: addresses}[kind]

    return kernel


def found(links: list[bytes], addresses: list[bytes], *trusted: str) -> list[str]:
    return [f"{item.address} on {item.interface}" for item in own_addresses(trusted, asked(links, addresses))]


LINKS = [link(1, "lo", flags=UP), link(2, "eth0"), link(3, "ib0")]


def test_every_address_with_its_interface() -> None:
    assert found(
        LINKS,
        [
            address(3, "10.2.0.1"),
            address(2, "10.1.0.2"),
            address(2, "10.1.0.1"),
            address(2, "fd01::1"),
            address(2, "10.1.0.3", short=True),
            address(3, "10.2.0.1"),
            address(9, "10.9.0.1"),
        ],
    ) == ["10.1.0.1 on eth0", "10.1.0.2 on eth0", "10.1.0.3 on eth0", "fd01::1 on eth0", "10.2.0.1 on ib0"]


def test_the_local_end_of_a_point_to_point_link_counts() -> None:
    assert found(LINKS, [address(2, "10.1.0.1", peer="10.1.0.9")]) == ["10.1.0.1 on eth0"]


@pytest.mark.parametrize("short", [True, False])
@pytest.mark.parametrize(
    "text, flags, is_told",
    [
        ("fd01::1", SECONDARY_OR_TEMPORARY, False),
        ("10.1.0.1", SECONDARY_OR_TEMPORARY, True),
        ("fd01::1", PERMANENT | TENTATIVE, False),
        ("fd01::1", DEPRECATED, False),
        ("fd01::1", DAD_FAILED, False),
        ("fd01::1", 0, True),
    ],
)
def test_temporary_and_tentative_addresses_are_left_out(text: str, flags: int, is_told: bool, short: bool) -> None:
    assert bool(found(LINKS, [address(2, text, flags, short=short)])) is is_told


@pytest.mark.parametrize(
    "text, scope",
    [
        ("127.0.0.1", 254),
        ("127.0.0.2", 0),
        ("::1", 254),
        ("fe80::1", LINK_LOCAL_SCOPE),
        ("fe80::1", 0),
        ("169.254.0.1", LINK_LOCAL_SCOPE),
        ("169.254.0.1", 0),
        ("10.1.0.1", LINK_LOCAL_SCOPE),
    ],
)
def test_unreachable_addresses_are_left_out(text: str, scope: int) -> None:
    assert found(LINKS, [address(2, text, scope=scope)]) == []


@pytest.mark.parametrize(
    "links, is_told",
    [
        ([link(2, "eth0", flags=DOWN)], False),
        ([link(2, "eth0", "veth")], True),  # the host is a container itself
        ([link(2, "bond0", "bond")], True),
        ([link(2, "eth0.5", "vlan")], True),
        ([link(2, "wg0", "wireguard")], True),
        ([link(2, "overlay", "vxlan")], False),
        ([link(2, "overlay", "geneve")], False),
        ([link(2, "pods", "ipip")], False),
        ([link(2, "any", "bridge")], False),
        ([link(2, "any", "bridge"), link(5, "guest", "veth", 2), link(6, "tap0", "tun", 2)], False),
        ([link(2, "any", "bridge"), link(5, "guest", "veth", 2), link(6, "eth0", master=2)], True),
        ([link(2, "any", "bridge"), link(6, "eth0", master=7)], False),
        *(
            [
                ([link(2, name)], False)
                for name in (
                    "veth1a2b",
                    "docker0",
                    "br-0a1b2c3d4e5f",
                    "podman1",
                    "cni0",
                    "virbr0",
                    "flannel.1",
                    "cali123",
                    "tunl0",
                    "vxlan.calico",
                    "cilium_host",
                    "lxc1",
                    "kube-ipvs0",
                    "nodelocaldns",
                )
            ]
        ),
        ([link(2, "br-site")], True),
        ([link(2, "br0")], True),
        ([link(2, "eno1")], True),
    ],
)
def test_interfaces_of_containers_and_guests_are_left_out(links: list[bytes], is_told: bool) -> None:
    assert bool(found(links, [address(2, "10.1.0.1")])) is is_told


def test_trusted_interfaces_are_left_out() -> None:
    addresses = [address(2, "10.1.0.1"), address(3, "10.2.0.1")]
    assert found(LINKS, addresses, "ib0") == found(LINKS, addresses, "ib*") == ["10.1.0.1 on eth0"]


# ---- containers

GUESTS = [
    link(1, "lo", flags=UP),
    link(2, "docker0", "bridge"),
    link(3, "veth1", "veth", 2),
    link(4, "br-lan", "bridge"),
    link(5, "eth1", master=4),
    link(6, "br-0a1b2c3d4e5f", "bridge"),
    link(7, "eth0"),
    link(8, "cali1", "veth"),
    link(9, "br-wan", "bond"),
]
NETWORKS = [
    address(2, "172.17.0.1"),
    address(2, "fd00:17::1", TENTATIVE),
    address(2, "fe80::1"),
    address(4, "10.1.0.1"),
    address(6, "172.18.0.1"),
    address(7, "10.2.0.1"),
    address(8, "10.244.0.1"),
]


def test_networks_of_interfaces_that_lead_only_to_containers() -> None:
    kernel = asked(GUESTS, NETWORKS)
    assert list(map(str, container_networks(["docker*", "br-*"], kernel))) == [
        "172.17.0.0/24",
        "172.18.0.0/24",
        "fd00::/24",
    ]
    assert list(map(str, container_networks(["cali*"], kernel))) == ["10.244.0.0/24"]
    assert container_networks([], kernel) == container_networks(["eth*"], kernel) == ()
    assert shared_interfaces(["docker*", "br-*", "cali*"], kernel) == ["br-lan", "br-wan"]
    assert shared_interfaces([], kernel) == []
