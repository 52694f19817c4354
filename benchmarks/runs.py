# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What 30 rules cost in a run of Ansible: this collection beside other ways, on hosts of the lab. See README.md."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / ".collections"))

from ansible_collections.hpc.ports.benchmarks import measuring
from ansible_collections.hpc.ports.benchmarks.measuring import Conditions, Cost, both, cpu_of_container, print_table

CACHE = Path.home() / ".cache" / "hpc-ports" / "peers"
# Carries ansible.posix, as Galaxy is not reachable everywhere.
WHEEL = "ansible==12.*"
NETWORK = "10.64.0.0/24"
PORTS = [20000 + 10 * number for number in range(30)]
MORE = [*PORTS, 29999]
HOSTS = {"nftables": "ctl1", "firewalld": "ctl2"}
STEPS = ("nothing to change", "first, confirmed", "one port")
# With this file, the hosts of the lab keep what Python compiles of a module; real hosts compile it each time.
COMPILED_ONCE = "/usr/lib/python3/dist-packages/compiled_once.pth"
# The hosts lack what Ansible's module for packages needs: in its place.
NO_PACKAGES = """\
from ansible.module_utils.basic import AnsibleModule
AnsibleModule({"name": {"type": "list"}, "state": {}}).exit_json()
"""

# Tasks, and variables of the inventory for them.
Run = tuple[list[dict[str, Any]], dict[str, Any]]
PING: Run = [{"ansible.builtin.ping": None}], {}


class Way(NamedTuple):
    """One way to have 30 rules: the runs that remove all, that bring them, and that open one port more."""

    name: str
    backend: str
    removal: Run
    rules: Run
    port: Run


def ways(without: Sequence[str], system_role: str | None) -> Iterator[Way]:
    """Yield the ways that can be had here; say why others cannot."""
    for backend in HOSTS:
        yield Way(f"hpc.ports, {backend}", backend, _ours(PORTS, "absent"), _ours(PORTS), _ours(MORE))
        yield _by_script() if backend == "nftables" else _by_zone()
    if "system-role" not in without and system_role:
        yield _by_commands("linux-system-roles/firewall", lambda ports: _system_role(ports, system_role))
    elif "system-role" not in without:
        print("left out: linux-system-roles/firewall, which --system-role names", file=sys.stderr)
    if "posix" not in without and _has_posix():
        yield _by_commands("ansible.posix.firewalld in a loop", _loop)


def _ours(ports: Sequence[int], state: str = "present") -> Run:
    names = [f"bench{port}" for port in PORTS]
    services = {name: {"ports": [f"{port}/tcp"]} for name, port in zip(names, ports)}
    services[names[0]]["ports"] += [f"{port}/tcp" for port in ports[len(PORTS) :]]
    flow = {"from": ["bench_peers"], "to": ["control_plane"], "need": "required"}
    variables = {
        "firewall_state": state,
        "firewall_shipped": False,
        "firewall_services": services,
        "firewall_endpoints": {"controllers": {"cidrs": ["10.203.0.1/32"]}, "bench_peers": {"cidrs": [NETWORK]}},
        "firewall_flows": {name: {**flow, "services": [name]} for name in names},
    }
    # As in our playbooks: the plan checks the variables of the role.
    return [{"ansible.builtin.import_role": {"name": "hpc.ports.firewall", "rolespec_validate": False}}], variables


def _by_script() -> Way:
    runs = (_file("/etc/bench.nft", _script(ports), "nft -f /etc/bench.nft") for ports in (PORTS, MORE))
    return Way(
        "a template and `nft -f`",
        "nftables",
        _shell("rm -f /etc/bench.nft; nft delete table inet bench || true"),
        *runs,
    )


def _by_zone() -> Way:
    path, reload = "/etc/firewalld/zones/bench.xml", "firewall-cmd --reload"
    runs = (_file(path, _zone(ports), reload) for ports in (PORTS, MORE))
    return Way("a zone file and a reload", "firewalld", _shell(f"rm -f {path}; {reload}"), *runs)


def _by_commands(name: str, run: Callable[[Sequence[int]], Run]) -> Way:
    removal = _shell("rm -f /etc/firewalld/zones/public.xml; firewall-cmd --reload")
    return Way(name, "firewalld", removal, run(PORTS), run(MORE))


def _shell(command: str) -> Run:
    return [{"ansible.builtin.shell": command}], {}


def _file(path: str, text: str, load: str) -> Run:
    template = {"dest": path, "src": "template.j2", "mode": "0644"}
    return [
        {"ansible.builtin.template": template, "register": "written"},
        {"ansible.builtin.command": load, "when": "written is changed"},
    ], {"bench_text": text}


def _script(ports: Sequence[int]) -> str:
    rules = "".join(f"    ip saddr {NETWORK} tcp dport {port} accept\n" for port in ports)
    chain = f"  chain input {{\n    type filter hook input priority 0; policy accept;\n{rules}  }}\n"
    return f"table inet bench\ndelete table inet bench\ntable inet bench {{\n{chain}}}\n"


