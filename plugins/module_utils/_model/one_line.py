# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A shell script as one line, for the controller to send."""

from __future__ import annotations

import base64


def one_line(script: str) -> str:
    """Return a command of one line, for `/bin/sh`, that runs the script. It prints nothing if the host lacks base64.

    Ansible passes a command through the login shell of its user. Of a quoted text with line breaks, csh would run each
    line by itself, on the terminal if there is one.
    """
    return f'eval "$(echo {base64.b64encode(script.encode()).decode()} | base64 -d)"'
