# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Python libraries that the controller needs, and what is said where one is missing."""

from __future__ import annotations

from importlib import import_module

LIBRARIES = ("netaddr", "jmespath")


def check_libraries() -> None:
    """Raise ImportError, worded for people, for the first library that is missing."""
    for name in LIBRARIES:
        try:
            import_module(name)
        except ImportError as exc:
            raise ImportError(
                f"Missing Python library {name!r} on the controller: hpc.ports needs {' and '.join(LIBRARIES)} beside "
                f"ansible-core. Install them where ansible-playbook runs, such as with: pip install {' '.join(LIBRARIES)}"
            ) from exc
