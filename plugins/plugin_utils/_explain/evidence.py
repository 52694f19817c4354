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
from ansible_collections.hpc.ports.plugins.module_utils._model.wire import JudgementData, RouteData
from ansible_collections.hpc.ports.plugins.plugin_utils._expectations.expected import Expected
from ansible_collections.hpc.ports.plugins.plugin_utils._explain.codes import NO, YES, code_of
from ansible_collections.hpc.ports.plugins.plugin_utils._explain.inquiry import Inquiry, packet_of
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.connections import FILTERED, OPEN, Expectation
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.reasons import AddressPair
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.answers import UNREADABLE
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.cells import Compared, Run
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.diagnosis import (
    ACCEPT,
    Clues,
    Diagnosis,
    PacketJudgement,
    diagnosis_of,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.evidence import COUNTERS, SERVICE, Results, Seen
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.host_answers import Registered
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
_NO_ROUTE: RouteData = {"interface": "", "source": "", "gateway": "", "kind": "", "error": ""}


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

    def rule(self, verdict: Verdict) -> str:
        """Return the rule of the policy that decides, or an empty text."""
        return super().rule(verdict) if verdict.expectation.target in self.plan.hosts else ""


# The judgements of the source's rules and of the target's rules.
_JudgementPair = tuple["RulesetJudgement | None", "RulesetJudgement | None"]


@dataclass(frozen=True)
class Evidence:
    """The plan, the inquiry, the results of the hosts, and the reason for each host without results."""

    plan: Plan
    inquiry: Inquiry
    registered: Registered
    silent: Mapping[str, str]

    def ways(self) -> Iterator[AddressAnswer]:
        """Yield the answer for each address of the target."""
        for expectation in self.inquiry.verify_run.expected.expectations:
            yield self._address_answer(expectation)

    def _address_answer(self, expectation: Expectation) -> AddressAnswer:
        sources = self._sources(expectation)
        judgements = [self._judgement_pair(expectation, source) for source in sources]
        intended, planned = self._intended(expectation, sources)
        compiled = _common_value(self._passes(expectation, *pair) for pair in judgements)
        verdict = self._verdict(planned)
        passes, diagnosis = self._result_by_probe(planned, verdict) or self._result_by_rules(
            planned, sources[0], judgements[0], compiled
        )
        code = code_of(intended, passes)
        return AddressAnswer(
            expectation.address,
            sources,
            intended,
            compiled,
            tuple(_sides(expectation, sources, judgements)),
            self._listening(expectation),
            self._run.unit(planned),
            self._run.cell(verdict) if verdict else None,
            code,
            diagnosis.text if diagnosis else _plan_sentence(code, planned) + _forwarded(judgements, planned),
            diagnosis,
        )

    # ---- the plan

    def _sources(self, expectation: Expectation) -> tuple[str, ...]:
        """Return the reported, perhaps translated, address of the source; else its addresses in the plan."""
        reported = self._results.seen(expectation).source or self._route(expectation).get("source", "")
        translated = self._results.translated(expectation, reported)
        if reported and not translated or translated in self._results.arrivals(expectation):
            return (translated or reported,)
        return tuple(pair.source_address for pair in self._pairs(expectation))

    def _pairs(self, expectation: Expectation) -> list[AddressPair]:
        return [pair for pair in self.inquiry.reasons.pairs if pair.target_address == expectation.address]

    def _intended(self, expectation: Expectation, sources: Collection[str]) -> tuple[bool | None, Expectation]:
        """Return the intention of the plan for these addresses, and the expectation that follows."""
        pairs = [pair for pair in self._pairs(expectation) if pair.source_address in sources] or self._pairs(
            expectation
        )
        route = self._route(expectation)
        leaves = pairs[0].egress.passes or self._is_trusted(expectation.source, route.get("interface", ""))
        incoming = self._judgement_of(expectation.target, expectation)
        is_trusted = self._is_trusted(expectation.target, incoming.get("interface", "") if incoming else "")
        enters = _common_value(is_trusted or pair.ingress.passes for pair in pairs)
        intended = False if not leaves else enters if expectation.target in self.plan.hosts else None
        reason = pairs[0].ingress.reason
        return intended, expectation._replace(
            expected=FILTERED if intended is False else OPEN,
            flow=reason[len(_FLOW) :] if intended and reason.startswith(_FLOW) else "",
            denied_by="" if intended is not False else "source" if enters else "target",
        )

    def _is_trusted(self, host: str, interface: str) -> bool:
        names = self.plan.inventory.hosts[host].trusted_interfaces if host in self.plan.hosts else ()
        return bool(interface) and is_named(interface, names)

    # ---- the rules

    def _judgements_by(self, host: str) -> Sequence[JudgementData]:
        return self.registered.get(host, {}).get("judged", {}).get("judgements", ())

    def _judgement_of(self, host: str, expectation: Expectation) -> JudgementData | None:
        """Return the judgement of a host on the first packet to this address; None without an answer."""
        judged_packets = zip(self.inquiry.packets[host], self._judgements_by(host))
        return next(
            (judgement for packet, judgement in judged_packets if packet.destination == expectation.address), None
        )

    def _route(self, expectation: Expectation) -> RouteData:
        judgement = self._judgement_of(expectation.source, expectation)
        return judgement.get("route", _NO_ROUTE) if judgement else _NO_ROUTE

    def _listening(self, expectation: Expectation) -> tuple[str, ...] | None:
        judgement = self._judgement_of(expectation.target, expectation)
        if judgement is None or "listening" not in judgement or expectation.protocol == "ip":
            return None
        return tuple(judgement["listening"])

    @cached_property
    def _judgements(self) -> Mapping[tuple[str, SuspectPacket], RulesetJudgement]:
        """The judgements of both hosts, by the packet with the source address that the kernel chose."""
        source = self.inquiry.reasons.source
        packets = {host: list(host_packets) for host, host_packets in self.inquiry.packets.items()}
        for number, judgement in enumerate(self._judgements_by(source)):
            chosen_address = judgement.get("route", _NO_ROUTE).get("source", "")
            packets[source][number] = packets[source][number]._replace(source=chosen_address)
        return judgements_of(packets, {host: self._judgements_by(host) for host in packets})

    def _judgement_pair(self, expectation: Expectation, source: str) -> _JudgementPair:
        out = packet_of("out", self._route(expectation).get("source", ""), expectation)
        return (
            self._judgements.get((expectation.source, out)),
            self._judgements.get((expectation.target, packet_of("in", source, expectation))),
        )

    def _passes(
        self, expectation: Expectation, out: RulesetJudgement | None, inward: RulesetJudgement | None
    ) -> bool | None:
        """Return whether the rules of both hosts accept the packet and its answer; None if unknown."""
        packet_judgements = [
            packet_judgement
            for ruleset in (out, inward)
            for packet_judgement in ((ruleset.packet, ruleset.reply) if ruleset else (None, None))
        ]
        if self._route(expectation).get("error") or any(judged and _is_stopped(judged) for judged in packet_judgements):
            return False
        return True if all(judged and judged.verdict == ACCEPT for judged in packet_judgements) else None

    def _result_by_rules(
        self, expectation: Expectation, source: str, judgements: _JudgementPair, compiled: bool | None
    ) -> tuple[bool | None, Diagnosis | None]:
        """Return whether the rules accept the connection, and the diagnosis of a probe under these rules."""
        passes = False if self._comes_from_unknown_address(expectation, source) else compiled
        if passes in (None, expectation.expected == OPEN):
            return passes, None
        out, inward = judgements
        error = self._route(expectation).get("error", "")
        seen = Seen(FILTERED, f"{error}." if error else "", reachable=True, source=source)
        return passes, diagnosis_of(
            Clues(
                Verdict(expectation, seen, SERVICE, WRONG, ""),
                _counters_by(error, out, inward),
                out=out.packet if out else None,
                inward=inward.packet if inward else None,
                reply=inward.reply if inward else None,
                back=out.reply if out else None,
                sources=frozenset(self._run.addresses(expectation.source, source=True)),
                owners=self._run.owners,
            )
        )

    def _comes_from_unknown_address(self, expectation: Expectation, source: str) -> bool:
        """Return whether the source uses an address that is not in the plan, and the target would drop it."""
        known = self._run.addresses(expectation.source, source=True)
        if expectation.expected != OPEN or expectation.target not in self.plan.hosts or source in known:
            return False
        policy = parse_policy(self.plan.policies[self.plan.hosts[expectation.target]])
        return not evaluate(policy, Packet("in", expectation.protocol, source, expectation.port, interface="")).passes

    # ---- the probe

    @cached_property
    def _results(self) -> Results:
        """The results of both hosts. Without ssh to the target, there is no listener of ours."""
        phases = {host: self.registered.get(host, {}) for host in self.inquiry.verify_run.options.hosts}
        stopped = {host: phase["stopped"] for host, phase in phases.items() if "stopped" in phase}
        return Results(
            probed={
                host: phase["probed"]["results"]
                for host, phase in phases.items()
                if "results" in phase.get("probed", {})
            },
            stopped=stopped,
            nonces={host: part["nonce"] for host, part in self.inquiry.verify_run.parts.items()},
            passive="alive" not in stopped.get(self.inquiry.reasons.target, {}),
            origins=origins_of(self.plan, phases),
        )

    @cached_property
    def _run(self) -> ExplainRun:
        compared = {host: Compared(None, reason=why) for host, why in self.silent.items()}
        return ExplainRun(self.plan, self._results, compared, self._judgements)

    def _verdict(self, expectation: Expectation) -> Verdict | None:
        """Return the verdict of the probe; None if nothing was sent, or the results of a host cannot be read."""
        is_unreadable = any(
            UNREADABLE in answers.get("probed", {}) or UNREADABLE in answers.get("stopped", {})
            for answers in self.registered.values()
        )
        if expectation.source not in self._results.probed or is_unreadable:
            return None
        verify_run = self.inquiry.verify_run._replace(expected=Expected([expectation], [], [], {}))
        return self._run.with_published(judged_verdicts(self.plan, verify_run, self._results)[0])

    def _result_by_probe(
        self, expectation: Expectation, verdict: Verdict | None
    ) -> tuple[bool, Diagnosis | None] | None:
        """Return whether the probe passed, and the diagnosis; None if the probe proves nothing."""
        if verdict is None or verdict.verdict not in (RIGHT, WRONG):
            return None
        is_right = verdict.verdict == RIGHT
        return (expectation.expected == OPEN) == is_right, None if is_right else self._run.diagnosis(verdict)


def _common_value(values: Iterable[bool | None]) -> bool | None:
    """Return the value that all share, or None."""
    distinct = set(values)
    return distinct.pop() if len(distinct) == 1 else None


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


def _sides(expectation: Expectation, sources: Sequence[str], judgements: Sequence[_JudgementPair]) -> Iterator[Side]:
    """Yield what each host does with the packet, and with the answer if it is blocked."""
    out = judgements[0][0]
    if out:
        yield _side(expectation.source, "sends it", out.packet)
    for source, (_own, inward) in zip(sources, judgements):
        if inward:
            yield _side(expectation.target, f"receives it from {source}", inward.packet)
        if inward and inward.reply and inward.reply.verdict != ACCEPT:
            yield _side(expectation.target, "answers", inward.reply)
    if out and out.reply and out.reply.verdict != ACCEPT:
        yield _side(expectation.source, "receives the answer", out.reply)


def _side(host: str, what: str, judged: PacketJudgement) -> Side:
    if judged.is_dropped_by_rp_filter:
        return Side(host, what, False, "drop, by the reverse path filter (rp_filter)")
    passes = None if judged.verdict == "unknown" else judged.verdict == ACCEPT
    where = judged.where if judged.table or passes is None else "by no rule"
    why = f": {judged.unknown}" if passes is None and judged.table else ""
    return Side(host, what, passes, f"{judged.verdict}, {where}{why}")


def _forwarded(judgements: Sequence[_JudgementPair], expectation: Expectation) -> str:
    """Return a sentence about the address to which the target forwards the port, or an empty text."""
    destination = next(
        (inward.packet.translated for _out, inward in judgements if inward and inward.packet.translated), ""
    )
    return (
        f" {expectation.target} publishes the port: connections that its rules accept are forwarded to {destination}."
        if destination
        else ""
    )


def _plan_sentence(code: str, expectation: Expectation) -> str:
    """Return the reason according to the plan, in one sentence."""
    what = f"{expectation.port}/{expectation.protocol} of {expectation.target}"
    if expectation.expected == OPEN:
        by = f" by flow {expectation.flow}" if expectation.flow else ""
        return f"{expectation.source} {'can' if code == YES else 'may'} connect to {what}{by}."
    denied = (
        f"{expectation.source} has restricted egress, and no flow allows it to open this connection"
        if expectation.denied_by == "source"
        else f"no flow allows it on {expectation.target}"
    )
    return f"{expectation.source} {'cannot' if code == NO else 'may not'} connect to {what}: {denied}."
