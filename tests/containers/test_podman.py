# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers that `podman run` starts: their published ports, their way out, and their names."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from ansible_collections.hpc.ports.tests.containers.connections import FILTERED, Try, answer, outcomes
from ansible_collections.hpc.ports.tests.containers.podman import Podman
from ansible_collections.hpc.ports.tests.containers.sites import OUTSIDER, PLATFORM, Site, wanted
from ansible_collections.hpc.ports.tests.support.namespaces import HOST, Space


@pytest.fixture
def podman(site: Site) -> Iterator[Podman]:
    """Podman with two containers, one of which publishes a port with a flow and one without."""
    found = Podman(site.host)
    found.run("first", "8060:80", "8860:80")
    found.run("second")
    yield found
    found.close()


def reached(site: Site, podman: Podman) -> dict[str, str]:
    """Return what the host's peers get from the container, and what the container gets."""
    first = podman.inner("first")
    tries: dict[str, tuple[Space, Try]] = {
        f"{name} {port}": (site.host.peer, Try("tcp", addresses[4], HOST[4], port))
        for name, addresses in (("platform", PLATFORM), ("outsider", OUTSIDER))
        for port in (8060, 8860)
    }
    tries["peer, by a flow"] = (first, Try("tcp", "", PLATFORM[4], 9001))
    tries["peer"] = (first, Try("tcp", "", PLATFORM[4], 9002))
    tries["second"] = (first, Try("tcp", "", podman.address("second"), 80))
    return {
        **outcomes(tries),
        "a name outside": answer(first, "10.64.0.53", "login.example"),
        "a name of a container": answer(first, podman.gateway("first"), "second"),
    }


def test_what_podman_runs_obeys_the_port_file(site: Site, podman: Podman) -> None:
    before = reached(site, podman)
    assert {before[f"{name} {port}"] for name in ("platform", "outsider") for port in (8060, 8860)} == {"first 80"}
    assert (before["peer"], before["second"], before["a name outside"]) == ("the peer", "second 80", "10.64.0.7")
    closed = {name: FILTERED for name in ("platform 8860", "outsider 8060", "outsider 8860")}
    site.host.apply(wanted("restricted", filtered=()))
    assert reached(site, podman) == {**before, **closed}
    site.host.apply(wanted("restricted"))
    assert reached(site, podman) == {**before, **closed, "peer": FILTERED}
    podman.restart("first", 8060)
    assert reached(site, podman) == {**before, **closed, "peer": FILTERED}
