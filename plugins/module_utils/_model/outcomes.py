# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Words that hosts say and the controller reads."""

from __future__ import annotations

# Of a packet on its way through the rules of a host, before the address.
TRANSLATED = "the destination is changed to "
