# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Python libraries that the controller needs, and the message about a missing one."""

from __future__ import annotations

from importlib import import_module

LIBRARIES = ("netaddr", "jmespath")


def missing_library() -> str:
    """Return the message about the first library that is missing, or an empty text."""
    for name in LIBRARIES:
        try:
            import_module(name)
        except ImportError:
            return (
                f"Missing Python library {name!r} on the controller: hpc.ports needs {' and '.join(LIBRARIES)} beside "
                "ansible-core. Install them where ansible-playbook runs, such as with: pip install "
                f"{' '.join(LIBRARIES)}"
            )
    return ""
