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
from typing import Any, Dict, FrozenSet, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.hpc.ports.plugins.module_utils.nft_expressions import (
    DESTINATION_NAT,
    SOURCE_NAT,
    SYN,
    Absent,
    Members,
    Unknown,
    Value,
    View,
    holds,
    number_of,
    values_of,
)
from ansible_collections.hpc.ports.plugins.module_utils.nft_tables import Chain, Rule, Table
from ansible_collections.hpc.ports.plugins.module_utils.nftables import TABLE

_HOOKS = {"in": ("ingress", "prerouting", "input"), "out": ("output", "postrouting", "egress")}
_LOOPBACK_HOOKS = ("output", "postrouting", "prerouting", "input")
_FAMILIES = {4: ("inet", "ip", "netdev", "bridge"), 6: ("inet", "ip6", "netdev", "bridge")}
# Where the kernel translates addresses, whatever the priority of a chain of type nat.
_TRANSLATES_AT = {"prerouting": -100, "output": -100, "input": 100, "postrouting": 100}
_TRACKS_AT = -200  # connection tracking, at the hooks that see a packet first
_MOST = 3  # reasons that a text names
_MAY_STOP = re.compile('"(?:drop|reject|queue|xt|fwd)"')


class Packet(NamedTuple):
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
    returns: Optional[bool] = None
    devices: FrozenSet[str] = frozenset()
    is_bridged: bool = False


class Place(NamedTuple):
    """A rule, or the policy of a base chain, as text."""

    table: str
    chain: str
    rule: str

    @property
    def is_ours(self) -> bool:
        """Tell whether it is of our table, or of our policies in firewalld's."""
        names = ("hpc_ports_in", "hpc_ports_out")
        return self.table == TABLE or self.table.endswith(" firewalld") and any(name in self.chain for name in names)

    def __str__(self) -> str:
        """Return how a text names it."""
        return "table {0}, chain {1}: {2}".format(*self)


class Judgement(NamedTuple):
    """What becomes of the packet: `accept`, `drop`, `reject` or `unknown`; which rule decides, and what is not certain.

    Of `accept`, the rule is ours where one of ours accepts. `notes` say what is done to the packet, or limits it.
    """

    verdict: str
    table: str = ""
    chain: str = ""
    rule: str = ""
    is_ours: bool = False
    unknown: str = ""
    notes: Tuple[str, ...] = ()


# ---- ways of a packet

class _Trail(NamedTuple):
    """How a packet came to where it is: what was guessed, what was noted, and who accepted it."""

    guesses: Tuple[str, ...] = ()
    notes: Tuple[str, ...] = ()
    accepted: Tuple[Place, ...] = ()

    def guessing(self, reason: str) -> "_Trail":
        """Return the trail with one more guess."""
        return self if reason in self.guesses else self._replace(guesses=(*self.guesses, reason))

    def noting(self, note: str) -> "_Trail":
        """Return the trail with one more note."""
        return self if note in self.notes else self._replace(notes=(*self.notes, note))


_Ways = Dict[View, _Trail]


class _End(NamedTuple):
    place: Place
    trail: _Trail


class _Flow(NamedTuple):
    """Where a packet may go on from a rule or a chain: to the next rule, back to the caller, or out of the base chain."""

    on: _Ways
    back: _Ways
    accepted: _Ways
    ended: Dict[str, _End]

    def end(self, verdict: str, end: _End) -> None:
        """Note a way that ends; of those with one verdict, the one with the fewest guesses counts."""
        known = self.ended.get(verdict)
        if known is None or len(end.trail.guesses) < len(known.trail.guesses):
            self.ended[verdict] = end

    def add_ends(self, other: "_Flow") -> None:
        """Note the ways out that another flow has."""
        for verdict, end in other.ended.items():
            self.end(verdict, end)
        _join(self.accepted, other.accepted)


def _flow() -> _Flow:
    return _Flow({}, {}, {}, {})


