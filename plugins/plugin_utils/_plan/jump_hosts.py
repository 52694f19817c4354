# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way of Ansible's ssh to each host, leg by leg, through jump hosts: what they must be let out to."""

from __future__ import annotations

from collections.abc import Iterator
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
    """One connection on the way to `host`: from `source` to port `port` of `name`, as ssh is told.

    `source` is a managed host, or empty: the controller, or a jump host that is not ours. `target` is the host of the
    inventory that `name` is, or empty. `networks` are its addresses, none where they are not known: looked for where a
    managed host goes there, and where `name` is no host of ours.
    """

    host: str
    source: str
    target: str
    name: str
    port: int
    networks: tuple[IPNetwork, ...] = ()

    @property
    def is_jump(self) -> bool:
        """Tell whether it goes to a jump host."""
        return self.target != self.host


def legs_of(book: AddressBook) -> tuple[Leg, ...]:
    """Return the legs to all hosts that Ansible reaches by ssh."""
    ways = _SshPaths(book)
    return tuple(leg for name in sorted(book.inventory.hosts) for leg in ways.legs(book.inventory.hosts[name]))


@dataclass
class _SshPaths:
    book: AddressBook
    _found: dict[str, tuple[IPNetwork, ...]] = field(default_factory=dict)

    def legs(self, host: Host) -> Iterator[Leg]:
        """Yield the legs to one host. The end of a tunnel is none, nor a jump host for itself (by settings for all)."""
        source = ""
        stops = [(self._host(hop.host), hop.host, hop.port) for hop in host.reach.hops]
        for target, name, port in (
            *(stop for stop in stops if stop[0] != host.name),
            (host.name, host.reach.address, host.reach.port),
        ):
            if host.reach.by_ssh and not is_loopback(name):
                networks = self._networks(name, target) if source or not target else ()
                yield Leg(host.name, source, target, name, port, networks)
            source = target if target in self.book.inventory.managed else ""

    def _host(self, name: str) -> str:
        """Return the host that a name or an address of a jump host stands for; its name by DNS counts, too."""
        if name in self._by_text:
            return self._by_text[name]
        return next(
            (
                self.book.hosts_by_address[network][0]
                for network in self._resolved(name)
                if network in self.book.hosts_by_address
            ),
            "",
        )

    @cached_property
    def _by_text(self) -> dict[str, str]:
        """Hosts by what is written of them: names come before addresses, managed hosts before others."""
        managed = self.book.inventory.managed
        hosts = sorted(self.book.inventory.hosts.values(), key=lambda host: host.name not in managed)
        found = [
            *((host.name, host.name) for host in hosts),
            *((host.reach.address, host.name) for host in hosts),
            *((text, host.name) for host in hosts for text in host.addresses),
        ]
        return dict(reversed(found))

    def _networks(self, name: str, target: str) -> tuple[IPNetwork, ...]:
        """Return the addresses of a name; where the controller looks it up, the jump host may get another answer."""
        return self._own(target) if target and not is_address(name) else self._resolved(name)

    def _own(self, host: str) -> tuple[IPNetwork, ...]:
        try:
            return tuple(self.book.host_networks([host]))
        except PortFileError:  # of a host that is not managed
            return ()

    def _resolved(self, name: str) -> tuple[IPNetwork, ...]:
        if name not in self._found:
            try:
                self._found[name] = self.book.resolver.networks("jump host", name)
            except PortFileError:
                self._found[name] = ()
        return self._found[name]
