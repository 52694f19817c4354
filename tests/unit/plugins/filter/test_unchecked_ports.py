# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter unchecked_ports: it lists listeners whose service the port file does not have."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.hpc.ports.plugins.filter.unchecked_ports import FilterModule

unchecked_ports = FilterModule().filters()["unchecked_ports"]
LISTENERS = [{"what": "It", "service": "slurmctld", "ports": "7817/tcp"}]


def test_a_listener_of_a_deleted_service_is_listed() -> None:
    assert unchecked_ports(LISTENERS, {}) == unchecked_ports(LISTENERS, {"slurmctld": {}}) == []
    assert [text.partition(",")[0] for text in unchecked_ports(LISTENERS, {"slurmctld": None})] == ["It is 7817/tcp"]


@pytest.mark.parametrize(
    ("listeners", "services", "message"),
    [
        ("", {}, "Invalid input of hpc.ports.unchecked_ports: got '', expected a list."),
        (LISTENERS, None, "Invalid services of hpc.ports.unchecked_ports: got None, expected a dictionary."),
        (LISTENERS, {"xyz": None}, "Invalid firewall_services.xyz: got None, expected "),
    ],
)
def test_bad_arguments(listeners: Any, services: Any, message: str) -> None:
    with pytest.raises(AnsibleFilterError) as caught:
        unchecked_ports(listeners, services)
    assert str(caught.value).startswith(message)
