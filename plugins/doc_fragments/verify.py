# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of the modules that the role verify runs."""

from __future__ import annotations


class ModuleDocFragment:
    """A fragment of the documentation of modules that read the results of verify."""

    DOCUMENTATION = r"""
options:
  run:
    description: Name of the run, as M(hpc.ports.verify_expectations) returned it.
    type: str
    required: true
  probed:
    description: Name of the variable in which the hosts registered M(hpc.ports.verify_probe).
    type: str
    required: true
  stopped:
    description: Name of the variable in which the hosts registered M(hpc.ports.verify_listen) with
      O(ignore:state=stopped).
    type: str
    required: true
  compared:
    description: Name of the variable in which hosts registered M(hpc.ports.firewall) in check mode, if they did.
    type: str
    required: true
"""
