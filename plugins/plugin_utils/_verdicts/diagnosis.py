# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Diagnosis: which link of a wrong connection is broken, and what to do.

The way of a packet is followed to where it ends: it leaves the source, arrives at the target, passes its rules,
somebody listens and answers, and the answer comes back.
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

ACCEPT, DROP, REJECT, NOT_TOLD = "accept", "drop", "reject", "unknown"
_IF_ISOLATED = "If hosts outside its network are not meant to reach it, name the network in firewall_isolated_networks."


class Diagnosis(NamedTuple):
    """A code for programs (see CODES), one sentence for people, and what to do."""

    code: str
    text: str
    advice: str


CODES = {
    "no_listener": "the packet came through, and nobody listens",
    "ruleset_drops": "the rules of hpc.ports on a host drop what a flow allows",
    "ruleset_allows": "the rules of a host allow what no flow allows",
    "published": "rules of others on a host send what comes to the port on to a container or another port",
    "other_table": "rules of others on a host drop what a flow allows",
    "not_sent": "the source sends nothing: it has no route, for example",
    "not_arrived": "the packet was sent and did not arrive",
    "wrong_source": "the packet comes from an address that the plan does not know",
    "elsewhere": "the name or the address leads to another host",
    "reply_lost": "the packet was taken, and the answer was lost",
    "unreachable": "nothing is known, because a host could not be asked, what it said cannot be read, or the path is not "
    "proven",
    "unknown": "none of these",
}


class Judged(NamedTuple):
    """What the whole ruleset of a host does with a packet: accept, drop, reject or unknown, by which table and rule.

    Of `unknown`, table and rule are those that may stop it, and `unknown` says why; it does, too, of what was seen, not read.
    `translated` is where rules send it instead, by which rule. `is_backwards` when the kernel drops it before any rule,
    because the way back is another (rp_filter).
    """

    verdict: str
    table: str = ""
    chain: str = ""
    rule: str = ""
    is_ours: bool = False
    unknown: str = ""
    translated: str = ""
    is_backwards: bool = False

    @property
    def is_stopped(self) -> bool:
        """Tell whether the rules let nothing through."""
        return self.verdict in (DROP, REJECT)

    @property
    def is_before_counting(self) -> bool:
        """Tell whether it is stopped where nobody can count before: as it comes from the wire."""
        return self.is_stopped and self.table.startswith("netdev ")

    def as_seen(self, passed: bool | None) -> Judged:
        """Return the judgement, where the rules do not tell by what became of the packet; None is not known.

        It was stopped: no rule that might accept it has, and the one that might stop it is the suspect. Or it passed. What is
        sent on to somewhere else does neither here.
        """
        if self.verdict != NOT_TOLD or passed is None or self.translated or not (passed or self.table):
            return self
        return Judged(ACCEPT, unknown=self.unknown) if passed else self._replace(verdict=DROP)

    @property
    def where(self) -> str:
        """Return the place in words."""
        return f"table {self.table}, chain {self.chain}, `{self.rule}`" if self.table else self.unknown or "its rules"


@dataclass(frozen=True)
class Clues:
    """All that is known of one connection.

    `counters` as `Results.counters`, `arrivals` the addresses from which packets came to that port of the target.
    `out` is what the source's rules do with the packet, `inward` the target's, `reply` the target's with the answer,
    and `back` the source's with the answer.
    `sources` are the addresses that the plan knows for the source; `owners` says whose each address of the plan is.
    `unit` should listen there.
    """

    verdict: Verdict
    counters: Mapping[str, int | None]
    arrivals: frozenset[str] = frozenset()
    out: Judged | None = None
    inward: Judged | None = None
    reply: Judged | None = None
    back: Judged | None = None
    sources: frozenset[str] = frozenset()
    owners: Mapping[str, str] = field(default_factory=dict)
    unit: str = ""

    @property
    def item(self) -> Expectation:
        """Return the expectation."""
        return self.verdict.expectation

    @property
    def peer(self) -> str:
        """Return the address that the target hears from, or whom, where no address is known."""
        return self.verdict.seen.peer or self.item.source

    def is_lost(self, before: str, here: str) -> bool:
        """Tell whether packets came as far as `before`, or were not counted there, and for certain not `here`."""
        return self.counters[before] != 0 and self.counters[here] == 0


def diagnosis_of(clues: Clues) -> Diagnosis:
    """Return the first broken link."""
    return next(found for found in _links(clues) if found)


