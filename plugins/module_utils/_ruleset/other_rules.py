# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find rules of other tables that may drop traffic that flows allow, or publish ports, and what bypasses the flows.

A packet passes only if the base chains of every table accept it, so a drop of another table wins over our table. Our
table judges packets to this host before NAT, so a published port is a port of this host. Of forwarded packets
it judges only those from and to containers, and it never sees packets that programs take before netfilter.
This module does not evaluate which packets these rules match: a finding lists what they can do.

A listing is read line by line, with the indentation of nft. Rules that cannot be parsed are ignored. Tables that are
too large to be listed are reported by their base chains, see `other_tables.py`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._linux.nft_outline import TableOutline
from ansible_collections.hpc.ports.plugins.module_utils._model.names import TABLES
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.other_tables import (
    MOST,
    OtherTables,
    TableReaders,
    read_other_tables,
)


class OtherRules(NamedTuple):
    """What other rules can do to the traffic of flows, one text per table and chain.

    dropping     chains that may drop traffic
    bypassing    traffic that the flows do not cover: forwarded, or taken before all rules
    published    ports that they translate, such as `8080/tcp` or `8000-8010/tcp`
    translating  chains that translate incoming traffic
    """

    dropping: tuple[str, ...] = ()
    bypassing: tuple[str, ...] = ()
    published: tuple[str, ...] = ()
    translating: tuple[str, ...] = ()


class KernelRules(NamedTuple):
    """The rules of a host.

    listing     the listing of the other tables
    failure     why there is no listing, or empty
    forwarding  the families that the host forwards
    legacy      names of legacy iptables tables by family
    unread      tables that are too large to be listed
    has_cilium  whether Cilium runs, whose programs take packets before all rules
    """

    listing: str = ""
    failure: str = ""
    forwarding: tuple[str, ...] = ()
    legacy: Mapping[str, tuple[str, ...]] = {}
    unread: tuple[TableOutline, ...] = ()
    has_cilium: bool = False


_UNREAD = f"rules that were not read, because the other tables of this host have more than {MOST} rules and jumps"
_MOST_PUBLISHED = 1000
_MOST = 5  # entries listed in a warning or finding, before "and N more"
_MAY_DROP = (
    "Other rules on this host may drop traffic that flows allow, because every table must accept a packet: {0}. "
    "hpc.ports does not change these rules."
)
_MAY_BYPASS = (
    "The flows do not cover all traffic of this host: {0}. They cover ports that containers publish by NAT, and "
    "forwarded packets of interfaces that firewall_filtered_containers lists, but no other forwarded packets."
)
_CILIUM = "packets that eBPF programs of Cilium forward before all rules (interface cilium_host)"
# The hooks of traffic of the host itself. What others do to the forwarded traffic of containers is not looked at.
_HOOKS = {"ingress", "prerouting", "input", "output", "postrouting", "egress"}
_FAMILIES = {"ip", "ip6", "inet", "bridge", "netdev"}
_SYSCTLS = {
    "IPv4": ("net.ipv4.ip_forward", "ipv4/ip_forward", {"ip", "inet"}),
    "IPv6": ("net.ipv6.conf.all.forwarding", "ipv6/conf/all/forwarding", {"ip6", "inet"}),
}
_LEGACY = {"IPv4": ("iptables-legacy", "ip_tables_names"), "IPv6": ("ip6tables-legacy", "ip6_tables_names")}

# ---- patterns in a listing

