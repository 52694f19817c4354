# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Podman of a host's Debian, and its containers."""

from __future__ import annotations

from ansible_collections.hpc.ports.tests.containers.hosts import ContainerHost, Inner
from ansible_collections.hpc.ports.tests.containers.publishers import RUNTIME, SERVERS

# Podman leaves cgroups alone only with a runtime that it knows to do so, by name.
_SETTINGS = """
[engine]
runtime = "crun"
cgroup_manager = "cgroupfs"
events_logger = "file"
[engine.runtimes]
crun = ["/usr/local/bin/crun"]
[containers]
cgroups = "disabled"
log_driver = "k8s-file"
"""
# A unit has the cgroup and the environment of the host, where the process of the tests has those of the machine. What
# watches over the containers stays when Podman ends.
_AS_A_UNIT = ("systemd-run", "--quiet", "--pipe", "--wait", "--collect", "--property=KillMode=process")
_STORAGE = """
[storage]
driver = "vfs"
graphroot = "/var/lib/containers/storage"
runroot = "/run/containers/storage"
"""


class Podman:
    """Podman, and a network of its containers."""

    network = "friends"

    def __init__(self, host: ContainerHost) -> None:
        self._host = host
        host.write("/usr/local/bin/crun", RUNTIME, "755")
        host.write("/etc/containers/containers.conf", _SETTINGS)
        host.write("/etc/containers/storage.conf", _STORAGE)
        self("import", "/opt/inner.tar", "localhost/inner:latest")
        self("network", "create", self.network)

    def __call__(self, *arguments: str) -> str:
        """Return what the program podman prints."""
        return self._host.host.run(*_AS_A_UNIT, "podman", *arguments).stdout.strip()

    def run(self, name: str, *ports: str) -> None:
        """Have a container run the servers and publish ports."""
        options = [f"--publish={port}" for port in ports]
        self("run", "--detach", f"--name={name}", f"--network={self.network}", *options, *self._program(name))

    def _program(self, name: str) -> tuple[str, ...]:
        return ("localhost/inner:latest", "/bin/sh", "-c", SERVERS, name)

    def inner(self, name: str) -> Inner:
        """Return the network of a container."""
        path = self("inspect", "--format={{.NetworkSettings.SandboxKey}}", name)
        return Inner(self._host.host, path.replace("/var/run/", "/run/"))

    def address(self, name: str) -> str:
        """Return the IPv4 address of a container."""
        return self("inspect", "--format={{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", name)

    def gateway(self, name: str) -> str:
        """Return the address of the host on the network of a container."""
        return self("inspect", "--format={{range .NetworkSettings.Networks}}{{.Gateway}}{{end}}", name)

    def restart(self, name: str, port: int) -> None:
        """Restart a container; what watches over it holds its port a little longer than it runs."""
        self("stop", "--time=0", name)
        self._host.host.wait(f"! ss --listening --tcp --numeric | grep ':{port} '")
        self("start", name)

    def close(self) -> None:
        """Remove the containers and their network."""
        self("stop", "--all", "--time=0")
        self("rm", "--all", "--force")
        self("network", "rm", self.network)
