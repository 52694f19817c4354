# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes another key."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils._apply import wanted_key as keys
from ansible_collections.hpc.ports.plugins.plugin_utils._apply.wanted_key import wanted_key

ARGUMENTS = {"policy": {"mode": "enforce"}, "watch": True, "token": "a", "confirm_within": 30}


def test_the_policy_and_the_options_make_another_key() -> None:
    key = wanted_key(ARGUMENTS)
    assert key == wanted_key({**ARGUMENTS, "token": "b", "transport": "ssh"})
    # The module refuses 0 seconds: a host where nothing has changed must not hide it.
    changes: list[dict[str, Any]] = [{"watch": False}, {"policy": {"mode": "observe"}}, {"confirm_within": 0}]
    assert len({key, *(wanted_key({**ARGUMENTS, **change}) for change in changes)}) == 4


def test_other_code_makes_another_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = ["modules/firewall.py", "module_utils/_linux/nft.py"]
    for path in sources:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(keys._PLUGINS / path, tmp_path / path)
    monkeypatch.setattr(keys, "_PLUGINS", tmp_path)
    before = wanted_key(ARGUMENTS)
    with open(tmp_path / sources[1], "a", encoding="utf-8") as file:
        file.write("# another version\n")
    assert wanted_key(ARGUMENTS) != before
