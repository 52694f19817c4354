# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A process on a host with firewalld that gives it one policy after the other: a module's start each time takes longer.

This file is both the process, as a program that runs with the host's Python, and what tests use of it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from typing import TYPE_CHECKING, Any, Mapping, NamedTuple

if TYPE_CHECKING:
    from ansible_collections.hpc.ports.tests.firewalld.daemons import Daemon


class Applied(NamedTuple):
    """How a policy came to run: `way` is `ByCalls`, `ByReload` or empty; `left` are the objects that still differ."""

    way: str
    status: str
    left: list[str]
    seconds: float


class Driver:
    """The process."""

    def __init__(self, daemon: Daemon) -> None:
        environment = {**os.environ, "PYTHONPATH": daemon.python_path, "PYTHONDONTWRITEBYTECODE": "1"}
        self._process = subprocess.Popen([*daemon.host.prefix, daemon.python, __file__], env=environment, text=True,
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def apply(self, policy: Mapping[str, Any]) -> Applied:
        """Give the host this policy, confirm it, and see that it runs and that the files say the same."""
        assert self._process.stdin and self._process.stdout
        print(json.dumps(policy), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        assert answer, "The process has ended."
        found = Applied(*json.loads(answer))
        assert found.status == ("confirmed" if found.way else "") and not found.left, (found, policy)
        return found

    def close(self) -> None:
        """Let the process go."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        self._process.wait(timeout=60)
        self._process.stdout.close()


# ---- on the host

def _main() -> None:
    for line in sys.stdin:
        start = time.monotonic()
        try:
            way, status, left = _applied(json.loads(line))
        except (OSError, RuntimeError) as exc:
            way, status, left = "", str(exc), []
        print(json.dumps([way, status, left, time.monotonic() - start]), flush=True)


def _applied(data: Mapping[str, Any]) -> tuple[str, str, list[str]]:
    """Apply as the module `firewall` does in its turn, and confirm as the module `confirm` does."""
    from ansible_collections.hpc.ports.plugins.module_utils import apply, backend_firewalld, confirming, transaction
    from ansible_collections.hpc.ports.plugins.module_utils.policy import parse_policy
    from ansible_collections.hpc.ports.plugins.module_utils.state import changed_objects

    policy, token = parse_policy(data), uuid.uuid4().hex
    change = backend_firewalld.present_change(policy)
    if change.is_needed:
        with transaction.turn():
            pending = apply.make_present(change, apply.Terms(token, 60, None, {"advice": "", "cut": None}))
        status = str(confirming.confirm(token)["status"]) if pending else ""
    else:
        status = ""
    again = backend_firewalld.present_change(policy)
    return type(change.way).__name__ if change.way else "", status, changed_objects(again.before, again.after)


if __name__ == "__main__":
    _main()
