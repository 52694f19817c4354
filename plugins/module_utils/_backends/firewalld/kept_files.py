# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The old files of firewalld, kept while new ones are put in place one by one, and restored after a crash.

Only a reload adds an ipset or policy, and it needs the files in place, before the change is confirmed. So unconfirmed
files are in place only while firewalld reads them. If the host crashes at that moment, or while confirmed files are
written one by one, a unit restores all old files before firewalld starts.
"""

from __future__ import annotations

import glob
import os
import shlex
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables.persistence import BootPaths
from ansible_collections.hpc.ports.plugins.module_utils._linux import files
from ansible_collections.hpc.ports.plugins.module_utils._linux.command import CommandError, run
from ansible_collections.hpc.ports.plugins.module_utils._linux.files import FileContent, Places
from ansible_collections.hpc.ports.plugins.module_utils._linux.systemd import has_systemd
from ansible_collections.hpc.ports.plugins.module_utils._model.names import PREFIX, PUBLISHED_SERVICE, PUBLISHED_TABLE

_UNIT_TEXT = """\
# Written by the Ansible collection hpc.ports while firewalld reads files that nobody has confirmed yet.
[Unit]
Description=Put back the confirmed files of firewalld
DefaultDependencies=no
Wants=network-pre.target
Before=firewalld.service {published} network-pre.target shutdown.target
Conflicts=shutdown.target
RequiresMountsFor={home}
ConditionPathExists={undo}

[Service]
Type=oneshot
ExecStart=/bin/sh {undo}
"""


class FirewalldPaths(NamedTuple):
    """The paths of the files that firewalld and systemd read."""

    etc: str = "/etc"
    shipped: str = "/usr/lib/firewalld"

    @property
    def firewalld(self) -> str:
        """Return the folder of firewalld's local configuration."""
        return self.etc + "/firewalld"

    @property
    def policies(self) -> str:
        """Return the folder of local policies."""
        return self.firewalld + "/policies"

    @property
    def ipsets(self) -> str:
        """Return the folder of local ipsets."""
        return self.firewalld + "/ipsets"

    @property
    def home(self) -> str:
        """Return our own folder."""
        return self.etc + "/hpc-ports"

    @property
    def kept(self) -> str:
        """Return the folder of old files that may have to be restored."""
        return self.home + "/undo"

    @property
    def undo(self) -> str:
        """Return the script that restores the old files, and removes itself."""
        return self.kept + "/run"

    @property
    def unit(self) -> str:
        """Return the unit that runs this script before firewalld starts."""
        return self.etc + "/systemd/system/hpc-ports-undo.service"

    @property
    def link(self) -> str:
        """Return the link that enables the unit."""
        return self.etc + "/systemd/system/sysinit.target.wants/hpc-ports-undo.service"

    @property
    def published(self) -> BootPaths:
        """Return the paths of our table, which is loaded beside firewalld."""
        units = self.etc + "/systemd/system/"
        return BootPaths(
            self.home + "/published.nft",
            units + PUBLISHED_SERVICE,
            units + "sysinit.target.wants/" + PUBLISHED_SERVICE,
            PUBLISHED_TABLE + " prerouting",
        )

    def discard(self) -> str:
        """Return the command that removes the kept files.

        It removes the script first: without the script, nothing is restored.
        """
        return f"rm -f {self.undo} {self.link} {self.unit}; rm -rf {self.kept}; rmdir {self.home} 2> /dev/null || :"


PATHS = FirewalldPaths()


@contextmanager
def all_or_nothing(places: Places, paths: FirewalldPaths = PATHS) -> Iterator[None]:
    """Make the changes in the block atomic: after a crash, firewalld starts with all the old files or all the new ones.

    Raises CommandError, OSError.
    """
    ruleset, unit, link = paths.published.files()
    new = [path for path in (unit, link) if not os.path.lexists(path)]
    keep([path for path in places.paths if is_in_firewalld(path, paths) or path in (ruleset, *new)], paths)
    try:
        yield
    except BaseException:
        with suppress(CommandError, OSError):
            put_back(paths)
        raise
    _discard_kept(paths)


