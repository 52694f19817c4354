# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Flows that lint would object to are not in a draft, and a line names each of them."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils._audit.objections import without_objections
from ansible_collections.hpc.ports.plugins.plugin_utils._draft.port_file import Draft
from ansible_collections.hpc.ports.plugins.plugin_utils._lint.rules import findings
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan, recompiled
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.catalogue import with_entries
from ansible_collections.hpc.ports.tests.support.linted import TODAY, plan_of

WEB = {"portal": {"from": ["monitoring"], "to": ["control_plane"]}}


def plan() -> Plan:
    return plan_of(WEB)


def draft_of(flows: dict[str, Any], services: dict[str, str] | None = None, **endpoints: str) -> Draft:
    """Return a draft of flows to the control plane; services have a port, endpoints a network."""
    return Draft(
        plan().catalogue,
        {name: {"ports": [port]} for name, port in (services or {}).items()},
        {name: {"cidrs": [network]} for name, network in endpoints.items()},
        {
            name: {"to": ["control_plane"], "services": ["gmond"], "need": "recommended", **flow}
            for name, flow in flows.items()
        },
    )


def left_of(draft: Draft) -> tuple[set[str], list[str]]:
    """Return which flows stay, and what is said of the others; the rest passes lint."""
    rest, left = without_objections(plan(), draft, TODAY)
    merged = recompiled(plan(), with_entries(plan().catalogue, rest.entries()))
    known = set(findings(plan(), TODAY))
    assert [item for item in findings(merged, TODAY) if item not in known and item.severity != "note"] == []
    used = {name for flow in rest.flows.values() for name in (*flow["from"], *flow["to"], *flow["services"])}
    assert rest.services.keys() | rest.endpoints.keys() <= used
    return set(rest.flows), left


def test_a_draft_without_objections_stays_as_it_is() -> None:
    draft = draft_of({"seen": {"from": ["net"]}}, {"gmond": "8649/udp"}, net="10.9.0.0/16")
    assert without_objections(plan(), draft, TODAY) == (draft, [])


def test_flows_with_errors_and_warnings_go_with_what_only_they_use() -> None:
    draft = draft_of(
        {
            "open": {"from": ["world"], "services": ["ssh"]},
            "rdp": {"from": ["net"], "services": ["desk"]},
            "seen": {"from": ["net"]},
        },
        {"gmond": "8649/udp", "desk": "3389/tcp"},
        net="10.9.0.0/16",
        world="0.0.0.0/0",
    )
    kept, left = left_of(draft)
    assert kept == {"seen"}
    assert left[0].startswith(
        "open (from: 0.0.0.0/0; to: control_plane; services: ssh): error ssh-known-sources: Opens 22"
    )
    assert left[1].startswith(
        "rdp (from: 10.9.0.0/16; to: control_plane; services: 3389/tcp): warning access-review: Opens 3389"
    )
    assert len(left) == 2


def test_findings_about_a_service_or_an_endpoint_concern_the_flows_that_use_it() -> None:
    wide = {"from": ["near"], "services": ["range"]}
    draft = draft_of(
        {"wide": wide, "around": {"to": ["around"], "from": ["near"]}, "seen": {"from": ["near"]}},
        {"gmond": "8649/udp", "range": "1-30000/tcp"},
        near="10.9.0.0/16",
        around="10.4.0.0/24",
    )
    kept, left = left_of(draft)
    assert (kept, [line.split()[0] for line in left]) == ({"seen"}, ["around", "wide"])
    assert "host-in-network" in left[0] and "least-privilege" in left[1]


def test_a_flow_that_another_one_covers_stays_if_the_other_one_goes() -> None:
    flows = {"small": {"from": ["near"], "services": ["ssh"]}, "wide": {"from": ["world"], "services": ["ssh"]}}
    assert left_of(draft_of(flows, near="10.9.0.0/16", world="0.0.0.0/0"))[0] == {"small"}


def test_a_flow_that_only_lacks_a_note_stays() -> None:
    draft = draft_of({"seen": {"from": ["net"], "services": ["cac"]}}, {"cac": "8443/tcp"}, net="10.9.0.0/16")
    assert without_objections(plan(), draft, TODAY) == (draft, [])


def test_of_flows_that_cover_each_other_one_stays() -> None:
    flows = {"small": {"from": ["near"], "services": ["ssh"]}, "wide": {"from": ["world"], "services": ["ssh"]}}
    assert left_of(draft_of(flows, near="10.9.1.0/24", world="10.9.0.0/16")) == ({"wide"}, [])
    kept, left = left_of(draft_of({**flows, "third": flows["wide"]}, near="10.9.0.0/16", world="10.9.0.0/16"))
    assert (len(kept), left) == (1, [])


@pytest.mark.parametrize(
    "flow,services,endpoints",
    [
        ({"from": ["world"], "services": ["all"]}, {"all": "any/ip"}, {"world": "0.0.0.0/0"}),
        ({"from": ["nobody"]}, {}, {}),
    ],
)
def test_an_invalid_flow_is_left_out_and_the_others_stay(
    flow: dict[str, Any], services: dict[str, str], endpoints: dict[str, str]
) -> None:
    flows = {"bad": flow, "seen": {"from": ["net"]}}
    kept, [line] = left_of(draft_of(flows, {"gmond": "8649/udp", **services}, net="10.9.0.0/16", **endpoints))
    assert kept == {"seen"}
    assert "): Invalid firewall_flows.bad.from: got " in line


def test_a_flow_that_is_off_and_gets_findings_is_not_turned_on() -> None:
    services = {"gmond": {"ports": ["8649/udp"]}, "desk": {"ports": ["3389/tcp"]}}
    off = {"from": ["monitoring"], "to": ["control_plane"], "need": "optional"}
    flows = {**WEB, "rdp": {**off, "services": ["desk"]}, "ganglia": {**off, "services": ["gmond"]}}
    plan = plan_of(flows, services=services)
    rest, [line] = without_objections(plan, Draft(plan.catalogue, enabled=["ganglia", "rdp"]), TODAY)
    assert rest.enabled == ["ganglia"]
    assert line.startswith("rdp (a flow of the port file that is off): warning access-review: Opens 3389/tcp")
