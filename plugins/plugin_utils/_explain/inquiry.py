# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What explain asks the two hosts, and the packets that their rulesets judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._model.ports import parse_ports
from ansible_collections.hpc.ports.plugins.plugin_utils._expectations.expected import Expected
from ansible_collections.hpc.ports.plugins.plugin_utils._expectations.host_tasks import (
    HostTask,
    Limits,
    VerifyOptions,
    VerifyRun,
    tasks_of,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.connections import OPEN, Connections, Expectation
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.reasons import Reasons, explained
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.suspects import SuspectPacket

if TYPE_CHECKING:
    from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan


_LIMITS = Limits(timeout=1.0, attempts=2, concurrency=10, rate=100.0, forks=1, most=100)


class Inquiry(NamedTuple):
    """The question about a connection, and the tasks of both hosts.

    `packets` are the packets that each host has to judge; the kernel of the source chooses its own address.
    `verify_run` has the tasks for a probe. `why_not` is the reason if the hosts are not asked.
    """

    reasons: Reasons
    verify_run: VerifyRun
    packets: Mapping[str, Sequence[SuspectPacket]]
    why_not: str = ""

    @property
    def parts(self) -> dict[str, HostTask]:
        """Return the task of each host in a probe; empty if there is nothing to probe: a protocol without ports."""
        expectations = self.verify_run.expected.expectations
        return self.verify_run.parts if expectations and expectations[0].protocol != "ip" else {}


def inquiry_of(plan: Plan, source: str, target: str, port: str) -> Inquiry:
    """Return the inquiry about a connection. Raise PortFileError for an invalid host or port."""
    reasons = explained(plan, source, target, port)
    hosts = list(dict.fromkeys((source, target)))
    why_not = Connections(plan, sorted(hosts)).why_not(source, target) if reasons.pairs else ""
    pairs = () if why_not else reasons.pairs
    ports, addresses = parse_ports(port), list(dict.fromkeys(pair.target_address for pair in pairs))
    expectations = [Expectation(source, target, address, ports.protocol, ports.first, OPEN) for address in addresses]
    options = VerifyOptions(hosts, "", False, _LIMITS)
    verify_run = VerifyRun(options, Expected(expectations, [], [], {}), tasks_of(plan, options, expectations), {})
    packets = {
        source: [packet_of("out", "", expectation) for expectation in expectations],
        target: [
            packet_of("in", pair.source_address, expectation)
            for expectation in expectations
            for pair in pairs
            if pair.target_address == expectation.address
        ],
    }
    return Inquiry(reasons, verify_run, packets if pairs else {}, why_not)


def packet_of(direction: str, source: str, expectation: Expectation) -> SuspectPacket:
    """Return the packet as one host sees it; a protocol without ports has its number in place of a name."""
    protocol, port = expectation.protocol, expectation.port
    if protocol == "ip":
        protocol, port = str(port), 0
    return SuspectPacket(direction, protocol, source, expectation.address, port)
