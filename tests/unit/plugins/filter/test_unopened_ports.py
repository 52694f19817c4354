# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.hpc.ports.plugins.filter.unopened_ports import FilterModule

unopened_ports = FilterModule().filters()["unopened_ports"]
LISTENERS = [{"what": "It", "service": "slurmctld", "ports": "7817/tcp"}]


def test_the_shipped_services_are_known() -> None:
    assert [text.split(",")[0] for text in unopened_ports(LISTENERS)] == ["It is 7817/tcp"]


def test_those_of_the_site_are_merged_over_them() -> None:
    assert unopened_ports(LISTENERS, {"slurmctld": {"ports": ["7817/tcp"]}}) == []
    assert unopened_ports(LISTENERS, {"slurmctld": None}) == []


@pytest.mark.parametrize(
    ("listeners", "services", "message"),
    [
        ("", {}, "Invalid input of hpc.ports.unopened_ports: got '', expected a list."),
        (LISTENERS, [], "Invalid services of hpc.ports.unopened_ports: got [], expected a dictionary."),
        ([{**LISTENERS[0], "ports": "0/tcp"}], {},
         "Invalid argument of hpc.ports.unopened_ports: got '0/tcp', "),
    ],
)
def test_bad_arguments(listeners: Any, services: Any, message: str) -> None:
    with pytest.raises(AnsibleFilterError) as caught:
        unopened_ports(listeners, services)
    assert str(caught.value).startswith(message)
