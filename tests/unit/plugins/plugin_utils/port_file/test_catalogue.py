# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of the port file as typed data, and of the errors for bad values."""

from __future__ import annotations

import re
from copy import deepcopy
from datetime import date
from typing import Any

import pytest
import yaml
from ansible_collections.hpc.ports.plugins.module_utils._model.ports import EVERYTHING, PortRange
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.canonical_groups import CANONICAL_GROUPS
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.catalogue import (
    Acceptance,
    Endpoint,
    Flow,
    Service,
    load_catalogue,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError, Vaulted
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.merge import shipped_port_file
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.networks import has_hosts
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.variables import SITE_DEFAULTS
from ansible_collections.hpc.ports.tests.support.sites import SHIPPED, make_catalogue
from hypothesis import example, given
from hypothesis import strategies as st
from netaddr import IPNetwork

FLOW = {"from": ["monitoring"], "to": ["workspace"], "services": ["ssh"], "need": "optional"}
NAME = "expected a name that starts with a lower-case letter, then up to 63 of a-z, 0-9 and _"
KEYS = "from, to, services, within_cluster, need, enabled, title, reference, note, review_by, unless, accept"
OVERRIDES = "because it overrides no shipped entry"
LOCKED_OUT = (
    "Without this flow, Ansible is locked out of every host. To change who may connect, edit the endpoint controllers."
)


def error_of(site: dict[str, Any] | None = None, **settings: Any) -> str:
    with pytest.raises(PortFileError) as error:
        make_catalogue(site, ("desks",), **settings)
    return str(error.value)


def test_all_keys_are_read() -> None:
    catalogue = make_catalogue(
        {
            "services": {
                "web": {
                    "ports": ["443/tcp", "443/udp"],
                    "title": "Web",
                    "exposure": "public",
                    "broad": True,
                    "unit": "nginx.service",
                    "accept": {"nfs-internal": {"reason": "reviewed", "review_by": "2027-06-30"}},
                }
            },
            "endpoints": {
                "users": {
                    "groups": ["desks"],
                    "fallback_groups": ["workspace"],
                    "cidrs": ["10.0.0.0/8"],
                    "hostnames": ["a.example.org"],
                    "except": ["10.9.0.0/16"],
                    "title": "Users",
                }
            },
            "flows": {
                "users_web": {
                    "from": ["users"],
                    "to": ["desks", "web_portal"],
                    "services": ["web", "ssh"],
                    "need": "conditional",
                    "within_cluster": False,
                    "enabled": True,
                    "title": "Users use the web",
                    "reference": ["Page 1"],
                    "note": "Decided.",
                    "review_by": "2027-06-30",
                    "unless": "firewall_ssh_through_tunnel",
                    "accept": {"ssh-known-sources": "jump host, hardened"},
                }
            },
        },
        ("desks",),
        firewall_clusters={"alpha": {"cidrs": ["10.20.0.0/16"]}},
        firewall_ssh_through_tunnel=True,
        firewall_broad_yields=False,
    )
    assert catalogue.services["web"] == Service(
        "web",
        (PortRange("tcp", 443, 443), PortRange("udp", 443, 443)),
        "Web",
        "public",
        broad=True,
        unit="nginx.service",
        accept=(Acceptance("nfs-internal", "reviewed", date(2027, 6, 30), declared_by_site=True),),
        declared_by_site=True,
    )
    assert catalogue.endpoints["users"] == Endpoint(
        "users",
        ("desks",),
        ("workspace",),
        (IPNetwork("10.0.0.0/8"),),
        ("a.example.org",),
        (IPNetwork("10.9.0.0/16"),),
        "Users",
        declared_by_site=True,
    )
    assert catalogue.flows["users_web"] == Flow(
        "users_web",
        ("users",),
        ("desks", "web_portal"),
        ("web", "ssh"),
        "conditional",
        within_cluster=False,
        enabled=True,
        title="Users use the web",
        reference=("Page 1",),
        note="Decided.",
        review_by=date(2027, 6, 30),
        unless="firewall_ssh_through_tunnel",
        accept=(Acceptance("ssh-known-sources", "jump host, hardened", declared_by_site=True),),
        changed_by_site=True,
    )
    assert catalogue.clusters == {"alpha": (IPNetwork("10.20.0.0/16"),)}
    assert (catalogue.switches, catalogue.broad_yields) == ({"firewall_ssh_through_tunnel"}, False)


def test_defaults_of_a_minimal_site() -> None:
    catalogue = make_catalogue({"services": {"x": {"ports": ["1/tcp"]}}, "endpoints": {"e": {}}, "flows": {"f": FLOW}})
    assert catalogue.services["x"] == Service("x", (PortRange("tcp", 1, 1),), declared_by_site=True)
    assert catalogue.endpoints["e"] == Endpoint("e", declared_by_site=True)
    assert catalogue.flows["f"] == Flow(
        "f", ("monitoring",), ("workspace",), ("ssh",), "optional", changed_by_site=True
    )
    assert (catalogue.clusters, catalogue.switches, catalogue.broad_yields) == ({}, frozenset(), True)


def test_inventory_groups_and_canonical_groups_are_endpoints() -> None:
    catalogue = make_catalogue({}, ("desks",))
    for group in ("desks", *CANONICAL_GROUPS):
        assert catalogue.endpoints[group] == Endpoint(group, groups=(group,))


def test_a_declared_endpoint_overrides_the_group_of_the_same_name() -> None:
    catalogue = make_catalogue({"endpoints": {"monitoring": {"cidrs": ["10.0.0.5/32"]}}})
    assert catalogue.endpoints["monitoring"].groups == ()


@pytest.mark.parametrize(
    ("own", "changed"),
    [
        ({"from": ["controllers"]}, True),
        ({"to": ["managed_hosts"]}, True),
        ({"services": ["ssh"]}, True),
        ({"within_cluster": False}, True),
        ({"title": "T", "enabled": True, "note": "n", "accept": {"exposure": "x"}}, False),
    ],
)
def test_a_site_changes_a_shipped_flow_by_what_it_connects(own: dict[str, Any], changed: bool) -> None:
    flow = make_catalogue({"flows": {"management_ssh": own}}).flows["management_ssh"]
    assert flow.changed_by_site is changed
    assert [acceptance.declared_by_site for acceptance in flow.accept] == [True] * ("accept" in own)
    assert make_catalogue({}).flows["management_ssh"].changed_by_site is False


def test_shipped_entries_are_not_declared_by_the_site() -> None:
    catalogue = make_catalogue({"endpoints": {"managed_hosts": {"title": "All"}}})
    assert not catalogue.services["ssh"].declared_by_site
    assert not catalogue.endpoints["controllers"].declared_by_site
    assert catalogue.endpoints["managed_hosts"].declared_by_site


def test_overriding_one_key_of_a_shipped_flow_keeps_the_others() -> None:
    shipped = deepcopy(SHIPPED)
    shipped["firewall_flows"]["f"] = {**FLOW, "title": "F"}
    plain = load_catalogue(shipped, {}, [])
    changed = load_catalogue(shipped, {"firewall_flows": {"f": {"enabled": True}}}, [])
    assert changed.flows["f"] == Flow(
        "f", ("monitoring",), ("workspace",), ("ssh",), "optional", enabled=True, title="F"
    )
    assert {**changed.flows, "f": None} == {**plain.flows, "f": None}
    assert changed.services == plain.services


def test_null_deletes() -> None:
    shipped = deepcopy(SHIPPED)
    shipped["firewall_flows"]["f"] = {**FLOW, "title": "F", "enabled": True}
    assert "f" not in load_catalogue(shipped, {"firewall_flows": {"f": None}}, []).flows
    flow = load_catalogue(shipped, {"firewall_flows": {"f": {"title": None, "enabled": None}}}, []).flows["f"]
    assert (flow.title, flow.enabled) == ("", None)


OF_NULL = {
    "firewall_services": {**SHIPPED["firewall_services"], "dns": {"ports": ["53/udp"]}, "ldap": {"ports": ["389/tcp"]}},
    "firewall_endpoints": {
        **SHIPPED["firewall_endpoints"],
        "servers": {"cidrs": [], "title": "To fill in"},
        "platform": {"groups": ["control_plane"], "cidrs": []},
    },
    "firewall_flows": {
        **SHIPPED["firewall_flows"],
        "names": {"from": ["managed_hosts"], "to": ["servers"], "services": ["dns"], "need": "conditional"},
        "users": {
            "from": ["platform", "managed_hosts"],
            "to": ["managed"],
            "services": ["dns", "ldap"],
            "need": "optional",
        },
    },
}


@pytest.mark.parametrize(
    ("section", "name", "message"),
    [
        (
            "endpoints",
            "servers",
            "because flow names names this endpoint. To empty it, write {cidrs: []}. To turn the flow off, write "
            "firewall_flows.names.enabled: false.",
        ),
        (
            "endpoints",
            "platform",
            "because flow users names this endpoint. To empty it, write {groups: []}. To turn the flow off, write "
            "firewall_flows.users.enabled: false.",
        ),
        (
            "endpoints",
            "controllers",
            "because flow management_ssh names this endpoint. Write the addresses that Ansible connects from, such as "
            "{cidrs: [192.0.2.10/32]}.",
        ),
        (
            "services",
            "dns",
            "because flow names uses this service. To open none of its ports, write firewall_flows.names.enabled: "
            "false.",
        ),
        (
            "services",
            "ldap",
            "because flow users uses this service. To open none of its ports, write firewall_flows.users.enabled: "
            "false, or leave the service out: firewall_flows.users.services: [dns].",
        ),
        (
            "services",
            "ssh",
            "because flow management_ssh uses this service. Write the ports of Ansible's ssh, such as {ports: "
            "[22/tcp]}.",
        ),
    ],
)
def test_null_for_what_a_flow_uses(section: str, name: str, message: str) -> None:
    with pytest.raises(PortFileError) as error:
        load_catalogue(OF_NULL, {f"firewall_{section}": {name: None}}, [])
    assert str(error.value) == f"Invalid firewall_{section}.{name}: got None, expected a dictionary, {message}"


@given(st.sampled_from(["firewall_services", "firewall_endpoints", "firewall_flows"]), st.data())
def test_advice_about_null_can_be_followed(section: str, data: st.DataObject) -> None:
    """Of the shipped port file: no endpoint and no service that a flow names can be deleted, and each flow but one."""
    shipped = shipped_port_file()
    name = data.draw(st.sampled_from(sorted(shipped[section])))
    site: dict[str, Any] = {section: {name: None}}
    flows = shipped["firewall_flows"].values()
    for _step in range(3):
        try:
            load_catalogue(shipped, site, [])
        except PortFileError as error:
            text = str(error)
            if section == "firewall_flows":
                assert name == "management_ssh"
                return
            assert any(name in (*flow["from"], *flow["to"], *flow["services"]) for flow in flows), text
            assert text.startswith(f"Invalid {section}.{name}: got None, expected a dictionary, because flow "), text
            written = yaml.safe_load(re.search(r"\{.*\}", text)[0]) if "{" in text else {"title": "Kept"}
            site = {section: {name: written}}
        else:
            return
    pytest.fail(f"{site} is refused")


def test_null_for_an_endpoint_leaves_the_group_of_its_name() -> None:
    shipped = {**OF_NULL, "firewall_endpoints": {**OF_NULL["firewall_endpoints"], "managed": {"cidrs": ["10.0.0.0/8"]}}}
    assert load_catalogue(shipped, {"firewall_endpoints": {"managed": None}}, []).endpoints["managed"].cidrs == ()


def test_null_keys_in_entries_of_the_site_count_as_unset() -> None:
    assert make_catalogue({"flows": {"f": {**FLOW, "title": None}}}).flows["f"].title == ""


def test_null_deletes_only_shipped_entries() -> None:
    assert error_of({"flows": {"managment_ssh": None}}) == (
        "Invalid firewall_flows.managment_ssh: got None, expected the name of a shipped entry, because null deletes a "
        "shipped entry. Did you mean 'management_ssh'?"
    )
    assert error_of({"services": {"xyz": None}}) == (
        "Invalid firewall_services.xyz: got None, expected the name of a shipped entry, because null deletes a "
        "shipped entry."
    )


def test_management_ssh_remains_without_the_shipped_file() -> None:
    shipped = deepcopy(SHIPPED)
    shipped["firewall_services"]["web"] = {"ports": ["80/tcp"]}
    shipped["firewall_endpoints"]["users"] = {"cidrs": ["10.0.0.0/8"]}
    shipped["firewall_flows"]["f"] = {**FLOW, "services": ["web"], "from": ["users"]}
    catalogue = load_catalogue(shipped, {"firewall_shipped": False, "firewall_flows": {"g": FLOW}}, [])
    assert sorted(catalogue.flows) == ["g", "management_ssh"]
    assert sorted(catalogue.services) == ["ssh"]
    assert set(catalogue.endpoints) - {*CANONICAL_GROUPS} == {"controllers", "managed_hosts"}


@pytest.mark.parametrize(
    ("site", "message"),
    [
        # What is expected is in the tests of ports and addresses.
        ({"services": {"x": {"ports": [port]}}}, f"Invalid firewall_services.x.ports: got {port!r}, expected ")
        for port in ("0/tcp", "65536/tcp", "22-", "30-20/tcp", "ssh", "22", "22/tpc")
    ]
    + [
        ({"endpoints": {"x": {"cidrs": [cidr]}}}, f"Invalid firewall_endpoints.x.cidrs: got {cidr!r}, expected ")
        for cidr in ("10.0.0.1/8", "10.0.0.0/33", "fd00:::/64")
    ]
    + [
        # A name in the file.
        ({section: {name: {}}}, f"Invalid name in firewall_{section}: got {name!r}, {NAME}.")
        for section in ("services", "endpoints", "flows")
        for name in ('a"b', "a}b", "a{b", "a\nb", "a" * 200, "A", "1a", "", "a-b", "a.b", "é", 5)
    ],
)
def test_bad_names_ports_and_networks(site: dict[str, Any], message: str) -> None:
    assert error_of(site).startswith(message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"services": ["shh"]}, ".services: got 'shh', expected a service from firewall_services. Did you mean 'ssh'?"),
        ({"services": ["a\nb"]}, ".services: got 'a\\nb', expected a service from firewall_services."),
        (
            {"from": ["monitorin"]},
            ".from: got 'monitorin', expected an endpoint from firewall_endpoints or an inventory group. Did you mean "
            "'monitoring'?",
        ),
        (
            {"to": ["desk"]},
            ".to: got 'desk', expected an endpoint from firewall_endpoints or an inventory group. "
            "Did you mean 'desks'?",
        ),
        ({"to": []}, ".to: got [], expected a non-empty list of endpoints."),
        ({"to": "desks"}, ".to: got 'desks', expected a list of endpoints."),
        ({"to": ["desks", 5]}, ".to: got 5, expected a string."),
        (
            {"need": "require"},
            ".need: got 'require', expected one of required, recommended, optional, conditional. "
            "Did you mean 'required'?",
        ),
        ({"enabled": "yes"}, ".enabled: got 'yes', expected true or false."),
        ({"within_cluster": "alpha"}, ".within_cluster: got 'alpha', expected true or false."),
        ({"title": ["x"]}, ".title: got ['x'], expected a string."),
        ({"note": 5}, ".note: got 5, expected a string."),
        ({"reference": "Page 1"}, ".reference: got 'Page 1', expected a list of references."),
        ({"review_by": "soon"}, ".review_by: got 'soon', expected a date such as '2027-06-30'."),
        (
            {"unless": "firewall_ssh_trough_tunnel"},
            ".unless: got 'firewall_ssh_trough_tunnel', expected one of "
            "firewall_ssh_through_tunnel. "
            "Did you mean 'firewall_ssh_through_tunnel'?",
        ),
    ],
)
def test_bad_values_in_a_flow(change: dict[str, Any], message: str) -> None:
    assert error_of({"flows": {"f": {**FLOW, **change}}}) == f"Invalid firewall_flows.f{message}"


