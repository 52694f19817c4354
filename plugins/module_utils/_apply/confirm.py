# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What confirms a change on the host: the module `firewall_confirm`, and the code that the host has kept.

Python compiles all that this file imports on each run, so it imports little: what few changes need afterwards is left
to the modules `firewall` (rules of ours in the other backend) and `firewall_cut`.
"""

from __future__ import annotations

import sys
import syslog
import time
from contextlib import AbstractContextManager
from typing import Any, Callable, NamedTuple, Protocol

from ansible_collections.hpc.ports.plugins.module_utils._apply import decision, uncut
from ansible_collections.hpc.ports.plugins.module_utils._apply.pending import FormatError, LastThings, Pending
from ansible_collections.hpc.ports.plugins.module_utils._apply.settle import settle
from ansible_collections.hpc.ports.plugins.module_utils._backends.running import RunningRules, running_rules
from ansible_collections.hpc.ports.plugins.module_utils._linux.ssh_connection import SshConnection, ssh_connection
from ansible_collections.hpc.ports.plugins.module_utils._model.confirm_script import marked_line
from ansible_collections.hpc.ports.plugins.module_utils._model.names import digest
from ansible_collections.hpc.ports.plugins.module_utils._model.shown import shown, shown_result


class Decisions(Protocol):
    """The functions of the module `decision`; see there."""

    def confirmation(self, token: str) -> AbstractContextManager[Pending | None]:
        """Yield the change with this token while no other process decides on it."""

    def was_made(self, pending: Pending) -> bool:
        """Return whether the change was made."""

    def disarm(self, pending: Pending) -> None:
        """Keep the change."""

    def reverted(self, token: str) -> Pending | None:
        """Return the change with this token if the host has undone it."""


class ConfirmTools(NamedTuple):
    """The functions with which a change is confirmed. Tests pass others, and need no host.

    `rules` takes the name of a backend, `connection` returns the ssh connection of the user, and `note_uncut` notes
    that connections are left to be cut.
    """

    decisions: Decisions = decision
    rules: Callable[[str], RunningRules] = running_rules
    connection: Callable[[], SshConnection | None] = ssh_connection
    note_uncut: Callable[[], None] = uncut.note


def print_result(token: str) -> None:
    """Print `module_result` for the controller. As Ansible does for a module, note in the journal that this ran."""
    result = module_result(token)
    syslog.openlog("ansible-hpc.ports.firewall_confirm", syslog.LOG_PID)
    syslog.syslog(f"Invoked with the code that the host kept: {result.get('status', 'failed')}")
    sys.stdout.write(marked_line(result) + "\n")


def module_result(token: str) -> dict[str, Any]:
    """Return the result of the module `firewall_confirm`; `failed` and `msg` tell an error."""
    began = time.monotonic()
    try:
        result = shown_result(confirm(token))
    except (OSError, RuntimeError) as exc:
        return {"failed": True, "msg": shown(str(exc))}
    changed = result["status"] == "confirmed"
    return {"changed": changed, **result, "failed": "msg" in result, "ran_for": time.monotonic() - began}


def confirm(token: str, tools: ConfirmTools = ConfirmTools()) -> dict[str, Any]:
    """Keep the change with this token if this is a new connection; return what became of the change, as `status`.

    The result has `msg` if another version of the collection made the change, or if the change is kept but a reboot
    would not load it. `leaves` and `cuts` say what is left to do (see `LastThings`). Raises CommandError, OSError:
    nothing is confirmed.
    """
    try:
        return _confirmation_result(token, tools)
    except FormatError as exc:
        return {"status": "other format", "msg": str(exc)}


def _confirmation_result(token: str, tools: ConfirmTools) -> dict[str, Any]:
    with tools.decisions.confirmation(token) as pending:
        if pending is None:
            return _reverted_result(tools.decisions.reverted(token))
        # Without a port there is no connection to distinguish a new one from: see `Pending`.
        connection = tools.connection() if pending.client_port else None
        if pending.client_port and not _is_new(connection, pending):
            return {"status": "not new", "confirmed_from": str(connection or "")}
        if not tools.decisions.was_made(pending):
            return {"status": "not made"}
        if not _still_runs(pending.last_things, tools.rules(pending.last_things["backend"])):
            return {"status": "altered"}
        return {"status": "confirmed", "confirmed_from": str(connection or ""), **_keep(pending, tools)}


def _reverted_result(pending: Pending | None) -> dict[str, Any]:
    if pending is None:
        return {"status": "unknown"}
    return {
        "status": "reverted",
        "seconds": pending.seconds,
        "client": pending.client,
        "advice": pending.last_things["advice"],
    }


def _is_new(connection: SshConnection | None, pending: Pending) -> bool:
    old = (pending.client, pending.client_port)
    return connection is not None and (connection.client, connection.client_port) != old


def _still_runs(last_things: LastThings, rules: RunningRules) -> bool:
    """Return whether the host still runs the rules that were applied. Raises CommandError."""
    return digest(rules.running_state()) == last_things["runs"]


def _keep(pending: Pending, tools: ConfirmTools) -> dict[str, Any]:
    """Keep the change, and return what is left to do."""
    last_things = pending.last_things
    left: dict[str, Any] = {name: True for name in ("leaves", "cuts") if last_things[name]}
    if last_things["cuts"]:
        # Before the decision: if this process or the next one is killed, the next run cuts them.
        tools.note_uncut()
    tools.decisions.disarm(pending)
    try:
        settle(last_things, tools.rules(last_things["backend"]))
    except RuntimeError as exc:
        return {**left, "msg": str(exc)}
    return left
