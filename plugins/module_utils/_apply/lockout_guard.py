# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check, before anything is loaded, that a policy allows the connection over which it is applied.

If Ansible runs on the host itself (`is_local`), this is the ssh connection over which Ansible was started.
"""

from __future__ import annotations

from ansible_collections.hpc.ports.plugins.module_utils._linux.ssh_connection import SshConnection
from ansible_collections.hpc.ports.plugins.module_utils._model.evaluate import Packet, covers_port, evaluate
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import MANAGEMENT_FLOW, Policy

_REFUSED = (
    "This policy would lock you out. {0} Nothing was changed. With firewall_lockout_guard: false the policy is applied "
    "anyway, and {1}."
)
_UNDONE = "the host undoes it unless a new connection confirms it"
_STAYS = "it stays: Ansible runs on the host itself, so no new connection has to confirm it"


class LockoutError(RuntimeError):
    """The policy would lock out the client that applies it; `client` is its address."""

    def __init__(self, text: str, client: str) -> None:
        super().__init__(text)
        self.client = client


def check_lockout(policy: Policy, connection: SshConnection, is_local: bool = False) -> None:
    """Raise LockoutError unless a new connection like this one passes. Replies always pass: see `evaluate`."""
    missing = missing_flow(policy, connection, is_local)
    if missing:
        raise LockoutError(_REFUSED.format(missing, _STAYS if is_local else _UNDONE), connection.client)


def missing_flow(policy: Policy, connection: SshConnection, is_local: bool = False) -> str:
    """Return which flow a new connection like this one lacks, as sentences; empty if it passes."""
    opening = Packet(
        "in", "tcp", connection.client, connection.server_port, connection.client_port, connection.interface
    )
    if evaluate(policy, opening).passes:
        return ""
    return "Ansible {} from {} to {}/tcp of this host, and no flow allows this connection. {}".format(
        "was started here over ssh" if is_local else "connects",
        connection.client,
        connection.server_port,
        _advice(policy, opening),
    )


def _advice(policy: Policy, opening: Packet) -> str:
    """Return what to add: only to the flow of ssh, as the endpoints of other flows may be broad."""
    if any(
        rule.flow == MANAGEMENT_FLOW and rule.direction == "in" and covers_port(rule, opening) for rule in policy.rules
    ):
        return (
            f"Add {opening.peer} to firewall_endpoints.controllers, the source of the flow {MANAGEMENT_FLOW}, or take "
            "it out of the except of this endpoint."
        )
    return (
        f"Add {opening.port}/tcp to firewall_services.ssh.ports, and {opening.peer} to firewall_endpoints.controllers "
        "unless it is already there."
    )
