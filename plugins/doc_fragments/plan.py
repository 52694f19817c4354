# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The option that names a plan."""

from __future__ import annotations


class ModuleDocFragment:
    """A fragment of the documentation of modules that read a plan."""

    DOCUMENTATION = r"""
options:
  plan:
    description: Key of the plan, as M(hpc.ports.plan_info) returned it.
    type: str
    required: true
seealso:
  - module: hpc.ports.plan_info
"""
