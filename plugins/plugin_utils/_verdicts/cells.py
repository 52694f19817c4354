# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cells: everything known about each connection as plain data, in the form of roles/verify/files/report.schema.json.

Three layers: intended (the port file), compiled (the rulesets on the hosts) and observed (the probe).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._model.evaluate import Packet as Opening
from ansible_collections.hpc.ports.plugins.module_utils._model.evaluate import covers_port
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import Policy, network_text, parse_policy
from ansible_collections.hpc.ports.plugins.plugin_utils._expectations.expected import FILTERED, OPEN, Expectation
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.canonical_groups import CANONICAL_GROUPS
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.diagnosis import (
    ACCEPT,
    Clues,
    Diagnosis,
    diagnosis_of,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.document import Cell, HostData
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.evidence import ERROR, Results
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.from_containers import diagnosis_of_container
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.suspects import (
    Judgements,
    RulesetJudgement,
    packets_at_ends,
    seen_passing,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.verdicts import (
    ANSWERED_BUT_NOT_BY,
    RIGHT,
    UNKNOWN,
    UNPROVEN,
    WRONG,
    Verdict,
)

if TYPE_CHECKING:
    from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan

_NETWORKS_SHOWN = 4


class Compared(NamedTuple):
    """Whether a host runs its policy; None if unknown, with the reason; `objects` are those that differ."""

    is_equal: bool | None
    objects: tuple[str, ...] = ()
    reason: str = ""
    backend: str = ""


def addresses_of(plan: Plan, host: str, source: bool) -> list[str]:
    """Return the addresses of a host as target or as source; empty if a name does not resolve."""
    try:
        return [str(network.ip) for network in plan.addresses.host_networks([host], source)]
    except ValueError:
        return []


@dataclass(frozen=True)
class Run:
    """One run of verify: the plan, the reports of hosts, whether they run their policy, and judgements of rules.

    `unreadable` has the reason for each host with an unreadable answer.
    """

    plan: Plan
    results: Results
    compared: Mapping[str, Compared]
    judgements: Judgements
    unreadable: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def owners(self) -> dict[str, str]:
        """Return the owner of each address in the inventory, if it is unique."""
        return {
            address: host
            for host in self.plan.inventory.hosts
            for source in (False, True)
            for address in self.addresses(host, source)
        }

    def addresses(self, host: str, source: bool) -> list[str]:
        """Return the addresses of a host as target or as source; empty if a name does not resolve."""
        return addresses_of(self.plan, host, source)

    @cached_property
    def _policies(self) -> dict[str, Policy]:
        return {key: parse_policy(policy) for key, policy in self.plan.policies.items()}

    @cached_property
    def _rule_texts(self) -> dict[tuple[str, str, str, int], str]:
        return {}

    @cached_property
    def _services_by_port(self) -> dict[tuple[str, int], list[str]]:
        return {}

    # ---- one cell

    def cell(self, verdict: Verdict) -> Cell:
        """Return the cell of one connection."""
        expectation, seen = verdict.expectation, verdict.seen
        counters = self.results.counters(expectation)
        diagnosis = self.diagnosis(verdict)
        return {
            "source": expectation.source,
            "target": expectation.target,
            "address": expectation.address,
            "protocol": expectation.protocol,
            "port": expectation.port,
            "services": self.services(expectation),
            "intended": expectation.expected,
            "compiled": self.compiled(verdict),
            "outcome": ERROR if verdict.verdict == UNKNOWN else seen.outcome,
            "verdict": verdict.verdict,
            "flow": expectation.flow,
            "denied_by": expectation.denied_by,
            "rule": self.rule(verdict),
            "held_by": verdict.held_by,
            "seconds": seen.seconds,
            "attempts": seen.attempts,
            "counters": counters if any(count is not None for count in counters.values()) else None,
            "detail": seen.detail,
            "why": verdict.why,
            "diagnosis": {"code": diagnosis.code, "text": diagnosis.text, "advice": diagnosis.advice}
            if diagnosis
            else None,
        }

    def services(self, expectation: Expectation) -> list[str]:
        """Return the services with this port; broad services and `any/ip` only if no other service has it."""
        key = (expectation.protocol, expectation.port)
        if key not in self._services_by_port:
            services = [
                service
                for service in self.plan.catalogue.services.values()
                if any(ports.covers(*key) for ports in service.ports)
            ]
            named = [service.name for service in services if service.has_own_ports]
            self._services_by_port[key] = named or [service.name for service in services]
        return self._services_by_port[key]

    def unit(self, expectation: Expectation) -> str:
        """Return the unit that should listen: of a service of the flow that allows the connection, else empty.

        A port within a broad service or `any/ip` proves no daemon.
        """
        flow = self.plan.flows_on.get(expectation.flow)
        units = [
            service.unit
            for service in (self.plan.catalogue.services[name] for name in (flow.services if flow else ()))
            if service.has_own_ports
            and any(ports.covers(expectation.protocol, expectation.port) for ports in service.ports)
        ]
        return next(filter(None, units), "")

    def rule(self, verdict: Verdict) -> str:
        """Return the rule of the policy that decides, in words."""
        expectation = verdict.expectation
        if expectation.denied_by:
            return f"no rule of {verdict.denying_host}: drop"
        key = (self.plan.hosts[expectation.target], expectation.flow, expectation.protocol, expectation.port)
        if key not in self._rule_texts:
            self._rule_texts[key] = self._rule_text(*key)
        return self._rule_texts[key]

    def _rule_text(self, policy: str, flow: str, protocol: str, port: int) -> str:
        packet = Opening("in", protocol, "", port)
        for rule in self._policies[policy].rules:
            if rule.direction == "in" and rule.flow == flow and covers_port(rule, packet):
                peers = [network_text(network) for network in rule.peers[:_NETWORKS_SHOWN]]
                more = f" and {len(rule.peers) - len(peers)} more" if len(rule.peers) > len(peers) else ""
                return f"in {port}/{protocol} from {', '.join(peers)}{more}: accept"
        return ""

    # ---- what the rulesets say

    def compiled(self, verdict: Verdict) -> str:
        """Return the verdict of the rulesets of source and target, or `unknown`."""
        passes = [self._passes(host, judgement, verdict) for host, judgement in self._judgements_by_end(verdict)]
        if False in passes:
            return FILTERED
        return "unknown" if None in passes else OPEN

    def reconsidered(self, verdict: Verdict) -> Verdict:
        """Return the verdict: wrong if the rulesets contradict the plan, even if the probe passed.

        A device in between may hide a rule that accepts too much.
        """
        expectation, compiled = verdict.expectation, self.compiled(verdict)
        if verdict.verdict != RIGHT or compiled in (expectation.expected, "unknown"):
            return verdict
        return verdict._replace(
            verdict=WRONG,
            why=(
                f"By the rules that {expectation.source} and {expectation.target} run, the connection is {compiled}, "
                f"but the probe found it {verdict.seen.outcome}."
            ),
        )

    def with_published(self, verdict: Verdict) -> Verdict:
        """Return the verdict: right if a flow accepts it, and the target itself forwards to the answering host."""
        inward = self._judgements_by_end(verdict)[1][1]
        is_published = inward and inward.packet.translated and not inward.packet.is_stopped
        is_forwarded = bool(is_published) and verdict.why.startswith(ANSWERED_BUT_NOT_BY)
        return verdict._replace(verdict=RIGHT, why="") if is_forwarded else verdict

    def _judgements_by_end(self, verdict: Verdict) -> list[tuple[str, RulesetJudgement | None]]:
        """Return the judgements of both hosts; the counters decide where the rules are unclear."""
        judgements = [(host, self.judgements.get((host, packet))) for host, packet in packets_at_ends(verdict)]
        if not any(judged for host, judged in judgements):
            return judgements
        seen = seen_passing(verdict, self.results.counters(verdict.expectation))
        return [(host, judged.as_seen(*passed) if judged else None) for (host, judged), passed in zip(judgements, seen)]

    def _passes(self, host: str, judgement: RulesetJudgement | None, verdict: Verdict) -> bool | None:
        """Return whether the packet passes a host: by its ruleset, else by its policy if it runs it."""
        if judgement:
            return None if judgement.packet.verdict == "unknown" else judgement.packet.verdict == ACCEPT
        if host not in self.plan.hosts:
            return True
        compared = self.compared.get(host, Compared(True))
        is_denied = bool(verdict.expectation.denied_by) and host == verdict.denying_host
        return not is_denied if compared.is_equal else None

    # ---- what is wrong

    def diagnosis(self, verdict: Verdict) -> Diagnosis | None:
        """Return the diagnosis of a connection, or None."""
        if verdict.verdict in (RIGHT, UNPROVEN):
            return None
        expectation = verdict.expectation
        (source, out), (target, inward) = self._judgements_by_end(verdict)
        if verdict.container_of:
            return diagnosis_of_container(verdict, out.packet if out else None)
        return diagnosis_of(
            Clues(
                verdict=verdict,
                counters=self.results.counters(expectation),
                arrivals=frozenset(self.results.arrivals(expectation)),
                out=out.packet if out else None,
                inward=inward.packet if inward else None,
                reply=inward.reply if inward else None,
                back=out.reply if out else None,
                sources=frozenset(self.addresses(expectation.source, source=True)),
                owners=self.owners,
                unit=self.unit(expectation),
            )
        )

    # ---- hosts

    def host(self, name: str, class_name: str) -> HostData:
        """Return the data of a host."""
        inventory = self.plan.inventory
        compared = self.compared.get(name, Compared(True if name in self.plan.hosts else None))
        return {
            "managed": name in self.plan.hosts,
            "roles": sorted(group for group in CANONICAL_GROUPS if name in inventory.groups.get(group, ())),
            "clusters": sorted(inventory.hosts[name].clusters) if name in self.plan.hosts else [],
            "addresses": self.addresses(name, source=False),
            "source_addresses": self.addresses(name, source=True),
            "class": class_name,
            "backend": compared.backend,
            "is_equal": compared.is_equal,
            "objects": list(compared.objects),
            "reason": self.unreadable.get(name, compared.reason),
        }
