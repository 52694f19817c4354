# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Very many hosts beside those of the lab: namespaces in one container, each with a kernel's firewall and a sshd.

Each has a network, a copy-on-write /etc and an empty /run of its own, and no systemd. They are on a bridge inside the
container, and one link leads from there into the lab's namespace: all of it goes with the container.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ansible_collections.hpc.ports.tests.support.hosts import LAB
from ansible_collections.hpc.ports.tests.support.run import scaled

CONTROLLER = "10.204.0.1"
_CONTAINER = f"{LAB}-many"
_IMAGE = "localhost/hpc-ports-lab:debian12"
_KEY = os.path.join(os.environ["HPC_PORTS_LAB_DIR"], "id_ed25519")
# Our end of the link; it is in the namespace of the lab, as we are.
_LINK = "many"
_CAPABILITIES = "NET_ADMIN,NET_RAW,SYS_ADMIN"

# $1 is how many. The number of a host's process is in /many.
_HOSTS = """\
cat > /host <<'END'
mount -t tmpfs tmpfs /run
mkdir /run/sshd /run/upper /run/work
mount -t overlay overlay -o lowerdir=/etc,upperdir=/run/upper,workdir=/run/work /etc
ip link set lo up
ip link add eth0 type veth peer name "host$1" netns 1
ip address add "10.204.1.$1/16" dev eth0
ip link set eth0 up
nsenter --target 1 --net ip link set "host$1" master bridge up
exec /usr/sbin/sshd -D -o AuthorizedKeysFile=/authorized_keys
END
mkdir /many
ip link add bridge type bridge
ip link set lab master bridge up
ip link set bridge up
for number in $(seq "$1"); do
  unshare --net --mount sh -e /host "$number" < /dev/null > "/many/$number.log" 2>&1 &
  echo $! > "/many/$number"
done
"""
# $1 is how many, $2 a shell program. Before what it prints on a host comes a line with the number of the host.
_EVERYWHERE = """\
for number in $(seq "$1"); do
  echo "host $number"
  nsenter --target "$(cat "/many/$number")" --net --mount sh -ec "$2"
done
"""


class ManyHosts:
    """So many hosts; `names` are those that the inventory has."""

    def __init__(self, count: int) -> None:
        self.names = {f"node{number:03}": f"10.204.1.{number}" for number in range(1, count + 1)}

    @property
    def inventory(self) -> dict[str, Any]:
        """Return an inventory in which all of them are compute nodes of one cluster."""
        shared = {
            "ansible_user": "root",
            "ansible_python_interpreter": "/usr/bin/python3",
            "ansible_ssh_private_key_file": _KEY,
            "ansible_ssh_common_args": "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR",
            "firewall_endpoints": {"controllers": {"cidrs": [f"{CONTROLLER}/32"]}},
        }
        hosts = {name: {"ansible_host": address} for name, address in self.names.items()}
        return {"all": {"vars": shared, "children": {"slurm_compute": {"hosts": hosts}}}}

    def everywhere(self, program: str) -> dict[str, str]:
        """Return what a shell program prints, by host; it must succeed on each."""
        printed = _inside(_EVERYWHERE, str(len(self.names)), program)
        outputs = dict(part.split("\n", 1) for part in printed.split("host ")[1:])
        return {name: outputs[str(number)] for number, name in enumerate(self.names, 1)}

    def start(self) -> None:
        """Start them all, and wait until each accepts connections."""
        _run(
            "podman",
            "run",
            "--detach",
            "--replace",
            "--name",
            _CONTAINER,
            "--label",
            f"hpc-ports-lab={LAB}",
            "--network",
            "none",
            "--cap-add",
            _CAPABILITIES,
            "--security-opt",
            "apparmor=unconfined",
            "--volume",
            f"{_KEY}.pub:/authorized_keys:ro",
            _IMAGE,
            "sh",
            "-c",
            "sleep infinity & wait",
        )
        process = _run("podman", "inspect", "--format", "{{.State.Pid}}", _CONTAINER).strip()
        _run("ip", "link", "add", _LINK, "type", "veth", "peer", "name", "lab", "netns", process)
        _run("ip", "address", "add", f"{CONTROLLER}/16", "dev", _LINK)
        _run("ip", "link", "set", _LINK, "up")
        _inside(_HOSTS, str(len(self.names)))
        for address in self.names.values():
            _await_sshd(address)


def _await_sshd(address: str) -> None:
    end = time.monotonic() + scaled(60)
    while True:
        try:
            return socket.create_connection((address, 22), timeout=1).close()
        except OSError:
            assert time.monotonic() < end, f"{address} accepts no connection:\n{_inside('cat /many/*.log')}"
        time.sleep(0.1)


def _inside(program: str, *arguments: str) -> str:
    return _run("podman", "exec", _CONTAINER, "sh", "-ec", program, "sh", *arguments)


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=scaled(120), check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout


@contextmanager
def many_hosts(count: int) -> Iterator[ManyHosts]:
    """Have so many hosts meanwhile, up to 250."""
    hosts = ManyHosts(count)
    try:
        hosts.start()
        yield hosts
    finally:
        # The kernel takes a moment to remove a link with the namespace at its other end: a next one has its name.
        subprocess.run(["ip", "link", "delete", _LINK], check=False, capture_output=True)
        _run("podman", "rm", "--force", "--ignore", "--time", "0", _CONTAINER)