def _join(ways: _Ways, others: Mapping[View, _Trail]) -> None:
    for view, trail in others.items():
        known = ways.get(view)
        if known is None or len(trail.guesses) < len(known.guesses):
            ways[view] = trail


# ---- the walk

class Walker:
    """The rules of a host, ready for many packets.

    `legacy` names what nft does not list, by IP version; `own` are the addresses of the host.
    """

    def __init__(self, tables: Iterable[Table], legacy: Optional[Mapping[int, str]] = None,
                 own: Iterable[str] = ()) -> None:
        self.own = frozenset(own)
        self._tables = list(tables)
        self._legacy = legacy or {}
        self._members: Dict[Tuple[int, Tuple[str, ...]], Members] = {}

    def judge(self, packet: Packet) -> Judgement:
        """Return what the ruleset does with a packet."""
        flow = _flow()
        ways: _Ways = {_view_of(packet): _Trail()}
        for hook in _LOOPBACK_HOOKS if _is_looped(packet) else _HOOKS[packet.direction]:
            ways = {_at_hook(view, packet, hook): trail for view, trail in ways.items()}
            for table, chain in self._bases(packet, hook):
                ways = self._through(table, chain, packet, ways, flow)
        return self._concluded(packet, ways, flow.ended)

    def _bases(self, packet: Packet, hook: str) -> Iterator[Tuple[Table, Chain]]:
        """Yield the base chains at a hook in their order; of one priority, the youngest is first."""
        version = ipaddress.ip_address(packet.source).version
        found = [(table, chain) for table in self._tables if table.family in _FAMILIES[version]
                 for chain in table.chains.values() if chain.hook == hook and _sees(table, chain, packet)]
        return iter(sorted(reversed(found), key=lambda pair: _priority(pair[1])))

    def _through(self, table: Table, chain: Chain, packet: Packet, ways: _Ways, flow: _Flow) -> _Ways:
        """Return how the packet goes on from a base chain; ends are added to the flow."""
        if _is_opaque(table, chain, packet):
            return _past_opaque(table, chain, ways, flow)
        result: _Ways = {}
        for view, trail in ways.items():
            if chain.kind == "nat" and not _is_translated_by(chain.hook, view):
                _join(result, {view: trail})
                continue
            seen = _tracked(view, chain)
            found = self.through_rules(table, chain, {seen: trail}, chain.hook)
            self._end_base(table, chain, found)
            for state, way in found.accepted.items():
                _join(result, {state._replace(state=view.state) if state.state == seen.state else state: way})
            for verdict, end in found.ended.items():
                flow.end(verdict, end)
        return result

    @staticmethod
    def _end_base(table: Table, chain: Chain, found: _Flow) -> None:
        """Have the policy judge what came to the end of a base chain."""
        place = Place(str(table), chain.name, "policy " + chain.policy)
        for view, trail in found.on.items():
            if chain.policy == "drop":
                found.end("drop", _End(place, trail))
            else:
                _join(found.accepted, {view: trail._replace(accepted=(*trail.accepted, place))})

    def through_rules(self, table: Table, chain: Chain, ways: _Ways, hook: str) -> _Flow:
        """Return the flow through a chain; `on` are those that came to its end or returned from it."""
        result = _flow()
        for rule in chain.rules:
            after: _Ways = {}
            for view, trail in ways.items():
                found = _RuleWalk(self, table, chain, rule, hook).flow_of(view, trail)
                if list(found.on) == [view] and not (found.back or found.accepted or found.ended):
                    found = found._replace(on={view: trail})  # A guess that changes nothing is none.
                _join(after, found.on)
                _join(result.on, found.back)
                result.add_ends(found)
            ways = after
        _join(result.on, ways)
        return result

    def members_in(self, table: Table, data: Any, values: Sequence[Value], is_map: bool) -> Members:
        """Return the elements of `@name`, or of an anonymous set or map. Raises Unknown."""
        if isinstance(data, str):
            if data[1:] not in table.sets:
                raise Unknown
            elements = table.sets[data[1:]]
        else:
            elements = data["set"] if isinstance(data["set"], list) else [data["set"]]
        key = (id(elements), tuple(value.kind for value in values))
        if key not in self._members:
            self._members[key] = Members(elements, key[1], is_map)
        return self._members[key]

    def _concluded(self, packet: Packet, ways: _Ways, ended: Dict[str, _End]) -> Judgement:
        if not ways:
            return _denied(ended)
        trail = min(ways.values(), key=lambda trail: len(trail.guesses))
        legacy = self._legacy.get(ipaddress.ip_address(packet.source).version, "")
        if not ended and not legacy:
            place = next((place for place in reversed(trail.accepted) if place.is_ours),
                         trail.accepted[-1] if trail.accepted else Place("", "", "no rule"))
            return Judgement("accept", *place, is_ours=place.is_ours, notes=trail.notes)
        return _doubtful(list(ended.values()), trail, [legacy] if legacy else [])


