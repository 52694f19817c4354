# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proxies of containers: found by their command lines, and tested by a connection."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._probe.container_proxies import (
    Proxy,
    connects,
    dead_ends,
    proxies,
)

PROXY = "/usr/bin/docker-proxy -proto {0} -host-ip {1} -host-port {2} -container-ip {3} -container-port 80"


def running(proc: Path, *commands: str) -> str:
    for pid, command in enumerate(commands, 100):
        (proc / str(pid)).mkdir()
        (proc / str(pid) / "cmdline").write_bytes(command.replace(" ", "\0").encode() + b"\0")
    (proc / "self").mkdir()
    (proc / "7").mkdir()  # has just ended
    return str(proc)


def test_proxies_are_known_by_their_command_lines(tmp_path: Path) -> None:
    proc = running(
        tmp_path,
        PROXY.format("tcp", "0.0.0.0", 8888, "172.17.0.2"),
        PROXY.format("tcp", "::", 8888, "172.17.0.2"),
        PROXY.format("udp", "0.0.0.0", 53, "172.17.0.3"),
        PROXY.format("tcp", "::", 81, "fd00::2"),
        PROXY.format("tcp", "0.0.0.0", "x", "172.17.0.2"),
        PROXY.format("tcp", "0.0.0.0", 9, "no-address"),
        "/usr/bin/docker-proxy -proto tcp",
        "/bin/sh -c docker-proxy",
        "",
    )
    assert set(proxies(proc)) == {Proxy(8888, "172.17.0.2", 80), Proxy(81, "fd00::2", 80)}
    tried: list[tuple[str, int]] = []

    def fails_on_six(address: str, port: int) -> str:
        tried.append((address, port))
        return "no answer" if ":" in address else ""

    assert dead_ends(proc, fails_on_six) == {"81/tcp": "fd00::2 port 80: no answer"}
    assert sorted(tried) == [("172.17.0.2", 80), ("fd00::2", 80)]


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_connection_errors_are_returned(address: str) -> None:
    with socket.create_server((address, 0), family=socket.AF_INET6 if ":" in address else socket.AF_INET) as server:
        port = server.getsockname()[1]
        assert connects(address, port) == ""
    assert connects(address, port) == os.strerror(111)
