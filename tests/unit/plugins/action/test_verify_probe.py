# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action plugin of verify_probe: it escapes what a host returns."""

from __future__ import annotations

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
