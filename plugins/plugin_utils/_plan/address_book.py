# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Resolve endpoints to hosts and networks, IPv4 and IPv6, collapsed to the fewest prefixes."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from time import monotonic
from typing import TYPE_CHECKING

from ansible_collections.hpc.ports.plugins.plugin_utils._plan.lookups import Answer, Lookup, answers, system_lookup
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.catalogue import Endpoint
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import (
    PortFileError,
    Vaulted,
    invalid,
    listed,
    printable,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.inventory import Host, Inventory
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.networks import (
    collapsed,
    is_reachable,
    parse_address,
    single,
    subtracted,
)

if TYPE_CHECKING:
    from netaddr import IPAddress, IPNetwork

_ADVICE = "Fix the name, or use addresses instead: firewall_addresses of the host, or cidrs of the endpoint."
# So many seconds a plan waits for all names together. With 32 names at a time, this is enough for 300 names that take 5
# seconds each, the time after which resolvers ask their second name server.
LONGEST = 60.0


@dataclass
class Resolver:
    """Resolve names and addresses to prefixes of one address each. Each name is looked up once.

    `left` is the number of seconds for which it may still wait for lookups.
    """

    lookup: Lookup = system_lookup
    left: float = LONGEST
    _known: dict[str, tuple[IPNetwork, ...]] = field(default_factory=dict)
    _answers: dict[str, Answer] = field(default_factory=dict)

    def look_up(self, texts: Iterable[str]) -> None:
        """Look up the names among these names and addresses at the same time. `networks` raises the errors."""
        new = dict.fromkeys(text for text in texts if text not in self._known)
        self._ask([text for text in new if _is_name(text) and ":" not in text])

    def networks(self, key: str, text: str) -> tuple[IPNetwork, ...]:
        """Return at least one address. Raises PortFileError, which names `key`, if other hosts cannot reach any."""
        if text not in self._known:
            self._known[text] = tuple(map(single, self._addresses(key, text)))
        return self._known[text]

    def _addresses(self, key: str, text: str) -> list[IPAddress]:
        try:
            address = parse_address(text)
        except ValueError:
            return self._looked_up(key, text)
        if not is_reachable(address):
            raise invalid(key, text, "an address that other hosts can reach", _ADVICE)
        return [address]

    def _looked_up(self, key: str, name: str) -> list[IPAddress]:
        expected = "an address, or a host name that resolves"
        if not _is_name(name):
            raise invalid(key, name, expected, _ADVICE)
        try:
            addresses = [parse_address(text) for text in self._answer(name)]
        except (OSError, ValueError) as exc:
            report = (
                "" if isinstance(name, Vaulted) else f"The controller's resolver reported: {printable(str(exc), 200)}. "
            )
            raise invalid(key, name, expected, f"{report}{_ADVICE}") from exc
        reachable = [address for address in addresses if is_reachable(address) and not address.is_link_local()]
        if not reachable:
            raise invalid(
                key,
                name,
                "a name with an address that other hosts can reach",
                f"It resolves to {listed(list(map(str, addresses))) or 'nothing'}. {_ADVICE}",
            )
        return reachable

    def _answer(self, name: str) -> list[str]:
        self._ask([name])
        answer = self._answers.get(name, TimeoutError(f"no answer in the {LONGEST:.0f} seconds for all names"))
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _ask(self, names: Sequence[str]) -> None:
        new = [name for name in names if name not in self._known and name not in self._answers]
        if new and self.left > 0:
            start = monotonic()
            self._answers.update(answers(new, self.lookup, self.left))
            self.left -= monotonic() - start


def _is_name(text: str) -> bool:
    """Return whether a text can be a host name, unless it is an IPv6 address.

    The C library reads `10.1` and `1001` as addresses. No host name ends in a number (RFC 3696, section 2).
    """
    return bool(text) and not text.rpartition(".")[2].isdigit()


@dataclass
class AddressBook:
    """The hosts and networks of each endpoint. Its hosts are in its groups, or have an address that it lists."""

    endpoints: Mapping[str, Endpoint]
    inventory: Inventory
    clusters: Mapping[str, Sequence[IPNetwork]]
    resolver: Resolver
    # Only these endpoints are used by enabled flows. The host names of other endpoints are not looked up.
    looked_up: frozenset[str] = frozenset()
    # Without `init`, dataclasses.replace leaves them empty in the new book.
    _members: dict[str, dict[str, list[str]]] = field(default_factory=dict, init=False)
    _networks: dict[str, list[IPNetwork]] = field(default_factory=dict, init=False)
    _peers: dict[tuple[frozenset[str], frozenset[str] | None, bool], tuple[str, ...]] = field(
        default_factory=dict, init=False
    )

    def look_up(self) -> None:
        """Look up the host names that every plan needs, at the same time. What follows raises the errors."""
        hosts = [self.inventory.hosts[name] for name in sorted(self.inventory.managed)]
        endpoints = [self.endpoints[name] for name in sorted(self.looked_up)]
        self.resolver.look_up(
            [
                *(text for host in hosts for text in host.addresses),
                *(name for endpoint in endpoints for name in endpoint.hostnames),
            ]
        )

    def members(self, endpoint: str, clusters: frozenset[str] | None = None) -> set[str]:
        """Return the hosts of an endpoint. With `clusters`, only hosts in one of these clusters."""
        by_cluster = self._by_cluster(endpoint)
        wanted = by_cluster if clusters is None else clusters & by_cluster.keys()
        return {host for cluster in wanted for host in by_cluster[cluster]}

    def networks(self, endpoint: str) -> list[IPNetwork]:
        """Return the networks of an endpoint and the addresses of its host names, without its groups.

        A managed host with one excepted address is taken out with all its addresses, so that both ends agree.
        """
        if endpoint not in self._networks:
            written, excepted = self._written_networks(endpoint), self.endpoints[endpoint].excepted
            own = self._all_addresses_of(self._hosts_inside(excepted)) if excepted else []
            self._networks[endpoint] = subtracted(written, [*excepted, *own]) if excepted else written
        return self._networks[endpoint]

    def _hosts_inside(self, networks: Iterable[IPNetwork]) -> set[str]:
        """Return the managed hosts with an address or a source address in one of these networks."""
        ordered = self._ordered
        return {
            host
            for network in networks
            for _version, _address, host in ordered[
                bisect_left(ordered, (network.version, network.first)) : bisect_left(
                    ordered, (network.version, network.last + 1)
                )
            ]
        }

    @cached_property
    def _ordered(self) -> list[tuple[int, int, str]]:
        """Return all addresses of the managed hosts with their hosts, sorted."""
        managed = sorted(self.inventory.managed)
        self._all_addresses_of(managed)  # looks up all names at the same time
        return sorted(
            (network.version, network.first, host) for host in managed for network in self._all_addresses_of([host])
        )

    def _all_addresses_of(self, hosts: Iterable[str]) -> list[IPNetwork]:
        hosts = list(hosts)
        return [*self.host_networks(hosts), *self.host_networks(hosts, source=True)]

    def is_excepted(self, endpoint: str, host: str) -> bool:
        """Return whether a host has an address that the endpoint excepts: then it is not in the endpoint."""
        excepted = self.endpoints[endpoint].excepted
        if not excepted:
            return False
        return any(address in network for address in self._all_addresses_of([host]) for network in excepted)

    def _written_networks(self, endpoint: str) -> list[IPNetwork]:
        names = self.endpoints[endpoint].hostnames if endpoint in self.looked_up else ()
        key = f"firewall_endpoints.{endpoint}.hostnames"
        resolved = [network for name in names for network in self.resolver.networks(key, name)]
        return [*self.endpoints[endpoint].cidrs, *resolved]

    def peers(self, endpoints: Iterable[str], clusters: frozenset[str] | None, source: bool) -> tuple[str, ...]:
        """Return the addresses of these endpoints as the fewest prefixes. With `clusters`, only inside these."""
        key = (frozenset(endpoints), clusters, source)
        if key not in self._peers:
            hosts = set().union(*(self.members(name, clusters) for name in key[0]))
            self._peers[key] = collapsed([*self.host_networks(hosts, source), *self.outside(key[0], clusters)])
        return self._peers[key]

    def host_networks(self, hosts: Iterable[str], source: bool = False) -> list[IPNetwork]:
        """Return the addresses of hosts, as prefixes of one address each."""
        several = [self.inventory.hosts[host] for host in hosts]
        self.resolver.look_up(
            text for host in several for text in (host.source_addresses if source else host.addresses)
        )
        return [network for host in several for network in self._host_networks(host, source)]

    def texts_of(self, host: str) -> list[str]:
        """Return the addresses by which other hosts know a host, each once."""
        return sorted({str(network.ip) for network in self.host_networks([host])})

    def outside(self, endpoints: Iterable[str], clusters: frozenset[str] | None) -> list[IPNetwork]:
        """Return the networks of endpoints and of clusters, which have no inventory hosts."""
        named = [network for name in endpoints for network in self.networks(name)]
        return named + [network for cluster in clusters or () for network in self.clusters.get(cluster, ())]

    def is_empty(self, endpoints: Iterable[str]) -> bool:
        """Return whether these endpoints have no hosts, networks or names. Does not look up names."""
        return not any(
            self.members(name)
            or subtracted(self.endpoints[name].cidrs, self.endpoints[name].excepted)
            or self.endpoints[name].hostnames
            for name in endpoints
        )

    def clusters_of(self, endpoints: Iterable[str]) -> set[str]:
        """Return the clusters in which these endpoints have hosts or networks."""
        hosts = {cluster for name in endpoints for cluster in self._by_cluster(name)}
        return hosts | {name for name, networks in self.clusters.items() if networks}

    @cached_property
    def hosts_by_address(self) -> dict[IPNetwork, list[str]]:
        """Return the managed hosts by address."""
        self.look_up()
        hosts_by_address = defaultdict(list)
        for name in sorted(self.inventory.managed):
            for network in self.host_networks([name]):
                hosts_by_address[network].append(name)
        return dict(hosts_by_address)

    def host_at(self, address: str) -> str:
        """Return the managed host with this address or source address, empty if there is none."""
        try:
            wanted = single(parse_address(address))
        except ValueError:
            return ""
        for name in sorted(self.inventory.managed):
            with suppress(PortFileError):
                if wanted in self.host_networks([name]) or wanted in self.host_networks([name], source=True):
                    return name
        return ""

    def _host_networks(self, host: Host, source: bool) -> list[IPNetwork]:
        texts, key = (host.source_addresses, host.source_key) if source else (host.addresses, host.address_key)
        return [network for text in texts for network in self.resolver.networks(key, text)]

    def _by_cluster(self, endpoint: str) -> dict[str, list[str]]:
        if endpoint not in self._members:
            by_cluster = defaultdict(list)
            for host in sorted(self._hosts(endpoint)):
                for cluster in self.inventory.hosts[host].clusters:
                    by_cluster[cluster].append(host)
            self._members[endpoint] = dict(by_cluster)
        return self._members[endpoint]

    def _hosts(self, endpoint: str) -> set[str]:
        hosts = self._in_groups(self.endpoints[endpoint].groups)
        # The networks as written: what `except` leaves of a network may be a single address.
        written = self._written_networks(endpoint)
        hosts |= {host for network in written for host in self.hosts_by_address.get(network, ())}
        hosts = {host for host in hosts if not self.is_excepted(endpoint, host)}
        served = {cluster for host in hosts for cluster in self.inventory.hosts[host].clusters}
        return hosts | {
            host
            for host in self._in_groups(self.endpoints[endpoint].fallback_groups)
            if not self.inventory.hosts[host].clusters <= served and not self.is_excepted(endpoint, host)
        }

    def _in_groups(self, groups: Iterable[str]) -> set[str]:
        return {host for group in groups for host in self.inventory.groups.get(group, ())}
