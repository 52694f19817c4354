# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the result of a host gets for the ports that its services need."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils._apply.ephemeral import compared

RESULT = {"ephemeral_ports": "32768-60999", "reserved_ports": "", "warnings": ["Before."]}


def needs(fix: bool, ports: str = "32768/tcp") -> dict[str, Any]:
    return {"reserved": [{"what": "lockd", "ports": ports}], "within": [], "fix": fix}


def test_a_conflict_that_is_not_to_be_fixed_is_a_warning_with_the_variable() -> None:
    warnings = compared("n1", RESULT, {"nfs": needs(False), "pbs": needs(True, "1/tcp")}, "32768-60999")["warnings"]
    assert warnings[0] == "Before."
    assert warnings[1].startswith("n1: lockd needs 32768, but the kernel may use 32768 as an ephemeral port")
    assert warnings[1].endswith(" To have the next run fix this, set nfs_fix_ephemeral_ports.")


def test_a_conflict_to_fix_is_left_to_the_role_which_reports_what_is_left() -> None:
    assert compared("n1", RESULT, {"nfs": needs(True), "slurm": needs(False)}, "") == {"ports_to_fix": True}


def test_another_declared_range_is_a_warning_where_services_need_ports() -> None:
    (_before, warning) = compared("n1", RESULT, {"nfs": needs(True, "1/tcp")}, "40000-50000")["warnings"]
    assert "firewall_ephemeral_ports is 40000-50000" in warning and "fix this" not in warning
    assert compared("n1", RESULT, {}, "40000-50000") == {}


@pytest.mark.parametrize("result", [{}, {**RESULT, "reserved_ports": "32768"}])
def test_without_a_conflict_or_an_answer_nothing_is_said(result: dict[str, Any]) -> None:
    assert compared("n1", result, {"nfs": needs(False)}, "32768-60999") == {}
