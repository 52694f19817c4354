# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the controller has a host confirm a change with the code that the host has kept (`_apply/kept_code.py`)."""

from __future__ import annotations

import json
import shlex
from contextlib import suppress
from typing import Any

from ansible_collections.hpc.ports.plugins.module_utils._model.names import FOLDER

# The name of the script in the folder of the change.
SCRIPT = "confirm"
_MARK = "hpc.ports confirmation: "


def confirm_command(token: str) -> str:
    """Return the command that runs the script of a change; it fails if the host has not kept the code."""
    return f"/bin/sh {shlex.quote(f'{FOLDER}/{token}/{SCRIPT}')}"


def marked_line(result: dict[str, Any]) -> str:
    """Return what the script prints: the result of the module `firewall_confirm`."""
    return _MARK + json.dumps(result)


def parse_confirmation(output: str) -> dict[str, Any] | None:
    """Return the result that the script printed, or None. A login may print lines of its own."""
    return marked_result(output, _MARK)


def marked_result(output: str, mark: str) -> dict[str, Any] | None:
    """Return the dictionary of the last whole line with this mark, or None. The script prints after the login."""
    for line in reversed(output.splitlines()):
        if line.startswith(mark):
            with suppress(ValueError):
                result = json.loads(line[len(mark) :])
                if isinstance(result, dict):
                    return result
    return None
