# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of the variables of each host."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._model.ports import PortRange
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.canonical_groups import CANONICAL_GROUPS
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.inventory import (
    Host,
    Inventory,
    load_host,
    load_inventory,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.ssh_variables import Reach

INTERFACE = "expected an interface name of up to 15 characters, such as 'ib0' or 'cni*'"


def test_a_host_without_variables_has_the_defaults_of_the_plan() -> None:
    assert load_host("n1", {}) == Host(
        name="n1",
        addresses=("n1",),
        source_addresses=("n1",),
        shared_addresses=(),
        clusters=frozenset({"default"}),
        egress="open",
        mode="enforce",
        backend="auto",
        trusted_interfaces=(),
        container_interfaces=(
            "br-*",
            "cali*",
            "cni*",
            "docker*",
            "incusbr*",
            "lxc*",
            "lxdbr*",
            "podman*",
            "veth*",
            "virbr*",
        ),
        filtered_containers=("br-*", "cni-podman*", "docker*", "incusbr*", "lxcbr*", "lxdbr*", "podman*", "virbr*"),
        ephemeral_ports=PortRange("tcp", 32768, 60999),
        reach=Reach(True, "n1"),
        addressed_by="name",
    )


def test_a_host_with_every_variable() -> None:
    assert load_host(
        "n1",
        {
            "ansible_host": "10.0.0.9",
            "ansible_port": 2222,
            "firewall_addresses": ["10.0.0.1", "fd00::1"],
            "firewall_source_addresses": ["192.0.2.7"],
            "firewall_shared_addresses": ["10.0.0.1"],
            "firewall_cluster": ["alpha", "beta"],
            "firewall_egress": "restricted",
            "firewall_mode": "observe",
            "firewall_backend": "nftables",
            "firewall_trusted_interfaces": ["ib0", "cni*", "ib0"],
            "firewall_container_interfaces": ["docker0"],
            "firewall_filtered_containers": ["podman1", "br-*"],
            "firewall_ephemeral_ports": "1024-65535",
        },
    ) == Host(
        name="n1",
        addresses=("10.0.0.1", "fd00::1"),
        source_addresses=("192.0.2.7",),
        shared_addresses=("10.0.0.1",),
        clusters=frozenset({"alpha", "beta"}),
        egress="restricted",
        mode="observe",
        backend="nftables",
        trusted_interfaces=("cni*", "ib0"),
        container_interfaces=("docker0",),
        filtered_containers=("br-*", "podman1"),
        ephemeral_ports=PortRange("tcp", 1024, 65535),
        reach=Reach(True, "10.0.0.9", 2222),
        addressed_by="firewall_addresses",
    )


@pytest.mark.parametrize(
    ("variables", "addresses"),
    [
        ({"ansible_host": "10.0.0.9"}, ("10.0.0.9",)),
        ({"ansible_host": None}, ("n1",)),
        ({"ansible_host": ""}, ("n1",)),
        ({"ansible_host": "10.0.0.9", "firewall_addresses": ["10.0.0.1"]}, ("10.0.0.1",)),
    ],
)
def test_source_addresses_default_to_the_addresses(variables: dict[str, Any], addresses: tuple[str, ...]) -> None:
    host = load_host("n1", variables)
    assert (host.addresses, host.source_addresses) == (addresses, addresses)


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("firewall_addresses", "10.0.0.1", "got '10.0.0.1', expected a list of addresses or names."),
        ("firewall_addresses", [10], "got 10, expected a string."),
        ("firewall_source_addresses", {}, "got {}, expected a list of addresses or names."),
        ("firewall_cluster", [], "got [], expected a non-empty list of cluster names."),
        ("firewall_cluster", 5, "got 5, expected a list of cluster names."),
        ("firewall_cluster", ["a", None], "got None, expected a string."),
        ("ansible_host", ["10.0.0.9"], "got ['10.0.0.9'], expected a string."),
        ("firewall_cluster", "a\x07", "got 'a\\x07', expected a string without control characters."),
        ("firewall_cluster", ["a\n"], "got 'a\\n', expected 1 to 253 printable characters."),
        ("firewall_egress", "restrict", "got 'restrict', expected one of open, restricted. Did you mean 'restricted'?"),
        ("firewall_mode", "log", "got 'log', expected one of enforce, observe."),
        (
            "firewall_backend",
            "iptables",
            "got 'iptables', expected one of auto, nftables, firewalld. Did you mean 'nftables'?",
        ),
        ("firewall_trusted_interfaces", "ib0", "got 'ib0', expected a list of interface names."),
        ("firewall_trusted_interfaces", ['a"'], f"got 'a\"', {INTERFACE}."),
        ("firewall_trusted_interfaces", ["a b"], f"got 'a b', {INTERFACE}."),
        ("firewall_trusted_interfaces", ["a*b"], f"got 'a*b', {INTERFACE}."),
        ("firewall_trusted_interfaces", ["*"], f"got '*', {INTERFACE}."),
        ("firewall_trusted_interfaces", ["a" * 16], f"got '{'a' * 16}', {INTERFACE}."),
        ("firewall_trusted_interfaces", ["ib0\n"], f"got 'ib0\\n', {INTERFACE}."),
        (
            "firewall_ephemeral_ports",
            "32768",
            "got '32768', expected a port range FIRST-LAST within 1-65535, such as '60001-63000'.",
        ),
    ],
)
def test_bad_variables_name_the_host(variable: str, value: object, message: str) -> None:
    with pytest.raises(PortFileError) as error:
        load_host("n1", {variable: value})
    assert str(error.value) == f"Invalid {variable} of host n1: {message}"


def test_load_inventory_loads_every_host_once() -> None:
    asked: list[str] = []

    def variables_of(host: str) -> dict[str, Any]:
        asked.append(host)
        return {"ansible_host": f"{host}.example.org"}

    inventory = load_inventory({"all": ["b", "a"], "web": ["a"]}, variables_of)
    assert asked == ["a", "b"]
    assert {name: host.addresses for name, host in inventory.hosts.items()} == {
        "a": ("a.example.org",),
        "b": ("b.example.org",),
    }


@pytest.mark.parametrize(
    ("variables", "key"),
    [
        ({}, "name of host n1"),
        ({"ansible_host": "10.0.0.9"}, "ansible_host of host n1"),
        ({"ansible_host": "10.0.0.9", "firewall_addresses": ["10.0.0.1"]}, "firewall_addresses of host n1"),
    ],
)
def test_the_variable_with_the_address_is_named(variables: dict[str, Any], key: str) -> None:
    host = load_host("n1", variables)
    assert (host.address_key, host.source_key) == (key, key)
    other = load_host("n1", {**variables, "firewall_source_addresses": ["10.0.0.2"]})
    assert (other.address_key, other.source_key) == (key, "firewall_source_addresses of host n1")


@pytest.mark.parametrize("variable", ["firewall_trusted_interfaces", "ansible_port"])
def test_endless_values_are_reported_with_the_host(variable: str) -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(PortFileError) as error:
        load_host("n1", {variable: endless})
    assert str(error.value).startswith(
        f"Invalid {variable} of host n1: got a value at {variable}.0.0.0 that contains itself "
    )


@pytest.mark.parametrize("group", CANONICAL_GROUPS)
def test_members_of_canonical_groups_are_managed(group: str) -> None:
    assert Inventory({}, {group: ["a"], "all": ["a", "b"], "other": ["b"]}).managed == {"a"}
