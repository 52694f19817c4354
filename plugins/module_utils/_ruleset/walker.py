# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Trace a packet through the whole ruleset of a host: what happens to it, and which rule decides. No side effects.

The packet passes the base chains of all its hooks, in the order of the kernel. A packet that rules send to another
address, such as a container, passes the hooks of forwarded packets instead of those of packets to this host. If the
result of a match is unknown, both branches are followed; branches with the same state are joined. Unknown facts make a
verdict unknown only if they can change it.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Callable, NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._model.wire import TRANSLATED, WOULD_BE_TRANSLATED
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

_ARRIVING, _DELIVERED = ("ingress", "prerouting"), ("input",)
_LEAVING = ("output", "postrouting", "egress")
# Of a forwarded packet, only tables of the family bridge have the hook output.
_FORWARDED = ("forward", *_LEAVING)
_LOOPBACK_HOOKS = ("output", "postrouting", "prerouting", "input")
_HERE = ("local", "broadcast", "multicast", "anycast")  # types of routes to this host
_FAMILIES = {4: ("inet", "ip", "netdev", "bridge"), 6: ("inet", "ip6", "netdev", "bridge")}
# The priority at which the kernel translates addresses; the priority of a chain of type nat has no effect on this.
_TRANSLATES_AT = {"prerouting": -100, "output": -100, "input": 100, "postrouting": 100}
_TRACKS_AT = -200  # priority of connection tracking, at the first hook of a packet
_MOST = 3  # reasons listed in a message
_POLICY = "policy "  # begins the rule of a place if the policy of a chain decides
# The rule for what NAT sends to a container, in our chain of the hook forward.
_JUDGED_BEFORE = "ct status dnat accept"
_MAY_STOP = re.compile('"(?:drop|reject|queue|xt|fwd)"')


