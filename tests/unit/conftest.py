# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How hard the property tests search: HYPOTHESIS_PROFILE=thorough takes minutes."""

from __future__ import annotations

import os

from hypothesis import settings

# Machines differ in speed, so no example has a deadline.
settings.register_profile("unit", deadline=None, max_examples=100, print_blob=True)
settings.register_profile("thorough", deadline=None, max_examples=5000, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "unit"))
