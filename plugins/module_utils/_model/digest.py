# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A short digest that identifies plain data, such as a policy."""

from __future__ import annotations

import hashlib
import json


def digest(data: object) -> str:
    """Return 16 hexadecimal digits for plain data, equal for equal data."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
