# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of the compilation of flows and hosts into policies."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._model.names import digest
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import parse_policy
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import compile_plan, recompiled
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError
from ansible_collections.hpc.ports.tests.support.sites import (
    CONTROLLER,
    accepts,
    make_catalogue,
    make_inventory,
    make_plan,
    opens,
    rules,
)

SERVICES: dict[str, Any] = {
    "web": {"ports": ["443/tcp"]},
    "slurmctld": {"ports": ["6817/tcp"], "exposure": "cluster"},
    "vault": {"ports": ["8200/tcp"]},
    "srun": {"ports": ["8192-60999/tcp"], "broad": True},
    "user_ports": {"ports": ["1024-65535/tcp"], "broad": True},
}
CTL = {"groups": ["control_plane"], "addresses": ["10.0.0.1", "fd00::1"]}
ALPHA = {"groups": ["slurm_controller"], "addresses": ["10.1.0.1"], "cluster": "alpha"}
ALPHA_NODE = {"groups": ["slurm_compute"], "addresses": ["10.1.0.2"], "cluster": "alpha"}
BETA = {"groups": ["slurm_controller"], "addresses": ["10.2.0.1"], "cluster": "beta"}
BETA_NODE = {"groups": ["slurm_compute"], "addresses": ["10.2.0.2"], "cluster": "beta"}
SHARED = {"groups": ["nfs_server"], "addresses": ["10.3.0.1"], "cluster": ["alpha", "beta"]}
TWO_CLUSTERS = {"alpha": ALPHA, "alpha-node": ALPHA_NODE, "beta": BETA, "beta-node": BETA_NODE}
CONTROL = {"from": ["slurm_compute"], "to": ["slurm_controller"], "services": ["slurmctld"], "within_cluster": True}
SSH_RULE = {"management_ssh": [("22/tcp", f"{CONTROLLER}/32")]}
CONTROLLERS = {"controllers": {"cidrs": [f"{CONTROLLER}/32"]}}


def restricted(host: dict[str, Any]) -> dict[str, Any]:
    return {**host, "egress": "restricted"}


def site(endpoints: dict[str, Any] | None = None, **flows: dict[str, Any]) -> dict[str, Any]:
    """Return a site with the services above. Flows are required by default."""
    return {
        "services": SERVICES,
        "endpoints": endpoints or {},
        "flows": {name: {"need": "required", **flow} for name, flow in flows.items()},
    }


def test_the_policy_of_a_host() -> None:
    plan = make_plan(
        site(
            {"users": {"cidrs": ["10.9.0.0/16", "fd09::/64"]}},
            https={"from": ["users"], "to": ["control_plane"], "services": ["web"]},
            agents={"from": ["control_plane"], "to": ["users"], "services": ["web", "ssh"]},
        ),
        {
            "ctl": {
                **restricted(CTL),
                "mode": "observe",
                "trusted_interfaces": ["ib0", "cni*"],
                "container_interfaces": ["docker0", "br-*"],
                "filtered_containers": ["docker0"],
            }
        },
    )
    controllers, users = [f"{CONTROLLER}/32"], ["10.9.0.0/16", "fd09::/64"]
    policy = plan.policies[plan.hosts["ctl"]]
    assert policy == {
        "format": 2,
        "mode": "observe",
        "egress": "restricted",
        "trusted_interfaces": ["cni*", "ib0"],
        "container_interfaces": ["br-*", "docker0"],
        "filtered_containers": ["docker0"],
        "networks": {digest(controllers): controllers, digest(users): users},
        "rules": [
            {"direction": "in", "flow": "https", "ports": ["443/tcp"], "peers": digest(users)},
            {"direction": "in", "flow": "management_ssh", "ports": ["22/tcp"], "peers": digest(controllers)},
            {"direction": "out", "flow": "agents", "ports": ["22/tcp", "443/tcp"], "peers": digest(users)},
        ],
    }
    assert plan.hosts["ctl"] == digest(policy)
    assert len(parse_policy(policy).rules) == 3


def test_only_managed_hosts_have_a_policy() -> None:
    plan = make_plan({}, {"ctl": CTL, "outsider": {"groups": ["desks"], "addresses": ["10.9.0.1"]}})
    assert set(plan.hosts) == {"ctl"}


