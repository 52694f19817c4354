# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Published ports on a host with firewalld, which opens them to everybody, and whose reload has Docker write anew.

A reload may empty the tables of iptables: what Docker publishes comes back, the rest not. (Podman and kube-proxy have
programs that write theirs again.) So the platform has to reach Docker's ports, and an outsider nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.hpc.ports.tests.containers.connections import FILTERED, Try
from ansible_collections.hpc.ports.tests.containers.hosts import Kind
from ansible_collections.hpc.ports.tests.containers.sites import Site, wanted
from ansible_collections.hpc.ports.tests.support.namespaces import HOST
from ansible_collections.hpc.ports.tests.support.run import turn

# Docker 20.10.5 of Debian 11 makes no network with IPv6 beside firewalld: it gives the IPv6 rules to iptables.
RELEASES = ("12", "13")
STEPS = ("firewall-cmd --reload", "systemctl restart firewalld", "systemctl restart docker", "docker restart -t 0 web")
_BY_DOCKER = range(8000, 8030)


@pytest.fixture(name="host", scope="module", params=turn(RELEASES, 1))
def _host(request: pytest.FixtureRequest) -> Iterator[Site]:
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
    name = f"{os.environ['HPC_PORTS_LAB']}-containers-firewalld-{request.param}-{worker}"
    found = Site(Kind(request.param, "firewalld", "nft"), name)
    yield found
    found.close()


def wrong(host: Site, policy: dict[str, Any]) -> dict[tuple[str, Try], tuple[str, str]]:
    """Return what an outsider gets beyond the policy, and what Docker's ports of the host give other than it says."""
    return {
        (name, one): what
        for (name, one), what in host.wrong(policy, "platform", "outsider").items()
        if (name == "outsider" and what[1] != FILTERED) or (one.port in _BY_DOCKER and one.target in HOST.values())
    }


@pytest.mark.parametrize("egress", ["open", "restricted"])
def test_each_port_that_docker_publishes_has_the_verdict_of_the_port_file(host: Site, egress: str) -> None:
    policy = wanted(egress)
    assert host.host.apply(policy)["backend"] == "firewalld"
    assert not wrong(host, policy)
    assert not host.host.apply(policy)["changed"]


def test_the_verdicts_hold_after_reloads_and_restarts(host: Site) -> None:
    policy = wanted()
    host.host.apply(policy)
    for step in STEPS:
        host.host.host.shell(step)
        host.docker.wait()
        assert not wrong(host, policy), step
