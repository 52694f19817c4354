# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Evaluate one rule for a packet: on which branches the packet continues, and where branches end."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from ansible_collections.hpc.ports.plugins.module_utils._model.wire import TRANSLATED
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.expressions import Absent, View, holds, values_of
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.paths import (
    Branches,
    End,
    Exits,
    Place,
    Trail,
    join,
    no_exits,
)
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.sets import Members
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.symbols import (
    DESTINATION_NAT,
    EVERY_BIT,
    SOURCE_NAT,
    Unknown,
    Value,
    number_of,
)
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.tables import ListedChain, ListedRule, ListedTable

_IGNORED = {"counter", "log", "comment", "dup", "flow", "ct helper", "ct timeout", "ct expectation", "secmark", "last"}
_LIMITS = {"limit", "quota", "ct count", "meter"}
_XT_HARMLESS = {
    "comment",
    "LOG",
    "NFLOG",
    "ULOG",
    "TRACE",
    "AUDIT",
    "CHECKSUM",
    "TCPMSS",
    "CLASSIFY",
    "SECMARK",
    "CONNSECMARK",
    "TTL",
    "HL",
    "DSCP",
    "TOS",
    "RATEEST",
}
# Extension headers of IPv6, which packets that open a connection do not have.
_XT_HEADERS = {"rt", "frag", "hbh", "dst"}
_LIMITED = re.compile("limit rate|ct count|quota")
_VERDICTS = ("accept", "drop", "continue", "return", "jump", "goto")
_ADDRESSES = {"saddr": "source", "daddr": "destination", "sport": "source_port", "dport": "port"}


class ChainWalker(Protocol):
    """The ruleset that a rule belongs to."""

    def kind_of(self, view: View) -> str:
        """Return the type of the route to the destination of a packet; empty if it is unknown."""

    def walk_chain(self, table: ListedTable, chain: ListedChain, branches: Branches, hook: str) -> Exits:
        """Return the exits of a chain."""

    def members_in(self, table: ListedTable, data: Any, values: Sequence[Value], is_map: bool) -> Members:
        """Return the elements of a set or map. Raises Unknown."""


