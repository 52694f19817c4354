# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The order of checks and changes, on a fake host that records every call; tests/kernel uses real hosts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._apply.ensure import (
    FirewallResult,
    Options,
    ensure_absent,
    ensure_present,
)
from ansible_collections.hpc.ports.plugins.module_utils._apply.lockout_guard import LockoutError, missing_flow
from ansible_collections.hpc.ports.plugins.module_utils._apply.pending import Pending
from ansible_collections.hpc.ports.plugins.module_utils._backends.change import NothingMade
from ansible_collections.hpc.ports.plugins.module_utils._linux.rule_loaders import RuleLoader, flush_warnings
from ansible_collections.hpc.ports.plugins.module_utils._linux.ssh_connection import SshConnection
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import (
    PolicyError,
    management_policy,
    parse_policy,
)
from ansible_collections.hpc.ports.tests.support.fakes import LAST_THINGS, FakeHost
from ansible_collections.hpc.ports.tests.support.samples import SAMPLE, SSH, WEB, policy

# SAMPLE allows this client, WEB_ONLY does not.
CLIENT = SshConnection("10.64.9.9", 51234, "192.0.2.1", 22, "eth0")
WEB_ONLY = policy(WEB)
APPLIED = ["lock", "nftables recover", "nftables check", "arm: undo nftables", "nftables make", "made", "unlock"]
OTHERS = Pending("other", 30, 0.0, "10.64.9.8", 1, LAST_THINGS)


@pytest.fixture(name="host")
def _host(tmp_path: Path) -> FakeHost:
    return FakeHost(tmp_path)


def present(
    host: FakeHost,
    data: dict[str, Any],
    transport: str = "ssh",
    check: bool = False,
    guard: bool = True,
    cut: bool = False,
) -> FirewallResult:
    return ensure_present("nftables", data, Options(40, guard, cut, transport, "token"), check, host.tools)


# ---- the guard


@pytest.mark.parametrize("check", [False, True])
@pytest.mark.parametrize(
    "transport",
    ["ssh", "ansible.builtin.ssh", "paramiko", "ansible.netcommon.libssh", "local", "ansible.builtin.local"],
)
def test_a_lockout_is_refused_before_anything_is_changed(host: FakeHost, transport: str, check: bool) -> None:
    host.connection = CLIENT
    with pytest.raises(LockoutError):
        present(host, WEB_ONLY, transport, check)
    assert (host.log, host.files(), host.backends["nftables"].running) == ([], [], {})


def test_a_client_on_a_trusted_interface_is_not_locked_out(host: FakeHost) -> None:
    host.connection = CLIENT._replace(interface="ib0")
    assert present(host, policy(WEB, interfaces=("ib0",))).pending
    with pytest.raises(LockoutError):
        present(host, policy(WEB, interfaces=("eth0",)))


def test_without_the_guard_the_policy_is_applied_and_the_missing_flow_noted(host: FakeHost) -> None:
    host.connection = CLIENT
    pending = present(host, WEB_ONLY, guard=False).pending
    assert pending and pending.last_things["advice"] == missing_flow(parse_policy(WEB_ONLY), CLIENT) != ""
    assert host.log == APPLIED


@pytest.mark.parametrize("transport", ["", "containers.podman.podman"])
def test_a_connection_without_a_port_needs_no_flow(host: FakeHost, transport: str) -> None:
    host.connection = CLIENT
    found = present(host, WEB_ONLY, transport)
    assert found.pending and (found.pending.client, found.pending.client_port, found.pending.last_things["advice"]) == (
        "",
        0,
        "",
    )
    assert not [text for text in found.warnings if "SSH_CONNECTION" in text]


def test_a_connection_that_cannot_be_seen_is_warned_of(host: FakeHost) -> None:
    found = present(host, WEB_ONLY)
    assert found.pending and [text for text in found.warnings if "SSH_CONNECTION" in text]


# ---- Ansible on the host itself


def warned(found: FirewallResult) -> list[str]:
    """The warnings about logging in again; others depend on the kernel of the machine."""
    return [text for text in found.warnings if "connection local" in text]


@pytest.mark.parametrize("check", [False, True])
@pytest.mark.parametrize("transport", ["local", "ansible.builtin.local"])
def test_over_local_the_ssh_connection_above_proves_nothing(host: FakeHost, transport: str, check: bool) -> None:
    host.connection = CLIENT
    found = present(host, SAMPLE, transport, check)
    assert warned(found) == [
        "No new connection confirms this change, because Ansible runs on the host itself (connection local). The "
        "policy allows 10.64.9.9, but nothing proves it. Keep your session open until a new connection succeeds."
    ]
    # There is no connection to distinguish a new one from.
    assert check or found.pending and (found.pending.client, found.pending.client_port) == ("10.64.9.9", 0)


