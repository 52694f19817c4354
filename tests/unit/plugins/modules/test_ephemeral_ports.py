# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module ephemeral_ports: its arguments and messages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hpc.ports.tests.support.faces import module


def test_the_settings_of_this_machine() -> None:
    first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split())
    result = module(
        "ephemeral_ports",
        check=True,
        real=True,
        reserved=[{"what": "It", "ports": f"{first}-{last}/tcp"}],
        declared=f"{first}-{last}",
    )
    assert (result["ephemeral_ports"], result["changed"]) == (f"{first}-{last}", False)
    assert [text.split(",")[0] for text in result["clashes"]] == [f"It needs {first}-{last}"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reserved": [{"what": "It", "ports": "0/tcp"}]}, "Invalid reserved: got '0/tcp', "),
        ({"within": [{"what": "It", "ports": "9-1/tcp"}]}, "Invalid within: got '9-1/tcp', "),
        ({"declared": "a"}, "Invalid declared: got 'a/tcp', "),
        ({"within": [{"what": "It", "ports": "1/tcp"}], "fix": True}, "Cannot read the ephemeral ports: "),
    ],
)
def test_invalid_options_are_refused(options: dict[str, Any], message: str) -> None:
    result = module("ephemeral_ports", check=True, **options)
    assert result["failed"]
    assert result["msg"].startswith(message)
