# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages between probes and listeners."""

from __future__ import annotations

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._probe.protocol import (
    greeting,
    nonce_in,
    question,
    questions_for,
)

KEY, NONCE = "0123456789abcdef", "fedcba9876543210"


def test_the_nonce_in_a_greeting() -> None:
    assert nonce_in(greeting(NONCE)) == NONCE
    for other in (b"", b"SSH-2.0-OpenSSH_9.2", question(KEY), greeting(NONCE)[1:]):
        assert NONCE not in nonce_in(other)
    assert len(greeting(NONCE)) < len(question(KEY))  # nobody can have it send more than was sent


@pytest.mark.parametrize("port", [1, 514, 24224, 65535])
def test_most_ports_get_only_the_request_for_listeners(port: int) -> None:
    assert questions_for(port, KEY) == (question(KEY),)


@pytest.mark.parametrize(
    "port,start,length",
    [
        (53, b"hp\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x01", 17),  # one question: NS of the root
        (123, b"\x23\x00", 48),  # version 4, client
        (111, b"hpcp\x00\x00\x00\x00\x00\x00\x00\x02\x00\x01\x86\xa0", 40),  # call, RPC version 2, program 100000
    ],
)
def test_usual_services_get_a_request_of_their_protocol(port: int, start: bytes, length: int) -> None:
    ours, theirs = questions_for(port, KEY)
    assert ours == question(KEY)
    assert theirs.startswith(start) and len(theirs) == length


def test_all_rpc_services_of_nfs_get_the_same_request() -> None:
    assert {questions_for(port, KEY) for port in (111, 875, 2049, 20048, 32765, 32766, 32767, 32768)} == {
        questions_for(111, KEY)
    }
