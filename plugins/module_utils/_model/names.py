# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every name of ours on a host: tables, files, folders."""

from __future__ import annotations

TABLE = "inet hpc_ports"
# What verify counts packets in, as long as it runs.
COUNTING_TABLE = "inet hpc_ports_verify"
# With this begin the policies and ipsets of ours in firewalld; these are the policies.
PREFIX = "hpc_ports_"
POLICY_IN, POLICY_OUT = PREFIX + "in", PREFIX + "out"
# What a boot loads. Copied to a host, `watch_program.py` names these again.
SETTINGS = "/etc/hpc-ports"
SERVICE = "hpc-ports.service"
# Where a change lies until it is confirmed. A reboot empties it.
FOLDER = "/run/hpc-ports"
