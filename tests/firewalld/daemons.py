# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host with a real systemd and firewalld, in a container, and its peer: in place of the host of tests/kernel.

The container is in no network but the link to its peer. It sees this repository, and the ansible-core that tests run
with, where they are on the machine: modules run from there, with the Python of the container's Debian.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import ansible

from ansible_collections.hpc.ports.tests.support.machine import Machine
from ansible_collections.hpc.ports.tests.support.namespaces import COLLECTIONS, ROOT, Pair, Space

# `dev/lab down` removes what has this label.
LAB = os.environ["HPC_PORTS_LAB"]
# Debian releases, and the firewalld that each has.
VERSIONS = {"11": "0.9.3", "12": "1.3.3", "13": "2.3.1"}
_ANSIBLE = Path(ansible.__file__).parents[1]
# What systemd does as it boots where the unit is enabled.
_UNIT = "/etc/systemd/system/hpc-ports-undo.service"
_WANTED = "/etc/systemd/system/sysinit.target.wants/hpc-ports-undo.service"
PUT_BACK = f"[ ! -e {_UNIT} ] || [ ! -L {_WANTED} ] || sh /etc/hpc-ports/undo/run"
_OURS = "rm -f /etc/firewalld/policies/hpc_ports_* /etc/firewalld/ipsets/hpc_ports_* /etc/firewalld/*/.hpc_ports_*"


class Container(Space):
    """A container of the lab's image, with nothing but what its Debian has running."""

    def __init__(self, release: str, name: str) -> None:
        self.name = name
        volumes = [f"--volume={path}:{path}:ro" for path in (ROOT, _ANSIBLE)]
        _podman("run", "--detach", "--replace", f"--name={name}", f"--label=hpc-ports-lab={LAB}", "--network=none", "--systemd=always",
                "--cap-add=NET_ADMIN,NET_RAW,SYS_ADMIN", "--security-opt=apparmor=unconfined", *volumes,
                f"localhost/hpc-ports-lab:debian{release}", "/sbin/init")
        self._pid = int(_podman("inspect", "--format={{.State.Pid}}", name))
        self.wait("systemctl is-system-running | grep -E 'running|degraded'")

    @property
    def pid(self) -> int:
        """The first process in here."""
        return self._pid

    @property
    def prefix(self) -> list[str]:
        """What to put before a command so that it runs in here."""
        return ["nsenter", f"--target={self.pid}", "--net", "--mount", "--pid", "--uts", "--ipc", "--", "env",
                "--unset=DBUS_SYSTEM_BUS_ADDRESS"]

    def wait(self, program: str) -> None:
        """Wait until a shell program succeeds in here."""
        for attempt in range(300):
            if self.run("sh", "-ec", program, check=False).returncode == 0:
                return
            time.sleep(0.1)
        raise AssertionError(f"Never came true: {program}")

    def restart(self) -> None:
        """Boot anew; the network is another then, with nothing in it."""
        _podman("restart", "--time=0", self.name)
        self._pid = int(_podman("inspect", "--format={{.State.Pid}}", self.name))
        self.wait("systemctl is-system-running | grep -E 'running|degraded'")

    def close(self) -> None:
        """Remove the container."""
        _podman("rm", "--force", "--time=0", self.name)


class Daemon(Pair):
    """A host that runs firewalld, and its peer."""

    python = "/usr/bin/python3"
    python_path = f"{COLLECTIONS}:{_ANSIBLE}"

    def __init__(self, release: str, name: str) -> None:
        self.release = release
        super().__init__(Container(release, name))
        self.start()

    def start(self) -> None:
        """Have firewalld run with the configuration of its package."""
        self.host.shell("systemctl unmask --quiet firewalld; systemctl enable --quiet firewalld; systemctl restart firewalld; "
                        "firewall-cmd --quiet --state")

    def clean(self) -> None:
        """Bring back the host that never had rules of ours; the container stays."""
        self.host.shell(f"rm -rf /etc/hpc-ports /run/hpc-ports /etc/systemd/system/hpc-ports* "
                        f"/etc/systemd/system/sysinit.target.wants/hpc-ports*; {_OURS}; "
                        "nft delete table inet hpc_ports 2> /dev/null || true")
        self.start()

    def says(self, *options: str) -> str:
        """Return what firewall-cmd says."""
        return self.host.run("firewall-cmd", *options).stdout.strip()


def _podman(*arguments: str) -> str:
    done = subprocess.run(["podman", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def table_objects(daemon: Daemon) -> dict[str, list[str]]:
    """Return what runs of ours in the kernel, as the backend sees it."""
    program = ("import json\n"
               "from ansible_collections.hpc.ports.plugins.module_utils.backend_firewalld import running_state\n"
               "print(json.dumps(running_state()))")
    return json.loads(daemon.host.run(daemon.python, "-c", program, PYTHONPATH=daemon.python_path).stdout)


class FirewalldMachine(Machine):
    """The same host, as the tests of tests/kernel speak of it."""

    backend = "firewalld"
    pair: Daemon
    host: Container
    folders = {folder: folder for folder in ("/etc/firewalld", "/etc/hpc-ports", "/etc/systemd/system")}

    def __init__(self, daemon: Daemon) -> None:  # pylint: disable=super-init-not-called
        assert isinstance(daemon.host, Container)
        self.pair, self.host = daemon, daemon.host
        # Its port is for the servers of tests.
        self.host.shell("systemctl stop ssh.socket ssh.service 2> /dev/null || systemctl stop ssh.service")

    def program(self, name: str, text: str) -> None:
        """Have a shell program of that name found before the machine's own."""
        self.host.shell(f"mkdir -p {self.programs}")
        self.host.run("sh", "-ec", 'cat > "$0"; chmod +x "$0"', f"{self.programs}/{name}", text=f"#!/bin/sh\n{text}\n")

    def reload_from_disk(self) -> None:
        """Have the host run what it would after a reboot, and nothing else."""
        self.host.shell(f"systemctl stop firewalld; rm -rf /run/hpc-ports; {PUT_BACK}; systemctl start firewalld; "
                        "firewall-cmd --state")

    def boot_elsewhere(self) -> Mapping[str, str]:
        """Do with a copy of /etc what a boot would do now; return the folders there, and what they stand for."""
        self.host.shell("rm -rf /run/boot; cp -a /etc /run/boot; unshare --mount sh -ec "
                        f"'mount --bind /run/boot /etc; {PUT_BACK}'")
        return {folder.replace("/etc", "/run/boot"): folder for folder in self.folders}
