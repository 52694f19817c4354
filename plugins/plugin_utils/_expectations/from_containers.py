# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Choose the connections that containers of a host try as well, to test the rules for forwarded packets."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ansible_collections.hpc.ports.plugins.module_utils._model.evaluate import Packet, evaluate
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import Policy, parse_policy
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.connections import FILTERED, OPEN, Expectation

if TYPE_CHECKING:
    from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan

# Connections of each kind, for each IP version and protocol.
_MOST = {OPEN: 1, FILTERED: 2}


def tried_from_containers(plan: Plan, expectations: Sequence[Expectation]) -> dict[str, list[Expectation]]:
    """Return a few connections of each host that judges what its containers open: some open, some denied by its egress.

    Denied connections that the target would accept come first: only the rules of the source block them.
    """
    policies = _restricting_policies(plan)
    chosen: dict[str, list[Expectation]] = defaultdict(list)
    count: Counter[tuple[str, bool, str, str]] = Counter()
    for expectation in sorted(expectations, key=lambda expectation: expectation.denied_by != "source"):
        policy = policies.get(plan.hosts.get(expectation.source, ""))
        kind = (expectation.source, ":" in expectation.address, expectation.protocol, expectation.expected)
        if policy and count[kind] < _MOST[expectation.expected] and _is_decided_by_egress(policy, expectation):
            count[kind] += 1
            chosen[expectation.source].append(expectation)
    return dict(chosen)


def _restricting_policies(plan: Plan) -> dict[str, Policy]:
    """Return the policies that restrict what containers may open, by their key."""
    return {
        key: parse_policy(policy)
        for key, policy in plan.policies.items()
        if policy["egress"] == "restricted" and policy.get("filtered_containers")
    }


def _is_decided_by_egress(policy: Policy, expectation: Expectation) -> bool:
    """Return whether the connection is open, or the source denies it; containers may open what their host may open."""
    packet = Packet("out", expectation.protocol, expectation.address, expectation.port, interface="")
    return expectation.expected == OPEN or not evaluate(policy, packet).passes
