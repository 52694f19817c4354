# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors for words of other firewalls say what to write instead."""

from __future__ import annotations

import re

import pytest
import yaml
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.advice import (
    FLOW_KEYS,
    endpoint_advice,
    ports_advice,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError, Vaulted
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.everything import parse_service_ports
from ansible_collections.hpc.ports.tests.support.sites import make_catalogue
from hypothesis import example, given
from hypothesis import strategies as st
from netaddr import IPAddress, IPRange, IPSet

FLOW = {"from": ["monitoring"], "to": ["workspace"], "services": ["ssh"], "need": "optional"}
ALWAYS = "Hosts always accept ICMP, ICMPv6 and IGMP, so no service is needed."

EVERYTHING = "Write 'any/ip' for all ports and all IP protocols, or '1-65535/tcp' for all ports of TCP."


@pytest.mark.parametrize(
    ("ports", "advice"),
    [
        ("22/TCP", "Write '22/tcp'."),
        ("22 /tcp", "Write '22/tcp'."),
        ("tcp/22", "Write '22/tcp'."),
        ("22:25/tcp", "Write '22-25/tcp'."),
        ("0-65535/tcp", "Write '1-65535/tcp'."),
        ("0:65535/UDP", "Write '1-65535/udp'."),
        ("6/ip", "Write '1-65535/tcp'."),
        ("22", "Write '22/tcp', '22/udp' or both."),
        (22, "Write '22/tcp', '22/udp' or both."),
        ("22/tcp,udp", "Write '22/tcp', '22/udp' or both."),
        ("22/any", "Write '22/tcp', '22/udp' or both."),
        ("any", EVERYTHING),
        ("all/ALL", EVERYTHING),
        ("any/tcp", "Write '1-65535/tcp'."),
        ("8/icmp", ALWAYS),
        ("icmp", ALWAYS),
        ("any/ICMPv6", ALWAYS),
        ("1/ip", ALWAYS),
        ("igmp", ALWAYS),
        ("gre", "Write '47/ip', the IP protocol without its ports."),
        ("22/sctp", "Write '132/ip', the IP protocol without its ports."),
        ("gre/ip", "Write '47/ip', the IP protocol without its ports."),
        ("ESP/IP", "Write '50/ip', the IP protocol without its ports."),
        ("0-255/ip", EVERYTHING),
        ("80,443/tcp", "Write each as an entry: '80/tcp', '443/tcp'."),
        ("80, 8000:8010/TCP", "Write each as an entry: '80/tcp', '8000-8010/tcp'."),
        ("80/tcp,53/udp", "Write each as an entry: '80/tcp', '53/udp'."),
        # Nothing that is sure to be meant.
        ("ssh", ""),
        ("22/tpc", ""),
        ("30-20/tcp", ""),
        ("22,80", ""),
        ("22,80/any", ""),
        ("22,70000/tcp", ""),
        ("22,/tcp", ""),
        ("70000/tcp", ""),
        ("1-255/ip", ""),
        ("0-1023/udp", ""),
        ("٢٢/tcp", ""),
        (65536, ""),
        (True, ""),
        (2.5, ""),
        (None, ""),
        (Vaulted("22/TCP"), ""),
        ("22/TCP" + " " * 300, ""),
    ],
)
def test_ports(ports: object, advice: str) -> None:
    assert ports_advice(ports) == advice


@given(st.from_regex(r"(?i)[0-9]{1,5}([-:,][0-9]{1,5})?[ /]{0,2}(tcp|udp|ip|icmp|any|)", fullmatch=True))
@example("22")
@example("22,80/tcp")
def test_advice_about_ports_can_be_followed(text: str) -> None:
    for word in ports_advice(text).split("'")[1::2]:
        assert parse_service_ports(word)


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        (
            "10.0.0.0/8",
            "For a network, define an endpoint in firewall_endpoints, such as my_endpoint: {cidrs: ['10.0.0.0/8']}, "
            "and write its name.",
        ),
        (
            "fd00::1",
            "For a network, define an endpoint in firewall_endpoints, such as my_endpoint: {cidrs: ['fd00::1']}, and "
            "write its name.",
        ),
        (
            "login.example.org",
            "For a host, define an endpoint with its address in firewall_endpoints, such as my_endpoint: {cidrs: "
            "[192.0.2.10/32]}, and write its name. hostnames: [login.example.org] works too, but the controller must "
            "resolve the name.",
        ),
        (
            "login1",
            "Did you mean 'login'? For a host, define an endpoint with its address in firewall_endpoints, such as "
            "my_endpoint: {cidrs: [192.0.2.10/32]}, and write its name. hostnames: [login1] works too, but the "
            "controller must resolve the name.",
        ),
        ("logi", "Did you mean 'login'?"),
        (
            "10.0.0.1-10.0.0.9",
            "For a range, define an endpoint with networks that cover it in firewall_endpoints, such as my_endpoint: "
            "{cidrs: ['10.0.0.1/32', '10.0.0.2/31', '10.0.0.4/30', '10.0.0.8/31']}, and write its name.",
        ),
        (
            "10.0.0.8 - 15",
            "For a range, define an endpoint with networks that cover it in firewall_endpoints, such as my_endpoint: "
            "{cidrs: ['10.0.0.8/29']}, and write its name.",
        ),
        (
            "fd00::-fd00::ffff",
            "For a range, define an endpoint with networks that cover it in firewall_endpoints, such as my_endpoint: "
            "{cidrs: ['fd00::/112']}, and write its name.",
        ),
        # No range: another family, or the last address first.
        ("10.0.0.1-fd00::1", ""),
        ("10.0.0.9-10.0.0.1", ""),
        ("10.0.0.9-1", ""),
        ("10.0.0.9-256", ""),
        (
            "10.0.0.0/8, 192.0.2.0/24",
            "For networks, define an endpoint in firewall_endpoints, such as my_endpoint: {cidrs: ['10.0.0.0/8', "
            "'192.0.2.0/24']}, and write its name.",
        ),
        (
            "10.0.0.1 fd00::/64",
            "For networks, define an endpoint in firewall_endpoints, such as my_endpoint: {cidrs: ['10.0.0.1', "
            "'fd00::/64']}, and write its name.",
        ),
        ("login, anywhere", "Write a list of names: [login, anywhere]."),
        ("login,desks", "Did you mean 'login'?"),
        ("any", "For any address, write the endpoint anywhere."),
        ("0.0.0.0/0", "For any address, write the endpoint anywhere."),
        ("a_b", ""),
        ("a\nb", ""),
        (Vaulted("10.0.0.0/8"), ""),
        ("10.0.0.0/" + "8" * 300, ""),
    ],
)
def test_names(name: str, advice: str) -> None:
    assert endpoint_advice(name, ["login", "anywhere"]) == advice


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**9))
def test_advice_about_a_range_has_exactly_its_addresses(first: int, size: int) -> None:
    last = min(first + size, 2**32 - 1)
    networks = re.findall(r"'([0-9.]+/[0-9]+)'", endpoint_advice(f"{IPAddress(first)}-{IPAddress(last)}", []))
    assert make_catalogue({"endpoints": {"my_endpoint": {"cidrs": networks}}})
    assert list(IPSet(networks).iter_ipranges()) == [IPRange(first, last)]


