# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests with firewalld share: one host a version. Run them by `dev/lab run pytest tests/firewalld`."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from ansible_collections.hpc.ports.tests.firewalld.daemons import VERSIONS, Daemon
from ansible_collections.hpc.ports.tests.firewalld.driver import Driver
from ansible_collections.hpc.ports.tests.support.packets import Wires
from ansible_collections.hpc.ports.tests.support.verdicts import joined


def pytest_configure(config: pytest.Config) -> None:
    """Say what the mark is for."""
    config.addinivalue_line("markers", "versions(version, ...): of firewalld, where others would make no difference")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave tests out on versions that they do not ask for."""
    left_out = [item for item in items if not _is_asked_for(item)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def _is_asked_for(item: pytest.Item) -> bool:
    versions = [version for mark in item.iter_markers("versions") for version in mark.args]
    return not versions or VERSIONS[item.callspec.params["container"]] in versions  # type: ignore[attr-defined]


@pytest.fixture(name="container", scope="session", params=VERSIONS, ids=VERSIONS.values())
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


@pytest.fixture(name="driver")
def _driver(daemon: Daemon) -> Iterator[Driver]:
    """What carries policies to that host by firewalld."""
    found = Driver(daemon)
    yield found
    found.close()


@pytest.fixture(name="wires")
def _wires(daemon: Daemon) -> Iterator[Wires]:
    """Real packets between that host and a peer."""
    with joined(daemon) as found:
        yield found


@pytest.fixture
def restored(daemon: Daemon) -> Iterator[Daemon]:
    """The same; what a test does to its files is undone."""
    kept = "/run/kept"
    daemon.host.shell(f"rm -rf {kept}; mkdir {kept}; cp -a /etc/firewalld /etc/protocols {kept}; "
                      "systemctl reset-failed firewalld")
    yield daemon
    daemon.host.shell(f"rm -rf /etc/firewalld; cp -a {kept}/firewalld {kept}/protocols /etc; systemctl reset-failed")