def _links(clues: Clues) -> Iterator[Diagnosis | None]:
    yield _not_read(clues)
    yield _elsewhere(clues)
    yield _dead_end(clues)
    if clues.verdict.verdict == UNKNOWN:
        yield _not_asked(clues)
        yield _no_route(clues)
        if clues.item.expected == OPEN and clues.verdict.seen.outcome in (FILTERED, ERROR):
            yield from _lost_on_the_way(clues)
            if clues.verdict.held_by == LISTENER:  # it never keeps silent
                yield from _lost_on_the_way_back(clues)
        yield _unproven(clues)
    yield _wrong_source(clues)
    if clues.item.expected == FILTERED:
        yield _refused(clues)
        yield _published(clues)
        yield _allowed(clues)
    yield _nobody(clues)
    yield from _lost_on_the_way(clues)
    yield from _lost_on_the_way_back(clues)
    yield _by_rules(clues)
    yield Diagnosis(
        "unknown", clues.verdict.why, "Look at both hosts: `nft list ruleset`, `ip route get`, `ss -ltnup`."
    )


def _lost_on_the_way(clues: Clues) -> Iterator[Diagnosis | None]:
    """What was counted proves these, even where no echo was answered."""
    yield _not_left(clues)
    yield _not_arrived(clues)
    yield _not_passed(clues)


def _lost_on_the_way_back(clues: Clues) -> Iterator[Diagnosis | None]:
    """As well: where answers are lost, those to echoes are lost, too."""
    yield _not_answered(clues)
    yield _not_returned(clues)
    yield _not_taken_back(clues)


# ---- the links, in the order of the packet's way


def _not_read(clues: Clues) -> Diagnosis | None:
    host = next(
        (host for host in (clues.item.source, clues.item.target) if clues.verdict.why == UNREAD.format(host)), ""
    )
    if not host:
        return None
    return Diagnosis(
        "unreachable",
        clues.verdict.why,
        f"See what is said of {host} above. Something on {host} answers in the place of our modules, or changes "
        "what they say.",
    )


def _elsewhere(clues: Clues) -> Diagnosis | None:
    item, seen = clues.item, clues.verdict.seen
    for name, addresses in seen.elsewhere.items():
        owners = sorted({f"{address} is {clues.owners.get(address, 'no host of the plan')}" for address in addresses})
        return Diagnosis(
            "elsewhere",
            f"{name} is {listed(addresses)} to {item.source}, not {item.address} ({listed(owners)}).",
            f"Mend the name on {item.source}: /etc/hosts, DNS, or search domains in /etc/resolv.conf.",
        )
    if clues.verdict.why.startswith(ANSWERED_BY) or clues.verdict.why.startswith(ANSWERED_BUT_NOT_BY):
        return Diagnosis(
            "elsewhere",
            f"{item.address} does not lead {item.source} to {item.target}. {clues.verdict.why}",
            f"See whether {item.address} is used twice (`arping`), or translated on {item.source}, on the way or on "
            f"{item.target} (dnat, redirect, load balancer).",
        )
    return None


def _dead_end(clues: Clues) -> Diagnosis | None:
    """A connection that opens and carries nothing."""
    item = clues.item
    if not clues.verdict.why.startswith(DEAD_END):
        return None
    return Diagnosis(
        "no_listener",
        f"{item.port}/{item.protocol} of {item.target} opens and carries nothing. {clues.verdict.why}",
        f"See on {item.target} that the container runs and listens there, and that firewall_container_interfaces has the "
        "interface that leads to it.",
    )


def _not_asked(clues: Clues) -> Diagnosis | None:
    """Of hosts that Ansible did not reach there are no probes."""
    if clues.verdict.seen.outcome != MISSING:
        return None
    return Diagnosis("unreachable", clues.verdict.why, f"See what Ansible says of {clues.item.source} above.")


def _no_route(clues: Clues) -> Diagnosis | None:
    item, seen = clues.item, clues.verdict.seen
    if seen.source:
        return None
    why = seen.detail or seen.path or "Nothing was sent."
    return Diagnosis(
        "not_sent",
        f"{item.source} has no route to {item.address}: {why}",
        f"Look at `ip route get {item.address}` on {item.source}. {_IF_ISOLATED}",
    )


def _unproven(clues: Clues) -> Diagnosis:
    """Silence needs a path that is proven, and somebody who would have answered."""
    item, seen = clues.item, clues.verdict.seen
    if seen.outcome == FILTERED and seen.reachable and clues.verdict.held_by == SERVICE:
        return Diagnosis(
            "unknown",
            clues.verdict.why,
            f"Stop what holds {item.port}/{item.protocol} of {item.target} for the time of a run: a listener then "
            "answers in its place.",
        )
    return Diagnosis(
        "unreachable",
        clues.verdict.why,
        f"See that {item.target} runs, that Ansible reaches it until the end, and that `ping "
        f"{item.address}` on {item.source} is answered; hpc.ports always accepts ICMP."
        f"{'' if seen.reachable else f' {_IF_ISOLATED}'}",
    )


