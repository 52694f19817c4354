# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter explain_hosts: it selects the two hosts of the playbook explain."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.hpc.ports.plugins.filter.explain_hosts import FilterModule

GROUPS = {"all": ["login1", "ctl"], "logins": ["login1"]}
ODD = {"all": ["ctl", "my host", "n*", "!n"], "odds": ["my host"]}
explain_hosts = FilterModule().filters()["explain_hosts"]


@pytest.mark.parametrize(
    "source,target,hosts",
    [("login1", "ctl", ["login1", "ctl"]), ("logins", "ctl", ["login1", "ctl"]), ("logins", "login1", ["login1"])],
)
def test_the_two_hosts_once_each(source: str, target: str, hosts: list[str]) -> None:
    assert explain_hosts(GROUPS, source, target) == hosts


@pytest.mark.parametrize(
    "groups,source,target,hosts",
    [(GROUPS, "", "ctl", ["login1"]), (GROUPS, "ctl", "", ["login1"]), ({"all": []}, "", "", ["all", "!all"])],
)
def test_without_a_name_the_first_host_is_selected(groups: Any, source: str, target: str, hosts: list[str]) -> None:
    assert explain_hosts(groups, source, target) == hosts


@pytest.mark.parametrize("source,target", [("10.0.0.1", "ctl"), ("ctl", "fd00::1"), ("10.0.0.1", "no_host")])
def test_with_an_address_all_hosts_are_selected(source: str, target: str) -> None:
    """The plan knows whose address it is. With --limit, a host is left to report it."""
    assert explain_hosts(GROUPS, source, target) == ["all"]


def test_a_host_may_be_named_by_its_address() -> None:
    assert explain_hosts({"all": ["10.0.0.1", "ctl"]}, "10.0.0.1", "ctl") == ["10.0.0.1", "ctl"]


@pytest.mark.parametrize(
    "groups,source,target,text",
    [
        (["all"], "a", "b", "Invalid input of hpc.ports.explain_hosts: got ['all'], expected the variable groups."),
        (GROUPS, "login", "ctl", "Invalid from: got 'login', "),
        (GROUPS, "login1", "x", "Invalid to: got 'x', "),
        (GROUPS, "login1", 3, "Invalid to: got 3, "),
        (
            ODD,
            "ctl",
            "my host",
            "Invalid to: got 'my host', expected a host name that Ansible does not read as a pattern (no space, "
            "comma, colon or wildcard). Rename the host in the inventory, and put its address into ansible_host.",
        ),
        (ODD, "odds", "ctl", "Invalid from: got 'my host', "),
        (ODD, "n*", "ctl", "Invalid from: got 'n*', "),
        (ODD, "!n", "ctl", "Invalid from: got '!n', "),
    ],
)
def test_unknown_names_are_refused(groups: Any, source: str, target: Any, text: str) -> None:
    with pytest.raises(AnsibleFilterError) as caught:
        explain_hosts(groups, source, target)
    assert caught.value.message.startswith(text)
