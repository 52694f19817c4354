# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One change at a time, which the host itself undoes unless a new connection confirms it.

See docs/ARCHITECTURE.md, section 6. The module `firewall` holds the lock (`exclusive_change`) while it arms the undo
and makes the change. The module `firewall_confirm` decides on the change in `decision.confirmation`.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from ansible_collections.hpc.ports.plugins.module_utils._apply.armed_revert import arm
from ansible_collections.hpc.ports.plugins.module_utils._apply.decision import (
    current,
    disarm,
    folder_of,
    note_made,
    revert,
)
from ansible_collections.hpc.ports.plugins.module_utils._apply.lock import locked, pause
from ansible_collections.hpc.ports.plugins.module_utils._apply.pending import Pending

# See `tools.Transactions`.
__all__ = ["arm", "disarm", "exclusive_change", "folder_of", "no_longer_than", "note_made", "revert"]
# A revert that is this many seconds late will not come: its clock was killed.
_GRACE = 15.0


class ExpiredError(RuntimeError):
    """The change took longer than the time within which it had to be confirmed."""


@contextmanager
def exclusive_change() -> Iterator[Pending | None]:
    """Let only this process change the host, after waiting until no change awaits confirmation.

    Yields the change that it waited for, or None. Raises BusyError, CommandError, FormatError, OSError.
    """
    waited_for = None
    with locked() as handle:
        pending = current()
        while pending is not None and not _undone_if_overdue(pending):
            waited_for = pending
            pause(handle)
            pending = current()
        yield waited_for


def _undone_if_overdue(pending: Pending) -> bool:
    if pending.seconds_left > -_GRACE:
        return False
    revert(pending)
    return True


@contextmanager
def no_longer_than(pending: Pending) -> Iterator[None]:
    """Raise ExpiredError in the block once the change is overdue: rules that are loaded later would never be undone."""

    def expire(number: int, frame: FrameType | None) -> NoReturn:
        raise ExpiredError(
            f"This host took longer than the {pending.seconds} s of firewall_confirm_within to load the ruleset, and "
            "went back to the ruleset that ran before. Set firewall_confirm_within higher."
        )

    # The alarm is late if the machine was suspended meanwhile. The host that undoes the change waits for the lock.
    before = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, max(0.001, pending.seconds_left))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
