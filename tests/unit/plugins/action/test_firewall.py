# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host is sent and asked, on a host that is made up: its module answers, or its connection is lost."""

from __future__ import annotations

from inspect import signature
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible import constants as C
from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.plugins.action import ActionBase

from ansible_collections.hpc.ports.plugins.action import firewall
from ansible_collections.hpc.ports.plugins.plugin_utils import confirmation
from ansible_collections.hpc.ports.plugins.plugin_utils.confirmation import explained
from ansible_collections.hpc.ports.plugins.plugin_utils.store import Store

LOST = AnsibleConnectionFailure("Data could not be sent to remote host: Connection reset by peer")
REFUSED = AnsibleConnectionFailure(
    "Failed to connect to the host via ssh: connect to host n1 port 22: Connection refused")
POLICY = {"mode": "enforce"}


@pytest.fixture(name="sent")
def _sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    monkeypatch.setattr(C, "DEFAULT_LOCAL_TMP", str(tmp_path))
    Store(str(tmp_path), "key").made(SimplePlan)
    return []


class Connection:
    """One that can be made anew."""

    transport = "ssh"

    def reset(self) -> None:
        """Nothing is kept."""


class SimplePlan:
    """As much of a plan as a store looks at."""

    policies, hosts = {"abc": POLICY}, {"n1": "abc"}

    @property
    def addresses(self) -> SimplePlan:
        return self

    def host_at(self, address: str) -> str:
        """Tell whose address it is."""
        return {"10.0.0.9": "login1"}.get(address, "")


def ran(sent: list[tuple[str, dict[str, Any]]], *answers: Any, check_mode: bool = False, host: str = "n1",
        **arguments: Any) -> dict[str, Any]:
    """Run the action; modules answer in turn, and are noted in `sent`."""
    left = list(answers)

    class Action(firewall.ActionModule):
        def _execute_module(self, module_name: str = "", module_args: Any = None, **others: Any) -> Any:
            sent.append((module_name, dict(module_args)))
            found = left.pop(0)
            if isinstance(found, Exception):
                raise found
            return dict(found)

    task = SimpleNamespace(args=arguments or {"plan": "key"}, check_mode=check_mode, async_val=0, diff=False)
    action = Action.__new__(Action)
    action._task, action._connection = task, Connection()
    action._supports_check_mode = action._supports_async = True
    return action.run(task_vars={"inventory_hostname": host})


@pytest.fixture(autouse=True)
def _no_base(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firewall.ActionBase, "run", lambda self, tmp=None, task_vars=None: {})


def test_a_host_is_sent_its_policy_and_nothing_else(sent: list[tuple[str, dict[str, Any]]]) -> None:
    assert ran(sent, {"changed": False}) == {"changed": False}
    [(name, arguments)] = sent
    assert {**arguments, "token": len(arguments["token"])} == {"policy": POLICY, "transport": "ssh", "token": 32}
    assert name == "hpc.ports.firewall"


def test_what_has_changed_is_confirmed_over_a_new_connection(sent: list[tuple[str, dict[str, Any]]]) -> None:
    found = ran(sent, {"changed": True, "pending": {"token": "x", "ran_for": 0.1}}, {"status": "confirmed", "confirmed_from": "10.0.0.9 port 1"})
    assert [name for name, arguments in sent] == ["hpc.ports.firewall", "hpc.ports.confirm"]
    assert sent[1][1]["token"] == sent[0][1]["token"]
    assert found["changed"] and found["warnings"] == [] and "pending" not in found


def test_the_time_that_it_takes_to_get_to_a_host_is_measured(sent: list[tuple[str, dict[str, Any]]]) -> None:
    # All but what the module says: as if the rest had been 40 s more.
    slow = {"changed": True, "pending": {"token": "x", "ran_for": -40.0}}
    confirmed = {"status": "confirmed", "confirmed_from": "10.0.0.9 port 1"}
    assert "firewall_confirm_within" in ran(sent, slow, confirmed)["warnings"][0]
    assert ran(sent, slow, confirmed, plan="key", confirm_within="600")["warnings"] == []


