# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A published port is the host's port: real connections to ports that real programs publish, from everywhere."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress

import pytest
from ansible_collections.hpc.ports.tests.containers.connections import FILTERED, REFUSED, Try, answer, outcomes
from ansible_collections.hpc.ports.tests.containers.publishers import KUBE_MODES
from ansible_collections.hpc.ports.tests.containers.sites import OUTSIDER, PLATFORM, Site, wanted
from ansible_collections.hpc.ports.tests.support.namespaces import HOST, Space
from ansible_collections.hpc.ports.tests.support.run import SEED, examples

# Who comes from outside.
OUTSIDE = ("platform", "outsider")


def test_without_a_firewall_published_ports_are_open_to_everybody(site: Site) -> None:
    """What the other tests compare with: a port that nothing publishes would be closed to all whatever the rules."""
    for protocol, port, said in (
        ("tcp", 8800, "web 80"),
        ("tcp", 8001, "web 8443"),
        ("tcp", 8443, "web 22"),
        ("tcp", 8802, "web 80"),
        ("udp", 5301, "web 53"),
        ("tcp", 8820, "pod 80"),
        ("tcp", 8821, "pod 80"),
        ("tcp", 8850, "cni 80"),
        ("tcp", 30180, "pod 80"),
        *(("tcp", 8830 + 10 * number, f"{netavark.name} 80") for number, netavark in enumerate(site.netavark)),
    ):
        assert site.before["outsider", Try(protocol, OUTSIDER[4], HOST[4], port)] == said
    for port, said in ((8803, "web 80"), (8820, "pod 80"), (8823, "pod 80"), (8850, "cni 80"), (30180, "pod 80")):
        assert site.before["outsider", Try("tcp", OUTSIDER[6], HOST[6], port)] == said
    for port in (8004, 8804, 8005):
        assert site.before["platform", Try("tcp", PLATFORM[4], HOST[4], port)] == REFUSED
    assert site.before["host", Try("tcp", "", "127.0.0.1", 8804)] == "web 80"


@pytest.mark.parametrize("egress", ["open", "restricted"])
def test_each_published_port_has_the_verdict_of_the_port_file(site: Site, egress: str) -> None:
    policy = wanted(egress)
    rules = site.host.foreign_rules()
    assert site.host.apply(policy)["changed"]
    assert site.host.foreign_rules() == rules
    assert not site.wrong(policy)
    assert not site.host.apply(policy)["changed"]
    site.host.remove_firewall()
    assert site.host.foreign_rules() == rules
    assert site.measured(*OUTSIDE) == {key: got for key, got in site.before.items() if key[0] in OUTSIDE}


def test_restricted_egress_of_the_host_to_services_of_a_cluster_is_judged_at_the_pod(site: Site) -> None:
    policy = wanted("restricted", pods=True)
    site.host.apply(policy)
    assert not site.wrong(policy, "host")


def test_a_trusted_interface_opens_the_host_to_its_containers(site: Site) -> None:
    policy = wanted(trusted=("br-*", "docker*", "cni*", "podman*"))
    site.host.apply(policy)
    assert not site.wrong(policy)
