# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers on a host with firewalld, which opens published ports to all, and whose reload has Docker write anew.

A reload may empty the tables of iptables: what Docker publishes comes back, the rest not. (Podman and kube-proxy have
programs that write theirs again.) So the platform has to reach Docker's ports, and an outsider nothing; Docker's
containers have to reach the peer as their host does.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from ansible_collections.hpc.ports.tests.containers.connections import FILTERED, Try
from ansible_collections.hpc.ports.tests.containers.hosts import CLUSTER_IP, Kind
from ansible_collections.hpc.ports.tests.containers.names import wrong_names
from ansible_collections.hpc.ports.tests.containers.sites import PLATFORM, Site, wanted
from ansible_collections.hpc.ports.tests.support.namespaces import HOST
from ansible_collections.hpc.ports.tests.support.run import FULL, SEED, turn

# Docker 20.10.5 of Debian 11 makes no network with IPv6 beside firewalld: it gives the IPv6 rules to iptables.
RELEASES = ("12", "13")
POLICIES = {
    "open": wanted(),
    "restricted": wanted("restricted"),
    "forwarded packets left alone": wanted("restricted", filtered=()),
}
STEPS = ("firewall-cmd --reload", "systemctl restart firewalld", "systemctl restart docker", "docker restart -t 0 web")
BOOT = "the host boots"
_BY_DOCKER = range(8000, 8030)
_OF_DOCKER = ("container", "project")


@pytest.fixture(name="host", scope="module", params=turn(RELEASES, 1))
def _host(request: pytest.FixtureRequest) -> Iterator[Site]:
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
    name = f"{os.environ['HPC_PORTS_LAB']}-containers-firewalld-{request.param}-{worker}"
    found = Site(Kind(request.param, "firewalld", "nft"), name)
    yield found
    found.close()


def wrong(host: Site, policy: Mapping[str, Any]) -> dict[tuple[str, Try], tuple[str, str]]:
    """Return what an outsider gets beyond the policy, and what Docker's ports and containers get other than it says."""
    lost = {*CLUSTER_IP[4], *CLUSTER_IP[6], *host.cni.addresses.values()}

    def concerns(name: str, one: Try) -> bool:
        if name == "outsider":
            return one.target not in lost
        if name == "platform":
            return one.port in _BY_DOCKER and one.target in HOST.values()
        return one.target in PLATFORM.values()

    found = host.wrong(policy, "platform", "outsider", *_OF_DOCKER, chosen=concerns)
    return {key: what for key, what in found.items() if key[0] != "outsider" or what[1] != FILTERED}


@pytest.mark.parametrize("egress", ["open", "restricted"])
def test_each_port_that_docker_publishes_has_the_verdict_of_the_port_file(host: Site, egress: str) -> None:
    """What the host's containers open and ask for has it, too."""
    policy = wanted(egress)
    assert host.host.apply(policy)["backend"] == "firewalld"
    assert not wrong(host, policy)
    assert not wrong_names(host)
    assert not host.host.apply(policy)["changed"]


def test_in_any_order_of_reloads_restarts_and_applies_the_verdicts_hold(host: Site) -> None:
    names = [*POLICIES, *STEPS, BOOT]
    policy = POLICIES["open"]
    host.host.apply(policy)
    done: list[str] = []
    for name in random.Random(SEED).sample(names, len(names) if FULL else 5):
        done.append(name)
        if name in POLICIES:
            before, rules = policy, host.host.foreign_rules()
            policy = POLICIES[name]
            host.host.apply(policy)
            # Another egress needs a reload of firewalld, after which Docker writes its rules again.
            assert policy["egress"] != before["egress"] or host.host.foreign_rules() == rules, done
        elif name == BOOT:
            host.boot()
        else:
            host.host.host.shell(name)
            host.docker.wait()
        assert not wrong(host, policy), done
    assert not host.host.apply(policy)["changed"]
