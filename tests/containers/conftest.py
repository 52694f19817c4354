# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests with containers share: one host of each kind, whose containers publish ports.

Run them by `dev/test containers`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from ansible_collections.hpc.ports.tests.containers.hosts import KINDS
from ansible_collections.hpc.ports.tests.containers.sites import Site
from ansible_collections.hpc.ports.tests.support.run import turn

# A host with its containers takes minutes. By default one of these modules is left out each day.
_IN_TURN = ("test_firewalld", "test_lifecycle")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out, unless somebody asks for a test by its name, what is not its turn.

    Leave out as well what would show the same with iptables-legacy.
    """
    if config.option.keyword:
        return
    waiting = set(_IN_TURN) - set(turn(_IN_TURN))
    left_out = [item for item in items if item.path.stem in waiting or _shows_the_same(item)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def _shows_the_same(item: pytest.Item) -> bool:
    return "legacy" in item.name and item.path.stem != "test_published_ports"


@pytest.fixture(name="shared", scope="session", params=turn(KINDS), ids="-".join)
def _shared(request: pytest.FixtureRequest) -> Iterator[Site]:
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
    found = Site(request.param, f"{os.environ['HPC_PORTS_LAB']}-containers-{'-'.join(request.param)}-{worker}")
    yield found
    found.close()


@pytest.fixture
def site(shared: Site) -> Iterator[Site]:
    """A host without our rules, whose containers publish ports."""
    yield shared
    shared.host.remove_firewall()


@pytest.fixture
def changing_site(site: Site) -> Iterator[Site]:
    """The same host for a test that starts and stops what publishes ports: the order of others' rules may change."""
    yield site
    site.host.remove_firewall()
    site.measure_before()
