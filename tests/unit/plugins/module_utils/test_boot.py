# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that make a ruleset survive a reboot, in a folder that stands for /etc."""

from __future__ import annotations

import configparser
import errno
import os
from pathlib import Path

import pytest

from ansible_collections.hpc.ports.plugins.module_utils import boot, files
from ansible_collections.hpc.ports.plugins.module_utils.files import Item, Items, Places

SCRIPT = "add table inet hpc_ports\n"


@pytest.fixture(name="etc", autouse=True)
def _etc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("RULESET", "UNIT", "LINK"):
        monkeypatch.setattr(boot, name, str(tmp_path) + getattr(boot, name).removeprefix("/etc"))
    monkeypatch.setattr(boot, "PLACES", Places((boot.RULESET, boot.UNIT, boot.LINK), folders=(
        os.path.dirname(boot.LINK), os.path.dirname(boot.RULESET))))
    monkeypatch.setattr(boot, "find_program", lambda name: f"/sbin/{name}")
    (tmp_path / "systemd" / "system").mkdir(parents=True)
    return tmp_path


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def make() -> Items:
    items = boot.wanted_items(SCRIPT, has_systemd=True)
    files.stage(boot.PLACES, items)
    files.commit(boot.PLACES)
    return items


def test_what_is_staged_and_committed_is_what_is_wanted(etc: Path) -> None:
    items = make()
    assert boot.present_state() == files.items_state(items)
    assert (etc / "hpc-ports" / "ruleset.nft").read_text(encoding="utf-8").splitlines()[1:] == SCRIPT.splitlines()
    assert os.readlink(boot.LINK) == boot.UNIT
    assert f"ExecStart=/sbin/nft -f {boot.RULESET}\n" in Path(boot.UNIT).read_text(encoding="utf-8")
    assert not [name for name in names(etc) if name.endswith(".new")]


@pytest.mark.parametrize("umask", [0, 0o077])
def test_modes_do_not_depend_on_the_umask(umask: int) -> None:
    before = os.umask(umask)
    try:
        make()
    finally:
        os.umask(before)
    assert [os.stat(path).st_mode & 0o777 for path in (boot.RULESET, boot.UNIT)] == [0o600, 0o644]
    assert os.stat(os.path.dirname(boot.RULESET)).st_mode & 0o022 == 0


def test_the_program_is_where_this_host_has_it_or_where_another_one_does() -> None:
    for nft, started in (("", "/sbin/nft"), ("/usr/sbin/nft", "/usr/sbin/nft")):
        text = boot.wanted_items(SCRIPT, has_systemd=True, nft=nft)[boot.UNIT].text
        assert f"\nExecStart={started} -f {boot.RULESET}\n" in text


def test_the_rules_are_there_before_any_network() -> None:
    """In early boot: systemd has no network before that target, and stops what it does not order at a shutdown."""
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(boot.wanted_items(SCRIPT, has_systemd=True)[boot.UNIT].text)
    assert dict(unit["Unit"], Description="") == {
        "Description": "", "DefaultDependencies": "no", "Wants": "network-pre.target",
        "Before": "network-pre.target shutdown.target", "Conflicts": "shutdown.target",
        "RequiresMountsFor": os.path.dirname(boot.RULESET)}
    assert (unit["Service"]["Type"], unit["Service"]["RemainAfterExit"]) == ("oneshot", "yes")
    assert unit["Install"]["WantedBy"] == "sysinit.target"


def test_without_systemd_there_is_only_the_ruleset() -> None:
    assert list(boot.wanted_items(SCRIPT, has_systemd=False)) == [boot.RULESET]


@pytest.mark.parametrize("text", ["add table inet hpc_ports", "add table inet hpc_ports\r\n",
                                  "add table inet hpc_ports\n\n", "add table inet\u2028hpc_ports\n", ""])
def test_texts_that_look_alike_differ(text: str) -> None:
    items = make()
    Path(boot.RULESET).write_text(text, encoding="utf-8", newline="")
    os.chmod(boot.RULESET, 0o600)
    assert boot.present_state() != files.items_state({**items, boot.RULESET: Item(SCRIPT, mode=0o600)})


def test_bytes_that_are_no_text_are_read_as_text() -> None:
    make()
    Path(boot.RULESET).write_bytes(b"\xff\n")
    assert boot.present_state()[f"file {boot.RULESET}"][1] == "\\xff"


def test_staging_changes_nothing_that_is_there(etc: Path) -> None:
    make()
    before = boot.present_state()
    items = boot.wanted_items("other\n", has_systemd=True)
    files.stage(boot.PLACES, items)
    found = boot.present_state()
    assert {name: found.pop(name) for name in before} == before
    # What a crash leaves staged is seen, and so mended.
    assert sorted(found) == sorted(
        f"{kind} {path}" for kind, path in zip(("file", "file", "link"), boot.PLACES.staged))
    files.discard(boot.PLACES)
    assert boot.present_state() == before
    assert not [name for name in names(etc) if name.endswith(".new")]


def test_what_an_interrupted_run_staged_is_no_hindrance() -> None:
    items = boot.wanted_items(SCRIPT, has_systemd=True)
    files.stage(boot.PLACES, items)
    make()
    assert boot.present_state() == files.items_state(items)


def test_discarding_leaves_no_folder_behind(etc: Path) -> None:
    before = names(etc)
    items = boot.wanted_items(SCRIPT, has_systemd=True)
    files.stage(boot.PLACES, items)
    files.discard(boot.PLACES)
    assert names(etc) == before


def test_removing_leaves_what_was_there_before(etc: Path) -> None:
    (etc / "hpc-ports").mkdir()
    (etc / "hpc-ports" / "mine").touch()
    before = names(etc)
    make()
    files.remove(boot.PLACES)
    assert names(etc) == before
    files.remove(boot.PLACES)


def test_a_write_that_fails_names_the_file_in_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    def fsync(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", fsync)
    with pytest.raises(OSError) as caught:
        files.stage(boot.PLACES, boot.wanted_items(SCRIPT, has_systemd=False))
    assert (caught.value.filename, caught.value.strerror) == (boot.RULESET, "No space left on device")


def test_what_goes_is_removed_after_all_else_has_come(etc: Path) -> None:
    old, new = str(etc / "old"), str(etc / "new")
    places = Places((new,), gone=(old, str(etc / "was never there")))
    Path(old).touch()
    files.stage(places, {new: Item("text")})
    assert names(etc) == [".new.new", "old", "systemd", "systemd/system"]
    files.commit(places)
    assert names(etc) == ["new", "systemd", "systemd/system"]