def test_open_egress_has_no_egress_rules() -> None:
    flow = {"from": ["control_plane"], "to": ["anyone"], "services": ["web"]}
    plan = make_plan(site({"anyone": {"cidrs": ["0.0.0.0/0"]}}, f=flow), {"ctl": CTL})
    assert rules(plan, "ctl", "out") == {}
    assert opens(plan, "ctl", "198.51.100.1", 1)


def test_identical_hosts_share_one_policy() -> None:
    nodes = {f"n{number}": {**ALPHA_NODE, "addresses": [f"10.1.1.{number}"]} for number in range(5)}
    plan = make_plan(site(control=CONTROL), {"alpha": ALPHA, **nodes, "watched": {**ALPHA_NODE, "mode": "observe"}})
    assert len({plan.hosts[name] for name in nodes}) == 1
    assert len(plan.policies) == 3


# ---- On or off ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("need", "enabled", "expected"),
    [
        ("required", None, True),
        ("recommended", None, True),
        ("optional", None, False),
        ("conditional", None, True),
        ("required", False, False),
        ("recommended", False, False),
        ("optional", True, True),
        ("conditional", False, False),
    ],
)
def test_need_decides_whether_a_flow_is_enabled_unless_enabled_is_set(
    need: str, enabled: bool | None, expected: bool
) -> None:
    flow = {"from": ["control_plane"], "to": ["slurm_controller"], "services": ["web"], "need": need}
    plan = make_plan(site(f={**flow, "enabled": enabled}), {"ctl": CTL, "alpha": ALPHA})
    assert ("f" in plan.flows_on) is expected
    assert accepts(plan, "alpha", "10.0.0.1", 443) is expected


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ({"groups": ["control_plane"]}, {"groups": ["slurm_controller"]}, True),
        ({"groups": ["absent"]}, {"groups": ["slurm_controller"]}, False),
        ({"groups": ["control_plane"]}, {"cidrs": []}, False),
        ({"cidrs": ["10.9.0.0/16"]}, {"groups": ["slurm_controller"]}, True),
        ({"hostnames": ["a.example.org"]}, {"groups": ["slurm_controller"]}, True),
        ({"cidrs": []}, {"hostnames": ["a.example.org"]}, False),
    ],
)
def test_a_conditional_flow_is_enabled_if_both_sides_have_addresses(
    source: dict[str, Any], target: dict[str, Any], expected: bool
) -> None:
    flow = {"from": ["a"], "to": ["b"], "services": ["web"], "need": "conditional"}
    plan = make_plan(
        site({"a": source, "b": target}, f=flow), {"ctl": CTL, "alpha": ALPHA}, {"a.example.org": ["10.9.0.9"]}
    )
    assert ("f" in plan.flows_on) is expected


@pytest.mark.parametrize(
    ("hosts", "clusters", "expected"),
    [
        ({"alpha": ALPHA, "alpha-node": ALPHA_NODE}, {}, True),
        ({"alpha": ALPHA, "beta-node": BETA_NODE}, {}, False),
        ({"alpha": ALPHA}, {"alpha": {"cidrs": ["10.1.0.0/16"]}}, True),
        ({"alpha": ALPHA}, {"beta": {"cidrs": []}}, False),
        ({"alpha-node": ALPHA_NODE}, {"alpha": {"cidrs": ["10.1.0.0/16"]}}, True),
    ],
)
def test_a_conditional_flow_within_clusters_needs_one_cluster_with_both_sides(
    hosts: dict[str, Any], clusters: dict[str, Any], expected: bool
) -> None:
    plan = make_plan(site(control={**CONTROL, "need": "conditional"}), hosts, firewall_clusters=clusters)
    assert ("control" in plan.flows_on) is expected


@pytest.mark.parametrize(
    ("tunnel", "enabled", "expected"),
    [(False, None, True), (True, None, False), (True, True, True), (False, False, False)],
)
def test_the_switch_turns_a_flow_off_unless_enabled_is_set(tunnel: bool, enabled: bool | None, expected: bool) -> None:
    flow = {
        "from": ["control_plane"],
        "to": ["slurm_controller"],
        "services": ["web"],
        "unless": "firewall_ssh_through_tunnel",
        "enabled": enabled,
    }
    plan = make_plan(site(f=flow), {"ctl": CTL, "alpha": ALPHA}, firewall_ssh_through_tunnel=tunnel)
    assert ("f" in plan.flows_on) is expected


