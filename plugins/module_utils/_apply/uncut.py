# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A note that connections are left to be cut after a confirmed change, until the module `firewall_cut` has cut them.

A reboot forgets it with the connections.
"""

from __future__ import annotations

import os
from contextlib import suppress

from ansible_collections.hpc.ports.plugins.module_utils._model.names import FOLDER

_NOTE = FOLDER + "/uncut"


def note() -> None:
    """Note it. Raises OSError."""
    with open(_NOTE, "w", encoding="utf-8"):
        pass


def is_noted() -> bool:
    """Return whether it is noted."""
    return os.path.exists(_NOTE)


def forget() -> None:
    """Remove the note. Raises OSError."""
    with suppress(FileNotFoundError):
        os.unlink(_NOTE)
