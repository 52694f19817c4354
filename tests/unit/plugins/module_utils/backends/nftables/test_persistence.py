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
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables import persistence
from ansible_collections.hpc.ports.plugins.module_utils._linux import files
from ansible_collections.hpc.ports.plugins.module_utils._linux.command import find_program
from ansible_collections.hpc.ports.plugins.module_utils._linux.files import FileContent, FileContents, Places
from ansible_collections.hpc.ports.plugins.module_utils._model.state import State
from ansible_collections.hpc.ports.tests.support.limits import no_writing

SCRIPT = "add table inet hpc_ports\n"


class Etc:
    """A folder in the place of /etc."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ruleset, self.unit, self.link = map(
            self._inside, (persistence.RULESET, persistence.UNIT, persistence.LINK)
        )
        self.places = Places(*(tuple(map(self._inside, paths)) for paths in persistence.PLACES))
        (folder / "systemd" / "system").mkdir(parents=True)

    def _inside(self, path: str) -> str:
        return str(self.folder) + path.removeprefix("/etc")

    def items(self, script: str = SCRIPT) -> FileContents:
        """Return the files that make this script last."""
        return {
            self._inside(path): item._replace(target=item.target and self._inside(item.target))
            for path, item in persistence.wanted_items(script, has_systemd=True, nft="/sbin/nft").items()
        }

    def make(self) -> FileContents:
        """Put them there."""
        items = self.items()
        files.stage(self.places, items)
        files.commit(self.places)
        return items

    def state(self) -> State:
        """Return what is there."""
        return persistence.present_state(self.places)

    def names(self) -> list[str]:
        """Return the names of all files and folders."""
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*"))


@pytest.fixture(name="etc")
def _etc(tmp_path: Path) -> Etc:
    return Etc(tmp_path)


def test_what_is_staged_and_committed_is_what_is_wanted(etc: Etc) -> None:
    items = etc.make()
    assert etc.state() == files.items_state(items)
    assert (etc.folder / "hpc-ports" / "ruleset.nft").read_text(encoding="utf-8").splitlines()[
        1:
    ] == SCRIPT.splitlines()
    assert os.readlink(etc.link) == etc.unit
    assert f"ExecStart=/sbin/nft -f {persistence.RULESET}\n" in Path(etc.unit).read_text(encoding="utf-8")
    assert not [name for name in etc.names() if name.endswith(".new")]


@pytest.mark.parametrize("umask", [0, 0o077])
def test_modes_do_not_depend_on_the_umask(etc: Etc, umask: int) -> None:
    before = os.umask(umask)
    try:
        etc.make()
    finally:
        os.umask(before)
    assert [os.stat(path).st_mode & 0o777 for path in (etc.ruleset, etc.unit)] == [0o600, 0o644]
    assert os.stat(os.path.dirname(etc.ruleset)).st_mode & 0o022 == 0


def test_the_program_is_where_this_host_has_it_or_where_another_one_does() -> None:
    for nft, started in (("", find_program("nft")), ("/opt/sbin/nft", "/opt/sbin/nft")):
        text = persistence.wanted_items(SCRIPT, has_systemd=True, nft=nft)[persistence.UNIT].text
        assert f"\nExecStart={started} -f {persistence.RULESET}\n" in text


def test_the_rules_are_there_before_any_network() -> None:
    """In early boot: systemd has no network before that target, and stops what it does not order at a shutdown."""
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(persistence.wanted_items(SCRIPT, has_systemd=True)[persistence.UNIT].text)
    assert dict(unit["Unit"], Description="") == {
        "Description": "",
        "DefaultDependencies": "no",
        "Wants": "network-pre.target",
        "Before": "network-pre.target shutdown.target",
        "Conflicts": "shutdown.target",
        "RequiresMountsFor": os.path.dirname(persistence.RULESET),
    }
    assert (unit["Service"]["Type"], unit["Service"]["RemainAfterExit"]) == ("oneshot", "yes")
    assert unit["Install"]["WantedBy"] == "sysinit.target"


def test_it_comes_after_those_that_flush() -> None:
    unit = persistence.wanted_items(SCRIPT, has_systemd=True, after=("nftables.service", "site.service"))[
        persistence.UNIT
    ].text
    assert "\nAfter=nftables.service site.service\n" in unit


def test_a_boot_that_fails_loads_the_other_ruleset_and_fails_all_the_same() -> None:
    items = persistence.wanted_items(SCRIPT, has_systemd=True, nft="/sbin/nft", closed="closed\n")
    assert items[persistence.CLOSED].text.splitlines()[1:] == ["closed"]
    assert (
        f"\nExecStart=/bin/sh -c '/sbin/nft -f {persistence.RULESET} && /sbin/nft list chain inet hpc_ports input || "
        f"{{ /sbin/nft -f {persistence.CLOSED}; exit 1; }}'\n" in items[persistence.UNIT].text
    )
    assert persistence.CLOSED in persistence.places(items).paths and not persistence.places(items).gone
    assert persistence.places(persistence.wanted_items(SCRIPT, has_systemd=True)).gone == (persistence.CLOSED,)


def test_without_systemd_there_is_only_the_ruleset() -> None:
    assert list(persistence.wanted_items(SCRIPT, has_systemd=False)) == [persistence.RULESET]


@pytest.mark.parametrize(
    "text",
    [
        "add table inet hpc_ports",
        "add table inet hpc_ports\r\n",
        "add table inet hpc_ports\n\n",
        "add table inet\u2028hpc_ports\n",
        "",
    ],
)
def test_texts_that_look_alike_differ(etc: Etc, text: str) -> None:
    items = etc.make()
    Path(etc.ruleset).write_text(text, encoding="utf-8", newline="")
    os.chmod(etc.ruleset, 0o600)
    assert etc.state() != files.items_state({**items, etc.ruleset: FileContent(SCRIPT, mode=0o600)})


def test_bytes_that_are_no_text_are_read_as_text(etc: Etc) -> None:
    etc.make()
    Path(etc.ruleset).write_bytes(b"\xff\n")
    assert etc.state()[f"file {etc.ruleset}"][1] == "\\xff"


def test_staging_changes_nothing_that_is_there(etc: Etc) -> None:
    etc.make()
    before = etc.state()
    items = etc.items("other\n")
    files.stage(etc.places, items)
    found = etc.state()
    assert {name: found.pop(name) for name in before} == before
    # What a crash leaves staged is seen, and so mended.
    assert sorted(found) == sorted(
        f"{'link' if path == etc.link else 'file'} {files.staged_path(path)}" for path in items
    )
    files.discard(etc.places)
    assert etc.state() == before
    assert not [name for name in etc.names() if name.endswith(".new")]


def test_what_an_interrupted_run_staged_is_no_hindrance(etc: Etc) -> None:
    items = etc.items()
    files.stage(etc.places, items)
    etc.make()
    assert etc.state() == files.items_state(items)


def test_discarding_leaves_no_folder_behind(etc: Etc) -> None:
    before = etc.names()
    items = etc.items()
    files.stage(etc.places, items)
    files.discard(etc.places)
    assert etc.names() == before


def test_removing_leaves_what_was_there_before(etc: Etc) -> None:
    (etc.folder / "hpc-ports").mkdir()
    (etc.folder / "hpc-ports" / "mine").touch()
    before = etc.names()
    etc.make()
    files.remove(etc.places)
    assert etc.names() == before
    files.remove(etc.places)


def test_a_write_that_fails_names_the_file_in_its_place(etc: Etc) -> None:
    with pytest.raises(OSError) as caught, no_writing():
        files.stage(etc.places, etc.items())
    assert (caught.value.filename, caught.value.errno) == (etc.ruleset, errno.EFBIG)


def test_what_goes_is_removed_after_all_else_has_come(etc: Etc) -> None:
    old, new = str(etc.folder / "old"), str(etc.folder / "new")
    places = Places((new,), gone=(old, str(etc.folder / "was never there")))
    Path(old).touch()
    files.stage(places, {new: FileContent("text")})
    assert etc.names() == [".new.new", "old", "systemd", "systemd/system"]
    files.commit(places)
    assert etc.names() == ["new", "systemd", "systemd/system"]
