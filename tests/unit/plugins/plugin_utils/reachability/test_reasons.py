# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why the plan allows a connection, or does not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._model.ports import PortRange
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.connections import Connections
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.reasons import Reasons, explained, reasons_of
from ansible_collections.hpc.ports.tests.support.explained_site import plan_of
from ansible_collections.hpc.ports.tests.support.random_sites import PORTS, SITES, Site
from hypothesis import event, given
from hypothesis import strategies as st


def why(source: str, target: str, port: str, **changes: dict[str, Any]) -> Reasons:
    return explained(plan_of(changes), source, target, port)


def flow(found: Reasons, name: str) -> tuple[str, str]:
    [item] = [item for item in found.flows if item.flow == name]
    return item.reason, item.text


def test_a_flow_that_applies_is_named_for_each_pair_of_addresses() -> None:
    found = why("login", "head", "6817/tcp")
    assert found.passes is True
    assert [(item.source_address, item.target_address, item.ingress.reason) for item in found.pairs] == [
        ("10.1.0.2", "10.1.0.1", "flow control"),
        ("fd01::2", "fd01::1", "flow control"),
    ]
    assert flow(found, "control") == ("applies", "It allows this connection.")
    assert found.sentences[:2] == (
        "According to the plan, login may connect to 6817/tcp of head.",
        "10.1.0.2 to 10.1.0.1: login sends it (open egress); head accepts it (flow control).",
    )
    assert found.advice == ()


@pytest.mark.parametrize(
    "name,port,reason,text",
    [
        ("docker", "2375/tcp", "off", "It is off: it is optional, and enabled is not set."),
        ("rest", "6820/tcp", "off", "It is off: it is conditional, and nobody is in admins."),
        ("tunnel", "6820/tcp", "off", "It is off: firewall_ssh_through_tunnel is true."),
        ("no_rest", "6820/tcp", "off", "It is off: enabled is false."),
        ("work", "2375/tcp", "yields", "user_ports is broad and yields on head to docker, which has 2375/tcp there."),
    ],
)
def test_why_a_flow_does_not_apply(name: str, port: str, reason: str, text: str) -> None:
    assert flow(why("login", "head", port), name) == (reason, text)


def test_an_isolated_network_is_named() -> None:
    """Of the addresses that lead nowhere nothing else is said."""
    plan = plan_of(
        {"head": {"groups": ["slurm_controller"], "cluster": "alpha", "addresses": ["10.1.0.1", "192.168.5.1"]}},
        firewall_isolated_networks=["192.168.5.0/24"],
    )
    found = explained(plan, "login", "head", "6817/tcp")
    assert [item.target_address for item in found.pairs] == ["10.1.0.1"]
    assert found.sentences[1] == "192.168.5.1 is in the isolated network 192.168.5.0/24, where login has no address."


def test_another_cluster_is_named_with_both() -> None:
    found = why("other", "head", "6817/tcp")
    assert found.passes is False
    assert flow(found, "control") == (
        "other_cluster",
        "It applies only within a cluster: other is in beta, head in alpha.",
    )
    assert (
        found.sentences[1] == "10.2.0.2 to 10.1.0.1: other sends it (open egress); head drops it (no flow allows it)."
    )
    assert found.advice == ("Add a flow from other (in slurm_login) to head (in slurm_controller) on slurmctld.",)


def test_a_host_behind_no_source_is_told_which_they_are() -> None:
    found = why("laptop", "head", "6817/tcp")
    assert flow(found, "control") == (
        "not_a_source",
        "laptop is not in slurm_login or slurm_compute, the sources of the flow.",
    )
    assert found.sentences[1] == (
        "198.51.100.7 to 10.1.0.1: laptop is not managed, so the plan does not say what it "
        "sends; head drops it (no flow allows it)."
    )


def test_a_port_that_no_flow_has() -> None:
    found = why("login", "ctl", "7/udp")
    assert (found.passes, found.flows) == (False, ())
    assert found.sentences[-1] == "No flow has 7/udp."
    assert found.advice == (
        "Add a flow from login (in slurm_login) to ctl (in control_plane) on a new service with 7/udp.",
    )


def test_a_port_that_flows_have_elsewhere() -> None:
    assert why("login", "ctl", "6817/tcp").sentences[-1] == (
        "No flow with 6817/tcp goes to ctl: control, work go to slurm_controller."
    )


def test_restricted_egress_without_a_flow() -> None:
    """The target knows the source by its network, the source is in no group of the flow."""
    found = why("login", "ctl", "443/tcp", login={"egress": "restricted"})
    assert found.passes is False
    assert flow(found, "web") == (
        "egress",
        "ctl accepts it, but login has restricted egress and no flow to 10.0.0.1. If a flow "
        "names login only by a network, it does not open the egress of login.",
    )
    assert (
        "10.1.0.2 to 10.0.0.1: login does not send it (no flow allows it); ctl accepts it (flow web)."
        in found.sentences
    )
    assert found.advice[0] == (
        "Put a group of login into an endpoint of firewall_flows.web.from, not only its network."
    )


