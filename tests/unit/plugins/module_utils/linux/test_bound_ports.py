# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ports that services are bound to, from sample tables of /proc/net and from this machine."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._linux.bound_ports import Holders, holders, is_held

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
REST = "00000000:00000000 00:00000000 00000000     0        0 27 1 0000000000000000 100 0 0 10 0\n"
NONE4, NONE6 = "00000000", "0" * 32
# As in /proc/net: local address and port, remote address and port, state.
TABLES = {
    "tcp": [
        f"{NONE4}:0016 {NONE4}:0000 0A",
        f"0100007F:1538 {NONE4}:0000 0A",
        "0B00CB0A:C350 0100CB0A:0016 01",
        "0B00CB0A:C351 0100CB0A:0016 06",
    ],
    "tcp6": [
        f"{NONE6}:0016 {NONE6}:0000 0A",
        f"030200FD000000000000000011000000:1F90 {NONE6}:0000 0A",
        f"0000000000000000FFFF00000B00CB0A:0FA0 {NONE6}:0000 0A",
    ],
    "udp": [f"3500007F:0035 {NONE4}:0000 07", "0B00CB0A:D431 0100CB0A:0035 01"],
    "udp6": [f"{NONE6}:007B {NONE6}:0000 07"],
}


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> str:
    assert sys.byteorder == "little", "The samples are those of a little-endian machine."
    for name, lines in TABLES.items():
        body = "".join(f"   {number}: {line} {REST}" for number, line in enumerate(lines))
        (tmp_path / name).write_text(HEAD + body, encoding="utf-8")
    return str(tmp_path)


def test_services_are_listening_sockets_and_udp_sockets_without_a_peer(folder: str) -> None:
    assert holders(folder) == {
        ("tcp", 22): {"0.0.0.0", "::"},
        ("tcp", 5432): {"127.0.0.1"},
        ("tcp", 8080): {"fd00:203::11"},
        ("tcp", 4000): {"10.203.0.11"},
        ("udp", 53): {"127.0.0.53"},
        ("udp", 123): {"::"},
    }


def test_a_kernel_without_ipv6_has_no_tables_for_it(folder: str) -> None:
    for name in ("tcp6", "udp6"):
        (Path(folder) / name).unlink()
    assert sorted(holders(folder)) == [("tcp", 22), ("tcp", 5432), ("udp", 53)]


@pytest.fixture(name="service")
def _service() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock.getsockname()[1]


def test_a_service_of_this_machine_is_listed(service: int) -> None:
    assert holders()["tcp", service] == {"127.0.0.1"}
    assert ("udp", service) not in holders()


FOUND: Holders = {("tcp", 80): {"::"}, ("tcp", 81): {"0.0.0.0"}, ("tcp", 82): {"127.0.0.1"}}


@pytest.mark.parametrize(
    "protocol,port,address,held",
    [
        ("tcp", 80, "::", True),
        ("tcp", 80, "0.0.0.0", True),
        ("tcp", 80, "127.0.0.1", False),
        ("udp", 80, "::", False),
        ("tcp", 81, "0.0.0.0", True),
        ("tcp", 81, "::", False),
        ("tcp", 82, "127.0.0.1", True),
        ("tcp", 82, "0.0.0.0", False),
        ("tcp", 83, "0.0.0.0", False),
    ],
)
def test_which_service_holds_an_address(protocol: str, port: int, address: str, held: bool) -> None:
    assert is_held(FOUND, protocol, port, address) is held
