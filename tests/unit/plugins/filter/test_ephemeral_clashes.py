# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter ephemeral_clashes: it compares the ephemeral ports of a host with its services."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.hpc.ports.plugins.filter.ephemeral_clashes import FilterModule

ephemeral_clashes = FilterModule().filters()["ephemeral_clashes"]

RESULT = {"ephemeral_ports": "32768-60999", "reserved_ports": ""}
NEEDS = {
    "nfs": {"reserved": [{"what": "lockd", "ports": "32768/tcp"}, {"what": "NFS", "ports": "2049/tcp"}], "fix": False},
    "pbs": {"within": [{"what": "qsub -I", "ports": "32768-60000/tcp"}], "fix": True},
}
# How the sentences begin.
LOCKD, QSUB, DECLARED = "lockd needs 32768", "qsub -I uses ephemeral ports", "firewall_ephemeral_ports is 9000-9999"


@pytest.mark.parametrize(
    ("result", "declared", "clashes"),
    [
        (RESULT, None, [LOCKD, QSUB]),
        (RESULT, "32768-60999", [LOCKD, QSUB]),
        ({**RESULT, "reserved_ports": "8080,32765-32768"}, None, [QSUB]),
        ({**RESULT, "reserved_ports": "32768,60001-60999", "changed": False}, "9000-9999", [DECLARED]),
        ({"ephemeral_ports": "40000-59999", "reserved_ports": ""}, None, []),
    ],
)
def test_the_needs_of_all_services_are_compared_with_the_host(result: Any, declared: Any, clashes: list[str]) -> None:
    assert [text.split(",")[0] for text in ephemeral_clashes(NEEDS, result, declared)] == clashes


@pytest.mark.parametrize(
    ("needs", "result", "declared", "message"),
    [
        (
            [],
            RESULT,
            None,
            "Invalid input of hpc.ports.ephemeral_clashes: got [], expected a dictionary of dictionaries.",
        ),
        (
            {"nfs": []},
            RESULT,
            None,
            "Invalid input of hpc.ports.ephemeral_clashes: got {'nfs': []}, expected a dictionary of dictionaries.",
        ),
        (
            {},
            {"ephemeral_ports": "1-2"},
            None,
            "Invalid result of hpc.ports.ephemeral_clashes: got {'ephemeral_ports': '1-2'}, expected "
            "ephemeral_ports and reserved_ports, as hpc.ports.firewall returns them.",
        ),
        (
            {"nfs": {"reserved": [{"what": "x", "ports": "0/tcp"}]}},
            RESULT,
            None,
            "Invalid argument of hpc.ports.ephemeral_clashes: Invalid reserved: got '0/tcp', ",
        ),
        (
            {"nfs": {"within": [{"ports": "1/tcp"}]}},
            RESULT,
            None,
            "Invalid argument of hpc.ports.ephemeral_clashes: "
            "demanded() missing 1 required positional argument: 'what'",
        ),
    ],
)
def test_bad_arguments(needs: Any, result: Any, declared: Any, message: str) -> None:
    with pytest.raises(AnsibleFilterError) as caught:
        ephemeral_clashes(needs, result, declared)
    assert str(caught.value).startswith(message)