def test_one_family_alone() -> None:
    found = why("login", "ctl", "443/tcp")
    assert [item.passes for item in found.pairs] == [True, False]
    assert found.passes is None
    assert flow(found, "web") == ("applies", "It allows this connection only from 10.1.0.2 to 10.0.0.1.")
    assert found.sentences[0] == "According to the plan, login may, or may not, connect to 443/tcp of ctl."


def test_no_family_in_common() -> None:
    found = why("six", "head", "6817/tcp", head={"addresses": ["10.1.0.1"]}, six={"cluster": "alpha"})
    assert (found.passes, found.pairs) == (False, ())
    assert found.sentences[1] == "six has no source address in an address family of head."
    assert flow(found, "control") == ("address", "It has no source address of six in an address family that head has.")


def test_a_target_that_is_not_managed() -> None:
    found = why("login", "laptop", "22/tcp")
    assert (found.passes, found.advice) == (None, ())
    assert found.sentences[1].endswith("laptop is not managed, so the plan does not say what it accepts.")
    assert why("login", "laptop", "22/tcp", login={"egress": "restricted"}).passes is False


def test_a_host_that_only_observes() -> None:
    found = why("other", "head", "6817/tcp", head={"mode": "observe"})
    assert found.passes is True
    assert found.sentences[1].endswith("head accepts it (no flow allows it, but the host is in observe mode).")
    assert found.advice


def test_trusted_interfaces_are_said() -> None:
    found = why("other", "head", "6817/tcp", head={"trusted_interfaces": ["ib0"]})
    assert (
        found.sentences[-1]
        == "head accepts all packets on ib0, regardless of flows, because it trusts these interfaces."
    )


def test_a_host_reaches_itself() -> None:
    found = why("head", "head", "1/tcp")
    assert (found.passes, found.sentences) == (True, ("head reaches itself by loopback, which always passes.",))


def test_a_flow_that_is_off_is_advised_where_it_would_help() -> None:
    assert why("login", "head", "2375/tcp").advice[0] == "Set firewall_flows.docker.enabled to true."
    assert not any("docker.enabled" in text for text in why("laptop", "head", "2375/tcp").advice)


@pytest.mark.parametrize(
    "source,target,port,message",
    [
        ("logn", "head", "6817/tcp", "Invalid from: got 'logn', expected an inventory host. Did you mean 'login'?"),
        ("login", "nobody", "6817/tcp", "Invalid to: got 'nobody', expected an inventory host."),
        ("login", "head", "6817", "Invalid to_port: got '6817', "),
    ],
)
def test_what_is_not_a_host_or_a_port(source: str, target: str, port: str, message: str) -> None:
    with pytest.raises(PortFileError) as failed:
        why(source, target, port)
    assert str(failed.value).startswith(message)


ALWAYS = " Hosts always accept ICMP, ICMPv6 and IGMP, so no service is needed."


@pytest.mark.parametrize(
    "port,advice",
    [
        ("22/TCP", " Write '22/tcp'."),
        ("tcp/22", " Write '22/tcp'."),
        ("22", " Write '22/tcp' or '22/udp'."),
        ("22/any", " Write '22/tcp' or '22/udp'."),
        ("8/icmp", ALWAYS),
        ("icmp", ALWAYS),
        ("1/ip", ALWAYS),
        ("esp", " Write '50/ip', the IP protocol without its ports."),
        # One port is expected, so that the port file's advice would mislead.
        ("any/ip", ""),
        ("22:25/tcp", ""),
        ("22-25/tcp", ""),
        ("6/ip", ""),
        ("70000/tcp", ""),
        ("", ""),
    ],
)
def test_what_to_write_instead_of_an_invalid_port(port: str, advice: str) -> None:
    with pytest.raises(PortFileError) as failed:
        why("login", "head", port)
    assert str(failed.value) == (
        f"Invalid to_port: got '{port}', expected one port from 1 to 65535, such as '6817/tcp', or one IP protocol, "
        f"such as '112/ip'.{advice}"
    )


@given(SITES, st.sampled_from(PORTS), st.sampled_from(["tcp", "udp"]))
def test_the_reasons_agree_with_the_policies(site: Site, port: int, protocol: str) -> None:
    """A pair of addresses passes by flows if and only if one of the flows is said to apply."""
    plan = site.plan()
    connections = Connections(plan, sorted(plan.inventory.hosts))
    for source in connections.hosts:
        for target in connections.managed:
            found = reasons_of(connections, source, target, PortRange(protocol, port, port))
            json.dumps(found.as_data())
            applies = {item.flow for item in found.flows if item.reason == "applies"}
            entering = {item.ingress.reason for item in found.pairs if item.passes and "flow " in item.ingress.reason}
            assert {f"flow {name}" for name in applies} >= entering - {"no flow"}
            assert bool(applies) == bool(entering - {"no flow"})
            for item in found.flows:
                event(item.reason)
            assert source == target or found.sentences and (found.passes is not False or found.advice)
