# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run asks systemctl, and how its answers are read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._linux import systemd
from ansible_collections.hpc.ports.plugins.module_utils._linux.command import CommandError

UNIT = "firewalld.service"
NO_ANSWER = CommandError(["systemctl"], 1, "Failed to connect to bus")


class Systemd:
    """A systemctl that shows units, and what it was asked."""

    def __init__(self) -> None:
        self.units = {UNIT: ("loaded", "active"), "hpc-ports.service": ("loaded", "failed")}
        self.is_enabled = True
        self.outdated: set[str] = set()
        self.answers = True
        self.asked: list[str] = []

    def run(self, arguments: list[str]) -> str:
        """Answer as systemd 247 to 257 do."""
        self.asked.append(arguments[1])
        if not self.answers or arguments[1] == "is-enabled" and not self.is_enabled:
            raise NO_ANSWER
        return "\n".join(map(self._shown, arguments[3:]))

    def _shown(self, name: str) -> str:
        load, active = self.units.get(name, ("not-found", "inactive"))
        needs_reload = "yes" if name in self.outdated else "no"
        return f"LoadState={load}\nActiveState={active}\nNeedDaemonReload={needs_reload}\n"


@pytest.fixture(name="host")
def _host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Systemd]:
    host = Systemd()
    monkeypatch.setattr(systemd, "has_systemd", lambda: True)
    monkeypatch.setattr(systemd, "run", host.run)
    monkeypatch.setattr(systemd, "_FOLDERS", (str(tmp_path / "etc"), str(tmp_path / "lib")))
    for folder in ("etc", "lib"):
        (tmp_path / folder).mkdir()
    systemd.ask_again()
    yield host
    systemd.ask_again()


def test_one_program_tells_of_all_units(host: Systemd) -> None:
    assert (systemd.is_active(UNIT), systemd.has_failed(UNIT), systemd.state(UNIT)) == (True, False, "active")
    assert (systemd.is_active("hpc-ports.service"), systemd.has_failed("hpc-ports.service")) == (False, True)
    assert not systemd.has_failed("hpc-ports-published.service")
    assert host.asked == ["show"]
    assert not systemd.is_active("other.service")
    assert host.asked == ["show", "show"]


@pytest.mark.parametrize("state", ["active", "reloading", "refreshing"])
def test_states_of_active_units(host: Systemd, state: str) -> None:
    host.units[UNIT] = "loaded", state
    assert systemd.is_active(UNIT)


@pytest.mark.parametrize("state", ["inactive", "failed", "activating", "deactivating", "maintenance"])
def test_states_of_other_units(host: Systemd, state: str) -> None:
    host.units[UNIT] = "loaded", state
    assert not systemd.is_active(UNIT)


def test_a_masked_unit_may_still_run(host: Systemd) -> None:
    host.units[UNIT] = "masked", "active"
    assert systemd.is_active(UNIT)


def test_a_systemd_that_does_not_answer(host: Systemd) -> None:
    host.answers = False
    assert not systemd.is_active(UNIT) and not systemd.has_failed(UNIT) and not systemd.is_enabled(UNIT)
    with pytest.raises(CommandError):
        systemd.state(UNIT)


@pytest.mark.parametrize(
    "change", [lambda: systemd.read_units([]), lambda: systemd.restart(UNIT), lambda: systemd.forget(UNIT)]
)
def test_after_a_change_of_units_systemd_is_asked_again(host: Systemd, change: object) -> None:
    assert systemd.is_active(UNIT)
    assert callable(change)
    change()
    host.units[UNIT] = "loaded", "failed"
    assert systemd.has_failed(UNIT)


def test_systemd_reloads_no_units_that_it_has_read_already(host: Systemd, tmp_path: Path) -> None:
    (tmp_path / "etc" / UNIT).touch()
    gone, link = tmp_path / "etc" / "gone.service", tmp_path / "etc" / "sysinit.target.wants" / UNIT
    systemd.read_units([str(tmp_path / "etc" / UNIT), str(link), str(gone), "/etc/hpc-ports/ruleset.nft"])
    assert host.asked == ["show"]


@pytest.mark.parametrize("case", ["changed", "not found", "still there", "masked", "no answer"])
def test_systemd_reloads_units_that_it_has_not_read(host: Systemd, tmp_path: Path, case: str) -> None:
    path = tmp_path / "etc" / UNIT
    if case != "still there":
        path.touch()
    host.outdated = {UNIT} if case == "changed" else set()
    host.units[UNIT] = {"not found": "not-found", "masked": "masked"}.get(case, "loaded"), "inactive"
    if case == "no answer":
        host.answers = False
        with pytest.raises(CommandError):
            systemd.read_units([str(path)])
    else:
        systemd.read_units([str(path)])
    assert host.asked == ["show", "daemon-reload"]


def test_systemctl_is_not_asked_whether_a_missing_or_masked_unit_is_enabled(host: Systemd, tmp_path: Path) -> None:
    host.units[UNIT] = "not-found", "inactive"
    assert not systemd.is_enabled(UNIT)
    (tmp_path / "lib" / UNIT).touch()
    (tmp_path / "etc" / UNIT).symlink_to("/dev/null")
    host.units[UNIT] = "masked", "inactive"
    systemd.ask_again()
    assert not systemd.is_enabled(UNIT)
    assert "is-enabled" not in host.asked


@pytest.mark.parametrize("load", ["not-found", "masked", "loaded", "error", "bad-setting"])
@pytest.mark.parametrize("is_enabled", [True, False])
def test_systemctl_is_asked_where_there_is_a_file(host: Systemd, tmp_path: Path, load: str, is_enabled: bool) -> None:
    (tmp_path / "lib" / UNIT).touch()
    host.units[UNIT], host.is_enabled = (load, "inactive"), is_enabled
    assert systemd.is_enabled(UNIT) is is_enabled
    assert host.asked[-1] == "is-enabled"


@pytest.mark.parametrize("load", ["masked", "loaded", "error"])
def test_systemctl_is_asked_where_systemd_knows_more_than_the_files(host: Systemd, load: str) -> None:
    host.units[UNIT] = load, "inactive"
    assert systemd.is_enabled(UNIT)


def test_systemctl_is_asked_where_systemd_has_not_read_a_mask(host: Systemd, tmp_path: Path) -> None:
    (tmp_path / "etc" / UNIT).symlink_to("/dev/null")
    host.units[UNIT], host.is_enabled = ("loaded", "inactive"), False
    assert not systemd.is_enabled(UNIT)
    assert host.asked[-1] == "is-enabled"
