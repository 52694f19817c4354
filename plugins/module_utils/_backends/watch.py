# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Install and remove the watch (`watch_program.py`) on a host: its program, its unit, and whether it runs."""

from __future__ import annotations

import fcntl
import os
import re
import sys
from typing import TYPE_CHECKING, cast

from ansible_collections.hpc.ports.plugins.module_utils._backends import watch_program
from ansible_collections.hpc.ports.plugins.module_utils._backends.change import Change
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables import persistence
from ansible_collections.hpc.ports.plugins.module_utils._linux import files, systemd
from ansible_collections.hpc.ports.plugins.module_utils._linux.files import (
    FileContent,
    FileContents,
    Places,
    items_state,
)
from ansible_collections.hpc.ports.plugins.module_utils._model.names import (
    FOLDER,
    POLICY_IN,
    PUBLISHED_RULESET,
    SETTINGS,
)
from ansible_collections.hpc.ports.plugins.module_utils._model.state import State

if TYPE_CHECKING:
    from importlib.abc import InspectLoader

PROGRAM = SETTINGS + "/watch.py"
SERVICE = "hpc-ports-watch.service"
UNIT = "/etc/systemd/system/" + SERVICE
LINK = "/etc/systemd/system/sysinit.target.wants/" + SERVICE
POLICY = f"/etc/firewalld/policies/{POLICY_IN}.xml"
# For hosts with firewalld; for our own table see `nftables/persistence.py`.
CLOSED = SETTINGS + "/closed-firewalld.nft"
PLACES = Places((CLOSED, PROGRAM, UNIT, LINK), folders=(os.path.dirname(LINK), os.path.dirname(PROGRAM)))
# The system's Python comes first: the module's Python may be in the home folder of the login user.
_PYTHONS = ("/usr/bin/python3", "/usr/libexec/platform-python")
# On RHEL 8 and SLES 15 these are links to Python 3.6, which is too old, even if a newer one is installed.
_VERSION = re.compile(r"python3\.(\d+)")
_OLDEST = 9  # as for the modules
_UNIT_TEXT = """\
# Written by the Ansible collection hpc.ports; changes here are undone by its next run.
[Unit]
Description=Put the firewall of hpc.ports back when something flushes it
DefaultDependencies=no
After=hpc-ports.service hpc-ports-published.service firewalld.service
Before=shutdown.target
Conflicts=shutdown.target
RequiresMountsFor={folder} {python}
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart={python} -I -S {program} {changes} {ruleset} {policy} {closed} {closed_firewalld} {published}
Restart=always
RestartSec=1

[Install]
WantedBy=sysinit.target
"""


def wanted_items(python: str = "", closed: str = "") -> FileContents:
    """Return the files of the watch; `python` is the path of Python, by default the one of this host."""
    unit = _UNIT_TEXT.format(
        python=python or _python(),
        program=PROGRAM,
        changes=FOLDER,
        ruleset=persistence.RULESET,
        policy=POLICY,
        closed=persistence.CLOSED,
        closed_firewalld=CLOSED,
        published=PUBLISHED_RULESET,
        folder=os.path.dirname(PROGRAM),
    )
    script = {CLOSED: FileContent(closed, mode=0o600)} if closed else {}
    return {**script, PROGRAM: FileContent(_source()), UNIT: FileContent(unit), LINK: FileContent(target=UNIT)}


def _source() -> str:
    # A module runs from an archive, so the source is not a file.
    loader = cast("InspectLoader", watch_program.__loader__)
    return str(loader.get_source(watch_program.__name__))


def _python() -> str:
    return next(filter(_is_new_enough, _PYTHONS), sys.executable)


def _is_new_enough(path: str) -> bool:
    """Return whether this Python exists and is not too old by its name: starting it would take time on every run."""
    version = _VERSION.search(os.path.basename(os.path.realpath(path)))
    return os.path.exists(path) and not (version and int(version[1]) < _OLDEST)


def present_state() -> State:
    """Return the state of the watch on this host. Raise OSError if a file cannot be read."""
    return {**files.present_state((*PLACES.paths, *PLACES.staged)), **(_RUNS if runs() else {})}


_RUNS: State = {"service " + SERVICE: ("runs",)}


def runs(path: str = os.path.join(FOLDER, watch_program.RUNS)) -> bool:
    """Return whether the watch runs: a running watch has locked this file."""
    try:
        with open(path, encoding="ascii") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except BlockingIOError:
        return True
    return False


def with_watch(change: Change, is_wanted: bool, closed: str = "") -> Change:
    """Return the change extended by the installation or the removal of the watch.

    `closed` is the nft script for rules that do not load. Raise OSError if a file cannot be read.
    """
    present = present_state()
    items = (
        wanted_items(closed=closed if change.backend == "firewalld" else "")
        if (is_wanted and systemd.has_systemd())
        else {}
    )
    services = _RUNS if items else {}
    differs = present != {**items_state(items), **services}
    paths, gone, folders = change.places
    # A run that was killed leaves staged files.
    unwanted = Places(tuple(path for path in reversed(PLACES.paths) if path not in items))
    left = tuple(filter(os.path.lexists, (*unwanted.paths, *unwanted.staged)))
    return change._replace(
        present_files={**change.present_files, **present},
        wanted_files={**change.wanted_files, **items},
        services={**change.services, **services},
        places=Places((*paths, *items), (*gone, *left), (*folders, *PLACES.folders)),
        concerns_unit=change.concerns_unit or differs and systemd.has_systemd(),
        units_to_start=(*change.units_to_start, *((SERVICE,) if items and differs else ())),
        units_to_stop=(*change.units_to_stop, *((SERVICE,) if present and not items else ())),
    )