_DORMANT = re.compile(r"^\tflags [a-z, ]*dormant", re.MULTILINE)
# nft 1.1 adds the program that owns a table behind the brace.
_TABLE = re.compile(r"^table (\S+) (.+) \{(?: # .*)?$", re.MULTILINE)
_BASE = re.compile(r"type (\S+) hook (\S+) .*?(?:policy (\w+);)?$")
_XT = re.compile(r'xt target "([^"\n]*)"')
_STRING = re.compile(r'"[^"\n]*"?')
# nft 0.9.8 writes iptables extensions as comments; without the extension's library a target is only a name.
_COMMENT = re.compile(r"# (?!xt_)[^\n]*")
_DATA = re.compile(r"(?<!vmap )(?<!elements = )\{[^{}\n]*\}")
_VERDICT = re.compile(
    r"[ \t](?:(?:jump|goto) (?P<chain>[^\s,{}]+)|vmap @(?P<map>[^\s,{}]+)"
    r"|(?:xt target |# xt_)(?P<target>\w+)|(?P<verdict>drop|reject|queue)(?![\w-])"
    r"|(?P<nat>dnat(?= (?:ip6? )?(?:addr \. port |prefix |interval )?to )|(?<!type )(?<!= )redirect(?![\w-])))"
)
_KINDS = {
    "drop": "drops",
    "reject": "rejects",
    "queue": "queues",
    "REJECT": "rejects",
    "NFQUEUE": "queues",
    "QUEUE": "queues",
    "TARPIT": "drops",
    "DELUDE": "drops",
    "CHAOS": "drops",
    "STEAL": "drops",
}
_NAT_TARGETS = {"DNAT", "REDIRECT", "NETMAP"}
_HIDDEN = ("counter", "counter ")  # Nothing follows where iptables-nft has a target that nft does not know.
_IPTABLES_CHAINS = {"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"}
_PORT = re.compile(r"(?<![\w.-])(tcp|udp|sctp|dccp) dport (\{[^{}]*\}|(?!map |!= )[^\s{}]+)")
# Elements of maps that have only a protocol and a port, such as the NodePorts of kube-proxy.
_PORT_ELEMENT = re.compile(r"(?:^\s*|\{ |, )(tcp|udp) \. ([0-9]+)(?= )")
_TO_LOOPBACK = re.compile(r"(?<![\w-])ip6? daddr (?:127\.|::1(?![0-9a-f:]))")
_TARGET = re.compile(r" to (\[?[0-9a-f]*[.:0-9]\S*)")
_LOCAL = re.compile(r"127\.|\[?::1(?![0-9a-f:])")


@dataclass
class _Node:
    """A chain or a verdict map: what its own rules do, in their order, and the nodes that they jump to.

    `ports` are those of rules and elements that jump, by the node.
    """

    kind: str = ""
    hook: str = ""
    policy: str = ""
    leads_to: list[str] = field(default_factory=list)
    drops: list[tuple[str, str]] = field(default_factory=list)
    published: list[str] = field(default_factory=list)
    ports: list[tuple[str, str]] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    is_over: bool = False
    is_unread: bool = False


class _Table(NamedTuple):
    family: str
    name: str
    nodes: dict[str, _Node]

    def where(self, chain: str) -> str:
        """Return the name of a chain of this table for a finding."""
        text = f"table {self.family} {self.name}, chain {chain}"
        return "".join(char if char.isprintable() else "?" for char in text)

    def bases(self, hooks: Iterable[str]) -> list[tuple[str, _Node]]:
        """Return the base chains at these hooks."""
        return [(name, node) for name, node in self.nodes.items() if node.hook in hooks]

    def reached(self, name: str) -> list[_Node]:
        """Return the nodes that a packet can reach from this one, which comes first."""
        return list(self.reached_by_name(name).values())

    def reached_by_name(self, name: str) -> dict[str, _Node]:
        """Return the nodes that a packet can reach from this one, which comes first, with their names."""
        nodes = {name: self.nodes[name]}
        waiting = [name]
        while waiting:
            new = [other for other in self.nodes[waiting.pop(0)].leads_to if other in self.nodes and other not in nodes]
            nodes.update((other, self.nodes[other]) for other in new)
            waiting += dict.fromkeys(new)
        return nodes

    def leading(self, names: Iterable[str]) -> set[str]:
        """Return these nodes and all nodes that lead to them."""
        before: dict[str, list[str]] = {}
        for name, node in self.nodes.items():
            for target in node.leads_to:
                before.setdefault(target, []).append(name)
        found = set(names)
        waiting = list(found)
        while waiting:
            new = [name for name in before.get(waiting.pop(), ()) if name not in found]
            found.update(new)
            waiting += new
        return found


