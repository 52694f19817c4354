# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module `confirm` does on the host."""

from __future__ import annotations

from typing import Any, Dict, Mapping, Optional

from ansible_collections.hpc.ports.plugins.module_utils import transaction
from ansible_collections.hpc.ports.plugins.module_utils.apply import settle, still_runs
from ansible_collections.hpc.ports.plugins.module_utils.connection import Connection, ssh_connection
from ansible_collections.hpc.ports.plugins.module_utils.policy import parse_policy


def confirm(token: str) -> Dict[str, Any]:
    """Keep the change of that token if this is a new connection; return what became of it, as `status`.

    `msg` is there when the change is kept, but is not what a reboot loads. Raises CommandError, OSError: nothing is
    confirmed.
    """
    with transaction.confirmation(token) as pending:
        if pending is None:
            return _undone(token)
        connection = ssh_connection() if pending.client else None
        if pending.client and not _is_new(connection, pending):
            return {"status": "not new", "confirmed_from": str(connection or "")}
        if not transaction.was_made(pending):
            return {"status": "not made"}
        if not still_runs(pending.extra):
            return {"status": "altered"}
        transaction.disarm(pending)
        result = {"status": "confirmed", "confirmed_from": str(connection or ""), **_settled(pending)}
    return {**result, **_cut(pending.extra["cut"])}


def _undone(token: str) -> Dict[str, Any]:
    pending = transaction.reverted(token)
    if pending is None:
        return {"status": "unknown"}
    return {"status": "reverted", "seconds": pending.seconds, "client": pending.client,
            "advice": pending.extra["advice"]}


def _settled(pending: transaction.Pending) -> Dict[str, str]:
    try:
        settle(pending.extra)
    except RuntimeError as exc:
        return {"msg": str(exc)}
    return {}


def _is_new(connection: Optional[Connection], pending: transaction.Pending) -> bool:
    return connection is not None and (connection.client, connection.client_port) != (
        pending.client, pending.client_port)


def _cut(data: Optional[Mapping[str, Any]]) -> Dict[str, Any]:
    if data is None:
        return {}
    # Each execution compiles what it imports anew: this is much, and seldom needed.
    from ansible_collections.hpc.ports.plugins.module_utils.established import cut_connections

    cut = cut_connections(parse_policy(data))
    return {"connections_cut": list(cut.connections), "warnings": list(filter(None, [cut.not_done]))}
