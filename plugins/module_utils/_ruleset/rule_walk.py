# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one rule does with a packet: where it may go on, and where it may end."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from ansible_collections.hpc.ports.plugins.module_utils._model.outcomes import TRANSLATED
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
    SOURCE_NAT,
    Unknown,
    Value,
    number_of,
)
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.tables import ListedChain, ListedRule, ListedTable

_IGNORED = {"counter", "log", "comment", "dup", "flow", "ct helper", "ct timeout", "ct expectation", "secmark", "last"}
_LIMITS = {"limit", "quota", "ct count", "meter"}
# How the note begins that says where a packet goes instead of where it was sent.
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
_XT_HEADERS = {"rt", "frag", "hbh", "dst"}  # of IPv6; a packet that opens something has none
_LIMITED = re.compile("limit rate|ct count|quota")
_VERDICTS = ("accept", "drop", "continue", "return", "jump", "goto")
_ADDRESSES = {"saddr": "source", "daddr": "destination", "sport": "source_port", "dport": "port"}


class ChainWalker(Protocol):
    """The rules around one."""

    own: frozenset[str]

    def walk_chain(self, table: ListedTable, chain: ListedChain, ways: Branches, hook: str) -> Exits:
        """Return the flow through a chain."""

    def members_in(self, table: ListedTable, data: Any, values: Sequence[Value], is_map: bool) -> Members:
        """Return the elements of a set or map. Raises Unknown."""


