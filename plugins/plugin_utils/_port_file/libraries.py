# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Python libraries that the controller needs, and the message about a missing library."""

from __future__ import annotations

from importlib import import_module

LIBRARIES = ("netaddr", "jmespath")


def missing_library() -> str:
    """Return the message about the first missing library, or an empty string."""
    for name in LIBRARIES:
        try:
            import_module(name)
        except ImportError:
            return (
                f"Missing Python library {name!r} on the controller: hpc.ports needs {' and '.join(LIBRARIES)} in "
                "addition to ansible-core. Install them in the Python environment of ansible-playbook, for example: "
                f"pip install {' '.join(LIBRARIES)}"
            )
    return ""
