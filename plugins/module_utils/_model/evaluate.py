# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a policy does with a packet that opens a connection. The lockout guard, verify and the tests all use this.

Packets of an established connection always pass, so they are not judged here.
"""

from __future__ import annotations

import ipaddress
from typing import NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._model.policy import (
    SERVED_TO_CONTAINERS,
    Network,
    Policy,
    Rule,
    dhcp_answers,
    is_named,
)
from ansible_collections.hpc.ports.plugins.module_utils._model.ports import ALWAYS_ACCEPTED


class Packet(NamedTuple):
    """The first packet of a connection as the host sees it; `peer` is the address of the other side, as text.

    `port` is the destination port, or with protocol `ip` the IP protocol number.
    """

    direction: str
    protocol: str
    peer: str
    port: int
    source_port: int = 49152
    interface: str = "eth0"


class ForwardedPacket(NamedTuple):
    """The first packet of a connection that the host forwards, after NAT; `peer` is the address that it goes to."""

    protocol: str
    peer: str
    port: int
    from_interface: str
    to_interface: str


class Judgement(NamedTuple):
    """Whether the packet passes, and why: `flow NAME`, `loopback`, …, or `no flow`."""

    passes: bool
    reason: str


def evaluate(policy: Policy, packet: Packet) -> Judgement:
    """Return what the policy does with the packet; in observe mode all packets pass, and the reason is the same."""
    if packet.interface == "lo":
        return Judgement(True, "loopback")
    if is_named(packet.interface, policy.trusted_interfaces):
        return Judgement(True, "trusted interface")
    if packet.direction == "out" and is_named(packet.interface, policy.container_interfaces):
        return Judgement(True, "container interface")
    if packet.direction == "out" and policy.egress == "open":
        return Judgement(True, "open egress")
    if _is_always_accepted(packet) or _is_dhcp_answer(policy, packet):
        return Judgement(True, "always accepted")
    peer = ipaddress.ip_network(packet.peer)
    for rule in policy.rules:
        if rule.direction == packet.direction and covers_port(rule, packet) and _is_peer(rule, peer):
            return Judgement(True, "flow " + rule.flow)
    if _is_for_container(policy, packet):
        return Judgement(True, "container interface")
    return Judgement(policy.mode == "observe", "no flow")


def evaluate_forwarded(policy: Policy, packet: ForwardedPacket) -> Judgement:
    """Return what the policy does with a packet that the host forwards and whose target NAT does not change.

    NAT changes the target of packets to published ports, which are judged as they arrive, by `evaluate`.
    """
    interfaces = (packet.from_interface, packet.to_interface)
    from_container, to_container = (is_named(name, policy.filtered_containers) for name in interfaces)
    if not from_container and not to_container:
        return Judgement(True, "not filtered")
    if any(is_named(name, policy.trusted_interfaces) for name in interfaces):
        return Judgement(True, "trusted interface")
    if all(is_named(name, policy.interfaces_of_containers) for name in interfaces):
        return Judgement(True, "container interface")
    if from_container:
        return evaluate(policy, Packet("out", packet.protocol, packet.peer, packet.port, interface=packet.to_interface))
    return Judgement(policy.mode == "observe", "no flow")


def covers_port(rule: Rule, packet: Packet) -> bool:
    """Return whether the packet goes to one of the ports of the rule."""
    return any(ports.covers(packet.protocol, packet.port) for ports in rule.ports)


def _is_always_accepted(packet: Packet) -> bool:
    if packet.protocol == "ip":
        return packet.port in ALWAYS_ACCEPTED
    return packet.protocol == "udp" and _is_dhcp_client(packet)


def _is_for_container(policy: Policy, packet: Packet) -> bool:
    """Return whether a container asks its host for a name or an address."""
    asks = packet.direction == "in" and (packet.protocol, packet.port) in SERVED_TO_CONTAINERS
    return asks and is_named(packet.interface, policy.interfaces_of_containers)


def _is_dhcp_client(packet: Packet) -> bool:
    """Return whether the packet belongs to a DHCP client of this host.

    RFC 2131: port 68 to and from 67. RFC 8415: port 546 to and from 547; servers answer from a link-local address.
    """
    inward = packet.direction == "in"
    ports = (packet.source_port, packet.port)
    peer = ipaddress.ip_address(packet.peer)
    if peer.version == 4:
        return ports == ((67, 68) if inward else (68, 67))
    return (peer.is_link_local and packet.port == 546) if inward else ports == (546, 547)


def _is_dhcp_answer(policy: Policy, packet: Packet) -> bool:
    if (packet.direction, packet.protocol) != ("out", "udp"):
        return False
    answer = (ipaddress.ip_address(packet.peer).version, packet.source_port, packet.port)
    return answer[1:] in ((67, 68), (547, 546)) and answer in dhcp_answers(policy)


def _is_peer(rule: Rule, peer: Network) -> bool:
    return any(network.version == peer.version and peer.subnet_of(network) for network in rule.peers)  # type: ignore[arg-type]
