# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a reload would change that is not ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hpc.ports.plugins.module_utils import firewalld_settings


@pytest.mark.parametrize("running,saved,told", [
    ({"zone public": {"services": ["ssh"]}}, {"zone public": {"services": ["ssh"]}}, []),
    ({"zone public": {"services": ["a", "b"]}}, {"zone public": {"services": ["b", "a"]}}, []),
    ({"zone public": {"services": ["ssh"]}}, {"zone public": {"services": []}}, ["zone public: services"]),
    ({"zone public": {"services": ["ssh"]}}, {"zone public": {}}, ["zone public: services"]),
    ({"zone public": {"masquerade": False}}, {"zone public": {}}, []),
    ({"zone public": {"short": "x", "interfaces": ["eth0"]}}, {"zone public": {}}, []),
    ({}, {"zone mine": {"target": "DROP", "short": "x"}}, ["zone mine: target"]),
    ({"direct": {"rules": [("ipv4", "filter")]}}, {"direct": {"rules": []}}, ["direct: rules"]),
])
def test_differences(monkeypatch: pytest.MonkeyPatch, running: Any, saved: Any, told: list[str]) -> None:
    monkeypatch.setattr(firewalld_settings, "_running", lambda: running)
    monkeypatch.setattr(firewalld_settings, "_saved", lambda: saved)
    assert firewalld_settings.unsaved_settings() == told


def test_ipsets_that_are_named_and_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firewalld_settings, "_FOLDERS", (str(tmp_path),))
    for path, text in {"ipsets/there.xml": "<ipset/>", "zones/a.xml": '<source ipset="there"/><source ipset="gone"/>',
                       "policies/b.xml": '<rule><source ipset="lost"/></rule>',
                       "policies/hpc_ports_in.xml": '<source ipset="ours"/>', "zones/a.xml.old": '<source ipset="old"/>',
                       }.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    assert firewalld_settings.missing_ipsets() == [
        f"gone of {tmp_path}/zones/a.xml", f"lost of {tmp_path}/policies/b.xml"]
