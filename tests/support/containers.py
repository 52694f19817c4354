# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host with a real systemd, in a container of podman, as the tests enter their namespaces.

The container is in no network. It sees this repository, and the ansible-core that tests run with, where they are on the
machine: modules run from there, with the Python of the container's Debian.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import ansible
from ansible_collections.hpc.ports.tests.support.namespaces import COLLECTIONS, ROOT, Space
from ansible_collections.hpc.ports.tests.support.run import scaled

_ANSIBLE = Path(ansible.__file__).parents[1]
_SEEN = (ROOT, _ANSIBLE)
# What modules on such a host are started with.
PYTHON, PYTHON_PATH = "/usr/bin/python3", f"{COLLECTIONS}:{_ANSIBLE}"
# A host of the lab: systemd, nft and firewalld, but nothing that runs containers.
PLAIN = ("--cap-add=NET_ADMIN,NET_RAW,SYS_ADMIN", "--security-opt=apparmor=unconfined")


class Container(Space):
    """A container of an image, with nothing but what its Debian has running; one that is still up is taken, or not."""

    def __init__(
        self, release: str, name: str, kind: str = "lab", options: Sequence[str] = PLAIN, is_new: bool = False
    ) -> None:
        self.name, self._image = name, f"localhost/hpc-ports-{kind}:debian{release}"
        self._sees = ":".join(map(str, _SEEN))
        self._pid = (not is_new and self._found()) or self._started(options)
        self.wait("systemctl is-system-running | grep -E 'running|degraded'")

    def _found(self) -> int:
        """Return the process of a running container of this image that sees the same files; 0 without one."""
        done = subprocess.run(
            ["podman", "container", "inspect", self.name], capture_output=True, text=True, check=False
        )
        (found,) = json.loads(done.stdout) or [None]
        if not found or not found["State"]["Running"] or found["Config"]["Labels"].get("hpc-ports-sees") != self._sees:
            return 0
        image = _podman("image", "inspect", "--format={{.Id}}", self._image)
        return int(found["State"]["Pid"]) if found["Image"] == image else 0

    def _started(self, options: Sequence[str]) -> int:
        volumes = [f"--volume={path}:{path}:ro" for path in _SEEN]
        _podman(
            "run",
            "--detach",
            "--replace",
            f"--name={self.name}",
            # `dev/lab down` removes what has this label.
            f"--label=hpc-ports-lab={os.environ['HPC_PORTS_LAB']}",
            f"--label=hpc-ports-sees={self._sees}",
            "--network=none",
            "--systemd=always",
            *options,
            *volumes,
            self._image,
            "/sbin/init",
        )
        return int(_podman("inspect", "--format={{.State.Pid}}", self.name))

    @property
    def pid(self) -> int:
        """The first process in here."""
        return self._pid

    @property
    def prefix(self) -> list[str]:
        """What to put before a command so that it runs in here."""
        return [
            "nsenter",
            f"--target={self.pid}",
            "--net",
            "--mount",
            "--pid",
            "--uts",
            "--ipc",
            "--",
            "env",
            "--unset=DBUS_SYSTEM_BUS_ADDRESS",
        ]

    def wait(self, program: str) -> None:
        """Wait until a shell program succeeds in here."""
        end = time.monotonic() + scaled(60)
        while self.run("sh", "-ec", program, check=False).returncode:
            assert time.monotonic() < end, f"Never came true: {program}"
            time.sleep(0.1)

    def restart(self) -> None:
        """Reboot; the network is a new, empty one then."""
        _podman("restart", "--time=0", self.name)
        self._pid = int(_podman("inspect", "--format={{.State.Pid}}", self.name))
        self.wait("systemctl is-system-running | grep -E 'running|degraded'")

    def close(self) -> None:
        """Leave the container for the next run: `dev/lab down` removes it."""

    def remove(self) -> None:
        """Remove the container."""
        _podman("rm", "--force", "--time=0", self.name)


def _podman(*arguments: str) -> str:
    done = subprocess.run(["podman", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
