# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Warned ports by class: on every managed host, what the documents warn of, from a host that must not reach it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from ansible_collections.hpc.ports.plugins.plugin_utils._expectations.selection import Selection, turned
from ansible_collections.hpc.ports.plugins.plugin_utils._expectations.warned_ports import WarnedPort, warned_ports
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.connections import FILTERED, Expectation
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.host_classes import HostClass

# So many classes take turns as the source that must not reach a port of another one.
_TURNS = 12


@dataclass
class WarnedByClass:
    """Chooses the sources: outsiders where there are some, for what is a cluster's own hosts of other clusters."""

    choice: Selection
    _kept_out: dict[tuple[str, int, WarnedPort], list[HostClass]] = field(default_factory=dict)
    _untried: Counter[WarnedPort] = field(default_factory=Counter)

    def choose(self) -> None:
        """Take each port of each managed host, at one of its addresses, and note where nobody must be kept out."""
        connections = self.choice.connections
        ports = warned_ports(connections.plan.catalogue.services)
        targets = ((target, host) for target in self.choice.classes if target.policy for host in target.members)
        for number, (target, host) in enumerate(targets):
            for index, port in enumerate(ports):
                item = self._tried(target, host, port, number, index)
                if item:
                    self.choice.add(item)
                else:
                    self._untried[port] += 1
        for port, count in self._untried.items():
            connections.skip(
                "",
                "",
                f"{port.title} ({port.port}/{port.protocol}) on {count} hosts: {port.reason}, but the plan blocks no "
                "other host of this run.",
                count,
            )

    def _tried(self, target: HostClass, host: str, port: WarnedPort, number: int, index: int) -> Expectation | None:
        """The families take turns from port to port, the sources from host to host: so few pairs have to find a way."""
        for kind in turned(sorted(self.choice.kinds(host)), number + index):
            for turn, source in self._sources(target, kind, port, number):
                for member in turned(source.members, turn):
                    if member != host and not self.choice.connections.why_not(member, host):
                        return self.choice.ask((member, host), kind, port.protocol, port.port)
        return None

    def _sources(self, target: HostClass, kind: int, port: WarnedPort, number: int) -> Iterator[tuple[int, HostClass]]:
        """Those that take turns; then, for a host that is the same machine as all of their members, the others.

        With each comes whose turn it is among its members: the next one's when all classes had theirs.
        """
        found = self._first_sources(target, kind, port)
        for item in turned(found, number):
            yield number // len(found), item
        for item in self.choice.classes if found else ():
            if self._is_kept_out(item, target, kind, port, strict=False):
                yield number, item

    def _first_sources(self, target: HostClass, kind: int, port: WarnedPort) -> list[HostClass]:
        key = (target.name, kind, port)
        if key not in self._kept_out:
            kept_out = ((strict, group) for strict in (True, False) for group in self._groups(target, port))
            found = (
                list(
                    islice(
                        (source for source in group if self._is_kept_out(source, target, kind, port, strict)), _TURNS
                    )
                )
                for strict, group in kept_out
            )
            self._kept_out[key] = next(filter(None, found), [])
        return self._kept_out[key]

    def _groups(self, target: HostClass, port: WarnedPort) -> Iterator[Sequence[HostClass]]:
        """Classes in the order in which they are asked; within a group they begin with another one for each target."""
        classes = turned(self.choice.classes, self.choice.classes.index(target))
        outsiders = [item for item in classes if not item.policy]
        managed = [item for item in classes if item.policy]
        if port.cluster:
            yield [item for item in managed if not item.clusters & target.clusters]
        yield outsiders
        yield managed

    def _is_kept_out(self, source: HostClass, target: HostClass, kind: int, port: WarnedPort, strict: bool) -> bool:
        """Tell whether the plan denies it; with `strict`, whether the target does and the source does not."""
        pair = self.choice.some_pair(source, target)
        item = self.choice.ask(pair, kind, port.protocol, port.port)
        if not pair or item is None or item.expected != FILTERED:
            return False
        address = self.choice.kinds(pair[1])[kind][0]
        return (
            not strict
            or item.denied_by == "target"
            and self.choice.connections.judgement(pair[0], "out", port.protocol, port.port, address).passes
        )
