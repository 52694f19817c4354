# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What nft has listed is kept on the host, and told again as long as the kernel has the same tables.

Before 1.0.2, nft reads all that there is for any listing, which takes it ten seconds beside 100,000 rules of others.
"""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Callable, NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._linux.command import find_program
from ansible_collections.hpc.ports.plugins.module_utils._linux.netlink import NetlinkError
from ansible_collections.hpc.ports.plugins.module_utils._linux.nft_fingerprint import NoTableError, Table, fingerprint
from ansible_collections.hpc.ports.plugins.module_utils._model.digest import digest
from ansible_collections.hpc.ports.plugins.module_utils._model.names import FOLDER

_LIBRARIES = "/usr/lib*/libnftables.so.1", "/usr/lib/*/libnftables.so.1"
# What nft and its library read to name things.
_NAMES = "/etc/protocols", "/etc/services"


class Listing(NamedTuple):
    """A listing: the command that makes it, of which tables, and whether it leaves out the elements of named sets."""

    command: str
    tables: tuple[Table, ...]
    is_terse: bool = False


def tools() -> list[str]:
    """Return what differs where another nft lists, or names things otherwise."""
    paths = [path for pattern in _LIBRARIES for path in sorted(glob.glob(pattern))]
    return [_stamp(path) for path in [find_program("nft") or "", *paths, *_NAMES]]


def _stamp(path: str) -> str:
    try:
        found = os.stat(path)
    except OSError:
        return path
    return f"{path} {found.st_ino} {found.st_size} {found.st_mtime_ns}"


class ListingCache(NamedTuple):
    """Where listings are kept, and what tells whether they are still true."""

    folder: str = FOLDER
    fingerprint: Callable[[Sequence[Table], bool], str] = fingerprint
    tools: Callable[[], list[str]] = tools

    def text(self, listing: Listing, makes: Callable[[], str]) -> str:
        """Return the listing, made only where none is kept or the kernel has other tables since."""
        try:
            return self._text(listing, self._state(listing), makes)
        except NoTableError:
            return makes()

    def text_of_table(self, command: str, table: Table, makes: Callable[[], str]) -> str:
        """Return the listing of one table; nothing where the kernel has none of that name, of letters and digits."""
        listing = Listing(command, (table,))
        try:
            return self._text(listing, self._state(listing), makes)
        except NoTableError:
            return ""

    def _text(self, listing: Listing, before: str, makes: Callable[[], str]) -> str:
        kept = self._read(listing) if before else None
        if kept and kept[0] == before:
            return kept[1]
        text = makes()
        # Not what was changed meanwhile.
        if before and self._state(listing) == before:
            self._write(listing, [before, text])
        return text

    def _state(self, listing: Listing) -> str:
        """Return what the listing depends on; empty where the kernel does not tell. Raises NoTableError."""
        try:
            return digest([self.fingerprint(listing.tables, listing.is_terse), *self.tools()])
        except NoTableError:
            raise
        except NetlinkError:
            return ""

    def _read(self, listing: Listing) -> list[str] | None:
        with suppress(OSError, ValueError), open(self._path(listing), encoding="utf-8") as file:
            found = json.load(file)
            if isinstance(found, list) and len(found) == 2 and all(isinstance(item, str) for item in found):
                return found
        return None

    def _write(self, listing: Listing, content: list[str]) -> None:
        """Keep it, where there is the folder: a host that we never changed gets none."""
        path = self._path(listing)
        new = f"{path}.{os.getpid()}"
        with suppress(OSError):
            with open(new, "w", encoding="utf-8", opener=_private) as file:
                json.dump(content, file)
            os.rename(new, path)
        # What could not be written to its end, as where the disk is full.
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
