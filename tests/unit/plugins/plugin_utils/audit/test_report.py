# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of an audit, and that the proposed flows allow what it found."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from ansible_collections.hpc.ports.plugins.module_utils._model.ports import PortRange
from ansible_collections.hpc.ports.plugins.plugin_utils._audit.answers import (
    Answer,
    Connection,
    Counters,
    Listener,
    Published,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._audit.findings import findings_of
from ansible_collections.hpc.ports.plugins.plugin_utils._audit.proposals import proposed
from ansible_collections.hpc.ports.plugins.plugin_utils._audit.report import lines
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan
from ansible_collections.hpc.ports.tests.support.sites import make_plan
from hypothesis import given
from hypothesis import strategies as st

SITE: dict[str, Any] = {"services": {"web": {"ports": ["443/tcp"]}}, "endpoints": {}, "flows": {}}
HOSTS: dict[str, Any] = {
    "ctl": {"groups": ["control_plane"], "addresses": ["10.0.0.1"]},
    "desk": {"groups": ["desks"], "addresses": ["10.0.2.1"]},
    **{
        f"n{number}": {
            "groups": ["slurm_compute"],
            "addresses": [f"10.0.1.{number}", f"fd00::1:{number}"],
            "egress": "restricted",
        }
        for number in (1, 2)
    },
}


def plan_of(site: dict[str, Any]) -> Plan:
    return make_plan(site, HOSTS)


def answer(*connections: Connection, listeners: tuple[Listener, ...] = ()) -> Answer:
    return Answer(listeners, connections, 0, ())


GMOND = Listener("udp", "0.0.0.0", 8649, "gmond", "gmond.service")


def test_the_report_names_hosts_and_groups() -> None:
    peers = ("10.0.1.1", "10.0.1.2", "10.0.2.1", "192.0.2.77")
    found = {
        "ctl": answer(*(Connection("in", peer, "udp", 8649, 2) for peer in peers), listeners=(GMOND,)),
        "n1": answer(Connection("out", "10.0.0.1", "udp", 8649, 2)),
    }
    plan = plan_of(SITE)
    findings = findings_of(plan, found)
    assert lines(plan, findings) == [
        "Connections that no flow allows. They continue until they end, but could not be opened again:",
        "  desks, slurm_compute, 192.0.2.77 to control_plane 8649/udp, 3 hosts, 8 connections; "
        "gmond (gmond.service) listens",
        "",
        "Listeners that no flow reaches:",
        "  ctl: 8649/udp, gmond (gmond.service)",
        "",
        "Flows without a listener:",
        "  ctl, n1: management_ssh (22/tcp)",
        "",
    ]
    draft = proposed(plan, findings.denied)
    assert draft.services == {"gmond": {"ports": ["8649/udp"]}}
    assert draft.endpoints == {"net_192_0_2_77_32": {"cidrs": ["192.0.2.77/32"]}}
    assert draft.flows == {
        "seen_gmond": {
            "from": ["desks", "slurm_compute", "net_192_0_2_77_32"],
            "to": ["control_plane"],
            "services": ["gmond"],
            "need": "recommended",
        }
    }


def test_who_publishes_and_which_flow_nobody_uses_is_in_the_report() -> None:
    published = Published(PortRange("udp", 8649, 8649), "Docker")
    busy = answer(Connection("in", "10.0.2.1", "udp", 8649, 1), listeners=(GMOND,))._replace(published=(published,))
    counting = [("ctl", 172801), ("n1", 172799), ("n2", 90)]
    found = {
        host: (busy if host == "ctl" else answer())._replace(counters=Counters({"management_ssh": 0}, seconds))
        for host, seconds in counting
    }
    plan = plan_of(SITE)
    text = lines(plan, findings_of(plan, found))
    assert "  desks to control_plane 8649/udp, 1 connection; gmond (gmond.service) listens, published by Docker" in text
    assert "  ctl: 8649/udp, published by Docker" in text
    assert text[-3:] == [
        "Flows without a packet:",
        "  ctl, n1, n2: management_ssh (22/tcp), counted for at most 90 seconds",
        "",
    ]
    of_one = [lines(plan, findings_of(plan, {host: found[host]}))[-2].rpartition("most ")[2] for host, _age in counting]
    assert of_one == ["3 days", "48 hours", "90 seconds"]
    used = findings_of(plan, {"ctl": busy._replace(counters=Counters({"management_ssh": 1}, 9))})
    assert lines(plan, used)[-3:] == ["Flows without a packet:", "  none", ""]
    assert "Flows without a packet:" not in lines(plan, findings_of(plan, {"ctl": busy}))


def test_a_group_stands_for_its_hosts() -> None:
    plan = plan_of(SITE)
    found = {"ctl": answer(*(Connection("in", f"10.0.1.{number}", "tcp", 443, 1) for number in (1, 2)))}
    findings = findings_of(plan, found)
    assert lines(plan, findings)[1] == "  slurm_compute to control_plane 443/tcp, 2 hosts, 2 connections"
    flow = next(iter(proposed(plan, findings.denied).flows.values()))
    assert (flow["from"], flow["to"], flow["services"]) == (["slurm_compute"], ["control_plane"], ["web"])


PEERS = ["10.0.0.1", "10.0.1.1", "10.0.1.2", "10.0.2.1", "fd00::1:2", "192.0.2.77", "fd09::9"]
CONNECTIONS = st.builds(
    Connection,
    st.sampled_from(["in", "out"]),
    st.sampled_from(PEERS),
    st.sampled_from(["tcp", "udp"]),
    st.sampled_from([22, 443, 8649]),
    st.integers(1, 3),
)


@given(st.dictionaries(st.sampled_from(["ctl", "n1", "n2"]), st.lists(CONNECTIONS, max_size=5)))
def test_with_the_proposed_flows_nothing_is_denied(seen: dict[str, list[Connection]]) -> None:
    plan = plan_of(SITE)
    own = {"ctl": PEERS[:1], "n1": [PEERS[1], "fd00::1:1"], "n2": [PEERS[2], PEERS[4]]}
    found = {
        host: answer(*(one for one in items if one.peer not in own[host] and of_family(own[host], one.peer)))
        for host, items in seen.items()
    }
    both_ends(found, own)
    entries = yaml.safe_load(proposed(plan, findings_of(plan, found).denied).text()) or {}
    site = {name: {**SITE[name], **entries.get(f"firewall_{name}", {})} for name in SITE}
    assert findings_of(plan_of(site), found).denied == []


def of_family(addresses: list[str], peer: str) -> str:
    return next((address for address in addresses if (":" in address) == (":" in peer)), "")


def both_ends(found: dict[str, Answer], own: dict[str, list[str]]) -> None:
    """Have each connection between two hosts that answer at both ends, as it is in reality."""
    for host in list(found):
        for item in found[host].connections:
            for other, addresses in own.items():
                if item.peer in addresses and other in found:
                    address = of_family(own[host], item.peer)
                    turned = Connection("in" if item.direction == "out" else "out", address, *item[2:])
                    if turned not in found[other].connections:
                        connections = (*found[other].connections, turned)
                        found[other] = found[other]._replace(connections=connections)


@pytest.mark.parametrize("peer", ["192.0.2.77", "10.0.0.1"])
def test_egress_that_is_denied_gets_a_flow_from_the_host(peer: str) -> None:
    plan = plan_of(SITE)
    found = {"n1": answer(Connection("out", peer, "tcp", 443, 1))}
    flow = next(iter(proposed(plan, findings_of(plan, found).denied).flows.values()))
    assert flow["from"] == ["slurm_compute"]