def _denied(ended: Dict[str, _End]) -> Judgement:
    """Return the judgement on a packet that no way leads through."""
    verdict, end = min(ended.items(), key=lambda item: (item[0] == "unknown", len(item[1].trail.guesses)))
    if "unknown" in ended:
        return _doubtful(list(ended.values()), _Trail(), [])
    return Judgement(verdict, *end.place, is_ours=end.place.is_ours, notes=end.trail.notes)


def _doubtful(ends: List[_End], passing: _Trail, more: List[str]) -> Judgement:
    """Return the judgement where some ways lead through, or nobody knows; the rule is the one that may stop it."""
    reasons = list(dict.fromkeys([*more, *(text for end in ends for text in end.trail.guesses), *passing.guesses]))
    text = "; ".join(reasons[:_MOST])
    if len(reasons) > _MOST:
        text += "; and {0} more".format(len(reasons) - _MOST)
    place = min(ends, key=lambda end: len(end.trail.guesses)).place if ends else Place("", "", "")
    notes = ends[0].trail.notes if ends else passing.notes
    return Judgement("unknown", *place, is_ours=bool(ends) and place.is_ours, unknown=text, notes=notes)


# ---- hooks

def _is_looped(packet: Packet) -> bool:
    return packet.direction == "out" and packet.interface == "lo"


def _view_of(packet: Packet) -> View:
    source, destination = ipaddress.ip_address(packet.source), ipaddress.ip_address(packet.destination)
    is_inward = packet.direction == "in"
    return View(
        source.version, packet.protocol, int(source), int(destination), packet.source_port, packet.port, packet.flags,
        state=packet.state, connection_mark=0 if packet.state == "new" else None, returns=packet.returns,
        source_kind=packet.source_kind if is_inward else "local",
        destination_kind="local" if is_inward or packet.interface == "lo" else "unicast",
    )


def _at_hook(view: View, packet: Packet, hook: str) -> View:
    """Return the packet with the interfaces that a hook sees."""
    if hook in ("ingress", "prerouting", "input"):
        return view._replace(coming=packet.interface, leaving="")
    return view._replace(coming="", leaving=packet.interface if view.leaving is not None else None)


def _sees(table: Table, chain: Chain, packet: Packet) -> bool:
    if table.family == "bridge":
        return packet.is_bridged
    if chain.hook not in ("ingress", "egress") or chain.devices is None:
        return True
    return packet.interface in chain.devices or bool(chain.devices & packet.devices)


def _priority(chain: Chain) -> int:
    return _TRANSLATES_AT.get(chain.hook, chain.priority) if chain.kind == "nat" else chain.priority


def _is_opaque(table: Table, chain: Chain, packet: Packet) -> bool:
    """Tell whether a base chain is not judged: it sees frames, or nobody knows whether it sees this packet."""
    return table.family == "bridge" or chain.hook in ("ingress", "egress") and (
        chain.devices is None or packet.interface not in chain.devices)


