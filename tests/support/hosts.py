# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbooks over the lab, and commands on its hosts."""

from __future__ import annotations

import functools
import os
import re
import select
import subprocess
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.hpc.ports.tests.support.plays import RunningPlay, playing
from ansible_collections.hpc.ports.tests.support.run import scaled

LAB = os.environ.get("HPC_PORTS_LAB", "no-lab")
ROOT = Path(__file__).parents[2]
FIREWALL = "tests/support/firewall.yml"
FIREWALL_ONLY = ("--skip-tags", "verify")
# One host of each Debian, 11, 12 and 13, by what carries its rules: nft 0.9.8, 1.0.6 and 1.1.3; firewalld 0.9.3, 1.3.3
# and 2.3.1. Each Debian has its systemd: 247, 252 and 257.
NFTABLES = ("nfs1", "ctl1", "alpha-controller")
FIREWALLD = ("nfs2", "beta-controller", "ctl2")
# What a host has on its disk that is ours or firewalld's.
FILES = (
    "find /etc '(' -path '*hpc[-_]ports*' -o -path '/etc/firewalld/*' ')' -exec stat -c '%n %A %U' {} + "
    "-a -type f -exec cat {} +"
)
# The names of all files, and of what systemd knows.
EVERYTHING = "find /etc | sort; systemctl list-unit-files --no-legend --type=service,timer,target"
# The rules with their handles, which change when the rules are reloaded.
HANDLES = "nft -s -a list ruleset"
_RECAP = re.compile(r"^(\S+)\s+: ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.MULTILINE)
_LISTING = "nft -s list ruleset"
_THEN = "-- files --"
# firewalld is active to systemd before it has loaded a rule; it answers when it has.
START_FIREWALLD = "systemctl start firewalld.service; firewall-cmd --quiet --state"
_HAS_STARTED = """\
systemctl is-active --quiet ssh.service && test -z "$(systemctl list-jobs --no-legend)" || exit
! systemctl is-active --quiet firewalld.service || firewall-cmd --quiet --state
"""
_TABLE = re.compile(r"^(table [^{\n]+) \{(?: # [^\n]*)?\n(.*?)\n\}$", re.MULTILINE | re.DOTALL)

# What the host's journal has to say that it has not said here before; Ansible notes each execution of a module in it.
_NEWS = "journalctl --sync; journalctl --quiet --output=short --cursor-file=/run/asked-for-executions"
_EXECUTION = re.compile(r" ansible-(?:hpc\.ports\.)?(\S+)\[[0-9]+\]: Invoked")


@dataclass(frozen=True)
class Play:
    """How a playbook ended."""

    code: int
    output: str

    @property
    def text(self) -> str:
        """The output with its lines joined: Ansible breaks long ones."""
        return " ".join(self.output.split())

    @property
    def changed(self) -> dict[str, int]:
        """Changed tasks by host."""
        return {match[1]: int(match[3]) for match in _RECAP.finditer(self.output)}

    @property
    def failed(self) -> dict[str, int]:
        """Failed tasks by host."""
        return {match[1]: int(match[5]) for match in _RECAP.finditer(self.output)}


def play(name: str, *options: str, before: tuple[str, ...] = (), **environment: str) -> Play:
    """Run a playbook of the collection over the lab, `before` being how; never longer than ten minutes."""
    return _ended(play_started(f"playbooks/{name}.yml", *options, before=before, **environment))


def firewall(*options: str, **environment: str) -> Play:
    """Give the hosts their firewalls and do nothing else."""
    return _ended(play_started(FIREWALL, *options, **environment))


def _ended(started: AbstractContextManager[RunningPlay]) -> Play:
    with started as running:
        output = running.communicate(scaled(600))[0]
        return Play(running.wait(), output)


def play_started(
    path: str, *options: str, before: tuple[str, ...] = (), **environment: str
) -> AbstractContextManager[RunningPlay]:
    """Have a playbook run meanwhile; both its outputs are one."""
    return playing(path, *options, before=before, joined=True, environment=environment)


def on(host: str, command: str) -> str:
    """Return what a shell command on a host prints; the command must succeed."""
    done = subprocess.run(
        [*inside(host), "sh", "-ec", command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=scaled(120),
        check=False,
    )
    assert done.returncode == 0, f"{command!r} on {host}: {done.stderr}"
    return done.stdout


def wait_on(host: str, command: str, seconds: float = 60) -> None:
    """Wait until a shell command on a host succeeds."""
    deadline = time.monotonic() + scaled(seconds)
    while subprocess.run(
        [*inside(host), "sh", "-c", command], stdin=subprocess.DEVNULL, capture_output=True, check=False
    ).returncode:
        assert time.monotonic() < deadline, f"{command!r} never succeeded on {host}"
        time.sleep(0.1)


def inside(host: str) -> list[str]:
    """Return what to put before a command so that it runs on a host: `podman exec`, but five times as fast.

    Such a command is in no cgroup of the host: what makes a unit of itself has to be started by `systemd-run`.
    """
    return [
        "nsenter",
        f"--target={process_of(host)}",
        "--net",
        "--mount",
        "--pid",
        "--uts",
        "--ipc",
        "--",
        "env",
        "--ignore-environment",
        "HOME=/root",
        f"PATH={_PATH}",
    ]


def process_of(host: str) -> int:
    """Return the number of the first process of a host."""
    first = _FIRST.get(host)
    if first is None or first.has_ended:
        first = _FIRST[host] = _First(host)
    return first.pid


class _First:
    """The first process of a host; another one after a restart."""

    def __init__(self, host: str) -> None:
        self.pid = int(_podman("inspect", "--format={{.State.Pid}}", f"{LAB}-{host}"))
        self._handle = os.pidfd_open(self.pid)

    @property
    def has_ended(self) -> bool:
        return bool(select.select([self._handle], [], [], 0)[0])


_FIRST: dict[str, _First] = {}
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def _podman(*arguments: str) -> str:
    return subprocess.run(["podman", *arguments], check=True, capture_output=True, text=True).stdout


def table(host: str) -> list[str]:
    """Return all rules of a host, sorted by object, and firewalld's rules of our policies."""
    return _rules(on(host, _LISTING))


def state(host: str) -> tuple[list[str], str]:
    """Return all rules of a host, and what is on its disk of ours or of firewalld."""
    listing, files = on(host, f"{_LISTING}; echo {_THEN}; {FILES}").split(_THEN)
    return _rules(listing), files


def _rules(listing: str) -> list[str]:
    return sorted(
        f"{name} {_in_order(block)}" for name, body in _TABLE.findall(listing) for block in body.split("\n\n")
    )


def _in_order(block: str) -> str:
    if block.startswith("\tset "):
        return " ".join(sorted(block.replace(",", " ").split()))
    return "\n".join(sorted(block.splitlines())) if "_policy_hpc_ports_" in block.split("{")[0] else block


@contextmanager
def restoring(*hosts: str) -> Iterator[None]:
    """Give the hosts their firewalls again afterwards."""
    try:
        yield
    finally:
        run = firewall("--limit", ",".join(hosts))
        assert run.code == 0, run.output


@contextmanager
def mending(*hosts: str) -> Iterator[None]:
    """Give the hosts their firewalls again where the block fails; one that passes leaves them so itself."""
    try:
        yield
    except BaseException:
        firewall("--limit", ",".join(hosts))
        raise


def restart(*hosts: str) -> None:
    """Stop the hosts, start them, and wait until each has started all that it starts, and accepts logins again."""
    _podman("restart", "--time", "5", *(f"{LAB}-{host}" for host in hosts))
    for host in hosts:
        wait_on(host, _HAS_STARTED)


def executions(host: str) -> list[str]:
    """Return the modules that the host has executed since the last call, those of hpc.ports by their short names."""
    return _EXECUTION.findall(on(host, _NEWS))


def executed_anywhere() -> dict[str, list[str]]:
    """Return the modules that hosts with a firewall have executed since they were asked last, by host, if any."""
    return {host: executed for host in managed_hosts() for executed in [executions(host)] if executed}


def forget_executions() -> None:
    """Have `executed_anywhere` and `executions` tell of later ones only."""
    executed_anywhere()


@functools.cache
def managed_hosts() -> tuple[str, ...]:
    """Return the hosts of the lab that have a firewall."""
    host_list = subprocess.run(
        ["ansible", "all:!laptop1:!outsider", "--list-hosts"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    hosts = tuple(line.strip() for line in host_list.splitlines()[1:])
    assert len(hosts) >= 10
    return hosts
