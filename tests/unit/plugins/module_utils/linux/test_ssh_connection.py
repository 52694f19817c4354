# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ssh connection, found in the environment of real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._linux.netlink import NetlinkError
from ansible_collections.hpc.ports.plugins.module_utils._linux.ssh_connection import SshConnection, parsed_connection
from ansible_collections.hpc.ports.plugins.module_utils._linux.ssh_interface import known_interface
from hypothesis import given
from hypothesis import strategies as st

SAY = (
    "from ansible_collections.hpc.ports.plugins.module_utils._linux.ssh_connection import ssh_connection\n"
    "found = ssh_connection()\nprint(found and tuple(found)[:4])"
)
GIVEN = "192.0.2.9 51234 192.0.2.1 22"
# A shell that waits for the program it starts.
OUTER = ("sh", "-c", '"$@"; exit $?', "sh")
COLLECTIONS = str(Path(__file__).parents[5] / ".collections")
FOUND = "('192.0.2.9', 51234, '192.0.2.1', 22)"


@pytest.mark.parametrize(
    ("text", "expected", "asked"),
    [
        (GIVEN, SshConnection("192.0.2.9", 51234, "192.0.2.1", 22, "eth7"), ["192.0.2.9"]),
        (
            "2001:db8::9 40000 2001:db8::1 2222",
            SshConnection("2001:db8::9", 40000, "2001:db8::1", 2222, "eth7"),
            ["2001:db8::9"],
        ),
        (
            "::ffff:192.0.2.9 1 ::ffff:192.0.2.1 22",
            SshConnection("192.0.2.9", 1, "192.0.2.1", 22, "eth7"),
            ["192.0.2.9"],
        ),
        ("fe80::9%ib0 1 fe80::1%ib0 22", SshConnection("fe80::9", 1, "fe80::1", 22, "ib0"), []),
        ("", None, []),
        ("192.0.2.9 51234 192.0.2.1", None, []),
        ("UNKNOWN 65535 UNKNOWN 65535", None, []),
        ("192.0.2.9 x 192.0.2.1 22", None, []),
    ],
)
def test_texts_of_sshd(text: str, expected: SshConnection | None, asked: list[str]) -> None:
    peers: list[str] = []

    def towards(peer: str, local: str) -> str:
        peers.append(peer)
        return "eth7"

    assert (parsed_connection(text, towards), peers) == (expected, asked)


@given(st.text())
def test_no_text_raises_an_error(text: str) -> None:
    assert parsed_connection(text) is None


def test_an_unknown_interface_has_no_name() -> None:
    def unreachable(peer: str, local: str) -> str:
        raise NetlinkError("Network is unreachable", 101)

    assert known_interface("192.0.2.9", "192.0.2.1", unreachable) == "?"
    assert parsed_connection(GIVEN) == SshConnection("192.0.2.9", 51234, "192.0.2.1", 22, "?")


def said(*prefix: str, **environment: str) -> str:
    """Return the connection that a process finds which these programs started."""
    clean = {key: value for key, value in os.environ.items() if key != "SSH_CONNECTION"}
    return subprocess.run(
        [*prefix, sys.executable, "-c", SAY],
        check=True,
        capture_output=True,
        text=True,
        env={**clean, "PYTHONPATH": COLLECTIONS, **environment},
    ).stdout.strip()


@pytest.mark.parametrize(
    "prefix",
    [(), (*OUTER, "env", "-u", "SSH_CONNECTION"), (*OUTER, "env", "-i", f"PYTHONPATH={COLLECTIONS}", *OUTER)],
    ids=["its own", "stripped", "stripped twice"],
)
def test_the_nearest_process_with_the_variable(prefix: tuple[str, ...]) -> None:
    assert said(*prefix, SSH_CONNECTION=GIVEN) == FOUND


def test_a_process_whose_name_looks_like_the_end_of_its_name(tmp_path: Path) -> None:
    odd = tmp_path / ") S 1 ("
    odd.symlink_to("/bin/sh")
    assert said(*OUTER, str(odd), *OUTER[1:], "env", "-u", "SSH_CONNECTION", SSH_CONNECTION=GIVEN) == FOUND


def test_the_nearer_process_counts() -> None:
    assert said(*OUTER, "env", f"SSH_CONNECTION={GIVEN}", SSH_CONNECTION="198.51.100.1 1 198.51.100.2 22") == FOUND