# ---- reading a listing


def _tables(listing: str) -> list[_Table]:
    """Return the tables of a listing, except our tables and dormant tables."""
    tables: dict[tuple[str, str], dict[str, _Node]] = {}
    for block in listing.split("\n}\n"):
        match = _TABLE.search(block)
        if match and f"{match[1]} {match[2]}" not in TABLES and not _DORMANT.search(block):
            # Verdict maps may be listed apart from their table.
            tables.setdefault((match[1], match[2]), {}).update(_nodes(block[match.end() :]))
    return [_Table(family, name, nodes) for (family, name), nodes in tables.items()]


def _unread_table(table: TableOutline) -> _Table:
    """Return a table whose rules were not read."""
    return _Table(
        table.family,
        table.name,
        {base.name: _Node(base.kind, base.hook, base.policy, is_unread=bool(base.rules)) for base in table.bases},
    )


def _nodes(text: str) -> dict[str, _Node]:
    """Return the chains of a table by name, and the maps by name with an @ before it."""
    nodes: dict[str, _Node] = {}
    node = None
    plain = _DATA.sub("{}", _COMMENT.sub("", _STRING.sub('""', _XT.sub(r"xt target \1", text))))
    for line, read in zip(text.split("\n"), plain.split("\n")):
        if line.startswith(("\tchain ", "\tmap ")) and line.endswith(" {"):
            what, name = line[1:-2].split(" ", 1)
            node = nodes[name if what == "chain" else "@" + name] = _Node(kind=what)
        elif line == "\t}":
            node = None
        elif node and read.startswith("\t\ttype "):
            _record_base(node, line)
        elif node and not node.is_over:
            _record_rule(node, line, read)
    _ignore_counting_rules(nodes)
    return nodes


def _record_base(node: _Node, line: str) -> None:
    match = _BASE.search(line)
    if match:
        node.kind, node.hook, node.policy = match[1], match[2], match[3] or "accept"


def _record_rule(node: _Node, line: str, read: str) -> None:
    """Record what a rule can do; a line with elements of a map counts as a rule as well."""
    node.is_over = read in ("\t\taccept", '\t\taccept comment ""')
    if line.endswith(_HIDDEN):
        node.hidden.append(line)
    verdicts = list(_VERDICT.finditer(read))
    if not verdicts:
        return
    targets = [match["chain"] or "@" + match["map"] for match in verdicts if match["chain"] or match["map"]]
    node.leads_to += targets
    node.ports += [(target, port) for target in targets for port in _ports_of_jump(node, read)]
    kinds = [_KINDS[word] for match in verdicts for word in [match["verdict"] or match["target"]] if word in _KINDS]
    if kinds and not (node.kind == "map" and node.drops):
        node.drops.append((kinds[0], line))
    if any(match["nat"] or match["target"] in _NAT_TARGETS for match in verdicts):
        node.published.append(line)


def _ports_of_jump(node: _Node, rule: str) -> list[str]:
    """Return the ports of this host that a jump is for; none if it is for packets to a certain address."""
    if node.kind == "map":
        return [f"{match[2]}/{match[1]}" for match in _PORT_ELEMENT.finditer(rule)]
    return [] if re.search(r"\bip6? daddr ", rule) else list(_ports_of_rule(rule))


def _ports_of_rule(rule: str) -> Iterator[str]:
    """Yield the ports and ranges of TCP and UDP that a rule is for."""
    match = _PORT.search(rule)
    if match and match[1] in ("tcp", "udp"):
        yield from (f"{ports}/{match[1]}" for ports in re.findall(r"\d+(?:-\d+)?", match[2]))


def _ignore_counting_rules(nodes: Mapping[str, _Node]) -> None:
    """Ignore rules that only count, except in tables of iptables-nft: some nft versions show no target there."""
    bases = {name for name, node in nodes.items() if node.hook}
    if not bases <= _IPTABLES_CHAINS:
        for node in nodes.values():
            node.hidden = [line for line in node.hidden if line.endswith(" ")]


