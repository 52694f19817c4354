# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Choose hosts that stand for their classes, so that a few containers have the addresses and rules of a whole site."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Set
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._model.policy import MANAGEMENT_FLOW
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.networks import is_reachable
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.ssh_arguments import SSH_PORT
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.connections import Connections
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.host_classes import HostClass, classes_of

with suppress(ImportError):  # `missing_library` reports a missing netaddr
    from netaddr import IPAddress, IPNetwork

if TYPE_CHECKING:
    from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan


class StandIn(NamedTuple):
    """A host that stands for its class, with its addresses, and the backend that the inventory wants for it.

    Ansible connects to `address`. A host without a firewall has no backend.
    """

    host: str
    class_name: str
    address: str
    reached: tuple[str, ...]
    comes_from: tuple[str, ...]
    backend: str

    @property
    def addresses(self) -> tuple[str, ...]:
        """Return all addresses, first those from which the host connects."""
        return tuple(dict.fromkeys([*self.comes_from, *self.reached]))


class Controller(NamedTuple):
    """From where Ansible connects, to `port`: free `addresses` of the endpoint controllers, or one of its hosts."""

    addresses: tuple[str, ...]
    host: str
    port: int

    def versions(self, connections: Connections) -> set[int]:
        """Return the address families of the connections."""
        own = {address.version for address in connections.comes_from.get(self.host, ())}
        return own | {IPAddress(text).version for text in self.addresses}


class Chosen(NamedTuple):
    """The hosts that stand for their classes, and the reasons by the names of the classes without one."""

    hosts: list[StandIn]
    controller: Controller
    left_out: dict[str, str]


# Addresses that no host of a site has: RFC 5737, 3849, 2544 and 5180.
_DOCUMENTATION = {4: "198.51.100.254", 6: "2001:db8:ffff::fffe"}
_STRANGERS = ("198.18.0.0/15", "2001:2::/48")
_MOST = 1000  # addresses of a network that are tried
_LOCALHOST = "localhost"
_NEEDS_SCOPE = "fe80:"  # link-local: nobody can connect to it by the address alone


def stand_ins(plan: Plan, each: int) -> Chosen:
    """Return up to `each` hosts of each class and backend, and the controller. Raises PortFileError without one.

    If no chosen host is without a firewall, a host named outsider shows what strangers reach. A host whose addresses
    another host has already is left out: two containers cannot have one address.
    """
    if _LOCALHOST in plan.inventory.hosts:
        raise PortFileError(
            "localhost is a host of the inventory, and the scenario itself runs there. Leave it out, because Ansible "
            "knows it anyway. If it is a host of the site, give it another name, with ansible_connection: local and "
            "its ansible_host."
        )
    connections = Connections(plan, sorted(plan.inventory.hosts))
    controller = _controller(connections)
    picker = _Picker(connections, controller, set(controller.addresses))
    chosen: list[StandIn] = []
    for host_class, backend in picker.classes():
        chosen += picker.stand_ins(host_class, backend, each)
    if all(stand_in.backend for stand_in in chosen):
        chosen.append(_outsider(connections, picker.taken))
    return Chosen(chosen, controller, picker.left_out)


@dataclass
class _Picker:
    connections: Connections
    controller: Controller
    taken: set[str]
    left_out: dict[str, str] = field(default_factory=dict)

    def classes(self) -> list[tuple[HostClass, str]]:
        """Return each class with each of its backends, first those of the host from which Ansible connects."""
        pairs = [
            (host_class, backend)
            for host_class in classes_of(self.connections)
            for backend in sorted({self._backend(host) for host in host_class.members})
        ]
        return sorted(pairs, key=lambda pair: self.controller.host not in self._hosts(*pair))

    def stand_ins(self, host_class: HostClass, backend: str, each: int) -> list[StandIn]:
        """Return up to `each` hosts of a class, and note why if it has none."""
        chosen: list[StandIn] = []
        reasons: list[str] = []
        for host in self._hosts(host_class, backend):
            stand_in = self._stand_in(host, host_class, backend)
            reason = self._why_not(stand_in)
            if reason:
                reasons.append(reason)
                continue
            self.taken.update(stand_in.addresses)
            chosen.append(stand_in)
            if len(chosen) == each:
                break
        if not chosen:
            self.left_out[host_class.name] = reasons[0]
        return chosen

    def _hosts(self, host_class: HostClass, backend: str) -> list[str]:
        own = [host for host in host_class.members if self._backend(host) == backend]
        return sorted(own, key=lambda host: host != self.controller.host)

    def _backend(self, host: str) -> str:
        plan = self.connections.plan
        return plan.inventory.hosts[host].backend if host in plan.hosts else ""

    def _stand_in(self, host: str, host_class: HostClass, backend: str) -> StandIn:
        reached, comes_from = self.connections.reached[host], self.connections.comes_from[host]
        versions = self.controller.versions(self.connections) if backend else {4, 6}
        texts = [
            address.text
            for address in [*reached, *comes_from]
            if address.version in versions and not address.text.startswith(_NEEDS_SCOPE)
        ]
        return StandIn(
            host,
            host_class.name,
            texts[0] if texts else "",
            tuple(address.text for address in reached),
            tuple(address.text for address in comes_from),
            backend,
        )

    def _why_not(self, stand_in: StandIn) -> str:
        """Return why a host gets no container; empty if it gets one."""
        shared = sorted(self.taken.intersection(stand_in.addresses))
        if shared:
            return f"another container has the address {shared[0]} of {stand_in.host}"
        if not stand_in.addresses:
            return f"{stand_in.host} has no address; set firewall_addresses"
        if not stand_in.address:
            addresses = ", ".join(stand_in.addresses)
            return f"firewall_endpoints.controllers has no address of the family of {stand_in.host} ({addresses})"
        return ""


