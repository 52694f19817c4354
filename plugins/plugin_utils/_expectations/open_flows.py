# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Choose open connections to test: each flow between every two classes of hosts for which it opens a port."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from ansible_collections.hpc.ports.plugins.plugin_utils._expectations.probed_ports import flow_ports
from ansible_collections.hpc.ports.plugins.plugin_utils._expectations.selection import Pair, Selection
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.connections import OPEN
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.host_classes import HostClass


class OpenPort(NamedTuple):
    """A port that is open between two classes, at addresses of one kind."""

    source: HostClass
    target: HostClass
    kind: int
    protocol: str
    port: int


class _Opened(NamedTuple):
    """The ports that a rule of the target's policy opens, and the key of its networks in the policy."""

    networks: str
    ports: list[tuple[str, int]]


@dataclass
class FlowsByClass:
    """Adds the connections that flows allow to a selection."""

    selection: Selection
    _opened: dict[str, list[_Opened]] = field(default_factory=dict)

    def choose(self) -> None:
        """Add each open port once. Then add one for each host that has none although its class has one."""
        open_ports = list(dict.fromkeys(self.open_ports()))
        for open_port in open_ports:
            self._add(open_port, self.selection.pair(open_port.source, open_port.target))
        self._add_for_other_members(open_ports, is_source=True)
        self._add_for_other_members(open_ports, is_source=False)

    def _add(self, open_port: OpenPort, pair: Pair | None) -> bool:
        expectation = self.selection.expectation(pair, open_port.kind, open_port.protocol, open_port.port)
        if expectation:
            self.selection.add(expectation)
        return expectation is not None

    def _add_for_other_members(self, open_ports: list[OpenPort], is_source: bool) -> None:
        by_class: dict[str, list[OpenPort]] = defaultdict(list)
        for open_port in open_ports:
            by_class[(open_port.source if is_source else open_port.target).name].append(open_port)
        done = self.selection.sources if is_source else self.selection.targets
        for host_class in self.selection.classes:
            ours = by_class[host_class.name]
            others = [host for host in host_class.members if ours and host not in done]
            for number, host in enumerate(others):
                # Two inventory names of one machine cannot test every port between them.
                any(self._add_for(host, ours[(number + more) % len(ours)], is_source) for more in range(len(ours)))

    def _add_for(self, host: str, open_port: OpenPort, is_source: bool) -> bool:
        return self._add(
            open_port, self.selection.pair_with(host, open_port.target if is_source else open_port.source, is_source)
        )

    def open_ports(self) -> Iterator[OpenPort]:
        """Yield the open ports between classes. A port that two flows open is yielded twice."""
        sources = self._sources()
        for target in self.selection.classes:
            for opened in self._opened_ports(target.policy) if target.policy else ():
                for source in sources[opened.networks]:
                    yield from self._open_ports_between(source, target, opened)

    def _sources(self) -> dict[str, list[HostClass]]:
        """Return the source classes by the key of a network in the policies."""
        sources: dict[str, list[HostClass]] = defaultdict(list)
        connections = self.selection.connections
        for host_class in self.selection.classes:
            kinds = {address.kind for address in connections.comes_from[host_class.members[0]]}
            for key in sorted({key for kind in kinds for key in connections.kinds[kind].networks}):
                sources[key].append(host_class)
        return sources

    def _opened_ports(self, policy: str) -> list[_Opened]:
        if policy not in self._opened:
            plan = self.selection.connections.plan
            rules = zip(plan.policies[policy]["rules"], self.selection.connections.policy(policy).rules)
            self._opened[policy] = [
                _Opened(raw["peers"], flow_ports(plan, rule.flow, rule.ports))
                for raw, rule in rules
                if rule.direction == "in"
            ]
        return self._opened[policy]

    def _open_ports_between(self, source: HostClass, target: HostClass, opened: _Opened) -> Iterator[OpenPort]:
        """Yield the ports that the egress rules of the source also allow."""
        pair = self.selection.some_pair(source, target)
        for kind in self.selection.kinds(pair[1]) if pair else ():
            for protocol, port in opened.ports if pair else ():
                expectation = self.selection.expectation(pair, kind, protocol, port)
                if expectation and expectation.expected == OPEN:
                    yield OpenPort(source, target, kind, protocol, port)
                elif not expectation:
                    self.selection.skip_dependent(pair, kind)
