# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Diagnosis: which link of a wrong connection is broken, and what to do.

It follows a packet to the point where it is lost: the packet leaves the source, arrives at the target, passes its
rules, reaches a listener, and the answer returns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from ansible_collections.hpc.ports.plugins.plugin_utils._expectations.expected import FILTERED, OPEN, Expectation
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import listed
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.evidence import (
    ERROR,
    LISTENER,
    MISSING,
    NOBODY,
    REFUSED,
    SERVICE,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.verdicts import (
    ANSWERED_BUT_NOT_BY,
    ANSWERED_BY,
    DEAD_END,
    UNKNOWN,
    UNREAD,
    Verdict,
)

ACCEPT, DROP, REJECT, UNDECIDED = "accept", "drop", "reject", "unknown"
_IF_ISOLATED = "If hosts outside its network must not reach it, add the network to firewall_isolated_networks."


class Diagnosis(NamedTuple):
    """A code for programs (see CODES), one sentence for people, and what to do."""

    code: str
    text: str
    advice: str


CODES = {
    "no_listener": "the packet arrived, but nothing listens on the port",
    "ruleset_drops": "the rules of hpc.ports on a host drop a connection that a flow allows",
    "ruleset_allows": "the rules of a host allow a connection that no flow allows",
    "published": "rules of another program on a host forward the port to a container or another port, without effect "
    "or unjudged",
    "other_table": "rules of another program on a host drop a connection that a flow allows",
    "not_sent": "the source sends nothing, for example because it has no route",
    "not_arrived": "the packet was sent but did not arrive",
    "wrong_source": "the packet comes from an address that the plan does not know",
    "elsewhere": "the name or address leads to another host",
    "reply_lost": "the target accepted the packet, but the answer was lost",
    "unreachable": (
        "nothing is known: Ansible could not reach a host, its results cannot be read, or no echo proves the path"
    ),
    "unknown": "none of these",
}


class PacketJudgement(NamedTuple):
    """The judgement of a host's ruleset on a packet: accept, drop, reject or unknown, with the table and the rule.

    For `unknown`, table and rule may stop the packet, and `unknown` is the reason; it is also set if the verdict was
    observed, not read from rules. `translated` is the address to which rules forward it, or would if it passed, and
    the rule.
    `is_dropped_by_rp_filter`: the kernel drops it before all rules, because the route back is another.
    """

    verdict: str
    table: str = ""
    chain: str = ""
    rule: str = ""
    is_ours: bool = False
    unknown: str = ""
    translated: str = ""
    is_dropped_by_rp_filter: bool = False

    @property
    def is_stopped(self) -> bool:
        """Return whether the rules stop the packet."""
        return self.verdict in (DROP, REJECT)

    @property
    def is_before_counting(self) -> bool:
        """Return whether the packet is stopped in a netdev table, before all counters."""
        return self.is_stopped and self.table.startswith("netdev ")

    def as_seen(self, passed: bool | None) -> PacketJudgement:
        """Return the judgement; if the rules do not decide, decide by the fate of the packet (None: unknown).

        A stopped packet makes the rule that may have stopped it the suspect, unless rules forward it.
        """
        if self.verdict != UNDECIDED or passed is None or not passed and (self.translated or not self.table):
            return self
        if passed:
            return PacketJudgement(ACCEPT, unknown=self.unknown, translated=self.translated)
        return self._replace(verdict=DROP)

    @property
    def where(self) -> str:
        """Return the place in words."""
        return f"table {self.table}, chain {self.chain}, `{self.rule}`" if self.table else self.unknown or "its rules"


@dataclass(frozen=True)
class Clues:
    """Everything known about one connection.

    `counters` are those of `Results.counters`, `arrivals` the source addresses of packets to this port of the target.
    `out` is the judgement of the source on the packet, `inward` of the target, `reply` of the target on the answer,
    and `back` of the source on the answer.
    `sources` are the addresses of the source in the plan; `owners` has the host of each address in the plan.
    `unit` is the unit that should listen.
    """

    verdict: Verdict
    counters: Mapping[str, int | None]
    arrivals: frozenset[str] = frozenset()
    out: PacketJudgement | None = None
    inward: PacketJudgement | None = None
    reply: PacketJudgement | None = None
    back: PacketJudgement | None = None
    sources: frozenset[str] = frozenset()
    owners: Mapping[str, str] = field(default_factory=dict)
    unit: str = ""

    @property
    def expectation(self) -> Expectation:
        """Return the expectation."""
        return self.verdict.expectation

    @property
    def peer(self) -> str:
        """Return the source address at the target, or the name of the source without one."""
        return self.verdict.seen.peer or self.expectation.source

    def is_lost(self, before: str, here: str) -> bool:
        """Return whether packets reached `before`, or were not counted there, and certainly did not reach `here`."""
        return self.counters[before] != 0 and self.counters[here] == 0


def diagnosis_of(clues: Clues) -> Diagnosis:
    """Return the first broken link."""
    return next(diagnosis for diagnosis in _links(clues) if diagnosis)


def _links(clues: Clues) -> Iterator[Diagnosis | None]:
    yield _unreadable_host(clues)
    yield _other_host(clues)
    yield _dead_container(clues)
    if clues.verdict.verdict == UNKNOWN:
        yield _host_without_results(clues)
        yield _no_route(clues)
        if clues.expectation.expected == OPEN and clues.verdict.seen.outcome in (FILTERED, ERROR):
            yield from _lost_on_the_way(clues)
            if clues.verdict.held_by == LISTENER:  # it never keeps silent
                yield from _lost_on_the_way_back(clues)
        yield _unproven(clues)
    yield _wrong_source(clues)
    if clues.expectation.expected == FILTERED:
        yield _rejected(clues)
        yield _published(clues)
        yield _allowed_by_rules(clues)
    yield _no_listener(clues)
    yield from _lost_on_the_way(clues)
    yield from _lost_on_the_way_back(clues)
    yield _dropped_by_judged_rule(clues)
    yield Diagnosis(
        "unknown", clues.verdict.why, "Check on both hosts: `nft list ruleset`, `ip route get`, `ss -ltnup`."
    )


def _lost_on_the_way(clues: Clues) -> Iterator[Diagnosis | None]:
    """Yield faults before the target accepts the packet. The counters prove them, even if no echo was answered."""
    yield _not_sent(clues)
    yield _not_arrived(clues)
    yield _not_accepted(clues)


def _lost_on_the_way_back(clues: Clues) -> Iterator[Diagnosis | None]:
    """Yield faults of the answer. The counters prove them: lost answers include those to echo requests."""
    yield _not_answered(clues)
    yield _not_returned(clues)
    yield _answer_not_accepted(clues)


# ---- the links, in the order of the packet's way


def _unreadable_host(clues: Clues) -> Diagnosis | None:
    host = next(
        (
            host
            for host in (clues.expectation.source, clues.expectation.target)
            if clues.verdict.why == UNREAD.format(host)
        ),
        "",
    )
    if not host:
        return None
    return Diagnosis(
        "unreachable",
        clues.verdict.why,
        f"See the messages about {host} above. Something on {host} answers instead of the modules of hpc.ports, or "
        "changes their results.",
    )


def _other_host(clues: Clues) -> Diagnosis | None:
    expectation, seen = clues.expectation, clues.verdict.seen
    for name, addresses in seen.elsewhere.items():
        owners = sorted({f"{address} is {clues.owners.get(address, 'no host of the plan')}" for address in addresses})
        return Diagnosis(
            "elsewhere",
            f"{expectation.source} resolves {name} to {listed(addresses)}, not to {expectation.address} "
            f"({listed(owners)}).",
            f"Fix the name resolution on {expectation.source}: /etc/hosts, DNS, or search domains in /etc/resolv.conf.",
        )
    if clues.verdict.why.startswith(ANSWERED_BY) or clues.verdict.why.startswith(ANSWERED_BUT_NOT_BY):
        return Diagnosis(
            "elsewhere",
            f"From {expectation.source}, {expectation.address} does not lead to {expectation.target}. "
            f"{clues.verdict.why}",
            f"Check whether another host uses {expectation.address} (`arping`), or whether {expectation.source}, "
            f"{expectation.target} or a device between them translates it (dnat, redirect, load balancer).",
        )
    return None


def _dead_container(clues: Clues) -> Diagnosis | None:
    """Return the diagnosis of a connection that is accepted but carries no data."""
    expectation = clues.expectation
    if not clues.verdict.why.startswith(DEAD_END):
        return None
    return Diagnosis(
        "no_listener",
        f"{expectation.port}/{expectation.protocol} of {expectation.target} accepts connections but carries no data. "
        f"{clues.verdict.why}",
        f"Check on {expectation.target} that the container runs and listens on this port, and that "
        "firewall_container_interfaces lists the interface that leads to it.",
    )


def _host_without_results(clues: Clues) -> Diagnosis | None:
    """Return the diagnosis for a host without results: Ansible did not reach it."""
    if clues.verdict.seen.outcome != MISSING:
        return None
    return Diagnosis(
        "unreachable", clues.verdict.why, f"See the messages of Ansible about {clues.expectation.source} above."
    )


def _no_route(clues: Clues) -> Diagnosis | None:
    expectation, seen = clues.expectation, clues.verdict.seen
    if seen.source:
        return None
    why = seen.detail or seen.path or "Nothing was sent."
    return Diagnosis(
        "not_sent",
        f"{expectation.source} has no route to {expectation.address}: {why}",
        f"Run `ip route get {expectation.address}` on {expectation.source}. {_IF_ISOLATED}",
    )


def _unproven(clues: Clues) -> Diagnosis:
    """Return the diagnosis if silence proves nothing: the path is unproven, or nothing would have answered."""
    expectation, seen = clues.expectation, clues.verdict.seen
    if seen.outcome == FILTERED and seen.reachable and clues.verdict.held_by == SERVICE:
        return Diagnosis(
            "unknown",
            clues.verdict.why,
            f"Stop the service on {expectation.port}/{expectation.protocol} of {expectation.target} during a run: a "
            "listener then answers instead.",
        )
    return Diagnosis(
        "unreachable",
        clues.verdict.why,
        f"Check that {expectation.target} runs, that Ansible can reach it until the end, and that `ping "
        f"{expectation.address}` on {expectation.source} gets an answer; hpc.ports always accepts ICMP."
        f"{'' if seen.reachable else f' {_IF_ISOLATED}'}",
    )


def _wrong_source(clues: Clues) -> Diagnosis | None:
    """Return the diagnosis of a wrong source address: the one that the target saw, else that of the source."""
    expectation, used = clues.expectation, clues.verdict.seen.peer
    unknown_addresses = sorted(
        address
        for address in clues.arrivals - clues.sources
        if clues.owners.get(address, expectation.source) == expectation.source
    )
    if unknown_addresses and clues.counters["left"] != 0 and clues.counters["arrived"] == 0:
        seen_as = listed(unknown_addresses)
    elif used and clues.sources and used not in clues.sources:
        seen_as = used
    else:
        return None
    return Diagnosis(
        "wrong_source",
        f"{expectation.target} sees {expectation.source} as {seen_as}, but the plan expects "
        f"{', '.join(sorted(clues.sources))}.",
        f"Add the address to firewall_source_addresses of {expectation.source}, or correct the source address (`ip "
        f"route get {expectation.address}` on {expectation.source}; NAT between the two hosts).",
    )


def _rejected(clues: Clues) -> Diagnosis | None:
    """Return the diagnosis of a refusal, although the port is held and no packet was seen to pass."""
    expectation, seen = clues.expectation, clues.verdict.seen
    if seen.outcome != REFUSED or clues.verdict.held_by == NOBODY or clues.counters["passed"]:
        return None
    by = next((f" ({judged.where})" for judged in (clues.out, clues.inward) if judged and judged.is_stopped), "")
    return Diagnosis(
        "other_table",
        f"Something rejects connections from {expectation.source} to {expectation.port}/{expectation.protocol} of "
        f"{expectation.target}{by}; the rules of hpc.ports drop without an answer.",
        f"Look on {expectation.source}, on {expectation.target} and between them for rules that reject with a TCP "
        "reset or with port unreachable. The connection was not accepted.",
    )


def _published(clues: Clues) -> Diagnosis | None:
    """Return the diagnosis of a translated packet that no rule of ours judges, although they judge before NAT."""
    expectation, inward = clues.expectation, clues.inward
    if expectation.denied_by == "source" or not inward or not inward.translated or inward.is_stopped:
        return None
    if inward.is_ours and not inward.rule.startswith("policy "):
        return None
    return Diagnosis(
        "published",
        f"{expectation.target} publishes {expectation.port}/{expectation.protocol}, and no rule of hpc.ports judges "
        f"it: rules of another program forward it to {inward.translated}.",
        f"Run the playbook site on {expectation.target}: its rules are not loaded, or are of a version of hpc.ports "
        "that did not judge published ports. If the connection is wanted, add a flow.",
    )


def _allowed_by_rules(clues: Clues) -> Diagnosis:
    expectation = clues.expectation
    host, judged = (
        (expectation.source, clues.out) if expectation.denied_by == "source" else (expectation.target, clues.inward)
    )
    by = f": {judged.where}" if judged and judged.verdict == ACCEPT and judged.table and not judged.unknown else ""
    return Diagnosis(
        "ruleset_allows",
        f"No flow allows {expectation.source} to connect to {expectation.port}/{expectation.protocol} of "
        f"{expectation.target}, but {host} accepts the connection{by}.",
        f"Run the playbook site on {host}: its rules are not loaded, or somebody changed them by hand. If the "
        "connection is wanted, add a flow.",
    )


def _no_listener(clues: Clues) -> Diagnosis | None:
    """Return the diagnosis for a port without a listener: a refusal, or packets that passed without an answer."""
    expectation, counters, inward = clues.expectation, clues.counters, clues.inward
    if clues.verdict.seen.outcome == REFUSED and inward and inward.translated and not inward.is_stopped:
        return _published_without_answer(expectation, inward)
    is_silent = bool(counters["passed"]) and not counters["answered"]
    if clues.verdict.held_by != NOBODY or not (clues.verdict.seen.outcome == REFUSED or is_silent):
        return None
    should = f"; {clues.unit} should" if clues.unit else ""
    status = f"`systemctl status {clues.unit}` and " if clues.unit else ""
    return Diagnosis(
        "no_listener",
        f"Nothing listens on {expectation.port}/{expectation.protocol} of {expectation.target}{should}.",
        f"Check {status}`ss -ltnup` on {expectation.target}.",
    )


def _not_sent(clues: Clues) -> Diagnosis | None:
    if clues.counters["left"] != 0:
        return None
    expectation, seen = clues.expectation, clues.verdict.seen
    if clues.out and clues.out.is_stopped:
        return _dropped_by_rule(expectation.source, clues.out, _outgoing_packets(clues), expectation)
    why = seen.detail or seen.path or "the reason is unknown."
    return Diagnosis(
        "not_sent",
        f"{expectation.source} sends nothing to {expectation.address}: {why}",
        f"Run `ip route get {expectation.address}` on {expectation.source}.",
    )


def _not_arrived(clues: Clues) -> Diagnosis | None:
    left, detail = clues.counters["left"], clues.verdict.seen.detail
    if not clues.is_lost("left", "arrived") or left is None and clues.verdict.seen.rejected:
        return None
    expectation = clues.expectation
    if clues.inward and clues.inward.is_before_counting:
        return _dropped_by_rule(expectation.target, clues.inward, _incoming_packets(clues), expectation)
    number = "an unknown number" if left is None else left
    return Diagnosis(
        "not_arrived",
        f"Packets from {expectation.source} to {expectation.address} {expectation.port}/{expectation.protocol} did not "
        f"arrive at {expectation.target}: {number} sent, 0 arrived.{f' {detail}' if detail else ''}",
        "Check the network between the hosts: security groups, another firewall, routes, VLANs or the MTU.",
    )


def _not_accepted(clues: Clues) -> Diagnosis | None:
    if not clues.is_lost("arrived", "passed"):
        return None
    expectation, inward = clues.expectation, clues.inward
    if inward and inward.is_stopped:
        return _dropped_by_rule(expectation.target, inward, _incoming_packets(clues), expectation)
    if inward and inward.is_dropped_by_rp_filter:
        return _dropped_by_rp_filter(clues)
    if inward and inward.translated:
        return _published_without_answer(expectation, inward)
    reason = (inward.unknown or "No known rule drops it.") if inward else "Its rules could not be read."
    return Diagnosis(
        "unknown",
        f"{expectation.target} received the packet but did not accept it. {reason}",
        f"On {expectation.target}, check `nft list ruleset`, iptables-legacy and the reverse path filter (rp_filter).",
    )


def _published_without_answer(expectation: Expectation, inward: PacketJudgement) -> Diagnosis:
    return Diagnosis(
        "published",
        f"{expectation.target} publishes {expectation.port}/{expectation.protocol}, but nothing answers: rules of "
        f"another program forward it to {inward.translated}.",
        f"Check on {expectation.target} that this container or host runs and listens, that net.ipv4.ip_forward is 1, "
        "and that no rule drops forwarded packets. If the port should not be published, remove the rule that forwards "
        "it and the flow.",
    )


def _dropped_by_rp_filter(clues: Clues) -> Diagnosis:
    target, source = clues.expectation.target, clues.peer
    return Diagnosis(
        "wrong_source",
        f"{target} drops packets from {source} that arrive on this interface: the route back uses another interface, "
        "and the reverse path filter is strict.",
        f"Fix the route (`ip route get {source}` on {target}), or set rp_filter to 2.",
    )


def _not_answered(clues: Clues) -> Diagnosis | None:
    if not clues.counters["passed"] or not clues.is_lost("passed", "answered"):
        return None
    target = clues.expectation.target
    if clues.inward and clues.inward.translated and not (clues.reply and clues.reply.is_stopped):
        return _published_without_answer(clues.expectation, clues.inward)
    by = f": {clues.reply.where} drops it" if clues.reply and clues.reply.is_stopped else ""
    return Diagnosis(
        "reply_lost",
        f"{target} accepted the packet, but its answer was not sent{by}.",
        f"On {target}, check the rules for outgoing packets and `ip route get {clues.peer}`.",
    )


def _not_returned(clues: Clues) -> Diagnosis | None:
    if not clues.counters["answered"] or not clues.is_lost("answered", "returned"):
        return None
    source, target = clues.expectation.source, clues.expectation.target
    return Diagnosis(
        "reply_lost",
        f"{target} answered, but the answer did not arrive at {source}.",
        f"Check the route back: `ip route get {clues.peer}` on {target}, and firewalls between the hosts that see only "
        "one direction.",
    )


def _answer_not_accepted(clues: Clues) -> Diagnosis | None:
    source, target, back = clues.expectation.source, clues.expectation.target, clues.back
    if not clues.counters["returned"] or clues.verdict.seen.outcome == REFUSED:
        return None
    by = (
        f"but its rules drop the answer: {back.where}" if back and back.is_stopped else "but the host did not accept it"
    )
    return Diagnosis(
        "reply_lost",
        f"The answer of {target} arrived at {source}, {by}.",
        f"On {source}, check `nft list ruleset` for rules of other programs that drop incoming packets.",
    )


def _dropped_by_judged_rule(clues: Clues) -> Diagnosis | None:
    """Return a diagnosis from the rules alone, for packets that were not counted."""
    for host, judged, what in (
        (clues.expectation.source, clues.out, _outgoing_packets(clues)),
        (clues.expectation.target, clues.inward, _incoming_packets(clues)),
    ):
        if judged and judged.is_stopped:
            return _dropped_by_rule(host, judged, what, clues.expectation)
    return None


def _outgoing_packets(clues: Clues) -> str:
    return f"to {clues.expectation.address} {clues.expectation.port}/{clues.expectation.protocol}"


def _incoming_packets(clues: Clues) -> str:
    return f"from {clues.peer} to {clues.expectation.port}/{clues.expectation.protocol}"


def _dropped_by_rule(host: str, judged: PacketJudgement, what: str, expectation: Expectation) -> Diagnosis:
    allowed = f"flow {expectation.flow} allows them" if expectation.flow else "the plan allows them"
    if judged.is_ours:
        return Diagnosis(
            "ruleset_drops",
            f"The rules of hpc.ports on {host} drop packets {what} ({judged.where}), but {allowed}.",
            f"Run the playbook site on {host}: its rules are older than the plan, or somebody changed them by hand.",
        )
    verb, doubt = ("seem to drop", f" Not certain: {judged.unknown}.") if judged.unknown else ("drop", "")
    return Diagnosis(
        "other_table",
        f"Rules of another program on {host} {verb} packets {what}: {judged.where}; {allowed}.{doubt}",
        f"Change that rule on {host}: an accept of hpc.ports does not override a drop of another table.",
    )
