# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tasks of a run of verify registered on the hosts, made the run that cells are made of."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ansible_collections.hpc.ports.plugins.module_utils._model.shown import shown_start
from ansible_collections.hpc.ports.plugins.plugin_utils._expectations.host_tasks import VerifyRun
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import LONGEST
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.answers import (
    Registered,
    counted,
    is_port,
    parsed,
    unreadable_hosts,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.cells import Compared, Run, addresses_of
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.evidence import Origin, Results
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.suspects import judgements_of, packets_of
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.verdicts import (
    UNKNOWN,
    UNREAD,
    WRONG,
    Verdict,
    verdicts_of,
)

if TYPE_CHECKING:
    from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan


def registered(names: Mapping[str, str], hosts: Any, variables_of: Any) -> Registered:
    """Return what was registered, as far as it can be read (see `parsed`).

    `names` has the variable of each phase, `variables_of` gives those of a host.
    """
    raw = {host: variables_of(host) for host in hosts}
    return {
        host: {phase: parsed(phase, found.get(name)) for phase, name in names.items()} for host, found in raw.items()
    }


def left_out(hosts: Any, variables_of: Any) -> dict[str, str]:
    """Return why hosts of the play take no part in the tests: the run has lost them before."""
    said = {host: variables_of(host).get("firewall_result") for host in sorted(hosts)}
    return {
        host: shown_start(str(result["msg"]), LONGEST)
        if isinstance(result, Mapping) and result.get("failed") and "msg" in result
        else "It failed or was not reached before the tests; see above."
        for host, result in said.items()
    }


def published_of(hosts: Any, names: Collection[str], variables_of: Any) -> dict[str, list[str]]:
    """Return the ports that other programs publish, by host, from results of the module `firewall`."""
    return {
        host: ports
        for host in hosts
        for said in map(variables_of(host).get, names)
        for ports in [_published(said)]
        if ports
    }


def _published(said: Any) -> list[str]:
    others = said.get("other_rules") if isinstance(said, Mapping) else None
    ports = others.get("published") if isinstance(others, Mapping) else None
    return list(filter(is_port, ports)) if isinstance(ports, list) else []


def origins_of(plan: Plan, hosts: Iterable[str]) -> dict[str, Origin]:
    """Return where these hosts come from, as the inventory says."""
    known = plan.inventory.hosts
    return {
        host: Origin(addresses_of(plan, host, source=True), known[host].source_addresses != known[host].addresses)
        for host in hosts
    }


def results_of(plan: Plan, begun: VerifyRun, found: Registered) -> Results:
    """Return what the hosts reported of their probes and listeners."""
    return Results(
        probed={host: phases["probed"]["results"] for host, phases in found.items() if "results" in phases["probed"]},
        stopped={host: phases["stopped"] for host, phases in found.items()},
        nonces={host: part["nonce"] for host, part in begun.parts.items()},
        passive=begun.options.passive,
        origins=origins_of(plan, found),
    )


def compared_of(begun: VerifyRun, found: Registered) -> dict[str, Compared]:
    """Return whether the hosts run their policy, of those that were asked, or of which nothing is known."""
    compared = {}
    for host, phases in found.items():
        said = phases["compared"]
        if "changes" in said:
            objects = tuple(said["changes"]["objects"])
            compared[host] = Compared(not objects, objects, backend=said.get("backend", ""))
        elif said and not said.get("skipped"):
            compared[host] = Compared(None, reason=str(said.get("msg", "")))
        elif begun.parts[host]["managed"] and not any(phases.values()):
            compared[host] = Compared(
                None, reason="It reported no results: Ansible did not reach it, or a task failed."
            )
    return compared


def judged_verdicts(plan: Plan, begun: VerifyRun, results: Results) -> list[Verdict]:
    """Return the verdicts of a run."""
    services = plan.catalogue.services
    broad = {flow.name for flow in plan.flows_on.values() if all(services[name].broad for name in flow.services)}
    return verdicts_of(begun.expected.expectations, results, broad)


def suspects(plan: Plan, begun: VerifyRun, found: Registered) -> dict[str, Any]:
    """Return by host the packets to judge."""
    verdicts = judged_verdicts(plan, begun, results_of(plan, begun, found))
    drifted = {host for host, item in compared_of(begun, found).items() if item.is_equal is False}
    return packets_of(verdicts, drifted)


def run_of(plan: Plan, begun: VerifyRun, found: Registered) -> tuple[Run, list[Verdict]]:
    """Return all that is known of a run, and its verdicts."""
    results, packets = results_of(plan, begun, found), suspects(plan, begun, found)
    said = counted(found, packets)
    judgements = judgements_of(
        packets,
        {host: phases["judged"]["judgements"] for host, phases in said.items() if "judgements" in phases["judged"]},
    )
    run = Run(plan, results, compared_of(begun, said), judgements, unreadable_hosts(said))
    verdicts = map(run.reconsidered, map(run.with_published, judged_verdicts(plan, begun, results)))
    return run, list(_believed(verdicts, run.unreadable))


def _believed(verdicts: Iterable[Verdict], hosts: Mapping[str, str]) -> Iterable[Verdict]:
    """Yield the verdicts; a right one becomes unknown if the results of its source or target cannot be read."""
    for item in verdicts:
        ends = [host for host in (item.expectation.source, item.expectation.target) if host in hosts]
        yield item._replace(verdict=UNKNOWN, why=UNREAD.format(ends[0])) if ends and item.verdict != WRONG else item
