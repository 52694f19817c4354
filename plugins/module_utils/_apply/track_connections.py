# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Have the kernel track the TCP connections that are older than the first rules of a host.

Without rules that ask for it, the kernel tracks nothing. When it begins, it takes the next packet of a connection for
its first one. If the other end sends that packet, the chains judge it like a new connection from there, and drop it:
whatever waits for an answer on this host would wait for ever.
"""

from __future__ import annotations

from ansible_collections.hpc.ports.plugins.module_utils._apply.live_connections import HostConnections, connections
from ansible_collections.hpc.ports.plugins.module_utils._linux.conntrack import (
    TCP,
    ConntrackTuple,
    create_established,
    entries,
)
from ansible_collections.hpc.ports.plugins.module_utils._linux.netlink import NetlinkError
from ansible_collections.hpc.ports.plugins.module_utils._linux.routes import local_addresses
from ansible_collections.hpc.ports.plugins.module_utils._linux.sock_diag import sockets

_NOT_TRACKED = (
    "Cannot have the kernel track the connections that are open already: {0}. A connection whose other end sends next "
    "may hang. Load the kernel modules nf_conntrack_netlink and tcp_diag before the first run."
)


def track_connections() -> str:
    """Have the kernel track all TCP connections of this host with other hosts; return a warning, or an empty string."""
    try:
        host = HostConnections(local_addresses(), tuple(sockets(TCP)), tuple(entries()))
        for connection in connections(host):
            if connection.entry is None:
                own = connection.key
                peer = ConntrackTuple(own.protocol, own.target, own.target_port, own.source, own.source_port)
                create_established(own if connection.directions[0] == "out" else peer)
    except NetlinkError as exc:
        return _NOT_TRACKED.format(exc)
    return ""
