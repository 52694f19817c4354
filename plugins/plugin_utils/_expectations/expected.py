# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Choose the connections to test, and what the plan expects of each: open or filtered."""

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
# Maximum number of connections, unless flows and the ports that the documents warn about need more.
MOST = 50_000
# Maximum number of published ports of a host.
MOST_PUBLISHED = 500


class Expected(NamedTuple):
    """The expectations of a plan among some hosts.

    `unmanaged` are the sources without a policy. `classes` are the hosts of each class by the name of the class.
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

    If there are at most `most`, every port of each managed host is tested from one host of each class. Otherwise, the
    connections are chosen by class, see `chosen_by_class`. In addition, the `published` ports of a host, such as
    `8080/tcp`, are tested from one host of each class. `query` is a JMESPath expression that selects expectations.
    Raises PortFileError for an invalid query.
    """
    connections = Connections(plan, sorted(hosts))
    classes = classes_of(connections)
    ports = {
        host_class.policy: probed_ports(plan, connections.policy(host_class.policy))
        for host_class in classes
        if host_class.policy
    }
    all_connections = matrix_size(connections, classes, ports)
    if all_connections <= most:
        expectations = _matrix(connections, classes, ports)
    else:
        expectations = chosen_by_class(connections, classes, ports, most)
        _note_sampling(connections, len(expectations), all_connections)
    expectations = list(dict.fromkeys([*expectations, *_to_published(connections, classes, published)]))
    names = portless(plan)
    if names:
        connections.skip("", "", f"No ports to probe: {', '.join(names)}.", len(names))
    expectations = selected(expectations, query)
    return Expected(
        expectations,
        connections.skipped(),
        sorted({expectation.source for expectation in expectations} - plan.hosts.keys()),
        {host_class.name: list(host_class.members) for host_class in classes},
    )


def _to_published(
    connections: Connections, classes: list[HostClass], published: Mapping[str, Sequence[str]]
) -> list[Expectation]:
    ports = {target: _limited_ports(connections, target, published.get(target, ())) for target in connections.managed}
    return [
        expectation
        for number, target in enumerate(connections.managed)
        if ports[target]
        for source in _one_of_each_class(classes, target, number)
        for expectation in _expectations_of(connections, source, target, ports[target])
    ]


def _limited_ports(connections: Connections, target: str, published: Sequence[str]) -> list[tuple[str, int]]:
    """Return the first published ports of a host, and note how many are skipped. The host reports them: limit them."""
    ports = list(dict.fromkeys(published))
    if len(ports) > MOST_PUBLISHED:
        connections.skip(
            "",
            "",
            f"{target} publishes {len(ports)} ports; {MOST_PUBLISHED} of them are tested.",
            len(ports) - MOST_PUBLISHED,
        )
    return [(port_range.protocol, port_range.first) for port_range in map(parse_ports, ports[:MOST_PUBLISHED])]


def matrix_size(connections: Connections, classes: list[HostClass], ports: Mapping[str, Collection[object]]) -> int:
    """Return the number of connections to test every port of each managed host from one host of each class.

    It includes pairs of hosts for which nothing can be expected.
    """
    versions = [
        {address.version for address in connections.comes_from[host_class.members[0]]} for host_class in classes
    ]
    total = 0
    for target in connections.managed:
        reached = [address.version for address in connections.reached[target]]
        sources = sum(
            reached.count(version)
            for host_class, versions_of_class in zip(classes, versions)
            if host_class.members != (target,)
            for version in versions_of_class
        )
        total += sources * len(ports[connections.plan.hosts[target]])
    return total


def _note_sampling(connections: Connections, tried: int, all_connections: int) -> None:
    left = sum(skipped.connections for skipped in connections.skipped())
    connections.skip(
        "",
        "",
        (
            "Hosts with identical rules share the tests: each flow is tested between every two classes of hosts, each "
            "port that the documents warn about on every host, and every other closed port once for every two roles "
            f"of hosts. With verify_most at {all_connections} or more, each port of each managed host is tested from "
            "one host of each class."
        ),
        max(0, all_connections - tried - left),
    )


# ---- every port


def _matrix(
    connections: Connections, classes: list[HostClass], ports: Mapping[str, list[tuple[str, int]]]
) -> list[Expectation]:
    expectations: list[Expectation] = []
    for number, target in enumerate(connections.managed):
        for source in _one_of_each_class(classes, target, number):
            expectations += _expectations_of(connections, source, target, ports[connections.plan.hosts[target]])
    return expectations


def _one_of_each_class(classes: list[HostClass], target: str, number: int) -> Iterator[str]:
    """Yield one host of each class, in turns, so that the members share the probes."""
    for members in (host_class.members for host_class in classes):
        others = [name for name in members if name != target]
        if others:
            yield others[number % len(others)]


def _expectations_of(
    connections: Connections, source: str, target: str, ports: list[tuple[str, int]]
) -> list[Expectation]:
    """Return the expectations of one source and one target, and note the connections without any."""
    expectations: list[Expectation] = []
    reason = connections.why_not(source, target)
    if reason:
        connections.skip(source, target, reason)
        return expectations
    for address in connections.reached[target]:
        no_route = connections.no_route(source, address)
        if no_route:
            connections.skip(source, target, no_route, len(ports))
        for protocol, port in ports if connections.source_addresses(source, address) else ():
            expectation = connections.expectation(source, target, address, protocol, port)
            if expectation:
                expectations.append(expectation)
            else:
                connections.skip_dependent(source, target, address)
    return expectations


# ---- selecting


def selected(expectations: list[Expectation], query: str) -> list[Expectation]:
    """Return the expectations that a JMESPath expression selects, or all if it is empty. Raises PortFileError."""
    if not query:
        return expectations
    import jmespath  # installed on the controller, but not for sanity tests
    from jmespath.exceptions import JMESPathError

    try:
        matches = jmespath.search(query, [expectation._asdict() for expectation in expectations])
    except JMESPathError as exc:
        raise _invalid_query(query, str(exc)) from exc
    all_of_plan = set(expectations)
    try:
        chosen = {Expectation(**match) for match in matches}
    except TypeError as exc:
        raise _invalid_query(query, "The expression returns something else.") from exc
    if not chosen <= all_of_plan:
        raise _invalid_query(query, "The expression returns something else.")
    return [expectation for expectation in expectations if expectation in chosen]


def _invalid_query(query: str, advice: str) -> PortFileError:
    return invalid(
        "verify_query", query, "a JMESPath expression that selects expectations, such as [?target=='ctl1']", advice
    )
