# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of Ansible's connection variables."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.ssh_arguments import Hop
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.ssh_variables import Reach, Unread, reach_of


@pytest.mark.parametrize(
    "connection", [None, "", "ssh", "smart", "ansible.builtin.ssh", "paramiko_ssh", "ansible.netcommon.libssh"]
)
def test_a_host_that_is_reached_by_ssh(connection: str | None) -> None:
    assert reach_of("10.0.0.1", {"ansible_connection": connection}) == Reach(True, "10.0.0.1", 22, ())


@pytest.mark.parametrize("connection", ["local", "containers.podman.podman", "winrm"])
def test_other_connections_have_no_port_and_no_jump_host(connection: str) -> None:
    assert reach_of(
        "n1", {"ansible_connection": connection, "ansible_port": 2222, "ansible_ssh_common_args": "-J jump"}
    ) == Reach(False, "n1")


@pytest.mark.parametrize(
    ("value", "port"), [(2222, 2222), ("2222", 2222), (None, 22), ("", 22), (1, 1), (65535, 65535)]
)
def test_ports(value: Any, port: int) -> None:
    assert reach_of("n1", {"ansible_port": value}) == Reach(True, "n1", port)


@pytest.mark.parametrize(
    ("variables", "port"),
    [
        ({"ansible_ssh_port": 2222}, 2222),
        ({"ansible_ssh_extra_args": "-p 2222"}, 2222),
        ({"ansible_ssh_common_args": "-C -o Port=2222"}, 2222),
        # ssh is given the port after the first arguments and before the others.
        ({"ansible_port": 23, "ansible_ssh_args": "-p 24", "ansible_ssh_common_args": "-p 25"}, 24),
        ({"ansible_port": 23, "ansible_ssh_common_args": "-p 25"}, 23),
    ],
)
def test_ports_from_other_variables(variables: dict[str, Any], port: int) -> None:
    assert reach_of("n1", variables).port == port


@pytest.mark.parametrize("variable", ["ansible_ssh_args", "ansible_ssh_common_args", "ansible_ssh_extra_args"])
def test_jump_hosts(variable: str) -> None:
    assert reach_of("n1", {variable: "-J jump"}).hops == (Hop("jump"),)


def test_arguments_are_in_the_order_of_ansible() -> None:
    assert reach_of(
        "n1", {"ansible_ssh_extra_args": "-J three", "ansible_ssh_common_args": "-J two", "ansible_ssh_args": "-J one"}
    ).hops == (Hop("one"),)


@pytest.mark.parametrize(
    ("variables", "unread"),
    [
        ({"ansible_port": "ssh"}, ("ansible_port", "got 'ssh', expected a port from 1 to 65535")),
        ({"ansible_port": True}, ("ansible_port", "got 'True', expected a port from 1 to 65535")),
        ({"ansible_port": 65536}, ("ansible_port", "got '65536', expected a port from 1 to 65535")),
        (
            {"ansible_ssh_extra_args": "-p ssh"},
            ("ansible_ssh_extra_args", "got 'ssh', expected a port from 1 to 65535"),
        ),
        (
            {"ansible_port": Unread("{{ port }}")},
            ("ansible_port", "got '{{ port }}', a template that cannot be evaluated on the controller"),
        ),
        (
            {"ansible_connection": Unread("{{ way }}")},
            ("ansible_connection", "got '{{ way }}', a template that cannot be evaluated on the controller"),
        ),
        (
            {"ansible_ssh_common_args": Unread("-J {{ jump }}")},
            ("ansible_ssh_common_args", "got '-J {{ jump }}', a template that cannot be evaluated on the controller"),
        ),
        # A password is not shown.
        (
            {"ansible_ssh_args": "-C", "ansible_ssh_common_args": "-o 'ProxyCommand=sshpass -p secret ssh jump"},
            ("ansible_ssh_args and ansible_ssh_common_args", "No closing quotation"),
        ),
    ],
)
def test_unreadable_variables_count_as_unset_and_are_reported(
    variables: dict[str, Any], unread: tuple[str, str]
) -> None:
    assert reach_of("n1", variables) == Reach(True, "n1", unread=(unread,))


def test_an_unreadable_variable_does_not_affect_others() -> None:
    found = reach_of(
        "n1", {"ansible_port": "x", "ansible_ssh_args": Unread("{{ a }}"), "ansible_ssh_extra_args": "-J j"}
    )
    assert (found.port, found.hops, [name for name, reason in found.unread]) == (
        22,
        (Hop("j"),),
        ["ansible_ssh_args", "ansible_port"],
    )
