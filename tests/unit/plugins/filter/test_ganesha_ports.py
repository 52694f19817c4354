# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter ganesha_ports: it sets the ports in the configuration of NFS-Ganesha."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.hpc.ports.plugins.filter.ganesha_ports import FilterModule

ganesha_ports = FilterModule().filters()["ganesha_ports"]


def test_the_ports_are_set() -> None:
    assert ganesha_ports("NFS_CORE_PARAM { }", "/etc/a", {"MNT_Port": 1}) == "NFS_CORE_PARAM { MNT_Port = 1; }"


@pytest.mark.parametrize(
    ("text", "ports", "message"),
    [
        (1, {}, "Invalid input of hpc.ports.ganesha_ports: got 1, expected a string."),
        ("", ["A"], "Invalid ports of hpc.ports.ganesha_ports: got ['A'], expected a dictionary."),
        ("NFS_CORE_PARAM { A = 1 }", {"A": 2}, "Invalid /etc/a: got A without a ';' after its value, expected one"),
    ],
)
def test_bad_arguments(text: Any, ports: Any, message: str) -> None:
    with pytest.raises(AnsibleFilterError) as caught:
        ganesha_ports(text, "/etc/a", ports)
    assert str(caught.value) == message