@pytest.mark.parametrize("key", ["from", "to", "services", "need"])
def test_a_flow_without_a_key(key: str) -> None:
    flow = {name: value for name, value in FLOW.items() if name != key}
    assert (
        error_of({"flows": {"f": flow}})
        == f"Invalid firewall_flows.f: got {flow!r}, expected a dictionary with the key {key!r}, {OVERRIDES}."
    )


def test_a_misspelt_key_has_a_suggestion() -> None:
    assert error_of({"flows": {"f": {"form": ["desks"], **FLOW}}}) == (
        f"Invalid key in firewall_flows.f: got 'form', expected one of {KEYS}. Did you mean 'from'?"
    )


@pytest.mark.parametrize(
    ("site", "message"),
    [
        (
            {"services": {"x": {"port": ["22/tcp"]}}},
            "Invalid key in firewall_services.x: got 'port', expected one of "
            "ports, title, exposure, broad, unit, accept. Did you mean 'ports'?",
        ),
        (
            {"services": {"x": {}}},
            f"Invalid firewall_services.x: got {{}}, expected a dictionary with the key 'ports', {OVERRIDES}.",
        ),
        (
            {"services": {"x": {"ports": []}}},
            "Invalid firewall_services.x.ports: got [], expected a non-empty list of ports.",
        ),
        (
            {"services": {"x": {"ports": "22/tcp"}}},
            "Invalid firewall_services.x.ports: got '22/tcp', expected a list of ports.",
        ),
        (
            {"services": {"x": {"ports": ["1/tcp"], "exposure": "all"}}},
            "Invalid firewall_services.x.exposure: got 'all', expected one of public, platform, cluster, host.",
        ),
        (
            {"services": {"x": {"ports": ["1/tcp"], "unit": ["x.service"]}}},
            "Invalid firewall_services.x.unit: got ['x.service'], expected a string.",
        ),
        (
            {"services": {"x": {"ports": ["1/tcp"], "unit": "x\ny.service"}}},
            "Invalid firewall_services.x.unit: got 'x\\ny.service', expected a systemd unit such as "
            "'slurmctld.service'.",
        ),
        (
            {"services": {"x": {"ports": ["1/tcp"], "title": "\ud800"}}},
            "Invalid firewall_services.x.title: got '\\ud800', expected a string without control characters.",
        ),
        ({"services": {"a\nb": None}}, f"Invalid name in firewall_services: got 'a\\nb', {NAME}."),
        (
            {"services": {"x": {"ports": ["1/tcp"], "broad": 1}}},
            "Invalid firewall_services.x.broad: got 1, expected true or false.",
        ),
        (
            {"endpoints": {"x": {"group": ["desks"]}}},
            "Invalid key in firewall_endpoints.x: got 'group', expected one "
            "of "
            "groups, fallback_groups, cidrs, hostnames, except, title. Did you mean 'groups'?",
        ),
        (
            {"endpoints": {"x": {"groups": "desks"}}},
            "Invalid firewall_endpoints.x.groups: got 'desks', expected a list of group names.",
        ),
        (
            {"endpoints": {"x": {"hostnames": ["a b"]}}},
            "Invalid firewall_endpoints.x.hostnames: got 'a b', expected a host name such as 'node1.example.org'.",
        ),
        # A merge that gives a wrong type.
        (
            {"services": None},
            "Invalid firewall_services: got None, expected a dictionary, because it is merged over the shipped one.",
        ),
        (
            {"flows": [FLOW]},
            f"Invalid firewall_flows: got {[FLOW]!r}, expected a dictionary, because it is merged over the shipped "
            "one.",
        ),
        (
            {"services": {"ssh": ["22/tcp"]}},
            "Invalid firewall_services.ssh: got ['22/tcp'], expected a dictionary, because it is merged over the "
            "shipped one.",
        ),
        (
            {"services": {"ssh": {"ports": {"first": 22}}}},
            "Invalid firewall_services.ssh.ports: got {'first': 22}, expected a list of ports.",
        ),
        ({"flows": {"f": "on"}}, "Invalid firewall_flows.f: got 'on', expected a dictionary."),
        (
            {"flows": {"f": {"enabled": True}}},
            "Invalid firewall_flows.f: got {'enabled': True}, expected a dictionary with the key 'from', "
            f"{OVERRIDES}.",
        ),
        (
            {"flows": {"managment_ssh": {"enabled": True}}},
            "Invalid firewall_flows.managment_ssh: got {'enabled': True}, expected a dictionary with the key 'from', "
            f"{OVERRIDES}. Did you mean 'management_ssh'?",
        ),
        (
            {"flows": {"management_ssh": {"from": None}}},
            "Invalid firewall_flows.management_ssh: got {'to': ['managed_hosts'], 'services': ['ssh'], 'need': "
            "'required'}, expected a dictionary with the key 'from'.",
        ),
    ],
)
def test_bad_services_endpoints_and_merges(site: dict[str, Any], message: str) -> None:
    assert error_of(site) == message


