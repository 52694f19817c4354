# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The connections that containers tried: their verdicts, and the diagnosis of those that are wrong.

They test how a host forwards the packets of its containers. The host counts the packets that come from a container and
those that leave the host, so the verdict depends on nothing else: the target sees the address of the host if the host
masquerades it, and otherwise an address that no flow has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._model.wire import ContainerResult
from ansible_collections.hpc.ports.plugins.plugin_utils._expectations.expected import OPEN, Expectation
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.diagnosis import ACCEPT, Diagnosis, PacketJudgement
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.evidence import ERROR, MISSING, Results
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.host_answers import Registered
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.verdicts import RIGHT, UNPROVEN, WRONG, Verdict

_REPAIR = (
    "Run the playbook site on {0}. The chain forward of hpc.ports judges packets of containers on the interfaces in "
    "firewall_filtered_containers, but not on those in firewall_trusted_interfaces."
)


class TriedContainer(NamedTuple):
    """A container from which its host tried connections."""

    host: str
    result: ContainerResult

    @property
    def name(self) -> str:
        """Return the name of the container as a source in reports."""
        return f"{self.host} (container {self.result['address']})"


def tried_containers(answers: Registered) -> list[TriedContainer]:
    """Return the containers in the answers of hosts."""
    return [
        TriedContainer(host, result)
        for host, phases in answers.items()
        for result in phases["probed"].get("containers", ())
    ]


# ---- verdicts


def container_verdicts(
    containers: Sequence[TriedContainer], from_containers: Mapping[str, Sequence[Expectation]], results: Results
) -> Iterator[Verdict]:
    """Yield a verdict for each connection that a container tried; `from_containers` are those that it should try."""
    for container in containers:
        for expectation in from_containers.get(container.host, ()):
            denied_by = "" if expectation.expected == OPEN else "source"
            tried = expectation._replace(source=container.name, denied_by=denied_by)
            seen = results.seen(tried)
            if seen.outcome != MISSING:
                verdict, why = _verdict_and_why(tried, container, results)
                yield Verdict(tried, seen, results.holder(tried)[0], verdict, why, container.host)


def _verdict_and_why(expectation: Expectation, container: TriedContainer, results: Results) -> tuple[str, str]:
    seen, left, host = results.seen(expectation), results.counters(expectation)["left"], container.host
    if seen.outcome == ERROR or results.reached_own_host(expectation) == 0:
        return UNPROVEN, f"The container sent no packet over {host}. {seen.detail}".rstrip()
    is_answered = seen.outcome == OPEN
    if is_answered and left == 0:
        return UNPROVEN, f"Something answered although {host} did not forward the packet: its rules redirect it."
    if expectation.expected == OPEN:
        return _verdict_of_allowed(container, is_answered, left)
    if left or is_answered:
        return WRONG, f"{host} forwarded the packet of its container on {container.result['interface']}."
    if left is None:
        return UNPROVEN, f"The packets were not counted on {host}, so the missing answer proves nothing."
    return RIGHT, ""


def _verdict_of_allowed(container: TriedContainer, is_answered: bool, left: int | None) -> tuple[str, str]:
    host = container.host
    if is_answered:
        return RIGHT, ""
    if left == 0:
        return WRONG, f"{host} did not forward the packet of its container on {container.result['interface']}."
    return UNPROVEN, (
        f"{host} forwarded the packet of its container, but nothing answered: the target may not know its address."
        if left
        else f"The packets were not counted on {host}, so the missing answer proves nothing."
    )


# ---- diagnosis


def diagnosis_of_container(verdict: Verdict, out: PacketJudgement | None) -> Diagnosis:
    """Return why a host forwards packets of its container that it should not, or does not forward others.

    `out` is the judgement of the host's ruleset on the packet.
    """
    expectation, host = verdict.expectation, verdict.container_of
    port, why = f"{expectation.port}/{expectation.protocol} of {expectation.target}", verdict.why.rstrip(".")
    if expectation.expected != OPEN:
        by = f": {out.where}" if out and out.verdict == ACCEPT and out.table and not out.unknown else ""
        text = f"No flow allows {host} to connect to {port}, but {why}{by}."
        return Diagnosis("ruleset_allows", text, _REPAIR.format(host))
    if not out or not out.is_stopped:
        return Diagnosis(
            "unknown",
            f"{verdict.why} {(out and out.unknown) or 'No known rule drops it.'}",
            f"Check on {host}: `nft list ruleset`, `sysctl net.ipv4.ip_forward`, `ip route get {expectation.address}`.",
        )
    may = f"flow {expectation.flow} allows {host}" if expectation.flow else f"the plan allows {host}"
    text = f"on {host} drop packets of its container to {port} ({out.where}), but {may} to connect there."
    if out.is_ours:
        return Diagnosis("ruleset_drops", f"The rules of hpc.ports {text}", _REPAIR.format(host))
    return Diagnosis(
        "other_table",
        f"Rules of another program {text}",
        f"Change that rule on {host}: an accept of hpc.ports does not override a drop of another table.",
    )
