# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host does now: the limit. See also tests/kernel/test_audit.py."""

from __future__ import annotations

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._apply import audit
from ansible_collections.hpc.ports.plugins.module_utils._apply.audit import HostReads, audit_of
from ansible_collections.hpc.ports.plugins.module_utils._apply.live_connections import HostConnections
from ansible_collections.hpc.ports.plugins.module_utils._linux.conntrack import ConntrackEntry, ConntrackTuple
from ansible_collections.hpc.ports.plugins.module_utils._linux.netlink import NetlinkError
from ansible_collections.hpc.ports.plugins.module_utils._linux.routes import Addresses
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.publishers import Published


def entry(peer: str, source_port: int) -> ConntrackEntry:
    there = ConntrackTuple(17, peer, source_port, "10.0.0.1", 514)
    back = ConntrackTuple(17, "10.0.0.1", 514, peer, source_port)
    return ConntrackEntry(
        there, back, picked_up=False, is_over=False, is_related=False, master=None, family=2, name=b""
    )


def test_the_largest_groups_are_listed_and_the_rest_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "MOST", 1)
    tracked = tuple(entry(peer, port) for peer, port in (("10.0.0.2", 1), ("10.0.0.3", 2), ("10.0.0.3", 3)))
    host = HostConnections(Addresses({"10.0.0.1": {"eth0"}}, ()), (), tracked, ("A problem.",))
    reads = HostReads(
        lambda: [], lambda: host, lambda: Published((), ("Another.",)), counters=lambda: None, ssh=lambda: None
    )
    result = audit_of(reads)
    assert result["connections"] == [
        {"direction": "in", "peer": "10.0.0.3", "protocol": "udp", "port": 514, "count": 2}
    ]
    assert (result["connections_left_out"], result["problems"]) == (1, ["A problem.", "Another."])


def test_a_kernel_without_nftables_is_no_error() -> None:
    def fails() -> None:
        raise NetlinkError("Not supported")

    host = HostConnections(Addresses({}, ()), (), (), ())
    result = audit_of(HostReads(lambda: [], lambda: host, lambda: Published((), ()), fails, lambda: None))
    assert result["counters"] is None
    assert result["problems"] == ["Cannot read the counters of flows. The kernel reports: Not supported."]