class RuleWalk:
    """One rule in a base chain at a hook, or in a chain that this base chain jumps to."""

    def __init__(
        self, ruleset: ChainWalker, table: ListedTable, chain: ListedChain, rule: ListedRule, hook: str
    ) -> None:
        self._ruleset, self._table, self._hook, self._rule = ruleset, table, hook, rule
        self._place = Place(str(table), chain.name, rule.text)
        self._result = no_exits()

    def exits_of(self, view: View, trail: Trail) -> Exits:
        """Return the exits of the rule for a packet."""
        branches: Branches = {view: trail}
        for number, statement in enumerate(self._rule.statements, 1):
            is_last = number == len(self._rule.statements)
            after: Branches = {}
            for state, history in branches.items():
                join(after, self._branches_past(statement, state, history, is_last))
            branches = after
        join(self._result.onward, branches)
        return self._result

    def _branches_past(self, statement: Any, view: View, trail: Trail, is_last: bool) -> Branches:
        """Return the branches that reach the next statement of the rule; record all other branches in the result."""
        kind, data = next(iter(statement.items())) if isinstance(statement, dict) else ("?", statement)
        if kind == "match":
            return self._apply_match(holds(data, view, self._lookup_for(view)), view, trail)
        if kind == "vmap":
            return self._apply_verdict_map(data, view, trail)
        if kind in _VERDICTS:
            return self._apply_verdict(kind, data, view, trail)
        if kind == "reject":
            return self._apply_reject(data, view, trail)
        if kind in _LIMITS:
            return self._apply_limit(kind, data, view, trail)
        if kind in ("set", "map"):
            return self._update_set(data, view, trail, is_last)
        if kind in ("mangle", "notrack"):
            return {_changed_view(kind, data, view, self._tracks_later()): trail}
        if kind in ("snat", "masquerade", "dnat", "redirect"):
            return self._translate(kind, data or {}, view, trail)
        if kind == "xt":
            return self._apply_extension(data if isinstance(data, dict) else {}, view, trail, is_last)
        if kind in _IGNORED:
            return {view: trail}
        return self._unknown_effect(kind, view, trail)

    def _assume(self, trail: Trail) -> Trail:
        return trail.guessing(f"it is unknown whether this rule applies: {self._place}")

    def _apply_match(self, does_hold: bool | None, view: View, trail: Trail) -> Branches:
        trail = self._assume(trail) if does_hold is None else trail
        if not does_hold:
            join(self._result.onward, {view: trail})
        return {view: trail} if does_hold is not False else {}

    def _lookup_for(self, view: View) -> Any:
        def members(data: Any, values: Sequence[Value], is_map: bool) -> Members:
            if isinstance(data, str) and data[1:] in view.touched:
                raise Unknown
            return self._ruleset.members_in(self._table, data, values, is_map)

        return members

    def _apply_verdict_map(self, data: Mapping[str, Any], view: View, trail: Trail) -> Branches:
        """Evaluate a verdict map; without a matching element the packet continues with the next rule.

        A key that is not known, such as a random number, may match each element.
        """
        try:
            values = _known_or_any(data["key"], view)
            verdicts, may_miss = self._lookup_for(view)(data["data"], values, True).lookup(values)
        except Absent:
            verdicts, may_miss = [], True
        except Unknown:
            return self._unknown_effect("vmap", view, trail)
        if len(verdicts) + may_miss > 1:
            trail = self._assume(trail)
        if may_miss:
            join(self._result.onward, {view: trail})
        for verdict in verdicts:
            kind, target = next(iter(verdict.items()))
            self._apply_verdict(kind, target, view, trail)
        return {}

    def _apply_verdict(self, kind: str, data: Any, view: View, trail: Trail) -> Branches:
        """Apply a verdict, which ends the rule."""
        if kind == "accept":
            join(self._result.accepted, {view: trail._replace(accepted=(*trail.accepted, self._place))})
        elif kind == "drop":
            self._result.end("drop", End(self._place, trail))
        elif kind in ("jump", "goto"):
            self._follow(kind, data["target"], view, trail)
        elif kind in ("return", "continue"):
            join(self._result.returned if kind == "return" else self._result.onward, {view: trail})
        else:
            return self._unknown_effect(kind, view, trail)
        return {}

    def _follow(self, kind: str, target: str, view: View, trail: Trail) -> None:
        if target not in self._table.chains:
            join(self._result.onward, self._unknown_effect(kind, view, trail))
            return
        exits = self._ruleset.walk_chain(self._table, self._table.chains[target], {view: trail}, self._hook)
        self._result.add_ends(exits)
        join(self._result.onward if kind == "jump" else self._result.returned, exits.onward)

    def _apply_reject(self, data: Any, view: View, trail: Trail) -> Branches:
        """Apply a reject.

        The answer of a reject belongs to one family only, but nft does not always list the match for this family.
        """
        kind = (data or {}).get("type", "")
        if {"icmp": 4, "icmpv6": 6}.get(kind, view.version) == view.version and (
            kind != "tcp reset" or view.protocol == 6
        ):
            self._result.end("reject", End(self._place, trail))
        else:
            join(self._result.onward, {view: trail})
        return {}

    def _apply_limit(self, kind: str, data: Any, view: View, trail: Trail) -> Branches:
        """Assume that a limit is not exceeded."""
        trail = trail.noting(f"limited by {kind}, assumed not exceeded: {self._place}")
        if isinstance(data, dict) and data.get("inv"):
            join(self._result.onward, {view: trail})
            return {}
        if (
            isinstance(data, str) or kind == "meter"
        ):  # A named limit is defined outside of the rule, a meter inside of it.
            trail = self._assume(trail)
            join(self._result.onward, {view: trail})
        return {view: trail}

    def _update_set(self, data: Mapping[str, Any], view: View, trail: Trail, is_last: bool) -> Branches:
        """Add an element to a set, with its limits, which older nft lists only in the text."""
        name = str(data.get("set", data.get("map", ""))).lstrip("@")
        view = view._replace(touched=view.touched | {name})
        if "stmt" not in data and _LIMITED.search(self._rule.text):
            return self._apply_match(None, view, trail)
        branches: Branches = {view: trail}
        for statement in data.get("stmt", []):
            branches = {
                after: after_history
                for before, history in branches.items()
                for after, after_history in self._branches_past(statement, before, history, is_last).items()
            }
        return branches

    def _tracks_later(self) -> bool:
        """Return whether connection tracking follows for packets that have no state yet."""
        return self._hook in ("prerouting", "output")

    def _translate(self, kind: str, data: Mapping[str, Any], view: View, trail: Trail) -> Branches:
        """Translate an address or port, which accepts the packet as well."""
        side, port = ("source", "source_port") if kind in ("snat", "masquerade") else ("destination", "port")
        address = _literal_address(data.get("addr")) if "addr" in data else None
        new = view._replace(original=view.original or (view.source, view.destination, view.source_port, view.port))
        if "addr" in data or kind in ("redirect", "masquerade"):
            new = _with_number(new, side, _address_number(address))
        if "port" in data or "concat" in data.get("type_flags", ()):
            new = _with_number(new, port, data["port"] if isinstance(data.get("port"), int) else None)
        new = new._replace(translated=view.translated | (SOURCE_NAT if side == "source" else DESTINATION_NAT))
        target = f"{_target_text(kind, data)} ({self._place})"
        trail = trail.noting((TRANSLATED if side == "destination" else "the source is changed to ") + target)
        if side == "destination":
            return self._translate_destination(kind, new, trail, target)
        join(self._result.accepted, {new: trail._replace(accepted=(*trail.accepted, self._place))})
        return {}

    def _translate_destination(self, kind: str, view: View, trail: Trail, target: str) -> Branches:
        if self._hook == "output":
            view = view._replace(outgoing=None, destination_kind="")
        elif kind == "redirect":
            view = view._replace(destination_kind="local")
        elif view.destination is None:
            # It may stay on this host as well.
            trail = trail.guessing(f"it may be forwarded to {target}")
            self._result.end("unknown", End(self._place, trail))
            view = view._replace(destination_kind="local")
        else:
            view = view._replace(destination_kind=self._ruleset.kind_of(view))
        join(self._result.accepted, {view: trail._replace(accepted=(*trail.accepted, self._place))})
        return {}

    def _apply_extension(self, data: Mapping[str, Any], view: View, trail: Trail, is_last: bool) -> Branches:
        """Evaluate an extension of iptables; older nft lists no name for it, and the last may be a target."""
        name, kind = data.get("name", ""), data.get("type", "target" if is_last else "match")
        if name in _XT_HARMLESS:
            return {view: trail}
        if name in ("MARK", "CONNMARK"):
            return {view._replace(mark=None, connection_mark=None): trail}
        if name in ("MASQUERADE", "SNAT"):
            return self._translate("masquerade", {}, view, trail)
        if name == "REJECT":
            return self._apply_reject({}, view, trail)
        if kind == "match" and name in _XT_HEADERS:
            join(self._result.onward, {view: trail})
            return {}
        if kind == "match":
            trail = trail.guessing(
                "nft does not show the conditions of this iptables rule ({}): {}".format(
                    f"xt {name}".strip(), self._place
                )
            )
            join(self._result.onward, {view: trail})
            return {view: trail}
        return self._unknown_effect("xt " + name, view, trail)

    def _unknown_effect(self, what: str, view: View, trail: Trail) -> Branches:
        """Record an unknown end, and continue: the statement can have any effect."""
        trail = trail.guessing(f"the effect of this rule is unknown ({what.strip()}): {self._place}")
        self._result.end("unknown", End(self._place, trail))
        return {view: trail}


