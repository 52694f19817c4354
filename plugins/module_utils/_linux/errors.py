# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Failures that more than one part of what runs on a host raises."""

from __future__ import annotations

from typing import List


class HostError(RuntimeError):
    """The host lacks something; `missing_packages` are those that would help."""

    def __init__(self, text: str, missing_packages: List[str]) -> None:
        super().__init__(text)
        self.missing_packages = missing_packages
