# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host is sent and asked, on a host that is made up: its module answers, or its connection is lost."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible import constants as C
from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure

from ansible_collections.hpc.ports.plugins.action import firewall
from ansible_collections.hpc.ports.plugins.plugin_utils.own_addresses import Known
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


def ran(sent: list[tuple[str, dict[str, Any]]], *answers: Any, check_mode: bool = False, host: str = "n1",
        **arguments: Any) -> dict[str, Any]:
    """Run the action; modules answer in turn, and are noted in `sent`."""
    left = list(answers)

    class Action(firewall.ActionModule):
        def _execute_module(self, module_name: str = "", module_args: Any = None, **others: Any) -> Any:
            sent.append((module_name or "hpc.ports.firewall", dict(module_args)))
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


@pytest.mark.parametrize("changes", [{"changed": False}, {"changed": True, "pending": True}])
def test_addresses_that_the_plan_does_not_know_are_a_warning(
        sent: list[tuple[str, dict[str, Any]]], changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firewall, "known_addresses",
                        lambda plan: Known({"n1": {"addresses": ["10.1.0.1"], "networks": []}}))
    own = [{"address": "10.1.0.1", "interface": "eth0"}, {"address": "10.2.0.1", "interface": "ib0"}]
    found = ran(sent, {**changes, "warnings": ["Other."], "own_addresses": own},
                {"status": "confirmed", "confirmed_from": "10.0.0.9 port 1"})
    assert found["warnings"][0] == "Other."
    [warning] = found["warnings"][1:]
    assert warning.startswith("n1 has addresses that the plan does not know: 10.2.0.1 on ib0.")
    assert "own_addresses" not in found
    known = ran(sent, {"changed": False, "own_addresses": own[:1]})
    assert known == {"changed": False, "warnings": []}


def test_what_has_changed_is_confirmed_over_a_new_connection(sent: list[tuple[str, dict[str, Any]]]) -> None:
    found = ran(sent, {"changed": True, "pending": True}, {"status": "confirmed", "confirmed_from": "10.0.0.9 port 1"})
    assert [name for name, arguments in sent] == ["hpc.ports.firewall", "hpc.ports.confirm"]
    assert sent[1][1]["token"] == sent[0][1]["token"]
    assert found["changed"] and "pending" not in found


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
