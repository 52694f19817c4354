# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What does the whole ruleset of a host, as the kernel lists it, do with a packet, and which rule does it? Pure.

The packet goes through the base chains of all hooks that it meets, in the order of the kernel. Where a rule looks at
what cannot be told, both ways are gone; ways that come to the same are one again. So what is unknown makes a verdict
unknown only where it can change it.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._ruleset.expressions import View
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.paths import (
    Branches,
    End,
    Exits,
    Place,
    Trail,
    join,
    no_exits,
)
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.rule_walk import RuleWalk
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.sets import Members
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.symbols import (
    DESTINATION_NAT,
    SOURCE_NAT,
    SYN,
    Unknown,
    Value,
)
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.tables import ListedChain, ListedTable

_HOOKS = {"in": ("ingress", "prerouting", "input"), "out": ("output", "postrouting", "egress")}
_LOOPBACK_HOOKS = ("output", "postrouting", "prerouting", "input")
_FAMILIES = {4: ("inet", "ip", "netdev", "bridge"), 6: ("inet", "ip6", "netdev", "bridge")}
# Where the kernel translates addresses, whatever the priority of a chain of type nat.
_TRANSLATES_AT = {"prerouting": -100, "output": -100, "input": 100, "postrouting": 100}
_TRACKS_AT = -200  # connection tracking, at the hooks that see a packet first
_MOST = 3  # reasons that a text names
_MAY_STOP = re.compile('"(?:drop|reject|queue|xt|fwd)"')


class TracedPacket(NamedTuple):
    """A packet with both its ends, by default the first of a TCP connection. `protocol` is a number.

    `state` is that of connection tracking. What is known beside: `source_kind` is the type of the route to the source,
    such as `unicast`; `returns` tells whether that route goes back over the interface; `devices` are those under the
    interface, such as ports of a bridge; `is_bridged` tells that a bridge is among them, or is the interface.
    """

    direction: str
    protocol: int
    source: str
    destination: str
    port: int
    source_port: int = 49152
    interface: str = "eth0"
    state: str = "new"
    flags: int = SYN
    source_kind: str = ""
    returns: bool | None = None
    devices: frozenset[str] = frozenset()
    is_bridged: bool = False


class Trace(NamedTuple):
    """What becomes of the packet: `accept`, `drop`, `reject` or `unknown`; which rule decides, and what is not certain.

    Of `accept`, the rule is ours where one of ours accepts. `notes` say what is done to the packet, or limits it.
    """

    verdict: str
    table: str = ""
    chain: str = ""
    rule: str = ""
    is_ours: bool = False
    unknown: str = ""
    notes: tuple[str, ...] = ()


# ---- the walk


