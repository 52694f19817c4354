# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many packets each flow of our rules has let in, and since when the rules can have counted."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Callable, NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._apply.pending import uptime
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables.persistence import RULESET
from ansible_collections.hpc.ports.plugins.module_utils._linux.nft_elements import counters
from ansible_collections.hpc.ports.plugins.module_utils._linux.nft_fingerprint import Table
from ansible_collections.hpc.ports.plugins.module_utils._linux.nft_listings import table_of
from ansible_collections.hpc.ports.plugins.module_utils._model.names import PUBLISHED_RULESET, PUBLISHED_TABLE, TABLE

# Our table beside firewalld judges, and counts, all that arrives as well.
_RULESETS = {TABLE: RULESET, PUBLISHED_TABLE: PUBLISHED_RULESET}
_IN = "in_"


class FlowCounters(NamedTuple):
    """Packets that opened connections to this host, by flow, in at most so many seconds."""

    packets: dict[str, int]
    seconds: int

    def as_data(self) -> dict[str, Any]:
        """Return plain data."""
        return self._asdict()


class CounterReads(NamedTuple):
    """What is read of the host. Tests replace the functions and the files."""

    counters: Callable[[Table], dict[str, int]] = counters
    uptime: Callable[[], float] = uptime
    rulesets: Mapping[str, str] = _RULESETS


def flow_counters(reads: CounterReads = CounterReads()) -> FlowCounters | None:
    """Return the counters of our rules, or None on a host without them. Raises NetlinkError, OSError."""
    for table, ruleset in reads.rulesets.items():
        counted = reads.counters(table_of(table))
        if counted:
            packets = {name[len(_IN) :]: number for name, number in counted.items() if name.startswith(_IN)}
            return FlowCounters(packets, _most_seconds(ruleset, reads))
    return None


def _most_seconds(ruleset: str, reads: CounterReads) -> int:
    """Return for how long the rules can have counted: since the boot, or since the file of the ruleset changed last.

    A flow of an older ruleset may have been counted for longer. Rules that the watch restored have counted for less.
    """
    seconds = reads.uptime()
    with suppress(FileNotFoundError):
        seconds = min(seconds, time.time() - os.stat(ruleset).st_mtime)
    return max(0, int(seconds))
