# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which hosts are refused, and how failures are worded."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._backends import selection
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables import kernel
from ansible_collections.hpc.ports.plugins.module_utils._backends.selection import check_user, chosen_backend
from ansible_collections.hpc.ports.plugins.module_utils._linux import nft, systemd
from ansible_collections.hpc.ports.plugins.module_utils._linux.command import CommandError
from ansible_collections.hpc.ports.plugins.module_utils._linux.errors import HostError, failure_text
from ansible_collections.hpc.ports.tests.support.messages import KEPT


@pytest.fixture(autouse=True)
def _good_host(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(selection.os, "geteuid", lambda: 0)
    monkeypatch.setattr(systemd, "has_systemd", lambda: False)
    monkeypatch.setattr(nft, "is_installed", lambda: True)
    monkeypatch.setattr(kernel, "check_version", lambda: None)
    systemd.ask_again()
    yield
    systemd.ask_again()


def refusal(asked: str = "auto") -> tuple[str, list[str]]:
    with pytest.raises(HostError) as caught:
        chosen_backend(asked)
    return str(caught.value), caught.value.missing_packages


def firewalld_is(monkeypatch: pytest.MonkeyPatch, state: str, enabled: bool) -> None:
    def run(arguments: list[str]) -> str:
        if arguments[1] == "show":
            return "".join(
                f"LoadState=loaded\nActiveState={state if unit == 'firewalld.service' else 'failed'}\n\n"
                for unit in arguments[3:]
            )
        assert arguments == ["systemctl", "is-enabled", "--quiet", "firewalld.service"]
        if not enabled:
            raise CommandError(arguments, 1, "")
        return ""

    monkeypatch.setattr(systemd, "has_systemd", lambda: True)
    monkeypatch.setattr(systemd, "run", run)


@pytest.mark.parametrize("asked", ["auto", "nftables"])
def test_no_systemd(asked: str) -> None:
    assert chosen_backend(asked) == "nftables"


def test_not_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection.os, "geteuid", lambda: 1000)
    assert refusal() == ("Invalid user: got uid 1000, expected root. Set become: true.", [])


@pytest.mark.parametrize("state", ["active", "inactive"])
def test_nft_missing_is_a_package_to_install_and_no_hindrance_to_removal(
    monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    firewalld_is(monkeypatch, state, enabled=False)
    monkeypatch.setattr(nft, "is_installed", lambda: False)
    assert refusal() == ("Missing program nft: install the package nftables.", ["nftables"])
    check_user()


@pytest.mark.parametrize(
    ("asked", "state", "enabled", "backend"),
    [
        ("auto", "active", True, "firewalld"),
        ("auto", "active", False, "firewalld"),
        ("firewalld", "active", True, "firewalld"),
        ("auto", "inactive", False, "nftables"),
        ("nftables", "inactive", False, "nftables"),
    ],
)
def test_what_runs_carries_the_rules(
    monkeypatch: pytest.MonkeyPatch, asked: str, state: str, enabled: bool, backend: str
) -> None:
    firewalld_is(monkeypatch, state, enabled)
    assert chosen_backend(asked) == backend


def test_nftables_beside_a_firewalld_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    firewalld_is(monkeypatch, "active", enabled=True)
    assert refusal("nftables") == (
        "firewall_backend is 'nftables', but firewalld runs on this host: each of the two would drop "
        "connections that the other accepts. Nothing was changed. Stop and mask firewalld (systemctl mask --now "
        "firewalld), or set "
        "firewall_backend: auto.",
        [],
    )


def test_a_firewalld_that_does_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    firewalld_is(monkeypatch, "inactive", enabled=False)
    assert refusal("firewalld") == (
        "firewall_backend is 'firewalld', but firewalld does not run on this host (its state is 'inactive'). Nothing "
        "was changed. Install firewalld if it is missing, and start it: systemctl enable --now firewalld",
        [],
    )


@pytest.mark.parametrize("asked", ["auto", "nftables"])
def test_a_firewalld_that_would_come_back_with_the_next_boot(monkeypatch: pytest.MonkeyPatch, asked: str) -> None:
    firewalld_is(monkeypatch, "failed", enabled=True)
    assert refusal(asked) == (
        "firewalld is enabled on this host, but does not run (its state is 'failed'). Nothing was changed. Fix "
        "and start firewalld (journalctl -u firewalld), or mask it to use the nftables backend: systemctl mask "
        "firewalld",
        [],
    )


@pytest.mark.parametrize(
    "error, text",
    [
        (OSError(28, "No space left on device", "/etc/x"), f"Cannot write /etc/x: No space left on device. {KEPT}"),
        (OSError(12, "Cannot allocate memory"), f"[Errno 12] Cannot allocate memory. {KEPT}"),
        (CommandError(["nft", "-f", "-"], 1, "Error: x"), f"'nft -f -' failed with exit code 1: Error: x. {KEPT}"),
        (RuntimeError("As it is."), "As it is."),
    ],
)
def test_worded(error: Exception, text: str) -> None:
    assert failure_text(error) == text
