# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter service_port: it looks up a port of a service."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.hpc.ports.plugins.filter.service_port import FilterModule

service_port = FilterModule().filters()["service_port"]


def test_the_shipped_services_are_known() -> None:
    assert service_port({}, "slurmctld") == "6817"
    assert service_port({}, "pbs_mom", 1) == "15003"


def test_services_of_the_site_are_merged() -> None:
    assert service_port({"slurmctld": {"ports": ["7817-7820/tcp"]}}, "slurmctld") == "7817-7820"
    assert service_port({"slurmctld": None}, "slurmctld") == ""


@pytest.mark.parametrize(
    ("services", "position", "message"),
    [
        ([], 0, "Invalid input of hpc.ports.service_port: got [], expected a dictionary."),
        ({}, -1, "Invalid position of hpc.ports.service_port: got -1, expected an integer of 0 or more."),
        ({}, "0", "Invalid position of hpc.ports.service_port: got '0', expected an integer of 0 or more."),
        (
            {"slurmd": {"ports": ["0/tcp"]}},
            0,
            "Invalid firewall_services.slurmd.ports: got '0/tcp', expected ports from 1 to 65535",
        ),
    ],
)
def test_bad_arguments(services: Any, position: Any, message: str) -> None:
    with pytest.raises(AnsibleFilterError) as caught:
        service_port(services, "slurmd", position)
    assert str(caught.value) == message
