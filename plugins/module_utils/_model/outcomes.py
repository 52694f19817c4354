# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts that hosts return and the controller parses."""

from __future__ import annotations

# Comes before an address, in the trace of a packet through the rules of a host.
TRANSLATED = "the destination is changed to "
