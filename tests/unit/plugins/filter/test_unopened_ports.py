# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter unopened_ports: it lists listeners outside the ports of their service."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.hpc.ports.plugins.filter.unopened_ports import FilterModule

unopened_ports = FilterModule().filters()["unopened_ports"]
LISTENERS = [{"what": "It", "service": "slurmctld", "ports": "7817/tcp"}]


def test_the_shipped_services_are_known() -> None:
    assert [text.split(",")[0] for text in unopened_ports(LISTENERS)] == ["It is 7817/tcp"]


def test_services_of_the_site_are_merged() -> None:
    assert unopened_ports(LISTENERS, {"slurmctld": {"ports": ["7817/tcp"]}}) == []
    assert unopened_ports(LISTENERS, {"slurmctld": None}) == []


def test_a_service_that_a_site_repeats_unchanged_is_checked() -> None:
    assert unopened_ports(LISTENERS, {"slurmctld": {}}) == unopened_ports(LISTENERS)
    assert unopened_ports(LISTENERS, {"slurmctld": {"ports": None}}) == [
        "It is 7817/tcp, but service slurmctld of the port file has no port."
    ]


def test_a_narrowed_range_is_the_one_of_the_plan() -> None:
    srun = [{"what": "It", "service": "srun", "ports": "60001-63000/tcp"}]
    assert unopened_ports(srun, {"srun": {"title": "Own"}}, {"firewall_srun_ports": "60001-63000"}) == []
    assert unopened_ports(srun, {"srun": {"title": "Own"}}, {"firewall_srun_ports": "5-6"}) == [
        "It is 60001-63000/tcp, but service srun of the port file is 5-6/tcp."
    ]
    with pytest.raises(AnsibleFilterError) as error:
        unopened_ports(srun, {"srun": {"ports": ["60001-63000/tcp"]}}, {"firewall_srun_ports": "5-6"})
    assert str(error.value).startswith(
        "Invalid firewall_services.srun.ports: got ['60001-63000/tcp'], expected no ports, because firewall_srun_ports "
        "is '5-6'. "
    )


@pytest.mark.parametrize(
    ("listeners", "services", "message"),
    [
        ("", {}, "Invalid input of hpc.ports.unopened_ports: got '', expected a list."),
        (LISTENERS, [], "Invalid services of hpc.ports.unopened_ports: got [], expected a dictionary."),
        (LISTENERS, None, "Invalid services of hpc.ports.unopened_ports: got None, expected a dictionary."),
        (
            LISTENERS,
            {"slurmctld": []},
            "Invalid firewall_services.slurmctld: got [], expected a dictionary, because it is merged over the "
            "shipped one.",
        ),
        ([{**LISTENERS[0], "ports": "0/tcp"}], {}, "Invalid argument of hpc.ports.unopened_ports: got '0/tcp', "),
    ],
)
def test_bad_arguments(listeners: Any, services: Any, message: str) -> None:
    with pytest.raises(AnsibleFilterError) as caught:
        unopened_ports(listeners, services)
    assert str(caught.value).startswith(message)
