# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host under test and its peer: namespaces of our own, joined to each other and to nothing else. Needs root.

The host has a copy-on-write /etc and an empty /run. The peer owns whole ranges of addresses, so that a packet
can come from, or go to, any address in them.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ansible_collections.hpc.ports.tests.support.run import scaled

ROOT = Path(__file__).parents[2]
COLLECTIONS = ROOT / ".collections"
HOST = {4: "192.0.2.1", 6: "2001:db8::1", "link": "fe80::1"}
PEER = {4: "192.0.2.2", 6: "2001:db8::2", "link": "fe80::2"}
INTERFACES = ("eth0", "fab0")
_CLONE_NEWNET = 0x40000000

# An upper layer of its own for /etc: what is written stays in the namespace, and goes with it.
_MOUNTS = """
mount -t tmpfs tmpfs /run
mkdir /run/upper /run/work
mount -t overlay overlay -o lowerdir=/etc,upperdir=/run/upper,workdir=/run/work /etc
"""
# No answer may be held back: neither for its rate, nor for the way it came.
_SYSCTLS = """
echo 0 > /proc/sys/net/ipv4/icmp_ratemask
echo 2 > /proc/sys/net/ipv6/icmp/ratemask
echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad
for name in all default; do echo 0 > /proc/sys/net/ipv4/conf/$name/rp_filter; done
echo 1 > /proc/sys/net/ipv6/ip_nonlocal_bind
"""
# What `ip -batch` reads.
_LINK = """
link add eth0 address 02:00:00:00:00:01 type veth peer name eth0 address 02:00:00:00:00:02 netns {peer}
link add fab0 address 02:00:00:00:01:01 type veth peer name fab0 address 02:00:00:00:01:02 netns {peer}
"""
_END = """
link set lo up
link set eth0 up
link set fab0 up
address add 192.0.2.{me}/24 dev eth0
address add 192.0.3.{me}/24 dev fab0
address add 2001:db8::{me}/64 dev eth0 nodad
address add 2001:db8:1::{me}/64 dev fab0 nodad
address add fe80::{me}/64 dev eth0 nodad
neighbour replace 192.0.2.{other} lladdr 02:00:00:00:00:0{other} dev eth0 nud permanent
neighbour replace 192.0.3.{other} lladdr 02:00:00:00:01:0{other} dev fab0 nud permanent
neighbour replace 2001:db8::{other} lladdr 02:00:00:00:00:0{other} dev eth0 nud permanent
neighbour replace fe80::{other} lladdr 02:00:00:00:00:0{other} dev eth0 nud permanent
neighbour replace 2001:db8:1::{other} lladdr 02:00:00:00:01:0{other} dev fab0 nud permanent
"""
_HOST_ROUTES = """
route add default via 192.0.2.2 dev eth0
route add default via 192.0.3.2 dev fab0 metric 9999
route add ::/0 via 2001:db8::2 dev eth0 metric 1
route add ::/0 via 2001:db8:1::2 dev fab0 metric 9999
"""
_PEER_ROUTES = """
route add local 0.0.0.0/1 dev lo
route add local 128.0.0.0/2 dev lo
route add local fc00::/7 dev lo
route add local 2400::/8 dev lo
route add 192.0.2.0/24 via 192.0.3.1 dev fab0 metric 9999
route add 2001:db8::/64 via 2001:db8:1::1 dev fab0 metric 9999
"""


