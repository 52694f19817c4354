# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Name the rules that meet a packet before the chain at the hook input. A draft does not carry them over."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

DROPS = "drops packets before the chain that the draft was made from"
TRANSLATES = "translates the address or the port; a flow has to open the port that the peer uses"
_IPTABLES = {
    **dict.fromkeys(("DROP", "REJECT"), DROPS),
    **dict.fromkeys(("DNAT", "REDIRECT", "NETMAP", "TPROXY"), TRANSLATES),
}
_NFTABLES = {**dict.fromkeys(("drop", "reject"), DROPS), **dict.fromkeys(("dnat", "redirect", "tproxy"), TRANSLATES)}
# Chains of packets that this host sends or routes.
_OTHER_WAYS = ("OUTPUT", "FORWARD", "POSTROUTING")
_ADDS = ("-A", "--append", "-I", "--insert")
_COUNTERS = re.compile(r"\[\d+:\d+\] ")


def iptables_rules_before(text: str) -> Iterator[str]:
    """Yield the rules of other tables than filter, in the form of iptables-save, that drop or translate packets."""
    table = ""
    for line in (_COUNTERS.sub("", line.strip(), 1) for line in text.splitlines()):
        if line.startswith("*"):
            table = line[1:]
        elif table != "filter" and (effect := _effect(line)):
            yield f"*{table} {line}: {effect}"


def _effect(line: str) -> str | None:
    """Return what a rule of a packet on its way to this host does, None if it neither drops nor translates."""
    with suppress(ValueError):  # not a line that a shell could read
        command, chain, *words = shlex.split(line)
        target = next((after for word, after in zip(words, words[1:]) if word in ("-j", "--jump")), "")
        return _IPTABLES.get(target) if command in _ADDS and chain not in _OTHER_WAYS else None
    return None


def nftables_rules_before(objects: Sequence[Mapping[str, Any]], ours: Collection[str]) -> Iterator[str]:
    """Yield the rules at the hooks prerouting and ingress that drop or translate packets.

    `objects` is the list of `nft -j list ruleset`, `ours` has families and names of tables to leave out.
    """
    rules = [item["rule"] for item in objects if "rule" in item]
    chains = [item["chain"] for item in objects if "chain" in item]
    maps = {
        _place(item["map"], "@" + item["map"]["name"]): item["map"].get("elem", []) for item in objects if "map" in item
    }
    verdicts = [(rule, list(_verdicts(rule, maps))) for rule in rules]
    early = {_place(chain, chain["name"]) for chain in chains if chain.get("hook") in ("prerouting", "ingress")}
    while (
        more := {
            _place(rule, value["target"])
            for rule, found in verdicts
            for kind, value in found
            if kind in ("jump", "goto") and _place(rule, rule["chain"]) in early
        }
        - early
    ):
        early |= more
    for rule, found in verdicts:
        table = f"{rule['family']} {rule['table']}"
        if _place(rule, rule["chain"]) in early and table not in ours:
            text = json.dumps(rule["expr"], separators=(",", ":"))
            effects = {_NFTABLES[kind] for kind, _value in found if kind in _NFTABLES}
            yield from (f"{table} {rule['chain']} {text}: {effect}" for effect in sorted(effects))


def _place(item: Mapping[str, Any], name: str) -> tuple[str, str, str]:
    return item["family"], item["table"], name


def _verdicts(rule: Mapping[str, Any], maps: Mapping[tuple[str, str, str], Any]) -> Iterator[tuple[str, Any]]:
    """Yield the statements of a rule, and the verdicts in its verdict maps, each with its value."""
    for statement in rule["expr"]:
        yield from statement.items()
        if "vmap" in statement:
            data = statement["vmap"]["data"]
            elements = maps.get(_place(rule, data), []) if isinstance(data, str) else data["set"]
            for _key, verdict in elements:
                yield from verdict.items()
