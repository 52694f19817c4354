# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module verify_judge: its arguments. tests/kernel/test_walk.py runs it on real rules."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.judge import parse_query
from ansible_collections.hpc.ports.plugins.modules.verify_judge import PACKET
from ansible_collections.hpc.ports.tests.support.faces import module


def asked(**options: Any) -> dict[str, Any]:
    """Return a packet as Ansible passes it to the module."""
    defaults = {name: spec.get("default") for name, spec in PACKET.items()}
    return {**defaults, "direction": "in", "source": "10.0.0.7", "destination": "10.0.0.1", "port": 22, **options}


@pytest.mark.parametrize(
    "options,text",
    [
        ({"source": "login1"}, "got source 'login1', expected an IPv4 or IPv6 address without a scope"),
        ({"source": ""}, "got source '', expected an IPv4 or IPv6 address without a scope"),
        (
            {"destination": "fe80::1%eth0"},
            "got destination 'fe80::1%eth0', expected an IPv4 or IPv6 address without a scope",
        ),
        ({"destination": "fd00::1"}, "got '10.0.0.7' and 'fd00::1', expected addresses of one family"),
        ({"protocol": "icmp"}, "got protocol 'icmp', expected tcp, udp or a number from 0 to 255"),
        ({"protocol": "256"}, "got protocol '256', expected tcp, udp or a number from 0 to 255"),
        ({"port": 0}, "got port 0, expected 1 to 65535"),
        ({"port": 65536, "protocol": "112"}, "got port 65536, expected 0 to 65535"),
        ({"source_port": -1}, "got source_port -1, expected 1 to 65535"),
    ],
)
def test_bad_packets_are_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_query(asked(**options))
    assert str(caught.value) == text
    assert module("verify_judge", packets=[asked(**options)])["msg"] == f"Invalid packets: {text}."


def test_addresses_are_compared_as_the_kernel_writes_them() -> None:
    found = parse_query(asked(source="FD00:0::7", destination="fd00:0:0::1", protocol="17"))
    assert (found.source, found.destination, found.protocol) == ("fd00::7", "fd00::1", 17)


def test_an_outgoing_packet_needs_no_source() -> None:
    assert parse_query(asked(direction="out", source="")).source == ""


def test_a_packet_has_a_direction() -> None:
    assert module("verify_judge", real=True, packets=[{"destination": "10.0.0.1"}])["msg"] == (
        "missing required arguments: direction found in packets"
    )
