# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host with a container, and the NAT rules that publish ports of the host."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import ip_address
from typing import NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables import kernel
from ansible_collections.hpc.ports.plugins.module_utils._model.evaluate import Packet
from ansible_collections.hpc.ports.tests.support.namespaces import HOST, Pair, Space
from ansible_collections.hpc.ports.tests.support.packets import Opening
from ansible_collections.hpc.ports.tests.support.verdicts import opening_of

CONTAINER = {4: "198.51.100.2", 6: "2001:db8:5::2"}
# Addresses of the host that are not bound there, as of a load balancer.
VIRTUAL = {4: "192.0.2.240", 6: "2001:db8::240"}
FOREIGN = "192.0.2.99"  # an address of nobody, for which the host translates
PORT_INSIDE = 9999
_INSIDE = """
ip link set lo up; ip link set back0 up
ip address add 198.51.100.2/24 dev back0; ip address add 2001:db8:5::2/64 dev back0 nodad
ip route add default via 198.51.100.1; ip route add ::/0 via 2001:db8:5::1
echo 0 > /proc/sys/net/ipv4/icmp_ratemask
echo 2 > /proc/sys/net/ipv6/icmp/ratemask
"""


@contextmanager
def with_container(pair: Pair) -> Iterator[Space]:
    """Have a container on the host, which forwards and has virtual addresses."""
    inside = Space()
    pair.host.arrange(
        f"ip link add back0 type veth peer name back0 netns {inside.pid}\n"
        "ip link set back0 up\n"
        "ip address add 198.51.100.1/24 dev back0; ip address add 2001:db8:5::1/64 dev back0 nodad\n"
        "echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding\n"
    )
    inside.arrange(_INSIDE)
    pair.peer.arrange(
        "".join(
            f"ip neighbour replace {address} lladdr 02:00:00:00:00:01 dev eth0 nud permanent\n"
            for address in (*VIRTUAL.values(), FOREIGN)
        )
    )
    try:
        yield inside
    finally:
        inside.close()


class Publication(NamedTuple):
    """A NAT rule: packets to a port of an address of the host go to a container, or to another port of the host."""

    version: int
    address: str
    protocol: str
    port: int
    is_redirected: bool

    def rule(self) -> str:
        """Return the rule."""
        word = "ip" if self.version == 4 else "ip6"
        inside = CONTAINER[self.version]
        end = f"[{inside}]:{PORT_INSIDE}" if self.version == 6 else f"{inside}:{PORT_INSIDE}"
        target = f"redirect to :{PORT_INSIDE}" if self.is_redirected else f"dnat to {end}"
        return f"add rule {word} nat pre {word} daddr {self.address} {self.protocol} dport {self.port} {target}"


def publish(publications: Sequence[Publication]) -> None:
    """Replace the NAT rules of the host."""
    lines = []
    for word in ("ip", "ip6"):
        lines += [f"add table {word} nat", f"delete table {word} nat", f"add table {word} nat"]
        lines.append(f"add chain {word} nat pre {{ type nat hook prerouting priority dstnat; }}")
    kernel.load("\n".join([*lines, *(publication.rule() for publication in publications)]) + "\n")


def to_address(packet: Packet, virtual: bool) -> Opening:
    """Return the packet as it goes to an address of the host."""
    opening = opening_of(packet)
    return opening._replace(target=(VIRTUAL if virtual else HOST)[ip_address(packet.peer).version])
