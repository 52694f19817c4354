# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host does now, whatever its rules: who listens and publishes ports, and which connections live."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, Callable, NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._apply.cut_connections import host_connections
from ansible_collections.hpc.ports.plugins.module_utils._apply.flow_counters import FlowCounters, flow_counters
from ansible_collections.hpc.ports.plugins.module_utils._apply.live_connections import (
    HostConnections,
    LiveConnection,
    connections,
)
from ansible_collections.hpc.ports.plugins.module_utils._linux.listeners import Listener, listeners
from ansible_collections.hpc.ports.plugins.module_utils._linux.netlink import NetlinkError
from ansible_collections.hpc.ports.plugins.module_utils._linux.ssh_connection import SshConnection
from ansible_collections.hpc.ports.plugins.module_utils._linux.ssh_interface import connection_and_interface
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.publishers import Published, published_ports

MOST = 5000
_NO_COUNTERS = "Cannot read the counters of flows. The kernel reports: {0}."


class HostReads(NamedTuple):
    """What is read of the host. Tests replace the functions."""

    listeners: Callable[[], Iterable[Listener]] = listeners
    connections: Callable[[], HostConnections] = host_connections
    published: Callable[[], Published] = published_ports
    counters: Callable[[], FlowCounters | None] = flow_counters
    ssh: Callable[[], SshConnection | None] = connection_and_interface


def audit_of(reads: HostReads = HostReads()) -> dict[str, Any]:
    """Return who listens and publishes ports, the connections with other hosts by peer and port, and more.

    The port is the one that the client connected to. `connections_left_out` counts connections beyond the limit.
    Raises NetlinkError, OSError.
    """
    host, published, ssh = reads.connections(), reads.published(), reads.ssh()
    counters, problems = _counters(reads)
    groups = Counter(map(_group, connections(host)))
    shown = groups.most_common(MOST)
    return {
        "listeners": [listener._asdict() for listener in list(reads.listeners())[:MOST]],
        "published": published.as_data(),
        "connections": [
            {"direction": direction, "peer": peer, "protocol": protocol, "port": port, "count": count}
            for (direction, peer, protocol, port), count in sorted(shown)
        ],
        "connections_left_out": sum(groups.values()) - sum(count for _group, count in shown),
        "counters": counters,
        "ansible_from": ssh.client if ssh else "",
        "problems": [*host.problems, *published.problems, *problems],
    }


def _counters(reads: HostReads) -> tuple[dict[str, Any] | None, list[str]]:
    """Return the counters of our rules, and why they could not be read: a kernel may have no nftables."""
    try:
        counters = reads.counters()
    except NetlinkError as exc:
        return None, [_NO_COUNTERS.format(exc)]
    return counters.as_data() if counters else None, []


def _group(connection: LiveConnection) -> tuple[str, str, str, int]:
    """Return direction, peer, protocol and port; where it is not known which end opened it, the likely direction."""
    opening = connection.opening(connection.directions[0])
    return opening.direction, opening.peer, opening.protocol, opening.port
