# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attributes and requirements that the modules have in common."""

from __future__ import annotations


class ModuleDocFragment:
    """Fragments of the documentation of modules; each module uses the first one, and those that apply to it."""

    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in check mode, and reports what it would change without changing it.
  diff_mode:
    description: Shows what changes, or would change in check mode, when run in diff mode.
  platform:
    description: Operating systems on which the module works.
"""

    # A module that runs on a managed host.
    HOST = r"""
options: {}
attributes:
  platform:
    support: full
    platforms: linux
requirements:
  - Python 3.9 or later on the managed host
"""

    # A module whose action plugin does all the work.
    CONTROLLER = r"""
options: {}
attributes:
  platform:
    support: full
    platforms: posix
requirements:
  - jmespath (Python library) on the controller
  - netaddr (Python library) on the controller
notes:
  - Runs on the controller and does not connect to the host.
"""

    # A module that only gathers.
    INFO_MODULE = r"""
options: {}
attributes:
  check_mode:
    support: full
    details: The module changes nothing.
  diff_mode:
    support: none
    details: The module changes nothing.
"""

    # A module with the option plan: meta/runtime.yml lists all of them.
    ACTIONGROUP_PLAN = r"""
options: {}
attributes:
  action_group:
    description: Use C(group/hpc.ports.plan) in C(module_defaults) to set the option O(plan) of all these modules.
    support: full
    membership: [hpc.ports.plan]
"""