def _past_opaque(table: Table, chain: Chain, ways: _Ways, flow: _Flow) -> _Ways:
    statements = [rule.statements for other in table.chains.values() for rule in other.rules]
    if chain.policy != "drop" and not _MAY_STOP.search(json.dumps([statements, table.sets])):
        return ways
    place = Place(str(table), chain.name, "policy " + chain.policy)
    reason = "table {0}, chain {1} (hook {2}) is not judged".format(table, chain.name, chain.hook)
    result = {view: trail.guessing(reason) for view, trail in ways.items()}
    for trail in result.values():
        flow.end("unknown", _End(place, trail))
    return result


def _tracked(view: View, chain: Chain) -> View:
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


# ---- one rule

_IGNORED = {"counter", "log", "comment", "dup", "flow", "ct helper", "ct timeout", "ct expectation", "secmark",
            "last"}
_LIMITS = {"limit", "quota", "ct count", "meter"}
_XT_HARMLESS = {"comment", "LOG", "NFLOG", "ULOG", "TRACE", "AUDIT", "CHECKSUM", "TCPMSS", "CLASSIFY", "SECMARK",
                "CONNSECMARK", "TTL", "HL", "DSCP", "TOS", "RATEEST"}
_LIMITED = re.compile("limit rate|ct count|quota")
_VERDICTS = ("accept", "drop", "continue", "return", "jump", "goto")
_ADDRESSES = {"saddr": "source", "daddr": "destination", "sport": "source_port", "dport": "port"}