EVERYTHING_ELSE = "Name the groups or networks of the sources, or a service with the ports that anyone may use."


def test_everything_is_for_named_sources_and_never_broad() -> None:
    everything = {"all": {"ports": ["any/ip"]}}
    networks = {
        "e": {"cidrs": ["10.0.0.0/8"]},
        "halves": {"cidrs": ["0.0.0.0/1", "128.0.0.0/1"]},
        "v6": {"cidrs": ["::/0"]},
    }
    flow = {**FLOW, "from": ["e"], "services": ["ssh", "all"]}
    site = {"services": everything, "endpoints": networks}
    service = make_catalogue({**site, "flows": {"f": flow}}).services["all"]
    assert (service.ports, service.has_own_ports) == (EVERYTHING, False)
    for sources in (["e", "halves"], ["v6"]):
        assert error_of({**site, "flows": {"f": {**flow, "from": sources}}}) == (
            f"Invalid firewall_flows.f.from: got {sources!r}, expected sources that do not contain all addresses, "
            f"because the service all is any/ip. {EVERYTHING_ELSE}"
        )
    # What an except leaves are nearly all addresses; one of them does not help if another source has the rest.
    site["endpoints"] = {**networks, "most": {"cidrs": ["0.0.0.0/0"], "except": ["10.0.0.0/8"]}}
    for sources, how_many in (
        (["most"], "nearly all addresses (an except leaves all others)"),
        (["e", "most"], "all addresses"),
    ):
        assert error_of({**site, "flows": {"f": {**flow, "from": sources}}}) == (
            f"Invalid firewall_flows.f.from: got {sources!r}, expected sources that do not contain {how_many}, "
            f"because the service all is any/ip. {EVERYTHING_ELSE}"
        )
    assert error_of({"services": {"all": {"ports": ["any/ip"], "broad": True}}}) == (
        "Invalid firewall_services.all.broad: got True, expected false, because any/ip leaves no port to other "
        "services. A broad service may have 1-65535/tcp and 1-65535/udp."
    )


