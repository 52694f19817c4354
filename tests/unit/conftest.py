# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How hard the property tests search: by HPC_PORTS_EFFORT, see tests/support/run.py."""

from __future__ import annotations

from ansible_collections.hpc.ports.tests.support.run import examples
from hypothesis import settings

# Machines differ in speed, so no example has a deadline.
settings.register_profile("unit", deadline=None, max_examples=examples(300), print_blob=True)
settings.load_profile("unit")
