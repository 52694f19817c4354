# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Leave out of a draft the flows to which lint objects, so that a site can use the rest as it is."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

from ansible_collections.hpc.ports.plugins.plugin_utils._draft.port_file import Draft
from ansible_collections.hpc.ports.plugins.plugin_utils._lint.findings import Finding
from ansible_collections.hpc.ports.plugins.plugin_utils._lint.rules import findings
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import recompiled
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.catalogue import Catalogue, with_entries
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError, listed

if TYPE_CHECKING:
    from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan

_OBJECTIONS = ("error", "warning")
# Whether a flow has these findings depends on other flows, which may be left out themselves.
_ABOUT_OTHERS = ("duplicate-flow", "shadowed-flow")
# It asks for words that only the site knows, and does not object to what a flow opens.
_ABOUT_WORDS = "mutual-tls-note"


def without_objections(plan: Plan, draft: Draft, today: date | None = None) -> tuple[Draft, list[str]]:
    """Return the draft without flows that are invalid or have errors or warnings of lint, and a line for each of them.

    Flows that the draft only turns on count as well. Notes do not count, nor do findings about the port file of the
    plan. Flows that another flow covers are left out silently, and so are services and endpoints that no flow of the
    draft needs any more. Of a flow with several services, those without findings stay.
    """
    rest, left = draft, {}
    while rest.flows or rest.enabled:
        reasons = _objections(plan, rest, today or date.today())
        if not reasons:
            break
        several = {name for name in reasons if name in rest.flows and len(rest.flows[name]["services"]) > 1}
        gone = reasons.keys() - several
        left.update({name: f"{name} ({_content(rest, name)}): {reasons[name]}" for name in gone if reasons[name]})
        rest = _split(_without(rest, gone), several)
    return rest, [left[name] for name in sorted(left)]


def _objections(plan: Plan, draft: Draft, today: date) -> dict[str, str]:
    """Return why flows are not for the port file, by flow."""
    reasons = _invalid(plan.catalogue, draft)
    return reasons or _by_flow(draft, findings(recompiled(plan, _merged(plan.catalogue, draft)), today))


def _split(draft: Draft, names: Collection[str]) -> Draft:
    """Return the draft with a flow for each service instead of these flows."""
    flows = {name: flow for name, flow in draft.flows.items() if name not in names}
    for name in names:
        for service in draft.flows[name]["services"]:
            new = draft.unused(f"{name}_{service}", (flows, draft.flows, draft.catalogue.flows))
            flows[new] = {**draft.flows[name], "services": [service]}
    return replace(draft, flows=flows)


def _merged(catalogue: Catalogue, draft: Draft) -> Catalogue:
    """Return the port file with the draft. Raises PortFileError."""
    enabled = {name: replace(catalogue.flows[name], enabled=True) for name in draft.enabled}
    return with_entries(replace(catalogue, flows={**catalogue.flows, **enabled}), draft.entries())


def _invalid(catalogue: Catalogue, draft: Draft) -> dict[str, str]:
    """Return why a flow cannot be in the port file, by flow."""
    try:
        _merged(catalogue, draft)
    except PortFileError:
        pass
    else:
        return {}
    reasons = {}
    for name in draft.flows:
        try:
            _merged(catalogue, _without(draft, draft.flows.keys() - {name}))
        except PortFileError as exc:
            reasons[name] = str(exc)
    return reasons


def _by_flow(draft: Draft, found: Iterable[Finding]) -> dict[str, str]:
    """Return the objections by flow. If there are none, return one flow that another one covers, with an empty text."""
    reasons: dict[str, list[str]] = {}
    covered: list[str] = []
    for finding in found:
        if finding.severity in _OBJECTIONS and finding.rule != _ABOUT_WORDS:
            for name in _flows_of(draft, finding.subject):
                if finding.rule in _ABOUT_OTHERS:
                    covered.append(name)
                else:
                    reasons.setdefault(name, []).append(f"{finding.severity} {finding.rule}: {finding.message}")
    # Two flows may cover each other, so only one of them goes.
    return {name: " ".join(texts) for name, texts in reasons.items()} or dict.fromkeys(covered[-1:], "")


def _flows_of(draft: Draft, subject: str) -> Collection[str]:
    """Return the flows of the draft that a finding is about: the flow itself, or all with the service or endpoint."""
    section, _dot, rest = subject.partition(".")
    name = rest.partition(".")[0]
    if section == "firewall_flows":
        return [name] if name in draft.flows or name in draft.enabled else []
    entries = {"firewall_services": draft.services, "firewall_endpoints": draft.endpoints}.get(section, {})
    return [flow for flow, value in draft.flows.items() if name in entries and name in _names(value)]


def _names(flow: Mapping[str, Any]) -> set[str]:
    return {*flow["from"], *flow["to"], *flow["services"]}


def _without(draft: Draft, names: Collection[str]) -> Draft:
    """Return the draft without these flows, and without the services and endpoints that only they have."""
    kept = {name: flow for name, flow in draft.flows.items() if name not in names}
    before, after = (set().union(*map(_names, flows.values())) for flows in (draft.flows, kept))
    gone = before - after
    return replace(
        draft,
        services={name: value for name, value in draft.services.items() if name not in gone},
        endpoints={name: value for name, value in draft.endpoints.items() if name not in gone},
        flows=kept,
        enabled=[name for name in draft.enabled if name not in names],
    )


def _content(draft: Draft, name: str) -> str:
    """Return what a flow connects, with the networks and ports of the draft in place of their names."""
    if name in draft.enabled:
        return "a flow of the port file that is off"
    flow = draft.flows[name]
    networks = {name: listed(value["cidrs"]) for name, value in draft.endpoints.items() if not value.get("except")}
    known = {**networks, **{name: listed(value["ports"]) for name, value in draft.services.items()}}
    return "; ".join(
        f"{key}: {', '.join(known.get(name, name) for name in flow[key])}" for key in ("from", "to", "services")
    )
