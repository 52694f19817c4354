# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What hosts in observe mode have recorded and the port file still does not allow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ansible_collections.hpc.ports.plugins.module_utils._model.policy import Policy, parse_policy
from ansible_collections.hpc.ports.plugins.module_utils._model.ports import PortRange
from ansible_collections.hpc.ports.plugins.plugin_utils._audit.allowed import peers_of
from ansible_collections.hpc.ports.plugins.plugin_utils._audit.checked import invalid_answer
from ansible_collections.hpc.ports.plugins.plugin_utils._audit.ends import ADDRESS, HOST, End, Ends, Peer, is_impossible
from ansible_collections.hpc.ports.plugins.plugin_utils._audit.recorded import Record, Recorded, RecordedPort
from ansible_collections.hpc.ports.plugins.plugin_utils._audit.seen import Count, Openings

if TYPE_CHECKING:
    from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan


@dataclass
class Denied:
    """Recorded connections that no flow allows.

    `unanswered` has the packets of each host from other hosts than those of the inventory to ports that nobody holds.
    `impossible` has the packets of each host from addresses that no host can send from, `to_containers` those that
    were routed straight to containers, which no flow opens. `allowed` is how many records the port file allows now.
    `invalid` says which hosts gave invalid records.
    """

    openings: Openings = field(default_factory=Openings)
    unanswered: dict[str, int] = field(default_factory=dict)
    impossible: dict[str, int] = field(default_factory=dict)
    to_containers: dict[str, int] = field(default_factory=dict)
    allowed: int = 0
    invalid: dict[str, str] = field(default_factory=dict)


def denied_of(plan: Plan, recorded: Mapping[str, Recorded]) -> Denied:
    """Return what the managed hosts have recorded and no flow of the plan allows."""
    policies = {key: parse_policy(policy) for key, policy in plan.policies.items()}
    found, ends = Denied(), Ends(plan)
    for host in sorted(recorded.keys() & plan.hosts.keys()):
        try:
            _add_host(found, ends, host, policies[plan.hosts[host]], recorded[host])
        except ValueError as exc:
            found.invalid[host] = str(exc)
    return found


def _add_host(found: Denied, ends: Ends, host: str, policy: Policy, recorded: Recorded) -> None:
    # First all addresses, so that nothing is added of a host with an invalid one.
    for port in recorded.ports:
        for record in port.records:
            _check_addresses(ends, record)
    served = recorded.served
    for port in recorded.ports:
        if port.direction == "forward":
            _add_forwarded(found, ends, host, policy, recorded, port)
        else:
            _add_port(found, ends, host, policy, port, _is_held(served, port))


def _is_held(served: Iterable[tuple[PortRange, str]], port: RecordedPort) -> bool:
    """Return whether something may answer on a port of the host; IP protocols have no listeners."""
    return port.protocol == "ip" or any(ports.covers(port.protocol, port.port) for ports, _by in served)


def _check_addresses(ends: Ends, record: Record) -> None:
    try:
        _peer, _target = ends[record.peer], ends[record.target or record.peer]
    except ValueError:
        raise invalid_answer("peers", f"{record.peer} {record.target}".strip(), "addresses") from None


def _add_port(found: Denied, ends: Ends, host: str, policy: Policy, port: RecordedPort, is_held: bool) -> None:
    allowed = peers_of(policy, port.direction, port.protocol, port.port)
    key, own, is_in = (port.protocol, port.port), End(HOST, host), port.direction == "in"
    for record in port.records:
        peer = ends[record.peer]
        if allowed.have(peer.version, peer.number):
            found.allowed += 1
        elif is_in and peer.end.kind == ADDRESS and is_impossible(record.peer):
            found.impossible[host] = found.impossible.get(host, 0) + record.packets
        elif is_in and peer.end.kind != HOST and not is_held:
            found.unanswered[host] = found.unanswered.get(host, 0) + record.packets
        elif is_in:
            found.openings.add(key, own, peer.end, Count(record.packets, 0, record.last_seconds))
        else:
            found.openings.add(key, peer.end, own, Count(0, record.packets, record.last_seconds))


def _add_forwarded(
    found: Denied, ends: Ends, host: str, policy: Policy, recorded: Recorded, port: RecordedPort
) -> None:
    """Add what containers of the host opened; a container may open what its host may open."""
    allowed = peers_of(policy, "out", port.protocol, port.port)
    for record in port.records:
        source, target = ends[record.peer], ends[record.target]
        if _is_container(recorded, target) or source.end.kind != ADDRESS and not _is_container(recorded, source):
            found.to_containers[host] = found.to_containers.get(host, 0) + record.packets
        elif allowed.have(target.version, target.number):
            found.allowed += 1
        else:
            count = Count(0, record.packets, record.last_seconds)
            found.openings.add((port.protocol, port.port), target.end, End(HOST, host), count)


def _is_container(recorded: Recorded, peer: Peer) -> bool:
    return any(
        network.version == peer.version and int(network[0]) <= peer.number <= int(network[-1])
        for network in recorded.container_networks
    )
