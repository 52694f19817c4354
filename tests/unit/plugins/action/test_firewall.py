# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the action plugin sends to a host, with a fake host whose module answers or whose connection is lost."""

from __future__ import annotations

import gc
from inspect import signature
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible import constants as C
from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible_collections.hpc.ports.plugins.action import firewall
from ansible_collections.hpc.ports.plugins.plugin_utils._apply import confirmation
from ansible_collections.hpc.ports.plugins.plugin_utils._apply.confirmation import explained
from ansible_collections.hpc.ports.plugins.plugin_utils._apply.unknown_addresses import KnownAddresses
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.store import Store
from ansible_collections.hpc.ports.tests.support.plays import played

LOST = AnsibleConnectionFailure("Data could not be sent to remote host: Connection reset by peer")
REFUSED = AnsibleConnectionFailure(
    "Failed to connect to the host via ssh: connect to host n1 port 22: Connection refused"
)
# The variables of a play with batches of one host.
SERIAL = {
    "ansible_play_hosts_all": ["n0", "n1", "n2"],
    "ansible_play_batch": ["n1"],
    "ansible_play_hosts": ["n0", "n1", "n2"],
}
LEFT = " Done: n0. Not changed: n2. "
POLICY = {"mode": "enforce"}


@pytest.fixture(name="sent")
def _sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    monkeypatch.setattr(C, "DEFAULT_LOCAL_TMP", str(tmp_path))
    Store(str(tmp_path), "key").made(SimplePlan)
    return []


class Connection:
    """A connection that can be reset."""

    transport = "ssh"

    def reset(self) -> None:
        """Reset the connection; there is nothing to close."""


class SimplePlan:
    """The part of a plan that a store reads."""

    policies, hosts, report_only = {"abc": POLICY}, {"n1": "abc"}, False

    @property
    def addresses(self) -> SimplePlan:
        return self

    def texts_of(self, host: str) -> list[str]:
        """Return the addresses of a host."""
        return ["10.1.0.1"]

    def host_at(self, address: str) -> str:
        """Return the host that has the address."""
        return {"10.0.0.9": "login1"}.get(address, "")


class PlanForReport(SimplePlan):
    """A plan that must not be applied."""

    report_only = True


def ran(
    sent: list[tuple[str, dict[str, Any]]],
    *answers: Any,
    check_mode: bool = False,
    host: str = "n1",
    diff: bool = False,
    play: dict[str, Any] | None = None,
    unchanged: str = "",
    kept: str = "",
    **arguments: Any,
) -> dict[str, Any]:
    """Run the action plugin; modules and the action `package` return `answers` in turn, and are recorded in `sent`.

    `unchanged` is what the host prints for the quick check, `kept` what the code prints that it kept to confirm.
    """
    left = list(answers)

    class Action(firewall.ActionModule):
        def _execute_module(self, module_name: str = "", module_args: Any = None, **others: Any) -> Any:
            # Ansible puts the module together, and Python is to collect no garbage meanwhile.
            assert module_name == "package" or not gc.isenabled()
            sent.append((module_name, dict(module_args)))
            found = left.pop(0)
            if isinstance(found, Exception):
                raise found
            return dict(found)

        def _installed(self, packages: list[str], task_vars: Any) -> dict[str, Any]:
            return self._execute_module("package", {"name": packages})

        def _low_level_execute_command(self, cmd: str, *others: Any, **more: Any) -> dict[str, Any]:
            if cmd.startswith("/bin/sh "):
                assert sent[-1][1]["token"] in cmd
                return {"stdout": kept}
            return {"stdout": unchanged}

    task = SimpleNamespace(args=arguments or {"plan": "key"}, check_mode=check_mode, async_val=0, diff=diff)
    action = Action.__new__(Action)
    action._task, action._connection = task, Connection()
    action._supports_check_mode = action._supports_async = True
    return action.run(task_vars={"inventory_hostname": host, **(play or {})})


@pytest.fixture(autouse=True)
def _no_base(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firewall.ActionBase, "run", lambda self, tmp=None, task_vars=None: {})


