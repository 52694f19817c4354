# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Choose hosts that stand for their classes, so that a few containers have the addresses and rules of a whole site."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._model.policy import MANAGEMENT_FLOW
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.networks import is_reachable
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.connections import Connections
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.host_classes import HostClass, classes_of

with suppress(ImportError):  # `missing_library` reports a missing netaddr
    from netaddr import IPNetwork

if TYPE_CHECKING:
    from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan
    from netaddr import IPAddress


class StandIn(NamedTuple):
    """A host that stands for its class, with all its addresses, and the backend that the inventory wants for it.

    A host without a firewall has no backend.
    """

    host: str
    class_name: str
    addresses: tuple[str, ...]
    backend: str


# Addresses that no host of a site has: RFC 5737 and 2544.
_DOCUMENTATION = "198.51.100.254"
_OUTSIDER = StandIn("outsider", "outsider", ("198.18.0.1",), "")
_MOST = 1000  # addresses of a network that are tried


class Controller(NamedTuple):
    """From where Ansible connects: a free `address` of the endpoint controllers, or one of its hosts."""

    address: str
    host: str


def stand_ins(plan: Plan, each: int) -> tuple[list[StandIn], Controller]:
    """Return up to `each` hosts of each class and backend, and the controller. Raises PortFileError without one.

    If all hosts are managed, a host named outsider shows what strangers reach. A host whose addresses another host has
    already is left out: two containers cannot have one address.
    """
    connections = Connections(plan, sorted(plan.inventory.hosts))
    controller = _controller(connections)
    taken: set[str] = {controller.address}
    found: list[StandIn] = []
    for host_class in classes_of(connections):
        for backend in sorted({_backend(plan, host) for host in host_class.members}):
            own = [host for host in host_class.members if _backend(plan, host) == backend]
            chosen = list(islice(_with_addresses(connections, host_class, own, taken), each))
            taken.update(address for stand_in in chosen for address in stand_in.addresses)
            found += chosen
    return found if plan.inventory.hosts.keys() > plan.hosts.keys() else [*found, _OUTSIDER], controller


def _with_addresses(
    connections: Connections, host_class: HostClass, hosts: Sequence[str], taken: set[str]
) -> Iterator[StandIn]:
    for host in hosts:
        both = [*connections.comes_from[host], *connections.reached[host]]
        addresses = tuple(dict.fromkeys(address.text for address in both))
        if addresses and taken.isdisjoint(addresses):
            yield StandIn(host, host_class.name, addresses, _backend(connections.plan, host))


def _backend(plan: Plan, host: str) -> str:
    return plan.inventory.hosts[host].backend if host in plan.hosts else ""


def _controller(connections: Connections) -> Controller:
    plan = connections.plan
    sources = plan.catalogue.flows[MANAGEMENT_FLOW].sources
    networks = plan.addresses.outside(sources, None)
    taken = {
        address.text
        for by_host in (connections.reached, connections.comes_from)
        for addresses in by_host.values()
        for address in addresses
    }
    for network in networks:
        free = (str(address) for address in _first_addresses(network) if is_reachable(address))
        address = next((text for text in free if text not in taken), "")
        if address:
            return Controller(address, "")
    for host in connections.hosts:
        texts = {address.text for address in connections.comes_from[host]}
        inside = any(IPNetwork(text) in network for text in texts for network in networks)
        if inside or any(host in plan.addresses.members(name) for name in sources):
            return Controller("", host)
    raise PortFileError("The endpoint controllers has neither a free address nor a host of the inventory.")


def _first_addresses(network: IPNetwork) -> Iterator[IPAddress]:
    """Yield the first addresses of a network that a host can have."""
    if network.prefixlen == 0 and network.version == 4:
        network = IPNetwork(_DOCUMENTATION)
    start = network.first + (network.size > 2)
    yield from (network[index] for index in range(start - network.first, min(network.size, _MOST)))