def _wrong_source(clues: Clues) -> Diagnosis | None:
    """Where the target counts, what it saw; else the address that the source takes, or that it is translated to."""
    item, used = clues.item, clues.verdict.seen.peer
    strange = sorted(
        address for address in clues.arrivals - clues.sources if clues.owners.get(address, item.source) == item.source
    )
    if strange and clues.counters["left"] != 0 and clues.counters["arrived"] == 0:
        seen_as = listed(strange)
    elif used and clues.sources and used not in clues.sources:
        seen_as = used
    else:
        return None
    return Diagnosis(
        "wrong_source",
        f"{item.target} sees {seen_as} where the plan expects {item.source} as {', '.join(sorted(clues.sources))}.",
        f"Add the address to firewall_source_addresses of {item.source}, or have it come from the right one "
        f"(`ip route get {item.address}` on {item.source}; NAT between the two).",
    )


def _refused(clues: Clues) -> Diagnosis | None:
    """A refusal in the name of a port that somebody holds, of a packet that nobody saw pass."""
    item, seen = clues.item, clues.verdict.seen
    if seen.outcome != REFUSED or clues.verdict.held_by == NOBODY or clues.counters["passed"]:
        return None
    by = next((f" ({judged.where})" for judged in (clues.out, clues.inward) if judged and judged.is_stopped), "")
    return Diagnosis(
        "other_table",
        f"Somebody refuses what goes from {item.source} to {item.port}/{item.protocol} of {item.target}, where it "
        f"should meet silence{by}.",
        f"Look on {item.source}, on {item.target} and between them for rules that reject with a TCP reset or with port "
        "unreachable. Nobody was let in.",
    )


def _published(clues: Clues) -> Diagnosis | None:
    """What is translated is forwarded, or judged at its new port: our rules never saw it at this one."""
    item = clues.item
    if item.denied_by == "source" or not clues.inward or not clues.inward.translated:
        return None
    return Diagnosis(
        "published",
        f"{item.target} publishes {item.port}/{item.protocol} past its firewall: it is sent on to {clues.inward.translated}.",
        f"On {item.target}, publish the port on 127.0.0.1 or on an address that strangers do not reach, or stop what publishes "
        "it. Running the playbook site changes nothing. If the connection is meant, write a flow.",
    )


def _allowed(clues: Clues) -> Diagnosis:
    item = clues.item
    host, judged = (item.source, clues.out) if item.denied_by == "source" else (item.target, clues.inward)
    by = f": {judged.where} accepts" if judged and judged.verdict == ACCEPT and not judged.unknown else ""
    return Diagnosis(
        "ruleset_allows",
        f"No flow lets {item.source} connect to {item.port}/{item.protocol} of {item.target}, and {host} lets it "
        f"through{by}.",
        f"Run the playbook site on {host}: its rules are not loaded, or were changed by hand. If the connection is "
        "meant, write a flow.",
    )


def _nobody(clues: Clues) -> Diagnosis | None:
    """Who refuses was reached; of silence only packets that passed, and were not answered, prove it."""
    item, counters = clues.item, clues.counters
    is_silent = bool(counters["passed"]) and not counters["answered"]
    if clues.verdict.held_by != NOBODY or not (clues.verdict.seen.outcome == REFUSED or is_silent):
        return None
    should = f"; {clues.unit} should" if clues.unit else ""
    status = f"`systemctl status {clues.unit}` and " if clues.unit else ""
    return Diagnosis(
        "no_listener",
        f"Nobody listens on {item.port}/{item.protocol} of {item.target}{should}.",
        f"Look at {status}`ss -ltnup` on {item.target}.",
    )


def _not_left(clues: Clues) -> Diagnosis | None:
    if clues.counters["left"] != 0:
        return None
    item, seen = clues.item, clues.verdict.seen
    if clues.out and clues.out.is_stopped:
        return _dropped(item.source, clues.out, _outward(clues), item)
    why = seen.detail or seen.path or "no reason is known."
    return Diagnosis(
        "not_sent",
        f"{item.source} sends nothing to {item.address}: {why}",
        f"Look at `ip route get {item.address}` on {item.source}.",
    )


def _not_arrived(clues: Clues) -> Diagnosis | None:
    left, detail = clues.counters["left"], clues.verdict.seen.detail
    if not clues.is_lost("left", "arrived") or left is None and clues.verdict.seen.rejected:
        return None
    item = clues.item
    if clues.inward and clues.inward.is_before_counting:
        return _dropped(item.target, clues.inward, _inward(clues), item)
    number = "an unknown number" if left is None else left
    return Diagnosis(
        "not_arrived",
        f"Packets of {item.source} to {item.address} {item.port}/{item.protocol} did not arrive at {item.target}: "
        f"{number} left, none came.{f' {detail}' if detail else ''}",
        "Look at what lies between: security groups, another firewall, routes, a VLAN or an MTU.",
    )