# ---- rules that may drop


def _dropping(tables: Iterable[_Table]) -> Iterator[str]:
    for table in tables:
        for name, node in table.bases(_HOOKS if table.family in _FAMILIES else ()):
            texts = _drop_texts(node, table.reached(name))
            if texts:
                yield "{} (hook {}): {}".format(table.where(name), node.hook, ", and ".join(texts))


def _drop_texts(node: _Node, reached: Sequence[_Node]) -> list[str]:
    texts = ["drops by policy"] if node.policy == "drop" and not node.is_over else []
    drops = [drop for other in reached for drop in other.drops]
    if drops:
        kinds = " or ".join(sorted({kind for kind, line in drops}))
        texts.append(f"{kinds} by {_rules([line for kind, line in drops])}")
    hidden = [line for other in reached for line in other.hidden]
    if hidden and node.kind != "nat":
        texts.append("has " + _hidden(hidden))
    if node.is_unread and node.kind != "nat":
        texts.append("may drop by " + _UNREAD)
    return texts


def _rules(lines: Sequence[str]) -> str:
    """Return the number of rules and the first rule."""
    return ("1 rule ({1})" if len(lines) == 1 else "{0} rules (first {1})").format(len(lines), _quoted(lines[0]))


def _hidden(lines: Sequence[str]) -> str:
    return _rules(lines) + " for which nft shows no verdict"


def _quoted(text: str, longest: int = 100) -> str:
    text = " ".join(text.split())
    return repr(text if len(text) <= longest else text[:longest] + "...")


# ---- rules that translate, and traffic that bypasses the flows


def _translating(tables: Sequence[_Table]) -> Iterator[str]:
    for table in tables:
        for name, node in table.bases({"prerouting"} if table.family in _FAMILIES else ()):
            texts = _translation_texts(table.reached(name)) if node.kind == "nat" else []
            if texts:
                yield "{} {}".format(table.where(name), ", and ".join(texts))


def _translation_texts(reached: Sequence[_Node]) -> list[str]:
    rules = [line for other in reached for line in other.published]
    texts = ["translates " + _listed([_publication(line) for line in rules[:_MOST]], len(rules))] if rules else []
    hidden = [line for other in reached for line in other.hidden]
    if hidden:
        texts.append("has " + _hidden(hidden))
    if any(other.is_unread for other in reached):
        texts.append("may translate by " + _UNREAD)
    return texts


def published_in(listing: str) -> dict[str, tuple[str, str]]:
    """Return the ports that the rules in a listing publish, each with the table and the chain or map of the rule."""
    return dict(islice(_published(_tables(listing)).items(), _MOST_PUBLISHED))


def _published(tables: Sequence[_Table]) -> dict[str, tuple[str, str]]:
    """Return the ports in rules that translate incoming traffic or jump to such rules, in their order.

    Each has the table and the chain or map of the first of these rules.
    """
    ports: dict[str, tuple[str, str]] = {}
    for table in tables:
        translating = table.leading({name for name, node in table.nodes.items() if node.published})
        for name, node in table.bases({"prerouting"} if table.family in _FAMILIES else ()):
            for holder, other in table.reached_by_name(name).items() if node.kind == "nat" else ():
                for port in _published_by(other, translating):
                    ports.setdefault(port, (f"{table.family} {table.name}", holder))
    return ports


def _published_by(node: _Node, translating: Collection[str]) -> Iterator[str]:
    for rule in node.published:
        if not _TO_LOOPBACK.search(rule):
            yield from _ports_of_published(rule)
    yield from (port for target, port in node.ports if target in translating)


def _ports_of_published(rule: str) -> Iterator[str]:
    yield from _ports_of_rule(_STRING.sub('""', rule))


def _publication(rule: str) -> str:
    """Return what a rule translates, as far as the rule shows it: port, protocol and target."""
    text = _STRING.sub('""', rule)
    port, target = _PORT.search(text), _TARGET.search(text)
    words = ["{}/{}".format(port[2].strip("{} ").replace(", ", ","), port[1])] if port else []
    if "redirect" in text or "REDIRECT" in rule:
        words.append("to {}this host".format("port {} of ".format(target[1].lstrip(":")) if target else ""))
    elif target:
        words.append("to {}{}".format(target[1], " of this host" if _LOCAL.match(target[1]) else ""))
    return " ".join(words) or _quoted(rule)


