# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.hpc.ports.plugins.module_utils.datagrams import ANSWER, QUESTION, answer_to, questions_for


def test_a_listener_answers_its_question_and_nothing_else() -> None:
    """Not its own answer either, or two listeners would talk for ever."""
    assert answer_to(QUESTION) == ANSWER
    for datagram in (ANSWER, b"", b"hello", QUESTION + b"!", QUESTION[:-1]):
        assert answer_to(datagram) == b""
    assert len(ANSWER) <= len(QUESTION) + 1  # nobody can have it send much more than was sent


@pytest.mark.parametrize("port", [1, 514, 24224, 65535])
def test_most_ports_are_asked_the_one_question(port: int) -> None:
    assert questions_for(port) == (QUESTION,)


@pytest.mark.parametrize("port,start,length", [
    (53, b"hp\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x01", 17),  # one question: NS of the root
    (123, b"\x23\x00", 48),  # version 4, client
    (111, b"hpcp\x00\x00\x00\x00\x00\x00\x00\x02\x00\x01\x86\xa0", 40),  # call, RPC version 2, program 100000
])
def test_usual_services_are_asked_what_they_answer(port: int, start: bytes, length: int) -> None:
    ours, theirs = questions_for(port)
    assert ours == QUESTION
    assert theirs.startswith(start) and len(theirs) == length


def test_every_rpc_service_of_nfs_is_asked_alike() -> None:
    assert {questions_for(port) for port in (111, 875, 2049, 20048, 32765, 32766, 32767, 32768)} == {questions_for(111)}
