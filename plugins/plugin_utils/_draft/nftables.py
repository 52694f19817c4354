# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read what `nft -j list ruleset` prints (libnftables-json(5)): the chains at the hook input of all tables."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._model.names import TABLES
from ansible_collections.hpc.ports.plugins.module_utils._model.ports import EVERYTHING, PortRange, common_ports, without
from ansible_collections.hpc.ports.plugins.plugin_utils._draft.before_input import nftables_rules_before
from ansible_collections.hpc.ports.plugins.plugin_utils._draft.chains import (
    ACCEPT,
    DROP,
    GOTO,
    JUMP,
    RETURN,
    Chains,
    Read,
    Rule,
    Unreadable,
    decisions,
    is_any,
    opens_by_flags,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._draft.protocols import protocol_ports
from ansible_collections.hpc.ports.plugins.plugin_utils._draft.regions import (
    Decision,
    Region,
    accepted,
    anywhere,
    everything,
    undecided,
)

with suppress(ImportError):  # `missing_library` reports a missing netaddr
    from netaddr import AddrFormatError, IPNetwork, IPRange, IPSet

# What is in a header of one family: a match looks at packets of this family alone.
_VERSIONS = {"saddr": 4, "protocol": 4, "saddr6": 6, "nexthdr": 6}
_FAMILIES = {"ip": (4,), "ip6": (6,), "inet": (4, 6)}
_VERDICTS = {"accept": ACCEPT, "drop": DROP, "reject": DROP, "return": RETURN, "jump": JUMP, "goto": GOTO}
# Statements after which the rule goes on, and that say nothing about the packet.
_SILENT = ("counter", "log", "comment", "mangle", "set", "notrack", "flow", "ct count", "last")
_TCP = (PortRange("tcp", 0, 65535),)
# Protocols that the policies of this collection accept anyway.
_ALWAYS_ACCEPTED = ("icmp", "icmpv6", "igmp")
# What an opening packet to this host is.
_IS = {"state": {"new"}, "pkttype": {"host", "unicast"}, "fib": {"local"}}


def read_nftables(text: str, interfaces: Collection[str] = ()) -> Read:
    """Return what is accepted. A packet has to be accepted by every base chain. Raises ValueError for other text.

    `interfaces` are those by which other hosts reach this one: a rule for one of them is a rule for all packets.
    """
    try:
        return _read(json.loads(text)["nftables"], interfaces)
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as exc:
        raise ValueError("got no JSON of nftables, expected the output of nft -j list ruleset") from exc


def _read(objects: list[dict[str, Any]], interfaces: Collection[str]) -> Read:
    reader = _Reader(objects, interfaces, list(nftables_rules_before(objects, TABLES)))
    regions = [everything()]
    for table, chain in reader.bases():
        found = reader.accepted(table, chain)
        regions = [both for one in regions for other in found for both in [one.common(other)] if both]
    return Read(regions, reader.left)


@dataclass
class _Reader:
    objects: list[dict[str, Any]]
    interfaces: Collection[str]
    left: list[str] = field(default_factory=list)

    def bases(self) -> list[tuple[tuple[str, str], dict[str, Any]]]:
        """Return the base chains at the hook input, each with family and name of its table."""
        return [
            ((chain["family"], chain["table"]), chain)
            for chain in self._all("chain")
            if chain.get("hook") == "input" and chain["family"] in _FAMILIES and _is_foreign(chain)
        ]

    def _all(self, kind: str) -> Iterator[dict[str, Any]]:
        return (item[kind] for item in self.objects if kind in item)

    def accepted(self, table: tuple[str, str], chain: Mapping[str, Any]) -> list[Region]:
        """Return what a base chain accepts; it does not judge the other families."""
        names = [item["name"] for item in self._all("chain") if (item["family"], item["table"]) == table]
        chains = Chains(names, lambda name: self._rules_of(table, name))
        own = IPSet([network for network in anywhere().iter_cidrs() if network.version in _FAMILIES[table[0]]])
        judged = Region(own, EVERYTHING)
        found = list(decisions(chains, chain["name"], judged))
        if chain.get("policy", "accept") == "accept" and (rest := undecided(judged, found)):
            self.left.append(f"{' '.join(table)} {chain['name']} has the policy accept: it accepts what no rule drops.")
            found += [Decision(region, True) for region in rest]
        others = anywhere() - own
        return [*accepted(found), *([Region(others, EVERYTHING)] if others.size else [])]

    def _rules_of(self, table: tuple[str, str], chain: str) -> list[Rule]:
        return [
            parsed
            for rule in self._all("rule")
            if (rule["family"], rule["table"], rule["chain"]) == (*table, chain)
            for parsed in self._rules(table, rule)
        ]

    def _rules(self, table: tuple[str, str], rule: Mapping[str, Any]) -> list[Rule]:
        """Return what a rule does; several rules for a verdict map."""
        sets = {
            item["name"]: item.get("elem", [])
            for kind in ("set", "map")
            for item in self._all(kind)
            if (item["family"], item["table"]) == table
        }
        problems: list[str] = []
        found: list[Rule] = []
        try:
            found = list(_parsed(rule["expr"], _Values(sets, self.interfaces, problems)))
        except Unreadable as exc:
            problems.append(str(exc))
        if problems:
            text = json.dumps(rule["expr"], separators=(",", ":"))
            self.left.append(f"{' '.join(table)} {rule['chain']} {text}: {', '.join(problems)}")
        return found


class _Values(NamedTuple):
    """The elements of the sets and maps of a table, and the interfaces by which the host is reached.

    `problems` takes what cannot be read of a verdict map, whose other elements are read.
    """

    sets: Mapping[str, list[Any]]
    interfaces: Collection[str]
    problems: list[str]


def _is_foreign(chain: Mapping[str, Any]) -> bool:
    return f"{chain['family']} {chain['table']}" not in TABLES


def _parsed(expr: Iterable[Mapping[str, Any]], values: _Values) -> Iterator[Rule]:
    """Yield the rules of the statements of one rule. Raises Unreadable if a rule that decides cannot be expressed."""
    regions, problems = [everything()], []
    for statement in expr:
        (kind, value), *_rest = statement.items()
        if kind == "match":
            try:
                either = _alternatives(value["left"], value["right"], value["op"], values)
                regions = [region.common(other) for region in regions for other in either]
            except Unreadable as exc:
                problems.append(str(exc))
        elif kind in _VERDICTS or kind == "vmap":
            if problems and any(regions):
                raise Unreadable(", ".join(problems))
            for region in regions:
                if kind == "vmap":
                    yield from _mapped(region, value, values)
                else:
                    yield Rule(region, _VERDICTS[kind], _chain(kind, value))
        elif kind not in _SILENT:
            problems.append(kind)


def _chain(kind: str, value: Any) -> str:
    return value["target"] if kind in ("jump", "goto") else ""


def _mapped(region: Region, value: Mapping[str, Any], values: _Values) -> Iterator[Rule]:
    for key, verdict in _members(value["data"], values):
        ((kind, target),) = verdict.items()
        if kind == "continue":
            continue
        try:
            (matched,) = _alternatives(value["key"], key, "==", values)
        except Unreadable as exc:
            values.problems.append(str(exc))
        else:
            yield Rule(region.common(matched), _VERDICTS[kind], _chain(kind, target))


def _members(right: Any, values: _Values) -> list[Any]:
    """Return the elements of a set, or the single value."""
    if isinstance(right, str) and right.startswith("@"):
        return [
            item["elem"]["val"] if isinstance(item, dict) and "elem" in item else item
            for item in values.sets[right[1:]]
        ]
    if isinstance(right, dict) and "set" in right:
        return right["set"] if isinstance(right["set"], list) else [right["set"]]
    return right if isinstance(right, list) else [right]


def _alternatives(left: Any, right: Any, op: str, values: _Values) -> list[Region]:
    """Return the regions of a match: one, or one for each element if the left side has several parts."""
    if not (isinstance(left, dict) and "concat" in left):
        return [_matched(left, right, op, values)]
    if op == "!=":
        raise Unreadable(json.dumps(left, separators=(",", ":")))
    found = []
    for member in _members(right, values):
        region = everything()
        for part, value in zip(left["concat"], member["concat"]):
            region = region.common(_matched(part, value, op, values))
        found.append(region)
    return found


def _matched(left: Any, right: Any, op: str, values: _Values) -> Region:
    """Return the region of a match. Raises Unreadable."""
    kind = _kind(left)
    if kind in _ALWAYS_ACCEPTED:
        return Region(anywhere(), ())
    if kind in _IS or kind in ("iif", "flags"):
        whole = Region(anywhere(), _TCP if kind == "flags" else EVERYTHING)
        return whole if _holds(kind, left, right, values) == (op != "!=") else Region(anywhere(), ())
    members = _members(right, values)
    own = IPSet([network for network in anywhere().iter_cidrs() if network.version == _VERSIONS.get(kind, 4)])
    if kind in ("saddr", "saddr6"):
        named = _addresses(members)
        return Region(own - named if op == "!=" else own & named, EVERYTHING)
    if kind == "nfproto":
        versions = {{"ipv4": 4, "ip": 4, "ipv6": 6, "ip6": 6}.get(str(member), 0) for member in members}
        own = IPSet([network for network in anywhere().iter_cidrs() if (network.version in versions) == (op != "!=")])
        return Region(own, EVERYTHING)
    sources, kind = (own, "l4proto") if kind in _VERSIONS else (anywhere(), kind)
    ports = _ports(kind, members)
    return Region(sources, tuple(_negated(kind, ports) if op == "!=" else ports))


def _kind(left: Any) -> str:
    """Return what the left side of a match looks at. Raises Unreadable."""
    if isinstance(left, dict) and "payload" in left:
        protocol, name = left["payload"].get("protocol"), left["payload"].get("field")
        if protocol in _ALWAYS_ACCEPTED:
            return str(protocol)
        found = {
            ("ip", "saddr"): "saddr",
            ("ip6", "saddr"): "saddr6",
            ("tcp", "dport"): "tcp",
            ("udp", "dport"): "udp",
            ("th", "dport"): "th",
            ("ip", "protocol"): "protocol",
            ("ip6", "nexthdr"): "nexthdr",
        }.get((protocol, name))
        if found:
            return found
    elif isinstance(left, dict) and "meta" in left:
        name = left["meta"]["key"]
        found = {"l4proto": "l4proto", "nfproto": "nfproto", "protocol": "nfproto", "pkttype": "pkttype"}.get(name)
        if found or name in ("iifname", "iif"):
            return found or "iif"
    elif isinstance(left, dict) and left.get("ct", {}).get("key") == "state":
        return "state"
    elif isinstance(left, dict) and left.get("fib", {}).get("result") == "type":
        return "fib"
    elif isinstance(left, dict) and "&" in left and left["&"][0].get("payload", {}).get("field") == "flags":
        return "flags"
    raise Unreadable(json.dumps(left, separators=(",", ":")))


def _holds(kind: str, left: Any, right: Any, values: _Values) -> bool:
    """Return whether an opening packet to this host has one of the values. Raises Unreadable for an interface."""
    members = {str(member) for member in _members(right, values)}
    if kind == "iif":
        return any(is_any(member, values.interfaces) for member in members - {"lo"})
    if kind == "flags":
        mask, wanted = ({word.upper() for word in _words(side)} for side in (left["&"][1], right))
        return opens_by_flags(mask, wanted)
    return bool(members & _IS[kind])


def _words(side: Any) -> list[str]:
    """Return the flags of one side: one word, a list of words, or words joined by `|`."""
    if isinstance(side, dict) and "|" in side:
        return [word for part in side["|"] for word in _words(part)]
    return [str(part) for part in side] if isinstance(side, list) else [str(side)] if side else []


def _addresses(members: Iterable[Any]) -> IPSet:
    found = IPSet()
    for member in members:
        try:
            if isinstance(member, dict) and "prefix" in member:
                found.add(IPNetwork("{addr}/{len}".format(**member["prefix"])))
            elif isinstance(member, dict) and "range" in member:
                found |= IPSet(IPRange(*member["range"]).cidrs())
            else:
                found.add(IPNetwork(str(member)))
        except (AddrFormatError, ValueError) as exc:
            raise Unreadable(f"address {member}") from exc
    return found


def _ports(kind: str, members: Iterable[Any]) -> list[PortRange]:
    """Return ports for destination ports or protocols."""
    if kind == "l4proto":
        return [ports for member in members for ports in protocol_ports(str(member))]
    names = ("tcp", "udp") if kind == "th" else (kind,)
    pairs = [member["range"] if isinstance(member, dict) else (member, member) for member in members]
    try:
        return [PortRange(name, int(first), int(last)) for name in names for first, last in pairs]
    except (TypeError, ValueError) as exc:
        raise Unreadable(f"port {pairs}") from exc


def _negated(kind: str, ports: Iterable[PortRange]) -> list[PortRange]:
    """Return all ports that the protocols of a match have, but these."""
    names = {"th": ("tcp", "udp"), "l4proto": ("tcp", "udp", "ip")}.get(kind, (kind,))
    return without(common_ports(EVERYTHING, [PortRange(name, 0, 65535) for name in names]), ports)