def test_a_change_whose_connection_was_lost_is_confirmed(sent: list[tuple[str, dict[str, Any]]]) -> None:
    ran(sent, LOST, {"status": "confirmed", "confirmed_from": "10.0.0.9 port 1"})
    assert [name for name, arguments in sent] == ["hpc.ports.firewall", "hpc.ports.confirm"]


def test_in_check_mode_a_lost_connection_is_no_change_to_confirm(sent: list[tuple[str, dict[str, Any]]]) -> None:
    with pytest.raises(AnsibleConnectionFailure) as failed:
        ran(sent, LOST, check_mode=True)
    assert failed.value is LOST
    assert [name for name, arguments in sent] == ["hpc.ports.firewall"]


@pytest.mark.parametrize("check_mode", [False, True])
def test_a_connection_that_was_never_made_changed_nothing(sent: list[tuple[str, dict[str, Any]]],
                                                          check_mode: bool) -> None:
    with pytest.raises(AnsibleConnectionFailure) as failed:
        ran(sent, REFUSED, check_mode=check_mode)
    assert failed.value is REFUSED
    assert len(sent) == 1


def test_the_jump_host_that_a_policy_does_not_let_in_is_named(sent: list[tuple[str, dict[str, Any]]]) -> None:
    for client, named in (("10.0.0.9", True), ("10.0.0.8", False)):
        found = ran(sent, {"failed": True, "msg": "Add it.", "client": client})
        assert (found["msg"] != "Add it.", "login1" in found["msg"]) == (named, named)


def test_this_ansible_says_so_in_the_words_that_are_known() -> None:
    said = {"stdout": "", "stderr": "sudo: sorry, you must have a tty to run sudo\n", "rc": 1}
    parse = ActionBase._parse_returned_data
    profile = ["legacy"] * ("profile" in signature(parse).parameters)
    assert "requiretty" in explained(parse(SimpleNamespace(_used_interpreter=None), said, *profile))["msg"]


NO_TTY = {"failed": True, "msg": "Module result deserialization failed.", "module_stderr": "you must have a tty to run sudo"}


def test_sudo_that_wants_a_terminal_is_named_for_either_module(sent: list[tuple[str, dict[str, Any]]],
                                                               monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confirmation, "_PAUSE", 0.0)
    undone = {"status": "reverted", "seconds": 30, "client": "", "advice": ""}
    for answers in ([NO_TTY], [{"changed": True, "pending": {"token": "x", "ran_for": 0.1}}, NO_TTY, undone]):
        assert "requiretty" in ran(sent, *answers)["msg"]
    assert "requiretty" in ran(sent, NO_TTY, state="absent")["msg"]


def test_what_the_host_said_first_is_not_lost_where_it_does_not_answer(sent: list[tuple[str, dict[str, Any]]],
                                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confirmation, "RETURN_WITHIN", -100.0)
    with pytest.raises(AnsibleConnectionFailure, match="may be why: table ip filter, chain ufw-before-input"):
        ran(sent, {"changed": True, "pending": {"token": "x", "ran_for": 0.1},
                   "other_rules": {"dropping": ["table ip filter, chain ufw-before-input"]}}, REFUSED)


def test_to_take_it_away_needs_no_plan(sent: list[tuple[str, dict[str, Any]]]) -> None:
    assert ran(sent, {"changed": True}, state="absent") == {"changed": True}
    assert sent == [("hpc.ports.firewall", {"state": "absent"})]


@pytest.mark.parametrize("arguments,host,text", [
    ({"state": "present"}, "n1", "Missing option plan: give the key that hpc.ports.plan returned."),
    ({"plan": "key"}, "desk", "Host desk has no policy in this plan: it is in none of the canonical groups. Put it in "
                              "one, or leave it out of the play."),
])
def test_what_cannot_be_sent_is_refused(sent: list[tuple[str, dict[str, Any]]], arguments: dict[str, Any], host: str,
                                        text: str) -> None:
    with pytest.raises(AnsibleActionFail) as failed:
        ran(sent, host=host, **arguments)
    assert (str(failed.value), sent) == (text, [])