@given(st.from_regex(r"[a-z0-9]{1,5}(\.[a-z0-9]{1,5}){1,3}", fullmatch=True))
def test_advice_about_a_host_can_be_followed(name: str) -> None:
    """The endpoints in the advice are valid, and the address comes before the name, which may not resolve."""
    advice = endpoint_advice(name, [])
    if "For a host, " not in advice:  # an address
        return
    cidrs, hostnames = re.findall(r"(?:cidrs|hostnames): \[[^]]*\]", advice)
    assert cidrs.startswith("cidrs")
    for content in (cidrs, hostnames):
        assert make_catalogue({"endpoints": {"my_endpoint": yaml.load(f"{{{content}}}", yaml.BaseLoader)}})


def test_any_address_without_the_shipped_endpoint() -> None:
    assert endpoint_advice("::/0", []) == (
        "For any address, define an endpoint in firewall_endpoints, such as my_endpoint: {cidrs: [0.0.0.0/0, '::/0']}, "
        "and write its name."
    )


@pytest.mark.parametrize(
    ("keys", "advice"),
    [
        (
            ("action", "allow", "policy"),
            "Remove it: a flow always allows, and hosts drop the connections that no flow allows.",
        ),
        (
            ("interface", "interfaces", "zone"),
            "Write an endpoint with the networks of this interface (cidrs) into from or to. A host accepts everything "
            "on interfaces in its firewall_trusted_interfaces.",
        ),
        (
            ("limit", "rate"),
            "Remove it: a flow does not limit rates. Limit connections in the service, such as MaxStartups of sshd.",
        ),
        (
            ("log",),
            "Remove it: hosts do not log packets. With nftables, `nft list counters table inet hpc_ports` counts them.",
        ),
        (
            ("port", "ports", "proto", "protocol", "protocols"),
            "Define a service with these ports in firewall_services, and write its name into services.",
        ),
        (("source_ports",), "Remove it: a flow opens the ports of its services, and replies are always accepted."),
        (("state",), "Remove it: hosts always accept the replies to connections that a flow allows."),
        (
            ("expires", "until"),
            "Write review_by: lint reports the flow after this day. A flow stays on until you remove it.",
        ),
        (("except",), "Write except into the endpoint: its networks are not in the endpoint."),
        (("source", "sources", "src"), "Write the endpoints or groups of the sources into from."),
        (
            ("destination", "destinations", "dest", "dst", "target", "targets"),
            "Write the endpoints or groups of the targets into to.",
        ),
        (
            ("endpoints", "groups", "hosts"),
            "Write the endpoints or groups that open the connections into from, and those that accept them into to.",
        ),
        (
            ("direction",),
            "Remove it: a flow goes from its sources to its targets, and the rules of both ends follow from it.",
        ),
        (("order", "priority"), "Remove it: flows only allow, so their order does not matter."),
        (("comment",), "Write note."),
        (("user", "users"), "Remove it: a flow does not know users (docs/port-file.md says what to do)."),
        (
            ("deny",),
            "Remove it: a flow always allows, and hosts drop the connections that no flow allows. To leave networks "
            "out, write except into the endpoint.",
        ),
    ],
)
def test_keys_of_a_flow(keys: tuple[str, ...], advice: str) -> None:
    assert {FLOW_KEYS[key] for key in keys} == {advice}


