# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter host_pattern: it selects hosts by canonical group."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.hpc.ports.plugins.filter.host_pattern import FilterModule
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.canonical_groups import CANONICAL_GROUPS

host_pattern = FilterModule().filters()["host_pattern"]


def test_each_kind_is_an_argument() -> None:
    groups = {"workspace": ["w"], "pbs_server": ["p"], "monitoring": ["m"]}
    assert host_pattern(groups, "workspace", "pbs_*") == ["pbs_server", "workspace"]


def test_among_some_hosts() -> None:
    groups = {"workspace": ["w"], "monitoring": ["m"]}
    assert host_pattern(groups, "workspace", among=["m", "w"]) == ["w"]
    assert host_pattern(groups, "workspace", among=None) == ["workspace"]


def test_bad_arguments() -> None:
    with pytest.raises(AnsibleFilterError) as caught:
        host_pattern({}, "x")
    assert str(caught.value) == (
        "Invalid argument of hpc.ports.host_pattern: got 'x', expected one of the canonical groups: "
        + ", ".join(CANONICAL_GROUPS)
    )
    with pytest.raises(AnsibleFilterError) as caught:
        host_pattern("all")
    assert str(caught.value) == "Invalid input of hpc.ports.host_pattern: got 'all', expected the variable groups."
