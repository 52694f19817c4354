# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests with firewalld share: one host a version. Run them by `dev/lab run pytest tests/firewalld`."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator

import pytest
from ansible_collections.hpc.ports.tests.firewalld.daemons import VERSIONS, Daemon
from ansible_collections.hpc.ports.tests.support.packets import Wires
from ansible_collections.hpc.ports.tests.support.run import turn
from ansible_collections.hpc.ports.tests.support.runs import Runs


def pytest_configure(config: pytest.Config) -> None:
    """Say what the marks are for."""
    config.addinivalue_line("markers", "versions(version, ...): of firewalld, where others would make no difference")
    config.addinivalue_line("markers", "takes_turns: on one version by default, another one each day")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave tests out on versions that they do not ask for, or whose turn it is not."""
    left_out = [item for item in items if not _is_asked_for(item)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def _is_asked_for(item: pytest.Item) -> bool:
    asked = [version for mark in item.iter_markers("versions") for version in mark.args] or list(VERSIONS.values())
    asked = turn(asked, _place(item)) if item.get_closest_marker("takes_turns") else asked
    params = item.callspec.params  # type: ignore[attr-defined]
    return VERSIONS[params.get("container") or params["image"]] in asked


def _place(item: pytest.Item) -> int:
    """Return a test's own place in the turns: not all take theirs on the same version."""
    return zlib.crc32(item.function.__name__.encode())  # type: ignore[attr-defined]


@pytest.fixture(name="container", scope="session", params=VERSIONS, ids=list(VERSIONS.values()))
def _container(request: pytest.FixtureRequest) -> Iterator[Daemon]:
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
    found = Daemon(request.param, f"{os.environ['HPC_PORTS_LAB']}-firewalld-{request.param}-{worker}")
    yield found
    found.close()


@pytest.fixture
def daemon(container: Daemon) -> Daemon:
    """A host that runs firewalld and never had rules of ours."""
    container.clean()
    return container


@pytest.fixture
def runs(daemon: Daemon) -> Runs:
    """Runs of modules on that host, several a second."""
    return daemon.runs


@pytest.fixture
def wires(daemon: Daemon) -> Wires:
    """Real packets between that host and a peer."""
    return daemon.wires