def test_the_switch_does_not_affect_other_flows() -> None:
    plan = make_plan(site(control=CONTROL), TWO_CLUSTERS, firewall_ssh_through_tunnel=True)
    assert set(plan.flows_on) == {"control", "management_ssh"}


# ---- Clusters -------------------------------------------------------------------------------------------------------


def test_within_cluster_does_not_cross_clusters() -> None:
    plan = make_plan(site(control=CONTROL), {**TWO_CLUSTERS, "beta-node": restricted(BETA_NODE)})
    assert accepts(plan, "alpha", "10.1.0.2", 6817)
    assert not accepts(plan, "alpha", "10.2.0.2", 6817)
    assert opens(plan, "beta-node", "10.2.0.1", 6817)
    assert not opens(plan, "beta-node", "10.1.0.1", 6817)


def test_a_shared_host_is_reached_from_each_of_its_clusters() -> None:
    flow = {"from": ["slurm_compute"], "to": ["nfs_server"], "services": ["web"], "within_cluster": True}
    gamma = {"groups": ["slurm_compute"], "addresses": ["10.4.0.2"], "cluster": "gamma"}
    plan = make_plan(
        site(f=flow),
        {**TWO_CLUSTERS, "files": SHARED, "gamma-node": restricted(gamma), "alpha-node": restricted(ALPHA_NODE)},
    )
    assert [accepts(plan, "files", peer, 443) for peer in ("10.1.0.2", "10.2.0.2", "10.4.0.2")] == [True, True, False]
    assert opens(plan, "alpha-node", "10.3.0.1", 443)
    assert not opens(plan, "gamma-node", "10.3.0.1", 443)


def test_clusters_that_share_a_host_do_not_see_each_other_through_it() -> None:
    both = {**SHARED, "groups": ["slurm_controller", "nfs_server"]}
    plan = make_plan(site(control=CONTROL), {**TWO_CLUSTERS, "files": both})
    assert accepts(plan, "files", "10.1.0.2", 6817)
    assert not accepts(plan, "beta", "10.1.0.2", 6817)


def test_networks_of_a_cluster_are_peers_of_its_hosts_only() -> None:
    plan = make_plan(
        site(control=CONTROL),
        {**TWO_CLUSTERS, "alpha-node": restricted(ALPHA_NODE)},
        firewall_clusters={"alpha": {"cidrs": ["10.1.9.0/24"]}},
    )
    assert accepts(plan, "alpha", "10.1.9.77", 6817)
    assert not accepts(plan, "beta", "10.1.9.77", 6817)
    assert opens(plan, "alpha-node", "10.1.9.77", 6817)
    assert rules(plan, "alpha-node") == SSH_RULE


def test_a_cluster_with_only_networks() -> None:
    plan = make_plan(site(control=CONTROL), {"alpha": ALPHA}, firewall_clusters={"alpha": {"cidrs": ["10.1.9.0/24"]}})
    assert rules(plan, "alpha") == {"control": [("6817/tcp", "10.1.9.0/24")], **SSH_RULE}


def test_hosts_are_in_the_cluster_default_by_default() -> None:
    hosts = {
        name: {key: value for key, value in host.items() if key != "cluster"} for name, host in TWO_CLUSTERS.items()
    }
    plan = make_plan(site(control=CONTROL), {**hosts, "alpha-node": ALPHA_NODE})
    assert rules(plan, "beta")["control"] == [("6817/tcp", "10.2.0.2/32")]


# ---- Sides ----------------------------------------------------------------------------------------------------------


def test_a_host_in_several_groups_has_the_flows_of_all() -> None:
    plan = make_plan(
        site(
            {"users": {"cidrs": ["10.9.0.0/16"]}},
            web={"from": ["users"], "to": ["web_portal"], "services": ["web"]},
            vault={"from": ["users"], "to": ["control_plane"], "services": ["vault"]},
        ),
        {"both": {"groups": ["control_plane", "web_portal"], "addresses": ["10.0.0.1"]}},
    )
    assert rules(plan, "both") == {
        "web": [("443/tcp", "10.9.0.0/16")],
        "vault": [("8200/tcp", "10.9.0.0/16")],
        **SSH_RULE,
    }


