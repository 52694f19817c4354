# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Confirming a change, on a fake host that records every call; tests/kernel uses real hosts."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._apply.confirm import confirm
from ansible_collections.hpc.ports.plugins.module_utils._apply.ensure import Options, ensure_present
from ansible_collections.hpc.ports.plugins.module_utils._linux.command import CommandError
from ansible_collections.hpc.ports.plugins.module_utils._linux.ssh_connection import SshConnection
from ansible_collections.hpc.ports.tests.support.fakes import FakeBackend, FakeHost
from ansible_collections.hpc.ports.tests.support.samples import SAMPLE

OPTIONS = Options(30, True, False, "ssh", "token")
OLD = SshConnection("10.64.9.9", 51234, "192.0.2.1", 22)
NEW = OLD._replace(client_port=51235)
CONFIRMED = ["decide", "disarm", "nftables settle", "decided"]
REFUSED = ["decide", "decided"]


@pytest.fixture(name="host")
def _host(tmp_path: Path) -> FakeHost:
    """A host with a change that was made over OLD and that NEW can confirm."""
    return armed(FakeHost(tmp_path), OLD)


def armed(host: FakeHost, client: SshConnection | None, cut: bool = False, transport: str = "ssh") -> FakeHost:
    host.connection = client
    options = OPTIONS._replace(cut_established=cut, transport=transport if client else "")
    assert ensure_present("nftables", SAMPLE, options, False, host.tools).pending
    host.connection = NEW
    host.log.clear()
    return host


def test_a_new_connection_confirms(host: FakeHost) -> None:
    assert confirm("token", host.confirm_tools) == {"status": "confirmed", "confirmed_from": "10.64.9.9 port 51235"}
    assert host.log == CONFIRMED
    assert (host.transactions.pending, host.files()) == (None, ["nftables"])


@pytest.mark.parametrize("connection,shown", [(OLD, "10.64.9.9 port 51234"), (None, "")])
def test_the_same_or_no_connection_does_not_confirm(
    host: FakeHost, connection: SshConnection | None, shown: str
) -> None:
    host.connection = connection
    assert confirm("token", host.confirm_tools) == {"status": "not new", "confirmed_from": shown}
    assert host.log == REFUSED and host.transactions.pending


def test_the_same_port_of_another_client_confirms(host: FakeHost) -> None:
    host.connection = OLD._replace(client="10.64.9.8")
    assert confirm("token", host.confirm_tools)["status"] == "confirmed"


def test_a_change_without_a_connection_is_confirmed_over_any_connection(tmp_path: Path) -> None:
    host = armed(FakeHost(tmp_path), None)
    assert confirm("token", host.confirm_tools) == {"status": "confirmed", "confirmed_from": ""}


@pytest.mark.parametrize("connection", [OLD, None])
def test_a_change_over_local_is_confirmed_over_the_same_connection(
    tmp_path: Path, connection: SshConnection | None
) -> None:
    host = armed(FakeHost(tmp_path), OLD, transport="local")
    host.connection = connection
    assert confirm("token", host.confirm_tools) == {"status": "confirmed", "confirmed_from": ""}


def test_a_change_over_local_that_no_longer_runs_is_not_confirmed(tmp_path: Path) -> None:
    host = armed(FakeHost(tmp_path), OLD, transport="local")
    host.backends["nftables"].running = {"rules": ("somebody's",)}
    assert confirm("token", host.confirm_tools) == {"status": "altered"}


def test_a_change_that_was_not_made_is_not_confirmed(host: FakeHost) -> None:
    host.transactions.made = False
    assert confirm("token", host.confirm_tools) == {"status": "not made"}
    assert host.log == REFUSED and host.transactions.pending


def test_a_change_that_no_longer_runs_is_not_confirmed(host: FakeHost) -> None:
    host.backends["nftables"].running = {"rules": ("somebody's",)}
    assert confirm("token", host.confirm_tools) == {"status": "altered"}
    assert host.log == REFUSED and host.transactions.pending


def test_another_change_is_not_confirmed(host: FakeHost) -> None:
    assert confirm("other", host.confirm_tools) == {"status": "unknown"}
    assert host.log == REFUSED and host.transactions.pending


def test_a_change_that_the_host_has_undone_is_reported(host: FakeHost) -> None:
    pending = host.transactions.pending
    assert pending
    host.transactions.revert(pending._replace(last_things={**pending.last_things, "advice": "Add it."}))
    assert confirm("token", host.confirm_tools) == {
        "status": "reverted",
        "seconds": 30,
        "client": "10.64.9.9",
        "advice": "Add it.",
    }


@pytest.mark.parametrize(
    "failure,why",
    [
        (CommandError(["x"], 1, "no"), "'x' failed with exit code 1: no"),
        (OSError(28, "No space left on device", "/etc/x"), "cannot write /etc/x: No space left on device"),
    ],
)
def test_files_that_cannot_be_replaced_fail_the_module_and_keep_the_change(
    host: FakeHost, failure: Exception, why: str
) -> None:
    host.backends["nftables"].failures["settle"] = failure
    result = confirm("token", host.confirm_tools)
    assert (result["status"], result["msg"]) == (
        "confirmed",
        f"The new ruleset runs, but a reboot would not load it: {why}. Fix this and run again.",
    )
    assert (host.log, host.files()) == (CONFIRMED, [])


# ---- what is left to do


def test_connections_are_left_to_be_cut_which_is_noted_first(tmp_path: Path) -> None:
    host = armed(FakeHost(tmp_path), OLD, cut=True)
    assert confirm("token", host.confirm_tools) == {"status": "confirmed", "confirmed_from": str(NEW), "cuts": True}
    assert host.log == ["decide", "note that connections are left to be cut", *CONFIRMED[1:]]


def test_connections_are_left_to_be_cut_if_files_cannot_be_replaced(tmp_path: Path) -> None:
    host = armed(FakeHost(tmp_path), OLD, cut=True)
    host.backends["nftables"].failures["settle"] = OSError(28, "No space left on device", "/etc/x")
    result = confirm("token", host.confirm_tools)
    assert result["cuts"] and "would not load it" in result["msg"]


def test_no_connection_is_cut_without_a_confirmation(tmp_path: Path) -> None:
    host = armed(FakeHost(tmp_path), OLD, cut=True)
    host.connection = OLD
    assert "cuts" not in confirm("token", host.confirm_tools) and host.log == REFUSED


def _with_rules_in_firewalld(host: FakeHost) -> FakeBackend:
    firewalld = host.backends["firewalld"]
    firewalld.running = {"rules": ("old",)}
    Path(firewalld.path).write_text("old", encoding="utf-8")
    return firewalld


@pytest.mark.parametrize("failure", [None, RuntimeError("no")])
def test_the_next_run_removes_the_rules_of_the_other_backend(tmp_path: Path, failure: Exception | None) -> None:
    host = FakeHost(tmp_path)
    firewalld = _with_rules_in_firewalld(host)
    armed(host, OLD)
    assert confirm("token", host.confirm_tools)["leaves"]
    assert host.log == CONFIRMED and firewalld.running
    if failure:
        firewalld.failures = {"make": failure}
        with pytest.raises(RuntimeError, match="the backend firewalld is still loaded as well: no. Fix this and run"):
            ensure_present("nftables", SAMPLE, OPTIONS, False, host.tools)
    else:
        assert not ensure_present("nftables", SAMPLE, OPTIONS, False, host.tools).pending
    assert (
        host.log[-4:] == ["firewalld recover", "firewalld check", "firewalld make", "unlock"][: 3 if failure else 4]
        or failure
    )
    assert (firewalld.running == {}) == (failure is None)
