# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json

import pytest

from ansible_collections.hpc.ports.plugins.plugin_utils.expectations import Expectation, Expected, Skipped
from ansible_collections.hpc.ports.plugins.plugin_utils.report import (
    Compared,
    Found,
    as_data,
    compared_lines,
    failure,
    report,
    summary,
    table,
    unknown_lines,
    warnings_of,
    wrong_lines,
)
from ansible_collections.hpc.ports.plugins.plugin_utils.verdicts import Seen, Verdict


def verdict(source: str, port: int, flow: str = "", verdict: str = "right", outcome: str = "", why: str = "",
            address: str = "10.0.0.1", protocol: str = "tcp") -> Verdict:
    """Return a verdict on target `t`; a flow makes it expected open."""
    expected = "open" if flow else "filtered"
    item = Expectation(source, "t", address, protocol, port, expected, flow, "" if flow else "target")
    return Verdict(item, Seen(outcome or expected), "listener", verdict, why)


def found(*verdicts: Verdict, skipped: tuple[Skipped, ...] = (), unmanaged: tuple[str, ...] = ("outsider",),
          **compared: Compared) -> Found:
    return Found(Expected([item.expectation for item in verdicts], list(skipped), list(unmanaged)), verdicts, compared)


# ---- the table

def test_a_table_of_all_that_is_right() -> None:
    sources = ["a1", "a2", "b"]
    items = [*(verdict(source, 22, "ssh") for source in sources),
             verdict("a1", 80, "web"), verdict("a2", 80, "web"), verdict("b", 80),
             *(verdict(source, port) for source in sources for port in (81, 82)),
             *(verdict(source, 22, "ssh", address="fd00::1") for source in sources)]
    assert table("t", items) == [
        "t  10.0.0.1, fd00::1",
        "  A  a1, a2",
        "  B  b",
        "  port           flow  A     B",
        "  22/tcp         ssh   open  open",
        "  80/tcp         web   open  –",
        "  2 other ports        –     –",
    ]


def test_ports_alike_share_a_row_and_protocols_do_not() -> None:
    items = [verdict("a", port, "work", protocol=protocol) for port in (1024, 2000, 3000, 65535)
             for protocol in ("tcp", "udp") if (port, protocol) != (3000, "udp")]
    assert table("t", items)[2:] == [
        "  port                   flow  A",
        "  1024 … 65535/tcp (4)   work  open",
        "  1024, 2000, 65535/udp  work  open",
    ]


def test_several_flows_are_all_named_and_different_ones_are_rows_of_their_own() -> None:
    items = [verdict("a", 22, "ssh"), verdict("b", 22, "admin"), verdict("a", 80, "web"), verdict("b", 80, "web")]
    assert [line.split("  ")[1:3] for line in table("t", items)[3:]] == [["22/tcp", "admin, ssh"], ["80/tcp", "web"]]


def test_what_is_not_right_is_never_among_the_others() -> None:
    items = [verdict("a", 80, verdict="wrong", outcome="open"), verdict("a", 81), verdict("a", 82, verdict="unknown"),
             verdict("a", 83, "web", verdict="wrong", outcome="filtered"),
             verdict("a", 84, "web", verdict="unknown", outcome="error")]
    assert table("t", items)[2:] == [
        "  port           flow  A",
        "  80/tcp               !OPEN",
        "  83/tcp         web   !BLOCKED",
        "  84/tcp         web   ?",
        "  2 other ports        ?",
    ]


@pytest.mark.parametrize("first,second,cell", [
    ("wrong", "right", "!OPEN"), ("right", "wrong", "!OPEN"), ("wrong", "unknown", "!OPEN"), ("unknown", "right", "?")])
def test_a_cell_shows_the_worst_of_its_addresses(first: str, second: str, cell: str) -> None:
    items = [verdict("a", 80, verdict=first), verdict("a", 80, verdict=second, address="fd00::1")]
    assert table("t", items)[-1].split()[-1] == cell


def test_a_source_that_did_not_try_a_port_has_an_empty_cell() -> None:
    items = [verdict("a", 22, "ssh"), verdict("b", 22, "ssh"), verdict("a", 80, "web"), verdict("b", 81),
             verdict("a", 81)]
    assert table("t", items)[-2:] == ["  80/tcp         web   open", "  1 other ports        –     –"]


def test_many_columns_get_two_letters() -> None:
    """Source number n may open port n alone, so no two columns are equal."""
    items = [verdict(f"s{source:02}", port, "f" if source == port else "")
             for source in range(28) for port in range(28)]
    lines = table("t", items)
    assert [line.split() for line in lines[26:29]] == [["Z", "s25"], ["AA", "s26"], ["AB", "s27"]]


def test_many_alike_sources_are_wrapped() -> None:
    items = [verdict(f"a-long-host-name-{number}", 22, "ssh") for number in range(10)]
    lines = table("t", items)[1:-2]
    assert len(lines) > 1 and all(len(line) <= 110 for line in lines)
    assert lines[1].startswith("     a-long-host-name-")


# ---- what is not right

def test_a_wrong_connection_is_told_in_full() -> None:
    assert wrong_lines([
        verdict("a", 80, verdict="wrong", outcome="open", why="It was answered."),
        verdict("b", 22, "ssh", verdict="wrong", outcome="filtered", why="No answer, though the host answers echoes."),
        verdict("a", 81), verdict("a", 82, verdict="unknown"),
    ]) == [
        "wrong: a -> t 10.0.0.1 80/tcp: expected filtered (no flow lets it in), was open. It was answered.",
        "wrong: b -> t 10.0.0.1 22/tcp: expected open (flow ssh lets it in), was filtered. No answer, though the host "
        "answers echoes.",
    ]


