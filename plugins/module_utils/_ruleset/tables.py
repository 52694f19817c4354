# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parse the two listings of `nft.ruleset` into tables, chains and rules."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._model.names import COUNTING_TABLE
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.iptables_matches import readable


class ListedRule(NamedTuple):
    """A rule: its statements as JSON, iptables matches translated if the text shows them; and its text."""

    statements: tuple[Any, ...]
    text: str


class ListedChain(NamedTuple):
    """A chain. `hook` is empty if it is no base chain. `devices` is None if the devices are unknown."""

    name: str
    rules: list[ListedRule]
    kind: str
    hook: str
    priority: int
    policy: str
    devices: frozenset[str] | None


class ListedTable(NamedTuple):
    """A table; `sets` has the elements of its sets and maps by name."""

    family: str
    name: str
    chains: dict[str, ListedChain]
    sets: dict[str, list[Any]]

    def __str__(self) -> str:
        """Return the family and the name."""
        return f"{self.family} {self.name}"


class _Texts(NamedTuple):
    rules: dict[tuple[str, str], str]
    devices: dict[tuple[str, str], frozenset[str]]
    dormant: frozenset[str]


def parse_ruleset(listing: str, text: str = "") -> list[ListedTable]:
    """Return the tables of a JSON listing, except dormant tables and the counting table.

    `text` is the listing with handles: it has the texts of the rules, and with older nft only it shows dormant tables.
    Raises ValueError.
    """
    try:
        objects = [pair for entry in json.loads(listing)["nftables"] for pair in entry.items()]
    except (KeyError, TypeError, AttributeError) as exc:
        raise ValueError(f"Invalid listing: got {listing[:80]!r}, expected the output of nft -j.") from exc
    if any(kind == "metainfo" and str(entry.get("version")).startswith("0.") for kind, entry in objects):
        _mark_short_prefixes(objects)
    texts = _parse_texts(text)
    tables: dict[str, ListedTable] = {}
    for kind, entry in objects:
        name = "{} {}".format(entry.get("family"), entry.get("name" if kind == "table" else "table"))
        if kind == "table" and name not in texts.dormant and name != COUNTING_TABLE and entry.get("flags") != "dormant":
            tables[name] = ListedTable(entry["family"], entry["name"], {}, {})
    for kind, entry in objects:
        name = "{} {}".format(entry.get("family"), entry.get("table"))
        if name in tables:
            _add(kind, entry, tables[name], texts)
    return list(tables.values())


def _mark_short_prefixes(data: Any) -> None:
    """Mark IPv6 prefixes of 64 bits in concatenations: nft 0.9 also lists shorter prefixes as 64 bits."""
    for value in data.values() if isinstance(data, dict) else data if isinstance(data, (list, tuple)) else ():
        _mark_short_prefixes(value)
    for part in data["concat"] if isinstance(data, dict) and "concat" in data else ():
        prefix = part.get("prefix") if isinstance(part, dict) else None
        if prefix and prefix["len"] == 64 and ":" in prefix["addr"]:
            prefix["may_be_shorter"] = True


def _add(kind: str, entry: Mapping[str, Any], table: ListedTable, texts: _Texts) -> None:
    name = str(table)
    if kind in ("set", "map"):
        table.sets[entry["name"]] = entry.get("elem", [])
    elif kind == "chain":
        table.chains[entry["name"]] = _chain(entry, texts.devices.get((name, entry["name"])))
    elif kind == "rule":
        handle = str(entry.get("handle"))
        text = texts.rules.get((name, handle), "the rule with handle " + handle)
        table.chains[entry["chain"]].rules.append(ListedRule(readable(entry.get("expr", ()), text), text))


def _chain(entry: Mapping[str, Any], devices: frozenset[str] | None) -> ListedChain:
    listed = entry.get("dev")
    if listed:
        devices = frozenset([listed] if isinstance(listed, str) else listed)
    return ListedChain(
        entry["name"],
        [],
        entry.get("type", ""),
        entry.get("hook", ""),
        entry.get("prio", 0),
        entry.get("policy", "accept"),
        devices,
    )


_HANDLE = re.compile(r"^\t\t *(\S.*?) # handle ([0-9]+)$")
_DEVICES = re.compile(r"^\t\ttype \S+ hook (?:ingress|egress) (?:device (\S+)|devices = \{([^}]*)\}) priority")


def _parse_texts(text: str) -> _Texts:
    texts, dormant = _Texts({}, {}, frozenset()), set()
    table = chain = ""
    for line in text.splitlines():
        words = line.split()
        if line.startswith("table "):
            table = " ".join(words[1:3])
        elif line.startswith("\tchain "):
            chain = words[1]
        elif line.startswith("\tflags ") and "dormant" in line:
            dormant.add(table)
        rule, devices = _HANDLE.match(line), _DEVICES.match(line)
        if rule:
            texts.rules[table, rule[2]] = rule[1]
        if devices:
            texts.devices[table, chain] = frozenset(name.strip('" ') for name in (devices[1] or devices[2]).split(","))
    return texts._replace(dormant=frozenset(dormant))
