# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers reach out, each other and their DNS as before the host had a firewall."""

from __future__ import annotations

import pytest
from ansible_collections.hpc.ports.tests.containers.connections import Try, answer, outcomes
from ansible_collections.hpc.ports.tests.containers.sites import Flow, Site, wanted

# The peer, as containers know it.
_PEER = {4: "10.64.0.7", 6: "fd64::7"}


def talks(site: Site) -> dict[tuple[str, str], str]:
    """Return what containers get: from the peer, and from each other."""
    inner = {name: source for name, source in site.sources.items() if name not in ("platform", "outsider", "host")}
    others = {
        "web": {4: site.address("web")},
        "pod": site.pod,
        "cni": site.cni.addresses,
        **{netavark.name: netavark.addresses for netavark in site.netavark},
    }
    tries = {
        (name, f"{target} {version}"): (source.space, Try("tcp", "", addresses[version], port))
        for name, source in inner.items()
        for target, port, addresses in (("peer", 9001, _PEER), *((other, 80, others[other]) for other in others))
        for version in source.addresses
        if version in addresses
    }
    return outcomes(tries)


def docker_names(site: Site) -> dict[str, str]:
    """Return what containers of Docker get for names: of each other, and of other hosts."""
    default, project = site.docker.inner("client"), site.docker.inner("other")
    return {
        "other hosts, from the default network": answer(default, "10.64.0.53", "login.example"),
        "other hosts, from a project": answer(project, "127.0.0.11", "login.example"),
        "a container, from its project": answer(project, "127.0.0.11", "pod"),
    }


def podman_names(site: Site) -> dict[str, str]:
    """Return what containers of Podman get for names from aardvark-dns, which listens on the host."""
    return {
        f"{name}, from {netavark.name}": answer(netavark.inner, f"10.88.{number}.1", name)
        for number, netavark in enumerate(site.netavark)
        for name in (netavark.name, "login.example")
    }


@pytest.mark.parametrize("egress", ["open", "restricted"])
def test_containers_reach_out_and_each_other_as_before(site: Site, egress: str) -> None:
    before = talks(site)
    assert {before[name, f"peer {version}"] for name in ("cni", "project") for version in (4, 6)} == {"the peer"}
    assert (before["container", "web 4"], before["cni", "pod 6"]) == ("web 80", "pod 80")
    site.host.apply(wanted(egress))
    assert talks(site) == before


@pytest.mark.parametrize("egress", ["open", "restricted"])
def test_the_names_of_docker_resolve_as_before(site: Site, egress: str) -> None:
    before = docker_names(site)
    assert list(before.values()) == ["10.64.0.7", "10.64.0.7", "172.30.0.10"]
    site.host.apply(wanted(egress))
    assert docker_names(site) == before


# Podman's DNS server listens on the host: for the policy, a container that asks is a peer like any other.
_NAMES = ("in", "names_of_containers", ["53/udp", "53/tcp"], ("10.88.0.0/16", "fd00:88::/32"))


@pytest.mark.parametrize(
    "trusted, rules",
    [
        (("podman*",), ()),
        ((), (_NAMES,)),
        pytest.param((), (), marks=pytest.mark.xfail(strict=True, reason="The host drops what no flow allows")),
    ],
    ids=["trusted", "flow", "neither"],
)
def test_the_names_of_podman_resolve_as_before(site: Site, trusted: tuple[str, ...], rules: tuple[Flow, ...]) -> None:
    if not site.netavark:
        pytest.skip("Debian 11 has no netavark.")
    before = podman_names(site)
    assert "" not in before.values()
    site.host.apply(wanted("open", trusted, *rules))
    assert podman_names(site) == before
