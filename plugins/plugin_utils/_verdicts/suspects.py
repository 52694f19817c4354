# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Choose the packets that the rulesets of hosts have to judge, because a verdict is not right."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._model.wire import (
    TRANSLATED,
    WOULD_BE_TRANSLATED,
    JudgementData,
    TraceData,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._expectations.expected import FILTERED, OPEN
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.diagnosis import PacketJudgement
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.evidence import LISTENER
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.verdicts import UNKNOWN, WRONG, Verdict

_MOST = 3000  # packets a host: a host that drops everything has as many wrong verdicts as probes


class SuspectPacket(NamedTuple):
    """An opening packet as one host sees it: `in`, `out`, or `through` for a packet of its container."""

    direction: str
    protocol: str
    source: str
    destination: str
    port: int


# Whether a packet passed, and its answer; None if unknown.
_PacketAndAnswer = tuple["bool | None", "bool | None"]
# The judgements of rulesets, by host and packet.
Judgements = Mapping[tuple[str, SuspectPacket], "RulesetJudgement"]


class RulesetJudgement(NamedTuple):
    """What a host's ruleset does with a packet, and with the answer to it."""

    packet: PacketJudgement
    reply: PacketJudgement | None = None

    def as_seen(self, packet: bool | None, reply: bool | None) -> RulesetJudgement:
        """Return the judgement of packet and answer, decided by the counters where the rules are unclear."""
        return RulesetJudgement(self.packet.as_seen(packet), self.reply.as_seen(reply) if self.reply else None)


def packets_of(
    verdicts: Iterable[Verdict], drifted: Collection[str], most: int = _MOST
) -> dict[str, list[SuspectPacket]]:
    """Return the packets to judge, by host, up to a limit: first those of connections that are not right.

    For hosts that have drifted, all packets are judged.
    """
    packets_by_host: dict[str, dict[SuspectPacket, None]] = defaultdict(dict)
    for verdict in sorted(verdicts, key=lambda verdict: verdict.verdict not in (WRONG, UNKNOWN)):
        for host, packet in packets_at_ends(verdict):
            is_wanted = verdict.verdict in (WRONG, UNKNOWN) or host in drifted
            if is_wanted and packet.source and len(packets_by_host[host]) < most:
                packets_by_host[host][packet] = None
    return {host: list(packets) for host, packets in packets_by_host.items() if packets}


def packets_at_ends(verdict: Verdict) -> list[tuple[str, SuspectPacket]]:
    """Return the packet of a connection as the source and as the target see it.

    The packet of a container goes through its host. The target is not asked, because the address that
    it sees depends on NAT.
    """
    expectation = verdict.expectation
    if verdict.container_of:
        packet = SuspectPacket(
            "through", expectation.protocol, verdict.seen.source, expectation.address, expectation.port
        )
        return [(verdict.container_of, packet), (expectation.target, packet._replace(source=""))]
    return [
        (
            expectation.source,
            SuspectPacket("out", expectation.protocol, verdict.seen.source, expectation.address, expectation.port),
        ),
        (
            expectation.target,
            SuspectPacket("in", expectation.protocol, verdict.seen.peer, expectation.address, expectation.port),
        ),
    ]


def seen_passing(verdict: Verdict, counters: Mapping[str, int | None]) -> tuple[_PacketAndAnswer, _PacketAndAnswer]:
    """Return whether the packet and the answer were seen to pass the rules of the source, and of the target.

    If a packet was counted before the rules and not after them, the rules stopped it. This holds for an answer only if
    a listener certainly answers.
    """
    is_answering, outcome = verdict.held_by == LISTENER, verdict.seen.outcome
    is_accepted = {OPEN: True, FILTERED: False}.get(outcome) if counters["returned"] else None
    return (
        (_is_passed(1, counters["left"]), is_accepted),
        (
            _is_passed(counters["arrived"], counters["passed"]),
            _is_passed(counters["passed"] if is_answering else None, counters["answered"]),
        ),
    )


def _is_passed(before: int | None, after: int | None) -> bool | None:
    """Return whether packets passed, by the counts before and after the rules; None if unknown."""
    return True if after else False if before and after == 0 else None


def as_options(packets: Iterable[SuspectPacket]) -> list[dict[str, Any]]:
    """Return the options of the module `verify_judge`."""
    return [{**packet._asdict(), "reply": True} for packet in packets]


def judgements_of(
    packets: Mapping[str, Sequence[SuspectPacket]], answers: Mapping[str, Sequence[JudgementData]]
) -> Judgements:
    """Return the judgements of hosts, in the order of their packets; none for a host without an answer."""
    return {
        (host, packet): _ruleset_judgement(judgement)
        for host, host_packets in packets.items()
        for packet, judgement in zip(host_packets, answers.get(host, ()))
    }


def _ruleset_judgement(judgement: JudgementData) -> RulesetJudgement:
    packet = _packet_judgement(judgement)
    if "reverse_path" in judgement:
        packet = packet._replace(is_dropped_by_rp_filter=judgement["reverse_path"]["is_dropped"])
    reply = judgement.get("reply")
    return RulesetJudgement(packet, _packet_judgement(reply) if reply else None)


def _packet_judgement(trace: TraceData) -> PacketJudgement:
    """Return the judgement; keys other than the verdict may be missing."""
    return PacketJudgement(
        trace["verdict"],
        trace.get("table", ""),
        trace.get("chain", ""),
        trace.get("rule", ""),
        trace.get("is_ours", False),
        trace.get("unknown", ""),
        next(
            (
                note[len(prefix) :]
                for note in trace.get("notes", ())
                for prefix in (TRANSLATED, WOULD_BE_TRANSLATED)
                if note.startswith(prefix)
            ),
            "",
        ),
    )