GROUPS = {
    "all": ["head", "n1", "n2", "files", "lonely"],
    "ungrouped": ["lonely"],
    "managed": ["head", "files"],
    "slurm_controller": ["head"],
    "slurm_login": ["head", "n1"],
    "racks": ["n2", "head", "files"],
    "rack_1": ["n2"],
}


@pytest.mark.parametrize(
    ("host", "group"),
    [
        # The canonical group of the fewest hosts, else another group.
        ("head", "slurm_controller"),
        ("n1", "slurm_login"),
        ("n2", "rack_1"),
        ("files", "racks"),
        ("lonely", ""),
    ],
)
@pytest.mark.parametrize("within_cluster", [False, True])
def test_a_host_in_from_or_to(host: str, group: str, within_cluster: bool) -> None:
    flow = {**FLOW, "to": [host], "within_cluster": within_cluster}
    with pytest.raises(PortFileError) as error:
        load_catalogue(SHIPPED, {"firewall_flows": {"f": flow}}, GROUPS)
    its_group = f"Write one of its groups, such as {group}. " if group else ""
    alone = (
        "For this host alone, add a group with it to the inventory, because the flow has within_cluster."
        if within_cluster
        else "For this host alone, define an endpoint with its address in firewall_endpoints, such as my_endpoint: "
        "{cidrs: [192.0.2.10/32]}, and write its name."
    )
    assert str(error.value) == (
        f"Invalid firewall_flows.f.to: got '{host}', expected an endpoint from firewall_endpoints or an inventory "
        f"group. It is a host of the inventory, not a group. {its_group}{alone}"
    )


