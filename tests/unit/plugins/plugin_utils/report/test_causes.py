# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Causes: connections with the same reason share one sentence and one advice."""

from __future__ import annotations

from collections import Counter

from ansible_collections.hpc.ports.plugins.plugin_utils._expectations.expected import Expectation
from ansible_collections.hpc.ports.plugins.plugin_utils._report.causes import advice_lines, causes_of
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.diagnosis import Diagnosis
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.evidence import Seen
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.verdicts import Verdict
from hypothesis import given
from hypothesis import strategies as st


def verdict(
    source: str,
    target: str,
    port: int = 80,
    flow: str = "",
    word: str = "wrong",
    outcome: str = "open",
    why: str = "The probe got an answer.",
    peer: str = "10.0.1.1",
) -> Verdict:
    expected = "open" if flow else "filtered"
    item = Expectation(source, target, f"10.0.0.{len(target)}", "tcp", port, expected, flow, "" if flow else "target")
    return Verdict(item, Seen(outcome, source=peer), "listener", word, why)


def lines(*verdicts: Verdict, diagnoses: dict[Expectation, Diagnosis] | None = None) -> list[str]:
    return [cause.line() for kind in ("wrong", "unknown") for cause in causes_of(verdicts, diagnoses or {}, kind)]


def dropped(item: Verdict) -> tuple[Expectation, Diagnosis]:
    what = item.expectation
    return what, Diagnosis(
        "other_table",
        f"Rules of another program on {what.target} drop packets from {item.seen.source} to {what.port}/tcp: chain c; "
        f"flow {what.flow} allows them.",
        f"Change that rule on {what.target}.",
    )


def test_a_connection_is_told_in_full() -> None:
    first, second = verdict("a", "t"), verdict("b", "t", 22, "ssh", outcome="filtered", why="No answer.")
    assert lines(first, second, verdict("a", "t", 81, word="right")) == [
        "wrong: a -> t 10.0.0.1 80/tcp: expected filtered (no flow allows it), was open. The probe got an answer.",
        "wrong: b -> t 10.0.0.1 22/tcp: expected open (flow ssh allows it), was filtered. No answer.",
    ]
    assert lines(second, diagnoses=dict([dropped(second)])) == [
        "wrong: b -> t 10.0.0.1 22/tcp: expected open (flow ssh allows it), was filtered. [other_table] Rules of "
        "another program on t drop packets from 10.0.1.1 to 22/tcp: chain c; flow ssh allows them."
    ]


def test_one_cause_on_several_hosts_is_one_sentence() -> None:
    """Whatever the ports, the flows and the addresses that its sentence names."""
    items = [
        verdict(source, target, port, flow, outcome="filtered", peer=f"10.0.1.{len(source)}")
        for source in ("jhub", "mon", "ood")
        for target in ("c1", "c2", "c10")
        for port, flow in ((22, "ssh"), (443, "web"))
    ]
    assert lines(*items, diagnoses=dict(map(dropped, items))) == [
        "wrong: jhub, mon, ood -> c1, c10, c2 22/tcp and 1 more (18 connections): expected open (flows ssh, web allow "
        "it), was filtered. [other_table] Rules of another program on c1 drop packets from 10.0.1.4 to 22/tcp: chain "
        "c; flow ssh allows them."
    ]


def test_other_causes_and_other_hosts_are_sentences_of_their_own() -> None:
    items = [
        verdict("a", "t"),
        verdict("b", "t"),
        verdict("a", "u"),
        verdict("a", "t", why="It was let in."),
        verdict("a", "t", outcome="refused"),
    ]
    assert [line.partition(":")[2].partition(":")[0] + line.partition(", was ")[2] for line in lines(*items)] == [
        " a, b -> t 80/tcp (2 connections)open. The probe got an answer.",
        " a -> u 10.0.0.1 80/tcpopen. The probe got an answer.",
        " a -> t 10.0.0.1 80/tcpopen. It was let in.",
        " a -> t 10.0.0.1 80/tcprefused. The probe got an answer.",
    ]


def test_a_host_that_is_down_is_one_sentence() -> None:
    from_it = [
        verdict("down", target, word="unknown", why="down reported nothing.") for target in ("a", "b", "c", "d", "e")
    ]
    to_it = [verdict(source, "down", word="unknown", why="The listener on down was not there.") for source in "abcde"]
    assert lines(*from_it, *to_it) == [
        "unknown: down -> a, b, c and 2 more 80/tcp (5 connections): down reported nothing.",
        "unknown: a, b, c and 2 more -> down 80/tcp (5 connections): The listener on down was not there.",
    ]


def test_advice_names_all_hosts_that_it_is_for() -> None:
    items = [verdict(source, target, 22, "ssh") for source in ("a", "b") for target in ("t1", "t2", "t3", "t4")]
    assert advice_lines(items, dict(map(dropped, items))) == ["other_table: Change that rule on t1, t2, t3 and 1 more."]
    assert advice_lines(items, {}) == []


HOSTS = st.sampled_from(["a", "b", "n1", "n10", "wrong", "10.0.0.1"])


@given(
    st.lists(
        st.builds(
            verdict,
            HOSTS,
            HOSTS,
            st.sampled_from([22, 2222]),
            st.sampled_from(["", "ssh", "open"]),
            st.sampled_from(["wrong", "unknown", "right"]),
            st.just("open"),
            st.sampled_from(["A.", "n1 B."]),
        )
    )
)
def test_each_connection_is_in_one_sentence_that_names_its_hosts(items: list[Verdict]) -> None:
    found = [cause for kind in ("wrong", "unknown") for cause in causes_of(items, {}, kind)]
    assert Counter(map(repr, (item for cause in found for item in cause.verdicts))) == Counter(
        repr(item) for item in items if item.verdict != "right"
    )
    for cause in found:
        assert {(item.expectation.source, item.expectation.target) for item in cause.verdicts} == {
            (source, target) for source in cause.sources for target in cause.targets
        }
