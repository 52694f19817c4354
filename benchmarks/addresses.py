# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What 100,000 addresses in one endpoint cost a host, and 1,000 flows, beside the backend alone. See README.md."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from ipaddress import ip_address
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / ".collections"))

from ansible_collections.hpc.ports.benchmarks import measuring, rulesets
from ansible_collections.hpc.ports.benchmarks.measuring import Conditions, Cost, cpu_of_container, print_table, spread
from ansible_collections.hpc.ports.tests.firewalld.daemons import call
from ansible_collections.hpc.ports.tests.support import namespaces
from ansible_collections.hpc.ports.tests.support.machine import Machine
from ansible_collections.hpc.ports.tests.support.namespaces import Pair
from ansible_collections.hpc.ports.tests.support.samples import SSH, policy

STEPS = ("alone", "first", "nothing to change", "one address more")
# As the hosts of the lab see it.
MODULES = namespaces.ROOT / "plugins" / "modules"
# firewall-cmd does not wait until 100,000 addresses are loaded.
RELOAD = call("reload").replace("--timeout=300", "--timeout=1800")


class Flow(NamedTuple):
    """Ports and who may connect to them."""

    name: str
    ports: str
    peers: Sequence[str]


def of_addresses(count: int) -> list[Flow]:
    """Return one flow from so many addresses, of which none are neighbours."""
    first = int(ip_address("10.64.0.0"))
    return [Flow("many", "6000", [str(ip_address(first + 2 * number)) for number in range(count)])]


def of_flows(count: int) -> list[Flow]:
    """Return so many flows, each with ten addresses of its own."""
    return [Flow(f"flow{flow.number}", flow.ports, flow.addresses) for flow in rulesets.flows_of(count)]


def ours(flows: Sequence[Flow]) -> dict[str, Any]:
    """Return a policy with these flows."""
    return policy(SSH, *(("in", flow.name, [f"{flow.ports}/udp"], tuple(flow.peers)) for flow in flows))


def one_more(flows: Sequence[Flow]) -> list[Flow]:
    """Return the flows with an address more in the first one."""
    return [flows[0]._replace(peers=[*flows[0].peers, "10.80.0.1"]), *flows[1:]]


def as_script(flows: Sequence[Flow]) -> str:
    """Return an nft script with a set and a rule for each flow."""
    lines = ["type filter hook input priority 0; policy drop;", "ct state established,related accept"]
    lines += [f"udp dport {flow.ports} ip saddr @{flow.name} accept" for flow in flows]
    sets = (
        f"set {flow.name} {{ type ipv4_addr; flags interval; elements = {{ {', '.join(flow.peers)} }}; }}\n"
        for flow in flows
    )
    return f"table inet plain {{\n{''.join(sets)}chain input {{\n" + "\n".join(lines) + "\n}\n}\n"


class Host:
    """A host with one of the backends; its modules run as Ansible runs them, each in a Python that is started."""

    def __init__(self, machine: Machine, container: str = "") -> None:
        self._machine, self._container = machine, container

    def cost(self, *command: str, text: str = "") -> measuring.Done:
        """Return what a command on the host costs, with what firewalld does meanwhile, and what it prints."""
        before = cpu_of_container(self._container) if self._container else 0
        done = measuring.run(*self._machine.host.prefix, *command, text=text, environment=self._machine.environment)
        after = cpu_of_container(self._container) if self._container else 0
        return done._replace(cost=done.cost + Cost(0, after - before))

    def module(self, **options: Any) -> Cost:
        """Return what the module `firewall` costs, and what confirms the change; without a watch."""
        cost, result = self._module("firewall", confirm_within=1800, watch=False, **options)
        return (
            cost + self._module("firewall_confirm", token=result["pending"]["token"])[0]
            if "pending" in result
            else cost
        )

    def _module(self, name: str, **options: Any) -> tuple[Cost, dict[str, Any]]:
        arguments = json.dumps({"ANSIBLE_MODULE_ARGS": options})
        done = self.cost(self._machine.pair.python, str(MODULES / f"{name}.py"), text=arguments)
        return done.cost, json.loads(done.output.splitlines()[-1])

    def removal(self) -> None:
        """Remove what the module has brought."""
        self._module("firewall", state="absent")

    def alone(self, flows: Sequence[Flow]) -> Cost:
        """Return what the same costs without this collection, and remove it."""
        cost = self.cost("nft", "-f", "-", text=as_script(flows)).cost
        self.cost("nft", "delete table inet plain")
        return cost


