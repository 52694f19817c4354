# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Diagnosis: which link of a wrong connection is broken, and what to do. The way of a packet is followed to where it ends.

The names follow the packet: it leaves the source, arrives at the target, passes its rules, somebody listens and answers,
and the answer comes back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from ansible_collections.hpc.ports.plugins.plugin_utils.evidence import MISSING, NOBODY, REFUSED
from ansible_collections.hpc.ports.plugins.plugin_utils.expectations import FILTERED, Expectation
from ansible_collections.hpc.ports.plugins.plugin_utils.verdicts import UNKNOWN, Verdict

ACCEPT, DROP, REJECT = "accept", "drop", "reject"


class Diagnosis(NamedTuple):
    """A code for programs (see CODES), one sentence for people, and what to do."""

    code: str
    text: str
    advice: str


CODES = {
    "no_listener": "the packet came through, and nobody listens",
    "ruleset_drops": "the rules of hpc.ports on a host drop what a flow allows",
    "ruleset_allows": "the rules of a host allow what no flow allows",
    "other_table": "rules of others on a host drop what a flow allows",
    "not_sent": "the source sends nothing: it has no route, for example",
    "not_arrived": "the packet was sent and did not arrive",
    "wrong_source": "the packet comes from an address that the plan does not know",
    "elsewhere": "the name or the address leads to another host",
    "reply_lost": "the packet was taken, and the answer was lost",
    "unreachable": "nothing is known, because a host could not be asked or the path is not proven",
    "unknown": "none of these",
}


class Judged(NamedTuple):
    """What the whole ruleset of a host does with a packet: accept, drop, reject or unknown, by which table and rule.

    `is_backwards` when the kernel drops it before any rule, because the way back is another (rp_filter).
    """

    verdict: str
    table: str = ""
    chain: str = ""
    rule: str = ""
    is_ours: bool = False
    unknown: str = ""
    is_backwards: bool = False

    @property
    def is_stopped(self) -> bool:
        """Tell whether the rules let nothing through."""
        return self.verdict in (DROP, REJECT)

    @property
    def where(self) -> str:
        """Return the place in words."""
        return f"table {self.table}, chain {self.chain}, `{self.rule}`" if self.table else self.unknown or "its rules"


