# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Services that flows open more widely than they allow: one cause is one finding."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._model.ports import parse_ports, without
from ansible_collections.hpc.ports.plugins.plugin_utils._lint.rules import findings
from ansible_collections.hpc.ports.tests.support.linted import TODAY, found, plan_of
from hypothesis import given
from hypothesis import strategies as st

SSH = {"from": ["anywhere"], "to": ["workbench"], "services": ["ssh"]}
# Each group has a host in HOSTS.
TARGETS = ("control_plane", "slurm_compute", "workbench", "monitoring", "nfs_server")
# Wider than a platform's network.
WIDE = {"half": {"cidrs": ["0.0.0.0/1"]}, "six": {"cidrs": ["2000::/15"]}, "lan": {"cidrs": ["10.0.0.0/16"]}}


def rules_of(flow: dict[str, Any], ports: str = "443/tcp", **settings: Any) -> list[tuple[str, str, str]]:
    """Return rule, severity and subject of the findings about a flow whose service is for the platform."""
    service = {"exposure": "platform", **settings.pop("service", {})}
    plan = plan_of({"f": flow}, ports, endpoints=WIDE, service=service, **settings)
    return [(item.rule, item.severity, item.subject) for item in findings(plan, TODAY) if "unused" not in item.rule]


@pytest.mark.parametrize(
    ("exposure", "flow", "clusters", "source"),
    [
        ("public", {"from": ["anywhere"]}, {}, None),
        ("platform", {"from": ["anywhere"]}, {}, "0.0.0.0/0"),
        ("platform", {"from": ["site"]}, {}, None),
        ("platform", {"from": ["world"]}, {}, "2000::/15"),
        ("platform", {"from": ["slurm_login"]}, {}, None),
        # Link-local addresses are those of one link.
        ("platform", {"from": ["link"]}, {}, None),
        ("cluster", {"from": ["slurm_login"]}, {}, "hosts outside the cluster"),
        ("cluster", {"from": ["slurm_login"], "within_cluster": True}, {}, None),
        ("cluster", {"from": ["slurm_login"], "within_cluster": True}, {"alpha": {"cidrs": ["10.0.0.0/8"]}}, None),
        (
            "cluster",
            {"from": ["slurm_login"], "within_cluster": True},
            {"alpha": {"cidrs": ["8.0.0.0/8", "9.0.0.0/8"]}},
            "8.0.0.0/7",
        ),
        ("host", {"from": ["slurm_login"]}, {}, "other hosts"),
        ("host", {"from": ["slurm_login"], "within_cluster": True}, {}, "other hosts"),
    ],
)
def test_flows_stay_within_the_exposure_of_their_services(
    exposure: str, flow: dict[str, Any], clusters: dict[str, Any], source: str | None
) -> None:
    networks = {"site": {"cidrs": ["198.0.0.0/8", "2001::/16"]}, "world": {"cidrs": ["2000::/15"]}}
    networks["link"] = {"cidrs": ["fe80::/10"]}
    plan = plan_of(
        {"f": {"to": ["slurm_compute"], **flow}},
        endpoints=networks,
        service={"exposure": exposure},
        firewall_clusters=clusters,
    )
    assert found("exposure", plan) == (
        [("error", "firewall_flows.f", f"Opens service web to {source}, but its exposure is {exposure}.")]
        if source
        else []
    )


def test_a_flow_that_is_off_opens_nothing_too_far() -> None:
    plan = plan_of({"f": {"from": ["anywhere"], "to": ["workbench"], "enabled": False}}, service={"exposure": "host"})
    assert found("exposure", plan) == []


def test_one_acceptance_is_enough_for_a_jump_host() -> None:
    reason = {"accept": {"ssh-known-sources": "jump host, hardened, reviewed"}}
    assert rules_of({**SSH, **reason}) == [("ssh-known-sources", "accepted", "firewall_flows.f")]
    assert rules_of(SSH) == [("ssh-known-sources", "error", "firewall_flows.f")]


@pytest.mark.parametrize(
    ("rule", "ports", "target"),
    [
        ("docker-internal", "2376/tcp", "workbench"),
        ("control-plane-internal", "5432/tcp", "control_plane"),
        ("nfs-internal", "2049/tcp 111/udp", "nfs_server"),
        ("workbench-known-sources", "8888/tcp", "workbench"),
        ("monitoring-internal", "9090/tcp", "monitoring"),
        ("monitoring-from-servers", "9090/tcp", "slurm_compute"),
        ("scheduler-in-cluster", "6817-6818/tcp", "slurm_compute"),
    ],
)
def test_the_rule_of_the_software_is_enough(rule: str, ports: str, target: str) -> None:
    flow = {"from": ["half"], "to": [target]}
    assert rules_of(flow, ports) == [(rule, "error", "firewall_flows.f")]
    # Its other ports are another cause.
    more = rules_of(flow, f"{ports} 8080/tcp")
    assert [item[0] for item in more] == [rule, "exposure"]