def _not_passed(clues: Clues) -> Diagnosis | None:
    if not clues.is_lost("arrived", "passed"):
        return None
    item, inward = clues.item, clues.inward
    if inward and inward.is_stopped:
        return _dropped(item.target, inward, _inward(clues), item)
    if inward and inward.is_backwards:
        return _backwards(clues)
    if inward and inward.translated:
        return _published_in_vain(item, inward)
    said = (inward.unknown or "Its rules accept it.") if inward else "Its rules could not be read."
    return Diagnosis(
        "unknown",
        f"{item.target} received the packet and did not take it. {said}",
        f"Look on {item.target} at `nft list ruleset`, iptables-legacy, and the reverse path filter (rp_filter).",
    )


def _published_in_vain(item: Expectation, inward: Judged) -> Diagnosis:
    return Diagnosis(
        "published",
        f"{item.target} publishes {item.port}/{item.protocol}, and nobody answers there: it is sent on to "
        f"{inward.translated}.",
        f"See on {item.target} that the container or host there runs and listens, that net.ipv4.ip_forward is 1, and that "
        "no rule drops what is forwarded. If nothing should be published, take that rule away.",
    )


def _backwards(clues: Clues) -> Diagnosis:
    target, source = clues.item.target, clues.peer
    return Diagnosis(
        "wrong_source",
        f"{target} drops what comes from {source} over this interface: its way back is "
        "another, and the reverse path filter is strict.",
        f"Mend the route: `ip route get {source}` on {target}; or set rp_filter to 2.",
    )


def _not_answered(clues: Clues) -> Diagnosis | None:
    if not clues.counters["passed"] or not clues.is_lost("passed", "answered"):
        return None
    target = clues.item.target
    by = f": {clues.reply.where} drops it" if clues.reply and clues.reply.is_stopped else ""
    return Diagnosis(
        "reply_lost",
        f"{target} took the packet, and its answer did not leave it{by}.",
        f"Look on {target} at rules for what goes out, and at `ip route get {clues.peer}`.",
    )


def _not_returned(clues: Clues) -> Diagnosis | None:
    if not clues.counters["answered"] or not clues.is_lost("answered", "returned"):
        return None
    source, target = clues.item.source, clues.item.target
    return Diagnosis(
        "reply_lost",
        f"{target} answered, and the answer did not come back to {source}.",
        f"Look at the way back: `ip route get {clues.peer}` on {target}, and firewalls "
        "between that see one direction only.",
    )


def _not_taken_back(clues: Clues) -> Diagnosis | None:
    source, target, back = clues.item.source, clues.item.target, clues.back
    if not clues.counters["returned"] or clues.verdict.seen.outcome == REFUSED:
        return None
    by = f"whose own rules drop it: {back.where}" if back and back.is_stopped else "which did not take it"
    return Diagnosis(
        "reply_lost",
        f"The answer of {target} came back to {source}, {by}.",
        f"Look on {source} with `nft list ruleset` at rules of others for what comes in.",
    )


def _by_rules(clues: Clues) -> Diagnosis | None:
    """Where nobody counted, what the rules say is the best that is known."""
    for host, judged, what in (
        (clues.item.source, clues.out, _outward(clues)),
        (clues.item.target, clues.inward, _inward(clues)),
    ):
        if judged and judged.is_stopped:
            return _dropped(host, judged, what, clues.item)
    return None


def _outward(clues: Clues) -> str:
    return f"to {clues.item.address} {clues.item.port}/{clues.item.protocol}"


def _inward(clues: Clues) -> str:
    return f"from {clues.peer} to {clues.item.port}/{clues.item.protocol}"


def _dropped(host: str, judged: Judged, what: str, item: Expectation) -> Diagnosis:
    allowed = f"flow {item.flow} allows it" if item.flow else "the plan allows it"
    if judged.is_ours:
        return Diagnosis(
            "ruleset_drops",
            f"The rules of hpc.ports on {host} drop what goes {what} ({judged.where}), though {allowed}.",
            f"Run the playbook site on {host}: its rules are older than the plan, or were changed by hand.",
        )
    verb, doubt = ("seem to drop", f" Not certain: {judged.unknown}.") if judged.unknown else ("drop", "")
    return Diagnosis(
        "other_table",
        f"Rules of others on {host} {verb} what goes {what}: {judged.where}; {allowed}.{doubt}",
        f"Change that rule on {host}: an accept of hpc.ports does not override a drop of another table.",
    )