def test_several_addresses_and_both_families() -> None:
    plan = make_plan(
        site(
            f={"from": ["control_plane"], "to": ["slurm_controller"], "services": ["web"]},
            g={"from": ["slurm_controller"], "to": ["control_plane"], "services": ["web"]},
        ),
        {"ctl": {**CTL, "addresses": ["10.0.0.1", "10.0.0.5", "fd00::1"]}, "alpha": restricted(ALPHA)},
    )
    assert rules(plan, "alpha")["f"] == [("443/tcp", "10.0.0.1/32 10.0.0.5/32 fd00::1/128")]
    assert rules(plan, "alpha", "out")["g"] == [("443/tcp", "10.0.0.1/32 10.0.0.5/32 fd00::1/128")]


def test_separate_source_addresses() -> None:
    plan = make_plan(
        site(
            f={"from": ["control_plane"], "to": ["slurm_controller"], "services": ["web"]},
            g={"from": ["slurm_controller"], "to": ["control_plane"], "services": ["web"]},
        ),
        {"ctl": {**CTL, "source_addresses": ["198.51.100.1"]}, "alpha": restricted(ALPHA)},
    )
    assert rules(plan, "alpha")["f"] == [("443/tcp", "198.51.100.1/32")]
    assert rules(plan, "alpha", "out")["g"] == [("443/tcp", "10.0.0.1/32 fd00::1/128")]


@pytest.mark.parametrize(
    "endpoint",
    [
        {"cidrs": ["10.0.0.1/32"]},
        {"cidrs": ["fd00::1/128"]},
        {"hostnames": ["ctl.example.org"]},
        {"groups": ["control_plane"], "cidrs": ["10.0.0.0/8"]},
    ],
)
def test_a_host_belongs_to_an_endpoint_by_group_or_by_exact_address(endpoint: dict[str, Any]) -> None:
    plan = make_plan(
        site(
            {"e": endpoint, "users": {"cidrs": ["10.9.0.0/16"]}},
            f={"from": ["users"], "to": ["e"], "services": ["web"]},
            g={"from": ["e"], "to": ["users"], "services": ["web"]},
        ),
        {"ctl": restricted(CTL)},
        {"ctl.example.org": ["10.0.0.1"]},
    )
    assert accepts(plan, "ctl", "10.9.0.1", 443)
    assert opens(plan, "ctl", "10.9.0.1", 443)


def test_a_wider_network_does_not_make_hosts_members_of_an_endpoint() -> None:
    plan = make_plan(
        site(
            {"e": {"cidrs": ["10.0.0.0/8"]}, "users": {"cidrs": ["192.168.0.0/16"]}},
            f={"from": ["users"], "to": ["e"], "services": ["web"]},
            g={"from": ["e"], "to": ["users"], "services": ["web"]},
            h={"from": ["e"], "to": ["slurm_controller"], "services": ["web"]},
        ),
        {"ctl": restricted(CTL), "alpha": ALPHA},
    )
    assert rules(plan, "ctl") == SSH_RULE
    assert rules(plan, "ctl", "out") == {}
    assert accepts(plan, "alpha", "10.0.0.1", 443)


def test_addresses_of_several_endpoints_are_collapsed() -> None:
    plan = make_plan(
        site(
            {"a": {"cidrs": ["10.9.0.0/25", "10.0.0.0/31"]}, "b": {"cidrs": ["10.9.0.128/25"]}},
            f={"from": ["a", "b", "control_plane"], "to": ["slurm_controller"], "services": ["web"]},
        ),
        {"ctl": {**CTL, "addresses": ["10.0.0.1"]}, "alpha": ALPHA},
    )
    assert rules(plan, "alpha")["f"] == [("443/tcp", "10.0.0.0/31 10.9.0.0/24")]


def test_from_anywhere() -> None:
    plan = make_plan(
        site(
            {"anywhere": {"cidrs": ["0.0.0.0/0", "::/0"]}},
            f={"from": ["anywhere", "control_plane"], "to": ["slurm_controller"], "services": ["web"]},
        ),
        {"ctl": restricted(CTL), "alpha": ALPHA},
    )
    assert rules(plan, "alpha")["f"] == [("443/tcp", "0.0.0.0/0 ::/0")]
    assert rules(plan, "ctl", "out")["f"] == [("443/tcp", "10.1.0.1/32")]


# ---- Broad services -------------------------------------------------------------------------------------------------

USER = {"from": ["slurm_compute"], "to": ["slurm_controller"], "services": ["user_ports"]}