def test_over_local_without_the_guard_a_warning_names_the_missing_flow(host: FakeHost) -> None:
    host.connection = CLIENT
    found = present(host, WEB_ONLY, "local", guard=False)
    missing = missing_flow(parse_policy(WEB_ONLY), CLIENT, is_local=True)
    assert found.pending and found.pending.last_things["advice"] == missing
    assert warned(found) == [
        "No new connection confirms this change, because Ansible runs on the host itself (connection local). "
        f"{missing} Keep your session open until a new connection succeeds."
    ]


def test_over_local_without_ssh_nothing_is_proved(host: FakeHost) -> None:
    found = present(host, WEB_ONLY, "local")
    assert found.pending and (found.pending.client, found.pending.client_port) == ("", 0)
    assert warned(found) == [
        "Nothing proves that anybody can log in to this host again: Ansible runs on the host itself (connection "
        "local), and was not started over ssh. Make sure that firewall_endpoints.controllers has the addresses of the "
        "administrators. Keep a session or the console open until a new ssh connection succeeds. If Ansible makes the "
        "change from another host over ssh, the host undoes a change that locks you out after firewall_confirm_within."
    ]


# ---- a policy


def test_a_change_awaits_confirmation(host: FakeHost) -> None:
    host.connection = CLIENT
    found = present(host, SAMPLE)
    assert host.log == APPLIED and found.pending == host.transactions.pending
    assert found.pending and found.pending[:2] + found.pending[3:5] == ("token", 40, "10.64.9.9", 51234)
    assert (found.pending.last_things["advice"], found.pending.last_things["cuts"]) == ("", False)
    # The file stays staged until the confirmation.
    assert host.files() == [".nftables.new"]
    assert found.change.is_needed and found.change.after.items() >= host.backends["nftables"].running.items()


def test_the_first_change_tracks_open_connections_before_and_after(host: FakeHost) -> None:
    host.connection = CLIENT
    host.untracked = "Not tracked."
    assert present(host, SAMPLE).warnings == ("Not tracked.",)
    assert host.tracked == ["nftables check", "made"]
    assert present(host, policy(SSH)).warnings == ()
    assert len(host.tracked) == 2


def test_the_policy_for_cutting_connections_is_noted_with_the_change(host: FakeHost) -> None:
    pending = present(host, SAMPLE, cut=True).pending
    assert pending and pending.last_things["cuts"]


def test_check_mode_only_checks(host: FakeHost) -> None:
    host.connection = CLIENT
    found = present(host, SAMPLE, check=True)
    assert (found.change.is_needed, found.pending, host.log, host.files()) == (True, None, ["nftables check"], [])


def test_a_policy_that_already_runs_is_neither_checked_nor_applied(host: FakeHost) -> None:
    present(host, WEB_ONLY, transport="local")
    Path(f"{host.backends['nftables'].path}").write_text(repr(parse_policy(WEB_ONLY)), encoding="utf-8")
    host.log.clear()
    host.connection = CLIENT
    found = present(host, WEB_ONLY)
    assert (found.change.is_needed, found.pending, found.warnings, host.log) == (False, None, (), [])


def test_changes_of_another_run_count(host: FakeHost) -> None:
    host.transactions.waited_for = OTHERS
    nftables = host.backends["nftables"]

    def done() -> None:
        nftables.log.append("recovered")
        nftables.running = {"rules": (repr(parse_policy(SAMPLE)),)}
        Path(nftables.path).write_text(nftables.running["rules"][0], encoding="utf-8")

    nftables.recover = done  # type: ignore[method-assign]
    found = present(host, SAMPLE)
    assert (found.pending, found.change.is_needed) == (None, False)
    assert host.log == ["lock", "recovered", "unlock"]
    assert [text for text in found.warnings if "from 10.64.9.8" in text]


def test_a_change_of_files_alone_awaits_no_confirmation(host: FakeHost) -> None:
    host.backends["nftables"].running = {"rules": (repr(parse_policy(SAMPLE)),)}
    assert present(host, SAMPLE).pending is None
    assert host.log == ["lock", "nftables recover", "nftables settle", "unlock"]
    assert host.files() == ["nftables"]


@pytest.mark.parametrize("failure,end", [(NothingMade("no"), "disarm"), (RuntimeError("half"), "revert")])
def test_a_change_that_fails_is_undone_unless_nothing_was_made(host: FakeHost, failure: Exception, end: str) -> None:
    host.backends["nftables"].failures["make"] = failure
    with pytest.raises(type(failure)):
        present(host, SAMPLE)
    assert host.log == [*APPLIED[:-2], end]
    assert host.files() == []