def test_a_host_from_the_vault_is_not_compared_with_the_inventory() -> None:
    flow = {**FLOW, "to": [Vaulted("head")]}
    with pytest.raises(PortFileError) as error:
        load_catalogue(SHIPPED, {"firewall_flows": {"f": flow}}, GROUPS)
    assert str(error.value).endswith("or an inventory group.")


def test_flows_within_a_cluster_need_endpoints_with_only_groups() -> None:
    for endpoint in ({"cidrs": ["10.0.0.0/8"]}, {"hostnames": ["a.example.org"]}):
        site = {"endpoints": {"e": endpoint}, "flows": {"f": {**FLOW, "from": ["e"], "within_cluster": True}}}
        assert error_of(site) == (
            "Invalid firewall_flows.f.from: got 'e', expected an endpoint that has only groups, because the flow has "
            "within_cluster. Put cluster networks into firewall_clusters."
        )


@pytest.mark.parametrize(
    ("flow", "message"),
    [
        (None, f": got None, expected an enabled flow. {LOCKED_OUT}"),
        ({"enabled": False}, f": got {{'enabled': False}}, expected an enabled flow. {LOCKED_OUT}"),
        ({"need": "conditional"}, f".need: got 'conditional', expected 'required'. {LOCKED_OUT}"),
        (
            {"unless": "firewall_ssh_through_tunnel"},
            f".unless: got 'firewall_ssh_through_tunnel', expected ''. {LOCKED_OUT}",
        ),
        ({"within_cluster": True, "from": ["monitoring"]}, f".within_cluster: got True, expected False. {LOCKED_OUT}"),
    ],
)
def test_management_ssh_cannot_be_turned_off(flow: dict[str, Any] | None, message: str) -> None:
    assert error_of({"flows": {"management_ssh": flow}}) == f"Invalid firewall_flows.management_ssh{message}"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"firewall_shipped": "no"}, "Invalid firewall_shipped: got 'no', expected true or false."),
        ({"firewall_broad_yields": 1}, "Invalid firewall_broad_yields: got 1, expected true or false."),
        (
            {"firewall_ssh_through_tunnel": None},
            "Invalid firewall_ssh_through_tunnel: got None, expected true or false.",
        ),
        (
            {"firewall_srun_ports": "8192"},
            "Invalid firewall_srun_ports: got '8192', expected a port range FIRST-LAST within 1-65535, such as "
            "'60001-63000'.",
        ),
        (
            {"firewall_user_ports": "9-8"},
            "Invalid firewall_user_ports: got '9-8', expected a port range FIRST-LAST within 1-65535, such as "
            "'60001-63000'.",
        ),
        ({"firewall_clusters": ["alpha"]}, "Invalid firewall_clusters: got ['alpha'], expected a dictionary."),
        (
            {"firewall_clusters": {"alpha": ["10.0.0.0/8"]}},
            "Invalid firewall_clusters.alpha: got ['10.0.0.0/8'], expected a dictionary such as "
            "{cidrs: [10.20.0.0/16]}.",
        ),
        (
            {"firewall_clusters": {"alpha": {"cidr": []}}},
            "Invalid key in firewall_clusters.alpha: got 'cidr', expected one of cidrs. Did you mean 'cidrs'?",
        ),
        (
            {"firewall_clusters": {"alpha": {"cidrs": ["10.0.0.1/8"]}}},
            "Invalid firewall_clusters.alpha.cidrs: got '10.0.0.1/8', expected a network without host bits, such as "
            "'10.0.0.0/8'.",
        ),
        (
            {"firewall_clusters": {"a\x1bb": {"cidrs": []}}},
            "Invalid name in firewall_clusters: got 'a\\x1bb', expected a string without control characters.",
        ),
        (
            {"firewall_clusters": {"": {"cidrs": []}}},
            "Invalid name in firewall_clusters: got '', expected 1 to 253 printable characters.",
        ),
        ({"firewall_clusters": {5: {"cidrs": []}}}, "Invalid name in firewall_clusters: got 5, expected a string."),
    ],
)
def test_bad_settings_of_the_site(settings: dict[str, Any], message: str) -> None:
    assert error_of(**settings) == message


