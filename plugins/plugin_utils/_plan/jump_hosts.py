# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The path of Ansible's ssh to each host, through jump hosts: the connections that each of them must open."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.networks import is_address, is_loopback

if TYPE_CHECKING:
    from ansible_collections.hpc.ports.plugins.plugin_utils._plan.address_book import AddressBook
    from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.inventory import Host
    from netaddr import IPNetwork


class Leg(NamedTuple):
    """One connection on the path to `host`: from `source` to `port` of `name`, as written in the ssh arguments.

    `source` is a managed host. It is empty for the controller and for a jump host that is not managed. `target` is the
    inventory host with this `name`, or empty. `networks` are its addresses, empty if unknown. They are looked up only
    if `source` is a managed host or if `name` is not an inventory host.
    """

    host: str
    source: str
    target: str
    name: str
    port: int
    networks: tuple[IPNetwork, ...] = ()

    @property
    def is_jump(self) -> bool:
        """Return whether it connects to a jump host, not to `host` itself."""
        return self.target != self.host


def legs_of(book: AddressBook) -> tuple[Leg, ...]:
    """Return the legs to all hosts to which Ansible connects by ssh."""
    paths = _SshPaths(book)
    hosts = [book.inventory.hosts[name] for name in sorted(book.inventory.hosts)]
    paths.look_up(hosts)
    return tuple(paths.with_networks([leg for host in hosts for leg in paths.legs(host)]))


@dataclass
class _SshPaths:
    book: AddressBook
    _addresses: dict[str, tuple[IPNetwork, ...]] = field(default_factory=dict)

    def look_up(self, hosts: Iterable[Host]) -> None:
        """Look up the names of jump hosts that are not in the inventory, at the same time."""
        names = dict.fromkeys(hop.host for host in hosts for hop in host.reach.hops)
        self.book.resolver.look_up(name for name in names if name not in self._by_text)

    def with_networks(self, legs: Iterable[Leg]) -> Iterator[Leg]:
        """Yield these legs with their networks."""
        legs = list(legs)
        targets = dict.fromkeys(leg.target for leg in legs if leg.source and leg.target and not is_address(leg.name))
        hosts = self.book.inventory.hosts
        self.book.resolver.look_up(text for name in targets for text in hosts[name].addresses)
        for leg in legs:
            is_known = leg.source or not leg.target
            yield leg._replace(networks=self._networks(leg.name, leg.target)) if is_known else leg

    def legs(self, host: Host) -> Iterator[Leg]:
        """Yield the legs to one host, without their networks.

        The local end of a tunnel is no leg, and a jump host has no leg to itself, even if its settings name it.
        """
        source = ""
        stops = [(self._host(hop.host), hop.host, hop.port) for hop in host.reach.hops]
        for target, name, port in (
            *(stop for stop in stops if stop[0] != host.name),
            (host.name, host.reach.address, host.reach.port),
        ):
            if host.reach.by_ssh and not is_loopback(name):
                yield Leg(host.name, source, target, name, port)
            source = target if target in self.book.inventory.managed else ""

    def _host(self, name: str) -> str:
        """Return the inventory host for the name or address of a jump host, also if only DNS connects the two."""
        if name in self._by_text:
            return self._by_text[name]
        return next(
            (
                self.book.hosts_by_address[network][0]
                for network in self._resolved_addresses(name)
                if network in self.book.hosts_by_address
            ),
            "",
        )

    @cached_property
    def _by_text(self) -> dict[str, str]:
        """Return the hosts by name and address, as written. Names precede addresses, managed hosts precede others."""
        managed = self.book.inventory.managed
        hosts = sorted(self.book.inventory.hosts.values(), key=lambda host: host.name not in managed)
        pairs = [
            *((host.name, host.name) for host in hosts),
            *((host.reach.address, host.name) for host in hosts),
            *((text, host.name) for host in hosts for text in host.addresses),
        ]
        return dict(reversed(pairs))

    def _networks(self, name: str, target: str) -> tuple[IPNetwork, ...]:
        """Return the addresses of a name. If the controller looks it up, the jump host may get another answer."""
        return self._managed_addresses(target) if target and not is_address(name) else self._resolved_addresses(name)

    def _managed_addresses(self, host: str) -> tuple[IPNetwork, ...]:
        try:
            return tuple(self.book.host_networks([host]))
        except PortFileError:  # the host is not managed
            return ()

    def _resolved_addresses(self, name: str) -> tuple[IPNetwork, ...]:
        if name not in self._addresses:
            try:
                self._addresses[name] = self.book.resolver.networks("jump host", name)
            except PortFileError:
                self._addresses[name] = ()
        return self._addresses[name]
