# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of reading the inventory from Ansible's variables."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.hostvars import (
    ReadOnce,
    site_inventory,
    without_hosts,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.ssh_arguments import Hop


class HostVars(dict[str, dict[str, Any]]):
    """The part of Ansible's hostvars that the tests need."""

    def raw_get(self, host: str) -> dict[str, Any]:
        """Return the variables of a host, untemplated."""
        return self[host]


def task_vars() -> dict[str, Any]:
    return {
        "groups": {
            "all": ["head", "node1", "node2"],
            "slurm_controller": ["head"],
            "slurm_compute": ["node1", "node2"],
        },
        "hostvars": HostVars(head={}, node1={"firewall_cluster": "alpha"}, node2={}),
        "other": 1,
    }


def test_ansible_settings_are_defaults_for_the_variables() -> None:
    variables = task_vars()
    variables["hostvars"]["node1"] |= {"ansible_port": 2200, "ansible_ssh_common_args": ""}
    found = site_inventory(variables, {"ansible_port": 2222, "ansible_ssh_common_args": "-J jump"}).hosts
    assert {name: (host.reach.port, host.reach.hops) for name, host in found.items()} == {
        "head": (2222, (Hop("jump"),)),
        "node1": (2200, ()),
        "node2": (2222, (Hop("jump"),)),
    }


def test_variables_that_only_begin_like_ours() -> None:
    variables = task_vars()
    # Lint needs their names only: a value may be a template that fails here.
    variables["hostvars"]["node1"] |= {"firewall_flow": "{{ nothing }}", "firewall_state": "absent", "firewalld": 1}
    variables["hostvars"]["head"] |= {"firewall_result": {}, "firewall_zones": [], "firewall_a": 1}
    assert {name: host.unknown_variables for name, host in site_inventory(variables).hosts.items()} == {
        "head": ("firewall_a", "firewall_zones"),
        "node1": ("firewall_flow",),
        "node2": (),
    }


def test_excluded_hosts_are_in_no_group() -> None:
    variables = task_vars()
    found = without_hosts(variables, ["node1"])
    assert found["groups"] == {"all": ["head", "node2"], "slurm_controller": ["head"], "slurm_compute": ["node2"]}
    assert {**found, "groups": 0} == {**variables, "groups": 0}
    assert variables == task_vars()
    assert sorted(site_inventory(found).hosts) == ["head", "node2"]


def test_a_group_remains_without_its_last_host() -> None:
    found = site_inventory(without_hosts(task_vars(), ["node1", "node2"]))
    assert (found.groups["slurm_compute"], found.managed) == ([], {"head"})


@pytest.mark.parametrize(
    "hosts,message",
    [
        (["node3"], "Invalid without: got 'node3', expected an inventory host. Did you mean 'node2'?"),
        (["slurm_compute"], "Invalid without: got 'slurm_compute', expected an inventory host."),
        (
            ["node2", "head", "node1"],
            "Invalid without: got ['node2', 'head', 'node1'], expected at least one host left in the inventory.",
        ),
    ],
)
def test_invalid_excluded_hosts(hosts: list[str], message: str) -> None:
    with pytest.raises(PortFileError) as caught:
        without_hosts(task_vars(), hosts)
    assert str(caught.value) == message


def test_ansible_is_asked_once_for_the_variables_of_a_host() -> None:
    asked: list[str] = []

    class Counting(HostVars):
        def raw_get(self, host: str) -> dict[str, Any]:
            asked.append(host)
            return self[host]

    variables = {"firewall_cluster": "alpha", "ansible_host": "10.0.0.1", "slurm_port": 1, "other": 2}
    read = ReadOnce(Counting(node1=variables, node2={}), ["firewall", "slurm"])
    for _time in range(2):
        assert read.raw_get("node1") == {key: value for key, value in variables.items() if key != "other"}
    assert (asked, read["node1"], list(read), len(read)) == (["node1"], variables, ["node1", "node2"], 2)
