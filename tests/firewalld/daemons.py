# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host with a real systemd and firewalld, in a container, and its peer: in place of the host of tests/kernel.

The container is in no network but the link to its peer. It sees this repository, and the ansible-core that tests run
with, where they are on the machine: modules run from there, with the Python of the container's Debian.
"""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import ansible

from ansible_collections.hpc.ports.tests.kernel.namespaces import COLLECTIONS, ROOT, Pair, Space

# Debian releases, and the firewalld that each has.
VERSIONS = {"11": "0.9.3", "12": "1.3.3", "13": "2.3.1"}
_ANSIBLE = Path(ansible.__file__).parents[1]
_OURS = "rm -f /etc/firewalld/policies/.?hpc_ports_* /etc/firewalld/ipsets/.?hpc_ports_*"


class Container(Space):
    """A container of the lab's image, with nothing but what its Debian has running."""

    def __init__(self, release: str, name: str) -> None:
        self.name = name
        volumes = [f"--volume={path}:{path}:ro" for path in (ROOT, _ANSIBLE)]
        _podman("run", "--detach", "--replace", f"--name={name}", "--network=none", "--systemd=always",
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
        self.host.shell("systemctl unmask --quiet firewalld; systemctl enable --quiet firewalld; systemctl restart firewalld")

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

