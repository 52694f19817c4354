# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tasks of each host in a run of verify: where it listens and what it probes."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from secrets import token_hex
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, TypedDict

from ansible_collections.hpc.ports.plugins.plugin_utils._expectations.expected import (
    Expectation,
    Expected,
    expected_of,
    port_text,
)
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


class ProbeGroup(TypedDict):
    """What a host probes at one address: `ports` such as `22/tcp`, and the host `names` that should resolve to it."""

    address: str
    ports: list[str]
    names: list[str]


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


class VerifyRun(NamedTuple):
    """A run of verify: its options, its expectations, and the task of each host."""

    options: VerifyOptions
    expected: Expected
    parts: dict[str, HostTask]


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
    return VerifyRun(options, expected, tasks_of(plan, options, expected.expectations))


def tasks_of(plan: Plan, options: VerifyOptions, expectations: Sequence[Expectation]) -> dict[str, HostTask]:
    """Return the task of each host. The key and the nonces are different in each run."""
    listen: Mapping[str, set[str]] = defaultdict(set)
    addresses: Mapping[str, set[str]] = defaultdict(set)
    probes: Mapping[str, dict[tuple[str, str], list[str]]] = defaultdict(lambda: defaultdict(list))
    for expectation in expectations:
        listen[expectation.target].add(port_text(expectation))
        addresses[expectation.target].add(expectation.address)
        probes[expectation.source][expectation.target, expectation.address].append(port_text(expectation))
    most = max((sum(map(len, groups.values())) for groups in probes.values()), default=0)
    key = "" if options.passive else token_hex(8)
    progress: Progress = {"hosts": len(probes), "connections": len(expectations)}
    return {
        host: {
            "managed": host in plan.hosts,
            "passive": options.passive,
            "key": key,
            "nonce": token_hex(8),
            "listen": sorted(listen[host], key=_in_order),
            "addresses": sorted(addresses[host]),
            "lifetime": lifetime(most, len(options.hosts), options.limits),
            "probes": [
                {"address": address, "ports": ports, "names": names_of(plan, target)}
                for (target, address), ports in probes[host].items()
            ],
            "progress": progress.copy(),
            "counted": sorted({port for ports in probes[host].values() for port in ports}, key=_in_order),
        }
        for host in options.hosts
    }


def _in_order(port: str) -> tuple[str, int]:
    number, slash, protocol = port.partition("/")
    return protocol, int(number)


def names_of(plan: Plan, host: str) -> list[str]:
    """Return the names in the addresses of a host, without its IP addresses."""
    return [text for text in plan.inventory.hosts[host].addresses if not is_address(text)]


def lifetime(most: int, hosts: int, limits: Limits) -> int:
    """Return the seconds after which every host is certainly done, if none sends more than `most` probes.

    Ansible runs the hosts in groups of its number of forks: first all listen, then all probe.
    """
    turns = math.ceil(hosts / limits.forks)
    silence = limits.timeout * (limits.attempts + 1) * math.ceil(most / limits.concurrency)
    pace = most * limits.attempts / limits.rate
    echoes = 6 * limits.timeout
    return 60 + math.ceil(turns * 2 * (20 + silence + pace + echoes))
