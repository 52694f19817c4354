# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tasks of a run of verify registered on the hosts, made the run that cells are made of."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

from ansible_collections.hpc.ports.plugins.module_utils._model.shown import shown_start
from ansible_collections.hpc.ports.plugins.plugin_utils._expectations.host_tasks import VerifyRun
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import LONGEST
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.answers import (
    complete_answers,
    is_port,
    parsed,
    unreadable_hosts,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.cells import Compared, Run, addresses_of
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.evidence import Origin, Results
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.from_containers import (
    container_verdicts,
    tried_containers,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.host_answers import HostAnswers, Registered
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.suspects import (
    SuspectPacket,
    judgements_of,
    packets_of,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.verdicts import (
    UNKNOWN,
    UNREAD,
    WRONG,
    Verdict,
    verdicts_of,
)

if TYPE_CHECKING:
    from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan

# Returns the variables of a host.
VariablesOf = Callable[[str], Mapping[str, Any]]


def registered(names: Mapping[str, str], hosts: Iterable[str], variables_of: VariablesOf) -> Registered:
    """Return what was registered, as far as it can be read (see `parsed`).

    `names` has the variable of each phase, `variables_of` gives those of a host.
    """
    raw = {host: variables_of(host) for host in hosts}
    return {
        host: cast(HostAnswers, {phase: parsed(phase, variables.get(name)) for phase, name in names.items()})
        for host, variables in raw.items()
    }


def left_out(hosts: Iterable[str], variables_of: VariablesOf) -> dict[str, str]:
    """Return why hosts of the play take no part in the tests: the run has lost them before."""
    results = {host: variables_of(host).get("firewall_result") for host in sorted(hosts)}
    return {
        host: shown_start(str(result["msg"]), LONGEST)
        if isinstance(result, Mapping) and result.get("failed") and "msg" in result
        else "It failed or was not reached before the tests; see above."
        for host, result in results.items()
    }


def published_of(hosts: Iterable[str], names: Collection[str], variables_of: VariablesOf) -> dict[str, list[str]]:
    """Return the ports that other programs publish, by host, from results of the module `firewall`."""
    return {
        host: ports
        for host in hosts
        for result in map(variables_of(host).get, names)
        for ports in [_published_ports(result)]
        if ports
    }


def _published_ports(result: Any) -> list[str]:
    other_rules = result.get("other_rules") if isinstance(result, Mapping) else None
    ports = other_rules.get("published") if isinstance(other_rules, Mapping) else None
    return list(filter(is_port, ports)) if isinstance(ports, list) else []


def origins_of(plan: Plan, hosts: Iterable[str]) -> dict[str, Origin]:
    """Return where these hosts come from, as the inventory says."""
    known = plan.inventory.hosts
    return {
        host: Origin(addresses_of(plan, host, source=True), known[host].source_addresses != known[host].addresses)
        for host in hosts
    }


def results_of(plan: Plan, verify_run: VerifyRun, answers: Registered) -> Results:
    """Return what the hosts reported of their probes and listeners, and what their containers probed."""
    probed = {host: phases["probed"]["results"] for host, phases in answers.items() if "results" in phases["probed"]}
    origins, containers = origins_of(plan, answers), tried_containers(answers)
    return Results(
        probed={**probed, **{container.name: container.result["results"] for container in containers}},
        stopped={host: phases["stopped"] for host, phases in answers.items()},
        nonces={host: part["nonce"] for host, part in verify_run.parts.items()},
        passive=verify_run.options.passive,
        origins={**origins, **{container.name: Origin(origins[container.host].addresses) for container in containers}},
        containers={container.name: container.host for container in containers},
    )


def compared_of(verify_run: VerifyRun, answers: Registered) -> dict[str, Compared]:
    """Return whether the hosts run their policy, of those that were asked, or of which nothing is known."""
    compared = {}
    for host, phases in answers.items():
        result = phases["compared"]
        if "changes" in result:
            objects = tuple(result["changes"]["objects"])
            compared[host] = Compared(not objects, objects, backend=result.get("backend", ""))
        elif result and not result.get("skipped"):
            compared[host] = Compared(None, reason=str(result.get("msg", "")))
        elif verify_run.parts[host]["managed"] and not any(phases.values()):
            compared[host] = Compared(
                None, reason="It reported no results: Ansible did not reach it, or a task failed."
            )
    return compared


def judged_verdicts(plan: Plan, verify_run: VerifyRun, results: Results) -> list[Verdict]:
    """Return the verdicts of the connections of hosts."""
    services = plan.catalogue.services
    broad = {
        flow.name for flow in plan.flows_on.values() if not any(services[name].has_own_ports for name in flow.services)
    }
    return verdicts_of(verify_run.expected.expectations, results, broad)


def _all_verdicts(plan: Plan, verify_run: VerifyRun, answers: Registered, results: Results) -> list[Verdict]:
    """Return the verdicts of the connections of hosts, and then those of their containers."""
    return [
        *judged_verdicts(plan, verify_run, results),
        *container_verdicts(tried_containers(answers), verify_run.from_containers, results),
    ]


def suspects(plan: Plan, verify_run: VerifyRun, answers: Registered) -> dict[str, list[SuspectPacket]]:
    """Return by host the packets to judge."""
    verdicts = _all_verdicts(plan, verify_run, answers, results_of(plan, verify_run, answers))
    drifted = {host for host, comparison in compared_of(verify_run, answers).items() if comparison.is_equal is False}
    return packets_of(verdicts, drifted)


def run_of(plan: Plan, verify_run: VerifyRun, answers: Registered) -> tuple[Run, list[Verdict]]:
    """Return all that is known of a run, and its verdicts."""
    results, packets = results_of(plan, verify_run, answers), suspects(plan, verify_run, answers)
    checked_answers = complete_answers(answers, packets)
    judgements = judgements_of(
        packets,
        {
            host: phases["judged"]["judgements"]
            for host, phases in checked_answers.items()
            if "judgements" in phases["judged"]
        },
    )
    run = Run(plan, results, compared_of(verify_run, checked_answers), judgements, unreadable_hosts(checked_answers))
    verdicts = map(run.reconsidered, map(run.with_published, _all_verdicts(plan, verify_run, answers, results)))
    return run, list(_verdicts_of_readable(verdicts, run.unreadable))


def _verdicts_of_readable(verdicts: Iterable[Verdict], hosts: Mapping[str, str]) -> Iterable[Verdict]:
    """Yield the verdicts; a right one becomes unknown if the results of its source or target cannot be read."""
    for verdict in verdicts:
        ends = [host for host in (verdict.source_host, verdict.expectation.target) if host in hosts]
        is_unknown = bool(ends) and verdict.verdict != WRONG
        yield verdict._replace(verdict=UNKNOWN, why=UNREAD.format(ends[0])) if is_unknown else verdict
