# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests with containers share: one host of each Debian, whose containers publish ports.

Run them by `dev/test containers`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from ansible_collections.hpc.ports.tests.containers.hosts import RELEASES
from ansible_collections.hpc.ports.tests.containers.sites import Site
from ansible_collections.hpc.ports.tests.support.run import turn


@pytest.fixture(name="shared", scope="session", params=turn(RELEASES))
def _shared(request: pytest.FixtureRequest) -> Iterator[Site]:
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
    found = Site(request.param, f"{os.environ['HPC_PORTS_LAB']}-containers-{request.param}-{worker}")
    yield found
    found.close()


@pytest.fixture
def site(shared: Site) -> Iterator[Site]:
    """A host without our rules, whose containers publish ports."""
    yield shared
    shared.host.remove_firewall()
