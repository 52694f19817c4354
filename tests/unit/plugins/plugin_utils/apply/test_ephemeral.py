# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the result of a host gets for the ports that its services need."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils._apply.ephemeral import conflicts, fixes, parsed_needs
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError

RESULT = {"ephemeral_ports": "32768-60999", "reserved_ports": ""}


def needs(fix: bool, ports: str = "32768/tcp") -> dict[str, Any]:
    return {"reserved": [{"what": "lockd", "ports": ports}], "within": [], "fix": fix}


def test_a_conflict_that_is_not_to_be_fixed_is_a_warning_with_the_variable() -> None:
    roles = {"nfs": needs(False), "pbs": needs(True, "1/tcp")}
    [warning] = conflicts("n1", RESULT, roles, "32768-60999")
    assert warning.startswith("n1: lockd needs 32768, but the kernel may use 32768 as an ephemeral port")
    assert warning.endswith(" To have the next run fix this, set nfs_fix_ephemeral_ports.")
    assert fixes(RESULT, roles) == {}


def test_what_is_to_be_fixed_are_the_needs_of_the_roles_that_say_so() -> None:
    roles = {"nfs": needs(True), "slurm": needs(False), "pbs": needs(True, "9/udp")}
    reserved = [{"what": "lockd", "ports": ports} for ports in ("32768/tcp", "9/udp")]
    assert fixes(RESULT, roles) == {"reserved": reserved, "within": [], "fix": True}


def test_another_declared_range_is_a_warning_where_services_need_ports() -> None:
    [warning] = conflicts("n1", RESULT, {"nfs": needs(True, "1/tcp")}, "40000-50000")
    assert "firewall_ephemeral_ports is 40000-50000" in warning and "fix this" not in warning
    assert conflicts("n1", RESULT, {}, "40000-50000") == []


def test_needs_get_the_types_of_their_values() -> None:
    found = parsed_needs({"nfs": {**needs(True), "fix": "no"}}, "32768-60999")
    assert found == {"nfs": needs(False)}


@pytest.mark.parametrize(
    ("given", "declared", "message"),
    [
        ("x", "", "Invalid port_needs: got 'x', expected a dictionary by role."),
        ({"nfs": {}}, "", "Invalid port_needs.nfs: got {}, expected a dictionary with the lists reserved and within, "),
        ({"nfs": {**needs(True), "fix": "maybe"}}, "", "Invalid port_needs.nfs: got {"),
        ({"nfs": {**needs(True), "within": [{"name": "a"}]}}, "", "Invalid port_needs.nfs: got {"),
        ({"nfs": needs(True, "1-x/tcp")}, "", "Invalid port_needs or declared_range: Invalid reserved: got '1-x/tcp'"),
        ({}, "1-x", "Invalid port_needs or declared_range: Invalid declared: got '1-x"),
    ],
)
def test_other_needs_are_refused(given: Any, declared: str, message: str) -> None:
    with pytest.raises(PortFileError) as caught:
        parsed_needs(given, declared)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("result", [{}, {**RESULT, "reserved_ports": "32768"}, {**RESULT, "ephemeral_ports": "x"}])
def test_without_a_conflict_or_an_answer_nothing_is_said(result: dict[str, Any]) -> None:
    assert conflicts("n1", result, {"nfs": needs(False)}, "32768-60999") == []
    assert fixes(result, {"nfs": needs(True)}) == {}