class Walker:
    """The rules of a host, ready for many packets.

    `legacy` names what nft does not list, by IP version; `own` are the addresses of the host.
    """

    def __init__(
        self, tables: Iterable[ListedTable], legacy: Mapping[int, str] | None = None, own: Iterable[str] = ()
    ) -> None:
        self.own = frozenset(own)
        self._tables = list(tables)
        self._legacy = legacy or {}
        self._members: dict[tuple[int, tuple[str, ...]], Members] = {}

    def trace(self, packet: TracedPacket) -> Trace:
        """Return what the ruleset does with a packet."""
        flow = no_exits()
        ways: Branches = {_view_of(packet): Trail()}
        for hook in _LOOPBACK_HOOKS if _is_looped(packet) else _HOOKS[packet.direction]:
            ways = {_at_hook(view, packet, hook): trail for view, trail in ways.items()}
            for table, chain in self._bases(packet, hook):
                ways = self._through(table, chain, packet, ways, flow)
        return self._concluded(packet, ways, flow.ended)

    def _bases(self, packet: TracedPacket, hook: str) -> Iterator[tuple[ListedTable, ListedChain]]:
        """Yield the base chains at a hook in their order; of one priority, the youngest is first."""
        version = ipaddress.ip_address(packet.source).version
        found = [
            (table, chain)
            for table in self._tables
            if table.family in _FAMILIES[version]
            for chain in table.chains.values()
            if chain.hook == hook and _sees(table, chain, packet)
        ]
        return iter(sorted(reversed(found), key=lambda pair: _priority(pair[1])))

    def _through(
        self, table: ListedTable, chain: ListedChain, packet: TracedPacket, ways: Branches, flow: Exits
    ) -> Branches:
        """Return how the packet goes on from a base chain; ends are added to the flow."""
        if _is_opaque(table, chain, packet):
            return _past_opaque(table, chain, ways, flow)
        result: Branches = {}
        for view, trail in ways.items():
            if chain.kind == "nat" and not _is_translated_by(chain.hook, view):
                join(result, {view: trail})
                continue
            seen = _tracked(view, chain)
            found = self.walk_chain(table, chain, {seen: trail}, chain.hook)
            self._end_base(table, chain, found)
            for state, way in found.accepted.items():
                join(result, {state._replace(state=view.state) if state.state == seen.state else state: way})
            for verdict, end in found.ended.items():
                flow.end(verdict, end)
        return result

    @staticmethod
    def _end_base(table: ListedTable, chain: ListedChain, found: Exits) -> None:
        """Have the policy judge what came to the end of a base chain."""
        place = Place(str(table), chain.name, "policy " + chain.policy)
        for view, trail in found.onward.items():
            if chain.policy == "drop":
                found.end("drop", End(place, trail))
            else:
                join(found.accepted, {view: trail._replace(accepted=(*trail.accepted, place))})

    def walk_chain(self, table: ListedTable, chain: ListedChain, ways: Branches, hook: str) -> Exits:
        """Return the flow through a chain; `on` are those that came to its end or returned from it."""
        result = no_exits()
        for rule in chain.rules:
            after: Branches = {}
            for view, trail in ways.items():
                found = RuleWalk(self, table, chain, rule, hook).exits_of(view, trail)
                if list(found.onward) == [view] and not (found.returned or found.accepted or found.ended):
                    found = found._replace(onward={view: trail})  # A guess that changes nothing is none.
                join(after, found.onward)
                join(result.onward, found.returned)
                result.add_ends(found)
            ways = after
        join(result.onward, ways)
        return result

    def members_in(self, table: ListedTable, data: Any, values: Sequence[Value], is_map: bool) -> Members:
        """Return the elements of `@name`, or of an anonymous set or map. Raises Unknown."""
        if isinstance(data, str):
            if data[1:] not in table.sets:
                raise Unknown
            kept = elements = table.sets[data[1:]]
        else:
            kept = data["set"]
            elements = kept if isinstance(kept, list) else [kept]
        # What the tables hold lives as long as they do, so that its identity stands for it.
        key = (id(kept) if isinstance(kept, list) else id(data), tuple(value.kind for value in values))
        if key not in self._members:
            self._members[key] = Members(elements, key[1], is_map)
        return self._members[key]

    def _concluded(self, packet: TracedPacket, ways: Branches, ended: dict[str, End]) -> Trace:
        if not ways:
            return _denied(ended)
        trail = min(ways.values(), key=lambda trail: len(trail.guesses))
        legacy = self._legacy.get(ipaddress.ip_address(packet.source).version, "")
        if not ended and not legacy:
            place = next(
                (place for place in reversed(trail.accepted) if place.is_ours),
                trail.accepted[-1] if trail.accepted else Place("", "", "no rule"),
            )
            return Trace("accept", *place, is_ours=place.is_ours, notes=trail.notes)
        return _doubtful(list(ended.values()), trail, [legacy] if legacy else [])


def _denied(ended: dict[str, End]) -> Trace:
    """Return the judgement on a packet that no way leads through."""
    if "unknown" in ended:
        return _doubtful(list(ended.values()), Trail(), [])
    verdict, end = list(ended.items())[-1]
    return Trace(verdict, *end.place, is_ours=end.place.is_ours, notes=end.trail.notes)


