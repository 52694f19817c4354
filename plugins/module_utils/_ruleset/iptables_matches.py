# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Translate iptables-nft matches and NAT that only the text of a rule shows into those of nft. No side effects.

In JSON, an iptables extension (xt) has at most a name, and no name before nft 1.0. If the library of iptables is
installed, the text has the notation of nft: `ct state related,established` for `-m conntrack --ctstate ...`. The text
may omit conditions: the rule requires the conditions in the text, but possibly further ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

_QUOTED = re.compile('"[^"]*"')
_MATCH = re.compile(
    r"\b(?P<state>ct state) (?:(?P<not_state>!=?) )?(?P<states>[a-z]+(?:,[a-z]+)*)"
    r"|\b(?P<type>fib daddr type) (?:(?P<not_type>!=) )?(?:\{(?P<types>[^}]*)\}|(?P<one_type>[a-z]+))"
    r"|\b(?P<protocol>tcp|udp) (?P<field>[sd]port) (?:(?P<not_port>!=) )?"
    r"(?:\{(?P<ports>[0-9, -]*)\}|(?P<one_port>[0-9]+(?:-[0-9]+)?))"
)
# The target of a rule that translates, and its address and port. Ranges are left out.
_TRANSLATION = re.compile(
    r"\b(?P<kind>dnat|redirect|snat|masquerade)(?: to (?P<to>[0-9a-f.:\[\]]+))?(?: +[a-z-]+(?:,[a-z-]+)*)?\s*$"
)
# A target that marks the packet; the value is not read.
_MARK = re.compile(r"\bmeta mark set [^\"]+$")
_SET_MARK = {"mangle": {"key": {"meta": {"key": "mark"}}, "value": None}}
_ADDRESS_AND_PORT = re.compile(
    r"(?P<ipv4>[0-9]+(?:\.[0-9]+){3})?(?:\[(?P<ipv6>[0-9a-f:.]+)\])?(?::(?P<port>[0-9]+))?|(?P<plain>[0-9a-f:.]+)"
)
_OTHER_STATE = re.compile(r"\bct (?!state )")  # other conditions on the connection


class _TextMatch(NamedTuple):
    """A match in the text: the iptables extension that it belongs to, and the match in the notation of nft."""

    extension: str
    match: dict[str, Any]


def readable(statements: Sequence[Any], text: str) -> tuple[Any, ...]:
    """Return the statements of a rule; what its text shows of iptables matches and NAT is replaced by those of nft."""
    return _readable_matches(_with_target(statements, text), text)


def _with_target(statements: Sequence[Any], text: str) -> Sequence[Any]:
    """Return the statements with what the text shows of the target: a translation, or without a name a mark."""
    last = statements[-1] if statements else None
    name = (last["xt"] or {}).get("name", "") if isinstance(last, dict) and "xt" in last else None
    plain = _QUOTED.sub('""', text)
    if name == "" and _MARK.search(plain):
        return [*statements[:-1], _SET_MARK]
    found = _TRANSLATION.search(plain) if name in ("", "DNAT", "REDIRECT") else None
    shown = _ADDRESS_AND_PORT.fullmatch(found["to"] or "") if found else None
    if not found or not shown:
        return statements
    address = shown["ipv4"] or shown["ipv6"] or shown["plain"]
    target = {"addr": address, "port": int(shown["port"]) if shown["port"] else None}
    return [*statements[:-1], {found["kind"]: {key: value for key, value in target.items() if value}}]


def _readable_matches(statements: Sequence[Any], text: str) -> tuple[Any, ...]:
    foreign = [number for number in range(len(statements)) if _is_foreign_match(statements, number)]
    if not foreign:
        return tuple(statements)
    plain = _QUOTED.sub('""', text)
    native = [statement["match"]["left"] for statement in statements if "match" in statement]
    shown = [match for match in _text_matches(plain) if match.match["left"] not in native]
    kept = _incomplete(statements, foreign, [match.extension for match in shown], bool(_OTHER_STATE.search(plain)))
    return (
        *statements[: foreign[0]],
        *({"match": match.match} for match in shown),
        *(
            statements[number]
            for number in range(foreign[0], len(statements))
            if number not in foreign or number in kept
        ),
    )


def _is_foreign_match(statements: Sequence[Any], number: int) -> bool:
    """Return whether a statement is an iptables match; the last statement may be a target if it has no type."""
    statement = statements[number]
    if not isinstance(statement, dict) or "xt" not in statement:
        return False
    is_last = number + 1 == len(statements)
    return (statement["xt"] or {}).get("type", "target" if is_last else "match") == "match"


def _incomplete(statements: Sequence[Any], foreign: Sequence[int], shown: list[str], has_more: bool) -> list[int]:
    """Return the positions of the iptables matches that the text does not show completely."""
    if has_more:
        shown = [extension for extension in shown if extension != "conntrack"]
    names = [_name(statements[number]) for number in foreign]
    if not any(names):
        return [] if len(shown) == len(foreign) else list(foreign)
    return [number for number, name in zip(foreign, names) if names.count(name) != 1 or shown.count(name) != 1]


def _name(statement: Any) -> str:
    name = str((statement["xt"] or {}).get("name", ""))
    return "conntrack" if name == "state" else name


def _text_matches(text: str) -> Iterator[_TextMatch]:
    for match in _MATCH.finditer(text):
        if match["state"]:
            yield _TextMatch("conntrack", _match({"ct": {"key": "state"}}, match["not_state"], match["states"]))
        elif match["type"]:
            yield _TextMatch(
                "addrtype",
                _match(
                    {"fib": {"result": "type", "flags": ["daddr"]}},
                    match["not_type"],
                    match["types"] or match["one_type"],
                ),
            )
        else:
            left = {"payload": {"protocol": match["protocol"], "field": match["field"]}}
            yield _TextMatch("multiport", _match(left, match["not_port"], match["ports"] or match["one_port"]))


def _match(left: dict[str, Any], is_negated: str | None, members: str) -> dict[str, Any]:
    return {
        "left": left,
        "op": "!=" if is_negated else "==",
        "right": {"set": [_member(text.strip()) for text in members.split(",") if text.strip()]},
    }


def _member(text: str) -> Any:
    if "-" in text:
        return {"range": [int(number) for number in text.split("-")]}
    return int(text) if text.isdigit() else text
