# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The names of the sources of an inventory, as reports show them."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.inventory_sources import source_names


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("/home/me/site/inventories/example", "inventories/example"),
        ("/home/me/site", "."),
        ("/home/me/other/hosts.yml", "~/other/hosts.yml"),
        ("/home/mechthild/hosts.yml", "/home/mechthild/hosts.yml"),
        ("/etc/ansible/hosts", "/etc/ansible/hosts"),
        ("/home/me/c1,c2", "/home/me/c1,c2"),
        ("c1,c2,", "c1,c2,"),
        ("hosts.yml", "hosts.yml"),
    ],
)
def test_a_source_is_named_as_short_as_it_was_written(monkeypatch: pytest.MonkeyPatch, source: str, name: str) -> None:
    monkeypatch.setattr(Path, "cwd", lambda: Path("/home/me/site"))
    monkeypatch.setattr(Path, "home", lambda: Path("/home/me"))
    assert source_names({"ansible_inventory_sources": (source, source)}) == [name, name]
    assert source_names({"ansible_inventory_sources": source}) == [name]


def test_without_sources_there_is_no_name() -> None:
    assert source_names({}) == source_names({"ansible_inventory_sources": None}) == []


def test_without_a_home_directory_a_path_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError

    monkeypatch.setattr(Path, "home", no_home)
    assert source_names({"ansible_inventory_sources": ["/etc/hosts"]}) == ["/etc/hosts"]