@pytest.mark.parametrize("check", [False, True])
@pytest.mark.parametrize("name", ["nftables", "firewalld"])
def test_a_change_that_would_harm_others_is_refused(host: FakeHost, name: str, check: bool) -> None:
    """Also where only the rules of the other backend cannot be removed."""
    host.backends["firewalld"].running = {"rules": ("old",)}
    host.backends[name].failures["check"] = RuntimeError("no")
    with pytest.raises(RuntimeError, match="^no$"):
        present(host, SAMPLE, check=check)
    assert not {"nftables make", "firewalld make", "arm: undo nftables"} & set(host.log)
    assert host.files() == [] and host.tracked == []


def test_the_change_names_the_backend_that_it_replaces(host: FakeHost) -> None:
    host.backends["firewalld"].running = {"rules": ("old",)}
    found = present(host, SAMPLE)
    assert found.change.leaving and found.change.leaving.backend == "firewalld"
    assert found.pending and found.pending.last_things["leaves"]


def test_a_bad_policy_is_refused(host: FakeHost) -> None:
    with pytest.raises(PolicyError):
        present(host, {**policy(SSH), "mode": "perhaps"})


# ---- removal


def run_both(host: FakeHost, *names: str) -> None:
    for name in names:
        host.backends[name].running = {"rules": ("old",)}
        Path(host.backends[name].path).write_text("old", encoding="utf-8")


def test_nothing_to_remove(host: FakeHost) -> None:
    assert not ensure_absent(False, host.tools).change.is_needed
    assert host.log == []


@pytest.mark.parametrize("names", [("nftables",), ("firewalld",), ("nftables", "firewalld")])
def test_the_rules_of_both_backends_are_removed(host: FakeHost, names: tuple[str, ...]) -> None:
    run_both(host, *names)
    assert ensure_absent(False, host.tools).change.is_needed
    done = [f"{name} {what}" for what in ("check", "make") for name in names]
    assert host.log == ["lock", "firewalld recover", *done, "unlock"]
    assert host.files() == []
    assert not any(backend.running for backend in host.backends.values())


@pytest.mark.parametrize("check", [False, True])
@pytest.mark.parametrize("name", ["nftables", "firewalld"])
def test_a_removal_that_would_harm_others_is_refused(host: FakeHost, name: str, check: bool) -> None:
    run_both(host, "nftables", "firewalld")
    host.backends[name].failures["check"] = RuntimeError("no")
    with pytest.raises(RuntimeError, match="^no$"):
        ensure_absent(check, host.tools)
    assert not {"nftables make", "firewalld make"} & set(host.log)
    assert host.files() == ["firewalld", "nftables"]


def test_a_removal_in_check_mode_only_checks(host: FakeHost) -> None:
    run_both(host, "nftables")
    assert ensure_absent(True, host.tools).change.is_needed
    assert (host.log, host.files()) == (["nftables check"], ["nftables"])


def test_a_removal_waits_for_its_turn(host: FakeHost) -> None:
    run_both(host, "nftables")
    host.transactions.waited_for = OTHERS
    assert len(ensure_absent(False, host.tools).warnings) == 1


# ---- other units, and boot failures


def test_a_unit_that_flushes_the_ruleset_is_named_even_without_a_change(host: FakeHost) -> None:
    host.loaders = (
        RuleLoader("nftables.service", True, True, "/etc/nftables.conf"),
        RuleLoader("ufw.service", True, True, ""),
    )
    for _time in range(2):
        assert flush_warnings(host.loaders)[0] in present(host, SAMPLE).warnings
        host.transactions.pending = None


def test_boot_failure_closed_needs_the_watch_with_firewalld(host: FakeHost) -> None:
    options = Options(40, True, False, "ssh", "token", watch=False, boot_failure="closed")
    with pytest.raises(RuntimeError, match="Set firewall_watch: true"):
        ensure_present("firewalld", SAMPLE, options, False, host.tools)
    assert (host.log, host.files()) == ([], [])


@pytest.mark.parametrize(
    "name, mode, closes",
    [
        ("nftables", "enforce", True),
        ("nftables", "observe", True),
        ("firewalld", "enforce", True),
        ("firewalld", "observe", False),
    ],
)
def test_boot_failure_closed_leaves_a_host_alone_that_firewalld_only_watches(
    host: FakeHost, name: str, mode: str, closes: bool
) -> None:
    asked: list[str] = []
    tools = host.tools._replace(watch=lambda change, is_wanted, closed: asked.append(closed) or change)  # type: ignore[func-returns-value]
    options = Options(40, False, False, "podman", "token", watch=True, boot_failure="closed")
    ensure_present(name, {**SAMPLE, "mode": mode}, options, True, tools)
    assert bool(asked[0]) == closes


def test_the_ruleset_of_a_failed_boot_accepts_only_ssh_from_the_controllers() -> None:
    least = management_policy(parse_policy(policy(SSH, WEB, mode="observe", egress="restricted")))
    assert (least.mode, least.egress, [rule.name for rule in least.rules]) == ("enforce", "open", ["in_management_ssh"])
