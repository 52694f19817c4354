# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The answers of explain as codes for programs: the plan's intention compared with the hosts' behaviour."""

from __future__ import annotations

# SHOULD and SHOULD_NOT: the plan says so, and the behaviour of the hosts is unknown.
BROKEN, EXPOSED, YES, NO, SHOULD, SHOULD_NOT, UNKNOWN = (
    "should_but_does_not",
    "should_not_but_does",
    "yes",
    "no",
    "should",
    "should_not",
    "unknown",
)


def code_of(intended: bool | None, passes: bool | None) -> str:
    """Return the code for the plan's intention and the hosts' behaviour; None means unknown."""
    if passes is None:
        return {True: SHOULD, False: SHOULD_NOT, None: UNKNOWN}[intended]
    if intended is None or intended is passes:
        return YES if passes else NO
    return EXPOSED if passes else BROKEN
