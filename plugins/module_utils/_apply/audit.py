# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host does now, whatever its rules: who listens on which ports, and which connections live."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, Callable, NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._apply.cut_connections import host_connections
from ansible_collections.hpc.ports.plugins.module_utils._apply.live_connections import (
    HostConnections,
    LiveConnection,
    connections,
)
from ansible_collections.hpc.ports.plugins.module_utils._linux.listeners import Listener, listeners

MOST = 5000


class HostReads(NamedTuple):
    """What is read of the host. Tests replace the functions."""

    listeners: Callable[[], Iterable[Listener]] = listeners
    connections: Callable[[], HostConnections] = host_connections


def audit_of(reads: HostReads = HostReads()) -> dict[str, Any]:
    """Return the listeners, and the connections with other hosts by peer and port.

    The port is the one that the client connected to. `connections_left_out` counts connections beyond the limit.
    Raises NetlinkError, OSError.
    """
    host = reads.connections()
    groups = Counter(map(_group, connections(host)))
    shown = groups.most_common(MOST)
    return {
        "listeners": [listener._asdict() for listener in list(reads.listeners())[:MOST]],
        "connections": [
            {"direction": direction, "peer": peer, "protocol": protocol, "port": port, "count": count}
            for (direction, peer, protocol, port), count in sorted(shown)
        ],
        "connections_left_out": sum(groups.values()) - sum(count for _group, count in shown),
        "problems": list(host.problems),
    }


def _group(connection: LiveConnection) -> tuple[str, str, str, int]:
    """Return direction, peer, protocol and port; where it is not known which end opened it, the likely direction."""
    opening = connection.opening(connection.directions[0])
    return opening.direction, opening.peer, opening.protocol, opening.port