def _controller(connections: Connections) -> Controller:
    """Return the controller that reaches most hosts by an address of their families; a free address comes first."""
    plan = connections.plan
    port, free = _management_port(plan), _free_controllers(connections)
    candidates = [Controller(free, "", port)] if free else []
    candidates += [Controller((), host, port) for host in _hosts_of_controllers(connections)]
    if not candidates:
        raise PortFileError("The endpoint controllers has neither a free address nor a host of the inventory.")
    families = Counter(
        frozenset(address.version for address in connections.reached[host] + connections.comes_from[host])
        for host in connections.managed
    )

    def reaches(controller: Controller) -> int:
        versions = controller.versions(connections)
        return sum(number for family, number in families.items() if versions & family)

    return max(candidates, key=reaches)


def _management_port(plan: Plan) -> int:
    services = plan.catalogue.flows[MANAGEMENT_FLOW].services
    ranges = [ports for name in services for ports in plan.catalogue.services[name].ports if ports.protocol == "tcp"]
    if not ranges or any(ports.covers("tcp", SSH_PORT) for ports in ranges):
        return SSH_PORT
    return ranges[0].first


def _free_controllers(connections: Connections) -> tuple[str, ...]:
    """Return a free address of the endpoint controllers for each address family that it has one of."""
    sources = connections.plan.catalogue.flows[MANAGEMENT_FLOW].sources
    taken = _addresses_of_hosts(connections)
    found: dict[int, str] = {}
    for network in connections.plan.addresses.outside(sources, None):
        address = _free_address(network, taken)
        if address:
            found.setdefault(network.version, address)
    return tuple(found.values())


def _hosts_of_controllers(connections: Connections) -> Iterator[str]:
    plan = connections.plan
    sources = plan.catalogue.flows[MANAGEMENT_FLOW].sources
    networks = plan.addresses.outside(sources, None)
    members = {host for name in sources for host in plan.addresses.members(name)}
    for host in connections.hosts:
        own = [IPNetwork(address.text) for address in connections.comes_from[host]]
        if own and (host in members or any(address in network for address in own for network in networks)):
            yield host


def _outsider(connections: Connections, taken: set[str]) -> StandIn:
    """Return a stranger with an address of each family that managed hosts have."""
    versions = {address.version for host in connections.managed for address in connections.reached[host]}
    taken = taken | _addresses_of_hosts(connections)
    networks = [network for network in map(IPNetwork, _STRANGERS) if network.version in versions]
    addresses = tuple(_free_address(network, taken) for network in networks)
    names = (f"outsider{number if number > 1 else ''}" for number in count(1))
    name = next(name for name in names if name not in connections.plan.inventory.hosts)
    return StandIn(name, "outsider", addresses[0], addresses, addresses, "")


def _addresses_of_hosts(connections: Connections) -> set[str]:
    return {
        address.text
        for by_host in (connections.reached, connections.comes_from)
        for addresses in by_host.values()
        for address in addresses
    }


def _free_address(network: IPNetwork, taken: Set[str]) -> str:
    """Return the first address of a network that a host can have and none has; empty if there is none."""
    free = (str(address) for address in _first_addresses(network) if is_reachable(address))
    return next((text for text in free if text not in taken), "")


def _first_addresses(network: IPNetwork) -> Iterator[IPAddress]:
    """Yield the first addresses of a network that a host can have."""
    if network.prefixlen == 0:
        network = IPNetwork(_DOCUMENTATION[network.version])
    start = network.first + (network.size > 2)
    yield from (network[index] for index in range(start - network.first, min(network.size, _MOST)))
