# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of the filters that read the port file."""

from __future__ import annotations


class ModuleDocFragment:
    """Fragments of the documentation of filters."""

    SERVICES = r"""
options:
  services:
    description: The variable C(firewall_services) of the site. It is merged over the shipped services as in the plan.
    type: dict
"""

    SHIPPED = r"""
options:
  shipped:
    description: The variable C(firewall_shipped); with V(false) the shipped part of the port file is left out.
    type: bool
    default: true
"""
