# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Choose connections by class of hosts, if testing every port of every host takes too many connections.

In this order, each connection once:

1. every flow between every two classes for which it opens a port, and every host as source and as target of an open
   connection, if its class has one;
2. on every managed host, the ports that the documents warn about, from a host that must not reach them;
3. every other closed port once per role of source, role of target, and whether they share a cluster, up to the maximum.
   A role is a class regardless of its clusters and networks.

Members of a class take turns. Skipped connections are only counted, because listing them would take long.
"""

from __future__ import annotations

from collections.abc import Sequence

from ansible_collections.hpc.ports.plugins.plugin_utils._expectations.closed_ports import ClosedByRole
from ansible_collections.hpc.ports.plugins.plugin_utils._expectations.open_flows import FlowsByClass
from ansible_collections.hpc.ports.plugins.plugin_utils._expectations.selection import Ports, Selection
from ansible_collections.hpc.ports.plugins.plugin_utils._expectations.warned_hosts import WarnedByClass
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.connections import Connections, Expectation
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.host_classes import HostClass


def chosen_by_class(
    connections: Connections, classes: Sequence[HostClass], ports: Ports, most: int
) -> list[Expectation]:
    """Return at most `most` connections, unless flows and warned ports need more, and note the skipped closed ports."""
    selection = Selection(connections, classes)
    FlowsByClass(selection).choose()
    WarnedByClass(selection).choose()
    selection.complete(ports)
    first = len(selection.chosen)
    closed = ClosedByRole(selection, ports)
    closed.choose(most)
    if closed.left:
        beyond = f", and the {first} connections for flows and warned ports are tested anyway" if first > most else ""
        connections.skip(
            "",
            "",
            f"Closed ports between two roles of hosts: verify_most is {most}{beyond}. With verify_most at "
            f"{len(selection.chosen) + closed.left} each is tested once.",
            closed.left,
        )
    return list(selection.chosen)