class TracedPacket(NamedTuple):
    """A packet with both its ends, by default the first packet of a TCP connection.

    direction    as this host sees it: `in`, `out`, or `through` for a packet of a container to another host
    protocol     number of the IP protocol
    state        state of connection tracking
    source_kind  type of the route to the source, such as `unicast`; empty: unknown
    returns      whether the route to the source uses the incoming interface; None: unknown
    devices      devices below the interface, such as ports of a bridge
    is_bridged   whether one of these devices or the interface is a bridge
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
    """What happens to a packet, and which rule decides.

    verdict  `accept`, `drop`, `reject` or `unknown`
    table, chain, rule  the deciding rule; for `accept` a rule of hpc.ports if one accepts the packet
    unknown  why the verdict is unknown, or empty
    notes    translations and limits that rules apply to the packet
    """

    verdict: str
    table: str = ""
    chain: str = ""
    rule: str = ""
    is_ours: bool = False
    unknown: str = ""
    notes: tuple[str, ...] = ()


class Hop(NamedTuple):
    """Where the host sends a packet that came in.

    kind       type of the route to the destination, such as `local`; empty: unknown
    interface  the outgoing interface; None: unknown
    devices, is_bridged  as of `TracedPacket`
    error      why the packet is not forwarded, or empty
    """

    kind: str = ""
    interface: str | None = None
    devices: frozenset[str] = frozenset()
    is_bridged: bool = True
    error: str = ""


class Walk(NamedTuple):
    """The way of a packet: what happens to it, and the states in which it may pass all rules."""

    trace: Trace
    passed: tuple[View, ...]


def no_route(view: View) -> Hop:
    """Return that the way of a packet is unknown."""
    return Hop()


class Walker:
    """Traces packets through the rules of a host.

    `legacy`: rules that nft does not list, as a text by IP version. `hop_of`: where the host sends a packet.
    """

    def __init__(
        self,
        tables: Iterable[ListedTable],
        legacy: Mapping[int, str] | None = None,
        hop_of: Callable[[View], Hop] = no_route,
    ) -> None:
        self._hop_of = hop_of
        self._tables = list(tables)
        self._legacy = legacy or {}
        self._members: dict[tuple[int, tuple[str, ...]], Members] = {}

    def trace(self, packet: TracedPacket) -> Trace:
        """Return what the ruleset does with a packet."""
        return self.walk(packet).trace

    def walk(self, packet: TracedPacket) -> Walk:
        """Return the way of a packet through the ruleset."""
        exits = no_exits()
        branches: Branches = {self._view_of(packet): Trail()}
        if _is_looped(packet):
            branches = self._pass_hooks(_LOOPBACK_HOOKS, packet, branches, exits)
        elif packet.direction == "out":
            branches = self._pass_hooks(_LEAVING, packet, branches, exits)
        else:
            branches = self._pass_hooks(_ARRIVING, packet, branches, exits)
            branches = self._pass_routed(packet, branches, exits)
        trace = self._conclude(packet, branches, exits.ended)
        if trace.verdict in ("drop", "reject") and packet.direction == "in":
            trace = trace._replace(notes=trace.notes + self._translations_not_reached(packet, trace))
        return Walk(trace, tuple(branches))

    def kind_of(self, view: View) -> str:
        """Return the type of the route to the destination of a packet; empty if it is unknown."""
        return self._hop_of(view).kind if view.destination is not None else ""

    def _view_of(self, packet: TracedPacket) -> View:
        view = _view_of(packet)
        if packet.direction == "out":
            return view
        view = _at_hook(view, packet, "prerouting")
        # Without knowledge of routes, a packet that comes in is for this host.
        return view._replace(destination_kind=self.kind_of(view) or ("local" if packet.direction == "in" else ""))

    def _translations_not_reached(self, packet: TracedPacket, trace: Trace) -> tuple[str, ...]:
        """Return the notes of rules that would translate the destination, if the packet did not end before them."""
        branches: Branches = {self._view_of(packet): Trail()}
        for table, chain in self._base_chains(packet, "prerouting"):
            if chain.kind == "nat":
                branches = self._pass_base_chain(table, chain, packet, branches, no_exits())
        certain = [trail.notes for trail in branches.values() if not trail.guesses]
        return tuple(
            WOULD_BE_TRANSLATED + note[len(TRANSLATED) :]
            for note in (certain[0] if certain else ())
            if note.startswith(TRANSLATED) and note not in trace.notes
        )

    # ---- hooks

    def _pass_hooks(self, hooks: Iterable[str], packet: TracedPacket, branches: Branches, exits: Exits) -> Branches:
        """Return the branches that pass all base chains at these hooks; the ends are added to `exits`."""
        for hook in hooks:
            branches = {_at_hook(view, packet, hook): trail for view, trail in branches.items()}
            for table, chain in self._base_chains(packet, hook):
                branches = self._pass_base_chain(table, chain, packet, branches, exits)
        return branches

    def _pass_routed(self, packet: TracedPacket, branches: Branches, exits: Exits) -> Branches:
        """Return the branches that pass the hooks after prerouting: of packets to this host, or of forwarded ones."""
        here = {view: trail for view, trail in branches.items() if view.destination_kind in _HERE}
        result = self._pass_hooks(_DELIVERED, packet, here, exits)
        for view, trail in branches.items():
            if view not in here:
                join(result, self._pass_forwarded(packet, view, trail, exits))
        return result

    def _pass_forwarded(self, packet: TracedPacket, view: View, trail: Trail, exits: Exits) -> Branches:
        """Return the branches that pass the hooks of forwarded packets, on the interface of the route."""
        hop = self._hop_of(view) if view.destination is not None else Hop()
        reason = _reason_not_forwarded(packet, view, hop, trail)
        if reason:
            exits.end("unknown", End(Place("", "", ""), trail.guessing(reason)))
            return {}
        onward = packet._replace(
            direction="through", interface=hop.interface or "", devices=hop.devices, is_bridged=hop.is_bridged
        )
        view = view._replace(incoming=packet.interface, outgoing=hop.interface)
        return self._pass_hooks(_FORWARDED, onward, {view: trail}, exits)

    def _base_chains(self, packet: TracedPacket, hook: str) -> Iterator[tuple[ListedTable, ListedChain]]:
        """Yield the base chains at a hook in their order; of those with the same priority, the youngest comes first."""
        version = ipaddress.ip_address(packet.source).version
        chains = [
            (table, chain)
            for table in self._tables
            if table.family in _FAMILIES[version]
            for chain in table.chains.values()
            if chain.hook == hook and _sees(table, chain, packet)
        ]
        return iter(sorted(reversed(chains), key=lambda pair: _priority(pair[1])))

    def _pass_base_chain(
        self, table: ListedTable, chain: ListedChain, packet: TracedPacket, branches: Branches, exits: Exits
    ) -> Branches:
        """Return the branches that pass a base chain; the ends are added to `exits`."""
        if _is_opaque(table, chain, packet):
            return _pass_opaque_chain(table, chain, branches, exits)
        result: Branches = {}
        for view, trail in branches.items():
            if chain.kind == "nat" and not _is_translated_by(chain.hook, view):
                join(result, {view: trail})
                continue
            seen = _with_state_at(view, chain)
            chain_exits = self.walk_chain(table, chain, {seen: trail}, chain.hook)
            self._apply_policy(table, chain, chain_exits)
            for after, history in chain_exits.accepted.items():
                join(result, {after._replace(state=view.state) if after.state == seen.state else after: history})
            for verdict, end in chain_exits.ended.items():
                exits.end(verdict, end)
        return result

    @staticmethod
    def _apply_policy(table: ListedTable, chain: ListedChain, exits: Exits) -> None:
        """Apply the policy to the branches that reached the end of a base chain."""
        place = Place(str(table), chain.name, _POLICY + chain.policy)
        for view, trail in exits.onward.items():
            if chain.policy == "drop":
                exits.end("drop", End(place, trail))
            else:
                join(exits.accepted, {view: trail._replace(accepted=(*trail.accepted, place))})

    def walk_chain(self, table: ListedTable, chain: ListedChain, branches: Branches, hook: str) -> Exits:
        """Return the exits of a chain; `onward` has the branches that reached its end or returned from it."""
        result = no_exits()
        for rule in chain.rules:
            after: Branches = {}
            for view, trail in branches.items():
                rule_exits = RuleWalk(self, table, chain, rule, hook).exits_of(view, trail)
                is_unchanged = not (rule_exits.returned or rule_exits.accepted or rule_exits.ended)
                if is_unchanged and list(rule_exits.onward) == [view]:
                    rule_exits = rule_exits._replace(onward={view: trail})  # An assumption without effect is dropped.
                join(after, rule_exits.onward)
                join(result.onward, rule_exits.returned)
                result.add_ends(rule_exits)
            branches = after
        join(result.onward, branches)
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
        # The lists live as long as the tables, so their id() can be the key.
        key = (id(kept) if isinstance(kept, list) else id(data), tuple(value.kind for value in values))
        if key not in self._members:
            self._members[key] = Members(elements, key[1], is_map)
        return self._members[key]

    def _conclude(self, packet: TracedPacket, branches: Branches, ended: dict[str, End]) -> Trace:
        legacy = self._legacy.get(ipaddress.ip_address(packet.source).version, "")
        if not branches:
            return _denied_trace(ended, [legacy] if legacy else [])
        trail = min(branches.values(), key=lambda trail: len(trail.guesses))
        if not ended and not legacy:
            place = _accepting_place(trail)
            return Trace("accept", *place, is_ours=place.is_ours, notes=trail.notes)
        return _unknown_trace(list(ended.values()), trail, [legacy] if legacy else [])


def _accepting_place(trail: Trail) -> Place:
    """Return the rule that accepts a packet: of our rules the last one that judges it.

    Our chain of the hook input only accepts what our chain before it has judged, and so does the rule for translated
    packets in our chain of the hook forward.
    """
    ours = [place for place in trail.accepted if place.is_ours and place.rule != _JUDGED_BEFORE]
    judging = [
        place for place in ours if not place.rule.startswith(_POLICY) and place.chain not in ("input", "translated")
    ]
    return (*judging[-1:], *ours[-1:], *trail.accepted[-1:], Place("", "", "no rule"))[0]


def _denied_trace(ended: dict[str, End], more: list[str]) -> Trace:
    """Return the trace of a packet that no branch lets through; `more`: reasons why that may be unknown."""
    if "unknown" in ended:
        return _unknown_trace(list(ended.values()), Trail(), more)
    verdict, end = list(ended.items())[-1]
    return Trace(verdict, *end.place, is_ours=end.place.is_ours, notes=end.trail.notes)


def _unknown_trace(ends: list[End], passing: Trail, more: list[str]) -> Trace:
    """Return the trace of a packet whose verdict is unknown, with the rule that may stop it.

    Of several such rules the last one is named: it stops all packets that the others accept, as a policy does.
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
        source_kind="local" if packet.direction == "out" else packet.source_kind,
        destination_kind="local" if packet.interface == "lo" else "unicast",
    )