def _forwarding(tables: Sequence[_Table], kernel: KernelRules) -> Iterator[str]:
    for family in kernel.forwarding:
        sysctl, path, families = _SYSCTLS[family]
        chains = [
            table.where(name) + (" (drops by policy)" if node.policy == "drop" else "")
            for table in tables
            if table.family in families
            for name, node in table.bases({"forward"})
        ]
        filters = _listed(chains[:_MOST], len(chains)) if chains else "no chain that nft lists"
        yield f"forwarded {family} ({sysctl} is 1), filtered by {filters}"


# ---- all findings


def other_rules_in(kernel: KernelRules, backend: str = "nftables") -> OtherRules:
    """Return the findings about the rules of a host, except our own tables.

    With the backend firewalld, drops in the table of firewalld implement the policy, so they are no finding. The run
    time is linear in the size of the listing for each base chain.
    """
    tables = [*_tables(kernel.listing), *map(_unread_table, kernel.unread)]
    failed = [f"rules that nft cannot list ({_quoted(kernel.failure, 300)})"] if kernel.failure else []
    legacy = {
        family: "{} (tables {}), which nft does not list".format(_LEGACY[family][0], ", ".join(names))
        for family, names in kernel.legacy.items()
        if names
    }
    translating = [text for family, text in legacy.items() if "nat" in kernel.legacy[family]]
    return OtherRules(
        dropping=(
            *failed,
            *legacy.values(),
            *_dropping([table for table in tables if (backend, table.name) != ("firewalld", "firewalld")]),
        ),
        bypassing=(*_forwarding(tables, kernel), *([_CILIUM] if kernel.has_cilium else [])),
        published=tuple(islice(_published(tables), _MOST_PUBLISHED)),
        translating=(*translating, *_translating(tables)),
    )


def other_rules(backend: str = "nftables", proc: str = "/proc", readers: TableReaders = TableReaders()) -> OtherRules:
    """Return the findings about the rules of this host; a failure of nft is a finding as well."""
    tables, failure = OtherTables("", ()), ""
    try:
        tables = read_other_tables(backend, readers)
    except (OSError, RuntimeError) as exc:
        failure = str(exc)
    return other_rules_in(
        KernelRules(
            listing=tables.listing,
            failure=failure,
            forwarding=tuple(
                family
                for family, (sysctl, path, families) in _SYSCTLS.items()
                if _words(f"{proc}/sys/net/{path}") == ("1",)
            ),
            legacy=legacy_tables(proc),
            unread=tables.unread,
            has_cilium="cilium_host:" in _words(f"{proc}/net/dev"),
        ),
        backend,
    )


def legacy_tables(proc: str = "/proc") -> dict[str, tuple[str, ...]]:
    """Return the names of legacy iptables tables by family, which nft does not list."""
    return {family: _words(f"{proc}/net/{name}") for family, (_program, name) in _LEGACY.items()}


def _words(path: str) -> tuple[str, ...]:
    """Return the words of a file of the kernel; no words if the file does not exist."""
    try:
        with open(path, encoding="utf-8") as file:
            return tuple(file.read().split())
    except OSError:
        return ()


def warnings_of(others: OtherRules) -> list[str]:
    """Return at most one warning about rules that may drop, and one about traffic that bypasses the flows."""
    return [
        text.format(_listed(findings[:_MOST], len(findings), "; "))
        for text, findings in ((_MAY_DROP, others.dropping), (_MAY_BYPASS, others.bypassing))
        if findings
    ]


def _listed(names: Sequence[str], count: int, comma: str = ", ") -> str:
    """Return the names as a list in words, with the number of those left out of `count`."""
    return comma.join([*names, *([f"and {count - len(names)} more"] if count > len(names) else [])])