OF_RANGES: dict[str, Any] = {
    "srun": {"ports": ["8192-60999/tcp"], "broad": True},
    "user_ports": {"ports": ["1024-65535/tcp", "1024-65535/udp"], "broad": True},
}


@pytest.mark.parametrize(
    ("settings", "srun", "user"),
    [
        ({}, ["8192-60999/tcp"], ["1024-65535/tcp", "1024-65535/udp"]),
        ({"firewall_srun_ports": "60001-63000"}, ["60001-63000/tcp"], ["1024-65535/tcp", "1024-65535/udp"]),
        ({"firewall_user_ports": "5000-5999"}, ["8192-60999/tcp"], ["5000-5999/tcp"]),
    ],
)
def test_ranges_are_narrowed(settings: dict[str, Any], srun: list[str], user: list[str]) -> None:
    shipped = {**SHIPPED, "firewall_services": {**SHIPPED["firewall_services"], **OF_RANGES}}
    services = load_catalogue(shipped, settings, []).services
    assert [str(item) for item in services["srun"].ports] == srun
    assert [str(item) for item in services["user_ports"].ports] == user
    assert services["srun"].broad and services["user_ports"].broad


@given(
    st.sampled_from(
        [("srun", "firewall_srun_ports", "8192-60999"), ("user_ports", "firewall_user_ports", "1024-65535")]
    ),
    st.sampled_from([None, "5000-5999", "60001-63000"]),
    st.sampled_from([None, "8192-60999/tcp", "5000-5999/tcp", "60001-63000/tcp", "5000-5999/tcp 5000-5999/udp"]),
)
def test_of_a_range_and_ports_none_is_ignored(
    setting: tuple[str, str, str], ports: str | None, own: str | None
) -> None:
    """They say the same, or one of them is not set."""
    name, variable, usual = setting
    shipped = {**SHIPPED, "firewall_services": {**SHIPPED["firewall_services"], **OF_RANGES}}
    entry = {"title": "T", **({"ports": own.split()} if own else {})}
    site = {"firewall_services": {name: entry}, variable: ports or usual}
    if ports and own and own != f"{ports}/tcp":
        with pytest.raises(PortFileError) as error:
            load_catalogue(shipped, site, [])
        assert str(error.value) == (
            f"Invalid firewall_services.{name}.ports: got {own.split()!r}, expected no ports, because {variable} is "
            f"{ports!r}. Write the range into {variable} and delete the ports here, or delete {variable} if the "
            "service needs more than one range of TCP."
        )
    else:
        expected = f"{ports}/tcp" if ports else own or " ".join(OF_RANGES[name]["ports"])
        assert " ".join(map(str, load_catalogue(shipped, site, []).services[name].ports)) == expected