def _zone(ports: Sequence[int]) -> str:
    rules = "".join(
        f'<rule family="ipv4"><source address="{NETWORK}"/><port port="{port}" protocol="tcp"/><accept/></rule>\n'
        for port in ports
    )
    return f'<?xml version="1.0" encoding="utf-8"?>\n<zone>\n<source address="{NETWORK}"/>\n{rules}</zone>\n'


def _rich_rule(port: object) -> str:
    return f'rule family="ipv4" source address="{NETWORK}" port port="{port}" protocol="tcp" accept'


def _loop(ports: Sequence[int]) -> Run:
    rule = {"rich_rule": _rich_rule("{{ item }}"), "permanent": True, "immediate": True, "state": "enabled"}
    return [{"ansible.posix.firewalld": rule, "loop": list(ports)}], {}


def _system_role(ports: Sequence[int], name: str) -> Run:
    rules = {"rich_rule": [_rich_rule(port) for port in ports], "permanent": True, "runtime": True, "state": "enabled"}
    variables = {"firewall": [rules], "ansible_package_use": "no_packages"}
    return [{"ansible.builtin.import_role": {"name": name}}], variables


def _has_posix() -> bool:
    """Return whether ansible.posix is installed, after an attempt to install it."""
    folder = "ansible_collections/ansible/posix/"
    if not (CACHE / folder).is_dir():
        download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(CACHE), WHEEL]
        done = subprocess.run(download, capture_output=True, text=True, check=False)
        for wheel in CACHE.glob("ansible-*.whl"):
            with zipfile.ZipFile(wheel) as found:
                found.extractall(CACHE, [name for name in found.namelist() if name.startswith(folder)])
            wheel.unlink()
        if done.returncode:
            last = done.stderr.strip().rpartition("\n")[2]
            print(f"left out: ansible.posix.firewalld, as {WHEEL} cannot be had: {last}", file=sys.stderr)
    return (CACHE / folder).is_dir()


def cost(host: str, run: Run) -> Cost:
    """Return what a playbook costs, with the CPU time of the host; it must succeed."""
    tasks, variables = run
    files = {
        "play.json": json.dumps([{"hosts": host, "gather_facts": False, "become": True, "tasks": tasks}]),
        "variables.json": json.dumps(variables),
        "template.j2": "{{ bench_text }}\n",
        "no_packages.py": NO_PACKAGES,
    }
    with TemporaryDirectory() as folder:
        for name, text in files.items():
            Path(folder, name).write_text(text, encoding="utf-8")
        container = f"{os.environ.get('HPC_PORTS_LAB', 'hpc-ports-lab')}-{host}"
        before = cpu_of_container(container)
        found = measuring.run(
            *(str(ROOT / "dev" / "lab"), "run", "ansible-playbook"),
            *(f"--extra-vars=@{folder}/variables.json", f"{folder}/play.json"),
            environment={
                "ANSIBLE_COLLECTIONS_PATH": f"{ROOT / '.collections'}:{CACHE}:{Path.home()}/.ansible/collections",
                "ANSIBLE_LIBRARY": folder,
            },
        )
        return found.cost + Cost(0, cpu_of_container(container) - before)


def measured(way: Way) -> dict[str, Cost]:
    """Return by step what a way costs now, as ratios to a play that pings the same host."""
    host = HOSTS[way.backend]
    reference, first = cost(host, PING), cost(host, way.rules)
    if way.name.startswith("hpc.ports"):
        cost(host, way.rules)  # leaves the record that later runs with nothing to change compare with
    again, port = cost(host, way.rules), cost(host, way.port)
    cost(host, way.removal)
    return dict(zip(STEPS, (again.per(reference), first.per(reference), port.per(reference))))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--without", action="append", default=[], choices=["posix", "system-role"])
    parser.add_argument("--system-role", help="name or folder of linux-system-roles/firewall")
    options = parser.parse_args()
    found, conditions = list(ways(options.without, options.system_role)), Conditions()
    ratios: dict[str, list[dict[str, Cost]]] = {way.name: [] for way in found}
    for way in found:
        cost(HOSTS[way.backend], _shell(f"rm -f {COMPILED_ONCE}"))
        cost(HOSTS[way.backend], way.removal)
    for number in range(options.rounds):
        for way in found:
            ratios[way.name].append(measured(way))
        print(f"round {number + 1} of {options.rounds}, load {os.getloadavg()[0]:.1f}", file=sys.stderr, flush=True)
    print(f"{conditions.text(options.rounds)}\n")
    print_table(
        ("", *STEPS), ([name, *(both([row[step] for row in rows]) for step in STEPS)] for name, rows in ratios.items())
    )


if __name__ == "__main__":
    main()