def test_a_broad_service_yields_to_named_services_of_its_target() -> None:
    plan = make_plan(site(user=USER, control=CONTROL), TWO_CLUSTERS)
    assert rules(plan, "alpha")["user"] == [("1024-6816/tcp 6818-65535/tcp", "10.1.0.2/32 10.2.0.2/32")]
    assert not accepts(plan, "alpha", "10.2.0.2", 6817)


def test_a_broad_service_does_not_yield_to_everything() -> None:
    """Also not where the targets are a network, on which any service may be."""
    plan = make_plan(
        {
            "services": {"all": {"ports": ["any/ip"]}, "user_ports": {"ports": ["1024-65535/tcp"], "broad": True}},
            "endpoints": {"far": {"cidrs": ["10.9.0.0/16"]}},
            "flows": {
                "all": {"from": ["slurm_compute"], "to": ["slurm_compute"], "services": ["all"], "need": "required"},
                "users": {
                    "from": ["slurm_login"],
                    "to": ["slurm_compute", "far"],
                    "services": ["user_ports"],
                    "need": "required",
                },
            },
        },
        {
            "n1": {"groups": ["slurm_compute"], "addresses": ["10.0.0.1"]},
            "n2": {"groups": ["slurm_compute"], "addresses": ["10.0.0.2"]},
            "login": {"groups": ["slurm_login"], "addresses": ["10.0.0.3"], "egress": "restricted"},
        },
    )
    assert accepts(plan, "n1", "10.0.0.2", 47, "ip") and accepts(plan, "n1", "10.0.0.2", 1, "udp")
    assert accepts(plan, "n1", "10.0.0.3", 1024) and not accepts(plan, "n1", "10.0.0.3", 1023)
    assert not accepts(plan, "n1", "10.0.0.3", 47, "ip")
    assert opens(plan, "login", "10.9.0.1", 1024)


def test_a_broad_service_yields_to_disabled_flows() -> None:
    plan = make_plan(site(user=USER, control={**CONTROL, "enabled": False}), TWO_CLUSTERS)
    assert not accepts(plan, "alpha", "10.1.0.2", 6817)
    assert accepts(plan, "alpha", "10.1.0.2", 6816)


def test_claims_of_the_target_count() -> None:
    vault = {"from": ["slurm_compute"], "to": ["control_plane"], "services": ["vault"]}
    plan = make_plan(
        site(user={**USER, "to": ["slurm_controller", "control_plane"]}, vault=vault, control=CONTROL),
        {"ctl": CTL, "alpha": ALPHA, "alpha-node": restricted(ALPHA_NODE)},
    )
    assert rules(plan, "alpha")["user"] == [("1024-6816/tcp 6818-65535/tcp", "10.1.0.2/32")]
    assert rules(plan, "ctl")["user"] == [("1024-8199/tcp 8201-65535/tcp", "10.1.0.2/32")]
    # The way out follows the claims of each target.
    assert rules(plan, "alpha-node", "out")["user"] == [
        ("1024-6816/tcp 6818-65535/tcp", "10.1.0.1/32"),
        ("1024-8199/tcp 8201-65535/tcp", "10.0.0.1/32 fd00::1/128"),
    ]


def test_services_of_other_kinds_of_hosts_claim_no_ports() -> None:
    vault = {"from": ["slurm_compute"], "to": ["control_plane"], "services": ["vault"]}
    plan = make_plan(site(user=USER, vault=vault), {**TWO_CLUSTERS, "ctl": CTL})
    assert accepts(plan, "alpha", "10.1.0.2", 8200)


def test_all_named_services_claim_ports_of_target_networks() -> None:
    plan = make_plan(
        site({"outside": {"cidrs": ["10.9.0.0/16"]}}, user={**USER, "to": ["outside"]}),
        {"alpha-node": restricted(ALPHA_NODE)},
    )
    assert rules(plan, "alpha-node", "out")["user"] == [("1024-6816/tcp 6818-8199/tcp 8201-65535/tcp", "10.9.0.0/16")]


def test_broad_services_do_not_yield_to_each_other() -> None:
    srun = {**USER, "services": ["srun"], "from": ["control_plane"]}
    plan = make_plan(site(user=USER, srun=srun), {**TWO_CLUSTERS, "ctl": CTL})
    assert rules(plan, "alpha")["user"][0][0] == "1024-65535/tcp"
    assert rules(plan, "alpha")["srun"][0][0] == "8192-60999/tcp"


