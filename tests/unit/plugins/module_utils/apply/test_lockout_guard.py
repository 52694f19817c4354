# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The check that a policy does not lock out its client, and the message about the missing flow."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._apply.lockout_guard import (
    LockoutError,
    check_lockout,
    missing_flow,
)
from ansible_collections.hpc.ports.plugins.module_utils._linux.ssh_connection import SshConnection
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import Policy, Rule
from ansible_collections.hpc.ports.plugins.module_utils._model.ports import parse_ports

CLIENT = SshConnection("10.0.0.9", 51234, "10.0.1.1", 22, "mgmt7")


def rule(flow: str, ports: str, peer: str, direction: str = "in") -> Rule:
    return Rule(direction, flow, (parse_ports(ports),), (ip_network(peer),))


def policy(*rules: Rule, mode: str = "enforce", egress: str = "restricted", trusted: tuple[str, ...] = ()) -> Policy:
    return Policy(mode, egress, trusted, rules)


@pytest.mark.parametrize(
    "wanted",
    [
        policy(rule("management_ssh", "22/tcp", "10.0.0.9/32")),
        policy(rule("admin_ssh", "20-30/tcp", "10.0.0.0/8")),
        policy(mode="observe"),
        policy(trusted=("mgmt*",)),
        policy(rule("management_ssh", "22/tcp", "0.0.0.0/0"), egress="open"),
    ],
)
def test_a_policy_that_allows_the_connection(wanted: Policy) -> None:
    check_lockout(wanted, CLIENT)
    assert missing_flow(wanted, CLIENT) == ""


@pytest.mark.parametrize("interface", ["eth0", "?"])
def test_an_interface_that_is_not_trusted(interface: str) -> None:
    assert missing_flow(policy(trusted=("mgmt*",)), CLIENT._replace(interface=interface)) != ""


FROM = "Ansible connects from 10.0.0.9 to 22/tcp of this host, and no flow allows this connection."


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        (
            [rule("management_ssh", "22/tcp", "10.0.0.8/32"), rule("admin_ssh", "22/tcp", "10.7.0.0/16")],
            f"{FROM} Add 10.0.0.9 to firewall_endpoints.controllers, the source of the flow management_ssh, or take it "
            "out of the except of this endpoint.",
        ),
        *[
            (
                rules,
                f"{FROM} Add 22/tcp to firewall_services.ssh.ports, and 10.0.0.9 to firewall_endpoints.controllers "
                "unless it is already there.",
            )
            for rules in (
                [rule("management_ssh", "2222/tcp", "10.0.0.9/32"), rule("user_ports", "1-65535/tcp", "10.0.0.8/32")],
                [rule("cluster_ssh", "22/tcp", "10.0.0.8/32")],
                [rule("management_ssh", "22/tcp", "10.0.0.9/32", "out")],
            )
        ],
    ],
)
def test_a_policy_that_would_lock_out_names_what_to_add(rules: list[Rule], message: str) -> None:
    assert missing_flow(policy(*rules), CLIENT) == message
    with pytest.raises(LockoutError) as caught:
        check_lockout(policy(*rules), CLIENT)
    assert str(caught.value) == (
        f"This policy would lock you out. {message} Nothing was changed. With firewall_lockout_guard: false the policy "
        "is applied anyway, and the host undoes it unless a new connection confirms it."
    )
    assert caught.value.client == "10.0.0.9"


def test_over_local_the_message_says_that_the_change_stays() -> None:
    with pytest.raises(LockoutError) as caught:
        check_lockout(policy(rule("management_ssh", "22/tcp", "10.0.0.8/32")), CLIENT, is_local=True)
    assert str(caught.value) == (
        "This policy would lock you out. Ansible was started here over ssh from 10.0.0.9 to 22/tcp of this host, and "
        "no flow allows this connection. Add 10.0.0.9 to firewall_endpoints.controllers, the source of the flow "
        "management_ssh, or take it out of the except of this endpoint. Nothing was changed. With "
        "firewall_lockout_guard: false the policy is applied anyway, and it stays: Ansible runs on the host itself, so "
        "no new connection has to confirm it."
    )
