# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Matches of iptables-nft that only the text of a rule tells, as matches of nft. Pure.

Of an extension of iptables (xt) JSON has the name at most, and no name before nft 1.0. Where the library of iptables is
there, the text has what nft would write in its place: `ct state related,established` for `-m conntrack --ctstate ...`. It
may leave conditions out, so that what it has must hold for the rule, and is not always all of it.
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
_OTHER_STATE = re.compile(r"\bct (?!state )")  # what else is asked of the connection


class _Told(NamedTuple):
    """What the text tells: the match of nft, and the extension of iptables that has it."""

    extension: str
    match: dict[str, Any]


def readable(statements: Sequence[Any], text: str) -> tuple[Any, ...]:
    """Return the statements of a rule, those matches of iptables in nft's words that its text tells."""
    foreign = [number for number in range(len(statements)) if _is_foreign_match(statements, number)]
    if not foreign:
        return tuple(statements)
    plain = _QUOTED.sub('""', text)
    native = [statement["match"]["left"] for statement in statements if "match" in statement]
    told = [item for item in _told(plain) if item.match["left"] not in native]
    kept = _unsettled(statements, foreign, [item.extension for item in told], bool(_OTHER_STATE.search(plain)))
    return (
        *statements[: foreign[0]],
        *({"match": item.match} for item in told),
        *(
            statements[number]
            for number in range(foreign[0], len(statements))
            if number not in foreign or number in kept
        ),
    )


def _is_foreign_match(statements: Sequence[Any], number: int) -> bool:
    """Tell whether a statement is a match of iptables; what stands last without a name may be a target."""
    statement = statements[number]
    if not isinstance(statement, dict) or "xt" not in statement:
        return False
    is_last = number + 1 == len(statements)
    return (statement["xt"] or {}).get("type", "target" if is_last else "match") == "match"


def _unsettled(statements: Sequence[Any], foreign: Sequence[int], told: list[str], is_more_asked: bool) -> list[int]:
    """Return which of the matches of iptables are not all told."""
    if is_more_asked:
        told = [extension for extension in told if extension != "conntrack"]
    names = [_name(statements[number]) for number in foreign]
    if not any(names):
        return [] if len(told) == len(foreign) else list(foreign)
    return [number for number, name in zip(foreign, names) if names.count(name) != 1 or told.count(name) != 1]


def _name(statement: Any) -> str:
    name = str((statement["xt"] or {}).get("name", ""))
    return "conntrack" if name == "state" else name


def _told(text: str) -> Iterator[_Told]:
    for found in _MATCH.finditer(text):
        if found["state"]:
            yield _Told("conntrack", _match({"ct": {"key": "state"}}, found["not_state"], found["states"]))
        elif found["type"]:
            yield _Told(
                "addrtype",
                _match(
                    {"fib": {"result": "type", "flags": ["daddr"]}},
                    found["not_type"],
                    found["types"] or found["one_type"],
                ),
            )
        else:
            left = {"payload": {"protocol": found["protocol"], "field": found["field"]}}
            yield _Told("multiport", _match(left, found["not_port"], found["ports"] or found["one_port"]))


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
