# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run says where the kernel does not track open connections; tests/kernel has connections that go on."""

from __future__ import annotations

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._apply import track_connections as tracking
from ansible_collections.hpc.ports.plugins.module_utils._linux.netlink import NetlinkError


def test_a_kernel_without_ctnetlink_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise NetlinkError("Protocol not supported", 93)

    monkeypatch.setattr(tracking, "entries", refuse)
    assert tracking.track_connections() == (
        "Cannot have the kernel track the connections that are open already: Protocol not supported. A connection "
        "whose other end sends next may hang. Load the kernel modules nf_conntrack_netlink and tcp_diag before the "
        "first run."
    )
