# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for a sign, never for a while."""

from __future__ import annotations

import time
from collections.abc import Callable

from ansible_collections.hpc.ports.tests.support.run import scaled

# Only a test that fails waits for so long.
_ENDLESS = scaled(60)


def wait_until(fits: Callable[[], bool]) -> None:
    """Return as soon as it is so."""
    end = time.monotonic() + _ENDLESS
    while not fits():
        assert time.monotonic() < end, "It never came true."
        time.sleep(0.05)