def _reason_not_forwarded(packet: TracedPacket, view: View, hop: Hop, trail: Trail) -> str:
    """Return why the way of a packet that is not for this host cannot be followed, or an empty text."""
    if packet.direction == "in" and not view.translated & DESTINATION_NAT:
        return f"{packet.destination} is not an address of this host."
    where = next((note[len(TRANSLATED) :] for note in trail.notes if note.startswith(TRANSLATED)), packet.destination)
    if not hop.kind:
        return f"it may be forwarded to {where}"
    return f"it is sent to {where}, but {hop.error}" if hop.error else ""


def _at_hook(view: View, packet: TracedPacket, hook: str) -> View:
    """Return the packet with the interfaces that it has at a hook; those of a forwarded packet do not change."""
    if hook in ("ingress", "prerouting", "input"):
        return view._replace(incoming=packet.interface, outgoing="")
    if packet.direction == "through":
        return view._replace(incoming="") if hook == "egress" else view
    return view._replace(incoming="", outgoing=packet.interface if view.outgoing is not None else None)


def _sees(table: ListedTable, chain: ListedChain, packet: TracedPacket) -> bool:
    """Return whether a base chain may see the packet on its interface, which may be unknown (empty)."""
    if table.family == "bridge":
        return packet.is_bridged and chain.hook != "forward"
    if chain.hook == "output" and packet.direction == "through":
        return False
    if chain.hook not in ("ingress", "egress") or chain.devices is None:
        return True
    return not packet.interface or packet.interface in chain.devices or bool(chain.devices & packet.devices)


