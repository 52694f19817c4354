# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a reload would change that is not ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld.persistence import FirewalldPaths
from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld.unsaved import compared, missing_ipsets


@pytest.mark.parametrize(
    "running,saved,told",
    [
        ({"zone public": {"services": ["ssh"]}}, {"zone public": {"services": ["ssh"]}}, []),
        ({"zone public": {"services": ["a", "b"]}}, {"zone public": {"services": ["b", "a"]}}, []),
        ({"zone public": {"services": ["ssh"]}}, {"zone public": {"services": []}}, ["zone public: services"]),
        ({"zone public": {"services": ["ssh"]}}, {"zone public": {}}, ["zone public: services"]),
        ({"zone public": {"masquerade": False}}, {"zone public": {}}, []),
        ({"zone public": {"short": "x", "interfaces": ["eth0"]}}, {"zone public": {}}, []),
        ({}, {"zone mine": {"target": "DROP", "short": "x"}}, ["zone mine: target"]),
        ({"direct": {"rules": [("ipv4", "filter")]}}, {"direct": {"rules": []}}, ["direct: rules"]),
    ],
)
def test_differences(running: Any, saved: Any, told: list[str]) -> None:
    assert compared(running, saved) == told


def test_ipsets_that_are_named_and_not_there(tmp_path: Path) -> None:
    for path, text in {
        "ipsets/here.xml": "<ipset/>",
        "shipped/ipsets/there.xml": "<ipset/>",
        "zones/a.xml": '<source ipset="there"/><source ipset="here"/><source ipset="gone"/>',
        "policies/b.xml": '<rule><source ipset="lost"/></rule>',
        "policies/hpc_ports_in.xml": '<source ipset="ours"/>',
        "zones/a.xml.old": '<source ipset="old"/>',
    }.items():
        target = tmp_path / (path if path.startswith("shipped/") else f"firewalld/{path}")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    assert missing_ipsets(FirewalldPaths(str(tmp_path), str(tmp_path / "shipped"))) == [
        f"gone (named in {tmp_path}/firewalld/zones/a.xml)",
        f"lost (named in {tmp_path}/firewalld/policies/b.xml)",
    ]
