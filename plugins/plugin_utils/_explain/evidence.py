# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Collect what the plan, the rules of both hosts and a probe say about a connection to each address of the target."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._model.evaluate import Packet, evaluate
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import is_named, parse_policy
from ansible_collections.hpc.ports.plugins.plugin_utils._expectations.expected import Expected
from ansible_collections.hpc.ports.plugins.plugin_utils._explain.codes import NO, YES, code_of
from ansible_collections.hpc.ports.plugins.plugin_utils._explain.inquiry import Inquiry, packet_of
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.connections import FILTERED, OPEN, Expectation
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.reasons import AddressPair
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.answers import UNREADABLE, Registered
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.cells import Compared, Run
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.diagnosis import (
    ACCEPT,
    Clues,
    Diagnosis,
    PacketJudgement,
    diagnosis_of,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.evidence import COUNTERS, SERVICE, Results, Seen
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.registered import judged_verdicts, origins_of
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.suspects import (
    RulesetJudgement,
    SuspectPacket,
    judgements_of,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.verdicts import RIGHT, WRONG, Verdict

if TYPE_CHECKING:
    from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan

_FLOW = "flow "


_OF_PROBE = ("probed", "stopped")


class Side(NamedTuple):
    """What the rules of one host do with one packet (`what`, such as `sends it`); `passes` is None if unknown."""

    host: str
    what: str
    passes: bool | None
    text: str


class AddressAnswer(NamedTuple):
    """The answer for one address of the target.

    `sources` are the addresses that the connection may come from: one if the source reported it. `intended` is None if
    the plan does not cover the connection, `compiled` if the rules of a host are unknown. `listening` are the addresses
    on which something listens, None if unknown; `unit` is the unit that should listen. `cell` is the result of the
    probe, as in the report of verify, or None. `code` is the answer, `text` the reason, `diagnosis` the fault.
    """

    address: str
    sources: tuple[str, ...]
    intended: bool | None
    compiled: bool | None
    sides: tuple[Side, ...]
    listening: tuple[str, ...] | None
    unit: str
    cell: Mapping[str, Any] | None
    code: str
    text: str
    diagnosis: Diagnosis | None

    def as_data(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            **self._asdict(),
            "sources": list(self.sources),
            "sides": [side._asdict() for side in self.sides],
            "listening": None if self.listening is None else list(self.listening),
            "diagnosis": self.diagnosis._asdict() if self.diagnosis else None,
        }


class ExplainRun(Run):
    """A run of verify whose target may be unmanaged, and without rules."""

    def rule(self, item: Expectation) -> str:
        """Return the rule of the policy that decides, or an empty text."""
        return super().rule(item) if item.target in self.plan.hosts else ""


# The judgements of the source's rules and of the target's rules.
_Pair = tuple["RulesetJudgement | None", "RulesetJudgement | None"]


@dataclass(frozen=True)
class Evidence:
    """The plan, the inquiry, the results of the hosts, and the reason for each host without results."""

    plan: Plan
    inquiry: Inquiry
    registered: Registered
    silent: Mapping[str, str]

    def ways(self) -> Iterator[AddressAnswer]:
        """Yield the answer for each address of the target."""
        for item in self.inquiry.begun.expected.expectations:
            yield self._way(item)

    def _way(self, item: Expectation) -> AddressAnswer:
        sources = self._sources(item)
        judged = [self._judged(item, source) for source in sources]
        intended, expected = self._intended(item, sources)
        compiled = _common_value(self._passes(item, *both) for both in judged)
        verdict = self._verdict(expected)
        passes, diagnosis = self._seen(expected, verdict) or self._by_rules(expected, sources[0], judged[0], compiled)
        code = code_of(intended, passes)
        return AddressAnswer(
            item.address,
            sources,
            intended,
            compiled,
            tuple(_sides(item, sources, judged)),
            self._listening(item),
            self._unit(item),
            self._run.cell(verdict) if verdict else None,
            code,
            diagnosis.text if diagnosis else _why(code, expected) + _forwarded(judged, expected),
            diagnosis,
        )

    # ---- the plan

    def _sources(self, item: Expectation) -> tuple[str, ...]:
        """Return the reported, perhaps translated, address of the source; else its addresses in the plan."""
        told = self._results.seen(item).source or self._route(item).get("source", "")
        translated = self._results.translated(item, told)
        if told and not translated or translated in self._results.arrivals(item):
            return (translated or told,)
        return tuple(pair.source_address for pair in self._pairs(item))

    def _pairs(self, item: Expectation) -> list[AddressPair]:
        return [pair for pair in self.inquiry.reasons.pairs if pair.target_address == item.address]

    def _intended(self, item: Expectation, sources: Collection[str]) -> tuple[bool | None, Expectation]:
        """Return the intention of the plan for these addresses, and the expectation that follows."""
        pairs = [pair for pair in self._pairs(item) if pair.source_address in sources] or self._pairs(item)
        leaves = pairs[0].egress.passes or self._is_trusted(item.source, self._route(item).get("interface", ""))
        is_trusted = self._is_trusted(item.target, self._judgement_of(item.target, item).get("interface", ""))
        enters = _common_value(is_trusted or pair.ingress.passes for pair in pairs)
        intended = False if not leaves else enters if item.target in self.plan.hosts else None
        reason = pairs[0].ingress.reason
        return intended, item._replace(
            expected=FILTERED if intended is False else OPEN,
            flow=reason[len(_FLOW) :] if intended and reason.startswith(_FLOW) else "",
            denied_by="" if intended is not False else "source" if enters else "target",
        )

    def _is_trusted(self, host: str, interface: str) -> bool:
        names = self.plan.inventory.hosts[host].trusted_interfaces if host in self.plan.hosts else ()
        return bool(interface) and is_named(interface, names)

    # ---- the rules

    def _judgements_by(self, host: str) -> Sequence[Mapping[str, Any]]:
        return self.registered.get(host, {}).get("judged", {}).get("judgements", ())

    def _judgement_of(self, host: str, item: Expectation) -> Mapping[str, Any]:
        """Return the judgement of a host on the first packet to this address; empty without an answer."""
        asked = zip(self.inquiry.packets[host], self._judgements_by(host))
        return next((said for packet, said in asked if packet.destination == item.address), {})

    def _route(self, item: Expectation) -> Mapping[str, str]:
        return self._judgement_of(item.source, item).get("route", {})

    def _listening(self, item: Expectation) -> tuple[str, ...] | None:
        said = self._judgement_of(item.target, item)
        return tuple(said["listening"]) if "listening" in said and item.protocol != "ip" else None

    def _unit(self, item: Expectation) -> str:
        services = self.plan.catalogue.services
        return next((services[name].unit for name in self._run.services(item) if services[name].unit), "")

    @cached_property
    def _judgements(self) -> Mapping[tuple[str, SuspectPacket], RulesetJudgement]:
        """The judgements of both hosts, by the packet with the source address that the kernel chose."""
        source = self.inquiry.reasons.source
        packets = {host: list(asked) for host, asked in self.inquiry.packets.items()}
        for number, said in enumerate(self._judgements_by(source)):
            packets[source][number] = packets[source][number]._replace(source=said.get("route", {}).get("source", ""))
        return judgements_of(packets, {host: self._judgements_by(host) for host in packets})

    def _judged(self, item: Expectation, source: str) -> _Pair:
        out = packet_of("out", self._route(item).get("source", ""), item)
        return (
            self._judgements.get((item.source, out)),
            self._judgements.get((item.target, packet_of("in", source, item))),
        )

    def _passes(self, item: Expectation, out: RulesetJudgement | None, inward: RulesetJudgement | None) -> bool | None:
        """Return whether the rules of both hosts accept the packet and its answer; None if unknown."""
        ways = [judged for both in (out, inward) for judged in ((both.packet, both.reply) if both else (None, None))]
        if self._route(item).get("error") or any(judged and _is_stopped(judged) for judged in ways):
            return False
        return True if all(judged and judged.verdict == ACCEPT for judged in ways) else None

    def _by_rules(
        self, item: Expectation, source: str, judged: _Pair, compiled: bool | None
    ) -> tuple[bool | None, Diagnosis | None]:
        """Return whether the rules accept the connection, and the diagnosis of a probe under these rules."""
        passes = False if self._is_unknown(item, source) else compiled
        if passes in (None, item.expected == OPEN):
            return passes, None
        out, inward = judged
        error = self._route(item).get("error", "")
        seen = Seen(FILTERED, f"{error}." if error else "", reachable=True, source=source)
        return passes, diagnosis_of(
            Clues(
                Verdict(item, seen, SERVICE, WRONG, ""),
                _counters_by(error, out, inward),
                out=out.packet if out else None,
                inward=inward.packet if inward else None,
                reply=inward.reply if inward else None,
                back=out.reply if out else None,
                sources=frozenset(self._run.addresses(item.source, source=True)),
                owners=self._run.owners,
            )
        )

    def _is_unknown(self, item: Expectation, source: str) -> bool:
        """Return whether the source uses an address that is not in the plan, and the target would drop it."""
        known = self._run.addresses(item.source, source=True)
        if item.expected != OPEN or item.target not in self.plan.hosts or source in known:
            return False
        policy = parse_policy(self.plan.policies[self.plan.hosts[item.target]])
        return not evaluate(policy, Packet("in", item.protocol, source, item.port, interface="")).passes

    # ---- the probe

    @cached_property
    def _results(self) -> Results:
        """The results of both hosts. Without ssh to the target, there is no listener of ours."""
        phases = {host: self.registered.get(host, {}) for host in self.inquiry.begun.options.hosts}
        stopped = {host: phase.get("stopped", {}) for host, phase in phases.items()}
        return Results(
            probed={
                host: phase["probed"]["results"]
                for host, phase in phases.items()
                if "results" in phase.get("probed", {})
            },
            stopped=stopped,
            nonces={host: part["nonce"] for host, part in self.inquiry.begun.parts.items()},
            passive="alive" not in stopped[self.inquiry.reasons.target],
            origins=origins_of(self.plan, phases),
        )

    @cached_property
    def _run(self) -> ExplainRun:
        compared = {host: Compared(None, reason=why) for host, why in self.silent.items()}
        return ExplainRun(self.plan, self._results, compared, self._judgements)

    def _verdict(self, item: Expectation) -> Verdict | None:
        """Return the verdict of the probe; None if nothing was sent, or the results of a host cannot be read."""
        probes = [phases.get(name, {}) for phases in self.registered.values() for name in _OF_PROBE]
        if item.source not in self._results.probed or any(UNREADABLE in probe for probe in probes):
            return None
        begun = self.inquiry.begun._replace(expected=Expected([item], [], [], {}))
        return self._run.with_published(judged_verdicts(self.plan, begun, self._results)[0])

    def _seen(self, item: Expectation, verdict: Verdict | None) -> tuple[bool, Diagnosis | None] | None:
        """Return whether the probe passed, and the diagnosis; None if the probe proves nothing."""
        if verdict is None or verdict.verdict not in (RIGHT, WRONG):
            return None
        is_right = verdict.verdict == RIGHT
        return (item.expected == OPEN) == is_right, None if is_right else self._run.diagnosis(verdict)


def _common_value(values: Iterable[bool | None]) -> bool | None:
    """Return the value that all share, or None."""
    found = set(values)
    return found.pop() if len(found) == 1 else None


def _is_stopped(judged: PacketJudgement) -> bool:
    return judged.is_stopped or judged.is_dropped_by_rp_filter


def _counters_by(error: str, out: RulesetJudgement | None, inward: RulesetJudgement | None) -> dict[str, int | None]:
    """Return the counters of a packet that gets as far as the rules allow."""
    if error or out and out.packet.is_stopped:
        last = 0
    elif inward and _is_stopped(inward.packet):
        last = 2
    elif inward and inward.reply and inward.reply.is_stopped:
        last = 3
    else:
        last = len(COUNTERS)
    return {name: int(number < last) for number, name in enumerate(COUNTERS)}


def _sides(item: Expectation, sources: Sequence[str], judged: Sequence[_Pair]) -> Iterator[Side]:
    """Yield what each host does with the packet, and with the answer if it is blocked."""
    out = judged[0][0]
    if out:
        yield _side(item.source, "sends it", out.packet)
    for source, (_own, inward) in zip(sources, judged):
        if inward:
            yield _side(item.target, f"receives it from {source}", inward.packet)
        if inward and inward.reply and inward.reply.verdict != ACCEPT:
            yield _side(item.target, "answers", inward.reply)
    if out and out.reply and out.reply.verdict != ACCEPT:
        yield _side(item.source, "receives the answer", out.reply)


def _side(host: str, what: str, judged: PacketJudgement) -> Side:
    if judged.is_dropped_by_rp_filter:
        return Side(host, what, False, "drop, by the reverse path filter (rp_filter)")
    passes = None if judged.verdict == "unknown" else judged.verdict == ACCEPT
    where = judged.where if judged.table or passes is None else "by no rule"
    why = f": {judged.unknown}" if passes is None and judged.table else ""
    return Side(host, what, passes, f"{judged.verdict}, {where}{why}")


def _forwarded(judged: Sequence[_Pair], item: Expectation) -> str:
    """Return a sentence about the address to which the target forwards the port, or an empty text."""
    where = next((inward.packet.translated for _out, inward in judged if inward and inward.packet.translated), "")
    return (
        f" {item.target} publishes the port past its firewall: connections are forwarded to {where}." if where else ""
    )


def _why(code: str, item: Expectation) -> str:
    """Return the reason according to the plan, in one sentence."""
    what = f"{item.port}/{item.protocol} of {item.target}"
    if item.expected == OPEN:
        by = f" by flow {item.flow}" if item.flow else ""
        return f"{item.source} {'can' if code == YES else 'may'} connect to {what}{by}."
    denied = (
        f"{item.source} has restricted egress, and no flow allows it to open this connection"
        if item.denied_by == "source"
        else f"no flow allows it on {item.target}"
    )
    return f"{item.source} {'cannot' if code == NO else 'may not'} connect to {what}: {denied}."