def test_narrowing_a_missing_service_changes_nothing() -> None:
    assert make_catalogue({}, firewall_srun_ports="60001-63000") == make_catalogue({})


def test_input_is_not_changed() -> None:
    shipped, site = (
        deepcopy(SHIPPED),
        {"firewall_services": {"ssh": {"ports": ["2222/tcp"]}}, "firewall_srun_ports": "1-2"},
    )
    before = deepcopy((shipped, site, SITE_DEFAULTS))
    load_catalogue(shipped, site, [])
    assert (shipped, site, SITE_DEFAULTS) == before


@pytest.mark.parametrize(
    "cidr", ["127.0.0.0/8", "::1/128", "224.0.0.0/8", "ff02::/16", "255.255.255.255", "0.0.0.0/32"]
)
def test_cluster_networks_can_contain_hosts(cidr: str) -> None:
    shown = str(IPNetwork(cidr))
    assert error_of(firewall_clusters={"alpha": {"cidrs": ["10.0.0.0/8", cidr]}}) == (
        f"Invalid firewall_clusters.alpha.cidrs: got {shown!r}, expected a network that can contain hosts, not "
        "loopback, multicast or broadcast."
    )


@given(st.integers(0, 2**32 - 1), st.integers(0, 32), st.booleans())
@example(0, 0, False)
@example(10 << 24, 7, False)
@example(10 << 24, 8, False)
@example(0x2001 << 16, 15, True)
@example(0xFD00 << 16, 16, True)
@example(0xFE80 << 16, 10, True)
def test_cluster_networks_are_no_wider_than_a_platform(start: int, length: int, is_v6: bool) -> None:
    """Nodes are never nearly everyone: a flow within the cluster would be open to them."""
    network = IPNetwork((start << 96, length), version=6) if is_v6 else IPNetwork((start, length), version=4)
    shown = str(network.cidr)
    clusters = {"alpha": {"cidrs": ["10.1.0.0/16", shown]}}
    is_wide = length < (16 if is_v6 else 8) and not network.is_link_local()
    if is_wide and has_hosts(network.cidr):
        assert error_of(firewall_clusters=clusters) == (
            f"Invalid firewall_clusters.alpha.cidrs: got {shown!r}, expected networks of the cluster's nodes, no "
            "wider than /8 (IPv4) or /16 (IPv6), because flows within the cluster are open to them. For connections "
            "from everywhere, write a flow from the endpoint anywhere."
        )
    elif has_hosts(network.cidr):
        assert network.cidr in make_catalogue(firewall_clusters=clusters).clusters["alpha"]