def is_in_firewalld(path: str, paths: FirewalldPaths) -> bool:
    """Return whether firewalld reads the folder of this path."""
    return path.startswith(paths.firewalld + "/")


def keep(new: Iterable[str], paths: FirewalldPaths = PATHS) -> None:
    """Keep the present files, to be restored after a crash; `new` are the paths to be written. Raises OSError."""
    put_back(paths)
    present = [*files_of_firewalld(paths), *filter(os.path.lexists, [paths.published.ruleset])]
    old = {path: _content(path) for path in present if not os.path.basename(path).startswith(".")}
    kept = {path: _kept_path(path, paths) for path in old}
    for path, content in old.items():
        files.write(kept[path], content)
    files.write(temporary_path(paths.undo), FileContent(_undo_script(kept, list(new), paths), mode=0o700))
    with files.naming(paths.undo):
        os.replace(temporary_path(paths.undo), paths.undo)
    if has_systemd():
        unit = _UNIT_TEXT.format(home=paths.home, undo=paths.undo, published=PUBLISHED_SERVICE)
        files.write(paths.unit, FileContent(unit))
        files.write(paths.link, FileContent(target=paths.unit))
    files.sync((paths.undo, paths.unit, paths.link, *kept.values()))


def put_back(paths: FirewalldPaths = PATHS) -> None:
    """Restore the kept files, if there are any. Raises CommandError, OSError."""
    if not any(map(os.path.lexists, (paths.kept, paths.unit, paths.link))):
        return
    if os.path.exists(paths.undo):
        run(["/bin/sh", paths.undo])
    _discard_kept(paths)


def _discard_kept(paths: FirewalldPaths) -> None:
    """Remove the kept files. If there is a script, run it first. Raises OSError."""
    for path in (paths.undo, paths.link, paths.unit):
        files.unlink(path)
    shutil.rmtree(paths.kept, ignore_errors=True)
    if os.path.isdir(paths.home) and not os.listdir(paths.home):
        os.rmdir(paths.home)


def _content(path: str) -> FileContent:
    with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
        return FileContent(file.read(), mode=os.fstat(file.fileno()).st_mode & 0o7777)


def _kept_path(path: str, paths: FirewalldPaths) -> str:
    return "{}/{}/{}".format(paths.kept, *path.split("/")[-2:])


def temporary_path(path: str) -> str:
    """Return the path of a file that is about to be put in place."""
    return "{}/.{}.now".format(*os.path.split(path))


def _undo_script(kept: Mapping[str, str], new: Sequence[str], paths: FirewalldPaths) -> str:
    """Return a shell script that can run more than once: it removes the files it needs last, after a sync."""
    restored = {
        folder: [copy for path, copy in kept.items() if os.path.dirname(path) == folder]
        for folder in (paths.ipsets, paths.policies, paths.home)
    }
    removed = [path for path in reversed(new) if path not in kept]
    lines = ["#!/bin/sh", "# Put back the files of firewalld that were confirmed last.", "set -e"]
    lines += [f"cp -f {shlex.join(copies)} {folder}/" for folder, copies in restored.items() if copies]
    lines.append(f"rm -f {shlex.join([*removed, *map(temporary_path, new)])}")
    lines += [
        f"sync -f {paths.policies} || sync",
        f"rm -f {paths.link} {paths.unit}",
        f"rm -rf {paths.kept}",
        f"rmdir {paths.home} 2> /dev/null || :",
    ]
    return "".join(line + "\n" for line in lines)


def files_of_firewalld(paths: FirewalldPaths) -> list[str]:
    """Return our files that firewalld loads; it keeps old files as `.old`."""
    return [
        path
        for folder in (paths.policies, paths.ipsets)
        for form in (PREFIX + "*", "." + PREFIX + "*")
        for path in sorted(glob.glob(f"{folder}/{form}"))
    ]
