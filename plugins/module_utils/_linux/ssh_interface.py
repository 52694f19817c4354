# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ssh connection over which this process was started, with the interface towards the client."""

from __future__ import annotations

from ansible_collections.hpc.ports.plugins.module_utils._linux.netlink import NetlinkError
from ansible_collections.hpc.ports.plugins.module_utils._linux.routes import interface_towards
from ansible_collections.hpc.ports.plugins.module_utils._linux.ssh_connection import (
    UNKNOWN,
    SshConnection,
    Towards,
    ssh_connection,
)


def connection_and_interface() -> SshConnection | None:
    """Return the connection, as `ssh_connection` does, with its interface."""
    return ssh_connection(known_interface)


def known_interface(client: str, server: str, towards: Towards = interface_towards) -> str:
    """Return the interface towards a client, from an address of this host; UNKNOWN if the kernel names none."""
    try:
        return towards(client, server)
    except NetlinkError:
        return UNKNOWN