def _doubtful(ends: list[End], passing: Trail, more: list[str]) -> Trace:
    """Return the judgement where some ways lead through, or nobody knows; the rule is the one that may stop it.

    Of several, the last: it stops whatever the others let by, as a policy does.
    """
    reasons = list(dict.fromkeys([*more, *(text for end in ends for text in end.trail.guesses), *passing.guesses]))
    text = "; ".join(reasons[:_MOST])
    if len(reasons) > _MOST:
        text += f"; and {len(reasons) - _MOST} more"
    place = ends[-1].place if ends else Place("", "", "")
    notes = ends[-1].trail.notes if ends else passing.notes
    return Trace("unknown", *place, is_ours=bool(ends) and place.is_ours, unknown=text, notes=notes)


# ---- hooks


def _is_looped(packet: TracedPacket) -> bool:
    return packet.direction == "out" and packet.interface == "lo"


def _view_of(packet: TracedPacket) -> View:
    source, destination = ipaddress.ip_address(packet.source), ipaddress.ip_address(packet.destination)
    is_inward = packet.direction == "in"
    return View(
        source.version,
        packet.protocol,
        int(source),
        int(destination),
        packet.source_port,
        packet.port,
        packet.flags,
        state=packet.state,
        connection_mark=0 if packet.state == "new" else None,
        returns=packet.returns,
        source_kind=packet.source_kind if is_inward else "local",
        destination_kind="local" if is_inward or packet.interface == "lo" else "unicast",
    )


def _at_hook(view: View, packet: TracedPacket, hook: str) -> View:
    """Return the packet with the interfaces that a hook sees."""
    if hook in ("ingress", "prerouting", "input"):
        return view._replace(coming=packet.interface, leaving="")
    return view._replace(coming="", leaving=packet.interface if view.leaving is not None else None)


def _sees(table: ListedTable, chain: ListedChain, packet: TracedPacket) -> bool:
    if table.family == "bridge":
        return packet.is_bridged
    if chain.hook not in ("ingress", "egress") or chain.devices is None:
        return True
    return packet.interface in chain.devices or bool(chain.devices & packet.devices)


def _priority(chain: ListedChain) -> int:
    return _TRANSLATES_AT.get(chain.hook, chain.priority) if chain.kind == "nat" else chain.priority


def _is_opaque(table: ListedTable, chain: ListedChain, packet: TracedPacket) -> bool:
    """Tell whether a base chain is not judged: it sees frames, or nobody knows whether it sees this packet."""
    return (
        table.family == "bridge"
        or chain.hook in ("ingress", "egress")
        and (chain.devices is None or packet.interface not in chain.devices)
    )


def _past_opaque(table: ListedTable, chain: ListedChain, ways: Branches, flow: Exits) -> Branches:
    statements = [rule.statements for other in table.chains.values() for rule in other.rules]
    if chain.policy != "drop" and not _MAY_STOP.search(json.dumps([statements, table.sets])):
        return ways
    place = Place(str(table), chain.name, "policy " + chain.policy)
    reason = f"table {table}, chain {chain.name} (hook {chain.hook}) is not evaluated"
    result = {view: trail.guessing(reason) for view, trail in ways.items()}
    for trail in result.values():
        flow.end("unknown", End(place, trail))
    return result


def _tracked(view: View, chain: ListedChain) -> View:
    """Return the packet with the state that a base chain sees, which may be before connection tracking."""
    if view.state == "untracked" or chain.hook in ("input", "postrouting"):
        return view
    if chain.hook in ("ingress", "egress") or _priority(chain) < _TRACKS_AT:
        return view._replace(state="")
    return view._replace(state=None) if _priority(chain) == _TRACKS_AT else view


def _is_translated_by(hook: str, view: View) -> bool:
    """Tell whether chains of type nat see it: the first packet of a connection, until one translates it."""
    bit = DESTINATION_NAT if hook in ("prerouting", "output") else SOURCE_NAT
    return view.state == "new" and not view.translated & bit
