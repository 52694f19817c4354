# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that make a ruleset survive a reboot: the ruleset, our unit that loads it early, and the link to enable it.

We do not use nftables.service: enabling it stops firewalld, and may activate a ruleset file that the user does not use.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._linux import files
from ansible_collections.hpc.ports.plugins.module_utils._linux.command import find_program
from ansible_collections.hpc.ports.plugins.module_utils._linux.files import FileContent, FileContents, Places
from ansible_collections.hpc.ports.plugins.module_utils._model.names import SERVICE, SETTINGS, TABLE
from ansible_collections.hpc.ports.plugins.module_utils._model.state import State

RULESET = SETTINGS + "/ruleset.nft"
# The fallback ruleset, for when the first one does not load.
CLOSED = SETTINGS + "/closed.nft"
UNIT = "/etc/systemd/system/" + SERVICE
LINK = "/etc/systemd/system/sysinit.target.wants/" + SERVICE
_UNIT_TEXT = """\
# Written by the Ansible collection hpc.ports; changes here are undone by its next run.
[Unit]
Description=Firewall of hpc.ports
DefaultDependencies=no
Wants=network-pre.target
Before=network-pre.target shutdown.target
Conflicts=shutdown.target
RequiresMountsFor={folder}
{after}
[Service]
Type=oneshot
RemainAfterExit=yes
StandardOutput=null
StandardError=journal
ExecStart={start}
{check}
[Install]
WantedBy=sysinit.target
"""
# An empty ruleset file loads without an error, so the chain is checked.
_HAS_CHAIN = "{nft} list chain {chain}"
_OR_CLOSED = "/bin/sh -c '{nft} -f {ruleset} && " + _HAS_CHAIN + " || {{ {nft} -f {closed}; exit 1; }}'"


class BootPaths(NamedTuple):
    """The paths of the ruleset of a table, its unit and its link; `chain` is a chain that the ruleset fills."""

    ruleset: str
    unit: str
    link: str
    chain: str

    def files(self) -> tuple[str, str, str]:
        """Return the paths of the three files."""
        return self[:3]


_PATHS = BootPaths(RULESET, UNIT, LINK, TABLE + " input")
PLACES = Places((RULESET, CLOSED, UNIT, LINK), folders=(os.path.dirname(LINK), os.path.dirname(RULESET)))


def places(contents: FileContents) -> Places:
    """Return the paths of these files; our other files are to be removed."""
    return PLACES._replace(
        paths=tuple(path for path in PLACES.paths if path in contents),
        gone=tuple(path for path in reversed(PLACES.paths) if path not in contents),
    )


def wanted_items(
    script: str,
    has_systemd: bool,
    nft: str = "",
    after: Sequence[str] = (),
    closed: str = "",
    paths: BootPaths = _PATHS,
) -> FileContents:
    """Return the files of a ruleset, given as an nft script that loads whether our table exists or not.

    `nft` is the path of nft; by default it is searched for on this host. `after` lists units that start first. `closed`
    is the script of the fallback ruleset, loaded at boot if the first one does not load; the unit still fails then.
    """
    note = "# Written by the Ansible collection hpc.ports; changes here are undone by its next run.\n"
    contents = {paths.ruleset: FileContent(note + script, mode=0o600)}
    if closed:
        contents[CLOSED] = FileContent(note + closed, mode=0o600)
    if has_systemd:
        program = nft or find_program("nft")
        values = {"nft": program, "ruleset": paths.ruleset, "closed": CLOSED, "chain": paths.chain}
        start = (_OR_CLOSED if closed else "{nft} -f {ruleset}").format(**values)
        check = "" if closed else f"ExecStartPost={_HAS_CHAIN.format(**values)}\n"
        unit = _UNIT_TEXT.format(
            start=start,
            check=check,
            folder=os.path.dirname(paths.ruleset),
            after="After={}\n".format(" ".join(after)) if after else "",
        )
        contents.update({paths.unit: FileContent(unit), paths.link: FileContent(target=paths.unit)})
    return contents


def present_state(places: Places = PLACES) -> State:
    """Return our files on this host, including temporary files that a crash left. Raises OSError."""
    return files.present_state((*places.paths, *places.staged))
