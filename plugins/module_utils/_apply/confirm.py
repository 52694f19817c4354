# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module `firewall_confirm` does on the host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable

from ansible_collections.hpc.ports.plugins.module_utils._apply.execute import settle, still_runs
from ansible_collections.hpc.ports.plugins.module_utils._apply.pending import FormatError, Pending
from ansible_collections.hpc.ports.plugins.module_utils._apply.tools import Tools
from ansible_collections.hpc.ports.plugins.module_utils._linux.ssh_connection import SshConnection
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import Policy, PolicyData, parse_policy

if TYPE_CHECKING:
    from ansible_collections.hpc.ports.plugins.module_utils._apply.cut_connections import CutResult


def cut_connections(policy: Policy) -> CutResult:
    """Cut the connections that the policy does not allow."""
    # Each execution compiles all imported modules again: this one is large, and seldom needed.
    from ansible_collections.hpc.ports.plugins.module_utils._apply import cut_connections as established

    return established.cut_connections(policy)


def confirm(token: str, tools: Tools = Tools(), cut: Callable[[Policy], CutResult] = cut_connections) -> dict[str, Any]:
    """Keep the change with this token if this is a new connection; return what became of the change, as `status`.

    The result has `msg` if another version of the collection made the change, or if the change is kept but a reboot
    would not load it. `cut` ends connections, if the change requests it. Raises CommandError, OSError: nothing is
    confirmed.
    """
    try:
        return _confirmation_result(token, tools, cut)
    except FormatError as exc:
        return {"status": "other format", "msg": str(exc)}


def _confirmation_result(token: str, tools: Tools, cut: Callable[[Policy], CutResult]) -> dict[str, Any]:
    with tools.transaction.confirmation(token) as pending:
        if pending is None:
            return _reverted_result(tools.transaction.reverted(token))
        # Without a port there is no connection to distinguish a new one from: see `Pending`.
        connection = tools.connection() if pending.client_port else None
        if pending.client_port and not _is_new(connection, pending):
            return {"status": "not new", "confirmed_from": str(connection or "")}
        if not tools.transaction.was_made(pending):
            return {"status": "not made"}
        if not still_runs(pending.last_things, tools):
            return {"status": "altered"}
        tools.transaction.disarm(pending)
        result = {"status": "confirmed", "confirmed_from": str(connection or ""), **_settle_result(pending, tools)}
    return {**result, **_cut_result(pending.last_things["cut"], cut)}


def _reverted_result(pending: Pending | None) -> dict[str, Any]:
    if pending is None:
        return {"status": "unknown"}
    return {
        "status": "reverted",
        "seconds": pending.seconds,
        "client": pending.client,
        "advice": pending.last_things["advice"],
    }


def _settle_result(pending: Pending, tools: Tools) -> dict[str, str]:
    try:
        settle(pending.last_things, tools)
    except RuntimeError as exc:
        return {"msg": str(exc)}
    return {}


def _is_new(connection: SshConnection | None, pending: Pending) -> bool:
    old = (pending.client, pending.client_port)
    return connection is not None and (connection.client, connection.client_port) != old


def _cut_result(data: PolicyData | None, cut: Callable[[Policy], CutResult]) -> dict[str, Any]:
    if data is None:
        return {}
    done = cut(parse_policy(data))
    return {"connections_cut": list(done.connections), "warnings": list(filter(None, [done.not_done]))}
