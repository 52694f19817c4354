# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host with a real systemd and firewalld, in a container, and its peer: in place of the host of tests/kernel.

The container is in no network but the link to its peer.
"""

from __future__ import annotations

import functools
import shlex
from collections.abc import Mapping
from typing import Any

from ansible_collections.hpc.ports.tests.support.containers import PYTHON, PYTHON_PATH, Container
from ansible_collections.hpc.ports.tests.support.machine import Machine
from ansible_collections.hpc.ports.tests.support.namespaces import Pair
from ansible_collections.hpc.ports.tests.support.packets import Wires, open_wires
from ansible_collections.hpc.ports.tests.support.run import scaled
from ansible_collections.hpc.ports.tests.support.runs import Runs

# Debian releases, and the firewalld that each has.
VERSIONS = {"11": "0.9.3", "12": "1.3.3", "13": "2.3.1"}
# What systemd does as it boots where the unit is enabled.
_UNIT = "/etc/systemd/system/hpc-ports-undo.service"
_WANTED = "/etc/systemd/system/sysinit.target.wants/hpc-ports-undo.service"
_SCRIPT = "/etc/hpc-ports/undo/run"
PUT_BACK = f"[ ! -e {_UNIT} ] || [ ! -L {_WANTED} ] || [ ! -e {_SCRIPT} ] || sh {_SCRIPT}"
# Nobody waits for less than a daemon takes that is written in Python, on a machine with much else to do.
_BUSCTL = "busctl --timeout=300"
_FIREWALLD = "org.fedoraproject.FirewallD1 /org/fedoraproject/FirewallD1 org.fedoraproject.FirewallD1"
_STATE = f"$({_BUSCTL} get-property {_FIREWALLD} state)"
_RUNNING = "'s \"RUNNING\"'"
_ONCE_STARTED = f'until [ "{_STATE}" = {_RUNNING} ] && systemctl is-active --quiet firewalld; do sleep 0.1; done'


def call(method: str, *arguments: str) -> str:
    """Return the shell command that calls a method of firewalld, such as `ipset.getEntries`: faster than Python."""
    interface, dot, name = method.rpartition(".")
    return (
        shlex.join([*_BUSCTL.split(), "call", *_FIREWALLD.split()])
        + f"{dot}{interface} {shlex.join([name, *arguments])}"
    )


# Tests have servers on the port of ssh.
_PREPARE = """
systemctl mask --quiet ssh.socket ssh.service
systemctl stop ssh.socket 2> /dev/null || :
systemctl stop ssh.service
mkdir /root/installed
cp -a /etc/firewalld /etc/protocols /root/installed
"""
_FROM_THE_PACKAGE = """
systemctl stop hpc-ports-watch hpc-ports-published 2> /dev/null || :
rm -rf /etc/firewalld /etc/hpc-ports /run/hpc-ports /run/programs
rm -f /etc/systemd/system/hpc-ports* /etc/systemd/system/.hpc-ports* \
  /etc/systemd/system/sysinit.target.wants/hpc-ports* /etc/systemd/system/sysinit.target.wants/.hpc-ports*
