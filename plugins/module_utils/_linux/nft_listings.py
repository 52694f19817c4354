# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cache for listings of nft, on the host: a listing is used again as long as the kernel has the same tables.

Before 1.0.2, nft reads all rules of the host for every listing: with 100,000 rules of others this takes ten seconds.
"""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from typing import Callable, NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._linux.command import find_program
from ansible_collections.hpc.ports.plugins.module_utils._linux.netlink import NetlinkError
from ansible_collections.hpc.ports.plugins.module_utils._linux.nft_fingerprint import NoTableError, Table, fingerprint
from ansible_collections.hpc.ports.plugins.module_utils._model.names import FOLDER, digest

_LIBRARIES = "/usr/lib*/libnftables.so.1", "/usr/lib/*/libnftables.so.1"
# The files from which nft and its library read names.
_NAMES = "/etc/protocols", "/etc/services"
# What a first run has listed before it made the folder: the contents of files by path.
_UNWRITTEN: dict[str, list[str]] = {}


class Listing(NamedTuple):
    """A listing: its command, its tables, and whether it leaves out the elements of named sets.

    `about` is what it depends on beside these tables and nft.
    """

    command: str
    tables: tuple[Table, ...] = ()
    is_terse: bool = False
    about: str = ""


def tools() -> list[str]:
    """Return texts that differ if nft, its library or its files with names have changed."""
    return [_stamp(path) for path in tool_paths()]


@cache
def tool_paths() -> tuple[str, ...]:
    """Return the paths of nft, its library and its files with names, as they were at the first call."""
    paths = (path for pattern in _LIBRARIES for path in sorted(glob.glob(pattern)))
    return (find_program("nft") or "", *paths, *_NAMES)


def _stamp(path: str) -> str:
    try:
        status = os.stat(path)
    except OSError:
        return path
    return f"{path} {status.st_ino} {status.st_size} {status.st_mtime_ns}"


class ListingCache(NamedTuple):
    """The folder of the cache, and the functions that show whether a listing is still valid."""

    folder: str = FOLDER
    fingerprint: Callable[[Sequence[Table], bool], str] = fingerprint
    tools: Callable[[], list[str]] = tools

    def text(self, listing: Listing, makes: Callable[[], str]) -> str:
        """Return the listing; `makes` is called only if there is no valid one in the cache."""
        try:
            return self._text(listing, self._state(listing), makes)
        except NoTableError:
            return makes()

    def text_of_table(self, command: str, table: Table, makes: Callable[[], str]) -> str:
        """Return the listing of a table with a name of letters and digits; empty if the kernel has no such table."""
        listing = Listing(command, (table,))
        try:
            return self._text(listing, self._state(listing), makes)
        except NoTableError:
            return ""

    def _text(self, listing: Listing, before: str, makes: Callable[[], str]) -> str:
        kept = self._read(listing) if before else None
        if kept and kept[0] == before:
            self._write_all()
            return kept[1]
        text = makes()
        # Do not keep a listing if the tables changed meanwhile.
        if before and self._state(listing) == before:
            self._write(listing, [before, text])
        return text

    def _state(self, listing: Listing) -> str:
        """Return a digest of all that the listing depends on; empty if the kernel refuses. Raises NoTableError."""
        try:
            return digest([self.fingerprint(listing.tables, listing.is_terse), listing.about, *self.tools()])
        except NoTableError:
            raise
        except NetlinkError:
            return ""

    def _read(self, listing: Listing) -> list[str] | None:
        if self._path(listing) in _UNWRITTEN:
            return _UNWRITTEN[self._path(listing)]
        with suppress(OSError, ValueError), open(self._path(listing), encoding="utf-8") as file:
            content = json.load(file)
            if isinstance(content, list) and len(content) == 2 and all(isinstance(text, str) for text in content):
                return content
        return None

    def _write(self, listing: Listing, content: list[str]) -> None:
        """Keep the listing once the folder exists: a host that we never changed gets no folder."""
        _UNWRITTEN[self._path(listing)] = content
        self._write_all()

    def _write_all(self) -> None:
        if os.path.isdir(self.folder):
            while _UNWRITTEN:
                self._write_file(*_UNWRITTEN.popitem())

    def _write_file(self, path: str, content: list[str]) -> None:
        new = f"{path}.{os.getpid()}"
        with suppress(OSError):
            with open(new, "w", encoding="utf-8", opener=_private) as file:
                json.dump(content, file)
            os.rename(new, path)
        # Remove a file that could not be written completely, for example on a full disk.
        with suppress(OSError):
            os.unlink(new)

    def _path(self, listing: Listing) -> str:
        return os.path.join(self.folder, f"listing-{digest([listing.command])}.json")


def table_of(text: str) -> Table:
    """Return the table of a text such as `inet hpc_ports`."""
    family, _space, name = text.partition(" ")
    return family, name


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