def test_a_host_gets_its_own_policy_only(sent: list[tuple[str, dict[str, Any]]]) -> None:
    assert ran(sent, {"changed": False}) == {"changed": False}
    [(name, arguments)] = sent
    assert {**arguments, "token": len(arguments["token"]), "key": len(arguments["key"])} == {
        "policy": {**POLICY, "addresses": ["10.1.0.1"]},
        "transport": "ssh",
        "token": 32,
        "key": 16,
    }
    assert name == "hpc.ports.firewall"


def test_the_module_does_not_run_on_a_host_where_nothing_has_changed(sent: list[tuple[str, dict[str, Any]]]) -> None:
    answer = 'Welcome!\nhpc.ports unchanged: {"changed": false, "warnings": ["Other.\\u001b"]}\n'
    assert ran(sent, unchanged=answer) == {"changed": False, "warnings": ["n1: Other.\\x1b"]}
    assert sent == []
    for odd in ("hpc.ports unchanged: {", "hpc.ports unchanged: []", 'hpc.ports unchanged: {"changed": true}'):
        assert ran(sent, {"changed": True}, unchanged=odd) == {"changed": True}
    assert len(sent) == 3


def test_the_code_that_the_host_kept_confirms_a_change(sent: list[tuple[str, dict[str, Any]]]) -> None:
    answer = 'Welcome!\nhpc.ports confirmation: {"status": "confirmed", "confirmed_from": "a\\u001b", "ran_for": 0.1}\n'
    pending = {"changed": True, "pending": {"token": "t"}}
    confirmed = {"changed": True, "confirmed_from": "a\\x1b", "warnings": []}
    assert ran(sent, pending, kept=answer) == confirmed
    assert [name for name, _arguments in sent] == ["hpc.ports.firewall"]
    sent.clear()
    # The module brings its own code where the host kept none, or its answer is odd.
    for odd in ("", "sh: 0: Can't open", answer[:-5], "hpc.ports confirmation: []"):
        assert ran(sent, pending, {"status": "confirmed", "confirmed_from": "b"}, kept=odd)["confirmed_from"] == "b"
    assert [name for name, _arguments in sent] == ["hpc.ports.firewall", "hpc.ports.firewall_confirm"] * 4


@pytest.mark.parametrize("changes", [{"changed": False}, {"changed": True, "pending": {"token": "t"}}])
def test_addresses_that_the_plan_does_not_know_cause_a_warning(
    sent: list[tuple[str, dict[str, Any]]], changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        firewall, "known_addresses", lambda plan: KnownAddresses({"n1": {"addresses": ["10.1.0.1"], "networks": []}})
    )
    own = [{"address": "10.1.0.1", "interface": "eth0"}, {"address": "10.2.0.1", "interface": "ib0"}]
    found = ran(
        sent,
        {**changes, "warnings": ["Other."], "own_addresses": own},
        {"status": "confirmed", "confirmed_from": "10.0.0.9 port 1"},
    )
    assert found["warnings"][0] == "n1: Other."
    [warning] = found["warnings"][1:]
    assert warning.startswith("n1 has addresses that the plan does not know: 10.2.0.1 on ib0.")
    assert "own_addresses" not in found
    known = ran(sent, {"changed": False, "own_addresses": own[:1]})
    assert known == {"changed": False, "warnings": []}


def test_a_change_is_confirmed_over_a_new_connection(sent: list[tuple[str, dict[str, Any]]]) -> None:
    found = ran(
        sent,
        {"changed": True, "pending": {"token": "x", "ran_for": 0.1}},
        {"status": "confirmed", "confirmed_from": "10.0.0.9 port 1"},
    )
    assert [name for name, arguments in sent] == ["hpc.ports.firewall", "hpc.ports.firewall_confirm"]
    assert sent[1][1]["token"] == sent[0][1]["token"]
    assert found["changed"] and found["warnings"] == [] and "pending" not in found


CONFIRMED = {"status": "confirmed", "confirmed_from": "10.0.0.9 port 1"}
PENDING = {"changed": True, "warnings": ["a"], "pending": {"token": "x", "ran_for": 0.1}}


def names_of(sent: list[tuple[str, dict[str, Any]]]) -> list[str]:
    """Return the modules that ran, without their common prefix."""
    return [name[len("hpc.ports.firewall") :] for name, arguments in sent]