cp -a /root/installed/* /etc
nft delete table inet hpc_ports 2> /dev/null || :
nft delete table inet hpc_ports_published 2> /dev/null || :
[ "$(systemctl show --property=LoadState --value hpc-ports-published)" != loaded ] || systemctl daemon-reload
systemctl reset-failed
"""
_RESTART = f"""
systemctl is-enabled --quiet firewalld || {{ systemctl unmask --quiet firewalld; systemctl enable --quiet firewalld; }}
systemctl restart firewalld
{_ONCE_STARTED}
"""
# Fails where a reload would not bring back what the package has.
_RELOAD = f"""
nft list tables | grep -qx 'table inet firewalld'
[ "$({call("queryPanicMode")})" = 'b false' ]
{call("reload")}
[ "{_STATE}" = {_RUNNING} ]
"""
# Interfaces stay in their zones through a reload.
_PROCESS = f"systemctl show --property=MainPID firewalld; {call('zone.getActiveZones')} || :"


class Daemon(Pair):
    """A host that runs firewalld, and its peer."""

    python, python_path = PYTHON, PYTHON_PATH
    host: Container

    def __init__(self, release: str, name: str) -> None:
        self.release = release
        self._join(Container(release, name))
        self.host.shell(f"[ -e /root/installed ] || {{ {_PREPARE} }}")
        # The firewalld that a reload brings back to what the package has: no test has started another one since.
        self._known_process = ""

    def _join(self, host: Container) -> None:
        # An earlier run may have left them.
        host.arrange("for name in eth0 fab0; do ! ip link show $name > /dev/null 2>&1 || ip link delete $name; done")
        super().__init__(host)

    @property
    def version(self) -> str:
        """The version of firewalld."""
        return VERSIONS[self.release]

    @functools.cached_property
    def machine(self) -> FirewalldMachine:
        """The host as the tests of tests/kernel speak of it."""
        return FirewalldMachine(self)

    @functools.cached_property
    def runs(self) -> Runs:
        """What runs modules on the host, several a second."""
        return Runs(self.machine)

    @functools.cached_property
    def wires(self) -> Wires:
        """Both ends of the link."""
        return open_wires(self.host, self.peer)

    def clean(self) -> None:
        """Restore the host that never had our rules, with firewalld as packaged; the container stays."""
        self.host.shell(_FROM_THE_PACKAGE)
        is_known = self._process() == self._known_process
        if not is_known or self.host.run("sh", "-ec", _RELOAD, check=False).returncode:
            self.host.shell(_RESTART)
            self._known_process = self._process()

    def _process(self) -> str:
        return self.host.shell(_PROCESS)

    def wait_for_firewalld(self) -> None:
        """Wait until it has its rules."""
        self.host.shell(_ONCE_STARTED)

    def boot(self) -> None:
        """Have the host boot, and join it to a peer again."""
        self._let_go()
        self.host.restart()
        self._known_process = ""
        self.peer.close()
        self._join(self.host)

    def module(
        self,
        name: str = "firewall",
        check: bool = False,
        diff: bool = False,  # type: ignore[override]
        **options: Any,
    ) -> dict[str, Any]:
        """Run a module on the host, in a process that has all imported."""
        return self.runs.module(name, _ansible_check_mode=check, _ansible_diff=diff, **_patient(options))

    def started_module(self, name: str = "firewall", **options: Any) -> dict[str, Any]:
        """Run a module on the host, as Ansible does."""
        return super().module(name, **_patient(options))

    def write(self, path: str, text: str) -> None:
        """Write a file on the host."""
        place = self.machine.path(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")

    def says(self, *options: str) -> str:
        """Return what firewall-cmd says."""
        return self.host.run("firewall-cmd", *options).stdout.strip()

    def _let_go(self) -> None:
        if "runs" in vars(self):
            self.runs.close()
            del self.runs
        if "wires" in vars(self):
            self.wires.inward.close()
            self.wires.outward.close()
            del self.wires

    def close(self) -> None:
        """Let the peer go."""
        self._let_go()
        super().close()


def _patient(options: dict[str, Any]) -> dict[str, Any]:
    """Return options of a module with more time to confirm, for a slow machine."""
    return {"confirm_within": scaled(60), **options} if "policy" in options else options


class FirewalldMachine(Machine):
    """The same host, as the tests of tests/kernel speak of it."""

    backend = "firewalld"
    pair: Daemon
    host: Container
    folders = {folder: folder for folder in ("/etc/firewalld", "/etc/hpc-ports", "/etc/systemd/system")}

    def __init__(self, daemon: Daemon) -> None:  # pylint: disable=super-init-not-called
        self.pair, self.host = daemon, daemon.host
        self.path(self.programs).mkdir(exist_ok=True)

    def reload_from_disk(self) -> None:
        """Have the host run what it would after a reboot, and nothing else."""
        self.host.shell(
            f"systemctl stop firewalld; rm -rf /run/hpc-ports; {PUT_BACK}; systemctl start firewalld; {_ONCE_STARTED}"
        )

    def boot_elsewhere(self) -> Mapping[str, str]:
        """Do with a copy of /etc what a boot would do now; return the folders there, and what they stand for."""
        self.host.shell(
            f"rm -rf /run/boot; cp -a /etc /run/boot; unshare --mount sh -ec 'mount --bind /run/boot /etc; {PUT_BACK}'"
        )
        return {folder.replace("/etc", "/run/boot"): folder for folder in self.folders}