def test_yielding_can_be_turned_off() -> None:
    plan = make_plan(
        site(
            {"outside": {"cidrs": ["10.9.0.0/16"]}},
            control=CONTROL,
            user={**USER, "to": ["slurm_controller", "outside"]},
        ),
        {**TWO_CLUSTERS, "alpha-node": restricted(ALPHA_NODE)},
        firewall_broad_yields=False,
    )
    assert rules(plan, "alpha")["user"][0][0] == "1024-65535/tcp"
    assert rules(plan, "alpha-node", "out")["user"] == [("1024-65535/tcp", "10.1.0.1/32 10.2.0.1/32 10.9.0.0/16")]


def test_a_flow_with_broad_and_named_services_keeps_the_named_ports() -> None:
    plan = make_plan(site(user={**USER, "services": ["user_ports", "slurmctld"]}, control=CONTROL), TWO_CLUSTERS)
    assert rules(plan, "alpha")["user"] == [("1024-65535/tcp", "10.1.0.2/32 10.2.0.2/32")]


def test_narrowed_ranges() -> None:
    srun = {**USER, "services": ["srun"]}
    services = {**SERVICES, "srun": {"broad": True}, "user_ports": {"broad": True}}
    plan = make_plan(
        {**site(user=USER, srun=srun, control=CONTROL), "services": services},
        TWO_CLUSTERS,
        firewall_srun_ports="60001-63000",
        firewall_user_ports="6000-7000",
    )
    assert rules(plan, "alpha")["srun"][0][0] == "60001-63000/tcp"
    assert rules(plan, "alpha")["user"][0][0] == "6000-6816/tcp 6818-7000/tcp"


def test_a_fully_claimed_broad_service_opens_nothing() -> None:
    plan = make_plan(
        {
            **site(user={**USER, "services": ["srun"]}, vault={**CONTROL, "services": ["vault"]}),
            "services": {**SERVICES, "srun": {"broad": True}},
        },
        TWO_CLUSTERS,
        firewall_srun_ports="8200-8200",
    )
    assert "user" not in rules(plan, "alpha")


# ---- Bad input ------------------------------------------------------------------------------------------------------


def error_of(
    given: dict[str, Any], hosts: dict[str, Any], names: dict[str, list[str]] | None = None, **settings: Any
) -> str:
    with pytest.raises(PortFileError) as error:
        make_plan(given, hosts, names, **settings)
    return str(error.value)


@pytest.mark.parametrize("endpoint", [{"cidrs": []}, {"cidrs": [], "groups": ["absent"]}])
def test_empty_controllers(endpoint: dict[str, Any]) -> None:
    assert error_of({"endpoints": {"controllers": endpoint}}, {"ctl": CTL}) == (
        "Invalid firewall_endpoints.controllers: got no address, expected at least one, because it is a source of the "
        "required flow management_ssh. Add cidrs, hostnames or groups with hosts."
    )


def test_a_plan_for_a_report_only_may_have_empty_controllers() -> None:
    inventory = make_inventory({"ctl": CTL})
    catalogue = make_catalogue({"endpoints": {"controllers": {"cidrs": []}}}, tuple(inventory.groups))
    plan = compile_plan(catalogue, inventory, report_only=True)
    assert (plan.report_only, rules(plan, "ctl", "in")) == (True, {})
    assert recompiled(plan, catalogue) == plan
    with pytest.raises(PortFileError, match="^Invalid firewall_endpoints.controllers: got no address"):
        compile_plan(catalogue, inventory)


def test_a_plan_for_a_report_only_needs_the_sources_of_other_required_flows() -> None:
    flow = {"from": ["workspace"], "to": ["control_plane"], "services": ["web"], "need": "required"}
    inventory = make_inventory({"ctl": CTL})
    catalogue = make_catalogue(site(f=flow), tuple(inventory.groups))
    with pytest.raises(PortFileError, match="^Invalid firewall_endpoints.workspace: got no address"):
        compile_plan(catalogue, inventory, report_only=True)


def test_empty_controllers_without_managed_hosts_are_allowed() -> None:
    plan = make_plan({"endpoints": {"controllers": {"cidrs": []}}}, {"x": {"groups": [], "addresses": ["10.0.0.1"]}})
    assert plan.hosts == {}


