# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read what `iptables-save` prints, and the rule files of ufw, which have the same form.

Only opening packets to this host count: the policies of this collection accept replies, loopback and ICMP anyway.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from ansible_collections.hpc.ports.plugins.module_utils._model.ports import (
    ALWAYS_ACCEPTED,
    EVERYTHING,
    PortRange,
    common_ports,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._draft.before_input import iptables_rules_before
from ansible_collections.hpc.ports.plugins.plugin_utils._draft.chains import (
    ACCEPT,
    DROP,
    GOTO,
    JUMP,
    PASS,
    RETURN,
    Chains,
    Read,
    Rule,
    Unreadable,
    decisions,
    is_any,
    opens_by_flags,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._draft.protocols import protocol_number, protocol_ports
from ansible_collections.hpc.ports.plugins.plugin_utils._draft.regions import (
    Decision,
    Region,
    accepted,
    anywhere,
    undecided,
)

with suppress(ImportError):  # `missing_library` reports a missing netaddr
    from netaddr import AddrFormatError, IPNetwork, IPRange, IPSet

_CHAIN = re.compile(r":(\S+) (\S+)")
# Packets and bytes, which `iptables-save -c` prints before each rule.
_COUNTERS = re.compile(r"\[\d+:\d+\]\s*")
# Commands that iptables-restore takes as well, with a chain, a place for the first two, and words.
_COMMAND = re.compile(r"(-A|--append|-I|--insert|-P|--policy|-N|--new-chain) (\S+)(?: (\d+)(?= |$))? ?(.*)")
_VERDICTS = {"ACCEPT": ACCEPT, "DROP": DROP, "REJECT": DROP, "TARPIT": DROP, "RETURN": RETURN}
# Targets after which the next rule follows.
_PASSING = ("LOG", "NFLOG", "ULOG", "TRACE", "MARK", "CONNMARK", "SET", "AUDIT", "CT", "NOTRACK", "CHECKSUM", "TCPMSS")
# What an opening packet to this host is, by match and option: its flags, state, and types of address and packet.
_OPENING_STATES = {"NEW"}
_TYPES = {"addrtype --dst-type": {"LOCAL", "UNICAST"}, "pkttype --pkt-type": {"unicast", "host"}}
# Options with one value that say nothing about the packet.
_SILENT = {"--comment", "--reject-with", "--log-prefix", "--log-level", "--nflog-prefix", "--nflog-group"}
_SILENT_FLAGS = {"--log-tcp-options", "--log-ip-options", "--log-uid", "--log-tcp-sequence"}


def read_iptables(text: str, version: int, root: str = "INPUT", interfaces: Collection[str] = ()) -> Read:
    """Return what the rules of a chain accept. `version` is 4 or 6: the program that saved them.

    `interfaces` are those by which other hosts reach this one: a rule for one of them is a rule for all packets.

    Raises ValueError if the text has no such chain.
    """
    left = list(iptables_rules_before(text))
    chains, policies = _chains(text, left)
    if root not in chains:
        raise ValueError(f"got no chain {root} in the table filter, expected the output of iptables-save")
    sources = IPSet([network for network in anywhere().iter_cidrs() if network.version == version])
    parsed = Chains(chains, lambda name: list(_rules(name, chains, left, interfaces)))
    whole = Region(sources, EVERYTHING)
    found = list(decisions(parsed, root, whole))
    if policies.get(root) == "ACCEPT" and (rest := undecided(whole, found)):
        left.insert(0, f"{root} has the policy ACCEPT: it accepts whatever no rule drops.")
        found += [Decision(region, True) for region in rest]
    return Read(accepted(found), left)


def _rules(
    chain: str, chains: Mapping[str, Sequence[str]], left: list[str], interfaces: Collection[str]
) -> Iterator[Rule]:
    """Yield the rules of a chain, and note those that cannot be read."""
    for text in chains[chain]:
        try:
            yield _rule(shlex.split(text), chains, interfaces)
        except ValueError as exc:  # Unreadable, or a quotation mark that nothing closes
            left.append(f"-A {chain} {text}: {exc}")


def _chains(text: str, left: list[str]) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Return the rules of each chain of the table filter, and the policies of its chains. Note other lines."""
    chains: dict[str, list[str]] = {}
    policies: dict[str, str] = {}
    table = ""
    for line in (_COUNTERS.sub("", line.strip(), 1) for line in text.splitlines()):
        declared, command = _CHAIN.match(line), _COMMAND.fullmatch(line)
        if line.startswith("*"):
            table = line[1:].strip()
        elif table != "filter" or not line or line.startswith("#") or line == "COMMIT":
            continue
        elif declared:
            chains.setdefault(declared[1], [])
            policies[declared[1]] = declared[2]
        elif command:
            _run(command, chains, policies)
        else:
            left.append(f"{line}: not a rule as iptables-save prints it")
    return chains, policies


def _run(command: re.Match[str], chains: dict[str, list[str]], policies: dict[str, str]) -> None:
    """Do what a command says: add a rule, or set a policy."""
    name, chain, place, words = command.groups()
    rules = chains.setdefault(chain, [])
    if name in ("-P", "--policy"):
        policies[chain] = words
    elif name in ("-I", "--insert"):
        rules.insert(int(place or 1) - 1, words)
    elif name in ("-A", "--append"):
        rules.append(words)


def _rule(words: Sequence[str], chains: Collection[str], interfaces: Collection[str]) -> Rule:
    """Return a rule. Raises Unreadable."""
    parser = _Parser(list(words), interfaces)
    parser.parse()
    target = parser.target
    verdict = PASS if target in ("", *_PASSING) else _VERDICTS.get(target) or (GOTO if parser.is_goto else JUMP)
    if verdict in (JUMP, GOTO) and target not in chains:
        raise Unreadable(f"the target {target}")
    region = parser.region()
    # Reasons matter only for a rule that decides about packets of interest.
    if parser.reasons and verdict != PASS and not parser.is_irrelevant:
        raise Unreadable(", ".join(parser.reasons))
    return Rule(region, verdict, target if verdict in (JUMP, GOTO) else "")


@dataclass
class _Parser:
    """Reads the options of a rule, each with the `!` before it."""

    words: list[str]
    interfaces: Collection[str]
    sources: IPSet = field(default_factory=anywhere)
    protocol: str = ""
    ports: list[PortRange] = field(default_factory=list)
    has_ports: bool = False
    matches_nothing: bool = False
    target: str = ""
    is_goto: bool = False
    reasons: list[str] = field(default_factory=list)
    match: str = ""

    def parse(self) -> None:
        while self.words:
            negated = self.words[0] == "!"
            if negated:
                self.words.pop(0)
            self._option(self.words.pop(0), negated)

    def _option(self, option: str, negated: bool) -> None:
        if option in ("-m", "--match"):
            self.match = self.words.pop(0)
        elif option in ("-j", "--jump", "-g", "--goto"):
            self.target, self.is_goto = self.words.pop(0), option in ("-g", "--goto")
        elif option in _SILENT:
            self.words.pop(0)
        elif option not in _SILENT_FLAGS and option not in ("-c",) and not self._read(option, negated):
            values = self._values()
            self.reasons.append(" ".join(["!"] * negated + [option, *values]))
        elif option == "-c":
            del self.words[:2]

    def _values(self) -> list[str]:
        values = []
        while self.words and not self.words[0].startswith("-") and self.words[0] != "!":
            values.append(self.words.pop(0))
        return values

    def _read(self, option: str, negated: bool) -> bool:
        """Read an option that says something about the packet; return whether it is known."""
        readers = {
            "-p": self._protocol,
            "-s": self._source,
            "--src-range": self._source,
            "--dport": self._dports,
            "--dports": self._dports,
            "--destination-port": self._dports,
            "--destination-ports": self._dports,
            "-i": self._interface,
            "--ctstate": self._state,
            "--state": self._state,
            "--tcp-flags": self._flags,
            "--dst-type": self._type,
            "--pkt-type": self._type,
        }
        if option == "--syn":
            self.matches_nothing |= negated
            return True
        if option not in readers:
            return False
        readers[option](self.words.pop(0), negated)
        return True

    def _protocol(self, value: str, negated: bool) -> None:
        self.protocol = value.lower()
        if negated:
            self.reasons.append(f"! -p {value}")

    def _source(self, value: str, negated: bool) -> None:
        first, dash, last = value.partition("-")
        try:
            named = IPSet(IPRange(first, last).cidrs() if dash else [IPNetwork(value)])
        except (AddrFormatError, ValueError):
            self.reasons.append(f"-s {value}")
            return
        self.sources = self.sources - named if negated else self.sources & named

    def _dports(self, value: str, negated: bool) -> None:
        self.has_ports = True
        if negated:
            self.reasons.append(f"! --dport {value}")
            return
        for part in value.split(","):
            first, colon, last = part.partition(":")
            try:
                self.ports.append(PortRange("", int(first or 0), int((last or 65535) if colon else first)))
            except ValueError:
                self.reasons.append(f"--dport {part}")

    def _interface(self, value: str, negated: bool) -> None:
        if value == "lo":
            self.matches_nothing |= not negated
            return
        try:
            self.matches_nothing |= is_any(value.replace("+", "*"), self.interfaces) == negated
        except Unreadable as exc:
            self.reasons.append(str(exc))

    def _state(self, value: str, negated: bool) -> None:
        self.matches_nothing |= bool(_OPENING_STATES & set(value.split(","))) == negated

    def _flags(self, value: str, negated: bool) -> None:
        mask, wanted = set(value.split(",")), set(self.words.pop(0).split(",")) - {"NONE"}
        mask = {"SYN", "ACK", "FIN", "RST", "URG", "PSH"} if mask == {"ALL"} else mask
        wanted = {"SYN", "ACK", "FIN", "RST", "URG", "PSH"} if wanted == {"ALL"} else wanted
        self.matches_nothing |= opens_by_flags(mask, wanted) == negated

    def _type(self, value: str, negated: bool) -> None:
        key = "addrtype --dst-type" if self.match == "addrtype" else "pkttype --pkt-type"
        self.matches_nothing |= bool(_TYPES[key] & set(value.split(","))) == negated

    @property
    def is_irrelevant(self) -> bool:
        """Return whether the rule matches no opening packet, or only ICMP and IGMP."""
        return self.matches_nothing or protocol_number(self.protocol) in ALWAYS_ACCEPTED

    def region(self) -> Region:
        """Return what the rule matches."""
        ports = () if self.matches_nothing else self._all_ports()
        return Region(self.sources, ports)

    def _all_ports(self) -> tuple[PortRange, ...]:
        try:
            own = protocol_ports(self.protocol)
        except Unreadable as exc:
            self.reasons.append(str(exc))
            return ()
        names = {ports.protocol for ports in own}
        if not self.has_ports:
            return own
        if len(names) != 1 or "ip" in names:
            self.reasons.append(f"ports of the protocol {self.protocol}")
            return ()
        return tuple(common_ports(own, [port._replace(protocol=name) for port in self.ports for name in names]))