def test_a_confirmed_change_cuts_connections_if_the_host_says_so(sent: list[tuple[str, dict[str, Any]]]) -> None:
    cut = {"changed": True, "connections_cut": ["tcp 1"], "warnings": ["Not all."]}
    found = ran(sent, PENDING, {**CONFIRMED, "cuts": True}, cut, plan="key", cut_established=True)
    assert (names_of(sent), sent[2][1]) == (["", "_confirm", "_cut"], {"policy": sent[0][1]["policy"]})
    assert (found["connections_cut"], found["warnings"]) == (["tcp 1"], ["n1: a", "n1: Not all."])
    assert "cuts" not in found


@pytest.mark.parametrize("connections", [[], ["tcp 1"]])
def test_connections_that_an_earlier_run_left_are_cut(
    sent: list[tuple[str, dict[str, Any]]], connections: list[str]
) -> None:
    cut = {"changed": bool(connections), "connections_cut": connections}
    found = ran(sent, {"changed": False, "cuts": True}, cut)
    assert (names_of(sent), found["changed"], found["connections_cut"]) == (
        ["", "_cut"],
        bool(connections),
        connections,
    )


def test_connections_are_cut_if_a_reboot_would_not_load_the_change(sent: list[tuple[str, dict[str, Any]]]) -> None:
    broken = {**CONFIRMED, "cuts": True, "leaves": True, "failed": True, "msg": "Not on disk."}
    found = ran(sent, PENDING, broken, {"failed": True, "msg": "Not cut."})
    assert (names_of(sent), found["failed"], found["msg"]) == (["", "_confirm", "_cut"], True, "Not on disk. Not cut.")


@pytest.mark.parametrize("failure", [{}, {"failed": True, "msg": "The backend firewalld is still loaded."}])
def test_another_run_removes_the_rules_of_the_other_backend(
    sent: list[tuple[str, dict[str, Any]]], failure: dict[str, Any]
) -> None:
    again = {"changed": True, "changes": {"objects": ["file"]}, **failure}
    found = ran(sent, {**PENDING, "changes": {}}, {**CONFIRMED, "leaves": True}, again)
    assert names_of(sent) == ["", "_confirm", ""]
    first, second = sent[0][1], sent[2][1]
    assert first["token"] != second["token"] and {**first, "token": ""} == {**second, "token": ""}
    assert found == {
        "changed": True,
        "changes": {},
        "warnings": ["n1: a"],
        "confirmed_from": "10.0.0.9 port 1",
        **failure,
    }


def test_the_time_of_a_login_is_measured(sent: list[tuple[str, dict[str, Any]]]) -> None:
    # The login time is the time of the task without that of the module, here as if it was 40 s longer.
    slow = {"changed": True, "pending": {"token": "x", "ran_for": -40.0}}
    confirmed = {"status": "confirmed", "confirmed_from": "10.0.0.9 port 1"}
    assert "firewall_confirm_within" in ran(sent, slow, confirmed)["warnings"][0]
    assert ran(sent, slow, confirmed, plan="key", confirm_within="600")["warnings"] == []


def test_a_change_is_confirmed_after_its_connection_was_lost(sent: list[tuple[str, dict[str, Any]]]) -> None:
    ran(sent, LOST, {"status": "confirmed", "confirmed_from": "10.0.0.9 port 1"})
    assert [name for name, arguments in sent] == ["hpc.ports.firewall", "hpc.ports.firewall_confirm"]


def test_in_check_mode_nothing_is_confirmed_after_a_lost_connection(sent: list[tuple[str, dict[str, Any]]]) -> None:
    with pytest.raises(AnsibleConnectionFailure) as failed:
        ran(sent, LOST, check_mode=True)
    assert str(failed.value) == str(LOST)
    assert [name for name, arguments in sent] == ["hpc.ports.firewall"]


@pytest.mark.parametrize("check_mode", [False, True])
def test_nothing_is_confirmed_if_the_connection_was_never_made(
    sent: list[tuple[str, dict[str, Any]]], check_mode: bool
) -> None:
    with pytest.raises(AnsibleConnectionFailure) as failed:
        ran(sent, REFUSED, check_mode=check_mode)
    assert str(failed.value) == str(REFUSED)
    assert len(sent) == 1


def test_a_jump_host_that_the_policy_does_not_accept_is_named(sent: list[tuple[str, dict[str, Any]]]) -> None:
    for client, named in (("10.0.0.9", True), ("10.0.0.8", False)):
        found = ran(sent, {"failed": True, "msg": "Add it.", "client": client})
        assert (found["msg"] != "Add it.", "login1" in found["msg"]) == (named, named)