@dataclass(frozen=True)
class Clues:
    """All that is known of one connection.

    `counters` as `Results.counters`, `arrivals` the addresses from which packets came to that port of the target.
    `out` is what the source's rules do with the packet, `inward` the target's, `reply` the target's with the answer, and
    `back` the source's with the answer.
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
    owners: Mapping[str, str] | None = None
    unit: str = ""

    @property
    def item(self) -> Expectation:
        """Return the expectation."""
        return self.verdict.expectation

    def is_lost(self, before: str, here: str) -> bool:
        """Tell whether packets came as far as `before`, or were not counted there, and for certain not `here`."""
        return self.counters[before] != 0 and self.counters[here] == 0


def diagnosis_of(clues: Clues) -> Diagnosis:
    """Return the first broken link."""
    return next(found for found in _links(clues) if found)


def _links(clues: Clues) -> Iterator[Diagnosis | None]:
    yield _elsewhere(clues)
    if clues.verdict.verdict == UNKNOWN:
        yield _not_asked(clues)
        yield _no_route(clues)
        yield _unproven(clues)
    if clues.item.expected == FILTERED:
        yield _allowed(clues)
    yield _wrong_source(clues)
    yield _nobody(clues)
    yield _not_left(clues)
    yield _not_arrived(clues)
    yield _not_passed(clues)
    yield _not_answered(clues)
    yield _by_rules(clues)
    yield Diagnosis("unknown", clues.verdict.why, "Look at both hosts: `nft list ruleset`, `ip route get`, `ss -ltnup`.")


# ---- the links, in the order of the packet's way

def _elsewhere(clues: Clues) -> Diagnosis | None:
    item, seen = clues.item, clues.verdict.seen
    for name, addresses in seen.elsewhere.items():
        owners = sorted({f"{address} is {(clues.owners or {}).get(address, 'no host of the plan')}" for address in addresses})
        return Diagnosis("elsewhere", f"{name} is {', '.join(addresses)} to {item.source}, not {item.address} ({', '.join(owners)}).",
                         f"Mend the name on {item.source}: /etc/hosts, DNS, or search domains in /etc/resolv.conf.")
    if "answered by" in clues.verdict.why or "not by the listener" in clues.verdict.why:
        return Diagnosis("elsewhere", f"{item.address} does not lead {item.source} to {item.target}. {clues.verdict.why}",
                         f"See whether {item.address} is used twice (`arping`), or translated on {item.source}, on the way or on "
                         f"{item.target} (dnat, redirect, load balancer).")
    return None


def _allowed(clues: Clues) -> Diagnosis:
    item = clues.item
    host, judged = (item.source, clues.out) if item.denied_by == "source" else (item.target, clues.inward)
    by = f": {judged.where} accepts" if judged and judged.verdict == ACCEPT else ""
    return Diagnosis("ruleset_allows", f"No flow lets {item.source} connect to {item.port}/{item.protocol} of {item.target}, and {host} "
                     f"lets it through{by}.",
                     f"Run the playbook site on {host}: its rules are not loaded, or were changed by hand. If the connection is meant, "
                     "write a flow.")


def _not_asked(clues: Clues) -> Diagnosis | None:
    """Of hosts that Ansible did not reach there are no probes."""
    if clues.verdict.seen.outcome != MISSING:
        return None
    return Diagnosis("unreachable", clues.verdict.why, f"See what Ansible says of {clues.item.source} above.")


def _no_route(clues: Clues) -> Diagnosis | None:
    item, seen = clues.item, clues.verdict.seen
    if seen.source:
        return None
    return Diagnosis("not_sent", f"{item.source} has no route to {item.address}: {seen.detail or seen.path or 'nothing was sent.'}",
                     f"Look at `ip route get {item.address}` on {item.source}.")


def _unproven(clues: Clues) -> Diagnosis:
    item = clues.item
    return Diagnosis("unreachable", clues.verdict.why,
                     f"See that {item.target} runs, that Ansible reaches it, and that `ping` does from the sources named above; "
                     "ICMP is always accepted by hpc.ports.")


def _wrong_source(clues: Clues) -> Diagnosis | None:
    """Where the target counts, what it saw; else the address that the source takes."""
    item, used = clues.item, clues.verdict.seen.source
    strange = sorted(clues.arrivals - (clues.owners or {}).keys())
    if used not in clues.sources:
        seen_as = used
    elif clues.counters["arrived"] == 0 and strange:
        seen_as = ", ".join(strange)
    else:
        return None
    return Diagnosis("wrong_source", f"{item.target} sees {seen_as} where the plan expects {item.source} as "
                     f"{', '.join(sorted(clues.sources))}.",
                     f"Add the address to firewall_source_addresses of {item.source}, or have it come from the right one "
                     f"(`ip route get {item.address}` on {item.source}; NAT between the two).")


def _nobody(clues: Clues) -> Diagnosis | None:
    item = clues.item
    if clues.verdict.held_by != NOBODY or clues.verdict.seen.outcome != REFUSED and not clues.counters["passed"]:
        return None
    should = f"; {clues.unit} should" if clues.unit else ""
    status = f"`systemctl status {clues.unit}` and " if clues.unit else ""
    return Diagnosis("no_listener", f"Nobody listens on {item.port}/{item.protocol} of {item.target}{should}.",
                     f"Look at {status}`ss -ltnup` on {item.target}.")


def _not_left(clues: Clues) -> Diagnosis | None:
    if clues.counters["left"] != 0:
        return None
    item = clues.item
    if clues.out and clues.out.is_stopped:
        return _dropped(item.source, clues.out, f"to {item.address} {item.port}/{item.protocol}", item)
    return Diagnosis("not_sent", f"{item.source} sends nothing to {item.address}: {clues.verdict.seen.detail or clues.verdict.seen.path or 'no reason is known.'}",
                     f"Look at `ip route get {item.address}` on {item.source}.")


def _not_arrived(clues: Clues) -> Diagnosis | None:
    if not clues.is_lost("left", "arrived") or clues.counters["left"] is None and clues.verdict.seen.rejected:
        return None
    item = clues.item
    said = f" {clues.verdict.seen.detail}" if clues.verdict.seen.detail else ""
    return Diagnosis("not_arrived", f"Packets of {item.source} to {item.address} {item.port}/{item.protocol} did not arrive at {item.target}: "
                     f"{_number(clues.counters['left'])} left, none came.{said}",
                     "Look at what lies between: security groups, another firewall, routes, a VLAN or an MTU.")


def _number(count: int | None) -> str:
    return "an unknown number" if count is None else str(count)


def _not_passed(clues: Clues) -> Diagnosis | None:
    if not clues.is_lost("arrived", "passed"):
        return None
    item = clues.item
    if clues.inward and clues.inward.is_stopped:
        return _dropped(item.target, clues.inward, f"from {clues.verdict.seen.source} to {item.port}/{item.protocol}", item)
    if clues.inward and clues.inward.is_backwards:
        return Diagnosis("wrong_source", f"{item.target} drops what comes from {clues.verdict.seen.source} over this interface: its way back "
                         "is another, and the reverse path filter is strict.",
                         f"Mend the route: `ip route get {clues.verdict.seen.source}` on {item.target}; or set rp_filter to 2.")
    said = clues.inward.unknown if clues.inward else "Its rules could not be read."
    return Diagnosis("unknown", f"{item.target} received the packet and did not take it. {said}",
                     f"Look on {item.target} at `nft list ruleset`, iptables-legacy, and the reverse path filter (rp_filter).")


def _not_answered(clues: Clues) -> Diagnosis | None:
    item = clues.item
    if clues.is_lost("passed", "answered") and clues.counters["passed"]:
        judged = clues.reply
        by = f": {judged.where} drops it" if judged and judged.is_stopped else ""
        return Diagnosis("reply_lost", f"{item.target} took the packet, and its answer did not leave it{by}.",
                         f"Look on {item.target} at rules for what goes out, and at `ip route get {clues.verdict.seen.source}`.")
    if clues.is_lost("answered", "returned") and clues.counters["answered"]:
        return Diagnosis("reply_lost", f"{item.target} answered, and the answer did not come back to {item.source}.",
                         f"Look at the way back: `ip route get {clues.verdict.seen.source}` on {item.target}, firewalls between that see "
                         "one direction only.")
    if clues.counters["returned"] and clues.verdict.seen.outcome != REFUSED:
        by = f": {clues.back.where}" if clues.back and clues.back.is_stopped else ""
        return Diagnosis("reply_lost", f"The answer of {item.target} came back to {item.source}, whose own rules drop it{by}.",
                         f"Look on {item.source} at rules for what comes in, other than those of hpc.ports: `nft list ruleset`.")
    return None


def _by_rules(clues: Clues) -> Diagnosis | None:
    """Where nobody counted, what the rules say is the best that is known."""
    item = clues.item
    for host, judged, what in ((item.source, clues.out, f"to {item.address} {item.port}/{item.protocol}"),
                               (item.target, clues.inward, f"from {clues.verdict.seen.source} to {item.port}/{item.protocol}")):
        if judged and judged.is_stopped:
            return _dropped(host, judged, what, item)
    return None


def _dropped(host: str, judged: Judged, what: str, item: Expectation) -> Diagnosis:
    allowed = f"flow {item.flow} allows it" if item.flow else "the plan allows it"
    if judged.is_ours:
        return Diagnosis("ruleset_drops", f"The rules of hpc.ports on {host} drop what goes {what} ({judged.where}), though {allowed}.",
                         f"Run the playbook site on {host}: its rules are older than the plan, or were changed by hand.")
    return Diagnosis("other_table", f"Rules of others on {host} drop what goes {what}: {judged.where}; {allowed}.",
                     f"Change that rule on {host}: an accept of hpc.ports does not override a drop of another table.")
