# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes a ruleset survive a reboot: the file, a unit of our own that loads it early, and the link that enables it.

nftables.service is left alone: enabling it stops firewalld, and would activate a user's dormant file.
"""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from typing import Dict, Iterator, List, NamedTuple, Tuple

from ansible_collections.hpc.ports.plugins.module_utils.command import CommandError, find_program, run
from ansible_collections.hpc.ports.plugins.module_utils.state import State

RULESET = "/etc/hpc-ports/ruleset.nft"
UNIT = "/etc/systemd/system/hpc-ports.service"
LINK = "/etc/systemd/system/sysinit.target.wants/hpc-ports.service"
_UNIT_TEXT = """\
# Written by the Ansible collection hpc.ports; changes here are undone by its next run.
[Unit]
Description=Firewall of hpc.ports
DefaultDependencies=no
Wants=network-pre.target
Before=network-pre.target shutdown.target
Conflicts=shutdown.target
RequiresMountsFor={folder}

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={nft} -f {ruleset}

[Install]
WantedBy=sysinit.target
"""


class Item(NamedTuple):
    """What a path should be: a regular file with this text, or with `target` a symbolic link."""

    text: str = ""
    target: str = ""
    mode: int = 0o644


Items = Dict[str, Item]


def staged_paths() -> Tuple[str, ...]:
    """Return where files wait for their places."""
    return tuple(map(_staged, (RULESET, UNIT, LINK)))


def folders() -> Tuple[str, ...]:
    """Return the folders that we make, and remove when nothing is left in them."""
    return (os.path.dirname(LINK), os.path.dirname(RULESET))


def _staged(path: str) -> str:
    # A name that systemd does not look at.
    return "{0}/.{1}.new".format(*os.path.split(path))


def wanted_items(script: str, has_systemd: bool) -> Items:
    """Return the files of a ruleset, given as an nft script that loads into an empty or a full table."""
    note = "# Written by the Ansible collection hpc.ports; changes here are undone by its next run.\n"
    items = {RULESET: Item(note + script, mode=0o600)}
    if has_systemd:
        unit = _UNIT_TEXT.format(nft=find_program("nft"), ruleset=RULESET, folder=os.path.dirname(RULESET))
        items.update({UNIT: Item(unit), LINK: Item(target=UNIT)})
    return items


def items_state(items: Items) -> State:
    """Return the files as objects of a State."""
    return {_name(path, item): _lines(item) for path, item in items.items()}


def present_state() -> State:
    """Return those of our files that the host has, and what a crash left of others; OSError: one can't be read."""
    found = {path: item for path in (RULESET, UNIT, LINK, *staged_paths()) for item in _present(path)}
    return items_state(found)


def _present(path: str) -> List[Item]:
    try:
        if os.path.islink(path):
            return [Item(target=os.readlink(path))]
        with open(path, encoding="utf-8", errors="backslashreplace", newline="") as file:
            return [Item(file.read(), mode=os.fstat(file.fileno()).st_mode & 0o7777)]
    except FileNotFoundError:
        return []


def _name(path: str, item: Item) -> str:
    return "{0} {1}".format("link" if item.target else "file", path)


def _lines(item: Item) -> Tuple[str, ...]:
    if item.target:
        return ("-> " + item.target,)
    return ("mode {0:04o}".format(item.mode), *item.text.split("\n"))


def stage(items: Items) -> None:
    """Write every file beside its place, under another name; what can fail for want of room or rights fails here."""
    for path in (RULESET, UNIT, LINK):
        with naming(path):
            _unlink(_staged(path))
            if path in items:
                _stage(path, items[path])


@contextmanager
def naming(path: str) -> Iterator[None]:
    """Have an OSError in the block name this path: one of a write has none, one of a link names what it points to."""
    try:
        yield
    except OSError as exc:
        raise OSError(exc.errno, exc.strerror, path) from exc


def _stage(path: str, item: Item) -> None:
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    if item.target:
        os.symlink(item.target, _staged(path))
    else:
        _write(_staged(path), item)


def _write(path: str, item: Item) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, item.mode)
    with open(handle, "w", encoding="utf-8") as file:
        os.fchmod(handle, item.mode)
        file.write(item.text)
        file.flush()
        os.fsync(handle)


def commit() -> None:
    """Put the staged files in their places, each at once, and make that last. Raises OSError."""
    for path in (RULESET, UNIT, LINK):
        with suppress(FileNotFoundError), naming(path):
            os.replace(_staged(path), path)
    for folder in filter(os.path.isdir, (*folders(), os.path.dirname(UNIT))):
        _sync(folder)


def discard() -> None:
    """Remove what was staged; where that fails, the failure that led here says more."""
    with suppress(OSError):
        for path in staged_paths():
            _unlink(path)
        _remove_empty_folders()


def remove() -> None:
    """Remove our files, the enabling link first, and the folders that hold nothing else."""
    for path in (LINK, UNIT, RULESET, *staged_paths()):
        _unlink(path)
    _remove_empty_folders()


def _remove_empty_folders() -> None:
    for folder in folders():
        if os.path.isdir(folder) and not os.listdir(folder):
            os.rmdir(folder)


def has_systemd() -> bool:
    """Tell whether systemd runs the host, as sd_booted(3) does."""
    return os.path.isdir("/run/systemd/system")


def reload_systemd() -> None:
    """Have systemd read its units again. Raises CommandError."""
    run(["systemctl", "daemon-reload"])


def forget_unit() -> None:
    """Have systemd forget the unit whose file is gone: it would show as active, though not found, until a reboot."""
    with suppress(CommandError):
        run(["systemctl", "stop", os.path.basename(UNIT)])


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def _sync(folder: str) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        with naming(folder):
            os.fsync(handle)
    finally:
        os.close(handle)