def test_a_managed_host_outside_management_ssh_is_an_error() -> None:
    given = {"endpoints": {"managed_hosts": {"groups": ["slurm_controller"]}}}
    others = {f"ctl{number}": CTL for number in range(2, 9)}
    assert error_of(given, {"alpha": ALPHA, **others, "ctl": CTL}) == (
        "Invalid firewall_flows.management_ssh.to: got ['managed_hosts'], expected endpoints that contain every "
        "managed host, but ctl is in none of them. Ansible would be locked out of that host."
    )


def test_a_required_flow_to_managed_hosts_needs_sources() -> None:
    flow = {"from": ["workspace"], "to": ["control_plane"], "services": ["web"]}
    assert error_of(site(f=flow), {"ctl": CTL}) == (
        "Invalid firewall_endpoints.workspace: got no address, expected at least one, because it is a source of the "
        "required flow f. Add cidrs, hostnames or groups with hosts, or set firewall_flows.f.enabled to false."
    )
    assert "f" in make_plan(site({"out": {"cidrs": ["10.9.0.0/16"]}}, f={**flow, "to": ["out"]}), {"ctl": CTL}).flows_on
    assert (
        "f"
        in make_plan(
            site(f={**flow, "to": ["desks"]}), {"ctl": CTL, "desk": {"groups": ["desks"], "addresses": ["10.9.0.1"]}}
        ).flows_on
    )


def test_a_required_flow_needs_no_targets() -> None:
    plan = make_plan(
        site(f={"from": ["control_plane"], "to": ["workspace"], "services": ["web"]}), {"ctl": restricted(CTL)}
    )
    assert rules(plan, "ctl", "out") == {}


def test_a_required_flow_within_clusters_may_have_its_sources_in_networks() -> None:
    assert error_of(site(control=CONTROL), {"alpha": ALPHA}) == (
        "Invalid firewall_endpoints.slurm_compute: got no address, expected at least one, because it is a source of "
        "the required flow control. Add groups with hosts, or networks in firewall_clusters, or set "
        "firewall_flows.control.enabled to false."
    )
    assert make_plan(site(control=CONTROL), {"alpha": ALPHA}, firewall_clusters={"alpha": {"cidrs": ["10.1.0.0/16"]}})


@pytest.mark.parametrize(
    ("names", "message"), [({}, "Name or service not known."), ({"n1": ["127.0.1.1"]}, "It resolves to 127.0.1.1.")]
)
@pytest.mark.parametrize("endpoints", [{}, {"controllers": {"cidrs": [], "groups": ["bastion"]}}])
def test_a_managed_host_without_any_address(
    names: dict[str, list[str]], message: str, endpoints: dict[str, Any]
) -> None:
    hosts = {"n1": {"groups": ["workspace"]}, "b": {"groups": ["bastion"], "addresses": ["10.9.0.1"]}}
    text = error_of({"endpoints": endpoints}, hosts, names)
    assert text.startswith("Invalid name of host n1: got 'n1', ") and f" {message} Fix the name" in text


def test_the_invalid_variable_is_named() -> None:
    hosts = {"n1": {"groups": ["workspace"], "ansible_host": "127.0.0.1"}}
    assert error_of({}, hosts).startswith(
        "Invalid ansible_host of host n1: got '127.0.0.1', expected an address that other hosts "
    )


def test_an_unused_host_needs_no_address() -> None:
    assert set(make_plan({}, {"ctl": CTL, "x": {"groups": ["desks"]}}).hosts) == {"ctl"}


@pytest.mark.parametrize(
    ("names", "message"), [({}, "Name or service not known."), ({"a.example.org": ["::1"]}, "It resolves to ::1.")]
)
def test_host_names_must_resolve_only_for_enabled_flows(names: dict[str, list[str]], message: str) -> None:
    endpoints = {"e": {"hostnames": ["a.example.org"]}}
    flow = {"from": ["control_plane"], "to": ["e"], "services": ["web"]}
    text = error_of(site(endpoints, f=flow), {"ctl": CTL}, names)
    assert text.startswith("Invalid firewall_endpoints.e.hostnames: got 'a.example.org', ")
    assert f" {message} Fix the name" in text
    assert make_plan(site(endpoints, f={**flow, "enabled": False}), {"ctl": CTL}, names)
