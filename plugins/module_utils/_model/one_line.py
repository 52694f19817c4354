# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A shell script as one line, for the controller to send."""

from __future__ import annotations

# In the notation of printf (`%b`): what would end the quotes, and `!`, which csh replaces also within quotes.
_CODES = str.maketrans({"\\": "\\\\", "\n": "\\n", "'": "\\0047", "!": "\\0041"})


def one_line(script: str) -> str:
    """Return a command of one line, for `/bin/sh`, that runs the script.

    Ansible passes a command through the login shell of its user. Of a quoted text with line breaks, csh would run each
    line by itself, on the terminal if there is one. The text stays readable in the logs of a host.
    """
    return f"eval \"$(printf %b '{script.translate(_CODES)}')\""
