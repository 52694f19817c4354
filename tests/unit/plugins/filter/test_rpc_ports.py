# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter rpc_ports: it reads the ports in the output of rpcinfo."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.hpc.ports.plugins.filter.rpc_ports import FilterModule

rpc_ports = FilterModule().filters()["rpc_ports"]


def test_the_output_becomes_listeners() -> None:
    assert rpc_ports("100005 3 tcp 4000 mountd") == [
        {"what": "RPC program 100005 (mountd)", "service": "mountd", "ports": "4000/tcp"}
    ]


def test_bad_input() -> None:
    with pytest.raises(AnsibleFilterError) as caught:
        rpc_ports(["100005 3 tcp 4000 mountd"])
    assert str(caught.value) == (
        "Invalid input of hpc.ports.rpc_ports: got ['100005 3 tcp 4000 mountd'], expected a string."
    )