class _RuleWalk:
    """One rule, of the base chain at a hook or of a chain that it leads to."""

    def __init__(self, walker: Walker, table: Table, chain: Chain, rule: Rule, hook: str) -> None:
        self._walker, self._table, self._hook, self._rule = walker, table, hook, rule
        self._place = Place(str(table), chain.name, rule.text)
        self._result = _flow()

    def flow_of(self, view: View, trail: _Trail) -> _Flow:
        """Return where a packet may go from here."""
        ways: _Ways = {view: trail}
        for number, statement in enumerate(self._rule.statements):
            after: _Ways = {}
            for one, way in ways.items():
                is_last = number + 1 == len(self._rule.statements)
                _join(after, self._past(statement, one, way, is_last))
            ways = after
        _join(self._result.on, ways)
        return self._result

    def _past(self, statement: Any, view: View, trail: _Trail, is_last: bool) -> _Ways:
        """Return how the packet comes to the next statement of the rule; note all other ways."""
        kind, data = next(iter(statement.items())) if isinstance(statement, dict) else ("?", statement)
        if kind == "match":
            return self._forked(holds(data, view, self._finder(view)), view, trail)
        if kind == "vmap":
            return self._mapped(data, view, trail)
        if kind in _VERDICTS:
            return self._judged(kind, data, view, trail)
        if kind == "reject":
            return self._rejected(data, view, trail)
        if kind in _LIMITS:
            return self._limited(kind, data, view, trail)
        if kind in ("set", "map"):
            return self._remembered(data, view, trail, is_last)
        if kind in ("mangle", "notrack"):
            return {_changed(kind, data, view, self._tracks_later()): trail}
        if kind in ("snat", "masquerade", "dnat", "redirect"):
            return self._translated(kind, data or {}, view, trail)
        if kind == "xt":
            return self._foreign(data if isinstance(data, dict) else {}, view, trail, is_last)
        if kind in _IGNORED:
            return {view: trail}
        return self._not_judged(kind, view, trail)

    def _guess(self, trail: _Trail) -> _Trail:
        return trail.guessing("it cannot be told whether this applies: {0}".format(self._place))

    def _forked(self, does_hold: Optional[bool], view: View, trail: _Trail) -> _Ways:
        trail = self._guess(trail) if does_hold is None else trail
        if not does_hold:
            _join(self._result.on, {view: trail})
        return {view: trail} if does_hold is not False else {}

    def _finder(self, view: View) -> Any:
        def members(data: Any, values: Sequence[Value], is_map: bool) -> Members:
            if isinstance(data, str) and data[1:] in view.touched:
                raise Unknown
            return self._walker.members_in(self._table, data, values, is_map)
        return members

    def _mapped(self, data: Mapping[str, Any], view: View, trail: _Trail) -> _Ways:
        """A verdict map: no element, no verdict, and on to the next rule."""
        try:
            values = values_of(data["key"], view)
            verdicts, may_miss = self._finder(view)(data["data"], values, True).found(values)
        except Absent:
            verdicts, may_miss = [], True
        except Unknown:
            return self._not_judged("vmap", view, trail)
        if len(verdicts) + may_miss > 1:
            trail = self._guess(trail)
        if may_miss:
            _join(self._result.on, {view: trail})
        for verdict in verdicts:
            kind, target = next(iter(verdict.items()))
            self._judged(kind, target, view, trail)
        return {}

    def _judged(self, kind: str, data: Any, view: View, trail: _Trail) -> _Ways:
        """A verdict is the end of a rule."""
        if kind == "accept":
            _join(self._result.accepted, {view: trail._replace(accepted=(*trail.accepted, self._place))})
        elif kind == "drop":
            self._result.end("drop", _End(self._place, trail))
        elif kind in ("jump", "goto"):
            self._led(kind, data["target"], view, trail)
        elif kind in ("return", "continue"):
            _join(self._result.back if kind == "return" else self._result.on, {view: trail})
        else:
            return self._not_judged(kind, view, trail)
        return {}

    def _led(self, kind: str, target: str, view: View, trail: _Trail) -> None:
        if target not in self._table.chains:
            _join(self._result.on, self._not_judged(kind, view, trail))
            return
        found = self._walker.through_rules(self._table, self._table.chains[target], {view: trail}, self._hook)
        self._result.add_ends(found)
        _join(self._result.on if kind == "jump" else self._result.back, found.on)

    def _rejected(self, data: Any, view: View, trail: _Trail) -> _Ways:
        """What a reject answers with can be of one family only; nft does not always list the match for that."""
        kind = (data or {}).get("type", "")
        if {"icmp": 4, "icmpv6": 6}.get(kind, view.version) == view.version and (
                kind != "tcp reset" or view.protocol == 6):
            self._result.end("reject", _End(self._place, trail))
        else:
            _join(self._result.on, {view: trail})
        return {}

    def _limited(self, kind: str, data: Any, view: View, trail: _Trail) -> _Ways:
        """A limit counts as not exceeded."""
        trail = trail.noting("limited by {0}, which counts as not exceeded: {1}".format(kind, self._place))
        if isinstance(data, dict) and data.get("inv"):
            _join(self._result.on, {view: trail})
            return {}
        if isinstance(data, str) or kind == "meter":  # A named one is defined elsewhere, a meter within.
            trail = self._guess(trail)
            _join(self._result.on, {view: trail})
        return {view: trail}

    def _remembered(self, data: Mapping[str, Any], view: View, trail: _Trail, is_last: bool) -> _Ways:
        """An element is put in a set, with what limits it; older nft list that only in the text."""
        name = str(data.get("set", data.get("map", ""))).lstrip("@")
        view = view._replace(touched=view.touched | {name})
        if "stmt" not in data and _LIMITED.search(self._rule.text):
            return self._forked(None, view, trail)
        ways: _Ways = {view: trail}
        for statement in data.get("stmt", []):
            ways = {one: way for before, its in ways.items()
                    for one, way in self._past(statement, before, its, is_last).items()}
        return ways

    def _tracks_later(self) -> bool:
        """Tell whether connection tracking is still to come for those whose state is not seen."""
        return self._hook in ("prerouting", "output")

    def _translated(self, kind: str, data: Mapping[str, Any], view: View, trail: _Trail) -> _Ways:
        """A translation accepts, too."""
        side, port = ("source", "source_port") if kind in ("snat", "masquerade") else ("destination", "port")
        address = _plain(data.get("addr")) if "addr" in data else None
        new = view
        if "addr" in data or kind in ("redirect", "masquerade"):
            new = _with(new, side, _address_number(address))
        if "port" in data:
            new = _with(new, port, data["port"] if isinstance(data["port"], int) else None)
        new = new._replace(translated=view.translated | (SOURCE_NAT if side == "source" else DESTINATION_NAT))
        target = "{0} ({1})".format(_target_text(kind, data), self._place)
        trail = trail.noting("the {0} is changed to {1}".format(side, target))
        if side == "destination":
            return self._sent_elsewhere(kind, address, new, trail, target)
        _join(self._result.accepted, {new: trail._replace(accepted=(*trail.accepted, self._place))})
        return {}

    def _sent_elsewhere(self, kind: str, address: Optional[str], view: View, trail: _Trail, target: str) -> _Ways:
        if self._hook == "output":
            view = view._replace(leaving=None, destination_kind="")
        elif kind == "dnat" and address is None and view.destination is None:
            trail = trail.guessing("it may be sent on to {0}".format(target))
            self._result.end("unknown", _End(self._place, trail))
        elif kind == "dnat" and address is not None and address not in self._walker.own:
            self._result.end("unknown", _End(self._place, trail.guessing("it is sent on to {0}".format(target))))
            return {}
        _join(self._result.accepted, {view: trail._replace(accepted=(*trail.accepted, self._place))})
        return {}

    def _foreign(self, data: Mapping[str, Any], view: View, trail: _Trail, is_last: bool) -> _Ways:
        """An extension of iptables. Older nft do not name it in JSON; what stands last may be a target."""
        name, kind = data.get("name", ""), data.get("type", "target" if is_last else "match")
        if name in _XT_HARMLESS:
            return {view: trail}
        if name in ("MARK", "CONNMARK"):
            return {view._replace(mark=None, connection_mark=None): trail}
        if name in ("MASQUERADE", "SNAT"):
            return self._translated("masquerade", {}, view, trail)
        if name == "REJECT":
            return self._rejected({}, view, trail)
        if kind == "match":
            return self._forked(None, view, trail)
        return self._not_judged("xt " + name, view, trail)

    def _not_judged(self, what: str, view: View, trail: _Trail) -> _Ways:
        """Anything may come of it."""
        trail = trail.guessing("what this does is not judged ({0}): {1}".format(what.strip(), self._place))
        self._result.end("unknown", _End(self._place, trail))
        return {view: trail}


