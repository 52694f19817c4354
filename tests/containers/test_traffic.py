# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers open what their host may open, and reach each other and their DNS as before the host had a firewall."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import pytest
from ansible_collections.hpc.ports.tests.containers.connections import FILTERED, Servers, Try, outcomes
from ansible_collections.hpc.ports.tests.containers.names import wrong_names
from ansible_collections.hpc.ports.tests.containers.sites import FILTERED_CONTAINERS, OUTSIDER, PLATFORM, Site, wanted
from ansible_collections.hpc.ports.tests.support.namespaces import Space


def test_forwarded_packets_that_are_left_alone_pass_as_before(site: Site) -> None:
    site.host.apply(wanted("restricted", filtered=()))
    assert not site.changed_beyond()


def test_restricted_egress_closes_what_no_flow_allows_and_nothing_else(site: Site) -> None:
    """The same as what the matrix of published ports compares with `evaluate`, in other words."""
    site.host.apply(wanted("restricted"))
    gone = site.changed_beyond()
    # Those of pods are not filtered by default.
    filtered = [name for name, source in site.sources.items() if source.interface not in ("lo", "eth0", "cni0")]
    assert set(gone.values()) == {FILTERED}
    assert {(name, one.protocol, one.port, one.target) for name, one in gone if name in filtered} == {
        (name, protocol, 9002, PLATFORM[version])
        for name in filtered
        for protocol in ("tcp", "udp")
        for version in site.sources[name].addresses
    }
    straight = {one.target for name, one in gone if name not in filtered}
    assert straight == {address for one in site.containers if one.name != "cni" for address in one.addresses.values()}
    assert {name for name, _one in gone} == {*filtered, "platform", "outsider"}


# ---- pods

# As of a pod on another node, which a tunnel leads to.
TUNNEL = "flannel.1"
_OTHER_POD = {4: "10.89.1.2", 6: "fd00:89:1::2"}
_LINK = """
ip link add {tunnel} type veth peer name eth0 netns {pid}
ip link set {tunnel} up
ip address add 10.89.1.1/24 dev {tunnel}
ip address add fd00:89:1::1/64 dev {tunnel} nodad
"""
_INSIDE = """
ip link set lo up; ip link set eth0 up
ip address add 10.89.1.2/24 dev eth0; ip address add fd00:89:1::2/64 dev eth0 nodad
ip route add default via 10.89.1.1; ip route add ::/0 via fd00:89:1::1
"""


class Pods(NamedTuple):
    """The pods of the host, and one of another node: who opens connections to whom."""

    site: Site
    other: Space

    def outcomes(self) -> dict[str, str]:
        """Return what each gets, by IP version."""
        cni, peer = self.site.cni, self.site.host.peer
        tries = {
            f"{name} {version}": (space, Try("tcp", source.get(version, ""), target[version], port))
            for version in (4, 6)
            for name, space, source, target, port in (
                ("from another node", self.other, {}, cni.addresses, 80),
                ("to another node", cni.inner, {}, _OTHER_POD, 80),
                ("from an outsider", peer, OUTSIDER, cni.addresses, 80),
                ("to the peer by a flow", cni.inner, {}, PLATFORM, 9001),
                ("to the peer", cni.inner, {}, PLATFORM, 9002),
                ("to a container", cni.inner, {}, self.site.pod, 80),
            )
        }
        return outcomes(tries)


@pytest.fixture
def pods(site: Site) -> Iterator[Pods]:
    """Pods of two nodes."""
    other, servers = Space(), Servers()
    site.host.host.arrange(_LINK.format(tunnel=TUNNEL, pid=other.pid))
    other.arrange(_INSIDE)
    for address in _OTHER_POD.values():
        servers.tcp(other, address, 80, "another pod")
    yield Pods(site, other)
    servers.close()
    other.close()


def test_pods_of_two_nodes_reach_each_other_by_default_and_through_a_trusted_tunnel(pods: Pods) -> None:
    before = pods.outcomes()
    assert (before["from another node 4"], before["to another node 6"]) == ("cni 80", "another pod")
    assert not closed(pods, wanted("restricted"), before)
    with_pods = (*FILTERED_CONTAINERS, "cni0")
    outside = {f"{name} {version}" for name in ("from an outsider", "to the peer") for version in (4, 6)}
    assert closed(pods, wanted("restricted", (TUNNEL,), filtered=with_pods), before) == outside
    between = {f"{way} another node {version}" for way in ("from", "to") for version in (4, 6)}
    assert closed(pods, wanted("restricted", filtered=with_pods), before) == outside | between


def closed(pods: Pods, policy: Mapping[str, object], before: Mapping[str, str]) -> set[str]:
    """Return what a policy closes; nothing else changes."""
    pods.site.host.apply(policy)
    now = pods.outcomes()
    gone = {name for name, got in now.items() if got != before[name]}
    assert {now[name] for name in gone} <= {FILTERED}
    return gone


# ---- names


@pytest.mark.parametrize("egress", ["open", "restricted"])
def test_the_names_of_containers_resolve_as_before(site: Site, egress: str) -> None:
    """Podman's DNS server listens on the host, and asks others by the flow of the host."""
    assert not wrong_names(site)
    site.host.apply(wanted(egress))
    assert not wrong_names(site)
