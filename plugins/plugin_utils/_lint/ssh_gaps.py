# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find the hosts that Ansible's own ssh cannot reach according to the plan, grouped by the reason."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._model.evaluate import Packet, evaluate
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import MANAGEMENT_FLOW, Policy, parse_policy
from ansible_collections.hpc.ports.plugins.module_utils._model.ports import PortRange, without
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.networks import parse_network

if TYPE_CHECKING:
    from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan
    from ansible_collections.hpc.ports.plugins.plugin_utils._plan.jump_hosts import Leg
    from netaddr import IPNetwork


class ClosedPort(NamedTuple):
    """A port of sshd that hosts do not open to controllers: their `ansible_port`, or the port of a jump host."""

    port: int
    is_jump: bool


class UnacceptedJumpHost(NamedTuple):
    """A jump host, and its addresses from which hosts behind it do not accept ssh."""

    name: str
    addresses: tuple[str, ...]


class ClosedEgress(NamedTuple):
    """A jump host with restricted egress, and the next hop that it may not connect to; without addresses if unknown."""

    jump: str
    name: str
    addresses: tuple[str, ...]
    port: int


@dataclass
class Gaps:
    """The hosts that ssh cannot reach: each method returns sorted hosts by the reason."""

    plan: Plan
    _policies: dict[str, Policy] = field(default_factory=dict)

    def closed_ports(self) -> dict[ClosedPort, list[str]]:
        """Return hosts with an sshd on a port that neither management_ssh nor another flow opens to controllers."""
        return self._hosts_by(
            (ClosedPort(leg.port, leg.is_jump), leg.target)
            for leg in self.plan.legs
            if leg.target in self.plan.hosts and self._is_closed(leg)
        )

    def unaccepted_jump_hosts(self) -> dict[UnacceptedJumpHost, list[str]]:
        """Return hosts that do not accept ssh from their managed jump host."""
        pairs = (
            (UnacceptedJumpHost(leg.source, self._refused_addresses(leg)), leg.target)
            for leg in self.plan.legs
            if leg.source and leg.target in self.plan.hosts
        )
        return self._hosts_by((jump_host, host) for jump_host, host in pairs if jump_host.addresses)

    def closed_egress(self) -> dict[ClosedEgress, list[str]]:
        """Return hosts behind a jump host that may not open ssh to them, or to the next jump host."""
        return self._hosts_by(
            (ClosedEgress(leg.source, leg.name, tuple(str(network.ip) for network in leg.networks), leg.port), leg.host)
            for leg in self.plan.legs
            if self._is_restricted(leg.source) and self._has_closed_egress(leg)
        )

    def unknown_jumps(self) -> dict[str, list[str]]:
        """Return hosts behind a jump host that is unknown and has no address: it may be any managed host."""
        if not any(map(self._is_restricted, self.plan.hosts)):
            return {}
        return self._hosts_by(
            (leg.name, leg.host)
            for leg in self.plan.legs
            if not leg.target and not leg.networks and not self._is_restricted(leg.source)
        )

    def unread(self) -> dict[tuple[str, str], list[str]]:
        """Return hosts by a variable that cannot be read, with the reason."""
        hosts = self.plan.inventory.hosts.values()
        return self._hosts_by((unread, host.name) for host in hosts for unread in host.reach.unread)

    def _hosts_by(self, pairs: Iterable[tuple[Any, str]]) -> dict[Any, list[str]]:
        hosts = defaultdict(set)
        for reason, host in pairs:
            hosts[reason].add(host)
        return {reason: sorted(hosts[reason]) for reason in sorted(hosts)}

    @cached_property
    def _controllers(self) -> list[IPNetwork]:
        sources = self.plan.flows_on[MANAGEMENT_FLOW].sources
        return [parse_network(text) for text in self.plan.addresses.peers(sources, None, source=True)]

    @cached_property
    def _ports(self) -> list[PortRange]:
        services = self.plan.flows_on[MANAGEMENT_FLOW].services
        return [ports for name in services for ports in self.plan.catalogue.services[name].ports]

    def _is_closed(self, leg: Leg) -> bool:
        if not without([PortRange("tcp", leg.port, leg.port)], self._ports):
            return False
        return not all(self._passes(leg.target, "in", network, leg.port) for network in self._controllers)

    def _refused_addresses(self, leg: Leg) -> tuple[str, ...]:
        """Return the addresses of the jump host, in a family of the target, from which the target accepts no ssh."""
        book = self.plan.addresses
        versions = {network.version for network in book.host_networks([leg.target])}
        return tuple(
            str(address.ip)
            for address in book.host_networks([leg.source], source=True)
            if address.version in versions
            and not any(address in network for network in self._controllers)
            and not self._passes(leg.target, "in", address, leg.port)
        )

    def _is_restricted(self, host: str) -> bool:
        return host in self.plan.hosts and self.plan.inventory.hosts[host].egress == "restricted"

    def _has_closed_egress(self, leg: Leg) -> bool:
        # The plan opens ssh to managed hosts with known addresses: evaluating it again would take time.
        is_opened = leg.host in self.plan.hosts and bool(leg.networks)
        return not is_opened and not (
            leg.networks and all(self._passes(leg.source, "out", network, leg.port) for network in leg.networks)
        )

    def _passes(self, host: str, direction: str, network: IPNetwork, port: int) -> bool:
        key = self.plan.hosts[host]
        if key not in self._policies:
            self._policies[key] = parse_policy(self.plan.policies[key])
        return evaluate(self._policies[key], Packet(direction, "tcp", str(network), port)).passes
