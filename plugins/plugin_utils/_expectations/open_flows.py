# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Flows by class: each between every two classes of hosts between which it lets something pass."""

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
    """The ports that a flow opens to the addresses in some networks, both by the policy of the target."""

    networks: str
    ports: list[tuple[str, int]]


@dataclass
class FlowsByClass:
    """Chooses the connections that flows let pass."""

    choice: Selection
    _opened: dict[str, list[_Opened]] = field(default_factory=dict)

    def choose(self) -> None:
        """Take each route once, and then again for each host that has no open connection where its class has one."""
        routes = list(dict.fromkeys(self.routes()))
        for route in routes:
            self._take(route, self.choice.pair(route.source, route.target))
        self._for_the_others(routes, is_source=True)
        self._for_the_others(routes, is_source=False)

    def _take(self, route: OpenPort, pair: Pair | None) -> bool:
        item = self.choice.ask(pair, route.kind, route.protocol, route.port)
        if item:
            self.choice.add(item)
        return item is not None

    def _for_the_others(self, routes: list[OpenPort], is_source: bool) -> None:
        by_class: dict[str, list[OpenPort]] = defaultdict(list)
        for route in routes:
            by_class[(route.source if is_source else route.target).name].append(route)
        done = self.choice.sources if is_source else self.choice.targets
        for found in self.choice.classes:
            ours = by_class[found.name]
            others = [host for host in found.members if ours and host not in done]
            for number, host in enumerate(others):
                # Two names of one machine cannot take every route.
                any(self._take_for(host, ours[(number + more) % len(ours)], is_source) for more in range(len(ours)))

    def _take_for(self, host: str, route: OpenPort, is_source: bool) -> bool:
        return self._take(route, self.choice.pair_with(host, route.target if is_source else route.source, is_source))

    def routes(self) -> Iterator[OpenPort]:
        """Yield what is open between classes; one that two flows open comes twice."""
        sources = self._sources()
        for target in self.choice.classes:
            for opened in self._opened_by(target.policy) if target.policy else ():
                for source in sources[opened.networks]:
                    yield from self._between(source, target, opened)

    def _sources(self) -> dict[str, list[HostClass]]:
        """By networks of policies, the classes that come from an address in them."""
        result: dict[str, list[HostClass]] = defaultdict(list)
        connections = self.choice.connections
        for found in self.choice.classes:
            kinds = {item.kind for item in connections.comes_from[found.members[0]]}
            for key in sorted({key for kind in kinds for key in connections.kinds[kind].networks}):
                result[key].append(found)
        return result

    def _opened_by(self, policy: str) -> list[_Opened]:
        if policy not in self._opened:
            plan = self.choice.connections.plan
            rules = zip(plan.policies[policy]["rules"], self.choice.connections.policy(policy).rules)
            self._opened[policy] = [
                _Opened(raw["peers"], flow_ports(plan, rule.flow, rule.ports))
                for raw, rule in rules
                if rule.direction == "in"
            ]
        return self._opened[policy]

    def _between(self, source: HostClass, target: HostClass, opened: _Opened) -> Iterator[OpenPort]:
        """What the source lets out, too."""
        pair = self.choice.some_pair(source, target)
        for kind in self.choice.kinds(pair[1]) if pair else ():
            for protocol, port in opened.ports if pair else ():
                item = self.choice.ask(pair, kind, protocol, port)
                if item and item.expected == OPEN:
                    yield OpenPort(source, target, kind, protocol, port)
                elif not item:
                    self.choice.skip_dependent(pair, kind)
