# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tasks: what each host is told, so that expectations are held against real connections."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.hpc.ports.plugins.plugin_utils.errors import invalid
from ansible_collections.hpc.ports.plugins.plugin_utils.expectations import expected_of, port_text

if TYPE_CHECKING:
    from ansible_collections.hpc.ports.plugins.plugin_utils.plan import Plan


class Limits(NamedTuple):
    """How hosts probe: seconds an answer may take, attempts, connections at a time, and hosts at a time."""

    timeout: float
    attempts: int
    concurrency: int
    forks: int


def tasks_of(plan: Plan, hosts: Collection[str], query: str, limits: Limits) -> dict[str, dict[str, Any]]:
    """Return for each host its part: `listen` on ports at `addresses` for `lifetime` seconds, and `probes` to send.

    `managed` tells whether it has a policy. Raises PortFileError for a bad query or limit.
    """
    for name, value in limits._asdict().items():
        if value <= 0:
            raise invalid(f"verify_{name}", value, "more than 0")
    expectations = expected_of(plan, hosts, query).expectations
    listen: Mapping[str, set[tuple[str, int]]] = defaultdict(set)
    addresses: Mapping[str, set[str]] = defaultdict(set)
    probes: Mapping[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for item in expectations:
        listen[item.target].add((item.protocol, item.port))
        addresses[item.target].add(item.address)
        probes[item.source][item.address].append(port_text(item))
    most = max((sum(map(len, groups.values())) for groups in probes.values()), default=0)
    return {host: {
        "managed": host in plan.hosts,
        "listen": [f"{port}/{protocol}" for protocol, port in sorted(listen[host])],
        "addresses": sorted(addresses[host]),
        "lifetime": lifetime(most, len(hosts), limits),
        "probes": [{"address": address, "ports": ports} for address, ports in probes[host].items()],
    } for host in hosts}


def lifetime(most: int, hosts: int, limits: Limits) -> int:
    """Return after how many seconds every host is done for certain, where none sends more than `most` probes.

    Hosts take turns, as many at a time as Ansible has forks, first to listen, then to probe.
    """
    turns = math.ceil(hosts / limits.forks)
    silence = limits.timeout * limits.attempts * math.ceil(most / limits.concurrency)
    echoes = 6 * limits.timeout
    return 60 + math.ceil(turns * 2 * (20 + silence + echoes))
