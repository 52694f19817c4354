# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of the confirmation of a change, with a simulated host and clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible_collections.hpc.ports.plugins.plugin_utils._apply.confirmation import (
    RETURN_WITHIN,
    UNSEEN,
    HostAnswer,
    PendingChange,
    explained,
    final_answer,
    may_have_begun,
    named,
    timed,
    with_answer,
    with_name,
)
from hypothesis import given
from hypothesis import strategies as st

CONFIRMED = {"status": "confirmed", "confirmed_from": "10.0.0.9 port 51235"}
NOT_NEW = {"status": "not new", "confirmed_from": "10.0.0.9 port 51234"}
NOT_MADE = {"status": "not made"}
REVERTED = {"status": "reverted", "seconds": 30, "client": "10.0.0.9", "advice": ""}
UNREACHABLE = AnsibleConnectionFailure("ssh: connect to host n1 port 22: Connection timed out")
CRASHED = {"failed": True, "msg": "MODULE FAILURE"}


class Host:
    """A host that returns its answers in turn and repeats the last one. Each answer takes ten seconds."""

    def __init__(self, *answers: Mapping[str, Any] | AnsibleError) -> None:
        self.answers, self.time, self.asked = list(answers), 0.0, 0

    def ask(self) -> dict[str, Any]:
        self.asked += 1
        self.time += 10
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, AnsibleError):
            raise answer
        return dict(answer)

    def now(self) -> float:
        return self.time

    def pause(self, seconds: float) -> None:
        self.time += seconds

    def final_answer(
        self, seconds: int = 30, result: Mapping[str, Any] | None = None, login: float = 0.0
    ) -> HostAnswer:
        return final_answer(self.ask, PendingChange("n1", result or {}, seconds, login), self.now, self.pause)


def test_a_host_that_confirms_is_asked_once() -> None:
    host = Host(CONFIRMED)
    assert host.final_answer() == (CONFIRMED, "", 10.0)
    assert host.asked == 1


@pytest.mark.parametrize(
    "trouble",
    [UNREACHABLE, AnsibleError("Timeout waiting for privilege escalation prompt"), NOT_NEW, NOT_MADE, CRASHED],
)
@pytest.mark.parametrize(
    "final", [CONFIRMED, REVERTED, {"status": "unknown"}, {"status": "confirmed", "failed": True, "msg": "not on disk"}]
)
def test_errors_are_not_answers(trouble: Any, final: Mapping[str, Any]) -> None:
    host = Host(trouble, trouble, final)
    answer = host.final_answer()
    assert (answer.result, bool(answer.trouble), answer.login) == (final, True, 0.0)
    assert host.asked == 3


@pytest.mark.parametrize(
    ("trouble", "text"),
    [
        (UNREACHABLE, "ssh: connect to host n1 port 22: Connection timed out"),
        (CRASHED, "MODULE FAILURE"),
        (NOT_MADE, "The run that started the change has not finished"),
        (
            NOT_NEW,
            "Ansible could not make a new connection: the connection from 10.0.0.9 port 51234 was used again. Make "
            "sure that only Ansible keeps connections to the host open (ControlPath in ~/.ssh/config)",
        ),
    ],
)
def test_a_host_that_never_answers_is_unreachable(trouble: Any, text: str) -> None:
    host = Host(trouble)
    with pytest.raises(AnsibleConnectionFailure) as caught:
        host.final_answer(seconds=30)
    assert str(caught.value) == (
        "The host has not answered for 90 s. It should have undone the change by itself after 30 s. Last error: "
        + text
        + "."
    )


def test_an_unreachable_host_is_reported_with_earlier_findings() -> None:
    with pytest.raises(AnsibleConnectionFailure) as caught:
        Host(UNREACHABLE).final_answer(30, {"other_rules": {"dropping": ["table ip filter, chain INPUT", "b"]}}, 10.2)
    assert str(caught.value) == (
        "The host has not answered for 90 s. It should have undone the change by itself after 30 s. Last error: ssh: "
        "connect to host n1 port 22: Connection timed out. A login to n1 took 11 s: set firewall_confirm_within to 33 "
        "or more. Other rules on the host may be the cause: table ip filter, chain INPUT; b."
    )


