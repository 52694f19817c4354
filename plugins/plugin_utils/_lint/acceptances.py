# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find which findings a flow or a service accepts, and acceptances that fit nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import date
from typing import NamedTuple

from ansible_collections.hpc.ports.plugins.plugin_utils._lint.findings import Finding
from ansible_collections.hpc.ports.plugins.plugin_utils._lint.flows import equal_flows
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.catalogue import Acceptance
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import nearest, shown_value

ACCEPTED = "accepted"
SERVICES, FLOWS = "firewall_services", "firewall_flows"
_OF_SERVICES = " (The acceptance of a service counts for a flow if all services of the flow accept the rule.)"

# What findings of these rules are about. It is no flow or service, which could accept them.
NOT_ACCEPTED = {
    "udp-by-address": "all flows together",
    **dict.fromkeys(
        ("empty-endpoint", "unused-endpoint", "missing-group", "hidden-group", "host-in-network", "unused-except"),
        "an endpoint",
    ),
    **dict.fromkeys(("empty-cluster", "host-in-cluster-network"), "a cluster"),
    **dict.fromkeys(
        ("srun-unpinned", "ssh-port", "jump-host-source", "jump-host-egress", "jump-host-unknown", "connection-unread"),
        "a host",
    ),
    "similar-group": "a group of the inventory",
    "unknown-variable": "a variable",
}


class _Written(NamedTuple):
    """An acceptance, and the key of its flow or service."""

    owner: str
    acceptance: Acceptance


def with_acceptances(plan: Plan, found: Iterable[Finding], rules: Collection[str], today: date) -> list[Finding]:
    """Return the findings, where accepted findings have this severity, and findings about the acceptances."""
    used: set[_Written] = set()
    judged = []
    for finding in found:
        fitting = _fitting(plan, finding)
        used.update(*fitting)
        judged.append(_judged(finding, fitting, today))
    return [*judged, *_unused(plan, judged, used, rules)]


def _fitting(plan: Plan, finding: Finding) -> list[list[_Written]]:
    """Return the acceptances that fit a finding, in groups: a valid group accepts the finding.

    The services of a flow accept its findings together: otherwise one service would accept what another one opens.
    """
    section, _dot, rest = finding.subject.partition(".")
    name = rest.partition(".")[0]
    if section == SERVICES and name in plan.catalogue.services:
        groups = [[_of_service(plan, name, finding.rule)]]
    elif section == FLOWS and name in plan.catalogue.flows:
        flow = plan.catalogue.flows[name]
        groups = [
            [_of(f"{FLOWS}.{name}", flow.accept, finding.rule)],
            [_of_service(plan, service, finding.rule) for service in flow.services],
        ]
    else:
        groups = []
    return [[written for written in group if written] for group in groups if all(group)]


def _of_service(plan: Plan, name: str, rule: str) -> _Written | None:
    return _of(_key(name), plan.catalogue.services[name].accept, rule)


def _of(owner: str, acceptances: Iterable[Acceptance], rule: str) -> _Written | None:
    return next((_Written(owner, acceptance) for acceptance in acceptances if acceptance.rule == rule), None)


def _judged(finding: Finding, groups: list[list[_Written]], today: date) -> Finding:
    for group in groups:
        if not any(_is_due(written.acceptance, today) for written in group):
            reasons = sorted({shown_value(written.acceptance.reason) for written in group})
            return finding._replace(severity=ACCEPTED, message=f"{finding.message} Accepted: {', '.join(reasons)}")
    due = [written for group in groups for written in group if _is_due(written.acceptance, today)]
    return _with_review(finding, due[0]) if due else finding


def _with_review(finding: Finding, written: _Written) -> Finding:
    owner, acceptance = written
    return finding._replace(
        message=f"{finding.message} It was accepted ({shown_value(acceptance.reason)}), but the acceptance was due for "
        f"review on {acceptance.review_by}. Check the reason, then set a new review_by in "
        f"{owner}.accept.{acceptance.rule}, or delete the acceptance."
    )


def _is_due(acceptance: Acceptance, today: date) -> bool:
    return acceptance.review_by is not None and acceptance.review_by < today


def _unused(
    plan: Plan, judged: Collection[Finding], used: Collection[_Written], rules: Collection[str]
) -> Iterator[Finding]:
    for written, is_checked in _all_written(plan):
        owner, acceptance = written
        if acceptance.rule not in rules:
            advice = nearest(acceptance.rule, rules) or "Delete it, or take the name of a rule from a finding."
            problem = f"{shown_value(acceptance.rule)} is not a rule of lint. {advice}"
        elif is_checked and acceptance.declared_by_site and written not in used:
            problem = _fits_nothing(plan, judged, written)
        else:
            continue
        yield Finding("unused-acceptance", "warning", f"{owner}.accept.{acceptance.rule}", problem)


def _fits_nothing(plan: Plan, judged: Collection[Finding], written: _Written) -> str:
    """Return what to do with an acceptance: the finding may be about a service of the flow, or an equal flow."""
    owner, acceptance = written
    if acceptance.rule in NOT_ACCEPTED:
        about = NOT_ACCEPTED[acceptance.rule]
        return f"Findings of {acceptance.rule} are about {about}, so no flow or service can accept them. Delete it."
    section, _dot, name = owner.partition(".")
    if section == SERVICES:
        return f"Fits no finding. Delete it.{_OF_SERVICES}"
    open_keys = {item.subject for item in judged if item.rule == acceptance.rule and item.severity != ACCEPTED}
    flow = plan.catalogue.flows[name]
    services = [service for service in sorted(flow.services) if _key(service) in open_keys]
    equal = equal_flows(plan, flow) if acceptance.rule == "duplicate-flow" else []
    flows = [other for other in equal if f"{FLOWS}.{other}" in open_keys]
    if services:
        return _elsewhere("service", services, SERVICES)
    return _elsewhere("flow", flows, FLOWS) if flows else "Fits no finding. Delete it."


def _elsewhere(what: str, names: list[str], section: str) -> str:
    subject = f"finding is about {what}" if len(names) == 1 else f"findings are about {what}s"
    places = " and ".join(f"{section}.{name}.accept" for name in names)
    return f"Fits no finding of this flow: the {subject} {', '.join(names)}. Write it into {places}."


def _key(service: str) -> str:
    return f"{SERVICES}.{service}"


def _all_written(plan: Plan) -> Iterator[tuple[_Written, bool]]:
    """Yield the acceptances, and whether lint checks their flow or service: it skips flows that are off."""
    for flow in plan.catalogue.flows.values():
        for acceptance in flow.accept:
            yield _Written(f"{FLOWS}.{flow.name}", acceptance), flow.name in plan.flows_on
    services_on = {name for flow in plan.flows_on.values() for name in flow.services}
    for service in plan.catalogue.services.values():
        for acceptance in service.accept:
            yield _Written(_key(service.name), acceptance), service.name in services_on
