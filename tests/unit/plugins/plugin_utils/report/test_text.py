# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report as text, and the message of the task that fails."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils._expectations.expected import Expectation, Skipped
from ansible_collections.hpc.ports.plugins.plugin_utils._report.text import (
    Findings,
    compared_lines,
    failure,
    not_tested,
    not_tested_lines,
    report,
    summary,
    table,
    warnings_of,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.cells import Compared
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.diagnosis import Diagnosis
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.evidence import Seen
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.verdicts import Verdict


def verdict(
    source: str,
    port: int,
    flow: str = "",
    verdict: str = "right",
    outcome: str = "",
    why: str = "",
    address: str = "10.0.0.1",
    protocol: str = "tcp",
    target: str = "t",
) -> Verdict:
    """Return a verdict on target `t`; a flow makes it expected open."""
    expected = "open" if flow else "filtered"
    item = Expectation(source, target, address, protocol, port, expected, flow, "" if flow else "target")
    return Verdict(item, Seen(outcome or expected), "listener", verdict, why)


def found(
    *verdicts: Verdict,
    skipped: tuple[Skipped, ...] = (),
    outsiders: tuple[str, ...] = ("outsider",),
    classes: Mapping[str, list[str]] | None = None,
    diagnoses: Mapping[Expectation, Diagnosis] | None = None,
    **compared: Compared,
) -> Findings:
    return Findings(verdicts, list(skipped), list(outsiders), classes or {}, compared, diagnoses or {})


RIGHT = verdict("a", 22, "ssh")


# ---- the table


def test_a_table_of_all_that_is_right() -> None:
    sources = ["a1", "a2", "b"]
    items = [
        *(verdict(source, 22, "ssh") for source in sources),
        verdict("a1", 80, "web"),
        verdict("a2", 80, "web"),
        verdict("b", 80),
        *(verdict(source, port) for source in sources for port in (81, 82)),
        *(verdict(source, 22, "ssh", address="fd00::1") for source in sources),
    ]
    assert table("t", items, {}) == [
        "t  10.0.0.1, fd00::1",
        "  A  a1, a2",
        "  B  b",
        "  port           flow  A     B",
        "  22/tcp         ssh   open  open",
        "  80/tcp         web   open  –",
        "  2 other ports        –     –",
    ]


def test_ports_alike_share_a_row_and_protocols_do_not() -> None:
    items = [
        verdict("a", port, "work", protocol=protocol)
        for port in (1024, 2000, 3000, 65535)
        for protocol in ("tcp", "udp")
        if (port, protocol) != (3000, "udp")
    ]
    assert table("t", items, {})[2:] == [
        "  port                   flow  A",
        "  1024 … 65535/tcp (4)   work  open",
        "  1024, 2000, 65535/udp  work  open",
    ]


def test_several_flows_are_all_named_and_different_ones_are_rows_of_their_own() -> None:
    items = [verdict("a", 22, "ssh"), verdict("b", 22, "admin"), verdict("a", 80, "web"), verdict("b", 80, "web")]
    assert [line.split("  ")[1:3] for line in table("t", items, {})[3:]] == [
        ["22/tcp", "admin, ssh"],
        ["80/tcp", "web"],
    ]


def test_what_is_not_right_is_never_among_the_others() -> None:
    items = [
        verdict("a", 80, verdict="wrong", outcome="open"),
        verdict("a", 81),
        verdict("a", 82, verdict="unknown"),
        verdict("a", 83, "web", verdict="wrong", outcome="filtered"),
        verdict("a", 85, "web", verdict="wrong", outcome="refused"),
        verdict("a", 84, "web", verdict="unknown", outcome="error"),
    ]
    assert table("t", items, {})[2:] == [
        "  port           flow  A",
        "  80/tcp               !OPEN",
        "  83/tcp         web   !BLOCKED",
        "  84/tcp         web   ?",
        "  85/tcp         web   !REFUSED",
        "  2 other ports        ?",
    ]


@pytest.mark.parametrize(
    "first,second,cell",
    [
        ("unproven", "right", "tested"),
        ("unknown", "unproven", "?"),
        ("wrong", "right", "!OPEN"),
        ("right", "wrong", "!OPEN"),
        ("wrong", "unknown", "!OPEN"),
        ("unknown", "right", "?"),
    ],
)
def test_a_cell_shows_the_worst_of_its_addresses(first: str, second: str, cell: str) -> None:
    items = [verdict("a", 80, verdict=first), verdict("a", 80, verdict=second, address="fd00::1")]
    assert table("t", items, {})[-1].split()[-1] == cell


def test_a_source_that_did_not_try_a_port_has_an_empty_cell() -> None:
    items = [
        verdict("a", 22, "ssh"),
        verdict("b", 22, "ssh"),
        verdict("a", 80, "web"),
        verdict("b", 81),
        verdict("a", 81),
    ]
    assert table("t", items, {})[-2:] == ["  80/tcp         web   open", "  1 other ports        –     –"]


def test_many_columns_get_two_letters() -> None:
    """Source number n may open port n alone, so no two columns are equal."""
    items = [
        verdict(f"s{source:02}", port, "f" if source == port else "") for source in range(28) for port in range(28)
    ]
    lines = table("t", items, {})
    assert [line.split() for line in lines[26:29]] == [["Z", "s25"], ["AA", "s26"], ["AB", "s27"]]


def test_many_alike_sources_are_wrapped() -> None:
    items = [verdict(f"a-long-host-name-{number}", 22, "ssh") for number in range(10)]
    lines = table("t", items, {})[1:-2]
    assert len(lines) > 1 and all(len(line) <= 110 for line in lines)
    assert lines[1].startswith("     a-long-host-name-")


# ---- what is not right


def test_more_than_a_hundred_lines_are_cut() -> None:
    lines = report(
        found(
            *(verdict("a", 80, verdict="wrong", outcome="open", why=f"Because of {number}.") for number in range(130))
        )
    )
    assert [line for line in lines if line.startswith("… ")] == ["… and 30 more, all in the file of the report"]
    assert len([line for line in lines if line.startswith("wrong: ")]) == 100


def test_hosts_that_do_not_run_their_policy_are_told() -> None:
    assert compared_lines(
        {
            "a": Compared(True),
            "b": Compared(False, ("chain input", "set in_ssh_v4")),
            "c": Compared(None, reason="No nft."),
        }
    ) == [
        "wrong: b does not run its policy; these differ: chain input, set in_ssh_v4",
        "unknown: whether c runs its policy: No nft.",
    ]


def test_hosts_that_took_no_part_are_named_once() -> None:
    what = found(RIGHT)._replace(left_out={"c": "Refused.", "a": "Refused.", "b": "It was not reached."})
    assert report(what)[-3:-1] == ["left out: a, c: Refused.", "left out: b: It was not reached."]
    assert summary(what)["left_out"] == ["a", "b", "c"]


def test_what_was_not_tested_is_told_by_reason() -> None:
    assert not_tested_lines(
        [
            Skipped("", "", 2, "No ports."),
            Skipped("a", "t", 3, "Two addresses."),
            Skipped("b", "t", 4, "Two addresses."),
            Skipped("c", "t", 1, "Off."),
        ]
    ) == ["not tested: 2: No ports.", "not tested: a -> t and 1 more 7: Two addresses.", "not tested: c -> t 1: Off."]


def test_what_proves_nothing_is_not_tested() -> None:
    what = found(
        verdict("a", 80),
        *(verdict("a", port, verdict="unproven", why="Silent.") for port in (81, 82)),
        verdict("b", 81, verdict="unproven", why="Silent."),
        skipped=(Skipped("", "", 5, "No ports."),),
    )
    assert not_tested(what) == [
        Skipped("", "", 5, "No ports."),
        Skipped("a", "t", 2, "Silent."),
        Skipped("b", "t", 1, "Silent."),
    ]
    counts = summary(what)
    assert (counts["connections"], counts["sources"], counts["right"], counts["not_tested"]) == (1, 1, 1, 8)


# ---- all of it


def test_a_report_has_a_table_a_target_then_the_rest() -> None:
    wrong = verdict("a", 443, "web", verdict="wrong", outcome="filtered")
    lines = report(
        found(
            verdict("a", 22, "ssh"),
            verdict("a", 80, target="s"),
            verdict("a", 80, verdict="unknown", why="Died."),
            wrong,
            skipped=(Skipped("", "", 2, "No ports."), Skipped("a", "t", 1, "Two addresses.")),
            diagnoses={wrong.expectation: Diagnosis("not_sent", "Nothing is sent.", "Look at the route.")},
            t=Compared(False, ("chain input",)),
        )
    )
    assert [line for line in lines if line and not line.startswith(" ")] == [
        "s  10.0.0.1",
        "t  10.0.0.1",
        "not tested: 2: No ports.",
        "not tested: a -> t 1: Two addresses.",
        "wrong: t does not run its policy; these differ: chain input",
        "wrong: a -> t 10.0.0.1 443/tcp: expected open (flow web allows it), was filtered. [not_sent] Nothing is sent.",
        "unknown: a -> t 10.0.0.1 80/tcp: Died.",
        "What to do:",
        "4 connections from 1 hosts to 2: 2 right, 1 wrong, 1 unknown. From outside: outsider.",
    ]
    assert all(len(line) <= 150 for line in lines)


CLASSES = {"slurm_compute": ["n1", "n2", "n3", "n4"], "login": ["l1", "l2"]}


def test_hosts_of_a_class_share_a_table_and_a_column() -> None:
    """Any of them may have been tried."""
    items = [
        verdict("n1", 22, "ssh", target="l1", address="10.0.0.1"),
        verdict("n2", 22, "ssh", target="l2", address="10.0.0.2"),
        *(verdict(f"n{number}", 80, target="l2", address="10.0.0.2") for number in (2, 3, 4)),
        verdict("l1", 80, target="l2", address="10.0.0.2"),
        verdict("l1", 22, target="n1", address="10.0.1.1"),
    ]
    lines = report(found(*items, classes=CLASSES))
    assert lines[:6] == [
        "l1, l2  10.0.0.1, 10.0.0.2",
        "  A  l1",
        "  B  slurm_compute (4 hosts)",
        "  port           flow  A  B",
        "  22/tcp         ssh      open",
        "  1 other ports        –  –",
    ]
    assert "n1  10.0.1.1" in lines


def test_many_addresses_are_not_shown() -> None:
    items = [verdict("a", 22, "ssh", target=f"n{number % 4 + 1}", address=f"10.0.0.{number}") for number in range(7)]
    assert report(found(*items, classes=CLASSES))[0] == "slurm_compute (4 hosts)"
    assert report(found(*items[:6], classes=CLASSES))[0].startswith("slurm_compute (4 hosts)  10.0.0.0, 10.0.0.1")


def test_of_many_kinds_of_target_only_those_with_something_wrong_are_shown() -> None:
    def shown(*words: str) -> list[str]:
        items = [verdict("a", 80, verdict=word, target=f"t{number}") for number, word in enumerate(words)]
        lines = report(found(*items), most_tables=2)
        return [line for line in lines if line.startswith("t") or " kinds of host" in line]

    rest = "kinds of host without problems are only in the files of the report."
    assert shown("right", "right") == ["t0  10.0.0.1", "t1  10.0.0.1"]
    assert shown("right", "wrong", "unproven", "unknown") == ["t1  10.0.0.1", "t3  10.0.0.1", f"2 {rest}"]
    assert shown("wrong", "wrong", "right", "unknown") == [
        "t0  10.0.0.1",
        "t1  10.0.0.1",
        "1 more kinds of host are in the files of the report.",
        f"1 {rest}",
    ]


def test_a_container_is_a_source_of_its_own_and_its_host_a_host_that_connections_come_from() -> None:
    inside = verdict("a (container 172.17.0.2)", 22, "ssh")._replace(container_of="a")
    unproven = inside._replace(verdict="unproven", expectation=inside.expectation._replace(port=23))
    shown = found(RIGHT, inside, unproven)._replace(asks_containers=True)
    assert report(shown)[1:3] == ["  A  a", "  B  a (container 172.17.0.2)"]
    assert (summary(shown)["sources"], summary(shown)["from_containers"]) == (1, 1)
    assert report(shown)[-1].endswith("From outside: outsider. From containers: 1.")


def test_it_is_said_that_no_container_ran_where_one_would_have_been_asked() -> None:
    assert report(found(RIGHT)._replace(asks_containers=True))[-1].endswith(" From containers: 0.")
    assert "containers" not in report(found(RIGHT))[-1]


def test_what_was_not_tested_is_not_among_what_is_right() -> None:
    items = [
        verdict("a", 80),
        verdict("a", 81),
        verdict("a", 80, verdict="unproven", protocol="udp"),
        verdict("a", 443, "web", verdict="unproven", protocol="udp"),
    ]
    assert table("t", items, {})[2:] == [
        "  port           flow  A",
        "  443/udp        web   not tested",
        "  2 other ports        –",
        "  1 other ports        not tested",
    ]


def test_counts_are_plain() -> None:
    assert summary(
        found(
            verdict("a", 22, "ssh"),
            verdict("a", 80, verdict="wrong"),
            verdict("b", 80, verdict="unknown", target="s"),
            skipped=(Skipped("a", "t", 3, "Two."),),
            t=Compared(True),
            u=Compared(None),
            s=Compared(False),
        )
    ) == {
        "connections": 3,
        "sources": 2,
        "targets": 2,
        "right": 1,
        "wrong": 1,
        "unknown": 1,
        "not_tested": 3,
        "from_containers": None,
        "outsiders": ["outsider"],
        "left_out": [],
        "not_running_policy": ["s", "u"],
    }


# ---- the end


@pytest.mark.parametrize(
    "what,require,text",
    [
        (found(RIGHT), True, ""),
        (found(RIGHT, outsiders=()), False, ""),
        (found(RIGHT, t=Compared(True)), False, ""),
        (
            found(RIGHT, outsiders=()),
            True,
            "No host outside the managed groups took part, and verify_require_outsider is true: add one to the play.",
        ),
        (
            found(),
            False,
            "No connection was tested: expected at least one managed host and another host in the play that "
            "verify_query selects. With --limit, name hosts on both sides.",
        ),
        (
            found(RIGHT, verdict("a", 80, verdict="wrong")),
            False,
            "Of 2 connections, 1 are wrong and 0 are unknown; see the report above. wrong: a -> t 10.0.0.1 80/tcp: "
            "expected filtered (no flow allows it), was filtered. ",
        ),
        (
            found(
                RIGHT,
                *(verdict("a", 80 + number, verdict="unknown", why=f"Died {number} times.") for number in range(5)),
            ),
            False,
            "Of 6 connections, 0 are wrong and 5 are unknown; see the report above for 2 more causes. unknown: a -> t "
            "10.0.0.1 80/tcp: Died 0 times. unknown: a -> t 10.0.0.1 81/tcp: Died 1 times. unknown: a -> t 10.0.0.1 "
            "82/tcp: Died 2 times.",
        ),
        (
            found(RIGHT, t=Compared(False), u=Compared(None)),
            False,
            "All 1 connections are right, but these hosts do not run their policy, or it could not be read: t, u; see "
            "the report above.",
        ),
    ],
)
def test_when_the_play_fails(what: Findings, require: bool, text: str) -> None:
    assert failure(what, require) == text


def test_without_an_outsider_it_warns() -> None:
    assert warnings_of(summary(found(RIGHT))) == []
    assert warnings_of(summary(found(RIGHT, outsiders=()))) == [
        "No host outside the managed groups took part, so the tests do not show that the firewall blocks other hosts. "
        "Add a host to the inventory that is in no group of the collection."
    ]
    assert "From outside: NO HOST outside the managed groups." in report(found(RIGHT, outsiders=()))[-1]


def test_of_many_outsiders_some_are_named() -> None:
    assert "From outside: a, b, c and 2 more." in report(found(RIGHT, outsiders=tuple("abcde")))[-1]