class RuleWalk:
    """One rule, of the base chain at a hook or of a chain that it leads to."""

    def __init__(
        self, ruleset: ChainWalker, table: ListedTable, chain: ListedChain, rule: ListedRule, hook: str
    ) -> None:
        self._ruleset, self._table, self._hook, self._rule = ruleset, table, hook, rule
        self._place = Place(str(table), chain.name, rule.text)
        self._result = no_exits()

    def exits_of(self, view: View, trail: Trail) -> Exits:
        """Return where a packet may go from here."""
        ways: Branches = {view: trail}
        for number, statement in enumerate(self._rule.statements):
            after: Branches = {}
            for one, way in ways.items():
                is_last = number + 1 == len(self._rule.statements)
                join(after, self._past(statement, one, way, is_last))
            ways = after
        join(self._result.onward, ways)
        return self._result

    def _past(self, statement: Any, view: View, trail: Trail, is_last: bool) -> Branches:
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

    def _guess(self, trail: Trail) -> Trail:
        return trail.guessing(f"it is unknown whether this rule applies: {self._place}")

    def _forked(self, does_hold: bool | None, view: View, trail: Trail) -> Branches:
        trail = self._guess(trail) if does_hold is None else trail
        if not does_hold:
            join(self._result.onward, {view: trail})
        return {view: trail} if does_hold is not False else {}

    def _finder(self, view: View) -> Any:
        def members(data: Any, values: Sequence[Value], is_map: bool) -> Members:
            if isinstance(data, str) and data[1:] in view.touched:
                raise Unknown
            return self._ruleset.members_in(self._table, data, values, is_map)

        return members

    def _mapped(self, data: Mapping[str, Any], view: View, trail: Trail) -> Branches:
        """A verdict map: no element, no verdict, and on to the next rule."""
        try:
            values = values_of(data["key"], view)
            verdicts, may_miss = self._finder(view)(data["data"], values, True).lookup(values)
        except Absent:
            verdicts, may_miss = [], True
        except Unknown:
            return self._not_judged("vmap", view, trail)
        if len(verdicts) + may_miss > 1:
            trail = self._guess(trail)
        if may_miss:
            join(self._result.onward, {view: trail})
        for verdict in verdicts:
            kind, target = next(iter(verdict.items()))
            self._judged(kind, target, view, trail)
        return {}

    def _judged(self, kind: str, data: Any, view: View, trail: Trail) -> Branches:
        """A verdict is the end of a rule."""
        if kind == "accept":
            join(self._result.accepted, {view: trail._replace(accepted=(*trail.accepted, self._place))})
        elif kind == "drop":
            self._result.end("drop", End(self._place, trail))
        elif kind in ("jump", "goto"):
            self._led(kind, data["target"], view, trail)
        elif kind in ("return", "continue"):
            join(self._result.returned if kind == "return" else self._result.onward, {view: trail})
        else:
            return self._not_judged(kind, view, trail)
        return {}

    def _led(self, kind: str, target: str, view: View, trail: Trail) -> None:
        if target not in self._table.chains:
            join(self._result.onward, self._not_judged(kind, view, trail))
            return
        found = self._ruleset.walk_chain(self._table, self._table.chains[target], {view: trail}, self._hook)
        self._result.add_ends(found)
        join(self._result.onward if kind == "jump" else self._result.returned, found.onward)

    def _rejected(self, data: Any, view: View, trail: Trail) -> Branches:
        """What a reject answers with can be of one family only; nft does not always list the match for that."""
        kind = (data or {}).get("type", "")
        if {"icmp": 4, "icmpv6": 6}.get(kind, view.version) == view.version and (
            kind != "tcp reset" or view.protocol == 6
        ):
            self._result.end("reject", End(self._place, trail))
        else:
            join(self._result.onward, {view: trail})
        return {}

    def _limited(self, kind: str, data: Any, view: View, trail: Trail) -> Branches:
        """A limit counts as not exceeded."""
        trail = trail.noting(f"limited by {kind}, assumed not exceeded: {self._place}")
        if isinstance(data, dict) and data.get("inv"):
            join(self._result.onward, {view: trail})
            return {}
        if isinstance(data, str) or kind == "meter":  # A named one is defined elsewhere, a meter within.
            trail = self._guess(trail)
            join(self._result.onward, {view: trail})
        return {view: trail}

    def _remembered(self, data: Mapping[str, Any], view: View, trail: Trail, is_last: bool) -> Branches:
        """An element is put in a set, with what limits it; older nft list that only in the text."""
        name = str(data.get("set", data.get("map", ""))).lstrip("@")
        view = view._replace(touched=view.touched | {name})
        if "stmt" not in data and _LIMITED.search(self._rule.text):
            return self._forked(None, view, trail)
        ways: Branches = {view: trail}
        for statement in data.get("stmt", []):
            ways = {
                one: way
                for before, its in ways.items()
                for one, way in self._past(statement, before, its, is_last).items()
            }
        return ways

    def _tracks_later(self) -> bool:
        """Tell whether connection tracking is still to come for those whose state is not seen."""
        return self._hook in ("prerouting", "output")

    def _translated(self, kind: str, data: Mapping[str, Any], view: View, trail: Trail) -> Branches:
        """A translation accepts, too."""
        side, port = ("source", "source_port") if kind in ("snat", "masquerade") else ("destination", "port")
        address = _plain(data.get("addr")) if "addr" in data else None
        new = view
        if "addr" in data or kind in ("redirect", "masquerade"):
            new = _with(new, side, _address_number(address))
        if "port" in data:
            new = _with(new, port, data["port"] if isinstance(data["port"], int) else None)
        new = new._replace(translated=view.translated | (SOURCE_NAT if side == "source" else DESTINATION_NAT))
        target = f"{_target_text(kind, data)} ({self._place})"
        trail = trail.noting((TRANSLATED if side == "destination" else "the source is changed to ") + target)
        if side == "destination":
            return self._sent_elsewhere(kind, address, new, trail, target)
        join(self._result.accepted, {new: trail._replace(accepted=(*trail.accepted, self._place))})
        return {}

    def _sent_elsewhere(self, kind: str, address: str | None, view: View, trail: Trail, target: str) -> Branches:
        if self._hook == "output":
            view = view._replace(leaving=None, destination_kind="")
        elif kind == "dnat" and address is None and view.destination is None:
            trail = trail.guessing(f"it may be sent on to {target}")
            self._result.end("unknown", End(self._place, trail))
        elif kind == "dnat" and address is not None and address not in self._ruleset.own:
            self._result.end("unknown", End(self._place, trail.guessing(f"it is sent on to {target}")))
            return {}
        join(self._result.accepted, {view: trail._replace(accepted=(*trail.accepted, self._place))})
        return {}

    def _foreign(self, data: Mapping[str, Any], view: View, trail: Trail, is_last: bool) -> Branches:
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
        return self._not_judged("xt " + name, view, trail)

    def _not_judged(self, what: str, view: View, trail: Trail) -> Branches:
        """Anything may come of it."""
        trail = trail.guessing(f"the effect of this rule is unknown ({what.strip()}): {self._place}")
        self._result.end("unknown", End(self._place, trail))
        return {view: trail}


def _plain(data: Any) -> str | None:
    """Return an address that a rule names, not one that a map or a range gives."""
    return data if isinstance(data, str) else None


def _address_number(text: str | None) -> int | None:
    return None if text is None else int(ipaddress.ip_address(text))


def _target_text(kind: str, data: Mapping[str, Any]) -> str:
    address = data.get("addr", {"redirect": "this host", "masquerade": "the address of the interface"}.get(kind, ""))
    text = address if isinstance(address, str) else "one of several addresses"
    if "port" in data:
        text += " port {}".format(data["port"] if isinstance(data["port"], int) else "of several")
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


def _with(view: View, field: str, number: int | None) -> View:
    return View(**{**view._asdict(), field: number})


def _mark(value: Any, view: View) -> int | None:
    try:
        if isinstance(value, dict):
            found = values_of(value, view)[0]
            return found.number if found.known == -1 and isinstance(found.number, int) else None
        return number_of("mark", value)
    except (Absent, Unknown):
        return None