class Space:
    """A network namespace and a mount namespace; they live as long as the process that holds them."""

    def __init__(self, mounts: str = "") -> None:
        program = f"set -e\n{mounts}\necho ready\nexec cat"
        self.holder = subprocess.Popen(
            ["unshare", "--net", "--mount", "sh", "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.holder.stdout and self.holder.stdout.readline() == "ready\n"

    @property
    def pid(self) -> int:
        """A process that is in here."""
        return self.holder.pid

    @property
    def network(self) -> str:
        """The file of the network namespace."""
        return f"/proc/{self.pid}/ns/net"

    @property
    def prefix(self) -> list[str]:
        """What to put before a command so that it runs in here."""
        return ["nsenter", f"--target={self.pid}", "--net", "--mount", "--"]

    def run(
        self, *command: str, text: str = "", check: bool = True, path: Path | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in here; programs in the folder `path` are found before those of the machine."""
        if path:
            environment["PATH"] = f"{path}:{os.environ['PATH']}"
        done = subprocess.run(
            [*self.prefix, *command],
            input=text,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **environment},
            timeout=scaled(120),
        )
        assert not check or done.returncode == 0, f"{command}: {done.stderr}"
        return done

    def shell(self, program: str) -> str:
        """Run a shell program in here and return its output; it ends at the first command that fails."""
        return self.run("sh", "-ec", program).stdout

    def arrange(self, program: str) -> None:
        """Run a shell program of the machine in the network namespace alone: what sets up the network."""
        subprocess.run(["nsenter", f"--net={self.network}", "sh", "-ec", program], check=True)

    def nft(self, script: str) -> None:
        """Load an nft script in here."""
        self.run("nft", "-f", "-", text=script)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Have this thread in the network namespace: sockets made and programs started meanwhile are in it."""
        with open("/proc/thread-self/ns/net", "rb") as before, open(self.network, "rb") as here:
            _setns(here.fileno())
            try:
                yield
            finally:
                _setns(before.fileno())

    def close(self) -> None:
        """Let the namespaces go."""
        assert self.holder.stdin and self.holder.stdout
        self.holder.stdin.close()
        self.holder.wait(timeout=60)
        self.holder.stdout.close()


def _setns(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def _batch(commands: str) -> str:
    """Return a shell program that gives these commands to one `ip`."""
    return f"ip -batch - <<'END'\n{commands.strip()}\nEND\n"


class Pair:
    """The host under test and its peer; `python` and `python_path` run modules on the host."""

    python = sys.executable
    python_path = str(COLLECTIONS)

    def __init__(self, host: Space | None = None) -> None:
        self.host, self.peer = host or Space(_MOUNTS), Space()
        self.peer.arrange(_SYSCTLS)
        self.host.arrange(
            _SYSCTLS + _batch(_LINK.format(peer=self.peer.pid) + _END.format(me=1, other=2) + _HOST_ROUTES)
        )
        self.peer.arrange(_batch(_END.format(me=2, other=1) + _PEER_ROUTES))

    def module(
        self,
        name: str = "firewall",
        prefix: tuple[str, ...] = (),
        path: Path | None = None,
        check: bool = False,
        diff: bool = False,
        **options: Any,
    ) -> dict[str, Any]:
        """Run a module on the host, as Ansible does: a process of its own, arguments and result as JSON."""
        arguments = {**options, "_ansible_check_mode": check, "_ansible_diff": diff}
        done = self.host.run(
            *prefix,
            self.python,
            str(ROOT / "plugins" / "modules" / f"{name}.py"),
            check=False,
            text=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
            path=path,
            PYTHONPATH=self.python_path,
        )
        assert done.stdout, done.stderr
        result = json.loads(done.stdout.splitlines()[-1])
        assert bool(result.get("failed")) == bool(done.returncode), done.stderr
        return result

    def close(self) -> None:
        """Remove both."""
        self.host.close()
        self.peer.close()


def forget_connections() -> None:
    """Empty the connection tracking of the namespace that this thread is in (ctnetlink: delete all)."""
    delete_all, request_with_ack = 1 << 8 | 2, 5
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) as sock:
        sock.send(struct.pack("=IHHIIBBH", 20, delete_all, request_with_ack, 1, 0, 0, 0, 0))
        code = -struct.unpack_from("=i", sock.recv(4096), 16)[0]
    if code:
        raise OSError(code, "ctnetlink")


def snapshot(space: Space, folder: str) -> Mapping[str, Any]:
    """Return everything in a folder: by path its mode, owners, content or target. No process is started for it."""
    described: dict[str, Any] = {}
    handle = os.open(f"/proc/{space.pid}/root{folder}", os.O_RDONLY)
    _describe(handle, folder, described)
    return described


def _describe(handle: int, folder: str, described: dict[str, Any]) -> None:
    """Add what is in an open folder, by its name; close it."""
    try:
        with os.scandir(handle) as entries:
            for entry in entries:
                status, text = entry.stat(follow_symlinks=False), b""
                if entry.is_symlink():
                    text = os.readlink(entry.name, dir_fd=handle).encode()
                elif entry.is_file(follow_symlinks=False):
                    text = _content(entry.name, handle, status.st_size)
                elif entry.is_dir(follow_symlinks=False):
                    _describe(os.open(entry.name, os.O_RDONLY, dir_fd=handle), f"{folder}/{entry.name}", described)
                described[f"{folder}/{entry.name}"] = (status.st_mode, status.st_uid, status.st_gid, text)
    finally:
        os.close(handle)


def _content(name: str, folder: int, size: int) -> bytes:
    handle = os.open(name, os.O_RDONLY, dir_fd=folder)
    try:
        return os.read(handle, size)
    finally:
        os.close(handle)
