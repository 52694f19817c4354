# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a cached listing is used, and when nft lists again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._linux.netlink import NetlinkError
from ansible_collections.hpc.ports.plugins.module_utils._linux.nft_fingerprint import NoTableError
from ansible_collections.hpc.ports.plugins.module_utils._linux.nft_listings import Listing, ListingCache

OURS = Listing("nft -s list table inet t", (("inet", "t"),))


class Host:
    """A host whose tables have digests, and whose nft lists them as `text`."""

    def __init__(self, folder: Path) -> None:
        self.digests = {("inet", "t"): "a", ("ip", "o"): "a"}
        self.nft = "nft 1"
        self.text = "text"
        self.listed = 0
        self.meanwhile: Callable[[], None] = lambda: None
        self.kept = ListingCache(str(folder), lambda tables, is_terse: self.digest(tables), lambda: [self.nft])

    def digest(self, tables: Sequence[tuple[str, str]]) -> str:
        return " ".join(self.digests[table] for table in tables)

    def lists(self) -> str:
        self.listed += 1
        self.meanwhile()
        return self.text

    def tells(self, listing: Listing = OURS) -> tuple[str, int]:
        """Return the listing, and how often nft has listed so far."""
        return self.kept.text(listing, self.lists), self.listed


@pytest.fixture(name="host")
def _host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_the_same_tables_are_listed_once(host: Host) -> None:
    assert [host.tells(), host.tells()] == [("text", 1), ("text", 1)]
    host.digests["ip", "o"] = "b"
    assert host.tells() == ("text", 1)


def test_changed_tables_are_listed_again(host: Host) -> None:
    host.tells()
    host.digests["inet", "t"], host.text = "b", "other"
    assert [host.tells(), host.tells()] == [("other", 2), ("other", 2)]


def test_another_nft_lists_again(host: Host) -> None:
    host.tells()
    host.nft, host.text = "nft 2", "in other words"
    assert host.tells() == ("in other words", 2)


def test_each_command_has_its_own_listing(host: Host) -> None:
    host.tells()
    assert host.tells(OURS._replace(command="nft -s -t list table inet t")) == ("text", 2)
    assert host.tells() == ("text", 2)


def test_a_listing_during_a_change_is_not_kept(host: Host) -> None:
    host.meanwhile = lambda: host.digests.update({("inet", "t"): "b"})
    host.tells()
    host.meanwhile = lambda: None
    # The digest is again as it was when nft started: the listing may be of either state.
    host.digests["inet", "t"] = "a"
    assert [host.tells(), host.tells()] == [("text", 2), ("text", 2)]


def test_without_a_digest_nft_lists_each_time(host: Host) -> None:
    def refused(tables: Sequence[tuple[str, str]], is_terse: bool) -> str:
        raise NetlinkError("Operation not permitted")

    host.kept = host.kept._replace(fingerprint=refused)
    assert [host.tells(), host.tells()] == [("text", 1), ("text", 2)]


def test_a_missing_table_is_not_listed(host: Host) -> None:
    def absent(tables: Sequence[tuple[str, str]], is_terse: bool) -> str:
        raise NoTableError("There is none.")

    host.kept = host.kept._replace(fingerprint=absent)
    assert (host.kept.text_of_table("list", ("inet", "t"), host.lists), host.listed) == ("", 0)
    # The table may exist with a name that a request cannot have.
    assert [host.tells(), host.tells()] == [("text", 1), ("text", 2)]


def test_a_missing_folder_is_not_created_and_a_run_lists_once(host: Host, tmp_path: Path) -> None:
    host.kept = host.kept._replace(folder=str(tmp_path / "none"))
    assert [host.tells(), host.tells()] == [("text", 1), ("text", 1)]
    host.digests["inet", "t"], host.text = "b", "other"
    assert [host.tells(), host.tells()] == [("other", 2), ("other", 2)]
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '["a"]', "[1, 2]", "[null, null]", "\udc80"])
def test_a_damaged_file_is_replaced(host: Host, tmp_path: Path, content: str) -> None:
    host.tells()
    (path,) = tmp_path.iterdir()
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    assert [host.tells(), host.tells()] == [("text", 2), ("text", 2)]


def test_a_listing_that_cannot_be_kept_leaves_no_file(host: Host, tmp_path: Path) -> None:
    host.tells()
    (path,) = tmp_path.iterdir()
    path.unlink()
    path.mkdir()
    assert [host.tells(), host.tells()] == [("text", 2), ("text", 3)]
    assert [*tmp_path.iterdir()] == [path]


def test_only_root_can_read_a_listing(host: Host, tmp_path: Path) -> None:
    host.tells()
    assert [path.stat().st_mode & 0o777 for path in tmp_path.iterdir()] == [0o600]


def test_a_listing_that_fails_is_not_kept(host: Host) -> None:
    def fails() -> None:
        raise RuntimeError("no")

    host.meanwhile = fails
    with pytest.raises(RuntimeError):
        host.tells()
    host.meanwhile = lambda: None
    assert host.tells() == ("text", 2)
