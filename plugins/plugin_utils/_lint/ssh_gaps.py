# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is in the way of Ansible's own ssh, by the plan: hosts by what each of them lacks."""

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
    """A port of sshd that hosts do not open to controllers, by `ansible_port` or in the name of a jump host."""

    port: int
    is_jump: bool


class Stranger(NamedTuple):
    """A jump host, and the addresses of it that hosts behind it do not let in."""

    jump: str
    addresses: tuple[str, ...]


class NoWayOut(NamedTuple):
    """A jump host with restricted egress, and where it may not go; `addresses` are empty where they are not known."""

    jump: str
    name: str
    addresses: tuple[str, ...]
    port: int


@dataclass
class Gaps:
    """Each returns hosts, sorted, by what is in the way."""

    plan: Plan
    _policies: dict[str, Policy] = field(default_factory=dict)

    def closed_ports(self) -> dict[ClosedPort, list[str]]:
        """Return hosts with an sshd on a port that management_ssh does not have, and that no flow opens to it."""
        return self._hosts_by(
            (ClosedPort(leg.port, leg.is_jump), leg.target)
            for leg in self.plan.legs
            if leg.target in self.plan.hosts and self._is_closed(leg)
        )

    def strangers(self) -> dict[Stranger, list[str]]:
        """Return hosts that do not let in the managed jump host that they are reached through."""
        found = (
            (Stranger(leg.source, self._not_let_in(leg)), leg.target)
            for leg in self.plan.legs
            if leg.source and leg.target in self.plan.hosts
        )
        return self._hosts_by(item for item in found if item[0].addresses)

    def no_ways_out(self) -> dict[NoWayOut, list[str]]:
        """Return hosts behind a jump host that has no way out to them, or to the next jump host."""
        return self._hosts_by(
            (NoWayOut(leg.source, leg.name, tuple(str(item.ip) for item in leg.networks), leg.port), leg.host)
            for leg in self.plan.legs
            if self._is_restricted(leg.source) and self._has_no_way_out(leg)
        )

    def unknown_jumps(self) -> dict[str, list[str]]:
        """Return hosts behind a name that is no host and has no address: any managed host may be meant."""
        if not any(map(self._is_restricted, self.plan.hosts)):
            return {}
        return self._hosts_by(
            (leg.name, leg.host)
            for leg in self.plan.legs
            if not leg.target and not leg.networks and not self._is_restricted(leg.source)
        )

    def unread(self) -> dict[tuple[str, str], list[str]]:
        """Return hosts by a variable that says nothing to us, with the reason."""
        hosts = self.plan.inventory.hosts.values()
        return self._hosts_by((item, host.name) for host in hosts for item in host.reach.unread)

    def _hosts_by(self, found: Iterable[tuple[Any, str]]) -> dict[Any, list[str]]:
        hosts = defaultdict(set)
        for what, host in found:
            hosts[what].add(host)
        return {what: sorted(hosts[what]) for what in sorted(hosts)}

    @cached_property
    def _controllers(self) -> list[IPNetwork]:
        sources = self.plan.flows_on[MANAGEMENT_FLOW].sources
        return [parse_network(text) for text in self.plan.addresses.peers(sources, None, source=True)]

    @cached_property
    def _ports(self) -> list[PortRange]:
        services = self.plan.flows_on[MANAGEMENT_FLOW].services
        return [item for name in services for item in self.plan.catalogue.services[name].ports]

    def _is_closed(self, leg: Leg) -> bool:
        if not without([PortRange("tcp", leg.port, leg.port)], self._ports):
            return False
        return not all(self._passes(leg.target, "in", network, leg.port) for network in self._controllers)

    def _not_let_in(self, leg: Leg) -> tuple[str, ...]:
        """Return the addresses of the jump host, of a family that the target has, that are none of a controller."""
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

    def _has_no_way_out(self, leg: Leg) -> bool:
        # To managed hosts the plan has opened it, as far as addresses are known; that takes no proof, which takes time.
        is_opened = leg.host in self.plan.hosts and bool(leg.networks)
        return not is_opened and not (
            leg.networks and all(self._passes(leg.source, "out", network, leg.port) for network in leg.networks)
        )

    def _passes(self, host: str, direction: str, network: IPNetwork, port: int) -> bool:
        key = self.plan.hosts[host]
        if key not in self._policies:
            self._policies[key] = parse_policy(self.plan.policies[key])
        return evaluate(self._policies[key], Packet(direction, "tcp", str(network), port)).passes
