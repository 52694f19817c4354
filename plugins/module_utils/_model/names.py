# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names: ours on a host (tables, files, folders), valid ones of flows and interfaces, and the digest in names."""

from __future__ import annotations

import hashlib
import json
import re

TABLE = "inet hpc_ports"
# Our table on a host with firewalld: what firewalld accepts unjudged, because NAT translates it.
PUBLISHED_TABLE = "inet hpc_ports_published"
TABLES = (TABLE, PUBLISHED_TABLE)
# The names of sets and counters of observe mode begin so: packets fill these sets, not policies.
RECORDS = "observed_"
# In this table verify counts packets while it runs.
COUNTING_TABLE = "inet hpc_ports_verify"
# The prefix of our policies and ipsets in firewalld, and our two policies.
PREFIX = "hpc_ports_"
POLICY_IN, POLICY_OUT = PREFIX + "in", PREFIX + "out"
# The files that a boot loads, and their unit. `watch_program.py` repeats these names: it is copied to the host alone.
SETTINGS = "/etc/hpc-ports"
SERVICE = "hpc-ports.service"
PUBLISHED_RULESET = SETTINGS + "/published.nft"
PUBLISHED_SERVICE = "hpc-ports-published.service"
# The files of a change until it is confirmed. A reboot removes them.
FOLDER = "/run/hpc-ports"
# Valid names: of a flow, of an interface, and of an interface or the start of its name and an asterisk.
FLOW_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)
INTERFACE_NAME = re.compile(r"[A-Za-z0-9_.:@-]{1,15}", re.ASCII)
INTERFACE_PATTERN = re.compile(r"[A-Za-z0-9_.:@-]{1,15}|[A-Za-z0-9_.:@-]{1,14}\*", re.ASCII)


def is_record(name: str) -> bool:
    """Return whether a set of ours is one that packets fill in observe mode, not a policy."""
    return name.startswith(RECORDS)


def digest(data: object) -> str:
    """Return 16 hexadecimal digits for plain data, equal for equal data."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