def _priority(chain: ListedChain) -> int:
    return _TRANSLATES_AT.get(chain.hook, chain.priority) if chain.kind == "nat" else chain.priority


def _is_opaque(table: ListedTable, chain: ListedChain, packet: TracedPacket) -> bool:
    """Return whether a base chain cannot be evaluated: it sees frames, or it is unknown whether it sees this packet."""
    return (
        table.family == "bridge"
        or chain.hook in ("ingress", "egress")
        and (chain.devices is None or packet.interface not in chain.devices)
    )


def _pass_opaque_chain(table: ListedTable, chain: ListedChain, branches: Branches, exits: Exits) -> Branches:
    statements = [rule.statements for other in table.chains.values() for rule in other.rules]
    if chain.policy != "drop" and not _MAY_STOP.search(json.dumps([statements, table.sets])):
        return branches
    place = Place(str(table), chain.name, _POLICY + chain.policy)
    reason = f"table {table}, chain {chain.name} (hook {chain.hook}) is not evaluated"
    result = {view: trail.guessing(reason) for view, trail in branches.items()}
    for trail in result.values():
        exits.end("unknown", End(place, trail))
    return result


def _with_state_at(view: View, chain: ListedChain) -> View:
    """Return the packet with the state that a base chain sees; before connection tracking there is none."""
    if view.state == "untracked" or chain.hook in ("input", "forward", "postrouting"):
        return view
    if chain.hook in ("ingress", "egress") or _priority(chain) < _TRACKS_AT:
        return view._replace(state="")
    return view._replace(state=None) if _priority(chain) == _TRACKS_AT else view


def _is_translated_by(hook: str, view: View) -> bool:
    """Return whether chains of type nat see the packet: the first of a connection, until a chain translates it."""
    bit = DESTINATION_NAT if hook in ("prerouting", "output") else SOURCE_NAT
    return view.state == "new" and not view.translated & bit
