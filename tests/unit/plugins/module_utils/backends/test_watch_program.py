# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What wakes the watch again after an attempt that failed. What else it does is in tests/kernel/test_watch.py."""

from __future__ import annotations

import socket

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._backends import watch_program

HOST = watch_program.WatchedHost("/changes", "/ruleset", "/policy", "/closed", "/closed-firewalld", "/published")


def test_what_an_attempt_itself_deletes_is_no_reason_to_try_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    sock, kernel = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)

    def fail(host: watch_program.WatchedHost, loss: watch_program.Loss) -> None:
        kernel.send(b"firewalld stops")
        kernel.send(b"firewalld starts")
        raise OSError("It does not load.")

    monkeypatch.setattr(watch_program, "put_back", fail)
    monkeypatch.setattr(watch_program, "_close", lambda host: kernel.send(b"somebody flushes"))
    with sock, kernel:
        assert watch_program.seconds_to_next(HOST, watch_program.Loss(), 2.0, sock) == 4.0
        assert sock.recv(100) == b"somebody flushes"