class FirewalldHost(Host):
    """A host that runs firewalld."""

    def alone(self, flows: Sequence[Flow]) -> Cost:
        """Return what a zone with an ipset for each flow and a reload cost, and remove them."""
        folder = self._machine.path("/etc/firewalld")
        files = {folder / "zones" / "public.xml": _zone(flows)}
        files.update({folder / "ipsets" / f"{flow.name}.xml": _ipset(flow) for flow in flows})
        for path, text in files.items():
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        cost = self.cost("sh", "-c", RELOAD).cost
        for path in files:
            path.unlink()
        self.cost("sh", "-c", RELOAD)
        return cost


def _zone(flows: Sequence[Flow]) -> str:
    rules = "".join(
        f'<rule family="ipv4"><source ipset="{flow.name}"/><port port="{flow.ports}" protocol="udp"/><accept/></rule>\n'
        for flow in flows
    )
    return f"<zone>\n{rules}</zone>\n"


def _ipset(flow: Flow) -> str:
    entries = "".join(f"<entry>{peer}</entry>\n" for peer in flow.peers)
    return f'<ipset type="hash:net"><option name="maxelem" value="200000"/>\n{entries}</ipset>\n'


def measured(host: Host, flows: Sequence[Flow]) -> dict[str, Cost]:
    """Return the costs of the steps, one after the other."""
    alone, first = host.alone(flows), host.module(policy=ours(flows))
    again, more = host.module(policy=ours(flows)), host.module(policy=ours(one_more(flows)))
    host.removal()
    return dict(zip(STEPS, (alone, first, again, more)))


def row(name: str, rounds: Sequence[dict[str, Cost]]) -> Iterator[str]:
    """Yield the cells of a line: seconds of the reference, ratios to it, and the memory."""
    yield name
    yield f"{median(costs['alone'].cpu for costs in rounds):.2f}"
    for step in STEPS[1:]:
        yield spread([costs[step].cpu / costs["alone"].cpu for costs in rounds])
    yield f"{max(costs[step].memory for costs in rounds for step in STEPS[1:]):.0f}"


def hosts(names: Sequence[str], stack: ExitStack) -> Iterator[tuple[str, Host]]:
    """Yield the hosts by their backends, which live as long as the stack."""
    if "nftables" in names:
        yield "nftables", Host(Machine(stack.enter_context(closing(Pair()))))
    if "firewalld" in names:
        daemon = stack.enter_context(rulesets.firewalld_host("addresses"))
        yield "firewalld", FirewalldHost(daemon.machine, daemon.host.name)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--addresses", type=int, default=100000)
    parser.add_argument("--flows", type=int, default=1000)
    parser.add_argument("--backend", action="append", choices=["nftables", "firewalld"], help="default: nftables")
    options = parser.parse_args()
    conditions, found = Conditions(), dict[str, list[dict[str, Cost]]]()
    loads: dict[str, Callable[[], list[Flow]]] = {
        f"{options.addresses:,} addresses": lambda: of_addresses(options.addresses),
        f"{options.flows:,} flows": lambda: of_flows(options.flows),
    }
    with ExitStack() as stack:
        by_backend = dict(hosts(options.backend or ["nftables"], stack))
        for _round in range(options.rounds):
            for backend, host in by_backend.items():
                for name, flows in loads.items():
                    found.setdefault(f"{backend}, {name}", []).append(measured(host, flows()))
    print(f"{conditions.text(options.rounds)}\n")
    print_table(("", "alone, s", *STEPS[1:], "MB"), [list(row(*item)) for item in found.items()])


if __name__ == "__main__":
    main()