def test_what_is_unknown_for_one_reason_is_one_line() -> None:
    assert unknown_lines([
        verdict("a", 80, verdict="unknown", why="Died."), verdict("a", 81, verdict="unknown", why="Died."),
        verdict("a", 82, verdict="unknown", why="Failed."), verdict("b", 80, verdict="unknown", why="Died."),
    ]) == [
        "unknown: a -> t 10.0.0.1 80/tcp and 1 more: Died.",
        "unknown: a -> t 10.0.0.1 82/tcp: Failed.",
        "unknown: b -> t 10.0.0.1 80/tcp: Died.",
    ]


def test_more_than_a_hundred_lines_are_cut() -> None:
    lines = wrong_lines([verdict("a", port, verdict="wrong", outcome="open") for port in range(1, 131)])
    assert len(lines) == 101
    assert lines[-1] == "… and 30 more, all in the file of the report"


def test_hosts_that_do_not_run_their_policy_are_told() -> None:
    assert compared_lines({"a": Compared(True), "b": Compared(False, ["chain input", "set in_ssh_v4"]),
                           "c": Compared(None, reason="No nft.")}) == [
        "wrong: b does not run its policy; these differ: chain input, set in_ssh_v4",
        "unknown: whether c runs its policy: No nft.",
    ]


def test_advice_is_given_for_what_was_seen_only() -> None:
    def advice(*verdicts: Verdict) -> list[str]:
        return [line.split(":")[0] for line in report(found(*verdicts)) if line.startswith("!")]

    assert advice(verdict("a", 80)) == []
    assert advice(verdict("a", 80, verdict="unknown")) == []
    assert advice(verdict("a", 80, verdict="wrong", outcome="open")) == ["!OPEN"]
    assert advice(verdict("a", 80, "web", verdict="wrong", outcome="filtered"),
                  verdict("a", 81, verdict="wrong", outcome="open")) == ["!BLOCKED", "!OPEN"]


# ---- all of it

def test_a_report_has_a_table_a_target_then_the_rest() -> None:
    other = verdict("a", 80)
    other = other._replace(expectation=other.expectation._replace(target="s"))
    lines = report(found(verdict("a", 22, "ssh"), other, verdict("a", 80, verdict="unknown", why="Died."),
                         skipped=(Skipped("", "", 2, "No ports."), Skipped("a", "t", 1, "Two addresses.")),
                         t=Compared(False, ["chain input"])))
    assert [line for line in lines if line and not line.startswith(" ")] == [
        "s  10.0.0.1",
        "t  10.0.0.1",
        "wrong: t does not run its policy; these differ: chain input",
        "unknown: a -> t 10.0.0.1 80/tcp: Died.",
        "not tried: 2: No ports.",
        "not tried: a -> t 1: Two addresses.",
        "3 connections from 1 hosts to 2: 2 right, 0 wrong, 1 unknown. From outside: outsider.",
    ]


def test_data_is_plain_and_complete() -> None:
    data = json.loads(json.dumps(as_data(found(
        verdict("a", 22, "ssh"), verdict("a", 80, verdict="wrong"), skipped=(Skipped("a", "t", 3, "Two."),),
        t=Compared(True)))))
    assert data["format"] == 1
    assert data["summary"] == {
        "connections": 2, "sources": 1, "targets": 1, "right": 1, "wrong": 1, "unknown": 0, "not_tried": 3,
        "outsiders": ["outsider"], "not_running_policy": []}
    assert data["hosts"] == {"t": {"is_equal": True, "objects": [], "reason": ""}}
    assert data["not_tried"] == [{"source": "a", "target": "t", "connections": 3, "reason": "Two."}]
    assert [item["verdict"] for item in data["verdicts"]] == ["right", "wrong"]


# ---- the end

RIGHT = verdict("a", 22, "ssh")


@pytest.mark.parametrize("what,require,text", [
    (found(RIGHT), True, ""),
    (found(RIGHT, unmanaged=()), False, ""),
    (found(RIGHT, t=Compared(True)), False, ""),
    (found(RIGHT, unmanaged=()), True, "No host outside the managed groups took part, and verify_require_outsider is "
                                       "true: add one to the play."),
    (found(), False, "Nothing was tried: expected at least one managed host and another host in the play that "
                     "verify_query selects. With --limit, name hosts on both sides."),
    (found(RIGHT, verdict("a", 80, verdict="wrong")), False,
     "1 connections are wrong and 0 unknown of 2; see the report above."),
    (found(RIGHT, verdict("a", 80, verdict="unknown")), False,
     "0 connections are wrong and 1 unknown of 2; see the report above."),
    (found(RIGHT, t=Compared(False), u=Compared(None)), False,
     "All 1 connections are right, but these hosts do not run their policy, or it could not be read: t, u; see the "
     "report above."),
])
def test_when_the_play_fails(what: Found, require: bool, text: str) -> None:
    assert failure(summary(what), require) == text


def test_without_an_outsider_it_warns() -> None:
    assert warnings_of(summary(found(RIGHT))) == []
    assert warnings_of(summary(found(RIGHT, unmanaged=()))) == [
        "No host outside the managed groups took part, so nothing shows that strangers are kept out. Add one to the "
        "inventory, in no group of the collection."]
    assert "From outside: NO HOST outside the managed groups." in report(found(RIGHT, unmanaged=()))[-1]
