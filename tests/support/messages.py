# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sentences that end many kinds of failures. All others are in the unit test of the code that prints them."""

from __future__ import annotations

KEPT = "Nothing was changed: the ruleset that ran before still runs."
