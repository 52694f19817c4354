# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Say what opens and closes on hosts, from the results of the module `firewall`: equal changes of hosts once.

The results come from hosts. What does not have the expected form is left out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._model.policy import MANAGEMENT_FLOW
from ansible_collections.hpc.ports.plugins.module_utils._model.ports import merged, parse_policy_ports
from ansible_collections.hpc.ports.plugins.module_utils._model.shown import shown
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.networks import collapsed, parse_network
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.membership import addresses_of
from ansible_collections.hpc.ports.plugins.plugin_utils._report.phrases import (
    named_hosts,
    networks_text,
    ports_text,
    shortened,
)

if TYPE_CHECKING:
    from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan
    from netaddr import IPNetwork

# Every policy has this flow.
_EVERYWHERE = f"in_{MANAGEMENT_FLOW}"
# A network with more addresses is never a list of hosts.
_MOST_ADDRESSES = 1024


class HostChange(NamedTuple):
    """Hosts with one change, and the change in words."""

    hosts: tuple[str, ...]
    text: str


def host_changes(plan: Plan, results: Mapping[str, Any]) -> list[HostChange]:
    """Return the changes. `results` has what the module `firewall` returned, by host."""
    words = _Words(plan)
    hosts: dict[str, list[str]] = defaultdict(list)
    known: dict[tuple[str, str], list[str]] = {}
    for host, result in sorted(results.items()):
        changes = result.get("changes") if isinstance(result, Mapping) and result.get("changed") is True else None
        if isinstance(changes, Mapping) and host in plan.hosts:
            key = (plan.hosts[host], repr(changes))
            if key not in known:
                known[key] = list(words.phrases(plan.policies[plan.hosts[host]], changes))
            for text in [*known[key], *_ephemeral_ports(result)]:
                hosts[text].append(host)
    return [HostChange(tuple(names), shown(text)) for text, names in hosts.items()]


def _ephemeral_ports(result: Mapping[str, Any]) -> list[str]:
    """Return the settings of a host whose ephemeral ports were fixed; nothing for other hosts."""
    if not result.get("ports_fixed"):
        return []
    return [f"ephemeral ports: {result.get('ephemeral_ports')}; reserved: {result.get('reserved_ports') or 'none'}"]


def change_lines(changes: Iterable[HostChange], groups: Mapping[str, Sequence[str]]) -> list[str]:
    """Return a line for each change: `c1, c2: in_grafana: mon may now connect to 3000/tcp`."""
    return [f"{named_hosts(change.hosts, groups)}: {change.text}" for change in changes]


class _Flow(NamedTuple):
    """A flow of a policy in one direction: its ports, and the networks of its peers."""

    ports: str
    networks: tuple[str, ...]


class _Words:
    """Words for the changes of hosts, with names of a plan for addresses."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def phrases(self, policy: Mapping[str, Any], changes: Mapping[str, Any]) -> Iterator[str]:
        """Yield the changes of one host in words."""
        flows = _flows(policy)
        added, removed = _texts(changes.get("flows_added")), _texts(changes.get("flows_removed"))
        if _EVERYWHERE in removed:
            yield "the rules are removed, so all ports are open"
            return
        is_first = _EVERYWHERE in added
        found = [
            *(self._added(name, flows[name], is_first) for name in added if name in flows),
            *(f"{name} is removed, so its connections are closed" for name in removed),
            *self._members(flows, changes, "addresses_changed"),
            *self._members(flows, changes, "ports_changed"),
        ]
        if is_first:
            watched = policy["mode"] == "observe"
            yield f"first rules; all other connections are {'only counted' if watched else 'closed'}"
        yield from found
        objects = _texts(changes.get("objects"))
        if objects and not found:
            yield f"no flow changes, but {shortened(objects)}"

    def _added(self, name: str, flow: _Flow, is_first: bool) -> str:
        peers = self._named(name, flow.networks)
        return _connects(name, "may connect" if is_first else "may now connect", flow.ports, peers)

    def _members(self, flows: Mapping[str, _Flow], changes: Mapping[str, Any], key: str) -> Iterator[str]:
        members = changes.get(key)
        for name, change in members.items() if isinstance(members, Mapping) else ():
            for which, verb in (("added", "may now connect"), ("removed", "may no longer connect")):
                texts = _texts(change.get(which)) if isinstance(change, Mapping) else []
                if texts and key == "addresses_changed":
                    ports = flows[name].ports if name in flows else "its ports"
                    yield _connects(name, verb, ports, self._named(name, texts))
                elif texts:
                    peers = self._named(name, flows[name].networks) if name in flows else "its peers"
                    yield _connects(name, verb, shortened(texts), peers)

    def _named(self, name: str, networks: Sequence[str]) -> str:
        """Return hosts, endpoints and networks that have the addresses, as far as they have names."""
        hosts, outside = [], []
        for text in networks:
            own = self._hosts_of(text)
            if own:
                hosts += own
            else:
                outside.append(text)
        groups = self._plan.inventory.groups
        texts = [named_hosts(sorted(set(hosts)), groups)] if hosts else []
        return ", ".join([*texts, *([networks_text(self._endpoints(name, outside), outside)] if outside else [])])

    def _hosts_of(self, text: str) -> list[str]:
        """Return the hosts with the addresses of a network; none unless each address is of a host."""
        network = _parsed(text)
        if network is None or network.size > _MOST_ADDRESSES:
            return []
        hosts = [self._hosts.get((network.version, number)) for number in range(network.first, network.last + 1)]
        return [] if None in hosts else [host for host in hosts if host]

    @cached_property
    def _hosts(self) -> dict[tuple[int, int], str]:
        """Return the hosts by address, as numbers."""
        book = self._plan.addresses
        return {
            (network.version, network.first): host
            for host in sorted(self._plan.inventory.hosts, reverse=True)
            for source in (False, True)
            for network in addresses_of(book, host, source)
        }

    def _endpoints(self, name: str, networks: Sequence[str]) -> list[str]:
        """Return the endpoints of a flow that have these networks."""
        direction, _separator, flow_name = name.partition("_")
        flow = self._plan.flows_on.get(flow_name)
        if flow is None:
            return []
        parsed = [network for network in map(_parsed, networks) if network is not None]
        return [
            endpoint
            for endpoint in (flow.sources if direction == "in" else flow.targets)
            if any(own in other or other in own for own in self._plan.addresses.networks(endpoint) for other in parsed)
        ]


def _connects(name: str, verb: str, ports: str, peers: str) -> str:
    return f"{name}: {peers} {verb} to {ports}" if name.startswith("in_") else f"{name}: {verb} to {ports} of {peers}"


def _flows(policy: Mapping[str, Any]) -> dict[str, _Flow]:
    """Return the flows of a policy by the names of their counters."""
    rules = defaultdict(list)
    for rule in policy["rules"]:
        rules[f"{rule['direction']}_{rule['flow']}"].append(rule)
    return {
        name: _Flow(
            ports_text(merged(parse_policy_ports(text) for rule in own for text in rule["ports"])),
            collapsed(parse_network(text) for rule in own for text in policy["networks"][rule["peers"]]),
        )
        for name, own in rules.items()
    }


def _parsed(text: str) -> IPNetwork | None:
    try:
        return parse_network(text)
    except ValueError:
        return None


def _texts(value: Any) -> list[str]:
    return [text for text in value if isinstance(text, str)] if isinstance(value, (list, tuple)) else []
