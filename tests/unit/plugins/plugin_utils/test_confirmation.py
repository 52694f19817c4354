# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that answers, or does not, by a clock of the test's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from ansible.errors import AnsibleConnectionFailure, AnsibleError
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hpc.ports.plugins.plugin_utils.confirmation import (
    RETURN_WITHIN,
    UNSEEN,
    Answer,
    final_answer,
    may_have_begun,
    with_answer,
)

CONFIRMED = {"status": "confirmed", "confirmed_from": "10.0.0.9 port 51235"}
NOT_NEW = {"status": "not new", "confirmed_from": "10.0.0.9 port 51234"}
NOT_MADE = {"status": "not made"}
REVERTED = {"status": "reverted", "seconds": 30, "client": "10.0.0.9", "advice": ""}
UNREACHABLE = AnsibleConnectionFailure("ssh: connect to host n1 port 22: Connection timed out")
CRASHED = {"failed": True, "msg": "MODULE FAILURE"}


class Host:
    """Gives its answers in turn, the last one for ever; each takes ten seconds."""

    def __init__(self, *answers: Mapping[str, Any] | AnsibleError) -> None:
        self.answers, self.time, self.asked = list(answers), 0.0, 0

    def ask(self) -> Mapping[str, Any]:
        self.asked += 1
        self.time += 10
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, AnsibleError):
            raise answer
        return answer

    def now(self) -> float:
        return self.time

    def pause(self, seconds: float) -> None:
        self.time += seconds

    def final_answer(self, seconds: int = 30) -> Answer:
        return final_answer(self.ask, seconds, now=self.now, pause=self.pause)


def test_a_host_that_confirms_is_asked_once() -> None:
    host = Host(CONFIRMED)
    assert host.final_answer() == (CONFIRMED, "")
    assert host.asked == 1


@pytest.mark.parametrize("trouble", [UNREACHABLE, AnsibleError("Timeout waiting for privilege escalation prompt"),
                                     NOT_NEW, NOT_MADE, CRASHED])
@pytest.mark.parametrize("final", [CONFIRMED, REVERTED, {"status": "unknown"},
                                   {"status": "confirmed", "failed": True, "msg": "not on disk"}])
def test_trouble_is_no_answer(trouble: Any, final: Mapping[str, Any]) -> None:
    host = Host(trouble, trouble, final)
    assert host.final_answer().result == final
    assert host.asked == 3


@pytest.mark.parametrize(("trouble", "text"), [
    (UNREACHABLE, "ssh: connect to host n1 port 22: Connection timed out"),
    (CRASHED, "MODULE FAILURE"),
    (NOT_MADE, "The run that began the change has not come to its end"),
    (NOT_NEW, "Ansible could not make a new connection: it came from 10.0.0.9 port 51234 again. See that nothing but "
              "Ansible keeps connections to the host open (ControlPath in ~/.ssh/config)"),
])
def test_a_host_that_never_answers_is_unreachable(trouble: Any, text: str) -> None:
    host = Host(trouble)
    with pytest.raises(AnsibleConnectionFailure) as caught:
        host.final_answer(seconds=30)
    assert str(caught.value) == (
        "The host has not answered for 90 s. It should have undone the change by itself after 30 s. The last attempt: "
        + text)


@given(st.lists(st.sampled_from([UNREACHABLE, NOT_NEW, CRASHED, REVERTED, CONFIRMED]), min_size=1, max_size=20),
       st.integers(1, 100))
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


UNDONE = ("The host undid the change after 30 s, because no new connection confirmed it. It has the ruleset from "
          "before again.")


@pytest.mark.parametrize(("changes", "trouble", "dropping", "text"), [
    ({"advice": "Add 10.0.0.9 to x."}, "timed out", ["table ip filter, chain INPUT"],
     f"{UNDONE} Likely missing: Add 10.0.0.9 to x."),
    ({}, "timed out.", [], f"{UNDONE} The policy itself lets 10.0.0.9 in. The last attempt: timed out."),
    ({"client": ""}, "", ["a", "b"], f"{UNDONE} Other rules of the host that may be why: a; b."),
    ({"status": "unknown"}, "timed out", [],
     "The host knows nothing of the change that it was just given: it was probably restarted meanwhile, and has the "
     "ruleset that was confirmed last. Run again."),
])
def test_what_is_said_of_a_change_that_was_not_confirmed(changes: dict[str, Any], trouble: str, dropping: list[str],
                                                         text: str) -> None:
    result = {"changed": True, "other_rules": {"dropping": dropping}}
    assert with_answer(result, Answer({**REVERTED, **changes}, trouble)) == {
        "changed": False, "failed": True, "msg": text, "other_rules": {"dropping": dropping}}


def test_what_is_said_of_a_change_that_was_confirmed() -> None:
    answer = Answer({**CONFIRMED, "connections_cut": ["x"], "warnings": ["b"], "invocation": {}}, "timed out")
    assert with_answer({"changed": True, "changes": {}, "warnings": ["a"]}, answer) == {
        "changed": True, "changes": {}, "warnings": ["a", "b"], "confirmed_from": "10.0.0.9 port 51235",
        "connections_cut": ["x"]}


def test_a_change_that_a_reboot_would_not_load_has_failed() -> None:
    answer = Answer({**CONFIRMED, "failed": True, "msg": "not on disk"}, "")
    found = with_answer({"changed": True}, answer)
    assert (found["failed"], found["msg"], found["changed"]) == (True, "not on disk", True)


# ---- a connection that ends while the host works

@pytest.mark.parametrize(("text", "expected"), [
    ("Failed to connect to the host via ssh: ssh: connect to host n1 port 22: Connection timed out", False),
    ("Failed to connect to the host via ssh: ssh: Could not resolve hostname n1: Name or service not known", False),
    ("Failed to connect to the host via ssh: admin@n1: Permission denied (publickey).", False),
    ('Data could not be sent to remote host "n1". Make sure this host can be reached over ssh: Connection timed out '
     "during banner exchange", False),
    ('Data could not be sent to remote host "n1". Make sure this host can be reached over ssh: ', True),
    ("Failed to connect to the host via ssh: Timeout, server n1 not responding.", True),
    ("Failed to connect to the host via ssh: Shared connection to n1 closed.", True),
])
def test_only_a_connection_that_was_made_may_have_begun_a_change(text: str, expected: bool) -> None:
    assert may_have_begun(AnsibleConnectionFailure(text)) == expected


def test_what_was_lost_with_the_connection_is_not_made_up() -> None:
    found = with_answer({"warnings": [UNSEEN]}, Host(CONFIRMED).final_answer())
    assert found == {"changed": True, "warnings": [UNSEEN], "confirmed_from": "10.0.0.9 port 51235"}
    assert with_answer({"warnings": [UNSEEN]}, Answer(REVERTED, "the first loss"))["msg"] == (
        f"{UNDONE} The policy itself lets 10.0.0.9 in. The last attempt: the first loss.")