def test_endpoints_may_be_multicast_groups() -> None:
    assert make_catalogue({"endpoints": {"vrrp": {"cidrs": ["224.0.0.18/32"]}}}).endpoints["vrrp"].cidrs


def test_endless_values_are_reported_with_their_key() -> None:
    endless: dict[str, Any] = {"ports": ["1/tcp"]}
    endless["title"] = [endless]
    assert error_of({"services": {"web": endless}}) == (
        "Invalid firewall_services: got a value at firewall_services.web.title.0 that contains itself (through a YAML "
        "anchor) or is nested more than 16 levels deep, expected plain dictionaries, lists and strings."
    )
    deep: list[Any] = []
    for _level in range(1500):
        deep = [deep]
    assert error_of({"flows": {"f": {**FLOW, "note": deep}}}).startswith(
        "Invalid firewall_flows: got a value at firewall_flows.f.note.0 that contains itself "
    )


@pytest.mark.parametrize("number", [16**5000, "1" * 5000], ids=["number", "text"])
def test_huge_numbers_are_not_shown(number: Any) -> None:
    message = error_of({"services": {"web": {"ports": [number]}}})
    assert message.startswith("Invalid firewall_services.web.ports: got ") and len(message) < 700


def test_vaulted_values_are_not_shown() -> None:
    """Neither the values nor suggestions similar to them."""
    for site in (
        {"services": {"web": {"ports": [Vaulted("30-20/tcp")]}}},
        {"endpoints": {"e": {"cidrs": [Vaulted("10.0.0.1/8")]}}},
        {"flows": {"f": {**FLOW, "need": Vaulted("require")}}},
        {"flows": {"f": {**FLOW, "services": [Vaulted("shh")]}}},
    ):
        message = error_of(site)
        assert ": got a value from the vault, expected " in message
        assert not any(text in message for text in ("30", "20/", "10.0.0.0", "mean", "shh"))
