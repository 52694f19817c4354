# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tasks of each host in a run of verify: where it listens and what it probes."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from secrets import token_hex
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, TypedDict

from ansible_collections.hpc.ports.plugins.module_utils._model.wire import MOST_CONTAINERS
from ansible_collections.hpc.ports.plugins.plugin_utils._expectations.expected import (
    Expectation,
    Expected,
    expected_of,
    port_text,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._expectations.from_containers import tried_from_containers
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import invalid
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.networks import is_address

if TYPE_CHECKING:
    from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan


class Limits(NamedTuple):
    """The limits of a run.

    timeout      seconds to wait for an answer
    attempts     number of attempts before a connection without an answer counts as filtered
    concurrency  simultaneous connections of each host
    rate         new connections of each host per second
    forks        hosts that work at the same time
    most         maximum number of connections in the whole run
    """

    timeout: float
    attempts: int
    concurrency: int
    rate: float
    forks: int
    most: int


class VerifyOptions(NamedTuple):
    """The options of a run of verify. `passive` runs use no listeners."""

    hosts: Sequence[str]
    query: str
    passive: bool
    limits: Limits


class ContainerProbeGroup(TypedDict):
    """What a container probes at one address: `ports` such as `22/tcp`."""

    address: str
    ports: list[str]


class ProbeGroup(ContainerProbeGroup):
    """What a host probes at one address; it also looks up the host `names`, which should resolve to it."""

    names: list[str]


class ContainerTask(TypedDict):
    """What containers of a host probe; `interfaces` are patterns of the host's interfaces that lead to them."""

    interfaces: list[str]
    probes: list[ContainerProbeGroup]


class Progress(TypedDict):
    """How many hosts probe in this run, and how many connections they make in all."""

    hosts: int
    connections: int


class HostTask(TypedDict):
    """What one host does in a run of verify. The action returns it, and the role passes it to the host's modules.

    managed    whether the plan has a policy for the host
    passive    whether the run has no listeners
    key        secret of the run, which listeners and probes share; empty in a passive run
    nonce      what the listener of this host answers with; another one for each host and run
    listen     ports to listen on, such as `22/tcp`
    addresses  addresses at which other hosts probe this host
    lifetime   seconds after which the listener ends by itself
    probes     connections to make
    progress   size of the whole run
    counted    ports of all `probes`, whose packets the host counts
    containers  some of the `probes`, which containers of the host make as well
    """

    managed: bool
    passive: bool
    key: str
    nonce: str
    listen: list[str]
    addresses: list[str]
    lifetime: int
    probes: list[ProbeGroup]
    progress: Progress
    counted: list[str]
    containers: ContainerTask


class VerifyRun(NamedTuple):
    """A run of verify: its options, its expectations, and the task of each host.

    `from_containers` has by host what its containers try as well, see `tried_from_containers`.
    """

    options: VerifyOptions
    expected: Expected
    parts: dict[str, HostTask]
    from_containers: Mapping[str, Sequence[Expectation]]


def new_run(
    plan: Plan, options: VerifyOptions, published: Mapping[str, Sequence[str]] = MappingProxyType({})
) -> VerifyRun:
    """Return a run of verify with a new key and new nonces. Raises PortFileError for an invalid query or limit.

    `published` has the published ports by host, see `published_of`.
    """
    for name, value in options.limits._asdict().items():
        if value <= 0:
            raise invalid(f"verify_{name}", value, "a number greater than 0")
    expected = expected_of(plan, options.hosts, options.query, options.limits.most, published)
    from_containers = tried_from_containers(plan, expected.expectations)
    parts = tasks_of(plan, options, expected.expectations, from_containers)
    return VerifyRun(options, expected, parts, from_containers)


def tasks_of(
    plan: Plan,
    options: VerifyOptions,
    expectations: Sequence[Expectation],
    from_containers: Mapping[str, Sequence[Expectation]] = MappingProxyType({}),
) -> dict[str, HostTask]:
    """Return the task of each host. The key and the nonces are different in each run."""
    listen: Mapping[str, set[str]] = defaultdict(set)
    addresses: Mapping[str, set[str]] = defaultdict(set)
    tried: Mapping[str, list[Expectation]] = defaultdict(list)
    for expectation in expectations:
        listen[expectation.target].add(port_text(expectation))
        addresses[expectation.target].add(expectation.address)
        tried[expectation.source].append(expectation)
    most = max(map(len, tried.values()), default=0)
    key = "" if options.passive else token_hex(8)
    progress: Progress = {"hosts": len(tried), "connections": len(expectations)}
    return {
        host: {
            "managed": host in plan.hosts,
            "passive": options.passive,
            "key": key,
            "nonce": token_hex(8),
            "listen": sorted(listen[host], key=_in_order),
            "addresses": sorted(addresses[host]),
            "lifetime": lifetime(most, len(options.hosts), options.limits, MOST_CONTAINERS if from_containers else 0),
            "probes": _groups(plan, tried[host]),
            "progress": progress.copy(),
            "counted": sorted(set(map(port_text, tried[host])), key=_in_order),
            "containers": _container_task(plan, host, from_containers.get(host, ())),
        }
        for host in options.hosts
    }


def _groups(plan: Plan, expectations: Iterable[Expectation]) -> list[ProbeGroup]:
    """Return the ports to probe at each address."""
    ports: dict[tuple[str, str], list[str]] = defaultdict(list)
    for expectation in expectations:
        ports[expectation.target, expectation.address].append(port_text(expectation))
    return [
        {"address": address, "ports": ports_there, "names": names_of(plan, target)}
        for (target, address), ports_there in ports.items()
    ]


def _container_task(plan: Plan, host: str, expectations: Sequence[Expectation]) -> ContainerTask:
    interfaces = plan.policies[plan.hosts[host]].get("filtered_containers", []) if expectations else []
    groups: list[ContainerProbeGroup] = [
        {"address": group["address"], "ports": group["ports"]} for group in _groups(plan, expectations)
    ]
    return {"interfaces": list(interfaces), "probes": groups}


def _in_order(port: str) -> tuple[str, int]:
    number, slash, protocol = port.partition("/")
    return protocol, int(number)


def names_of(plan: Plan, host: str) -> list[str]:
    """Return the names in the addresses of a host, without its IP addresses."""
    return [text for text in plan.inventory.hosts[host].addresses if not is_address(text)]


def lifetime(most: int, hosts: int, limits: Limits, containers: int = 0) -> int:
    """Return the seconds after which every host is certainly done, if none sends more than `most` probes.

    The containers of a host probe one after the other, after the host.

    Ansible runs the hosts in groups of its number of forks: first all listen, then all probe.
    """
    turns = math.ceil(hosts / limits.forks)
    silence = limits.timeout * (limits.attempts + 1) * (math.ceil(most / limits.concurrency) + containers)
    pace = most * limits.attempts / limits.rate
    echoes = 6 * limits.timeout
    return 60 + math.ceil(turns * 2 * (20 + silence + pace + echoes))
