# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which hosts are refused, and how failures are worded."""

from __future__ import annotations

import pytest

from ansible_collections.hpc.ports.plugins.module_utils import boot, host, nftables
from ansible_collections.hpc.ports.plugins.module_utils.command import CommandError
from ansible_collections.hpc.ports.plugins.module_utils.host import HostError, check_host, worded


@pytest.fixture(autouse=True)
def _good_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host.os, "geteuid", lambda: 0)
    monkeypatch.setattr(boot, "has_systemd", lambda: False)
    monkeypatch.setattr(nftables, "is_installed", lambda: True)
    monkeypatch.setattr(nftables, "check_version", lambda: None)


def refusal(backend: str = "auto", present: bool = True) -> tuple[str, list[str]]:
    with pytest.raises(HostError) as caught:
        check_host(backend, present)
    return str(caught.value), caught.value.missing_packages


@pytest.mark.parametrize("backend", ["auto", "nftables"])
def test_a_good_host(backend: str) -> None:
    check_host(backend, present=True)


@pytest.mark.parametrize("present", [True, False])
def test_not_root(monkeypatch: pytest.MonkeyPatch, present: bool) -> None:
    monkeypatch.setattr(host.os, "geteuid", lambda: 1000)
    assert refusal(present=present) == ("Invalid user: got uid 1000, expected root. Set become: true.", [])


def test_nft_missing_is_a_package_to_install_and_no_hindrance_to_removal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nftables, "is_installed", lambda: False)
    assert refusal() == ("Missing program nft: install the package nftables.", ["nftables"])
    check_host("auto", present=False)


def systemd_says(monkeypatch: pytest.MonkeyPatch, active: bool) -> None:
    def run(arguments: list[str]) -> str:
        assert arguments == ["systemctl", "is-active", "--quiet", "firewalld.service"]
        if not active:
            raise CommandError(arguments, 3, "")
        return ""

    monkeypatch.setattr(boot, "has_systemd", lambda: True)
    monkeypatch.setattr(host, "run", run)


@pytest.mark.parametrize("backend", ["auto", "nftables"])
def test_firewalld_runs(monkeypatch: pytest.MonkeyPatch, backend: str) -> None:
    systemd_says(monkeypatch, active=True)
    assert refusal(backend) == (
        "Firewalld runs on this host, and the firewalld backend is still to come. Nothing was changed. To use "
        "nftables, stop and mask firewalld.", [])
    check_host(backend, present=False)


def test_firewalld_does_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    systemd_says(monkeypatch, active=False)
    check_host("auto", present=True)


KEPT = "Nothing was changed: the ruleset that ran before still runs."


@pytest.mark.parametrize("error, text", [
    (OSError(28, "No space left on device", "/etc/x"), f"Cannot write /etc/x: No space left on device. {KEPT}"),
    (OSError(12, "Cannot allocate memory"), f"[Errno 12] Cannot allocate memory. {KEPT}"),
    (CommandError(["nft", "-f", "-"], 1, "Error: x"), f"'nft -f -' failed with exit code 1: Error: x. {KEPT}"),
    (RuntimeError("As it is."), "As it is."),
])
def test_worded(error: Exception, text: str) -> None:
    assert worded(error) == text
