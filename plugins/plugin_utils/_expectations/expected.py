# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Expectations: the connections that a plan says pass or must not, to be held against real ones."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._model.ports import parse_ports
from ansible_collections.hpc.ports.plugins.plugin_utils._expectations.probed_ports import portless, probed_ports
from ansible_collections.hpc.ports.plugins.plugin_utils._expectations.sampling import chosen_by_class
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError, invalid
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.connections import (
    FILTERED,
    OPEN,
    Connections,
    Expectation,
    Skipped,
    port_text,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.host_classes import HostClass, classes_of

if TYPE_CHECKING:
    from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan

__all__ = [
    "FILTERED",
    "MOST",
    "MOST_PUBLISHED",
    "OPEN",
    "Expectation",
    "Expected",
    "Skipped",
    "expected_of",
    "port_text",
    "probed_ports",
    "selected",
]
# What is tried at most, unless flows and what the documents warn of need more.
MOST = 50_000
# Of the ports that a host has published.
MOST_PUBLISHED = 500


class Expected(NamedTuple):
    """What a plan expects of some hosts.

    `unmanaged` are the sources that the plan gives no policy. `classes` are the hosts that are alike, by name.
    """

    expectations: list[Expectation]
    skipped: list[Skipped]
    unmanaged: list[str]
    classes: Mapping[str, list[str]] = MappingProxyType({})


def expected_of(
    plan: Plan,
    hosts: Collection[str],
    query: str = "",
    most: int = MOST,
    published: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> Expected:
    """Return the expectations among these hosts.

    Where they are not more than `most`: each managed host as target, one of each class as source, every port. Else
    chosen by class, see `chosen_by_class`. Ports that a host has published, such as `8080/tcp`, are tried on it besides,
    from one host of each class. `query` is a JMESPath expression that selects among the expectations.
    Raises PortFileError for a bad one.
    """
    connections = Connections(plan, sorted(hosts))
    classes = classes_of(connections)
    ports = {item.policy: probed_ports(plan, connections.policy(item.policy)) for item in classes if item.policy}
    whole = matrix_size(connections, classes, ports)
    if whole <= most:
        found = _matrix(connections, classes, ports)
    else:
        found = chosen_by_class(connections, classes, ports, most)
        _say_what_is_left(connections, len(found), whole)
    found = list(dict.fromkeys([*found, *_to_published(connections, classes, published)]))
    names = portless(plan)
    if names:
        connections.skip("", "", f"No ports to probe: {', '.join(names)}.", len(names))
    found = selected(found, query)
    return Expected(
        found,
        connections.skipped(),
        sorted({item.source for item in found} - plan.hosts.keys()),
        {item.name: list(item.members) for item in classes},
    )


def _to_published(
    connections: Connections, classes: list[HostClass], published: Mapping[str, Sequence[str]]
) -> list[Expectation]:
    ports = {target: _some(connections, target, published.get(target, ())) for target in connections.managed}
    return [
        item
        for number, target in enumerate(connections.managed)
        if ports[target]
        for source in _sources(classes, target, number)
        for item in _pair(connections, source, target, ports[target])
    ]


def _some(connections: Connections, target: str, published: Sequence[str]) -> list[tuple[str, int]]:
    """Return the first ports that a host has published, and note how many more there are: it is the host that says so."""
    ports = list(dict.fromkeys(published))
    if len(ports) > MOST_PUBLISHED:
        connections.skip(
            "",
            "",
            f"{target} publishes {len(ports)} ports; {MOST_PUBLISHED} of them are tested.",
            len(ports) - MOST_PUBLISHED,
        )
    return [(item.protocol, item.first) for item in map(parse_ports, ports[:MOST_PUBLISHED])]


def matrix_size(connections: Connections, classes: list[HostClass], ports: Mapping[str, Collection[object]]) -> int:
    """Return how many connections it takes when every port of each managed host is tried from one of each class.

    Two hosts of which nothing can be expected count too.
    """
    versions = [{item.version for item in connections.comes_from[found.members[0]]} for found in classes]
    total = 0
    for target in connections.managed:
        reached = [item.version for item in connections.reached[target]]
        sources = sum(
            reached.count(version)
            for found, known in zip(classes, versions)
            if found.members != (target,)
            for version in known
        )
        total += sources * len(ports[connections.plan.hosts[target]])
    return total


def _say_what_is_left(connections: Connections, tried: int, whole: int) -> None:
    left = sum(item.connections for item in connections.skipped())
    connections.skip(
        "",
        "",
        (
            "Hosts with identical rules share the tests: each flow is tested between every two classes of hosts, each "
            "port that the documents warn about on every host, and every other closed port once for every two roles "
            "of hosts. "
            f"With verify_most at {whole} or more, each port of each managed host is tested from one host of each "
            "class."
        ),
        max(0, whole - tried - left),
    )


# ---- every port


def _matrix(
    connections: Connections, classes: list[HostClass], ports: Mapping[str, list[tuple[str, int]]]
) -> list[Expectation]:
    found: list[Expectation] = []
    for number, target in enumerate(connections.managed):
        for source in _sources(classes, target, number):
            found += _pair(connections, source, target, ports[connections.plan.hosts[target]])
    return found


def _sources(classes: list[HostClass], target: str, number: int) -> Iterator[str]:
    """Yield a host of each class, not always its first, so that the probes are shared among its members."""
    for members in (item.members for item in classes):
        others = [name for name in members if name != target]
        if others:
            yield others[number % len(others)]


def _pair(connections: Connections, source: str, target: str, ports: list[tuple[str, int]]) -> list[Expectation]:
    """What is expected of one source and one target; notes where nothing is."""
    found: list[Expectation] = []
    reason = connections.why_not(source, target)
    if reason:
        connections.skip(source, target, reason)
        return found
    for address in connections.reached[target]:
        no_way = connections.no_way(source, address)
        if no_way:
            connections.skip(source, target, no_way, len(ports))
        for protocol, port in ports if connections.froms(source, address) else ():
            item = connections.expectation(source, target, address, protocol, port)
            if item:
                found.append(item)
            else:
                connections.skip_dependent(source, target, address)
    return found


# ---- selecting


def selected(expectations: list[Expectation], query: str) -> list[Expectation]:
    """Return the expectations that a JMESPath expression selects; all of them without one. Raises PortFileError."""
    if not query:
        return expectations
    import jmespath  # the controller has it, a sanity test has not
    from jmespath.exceptions import JMESPathError

    try:
        found = jmespath.search(query, [item._asdict() for item in expectations])
    except JMESPathError as exc:
        raise _invalid_query(query, str(exc)) from exc
    known = set(expectations)
    try:
        chosen = {Expectation(**item) for item in found}
    except TypeError as exc:
        raise _invalid_query(query, "The expression returns something else.") from exc
    if not chosen <= known:
        raise _invalid_query(query, "The expression returns something else.")
    return [item for item in expectations if item in chosen]


def _invalid_query(query: str, advice: str) -> PortFileError:
    return invalid(
        "verify_query", query, "a JMESPath expression that selects expectations, such as [?target=='ctl1']", advice
    )