def test_other_networks_are_another_cause() -> None:
    # 8.0.0.0/9 is wide for ssh, but 2000::/15 is wide for the platform.
    plan = plan_of({"f": {**SSH, "from": ["both"]}}, endpoints={"both": {"cidrs": ["8.0.0.0/9", "2000::/15"]}})
    assert [item[2] for item in found("ssh-known-sources", plan)][0].startswith("Opens 22/tcp to 8.0.0.0/9")
    assert [item[2] for item in found("exposure", plan)] == [
        "Opens service ssh to 2000::/15, but its exposure is platform."
    ]
    # monitoring-from-servers names the first source that is not a monitoring server.
    flow = {"from": ["control_plane", "half"], "to": ["slurm_compute"]}
    assert [item[0] for item in rules_of(flow, "9090/tcp")] == ["monitoring-from-servers", "exposure"]


@pytest.mark.parametrize(
    ("ports", "service", "subject"),
    [
        ("1-65535/tcp", {}, "firewall_services.web"),
        ("1-9000/udp", {}, "firewall_services.web"),
        ("8000-8001/tcp", {"broad": True}, "firewall_flows.f"),
    ],
)
def test_a_range_is_one_finding(ports: str, service: dict[str, Any], subject: str) -> None:
    flow = {"from": ["half"], "to": ["workbench"]}
    assert rules_of(flow, ports, service=service) == [("least-privilege", "error", subject)]


def test_a_range_of_several_flows_is_one_finding() -> None:
    flows = {name: {"from": ["half"], "to": [target]} for name, target in zip("fgh", TARGETS)}
    plan = plan_of(flows, "1-65535/tcp", endpoints=WIDE, service={"exposure": "platform"})
    assert [item.rule for item in findings(plan, TODAY) if item.rule in ("exposure", "least-privilege")] == [
        "least-privilege"
    ]


def test_hosts_of_other_clusters_are_one_finding() -> None:
    flow = {"from": ["slurm_login"], "to": ["slurm_compute"]}
    cluster = {"exposure": "cluster"}
    assert rules_of(flow, "6817/tcp", service=cluster) == [("scheduler-in-cluster", "error", "firewall_flows.f")]
    assert rules_of(flow, "6817/tcp 8080/tcp", service=cluster)[1:] == [("exposure", "error", "firewall_flows.f")]
    assert rules_of(flow, "8080/tcp", service=cluster) == [("exposure", "error", "firewall_flows.f")]
    # A rule about networks does not say that the service is for the cluster alone.
    wide = {"from": ["half"], "to": ["nfs_server"]}
    assert [item[0] for item in rules_of(wide, "2049/tcp", service=cluster)] == ["nfs-internal", "exposure"]


def test_a_service_of_its_own_host_is_always_a_finding() -> None:
    flow = {"from": ["slurm_login"], "to": ["slurm_compute"]}
    own = {"exposure": "host"}
    assert [item[0] for item in rules_of(flow, "6817/tcp", service=own)] == ["scheduler-in-cluster", "exposure"]


PORTS = ("22/tcp", "111/udp", "2049/tcp", "2376/tcp", "5432/tcp", "6817/tcp", "8888/tcp", "9090/tcp", "1-5000/tcp")
FLOWS = st.fixed_dictionaries(
    {
        "from": st.lists(
            st.sampled_from(["anywhere", *WIDE, "monitoring", "slurm_login"]), min_size=1, max_size=3, unique=True
        ),
        "to": st.lists(st.sampled_from(TARGETS), min_size=1, max_size=2, unique=True),
    }
)
SERVICE = st.fixed_dictionaries(
    {
        "ports": st.lists(st.sampled_from([*PORTS, "8080/tcp"]), min_size=1, max_size=3, unique=True),
        "exposure": st.sampled_from(["public", "platform", "cluster", "host"]),
        "broad": st.booleans(),
    }
)


@given(FLOWS, SERVICE)
def test_what_is_too_wide_is_an_error_and_its_ports_are_in_one_finding(
    flow: dict[str, Any], service: dict[str, Any]
) -> None:
    plan = plan_of({"f": flow}, service["ports"], endpoints=WIDE, service=service)
    is_wide = not {"anywhere", "half", "six"}.isdisjoint(flow["from"])
    is_breach = service["exposure"] in ("cluster", "host") or is_wide and service["exposure"] == "platform"
    about = [item for item in findings(plan, TODAY) if item.severity == "error"]
    exposed = [item for item in about if item.rule == "exposure"]
    assert bool(about) or not is_breach
    assert not exposed or is_breach
    if service["exposure"] == "platform" and exposed:
        others = [item.message for item in about if " to 0.0.0.0/0," in item.message and item.rule != "exposure"]
        told = [parse_ports(port) for text in others for port in text[len("Opens ") :].partition(" to ")[0].split(", ")]
        assert without(map(parse_ports, service["ports"]), told) and not service["broad"]
