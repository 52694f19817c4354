# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who listens, from files as in /proc."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._linux.listeners import Listener, listeners

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
LINE = "   0: {}:{:04X} 00000000:0000 {} 00000000:00000000 00:00000000 00000000     0        0 {} 1 x\n"


def system(folder: Path, tcp: str, processes: dict[int, tuple[str, str, list[int]]]) -> str:
    """Write the files of a system: processes with their names, cgroups and sockets."""
    (folder / "net").mkdir()
    for name in ("tcp", "tcp6", "udp", "udp6"):
        (folder / "net" / name).write_text(HEAD + (tcp if name == "tcp" else ""), encoding="utf-8")
    for number, (name, cgroup, inodes) in processes.items():
        (folder / str(number) / "fd").mkdir(parents=True)
        (folder / str(number) / "comm").write_text(name + "\n", encoding="utf-8")
        (folder / str(number) / "cgroup").write_text(cgroup, encoding="utf-8")
        for place, inode in enumerate(inodes):
            (folder / str(number) / "fd" / str(place)).symlink_to(f"socket:[{inode}]")
        (folder / str(number) / "fd" / "99").symlink_to("/dev/null")
    return str(folder)


@pytest.mark.parametrize(
    "cgroup,unit",
    [
        ("0::/system.slice/ssh.service\n", "ssh.service"),
        ("12:pids:/\n1:name=systemd:/system.slice/ssh.service/sub\n", "ssh.service"),
        ("0::/user.slice/user-0.slice/session-1.scope\n", "session-1.scope"),
        ("0::/\n", ""),
        ("", ""),
    ],
)
def test_a_listener_has_its_process_and_unit(tmp_path: Path, cgroup: str, unit: str) -> None:
    proc = system(tmp_path, LINE.format("0100007F", 22, "0A", 500), {7: ("sshd", cgroup, [1, 500])})
    assert listeners(proc) == [Listener("tcp", "127.0.0.1", 22, "sshd", unit)]


def test_the_kernel_has_no_process_and_the_first_of_several_counts(tmp_path: Path) -> None:
    text = LINE.format("00000000", 2049, "0A", 0) + LINE.format("00000000", 80, "0A", 600)
    text += LINE.format("00000000", 443, "01", 601)  # a connection
    proc = system(tmp_path, text, {90: ("worker", "", [600]), 9: ("nginx", "0::/system.slice/nginx.service", [600])})
    assert listeners(proc) == [
        Listener("tcp", "0.0.0.0", 80, "nginx", "nginx.service"),
        Listener("tcp", "0.0.0.0", 2049, "", ""),
    ]
