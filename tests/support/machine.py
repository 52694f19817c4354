# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host with a systemd that only takes notes, and what tests ask of it."""

from __future__ import annotations

import os
import re
import socket
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.hpc.ports.tests.support.namespaces import Pair, snapshot
from ansible_collections.hpc.ports.tests.support.samples import SAMPLE

RULESET = "/etc/hpc-ports/ruleset.nft"
PROGRAMS = Path("/run/programs")
UNIT = "/etc/systemd/system/hpc-ports.service"
LINK = "/etc/systemd/system/sysinit.target.wants/hpc-ports.service"
# What a result says of flows where none was changed.
NO_FLOWS: dict[str, Any] = {"flows_added": [], "flows_removed": [], "ports_changed": {}, "addresses_changed": {}}


# Where other hosts may see the host, sorted by interface.
OWN_ADDRESSES = [
    {"address": address, "interface": interface}
    for interface, address in (
        ("eth0", "192.0.2.1"),
        ("eth0", "2001:db8::1"),
        ("fab0", "192.0.3.1"),
        ("fab0", "2001:db8:1::1"),
    )
]


def systemctl_that_shows(unit: str, state: str) -> str:
    """Return the part of a systemctl that shows the state of a unit; it has no others."""
    return f"""
if [ "$1" = show ]; then
  for name; do
    case $name in
      show | -*) ;;
      {unit}) printf 'LoadState=loaded\\nActiveState=%s\\n\\n' {state} ;;
      *) printf 'LoadState=not-found\\nActiveState=inactive\\n\\n' ;;
    esac
  done
  exit
fi
"""


# What a systemd does that matters here: it notes what it is asked, starts a program, and stops it.
SYSTEMCTL = f"""
{systemctl_that_shows("none", "inactive")}
case "$1 $2" in
  is-enabled*) exit 3 ;;
  "stop hpc-ports-revert-"*.service) kill "$(cat "/run/$2")" 2> /dev/null && rm "/run/$2"; exit ;;
esac
echo "$@" >> /run/systemctl.log
"""
SYSTEMD_RUN = """
while case $1 in -*) true ;; *) false ;; esac; do
  case $1 in
    --unit=*) unit=${1#*=} ;;
  esac
  shift
done
"$@" < /dev/null > /dev/null 2>&1 &
echo $! > "/run/$unit"
"""


def environment_with(python_path: str) -> dict[str, str]:
    """Return what a Python on a host is started with."""
    return {**os.environ, "PATH": f"{PROGRAMS}:{os.environ['PATH']}", "PYTHONPATH": python_path}


class Machine:
    """The host under test."""

    backend = "nftables"
    # Where the files lie that a change may touch, and what the folder is called: the upper layer of /etc.
    folders = {"/run/upper": "/etc"}
    # What is in here is found before the machine's own programs.
    programs = PROGRAMS

    def __init__(self, pair: Pair) -> None:
        self.pair, self.host = pair, pair.host
        for folder in (self.programs, Path("/run/systemd/system")):
            self.path(folder).mkdir(parents=True)
        self.path("/run/systemctl.log").touch()
        self.program("systemctl", SYSTEMCTL)
        self.program("systemd-run", SYSTEMD_RUN)

    @property
    def environment(self) -> dict[str, str]:
        """What a Python on the host is started with."""
        return environment_with(self.pair.python_path)

    def program(self, name: str, text: str) -> None:
        """Have a shell program of that name found before the machine's own."""
        path = self.path(self.programs / name)
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        path.chmod(0o755)

    def path(self, path: str | Path) -> Path:
        """Return where a file of the host is seen from here."""
        return Path(f"/proc/{self.host.pid}/root{path}")

    def reload_from_disk(self) -> None:
        """Have the kernel run what it would after a reboot, and nothing else."""
        self.host.shell(f"nft flush ruleset; nft -f {RULESET}")

    def apply(self, wanted: Mapping[str, Any] | None = None, **options: Any) -> dict[str, Any]:
        """Give the host a policy, or a sample, and confirm it; return the module's result. It may fail."""
        result = self.begin(wanted, **options)
        pending = result.pop("pending", None)
        if pending:
            answer = self.confirm(pending["token"])
            assert answer.get("status") == "confirmed", answer
            if answer.get("failed"):
                return answer
        return result

    def begin(self, wanted: Mapping[str, Any] | None = None, **options: Any) -> dict[str, Any]:
        """Give the host a policy, or a sample, and return the module's result; the change is not confirmed.

        Without a watch, which this systemd would not start.
        """
        return self.pair.module(policy=wanted or SAMPLE, path=self.programs, diff=True, **{"watch": False, **options})

    def confirm(self, token: str) -> dict[str, Any]:
        """Run the module that confirms a change."""
        return self.pair.module("firewall_confirm", path=self.programs, token=token)

    def remove(self, **options: Any) -> dict[str, Any]:
        """Run the module with `state: absent`."""
        return self.pair.module(state="absent", path=self.programs, diff=True, **options)

    def nft(self, script: str) -> None:
        """Load an nft script by hand."""
        self.host.nft(script)

    def delete_rule(self, chain: str, text: str) -> None:
        """Delete the one rule of a chain that reads so."""
        listing = self.host.shell(f"nft -a list chain inet hpc_ports {chain}")
        (handle,) = re.findall(rf"^\s*{re.escape(text)} # handle (\d+)$", listing, re.MULTILINE)
        self.host.shell(f"nft delete rule inet hpc_ports {chain} handle {handle}")

    def listing(self) -> str:
        """All tables, with the handle of every rule."""
        return self.host.shell("nft -a list ruleset")

    def objects(self) -> list[str]:
        """Our table, object by object, sorted."""
        listing = self.host.shell("nft -s list table inet hpc_ports")
        return sorted(listing.removeprefix("table inet hpc_ports {\n").removesuffix("}\n").rstrip("\n").split("\n\n"))

    def counted(self, counter: str) -> int:
        """The packets that a counter of ours has seen."""
        listing = self.host.shell(f"nft list counter inet hpc_ports {counter}")
        return int(listing.split("packets ")[1].split()[0])

    def generation(self) -> int:
        """How many transactions the kernel has made in this namespace."""
        with self.host.entered():
            return _generation()

    def files(self) -> Mapping[str, Any]:
        """Everything in /etc."""
        return snapshot(self.host, "/etc")

    def inodes(self) -> str:
        """What changes when a file of ours is written, even with the same text."""
        return self.host.shell(f"stat -c '%n %i %Y %Z' {RULESET} {UNIT} {LINK}")

    def systemctl_calls(self) -> list[str]:
        """What systemd was asked to do, but for how firewalld is and for clocks."""
        return self.host.shell("cat /run/systemctl.log").splitlines()


def _generation() -> int:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) as sock:
        sock.send(struct.pack("=IHHIIBBH", 20, 10 << 8 | 16, 1, 1, 0, 0, 0, 0))
        answer = sock.recv(4096)
    # One message: header, nfgenmsg, then the attribute NFTA_GEN_ID in network order.
    return int(struct.unpack_from("!I", answer, 24)[0])


def without_invocation(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return a module's result without its arguments."""
    return {key: value for key, value in result.items() if key != "invocation"}
