# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Would a policy cut off the connection that it is applied over? Asked before anything is loaded."""

from __future__ import annotations

from ansible_collections.hpc.ports.plugins.module_utils.connection import Connection
from ansible_collections.hpc.ports.plugins.module_utils.evaluate import Packet, covers_port, evaluate
from ansible_collections.hpc.ports.plugins.module_utils.policy import Policy


class LockoutError(RuntimeError):
    """The policy would lock out whoever applies it."""


def check_lockout(policy: Policy, connection: Connection) -> None:
    """Raise LockoutError unless a new connection like this one passes. Its answers do: see `evaluate`."""
    missing = missing_flow(policy, connection)
    if missing:
        raise LockoutError(
            "This policy would lock you out. {0} Nothing was changed. With firewall_lockout_guard: false it is applied "
            "all the same, and the host undoes it unless a new connection confirms it.".format(missing))


def missing_flow(policy: Policy, connection: Connection) -> str:
    """Return which flow a new connection like this one lacks, as sentences; empty where it passes."""
    opening = Packet("in", "tcp", connection.client, connection.server_port, connection.client_port,
                     connection.interface)
    if evaluate(policy, opening).passes:
        return ""
    return "Ansible comes from {0} to {1}/tcp of this host, and no flow lets it in. {2}".format(
        connection.client, connection.server_port, _advice(policy, opening))


def _advice(policy: Policy, opening: Packet) -> str:
    flows = sorted({rule.flow for rule in policy.rules if rule.direction == "in" and covers_port(rule, opening)})
    if not flows:
        return ("Add {0}/tcp to firewall_services.ssh.ports, and {1} to firewall_endpoints.controllers unless it is "
                "there.".format(opening.port, opening.peer))
    if "management_ssh" in flows:
        return "Add {0} to firewall_endpoints.controllers, where the flow management_ssh comes from.".format(
            opening.peer)
    return "Add {0} to an endpoint that a flow to this port comes from: {1}.".format(opening.peer, ", ".join(flows))
