# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A published port is the host's port: real connections to ports that real programs publish, from everywhere."""

from __future__ import annotations

import pytest
from ansible_collections.hpc.ports.tests.containers.sites import PODS, Site, wanted

# Who comes from outside.
OUTSIDE = ("platform", "outsider")


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
    policy = wanted("restricted", (), PODS)
    site.host.apply(policy)
    assert not site.wrong(policy, "host")


def test_a_trusted_interface_opens_the_host_to_its_containers(site: Site) -> None:
    policy = wanted(trusted=("br-*", "docker*", "cni*", "podman*"))
    site.host.apply(policy)
    assert not site.wrong(policy)
