# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The packets that hosts judge, and their judgements."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.judge import parse_query
from ansible_collections.hpc.ports.plugins.modules.verify_judge import PACKET
from ansible_collections.hpc.ports.plugins.plugin_utils._expectations.expected import Expectation
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.diagnosis import PacketJudgement
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.evidence import COUNTERS, Seen
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.suspects import (
    RulesetJudgement,
    SuspectPacket,
    as_options,
    judgements_of,
    packets_of,
    seen_passing,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.verdicts import Verdict

OUT, IN = (SuspectPacket(direction, "tcp", "10.0.0.2", "10.0.0.1", 443) for direction in ("out", "in"))
DROP: dict[str, Any] = {
    "verdict": "drop",
    "table": "inet site",
    "chain": "c",
    "rule": "drop",
    "is_ours": False,
    "unknown": "",
    "notes": [],
    "route": {},
}
ACCEPT: dict[str, Any] = {**DROP, "verdict": "accept", "rule": "accept"}


def verdict(word: str, port: int = 443, source: str = "10.0.0.2", hosts: tuple[str, str] = ("a", "b")) -> Verdict:
    return Verdict(
        Expectation(*hosts, "10.0.0.1", "tcp", port, "open", "web"),
        Seen("filtered", source=source),
        "listener",
        word,
        "",
    )


@pytest.mark.parametrize("word,is_suspect", [("right", False), ("unproven", False), ("wrong", True), ("unknown", True)])
def test_both_ends_judge_what_is_not_right(word: str, is_suspect: bool) -> None:
    assert packets_of([verdict(word)], []) == ({"a": [OUT], "b": [IN]} if is_suspect else {})


def test_a_host_that_has_drifted_judges_all() -> None:
    """So the page can show where its rules and the plan differ although nothing came of it."""
    found = packets_of([verdict("right"), verdict("unproven", 22), verdict("right", 80, hosts=("c", "d"))], ["b"])
    assert found == {"b": [IN, IN._replace(port=22)]}


def test_a_packet_without_a_source_is_not_asked_about() -> None:
    assert packets_of([verdict("unknown", source="")], ["a", "b"]) == {}


def test_the_packet_of_a_container_goes_through_its_host() -> None:
    inside = verdict("wrong", source="172.17.0.2", hosts=("a (container 172.17.0.2)", "b"))._replace(container_of="a")
    through = OUT._replace(direction="through", source="172.17.0.2")
    assert packets_of([inside], []) == packets_of([inside._replace(verdict="right")], ["a", "b"]) == {"a": [through]}
    defaults = {name: about.get("default") for name, about in PACKET.items()}
    assert parse_query({**defaults, **as_options([through])[0]}).direction == "through"


def test_each_packet_is_asked_about_once() -> None:
    assert packets_of([verdict("wrong"), verdict("wrong")], ["a"]) == {"a": [OUT], "b": [IN]}


def test_what_is_not_right_comes_first_where_there_is_too_much() -> None:
    verdicts = [verdict("right", 1), verdict("wrong", 2), verdict("right", 3), verdict("unknown", 4)]
    found = packets_of(verdicts, ["a"], most=2)
    assert {host: [packet.port for packet in packets] for host, packets in found.items()} == {"a": [2, 4], "b": [2, 4]}


def test_the_module_takes_them() -> None:
    [options] = as_options([OUT])
    assert options == {
        "direction": "out",
        "protocol": "tcp",
        "source": "10.0.0.2",
        "destination": "10.0.0.1",
        "port": 443,
        "reply": True,
    }
    defaults = {name: about.get("default") for name, about in PACKET.items()}
    assert parse_query({**defaults, **options})[:5] == ("out", 6, "10.0.0.2", "10.0.0.1", 443)


def test_where_a_packet_is_sent_on_is_kept() -> None:
    sent_on = {
        **ACCEPT,
        "notes": ["the source is changed to a", "the destination is changed to b", "the destination is changed to c"],
    }
    found = judgements_of({"b": [IN, IN._replace(port=22)]}, {"b": [sent_on, ACCEPT]})
    assert [judgement.packet.translated for judgement in found.values()] == ["b", ""]


def test_what_hosts_said_is_found_by_packet() -> None:
    back = {**DROP, "is_ours": True}
    judged = {
        "b": [{**DROP, "reverse_path": {"mode": 1, "is_dropped": True}, "reply": back}, {**ACCEPT, "reply": None}],
        "c": [DROP],
    }
    other = IN._replace(port=22)
    assert judgements_of({"a": [OUT], "b": [IN, other]}, judged) == {
        ("b", IN): RulesetJudgement(
            PacketJudgement("drop", "inet site", "c", "drop", is_dropped_by_rp_filter=True),
            PacketJudgement("drop", "inet site", "c", "drop", is_ours=True),
        ),
        ("b", other): RulesetJudgement(PacketJudgement("accept", "inet site", "c", "accept"), None),
    }
    assert judgements_of({"b": [IN, other]}, {"b": [DROP]}).keys() == {("b", IN)}


# ---- what was seen


@pytest.mark.parametrize(
    "far,held_by,outcome,expected",
    [
        # By how far packets came: whether the packet passed, and the answer, the rules of the source and of the target.
        ((0, 0, 0, 0, 0), "listener", "filtered", ((False, None), (None, None))),
        ((1, 0, 0, 0, 0), "listener", "filtered", ((True, None), (None, None))),
        ((1, 2, 0, 0, 0), "listener", "filtered", ((True, None), (False, None))),
        ((1, 2, 1, 0, 0), "listener", "filtered", ((True, None), (True, False))),
        ((1, 2, 1, 0, 0), "service", "filtered", ((True, None), (True, None))),
        ((1, 2, 1, 1, 0), "listener", "filtered", ((True, None), (True, True))),
        ((1, 2, 1, 1, 1), "listener", "filtered", ((True, False), (True, True))),
        ((1, 2, 1, 1, 1), "listener", "open", ((True, True), (True, True))),
        ((1, 2, 1, 1, 1), "listener", "refused", ((True, None), (True, True))),
        ((None, None, None, None, None), "listener", "open", ((None, None), (None, None))),
        ((None, 1, None, None, None), "listener", "filtered", ((None, None), (None, None))),
    ],
)
def test_what_was_counted_tells_what_the_rules_did(
    far: tuple[int | None, ...], held_by: str, outcome: str, expected: tuple[tuple[bool | None, ...], ...]
) -> None:
    about = verdict("wrong")
    about = about._replace(held_by=held_by, seen=about.seen._replace(outcome=outcome))
    assert seen_passing(about, dict(zip(COUNTERS, far))) == expected
