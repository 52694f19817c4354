# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of jump hosts and ports in ssh arguments."""

from __future__ import annotations

import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.ssh_arguments import Hop, hops_of


@pytest.mark.parametrize(
    ("text", "hops"),
    [
        ("", []),
        ("-C -o ControlMaster=auto -o ControlPersist=60s", []),
        ("-J jump", [("jump", 22)]),
        ("-Jjump", [("jump", 22)]),
        ("-vJ me@jump:2222", [("jump", 2222)]),
        ("-J one,me@two:23,[fd00::1]:24", [("one", 22), ("two", 23), ("fd00::1", 24)]),
        ("-J 'one, two'", [("one", 22), ("two", 22)]),
        ("-J ssh://me@jump:2222/", [("jump", 2222)]),
        ("-J me@fd00::1", [("fd00::1", 22)]),
        ("-J ::1", [("::1", 22)]),
        ("-i key -l me -J jump", [("jump", 22)]),
        ("-i -J -J jump", [("jump", 22)]),  # the key has an odd name
        ("-o ProxyJump=jump", [("jump", 22)]),
        ("-oproxyjump=jump:23", [("jump", 23)]),
        ("-o 'ProxyJump jump'", [("jump", 22)]),
        ("-o 'ProxyJump = jump'", [("jump", 22)]),
        # The first one counts.
        ("-J one -o ProxyJump=two", [("one", 22)]),
        ("-o ProxyJump=none -J jump", []),
        ("-o ProxyCommand=none -J jump", []),
        ("-J one -o ProxyCommand='ssh -W %h:%p two'", [("one", 22)]),
        ("-o ProxyCommand='ssh -W %h:%p one' -J two", [("one", 22)]),
        ('-o ProxyCommand="ssh -W %h:%p -q me@jump"', [("jump", 22)]),
        ('-o ProxyCommand="/usr/bin/ssh -q me@jump -p 23 nc %h %p"', [("jump", 23)]),
        ('-o ProxyCommand="ssh -o Port=23 -W [%h]:%p fd00::1"', [("fd00::1", 23)]),
        ('-o ProxyCommand="sshpass -p word ssh -J one -W %h:%p two"', [("one", 22), ("two", 22)]),
        ("""-o ProxyCommand='ssh -o "ProxyCommand ssh -W %%h:%%p one" -W %h:%p two'""", [("one", 22), ("two", 22)]),
        ('-o ProxyCommand="nc -x proxy:1080 %h %p"', []),
        ("""-o ProxyCommand="bash -c 'ssh -q -W %h:%p me@jump'" """, [("jump", 22)]),
        ("""-o ProxyCommand="sh -c \\"exec ssh -W %h:%p -p 23 %r@jump\\"" """, [("jump", 23)]),
        ('-o ProxyCommand="cloudflared access ssh --hostname %h"', []),
    ],
)
def test_jump_hosts_are_in_the_order_of_ssh(text: str, hops: list[tuple[str, int]]) -> None:
    assert hops_of([text]) == tuple(Hop(*hop) for hop in hops)


def test_arguments_come_from_several_variables_in_the_order_of_ansible() -> None:
    assert hops_of(["-C", "-J one", "-o ProxyJump=two"]) == (Hop("one"),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("-J 'jump", "No closing quotation"),
        ("-J", "got '', expected a jump host such as 'user@host:port'"),
        ("-J one,,two", "got '', expected a jump host such as 'user@host:port'"),
        ("-J jump:0", "got '0', expected a port from 1 to 65535"),
        ("-J jump:65536", "got '65536', expected a port from 1 to 65535"),
        ("-o ProxyCommand='ssh -W %h:%p -p x jump'", "got 'x', expected a port from 1 to 65535"),
        ("-o ProxyCommand='ssh -W %h:%p'", "got '', expected a jump host such as 'user@host:port'"),
    ],
)
def test_invalid_ssh_arguments(text: str, message: str) -> None:
    with pytest.raises(ValueError) as failed:
        hops_of([text])
    assert str(failed.value) == message
