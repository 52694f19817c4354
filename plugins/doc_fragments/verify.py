# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that the modules of verify have in common."""

from __future__ import annotations


class ModuleDocFragment:
    """Fragments of the documentation of modules that send probes or read the results of verify."""

    # With registered: a module that reads the results of a run.
    DOCUMENTATION = r"""
options:
  run:
    description: Name of the run, as M(hpc.ports.verify_expectations) returned it.
    type: str
    required: true
  probed:
    required: true
  stopped:
    required: true
  compared:
    description: Name of the variable in which hosts registered M(hpc.ports.firewall) in check mode, if they did.
    type: str
    required: true
"""

    # The variables in which the hosts registered what they observed.
    REGISTERED = r"""
options:
  probed:
    description: Name of the variable in which the hosts registered M(hpc.ports.verify_probe).
    type: str
  stopped:
    description: Name of the variable in which the hosts registered M(hpc.ports.verify_listen) with
      O(ignore:state=stopped).
    type: str
"""

    # How a host probes.
    PACE = r"""
options:
  timeout:
    description: Seconds to wait for an answer.
    type: float
    default: 1.0
  attempts:
    description: How often to try a connection that is not answered, because packets can be lost.
    type: int
    default: 2
  concurrency:
    description: Connections to try at the same time; fewer if the host allows fewer open files.
    type: int
    default: 1000
  rate:
    description: Connections to begin per second, so that the probes are not mistaken for an attack.
    type: float
    default: 300
"""
