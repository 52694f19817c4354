# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tasks: what each host is told, so that expectations are held against real connections."""

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
    """How hosts probe.

    timeout      seconds that an answer may take
    attempts     how many times a connection is tried before silence is believed
    concurrency  connections at a time of each host
    rate         connections that each host begins a second
    forks        hosts at a time
    most         connections of the whole run
    """

    timeout: float
    attempts: int
    concurrency: int
    rate: float
    forks: int
    most: int


class VerifyOptions(NamedTuple):
    """What a run of verify is asked: which hosts, which connections, with or without listeners."""

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
    """A run: what it was asked, what is expected, and the part of each host."""

    options: VerifyOptions
    expected: Expected
    parts: dict[str, HostTask]


def new_run(
    plan: Plan, options: VerifyOptions, published: Mapping[str, Sequence[str]] = MappingProxyType({})
) -> VerifyRun:
    """Return a run of verify; its key and its nonces are its own. Raises PortFileError for a bad query or limit.

    `published` has by host the ports that rules of others translate there, see `published_of`.
    """
    for name, value in options.limits._asdict().items():
        if value <= 0:
            raise invalid(f"verify_{name}", value, "a number greater than 0")
    expected = expected_of(plan, options.hosts, options.query, options.limits.most, published)
    return VerifyRun(options, expected, tasks_of(plan, options, expected.expectations))


def tasks_of(plan: Plan, options: VerifyOptions, expectations: Sequence[Expectation]) -> dict[str, HostTask]:
    """Return for each host its part, and what identifies it.

    `listen` on ports at `addresses` for `lifetime` seconds, say `nonce` to who knows `key`, and count at the ports
    `counted` as well; send `probes`. `managed` tells whether the host has a policy. The key and the nonces are
    different in each run.
    """
    listen: Mapping[str, set[str]] = defaultdict(set)
    addresses: Mapping[str, set[str]] = defaultdict(set)
    probes: Mapping[str, dict[tuple[str, str], list[str]]] = defaultdict(lambda: defaultdict(list))
    for item in expectations:
        listen[item.target].add(port_text(item))
        addresses[item.target].add(item.address)
        probes[item.source][item.target, item.address].append(port_text(item))
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
    """Return the names by which the inventory says that a host is reached; its addresses are none."""
    return [text for text in plan.inventory.hosts[host].addresses if not is_address(text)]


def lifetime(most: int, hosts: int, limits: Limits) -> int:
    """Return after how many seconds every host is done for certain, where none sends more than `most` probes.

    Hosts take turns, as many at a time as Ansible has forks, first to listen, then to probe.
    """
    turns = math.ceil(hosts / limits.forks)
    silence = limits.timeout * (limits.attempts + 1) * math.ceil(most / limits.concurrency)
    pace = most * limits.attempts / limits.rate
    echoes = 6 * limits.timeout
    return 60 + math.ceil(turns * 2 * (20 + silence + pace + echoes))