def _known_or_any(key: Any, view: View) -> tuple[Value, ...]:
    """Return the value of a key, or one without known bits. Raises Absent."""
    try:
        return values_of(key, view)
    except Unknown:
        return (Value("", 0, 0),)


def _literal_address(data: Any) -> str | None:
    """Return the address in a rule; None if a map or a range gives it."""
    return data if isinstance(data, str) else None


def _address_number(text: str | None) -> int | None:
    return None if text is None else int(ipaddress.ip_address(text))


def _target_text(kind: str, data: Mapping[str, Any]) -> str:
    address = data.get("addr", {"redirect": "this host", "masquerade": "the address of the interface"}.get(kind, ""))
    text = address if isinstance(address, str) else "one of several addresses"
    if "port" in data:
        text += " port {}".format(data["port"] if isinstance(data["port"], int) else "of several")
    return text.strip()


def _changed_view(kind: str, data: Any, view: View, tracks_later: bool) -> View:
    """Return the packet after a statement without a verdict."""
    if kind == "notrack":
        return view._replace(state="untracked") if tracks_later and view.state == "" else view
    key, value = data["key"], data["value"]
    mark = _mark(value, view)
    if key == {"meta": {"key": "mark"}}:
        return view._replace(mark=mark)
    if key == {"ct": {"key": "mark"}}:
        return view._replace(connection_mark=mark)
    field = key.get("payload", {}).get("field") if isinstance(key, dict) else None
    return _with_number(view, _ADDRESSES[field], None) if field in _ADDRESSES else view


def _with_number(view: View, field: str, number: int | None) -> View:
    return View(**{**view._asdict(), field: number})


def _mark(value: Any, view: View) -> int | None:
    try:
        if isinstance(value, dict):
            mark = values_of(value, view)[0]
            return mark.number if mark.known == EVERY_BIT and isinstance(mark.number, int) else None
        return number_of("mark", value)
    except (Absent, Unknown):
        return None