def _plain(data: Any) -> Optional[str]:
    """Return an address that a rule names, not one that a map or a range gives."""
    return data if isinstance(data, str) else None


def _address_number(text: Optional[str]) -> Optional[int]:
    return None if text is None else int(ipaddress.ip_address(text))


def _target_text(kind: str, data: Mapping[str, Any]) -> str:
    address = data.get("addr", {"redirect": "this host", "masquerade": "that of the interface"}.get(kind, ""))
    text = address if isinstance(address, str) else "one of several addresses"
    if "port" in data:
        text += " port {0}".format(data["port"] if isinstance(data["port"], int) else "of several")
    return text.strip()


def _changed(kind: str, data: Any, view: View, tracks_later: bool) -> View:
    """Return the packet as a statement leaves it that judges nothing."""
    if kind == "notrack":
        return view._replace(state="untracked") if tracks_later and view.state == "" else view
    key, value = data["key"], data["value"]
    mark = _mark(value, view)
    if key == {"meta": {"key": "mark"}}:
        return view._replace(mark=mark)
    if key == {"ct": {"key": "mark"}}:
        return view._replace(connection_mark=mark)
    field = key.get("payload", {}).get("field") if isinstance(key, dict) else None
    return _with(view, _ADDRESSES[field], None) if field in _ADDRESSES else view


def _with(view: View, field: str, number: Optional[int]) -> View:
    return View(**{**view._asdict(), field: number})


def _mark(value: Any, view: View) -> Optional[int]:
    try:
        if isinstance(value, dict):
            found = values_of(value, view)[0]
            return found.number if found.known == -1 and isinstance(found.number, int) else None
        return number_of("mark", value)
    except (Absent, Unknown):
        return None
