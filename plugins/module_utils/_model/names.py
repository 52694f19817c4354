# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every name of ours on a host: tables, files, folders."""

from __future__ import annotations

TABLE = "inet hpc_ports"
# Where a change lies until it is confirmed. A reboot empties it.
FOLDER = "/run/hpc-ports"
