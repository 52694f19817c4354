# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of the wording of errors."""

from __future__ import annotations

import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import (
    PortFileError,
    closest,
    invalid,
    nearest,
)


def test_invalid_names_the_key_shows_the_value_and_says_what_was_expected() -> None:
    error = invalid("firewall_flows.x", 5, "a dictionary", "Write one.")
    assert isinstance(error, PortFileError)
    assert str(error) == "Invalid firewall_flows.x: got 5, expected a dictionary. Write one."


def test_invalid_without_advice() -> None:
    assert str(invalid("key", "a\nb", "a string")) == "Invalid key: got 'a\\nb', expected a string."


@pytest.mark.parametrize(
    ("word", "expected"),
    [("form", "Did you mean 'from'?"), ("slurmcltd", "Did you mean 'slurmctld'?"), ("xyz", ""), ("", "")],
)
def test_nearest(word: str, expected: str) -> None:
    assert nearest(word, ["from", "to", "services", "slurmctld"]) == expected


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        # The digits count: they are what the two names differ in.
        ("nfs3", "Did you mean 'nfs_v3'?"),
        ("nfs4", "Did you mean 'nfs'?"),
        # The beginning of several names.
        ("portal", "Did you mean 'web_portal', 'portal_https', 'portal_scheduler' or 'portal_ssh'?"),
        ("slurmd", "Did you mean 'slurmd_log' or 'slurmd_api'?"),
        # Of one.
        ("port_file", "Did you mean 'port_file_x'?"),
        ("portal_shh", "Did you mean 'portal_ssh'?"),
    ],
)
def test_nearest_of_a_family(word: str, expected: str) -> None:
    known = (
        "nfs nfs_v3 web_portal portal_https portal_ssh portal_scheduler portal_users slurmd_log slurmd_api port_file_x"
    )
    assert nearest(word, known.split()) == expected


@pytest.mark.parametrize(("similarity", "expected"), [(0.6, "slurmctld"), (0.94, "slurmctld"), (0.95, "")])
def test_closest(similarity: float, expected: str) -> None:
    assert closest("slurmctl", ["slurmdbd", "slurmctld"], similarity) == expected
