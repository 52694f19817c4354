# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter named_hosts: it selects the hosts that were named on the command line."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.hpc.ports.plugins.filter.named_hosts import FilterModule

GROUPS = {"all": ["head", "n1", "n2", "my host"], "slurm_compute": ["n1", "n2"]}
named_hosts = FilterModule().filters()["named_hosts"]


@pytest.mark.parametrize(
    "value,hosts",
    [
        ("n2", ["n2"]),
        ("n2,n1", ["n2", "n1"]),
        (" n2 , n1,", ["n2", "n1"]),
        (["n1", "head"], ["n1", "head"]),
        ("n1,n1", ["n1"]),
        ("", ["head"]),
        ([], ["head"]),
        (",", ["head"]),
    ],
)
def test_hosts_as_a_list_or_a_text(value: Any, hosts: list[str]) -> None:
    assert named_hosts(GROUPS, "new", value) == hosts


def test_an_empty_inventory_selects_no_host() -> None:
    assert named_hosts({"all": []}, "new", "") == ["all", "!all"]


@pytest.mark.parametrize(
    "value,message",
    [
        (
            "hea",
            "Invalid new: got 'hea', expected an inventory host. Did you mean 'head'? Add a new host to the "
            "inventory and its groups first. Remove an old host from the inventory last.",
        ),
        (
            "slurm_compute",
            "Invalid new: got 'slurm_compute', expected an inventory host. Add a new host to the inventory and "
            "its groups first. Remove an old host from the inventory last.",
        ),
        (
            "my host",
            "Invalid new: got 'my host', expected a host name that Ansible does not read as a pattern (no space, "
            "comma, colon or wildcard). Rename the host in the inventory, and put its address into ansible_host.",
        ),
        (["n1", 7], "Invalid new: got 7, expected a string."),
        ({"n1": 1}, "Invalid new: got {'n1': 1}, expected a list of hosts."),
    ],
)
def test_unknown_hosts_are_refused(value: Any, message: str) -> None:
    with pytest.raises(AnsibleFilterError) as caught:
        named_hosts(GROUPS, "new", value)
    assert str(caught.value) == message


def test_bad_input() -> None:
    with pytest.raises(AnsibleFilterError) as caught:
        named_hosts(["n1"], "new", "n1")
    assert str(caught.value) == "Invalid input of hpc.ports.named_hosts: got ['n1'], expected the variable groups."