@given(
    st.lists(st.sampled_from([UNREACHABLE, NOT_NEW, CRASHED, REVERTED, CONFIRMED]), min_size=1, max_size=20),
    st.integers(1, 100),
)
def test_the_first_final_answer_in_time_counts(answers: list[Any], seconds: int) -> None:
    host = Host(*answers)
    finals = [number for number, answer in enumerate(answers) if answer in (REVERTED, CONFIRMED)]
    # Ten seconds an answer, and half a second between them.
    if finals and finals[0] * 10.5 <= seconds + RETURN_WITHIN:
        assert host.final_answer(seconds).result == answers[finals[0]]
        assert host.asked == finals[0] + 1
    elif not finals or finals[0] * 10.5 > seconds + RETURN_WITHIN + 10:
        with pytest.raises(AnsibleConnectionFailure):
            host.final_answer(seconds)


UNDONE = (
    "The host undid the change after 30 s, because no new connection confirmed it. The previous ruleset is active "
    "again."
)


@pytest.mark.parametrize(
    ("changes", "trouble", "dropping", "text"),
    [
        (
            {"advice": "Add 10.0.0.9 to x."},
            "timed out",
            ["table ip filter, chain INPUT"],
            f"{UNDONE} Likely missing: Add 10.0.0.9 to x.",
        ),
        ({}, "timed out.", [], f"{UNDONE} The policy itself allows 10.0.0.9. Last error: timed out."),
        ({"client": ""}, "", ["a", "b"], f"{UNDONE} Other rules on the host may be the cause: a; b."),
        ({"status": "other format", "msg": "The host has undone it."}, "", [], "The host has undone it."),
        (
            {"status": "unknown"},
            "timed out",
            [],
            "The host does not know the change that it just received. Either it was restarted, and has the last "
            "confirmed ruleset, or it has kept the change and its answer was lost. Run again.",
        ),
    ],
)
def test_the_message_about_an_unconfirmed_change(
    changes: dict[str, Any], trouble: str, dropping: list[str], text: str
) -> None:
    result = {"changed": True, "other_rules": {"dropping": dropping}}
    found = with_answer(PendingChange("n1", result, 30), HostAnswer({**REVERTED, **changes}, trouble))
    lacking = {"client": "10.0.0.9"} if "advice" in changes else {}
    assert found == {"changed": False, "failed": True, "msg": text, "other_rules": {"dropping": dropping}, **lacking}


def test_the_result_of_a_confirmed_change() -> None:
    answer = HostAnswer({**CONFIRMED, "cuts": True, "leaves": True, "warnings": ["b"], "invocation": {}}, "timed out")
    assert with_answer(PendingChange("n1", {"changed": True, "changes": {}, "warnings": ["a"]}, 30, 10.0), answer) == {
        "changed": True,
        "changes": {},
        "warnings": ["a", "b"],
        "confirmed_from": "10.0.0.9 port 51235",
        "cuts": True,
        "leaves": True,
    }


def test_a_change_that_a_reboot_would_not_load_has_failed() -> None:
    answer = HostAnswer({**CONFIRMED, "failed": True, "msg": "not on disk"}, "")
    found = with_answer(PendingChange("n1", {"changed": True}, 30), answer)
    assert (found["failed"], found["msg"], found["changed"]) == (True, "not on disk", True)


# ---- a connection that ends while the host works


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Failed to connect to the host via ssh: ssh: connect to host n1 port 22: Connection timed out", False),
        ("Failed to connect to the host via ssh: ssh: Could not resolve hostname n1: Name or service not known", False),
        ("Failed to connect to the host via ssh: admin@n1: Permission denied (publickey).", False),
        (
            'Data could not be sent to remote host "n1". Make sure this host can be reached over ssh: Connection timed '
            "out during banner exchange",
            False,
        ),
        ("Timeout (12s) waiting for privilege escalation prompt: ", False),
        ('Data could not be sent to remote host "n1". Make sure this host can be reached over ssh: ', True),
        ("Failed to connect to the host via ssh: Timeout, server n1 not responding.", True),
        ("Failed to connect to the host via ssh: Shared connection to n1 closed.", True),
    ],
)
def test_only_an_established_connection_may_have_started_a_change(text: str, expected: bool) -> None:
    assert may_have_begun(AnsibleConnectionFailure(text)) == expected


def test_a_result_lost_with_the_connection_is_not_invented() -> None:
    begun = PendingChange("n1", {"warnings": [UNSEEN]}, 30, loss=AnsibleConnectionFailure("the first loss"))
    found = with_answer(begun, final_answer(Host(CONFIRMED).ask, begun))
    assert found == {"changed": True, "warnings": [UNSEEN], "confirmed_from": "10.0.0.9 port 51235"}
    assert with_answer(begun, final_answer(Host(REVERTED).ask, begun))["msg"] == (
        f"{UNDONE} The policy itself allows 10.0.0.9. Last error: the first loss."
    )


# ---- hosts that take long


