# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of the playbooks on the hosts of the lab. Run where the lab is reached: `dev/lab run pytest tests/lab`."""

from __future__ import annotations

import pytest

from ansible_collections.hpc.ports.tests.support.hosts import COUNTING_PYTHON, managed_hosts, on


@pytest.fixture(name="counting", scope="session")
def _counting() -> str:
    """Return the option that has hosts count their module executions, see `executions`."""
    script = COUNTING_PYTHON.replace("'", "'\\''")
    for host in managed_hosts():
        on(host, f"printf '%s' '{script}' > /usr/local/bin/counting-python && chmod 755 /usr/local/bin/counting-python")
    return "-eansible_python_interpreter=/usr/local/bin/counting-python"
