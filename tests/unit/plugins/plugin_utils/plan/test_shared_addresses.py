# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of hosts with the same address."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError, Vaulted
from ansible_collections.hpc.ports.tests.support.sites import make_plan

NAMES = {"vip.example.org": ["10.0.0.9"], "one.example.org": ["10.0.0.1"]}
ADVICE = (
    " Set firewall_addresses of each host to the address that other hosts use to reach it. If both hosts share the "
    "address on purpose, list it in firewall_shared_addresses of both."
)


def host(*addresses: str, group: str = "slurm_login", **variables: Any) -> dict[str, Any]:
    return {"groups": [group], "addresses": list(addresses), **variables}


def error_of(**hosts: dict[str, Any]) -> str:
    with pytest.raises(PortFileError) as error:
        make_plan({}, hosts, NAMES)
    return str(error.value)


def test_an_error_names_both_hosts_with_one_address() -> None:
    assert error_of(a=host("10.0.0.1"), b=host("10.0.0.2", "10.0.0.1")) == (
        "Invalid firewall_addresses of host b: got '10.0.0.1', expected an address that no other host has. Host a "
        "also has 10.0.0.1, from its firewall_addresses, and rules distinguish hosts by their addresses."
        f"{ADVICE}"
    )


def test_names_are_compared_by_their_addresses() -> None:
    message = error_of(a=host("10.0.0.1"), b=host("one.example.org"))
    assert (
        "of host b: got 'one.example.org', expected" in message
        and "Host a also has 10.0.0.1, from its firewall_addresses" in message
    )


def test_hosts_behind_one_jump_address_need_their_own_addresses() -> None:
    behind = {"groups": ["slurm_login"], "ansible_host": "10.0.0.1"}
    message = error_of(a={**behind, "ansible_port": 2201}, b={**behind, "ansible_port": 2202})
    assert (
        "Invalid ansible_host of host b: got '10.0.0.1', " in message
        and "Host a also has 10.0.0.1, from its ansible_host" in message
    )
    assert make_plan({}, {"a": {**behind, "addresses": ["10.0.0.2"]}, "b": {**behind, "addresses": ["10.0.0.3"]}}).hosts


def test_a_shared_address_may_be_written_in_different_ways() -> None:
    shared = {"shared_addresses": ["vip.example.org"]}
    assert make_plan(
        {}, {"a": host("10.0.0.1", "10.0.0.9", **shared), "b": host("10.0.0.2", "10.0.0.9", **shared)}, NAMES
    ).hosts


@pytest.mark.parametrize(
    "hosts",
    [
        {"a": host("10.0.0.9", shared_addresses=["10.0.0.9"]), "b": host("10.0.0.9")},
        {"a": host("10.0.0.9"), "b": host("10.0.0.9", shared_addresses=["10.0.0.9"])},
        {"a": host("10.0.0.9", shared_addresses=["10.0.0.8"]), "b": host("10.0.0.9", shared_addresses=["10.0.0.8"])},
    ],
)
def test_both_hosts_must_list_the_shared_address(hosts: dict[str, Any]) -> None:
    assert "Host a also has 10.0.0.9, " in error_of(**hosts)


def test_a_third_host_must_list_the_shared_address_too() -> None:
    shared = host("10.0.0.9", shared_addresses=["10.0.0.9"])
    assert "of host c: got '10.0.0.9', " in error_of(a=shared, b=shared, c=host("10.0.0.9"))


def test_hosts_may_share_a_source_address() -> None:
    assert make_plan(
        {},
        {"a": host("10.0.0.1", source_addresses=["192.0.2.7"]), "b": host("10.0.0.2", source_addresses=["192.0.2.7"])},
    ).hosts


def test_an_unmanaged_host_is_compared_with_managed_hosts() -> None:
    desk = host("10.0.0.1", group="desks")
    assert "Invalid firewall_addresses of host b: got '10.0.0.1', " in error_of(a=host("10.0.0.1"), b=desk)
    assert make_plan({}, {"a": host("10.0.0.2"), "b": desk, "c": desk}).hosts
    assert make_plan({}, {"a": host("10.0.0.2"), "b": host("nowhere.example.org", "127.0.0.1", group="desks")}).hosts


def test_a_repeated_address_of_one_host_is_allowed() -> None:
    assert make_plan({}, {"a": host("10.0.0.1", "one.example.org", "10.0.0.1")}, NAMES).hosts


def test_an_address_from_the_vault_is_not_shown() -> None:
    message = error_of(a=host("10.0.0.1"), b=host(Vaulted("10.0.0.1")))
    assert "of host b: got a value from the vault, expected" in message and "Host a also has it, from" in message
    assert "10.0.0.1" not in message
