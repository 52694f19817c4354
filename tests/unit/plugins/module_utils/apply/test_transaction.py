# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The note of a change under /run/hpc-ports, and the command that undoes it; all else needs a host: tests/kernel."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._apply import armed_revert, decision, lock, transaction
from ansible_collections.hpc.ports.plugins.module_utils._apply.armed_revert import clock_command
from ansible_collections.hpc.ports.plugins.module_utils._apply.confirm import confirm
from ansible_collections.hpc.ports.plugins.module_utils._apply.pending import FORMAT, FormatError, Pending
from ansible_collections.hpc.ports.plugins.module_utils._backends.change import Undo
from ansible_collections.hpc.ports.plugins.module_utils._linux.files import Places
from ansible_collections.hpc.ports.tests.support.fakes import LAST_THINGS

PENDING = Pending("0f3c", 30, 1234.56, "10.0.0.9", 51234, LAST_THINGS)
# The script reads the clock of the deadline, which continues while the machine is suspended.
SCRIPT = ["/bin/sh", "/run/hpc-ports/0f3c/revert", "at", "1235"]


@pytest.mark.parametrize(
    "by_systemd,expected",
    [
        (False, SCRIPT),
        (
            True,
            [
                "systemd-run",
                "--quiet",
                "--collect",
                "--unit=hpc-ports-revert-0f3c.service",
                "--property=Restart=on-abnormal",
                "--description=Undo the change of the firewall unless it is confirmed",
                *SCRIPT,
            ],
        ),
    ],
)
def test_the_command_that_undoes_a_change(by_systemd: bool, expected: list[str]) -> None:
    assert clock_command(PENDING, by_systemd) == expected


# ---- the note of a change


@pytest.fixture(name="folder")
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of changes with one that awaits confirmation; its undo writes the file `undone` beside it."""
    for module in (armed_revert, decision):
        monkeypatch.setattr(module, "FOLDER", str(tmp_path))
        monkeypatch.setattr(module, "ARMED", str(tmp_path / "armed"))
        monkeypatch.setattr(module, "has_systemd", lambda: False)
    monkeypatch.setattr(armed_revert, "_start_clock", lambda pending: None)
    monkeypatch.setattr(lock, "FOLDER", str(tmp_path))
    monkeypatch.setattr(lock, "_LOCK", str(tmp_path / "lock"))
    undo = Undo("echo undone > ../undone", {})
    transaction.arm(PENDING.token, undo, Places(()), 30, PENDING.client, PENDING.client_port, PENDING.last_things)
    return tmp_path


def test_a_change_that_cannot_be_armed_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(pending: Pending) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(armed_revert, "_start_clock", fail)
    with pytest.raises(OSError):
        transaction.arm("0f3d", Undo("true", {"restore.nft": "x"}), Places(()), 30, "", 0, LAST_THINGS)
    assert not (folder / "0f3d").exists()


def renumber(folder: Path, found: object) -> None:
    """Give the note another format, or none, as another version of the collection would write it."""
    path = folder / PENDING.token / "about.json"
    note: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    assert note.pop("format") == FORMAT
    path.write_text(json.dumps({**note, **({"format": found} if found else {})}), encoding="utf-8")


def test_a_later_module_reads_the_change_as_it_was_noted(folder: Path) -> None:
    with decision.confirmation(PENDING.token) as pending:
        assert pending and pending._replace(deadline=PENDING.deadline) == PENDING
    assert not (folder / "undone").exists()


@pytest.mark.parametrize("found", [FORMAT + 1, None], ids=["newer", "without a format"])
def test_a_change_of_another_format_is_undone_and_reported(folder: Path, found: object) -> None:
    renumber(folder, found)
    for _again in range(2):
        result = confirm(PENDING.token)
        assert result == {"status": "other format", "msg": str(FormatError(found))}
        assert f"got {found!r}, expected {FORMAT}" in result["msg"] and "undone" in result["msg"]
    assert (folder / "undone").exists() and not (folder / "armed").is_symlink()


def test_a_run_undoes_a_change_of_another_format_and_fails(folder: Path) -> None:
    renumber(folder, FORMAT + 1)
    with pytest.raises(FormatError), transaction.exclusive_change():
        pass
    assert (folder / "undone").exists()
    with transaction.exclusive_change() as waited_for:
        assert waited_for is None


def test_a_run_that_confirms_another_change_leaves_the_format_alone(folder: Path) -> None:
    renumber(folder, FORMAT + 1)
    assert confirm("other") == {"status": "unknown"}
    assert not (folder / "undone").exists()
