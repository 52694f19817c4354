# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The warning about the connection tracking table, and whether the kernel tracks connections."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._linux.conntrack import fill_warning, is_tracking


def warning(folder: Path, count: str, limit: str) -> str | None:
    (folder / "nf_conntrack_count").write_text(count, encoding="utf-8")
    (folder / "nf_conntrack_max").write_text(limit, encoding="utf-8")
    return fill_warning(str(folder))


def test_a_table_that_is_nearly_full(tmp_path: Path) -> None:
    assert warning(tmp_path, "247999\n", "262144\n") == (
        "The connection tracking table of this host is nearly full: nf_conntrack_count is 247999, nf_conntrack_max is "
        "262144 (94 %). Once the table is full, the kernel drops all new connections, even those that flows allow "
        '("nf_conntrack: table full, dropping packet"). Raise the sysctl net.netfilter.nf_conntrack_max.'
    )


@pytest.mark.parametrize("count, warned", [(0, False), (899, False), (900, True), (1000, True), (1001, True)])
def test_nearly_full_is_90_percent(tmp_path: Path, count: int, warned: bool) -> None:
    assert (warning(tmp_path, f"{count}\n", "1000\n") is not None) is warned


@pytest.mark.parametrize("count, limit", [("5\n", "0\n"), ("0\n", "0\n"), ("\n", "10\n"), ("9\n", "odd\n")])
def test_no_warning_without_a_limit_or_numbers(tmp_path: Path, count: str, limit: str) -> None:
    assert warning(tmp_path, count, limit) is None


@pytest.mark.parametrize("left", ["nf_conntrack_count", "nf_conntrack_max"])
def test_no_warning_without_connection_tracking(tmp_path: Path, left: str) -> None:
    assert fill_warning(str(tmp_path)) is None
    (tmp_path / left).write_text("10\n", encoding="utf-8")
    assert fill_warning(str(tmp_path)) is None


def test_the_numbers_of_this_machine_can_be_read() -> None:
    assert fill_warning() is None or "nearly full" in str(fill_warning())


@pytest.mark.parametrize("count,expected", [("0\n", False), ("1\n", True), ("", False), (None, False)])
def test_tracking_is_on_if_a_datagram_is_tracked(tmp_path: Path, count: str | None, expected: bool) -> None:
    """tests/kernel/test_addresses.py shows that a datagram is sent."""
    if count is not None:
        (tmp_path / "nf_conntrack_count").write_text(count, encoding="utf-8")
    assert is_tracking(str(tmp_path)) is expected
