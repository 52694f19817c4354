# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `verify_probe` tries from real containers: of Docker, on its default network and on one of a project."""

from __future__ import annotations

from typing import Any

from ansible_collections.hpc.ports.tests.containers.sites import Flow, Site, wanted
from ansible_collections.hpc.ports.tests.support.namespaces import PEER

INTERFACES = ["br-*", "docker*"]
ALLOWED: Flow = ("out", "allowed", ["9001/tcp"], (f"{PEER[4]}/32", f"{PEER[6]}/128"))
PROBES = [{"address": PEER[version], "ports": ["9001/tcp", "9002/tcp"]} for version in (4, 6)]


def tried(site: Site, filtered: list[str]) -> dict[str, dict[str, Any]]:
    """Return what the containers get, by interface, of a peer on which nothing listens."""
    site.host.apply({**wanted("restricted", (), ALLOWED), "filtered_containers": filtered})
    asked = {"interfaces": INTERFACES, "probes": PROBES}
    found = site.host.module("verify_probe", probes=[], containers=asked)["containers"]
    return {container["interface"]: container for container in found}


def test_one_container_of_each_network_opens_what_its_host_may_open(site: Site) -> None:
    found = tried(site, INTERFACES)
    assert len(found) == 2 and found["docker0"]["address"].startswith("172.17.0.")
    [project] = found.keys() - {"docker0"}
    assert found[project]["address"].startswith("172.30.0.")
    for result in [result for container in found.values() for result in container["results"]]:
        assert (result["refused"], result["filtered"]) == (["9001/tcp"], ["9002/tcp"]), result
    # Docker's default network has no IPv6.
    assert [len(found[name]["results"]) for name in ("docker0", project)] == [1, 2]


def test_what_no_chain_judges_gets_through(site: Site) -> None:
    for container in tried(site, []).values():
        for result in container["results"]:
            assert (result["refused"], result["filtered"]) == (["9001/tcp", "9002/tcp"], [])
