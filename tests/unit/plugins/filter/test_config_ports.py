# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter config_ports: it reads the ports of a service in its configuration."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.hpc.ports.plugins.filter.config_ports import FilterModule

config_ports = FilterModule().filters()["config_ports"]


def test_a_configuration_becomes_listeners() -> None:
    assert config_ports("A=1", "/etc/a", {"A": {"service": "a", "default": "2"}}) == [
        {"what": "A of /etc/a", "service": "a", "ports": "1/tcp"}
    ]


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (1, {}, "Invalid input of hpc.ports.config_ports: got 1, expected a string."),
        ("", ["A"], "Invalid options of hpc.ports.config_ports: got ['A'], expected a dictionary."),
    ],
)
def test_bad_arguments(text: Any, options: Any, message: str) -> None:
    with pytest.raises(AnsibleFilterError) as caught:
        config_ports(text, "/etc/a", options)
    assert str(caught.value) == message