def test_the_messages_of_this_ansible_are_recognized() -> None:
    said = {"stdout": "", "stderr": "sudo: sorry, you must have a tty to run sudo\n", "rc": 1}
    parse = ActionBase._parse_returned_data
    profile = ["legacy"] * ("profile" in signature(parse).parameters)
    result = parse(SimpleNamespace(_used_interpreter=None), said, *profile)
    # From ansible-core 2.21 on, an object of which the action plugin gets this dictionary.
    given = result.as_result_dict() if hasattr(result, "as_result_dict") else result
    assert "requiretty" in explained(given)["msg"]


NO_TTY = {
    "failed": True,
    "msg": "Module result deserialization failed.",
    "module_stderr": "you must have a tty to run sudo",
}


def test_sudo_with_requiretty_is_explained_for_both_modules(
    sent: list[tuple[str, dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confirmation, "_PAUSE", 0.0)
    undone = {"status": "reverted", "seconds": 30, "client": "", "advice": ""}
    for answers in ([NO_TTY], [{"changed": True, "pending": {"token": "x", "ran_for": 0.1}}, NO_TTY, undone]):
        assert "requiretty" in ran(sent, *answers)["msg"]
    assert "requiretty" in ran(sent, NO_TTY, state="absent")["msg"]


def test_the_first_result_is_kept_if_the_host_does_not_answer_again(
    sent: list[tuple[str, dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confirmation, "RETURN_WITHIN", -100.0)
    with pytest.raises(AnsibleConnectionFailure, match="may be the cause: table ip filter, chain ufw-before-input"):
        ran(
            sent,
            {
                "changed": True,
                "pending": {"token": "x", "ran_for": 0.1},
                "other_rules": {"dropping": ["table ip filter, chain ufw-before-input"]},
            },
            REFUSED,
        )


def test_results_of_a_host_are_escaped(sent: list[tuple[str, dict[str, Any]]]) -> None:
    result = ran(
        sent,
        {
            "changed": True,
            "warnings": ["a\x1b\nb"],
            "other_rules": {"dropping": ["c\u202e"]},
            "diff": {"before": "d\x9b\n", "after": "e\n"},
        },
    )
    assert (result["warnings"], result["other_rules"]) == (["n1: a\\x1b\\nb"], {"dropping": ["c\\u202e"]})
    assert result["diff"] == {"before": "d\\x9b\n", "after": "e\n"}
    with pytest.raises(AnsibleConnectionFailure, match=r"^Denied: \\x1b\[2J\\nok: n2$"):
        ran(sent, AnsibleConnectionFailure("Denied: \x1b[2J\nok: n2\r\n"), state="absent")


def test_with_diff_hosts_with_the_same_difference_show_it_once(sent: list[tuple[str, dict[str, Any]]]) -> None:
    answer = {"changed": True, "diff": {"before": "", "after": "chain input:\n    accept\n"}}
    assert ran(sent, answer, diff=True)["diff"] == answer["diff"]
    told = ran(sent, answer, host="n2", diff=True, state="absent")["diff"]
    assert told == [{"prepared": "n2: chain input as shown for n1.\n"}]
    # Without --diff, nobody has seen it.
    assert ran(sent, answer, host="n3", diff=False, state="absent")["diff"] == answer["diff"]


def test_state_absent_needs_no_plan(sent: list[tuple[str, dict[str, Any]]]) -> None:
    assert ran(sent, {"changed": True}, state="absent") == {"changed": True}
    assert sent == [("hpc.ports.firewall", {"state": "absent"})]


@pytest.mark.parametrize(
    "arguments,host,text",
    [
        ({"state": "present"}, "n1", "Missing option plan: give the key that hpc.ports.plan_info returned."),
        (
            {"plan": "key"},
            "desk",
            "Host desk has no policy in this plan: it is in none of the canonical groups. Add it to one of "
            "them, or leave it out of the play.",
        ),
    ],
)
def test_a_missing_plan_or_policy_is_refused(
    sent: list[tuple[str, dict[str, Any]]], arguments: dict[str, Any], host: str, text: str
) -> None:
    with pytest.raises(AnsibleActionFail) as failed:
        ran(sent, host=host, **arguments)
    assert (str(failed.value), sent) == (text, [])


def test_a_plan_for_a_report_only_is_refused(sent: list[tuple[str, dict[str, Any]]], tmp_path: Path) -> None:
    Store(str(tmp_path), "report").made(PlanForReport)
    with pytest.raises(AnsibleActionFail, match="^This plan is for a report only, because plan_info compiled it "):
        ran(sent, plan="report")
    assert sent == []


# ---- plays with batches of hosts


def test_a_failure_names_the_hosts_that_are_left(sent: list[tuple[str, dict[str, Any]]]) -> None:
    found = ran(sent, {"failed": True, "msg": "It is refused."}, play=SERIAL)
    assert found["msg"].startswith("It is refused. This play ") and LEFT in found["msg"]
    found = ran(
        sent,
        {"changed": True, "pending": {"token": "t"}},
        {"status": "reverted", "seconds": 30, "advice": "", "client": ""},
        play=SERIAL,
    )
    assert found["failed"] and LEFT in found["msg"]


@pytest.mark.parametrize("loss,arguments", [(REFUSED, {}), (AnsibleActionFail("No."), {"state": "absent"})])
def test_an_unreachable_host_names_the_hosts_that_are_left(
    sent: list[tuple[str, dict[str, Any]]], loss: Exception, arguments: dict[str, Any]
) -> None:
    with pytest.raises(type(loss)) as failed:
        ran(sent, loss, play=SERIAL, **arguments)
    assert str(failed.value).startswith(str(loss).rstrip(".") + ". This play ") and LEFT in str(failed.value)


LACKS = {"failed": True, "msg": "No nft.", "missing_packages": ["nftables"]}


def test_missing_packages_are_installed_and_the_policy_is_applied(sent: list[tuple[str, dict[str, Any]]]) -> None:
    found = ran(sent, LACKS, {"changed": True}, {"changed": False, "backend": "nftables"}, plan="key", install=True)
    assert found == {"changed": True, "backend": "nftables"}
    assert [name for name, _arguments in sent] == ["hpc.ports.firewall", "package", "hpc.ports.firewall"]
    assert sent[1][1] == {"name": ["nftables"]} and "install" not in sent[0][1]
    assert sent[0][1]["policy"] == sent[2][1]["policy"]


def test_check_mode_says_what_a_real_run_would_install(sent: list[tuple[str, dict[str, Any]]]) -> None:
    found = ran(sent, LACKS, check_mode=True, plan="key", install="yes")
    warning = "n1 does not have nftables. A real run installs this and then gives the host its firewall."
    assert found == {"changed": True, "missing_packages": ["nftables"], "warnings": [warning]}


def test_a_failed_installation_says_which_packages_it_was_for(sent: list[tuple[str, dict[str, Any]]]) -> None:
    with pytest.raises(AnsibleActionFail) as failed:
        ran(sent, LACKS, {"failed": True, "msg": "No network.\n"}, plan="key", install=True, play=SERIAL)
    assert str(failed.value).startswith(
        "Cannot install nftables, which the firewall of n1 needs: No network. This play"
    )


CONFLICT = {"changed": False, "ephemeral_ports": "32768-60999", "reserved_ports": ""}
LOCKD = {"reserved": [{"what": "lockd", "ports": "32768/tcp"}], "within": []}


def test_conflicts_of_ephemeral_ports_are_fixed_if_the_role_says_so(sent: list[tuple[str, dict[str, Any]]]) -> None:
    fixed = {
        "changed": True,
        "fixed": ["lockd needs 32768."],
        "ephemeral_ports": "32768-60999",
        "reserved_ports": "32768",
        "diff": {"before": "", "after": "32768\n"},
    }
    for diffs in ([], [{"before": "a\n", "after": "b\n"}]):
        answer = {**CONFLICT, **({"diff": diffs[0]} if diffs else {})}
        sent.clear()
        found = ran(sent, answer, fixed, plan="key", port_needs={"nfs": {**LOCKD, "fix": True}})
        assert sent[1] == ("hpc.ports.ephemeral_ports", {**LOCKD, "fix": True})
        assert found == {
            "changed": True,
            "ports_fixed": ["lockd needs 32768."],
            "diff": [*diffs, fixed["diff"]],
            **{name: fixed[name] for name in ("ephemeral_ports", "reserved_ports")},
        }


def test_a_conflict_that_is_not_to_be_fixed_is_a_warning(sent: list[tuple[str, dict[str, Any]]]) -> None:
    found = ran(sent, CONFLICT, plan="key", port_needs={"nfs": {**LOCKD, "fix": False}})
    assert not found["changed"] and found["warnings"][0].startswith("n1: lockd needs 32768, but")


DONE = {**CONFLICT, "changed": True, "diff": {"before": "a:\n", "after": "b:\n"}, "warnings": ["W."]}


@pytest.mark.parametrize(
    ("fixed", "is_check", "message"),
    [
        ({"failed": True, "msg": "Few."}, False, "n1 has its firewall, but its ephemeral ports stay: Few."),
        ({"failed": True, "msg": "Few."}, True, "n1: its ephemeral ports would stay: Few."),
        (LOST, False, f"n1 has its firewall, but its ephemeral ports stay: {LOST}"),
    ],
)
def test_ephemeral_ports_that_cannot_be_fixed_fail_the_task_which_tells_what_changed(
    sent: list[tuple[str, dict[str, Any]]], fixed: Any, is_check: bool, message: str
) -> None:
    found = ran(sent, DONE, fixed, check_mode=is_check, plan="key", port_needs={"nfs": {**LOCKD, "fix": True}})
    expected = {**DONE, "warnings": ["n1: W."], "failed": True, "msg": message}
    assert {**found, "msg": found["msg"].partition(" This play")[0]} == expected


def test_the_diff_of_ephemeral_ports_stands_beside_the_note_of_another_host(
    sent: list[tuple[str, dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    note = {"prepared": "n1: chain a as shown for n0.\n"}
    monkeypatch.setattr(firewall, "shown_once", lambda *arguments: [note])
    fixed = {**CONFLICT, "fixed": [], "diff": {"before": "", "after": "x\n"}}
    found = ran(sent, DONE, fixed, plan="key", diff=True, port_needs={"nfs": {**LOCKD, "fix": True}})
    assert found["diff"] == [note, fixed["diff"]]


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"port_needs": {"nfs": {}}}, "Invalid port_needs.nfs: got {}"),
        ({"declared_range": "1-x"}, "Invalid port_needs or declared_range: "),
        ({"install": "maybe"}, "Invalid install: "),
    ],
)
def test_an_invalid_option_never_reaches_the_host(
    sent: list[tuple[str, dict[str, Any]]], option: dict[str, Any], message: str
) -> None:
    with pytest.raises(AnsibleActionFail, match=f"^{message}"):
        ran(sent, plan="key", **option)
    assert not sent


def test_an_invalid_option_does_not_keep_the_firewall_on_a_host(sent: list[tuple[str, dict[str, Any]]]) -> None:
    assert ran(sent, {"changed": True}, state="absent", port_needs={"nfs": {}}, install="maybe") == {"changed": True}
    assert sent == [("hpc.ports.firewall", {"state": "absent"})]


def test_a_result_that_is_no_failure_names_no_hosts(sent: list[tuple[str, dict[str, Any]]]) -> None:
    answer = {"changed": True, "msg": "Well."}
    assert ran(sent, answer, play=SERIAL) == answer


@pytest.mark.parametrize(
    "serial,where,goes_on",
    [
        (1, "Done: one, two. Not changed: four, five.", False),
        (2, "Done: one, two. Not changed if the play ends: five.", True),
    ],
)
def test_ansible_continues_with_the_hosts_that_are_named(
    tmp_path: Path, serial: int, where: str, goes_on: bool
) -> None:
    """Run Ansible with an ssh program that never connects."""
    ssh, playbook = tmp_path / "ssh", tmp_path / "play.yml"
    ssh.write_text("#!/bin/sh\nexit 255\n", encoding="utf-8")
    ssh.chmod(0o755)
    playbook.write_text(
        f"""
- hosts: all
  gather_facts: false
  serial: {serial}
  tasks: [{{hpc.ports.firewall: {{state: absent}}, when: inventory_hostname == 'three'}}]
""",
        encoding="utf-8",
    )
    done = played("-i", "one,two,three,four,five,", str(playbook), "-e", f"ansible_ssh_executable={ssh}")
    assert ("UNREACHABLE" in done.line, where in done.line, "five : ok" in done.line) == (True, True, goes_on)
