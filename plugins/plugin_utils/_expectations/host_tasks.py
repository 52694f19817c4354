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
from typing import TYPE_CHECKING, Any, NamedTuple

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


class Order(NamedTuple):
    """What a run of verify is asked: which hosts, which connections, with or without listeners."""

    hosts: Sequence[str]
    query: str
    passive: bool
    limits: Limits


class Begun(NamedTuple):
    """A run: what it was asked, what is expected, and the part of each host."""

    order: Order
    expected: Expected
    parts: dict[str, dict[str, Any]]


def begun(plan: Plan, order: Order, published: Mapping[str, Sequence[str]] = MappingProxyType({})) -> Begun:
    """Return a run of verify; its key and its nonces are its own. Raises PortFileError for a bad query or limit.

    `published` has by host the ports that rules of others translate there, see `published_of`.
    """
    for name, value in order.limits._asdict().items():
        if value <= 0:
            raise invalid(f"verify_{name}", value, "more than 0")
    expected = expected_of(plan, order.hosts, order.query, order.limits.most, published)
    return Begun(order, expected, tasks_of(plan, order, expected.expectations))


def tasks_of(plan: Plan, order: Order, expectations: Sequence[Expectation]) -> dict[str, dict[str, Any]]:
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
    key = "" if order.passive else token_hex(8)
    progress = {"hosts": len(probes), "connections": len(expectations)}
    return {
        host: {
            "managed": host in plan.hosts,
            "passive": order.passive,
            "key": key,
            "nonce": token_hex(8),
            "listen": sorted(listen[host], key=_in_order),
            "addresses": sorted(addresses[host]),
            "lifetime": lifetime(most, len(order.hosts), order.limits),
            "probes": [
                {"address": address, "ports": ports, "names": names_of(plan, target)}
                for (target, address), ports in probes[host].items()
            ],
            "progress": dict(progress),
            "counted": sorted({port for ports in probes[host].values() for port in ports}, key=_in_order),
        }
        for host in order.hosts
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
