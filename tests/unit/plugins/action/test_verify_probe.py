# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action plugin of verify_probe: it escapes what a host returns, and shows the progress."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.plugins.action import ActionBase
from ansible_collections.hpc.ports.plugins.action import verify_probe


class Action(verify_probe.ActionModule):
    """The action plugin with a fake host, which returns `answer` in place of the module."""

    answer: dict[str, Any] = {}

    def _execute_module(self, **others: Any) -> dict[str, Any]:
        return self.answer


def test_results_of_a_host_are_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ActionBase, "run", lambda *arguments: {})
    action = Action.__new__(Action)
    action._task = SimpleNamespace(args={"probes": []})
    action.answer = {"failed": True, "msg": "\x1b[2J\nok: n2", "results": [{"details": {"22/tcp": "\u202e"}}]}
    assert action.run() == {"failed": True, "msg": "\\x1b[2J\\nok: n2", "results": [{"details": {"22/tcp": "\\u202e"}}]}


@pytest.mark.parametrize(
    ("hosts", "shown"),
    [(1, [1]), (4, [1, 2, 3, 4]), (17, [2, 4, 6, 7, 9, 11, 12, 14, 16, 17]), (200, range(20, 201, 20))],
)
def test_the_progress_has_at_most_ten_lines(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, hosts: int, shown: Sequence[int]
) -> None:
    monkeypatch.setattr(ActionBase, "run", lambda *arguments: {})
    monkeypatch.setattr(verify_probe.C, "DEFAULT_LOCAL_TMP", str(tmp_path))
    action = Action.__new__(Action)
    lines: list[str] = []
    action._display = SimpleNamespace(display=lines.append)
    action.answer = {"results": []}
    progress = {"plan": "plan", "run": "run", "hosts": hosts, "connections": 2 * hosts}
    for _host in range(hosts):
        action._task = SimpleNamespace(args={"probes": [{"ports": ["1/tcp", "2/tcp"]}], "progress": progress})
        action.run()
    assert lines == [
        f"verify: {done} of {hosts} hosts are done, {2 * done} of {2 * hosts} connections tried" for done in shown
    ]
