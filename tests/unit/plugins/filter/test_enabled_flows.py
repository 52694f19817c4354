# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter enabled_flows: it lists the enabled flows."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.hpc.ports.plugins.filter.enabled_flows import FilterModule

enabled_flows = FilterModule().filters()["enabled_flows"]


@pytest.mark.parametrize(
    ("site", "shipped", "is_on"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"nfs_v3": None}, True, False),
        ({"nfs_v3": {"enabled": False}}, True, False),
        ({"nfs_v3": {"need": "optional"}}, True, False),
        ({"nfs_v3": {"need": "required"}}, False, True),
        ({"nfs_v3": {"enabled": True}}, False, True),
    ],
)
def test_a_conditional_flow_is_enabled_unless_the_site_disables_it(
    site: dict[str, Any], shipped: bool, is_on: bool
) -> None:
    assert ("nfs_v3" in enabled_flows(site, shipped)) is is_on


def test_ssh_for_ansible_stays_without_the_shipped_flows() -> None:
    assert enabled_flows({}, False) == ["management_ssh"]


@pytest.mark.parametrize(
    ("flows", "shipped", "message"),
    [
        ([], True, "Invalid input of hpc.ports.enabled_flows: got [], expected a dictionary."),
        ({}, "no", "Invalid firewall_shipped: got 'no', expected true or false."),
        ({"Bad": {}}, True, "Invalid name in firewall_flows: got 'Bad', expected "),
    ],
)
def test_bad_arguments(flows: Any, shipped: Any, message: str) -> None:
    with pytest.raises(AnsibleFilterError) as caught:
        enabled_flows(flows, shipped)
    assert str(caught.value).startswith(message)
