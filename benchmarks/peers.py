# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What 30 rules cost on a host with firewalld: this collection beside others, in the lab. See README.md."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
CACHE = Path.home() / ".cache" / "hpc-ports" / "peers"
# Carries ansible.posix, as Galaxy is not reachable everywhere.
WHEEL = "ansible==12.*"
RULES = 30
PEERS = "10.64.0.0/24"
PORTS = [20000 + 10 * number for number in range(RULES)]
OURS: dict[str, Any] = {
    "firewall_services": {f"bench{port}": {"ports": [f"{port}/tcp"]} for port in PORTS},
    "firewall_endpoints": {"controllers": {"cidrs": ["10.203.0.1/32"]}, "bench_peers": {"cidrs": [PEERS]}},
    "firewall_flows": {
        f"bench{port}": {
            "from": ["bench_peers"],
            "to": ["control_plane"],
            "services": [f"bench{port}"],
            "need": "required",
        }
        for port in PORTS
    },
    "firewall_shipped": False,
}


class Run(NamedTuple):
    """A play, and the variables of the inventory for it."""

    play: dict[str, Any]
    variables: dict[str, Any] = {}


class Tool(NamedTuple):
    """One way to have 30 rules: what brings them, and what brings back what was before."""

    name: str
    wanted: Run
    before: Run


def tools(host: str) -> Iterator[Tool]:
    """Yield the ways that can be had here; say why others can't."""
    play = {"hosts": host, "gather_facts": False, "become": True}
    ours = {**play, "roles": ["hpc.ports.firewall"]}
    yield Tool("hpc.ports, 30 flows", Run(ours, OURS), Run(ours, {**OURS, "firewall_state": "absent"}))
    yield Tool("hpc.ports, a port of one of them", Run(ours, _with_a_port()), Run(ours, OURS))
    if _has_posix():
        yield Tool(
            "ansible.posix.firewalld, 30 times",
            Run({**play, "tasks": [_loop("enabled")]}),
            Run({**play, "tasks": [_loop("disabled")]}),
        )
    print("skipped: linux-system-roles/firewall, which is on Galaxy and GitHub only", file=sys.stderr)


def _with_a_port() -> dict[str, Any]:
    name = f"bench{PORTS[0]}"
    return {
        **OURS,
        "firewall_services": {**OURS["firewall_services"], name: {"ports": [f"{PORTS[0]}/tcp", "29999/tcp"]}},
    }


def _loop(state: str) -> dict[str, Any]:
    rule = f'rule family="ipv4" source address="{PEERS}" port port="{{{{ item }}}}" protocol="tcp" accept'
    return {
        "ansible.posix.firewalld": {"rich_rule": rule, "permanent": True, "immediate": True, "state": state},
        "loop": PORTS,
    }


def _has_posix() -> bool:
    """Return whether ansible.posix is installed, after an attempt to install it."""
    if not (CACHE / "ansible_collections" / "ansible" / "posix").is_dir():
        done = subprocess.run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(CACHE), WHEEL],
            capture_output=True,
            text=True,
            check=False,
        )
        for wheel in CACHE.glob("ansible-*.whl"):
            with zipfile.ZipFile(wheel) as found:
                found.extractall(
                    CACHE, [name for name in found.namelist() if name.startswith("ansible_collections/ansible/posix/")]
                )
            wheel.unlink()
        last = done.stderr.strip().rpartition("\n")[2]
        if done.returncode:
            print(f"skipped: ansible.posix.firewalld, as {WHEEL} cannot be had: {last}", file=sys.stderr)
    return (CACHE / "ansible_collections" / "ansible" / "posix").is_dir()


def seconds(run: Run) -> float:
    """Return how long a playbook takes; end where it fails."""
    with TemporaryDirectory() as folder:
        path, variables = Path(folder, "play.yml"), Path(folder, "variables.json")
        path.write_text(json.dumps([run.play]), encoding="utf-8")
        variables.write_text(json.dumps(run.variables), encoding="utf-8")
        start = perf_counter()
        done = subprocess.run(
            [ROOT / "dev" / "lab", "run", "ansible-playbook", f"--extra-vars=@{variables}", str(path)],
            cwd=ROOT,
            check=False,
            capture_output=True,
            text=True,
            env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": f"{ROOT / '.collections'}:{CACHE}"},
        )
        if done.returncode:
            sys.exit(f"A playbook failed:\n{done.stdout[-3000:]}{done.stderr[-2000:]}")
        return perf_counter() - start


def main() -> None:
    """Print a table: seconds, and as a multiple of a play that only pings, measured in the same run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="ctl2", help="a host of the lab on which firewalld runs")
    host = parser.parse_args().host
    ping = Run({"hosts": host, "gather_facts": False, "tasks": [{"ansible.builtin.ping": None}]})
    seconds(ping)
    reference = min(seconds(ping) for attempt in range(3))
    print(f"{'':36}{'a change':>16}{'nothing to change':>20}")
    show("a play that pings", reference, reference, reference)
    for tool in tools(host):
        seconds(tool.before)
        first, again = seconds(tool.wanted), min(seconds(tool.wanted) for attempt in range(2))
        show(tool.name, first, again, reference)
        seconds(tool.before)


def show(name: str, change: float, nothing: float, reference: float) -> None:
    """Print a line of the table."""
    print(
        f"{name:36}{change:>8.1f} s {change / reference:>5.1f}{nothing:>12.1f} s {nothing / reference:>5.1f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