@pytest.mark.parametrize(
    ("site", "message"),
    [
        (
            {"services": {"x": {"ports": ["22/TCP"]}}},
            "Invalid firewall_services.x.ports: got '22/TCP', expected PORT/PROTOCOL or FIRST-LAST/PROTOCOL, such as "
            f"'22/tcp' or '8192-60000/tcp'. {ports_advice('22/TCP')}",
        ),
        (
            {"services": {"x": {"ports": [22]}}},
            "Invalid firewall_services.x.ports: got 22, expected PORT/PROTOCOL or FIRST-LAST/PROTOCOL, such as "
            f"'22/tcp' or '8192-60000/tcp'. {ports_advice(22)}",
        ),
        (
            {"flows": {"f": {**FLOW, "to": ["10.0.0.0/8"]}}},
            "Invalid firewall_flows.f.to: got '10.0.0.0/8', expected an endpoint from firewall_endpoints or an "
            f"inventory group. {endpoint_advice('10.0.0.0/8', [])}",
        ),
        (
            {"flows": {"f": {**FLOW, "from": [{"cidrs": ["10.0.0.0/8"]}]}}},
            "Invalid firewall_flows.f.from: got {'cidrs': ['10.0.0.0/8']}, expected the name of an endpoint from "
            "firewall_endpoints or of an inventory group. Define an endpoint with these keys in firewall_endpoints, "
            "and write its name.",
        ),
        (
            {"flows": {"f": {**FLOW, "services": [{"ports": ["22/tcp"]}]}}},
            "Invalid firewall_flows.f.services: got {'ports': ['22/tcp']}, expected the name of a service from "
            "firewall_services. Define a service with these ports in firewall_services, and write its name into "
            "services.",
        ),
        (
            {"flows": {"f": {**FLOW, "until": "2027-06-30"}}},
            "Invalid key in firewall_flows.f: got 'until', expected one of from, to, services, within_cluster, need, "
            f"enabled, title, reference, note, review_by, unless, accept. {FLOW_KEYS['until']}",
        ),
        (
            {"flows": {"f": {**FLOW, "services": ["8080/tcp"]}}},
            "Invalid firewall_flows.f.services: got '8080/tcp', expected a service from firewall_services. Define a "
            "service with these ports in firewall_services, and write its name into services.",
        ),
        (
            {"endpoints": {"e": {"networks": ["10.0.0.0/8"]}}},
            "Invalid key in firewall_endpoints.e: got 'networks', expected one of groups, fallback_groups, cidrs, "
            "hostnames, except, title. Write cidrs, a list of networks.",
        ),
        (
            {"flows": {"f": {**FLOW, "accept": ["exposure"]}}},
            "Invalid firewall_flows.f.accept: got ['exposure'], expected a dictionary of rules with reasons, such as "
            "{exposure: 'gateway, reviewed'}.",
        ),
        (
            {"endpoints": {"e": {"cidrs": ["10.0.0.1-10.0.0.2"]}}},
            "Invalid firewall_endpoints.e.cidrs: got '10.0.0.1-10.0.0.2', expected an IPv4 or IPv6 network, such as "
            "'10.20.0.0/16' or 'fd00:20::/64'. Write '10.0.0.1/32', '10.0.0.2/32'.",
        ),
        (
            {"endpoints": {"e": {"cidrs": ["10.0.0.0/8,192.0.2.0/24"]}}},
            "Invalid firewall_endpoints.e.cidrs: got '10.0.0.0/8,192.0.2.0/24', expected a prefix length from 0 to 32 "
            "after the slash. Write each as an entry: '10.0.0.0/8', '192.0.2.0/24'.",
        ),
        (
            {"endpoints": {"e": {"hosts": ["head"]}}},
            "Invalid key in firewall_endpoints.e: got 'hosts', expected one of groups, fallback_groups, cidrs, "
            "hostnames, except, title. Write groups, a list of groups of the inventory, or cidrs with the addresses "
            "of the hosts.",
        ),
        (
            {"endpoints": {"e": {"cidrs": ["10.0.0.0/8"], "accept": {"exposure": "x"}}}},
            "Invalid key in firewall_endpoints.e: got 'accept', expected one of groups, fallback_groups, cidrs, "
            "hostnames, except, title. Write accept into the flow or the service that has the finding.",
        ),
    ],
)
def test_errors_end_with_advice(site: dict[str, object], message: str) -> None:
    with pytest.raises(PortFileError) as error:
        make_catalogue(site)
    assert str(error.value) == message