@pytest.mark.parametrize(
    "result", [{"pending": {"token": "x", "ran_for": 3.5}}, {"status": "confirmed", "ran_for": 3.5}]
)
def test_the_login_time_excludes_the_run_time_of_the_module(result: dict[str, Any]) -> None:
    assert timed(lambda: result, iter([100.0, 114.5]).__next__) == (result, 11.0)


def test_a_failed_module_has_no_run_time() -> None:
    assert timed(lambda: CRASHED, iter([100.0, 102.0]).__next__) == (CRASHED, 2.0)


@dataclass(frozen=True)
class Event:
    """The event of a warning in ansible-core 2.19 and later."""

    msg: str


@dataclass(frozen=True)
class Summary:
    """A warning in ansible-core 2.19 and later."""

    event: Event


def test_a_warning_of_a_module_names_its_host() -> None:
    said = ["This host is odd.", Summary(Event("So is that."))]
    assert named("n1", {"changed": True, "warnings": said}) == {
        "changed": True,
        "warnings": ["n1: This host is odd.", Summary(Event("n1: So is that."))],
    }


@pytest.mark.parametrize("odd", [{}, {"warnings": []}, {"warnings": "text"}, {"warnings": [1, None]}])
def test_other_values_than_warnings_are_unchanged(odd: dict[str, Any]) -> None:
    assert named("n1", odd) == odd


SLOW = "A login to n1 took 11 s: set firewall_confirm_within to 33 or more."


@pytest.mark.parametrize(
    ("first", "second", "seconds", "said"),
    [
        (11.0, 0.0, 30, [SLOW]),
        (10.4, 0.0, 30, [SLOW]),
        (0.2, 10.5, 30, [SLOW]),
        (11.0, 0.0, 32, [SLOW]),
        (11.0, 11.0, 33, []),
        (10.0, 0.0, 30, []),
        (0.3, 0.3, 1, []),
    ],
)
def test_a_confirmation_period_under_three_logins_causes_a_warning(
    first: float, second: float, seconds: int, said: list[str]
) -> None:
    found = with_answer(PendingChange("n1", {"changed": True}, seconds, first), HostAnswer(CONFIRMED, "", second))
    assert found["warnings"] == said and not found.get("failed")


@pytest.mark.parametrize(("first", "second"), [(11.0, 0.0), (0.2, 11.0)])
def test_an_undone_change_is_reported_with_a_slow_login(first: float, second: float) -> None:
    begun = PendingChange("n1", {"other_rules": {"dropping": ["a"]}}, 30, first)
    assert with_answer(begun, HostAnswer(REVERTED, "timed out", second))["msg"] == (
        f"{UNDONE} The policy itself allows 10.0.0.9. {SLOW} Last error: timed out. Other rules on the host may be "
        "the cause: a."
    )


# ---- what Ansible does not name


@pytest.mark.parametrize(
    "message",
    [
        "Module result deserialization failed.",
        "Module result deserialization failed: No start of json char found",
        "MODULE FAILURE\nSee stdout/stderr for the exact error",
    ],
)
@pytest.mark.parametrize("output", ["module_stdout", "module_stderr"])
def test_sudo_without_a_terminal_is_explained(message: str, output: str) -> None:
    result = {"failed": True, "msg": message, output: "sudo: sorry, you must have a tty to run sudo\r\n"}
    assert explained(result) == {
        **result,
        "msg": (
            "sudo did not run the module: it requires a terminal (requiretty in the host's sudoers), and Ansible with "
            "pipelining provides none. Remove requiretty for this user, or set ansible_pipelining: false. Ansible "
            "reported: " + message
        ),
    }


@pytest.mark.parametrize(
    "result",
    [
        {"failed": True, "msg": "MODULE FAILURE", "module_stderr": "Killed"},
        {"changed": False},
        CONFIRMED,
        {"failed": True, "msg": "no", "module_stderr": "sudo: sorry, you must have a tty to run sudo"},
    ],
)
def test_other_results_are_unchanged(result: dict[str, Any]) -> None:
    assert explained(result) == result


def test_a_managed_client_is_named() -> None:
    hosts = {"10.0.0.9": "login1"}
    result = {"failed": True, "msg": "Add it.", "client": "10.0.0.9"}
    assert with_name(result, lambda client: hosts.get(client, "")) == {
        **result,
        "msg": "Add it. 10.0.0.9 is login1: your jump host, or the host that Ansible runs on.",
    }
    for other in ({**result, "client": "10.0.0.8"}, {"changed": True}):
        assert with_name(other, lambda client: hosts.get(client, "")) == other
