# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host on which everything publishes ports at once, and the connections that the tests try to them."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._model.evaluate import (
    ForwardedPacket,
    Packet,
    evaluate,
    evaluate_forwarded,
)
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import Policy, parse_policy
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.variables import HOST_DEFAULTS
from ansible_collections.hpc.ports.tests.containers.connections import FILTERED, REFUSED, Servers, Try, outcomes
from ansible_collections.hpc.ports.tests.containers.hosts import CLUSTER_IP, VIRTUAL, ContainerHost, Kind
from ansible_collections.hpc.ports.tests.containers.publishers import PROXY, WITH_IPV6, Cni, Docker, KubeProxy, Netavark
from ansible_collections.hpc.ports.tests.support.namespaces import HOST, Space
from ansible_collections.hpc.ports.tests.support.samples import ANYWHERE, SSH, policy

# What a policy has where the inventory says nothing else.
CONTAINERS: tuple[str, ...] = tuple(HOST_DEFAULTS["firewall_container_interfaces"])
FILTERED_CONTAINERS: tuple[str, ...] = tuple(HOST_DEFAULTS["firewall_filtered_containers"])
# Who may connect by a flow, and who may not.
PLATFORM = {4: "10.64.0.7", 6: "fd64::7"}
OUTSIDER = {4: "10.65.0.9", 6: "fd65::9"}
# Direction, name, ports and peers.
Flow = tuple[str, str, list[str], tuple[str, ...]]
_PEERS = ("10.64.0.0/24", "fd64::/64")
# The flows of the host. Port 80, at which containers listen, has one; ports 88xx, 301xx and 5301 have none. The port
# 8001 leads to the port 8443 of a container: a flow of the host for 8443 says nothing about it.
_IN = ("in", "platform", ["80/tcp", "8000-8099/tcp", "5300/udp", "30000-30099/tcp"], _PEERS)
_WORLD = ("in", "web", ["8443/tcp"], ANYWHERE)
# The peer listens on two ports; the host, and so its containers, may open connections to one of them.
_OUT = (("out", "dns", ["53/tcp", "53/udp"], ("10.64.0.53/32",)), ("out", "files", ["9001/tcp", "9001/udp"], _PEERS))
# The host may open connections to the pods of its cluster.
PODS: Flow = ("out", "pods", ["80/tcp"], ("172.30.0.0/24", "fd00:30::/64"))
# How Docker publishes ports of its containers: on the default network, and on one of a project with IPv6.
_ON_DEFAULT = (
    "8000:80",
    "8800:80",
    "8001:8443",
    "8443:22",
    f"{HOST[4]}:8002:80",
    f"{HOST[4]}:8802:80",
    f"[{HOST[6]}]:8003:80",
    f"[{HOST[6]}]:8803:80",
    "127.0.0.1:8004:80",
    "127.0.0.1:8804:80",
    "[::1]:8005:80",
    "5300:53/udp",
    "5301:53/udp",
)
_ON_PROJECT = ("8020:80", "8820:80", f"{HOST[4]}:8022:80", f"[{HOST[6]}]:8823:80")
_PORTS = {
    "tcp": (
        *(
            22,
            53,
            80,
            8000,
            8800,
            8001,
            8443,
            8002,
            8802,
            8003,
            8803,
            8004,
            8804,
            8005,
            8020,
            8820,
            8021,
            8821,
            8022,
            8823,
        ),
        *(8030, 8830, 8040, 8840, 8050, 8850, 30080, 30180, 8099, 8899),
    ),
    "udp": (53, 67, 5300, 5301, 5302),
}
# A load balancer's: two have flows, one has not.
_VIRTUAL_PORTS = {"tcp": (80, 8080, 8800)}
# Addresses of the host on both of its networks.
_OWN = {4: (HOST[4], "192.0.3.1"), 6: (HOST[6], "2001:db8:1::1")}
_LOOPBACK = {4: ("127.0.0.1",), 6: ("::1",)}


def wanted(
    egress: str = "open", trusted: tuple[str, ...] = (), *more: Flow, filtered: tuple[str, ...] = FILTERED_CONTAINERS
) -> dict[str, Any]:
    """Return the policy of the host, with more flows than the usual ones."""
    rules = (SSH, _IN, _WORLD, *(_OUT if egress == "restricted" else ()), *more)
    data = policy(*rules, egress=egress, interfaces=trusted, containers=CONTAINERS, filtered=filtered)
    return {**data, "addresses": [HOST[4], HOST[6], *VIRTUAL[4], *VIRTUAL[6]]}


class Other(NamedTuple):
    """What is not on the host itself: its addresses, the interface that leads there, and its ports."""

    name: str
    addresses: Mapping[int, str]
    interface: str
    ports: tuple[tuple[str, int], ...] = (("tcp", 80),)


PEER = Other("the peer", PLATFORM, "eth0", (("tcp", 9001), ("udp", 9001), ("tcp", 9002), ("udp", 9002)))


class Source(NamedTuple):
    """From where connections come: its addresses as the host sees them, and the interface by which they arrive."""

    space: Space
    addresses: Mapping[int, str]
    interface: str

    def tries(self, others: Iterable[Other]) -> list[Try]:
        """Return its connections: to each port of each address of the host, to the services of a cluster, to others."""
        kinds: list[tuple[Mapping[int, tuple[str, ...]], Mapping[str, tuple[int, ...]]]] = [
            (_OWN, _PORTS),
            (VIRTUAL, _VIRTUAL_PORTS),
            (CLUSTER_IP, {"tcp": (80,)}),
        ]
        kinds += [(_LOOPBACK, _PORTS)] if self.interface == "lo" else []
        return [
            Try(protocol, self._chosen(version), target, port)
            for targets, by_protocol in kinds
            for version in self.addresses
            for target in targets[version]
            for protocol, ports in by_protocol.items()
            for port in ports
        ] + [
            Try(protocol, self._chosen(version), other.addresses[version], port)
            for other in others
            for version in self.addresses
            if version in other.addresses
            for protocol, port in other.ports
        ]

    def _chosen(self, version: int) -> str:
        """Return the address to connect from; the peer has all, so it has to choose."""
        return self.addresses[version] if self.interface == "eth0" else ""


class Site:
    """The host, all that publishes ports on it, and what every connection got before the host had a firewall."""

    pod: Mapping[int, str] = {4: "172.30.0.10", 6: "fd00:30::10"}

    def __init__(self, kind: Kind, name: str) -> None:
        self._kind = kind
        self.before: dict[tuple[str, Try], str] = {}
        self.host = ContainerHost(kind, name)
        self.docker = Docker(self.host, WITH_IPV6)
        self.docker("network", "create", "--ipv6", "--subnet=172.30.0.0/24", "--subnet=fd00:30::/64", "project")
        self.docker.run("web", *_published(_ON_DEFAULT))
        self.docker.run("client")
        self.run_pod()
        self.docker.run("other", "--network=project")
        self.docker.run("front", "--network=project", *_published(("8021:80", "8821:80")), program=PROXY)
        # Debian 11 has no netavark, and that of Debian 12 no driver for nftables.
        self.netavark = [
            Netavark(self.host, driver, number, {8030 + 10 * number: 80, 8830 + 10 * number: 80}, dns=True)
            for number, (driver, first) in enumerate((("iptables", 12), ("nftables", 13)))
            if int(kind.release) >= first
        ]
        self.cni = Cni(self.host, {8050: 80, 8850: 80})
        self.kube = KubeProxy(self.host, self.pod, (30080, 30180), _VIRTUAL_PORTS["tcp"])
        self.kube.set_up("iptables")
        if kind.backend == "firewalld":
            # Podman adds its networks to the running configuration alone, and then our module refuses to reload.
            self.host.host.shell("firewall-cmd --quiet --runtime-to-permanent")
        self.measure_before()

    def run_pod(self) -> None:
        """Have the container run that is behind the services of the cluster."""
        addresses = (f"--ip={self.pod[4]}", f"--ip6={self.pod[6]}")
        self.docker.run("pod", "--network=project", *addresses, *_published(_ON_PROJECT))

    @property
    def sources(self) -> dict[str, Source]:
        """Who tries: hosts of the platform and others, the host itself, and containers."""
        found = {
            "platform": Source(self.host.peer, PLATFORM, "eth0"),
            "outsider": Source(self.host.peer, OUTSIDER, "eth0"),
            "host": Source(self.host.host, {4: HOST[4], 6: HOST[6]}, "lo"),
            "container": Source(self.docker.inner("client"), {4: self.address("client")}, "docker0"),
            "project": Source(self.docker.inner("pod"), self.pod, "br-0"),
            "cni": Source(self.cni.inner, self.cni.addresses, "cni0"),
        }
        for number, netavark in enumerate(self.netavark):
            found[netavark.name] = Source(netavark.inner, netavark.addresses, f"podman{number}")
        return found

    def address(self, name: str) -> str:
        """Return the IPv4 address of a container on Docker's default network."""
        return self.docker("inspect", "--format={{.NetworkSettings.IPAddress}}", name)

    @property
    def containers(self) -> list[Other]:
        """The containers that listen on port 80. Docker may give `web` another address: its name stands for it."""
        found = [
            Other("web", {4: "web"}, "docker0"),
            Other("pod", self.pod, "br-0"),
            Other("cni", self.cni.addresses, "cni0"),
        ]
        return found + [Other(one.name, one.addresses, f"podman{number}") for number, one in enumerate(self.netavark)]

    def tries(self, names: Sequence[str] = ()) -> dict[tuple[str, Try], Source]:
        """Return the connections of all sources, or of some."""
        return {
            (name, one): source
            for name, source in self.sources.items()
            if name in names or not names
            for one in source.tries([*self.containers, *([] if source.interface == "eth0" else [PEER])])
        }

    def measure_before(self) -> None:
        """Measure what all connections get as long as the host has no firewall; published ports are open to all."""
        open_to_all = self._open_to_all()
        # Whatever is not answered at once is tried again: an answer may be late. Not so what had none the last time.
        expected = {**dict.fromkeys(self.tries(), REFUSED), **self.before, **open_to_all}
        self.before = self.measured(expected={key: expected[key] for key in self.tries()})
        closed = {key: (said, self.before[key]) for key, said in open_to_all.items() if self.before[key] != said}
        assert not closed, closed

    def _open_to_all(self) -> dict[tuple[str, Try], str]:
        """Return answers to an outsider, whom no flow allows, and what is published for the host alone."""
        both = {8820: "pod 80", 8821: "pod 80", 8850: "cni 80", 30180: "pod 80"}
        both.update({8830 + 10 * number: f"{one.name} 80" for number, one in enumerate(self.netavark)})
        by_version = {
            4: {8800: "web 80", 8001: "web 8443", 8443: "web 22", 8802: "web 80", 8804: REFUSED, **both},
            6: {8803: "web 80", 8823: "pod 80", 8804: REFUSED, **both},
        }
        found = {
            ("outsider", Try("tcp", OUTSIDER[version], HOST[version], port)): said
            for version, by_port in by_version.items()
            for port, said in by_port.items()
        }
        for one in self.containers:  # straight through the host
            for version, address in one.addresses.items():
                found["outsider", Try("tcp", OUTSIDER[version], address, 80)] = f"{one.name} 80"
        for name, source in self.sources.items():
            if source.interface not in ("eth0", "lo"):
                for version, (protocol, port) in itertools.product(source.addresses, PEER.ports):
                    found[name, Try(protocol, "", PLATFORM[version], port)] = PEER.name
        if self._kind.iptables == "legacy":
            # Seen on Debian 12: what netavark and CNI publish over IPv6 is closed there without a firewall as well.
            for port in (8850, 8830, 8840):
                found.pop(("outsider", Try("tcp", OUTSIDER[6], HOST[6], port)), None)
        if self._kind.release == "11":
            # Docker 20.10.5 publishes no IPv6 for a container that has none.
            del found["outsider", Try("tcp", OUTSIDER[6], HOST[6], 8803)]
        found["outsider", Try("udp", OUTSIDER[4], HOST[4], 5301)] = "web 53"
        found["host", Try("tcp", "", "127.0.0.1", 8804)] = "web 80"
        return found

    def measured(
        self, *names: str, expected: Mapping[tuple[str, Try], str] | None = None
    ) -> dict[tuple[str, Try], str]:
        """Return what the connections of all sources get, or of some, or those that are expected."""
        web = self.address("web")
        tries = {
            (name, one): (source.space, one._replace(target=web) if one.target == "web" else one)
            for (name, one), source in self.tries(names).items()
            if expected is None or (name, one) in expected
        }
        with self._datagrams():
            return outcomes(tries, expected)

    def changed_beyond(self, *names: str) -> dict[tuple[str, Try], str]:
        """Return what passes through the host, from all sources or some, and fares other than before it had a firewall.

        From containers to the peer and to each other, and straight to containers.
        """
        others = {address for one in (*self.containers, PEER) for address in one.addresses.values()}
        return {
            key: got
            for key, got in self.measured(*names).items()
            if key[0] != "host" and key[1].target in others and got != self.before[key]
        }

    def wrong(
        self, policy: Mapping[str, Any], *names: str, chosen: Callable[[str, Try], bool] = lambda _name, _one: True
    ) -> dict[tuple[str, Try], tuple[str, str]]:
        """Return the connections that fare other than the policy says: expected and got.

        Those of all sources or some, and only the chosen ones. Those that pass get what they got before the host had a
        firewall.
        """
        parsed = parse_policy(policy)
        others = {address: one for one in (*self.containers, PEER) for address in one.addresses.values()}
        expected = {
            key: self._expected_of(parsed, source, others[key[1].target], *key)
            if key[1].target in others
            else self._expected(parsed, source, *key)
            for key, source in self.tries(names).items()
            if chosen(*key)
        }
        got = self.measured(*names, expected=expected)
        return {key: (expected[key], got[key]) for key in got if got[key] != expected[key]}

    def _expected(self, policy: Policy, source: Source, name: str, one: Try) -> str:
        version = 6 if ":" in one.target else 4
        before = self.before[name, one]
        is_service = one.target in (*VIRTUAL[version], *CLUSTER_IP[version])
        if name == "host" and is_service:
            # NAT comes before the chain output: egress is judged at the pod.
            packet = Packet("out", one.protocol, self.pod[version], 80)
        elif one.target in CLUSTER_IP[version]:
            # What goes through the host to a service of a cluster is not for the host.
            return before
        else:
            packet = Packet("in", one.protocol, source.addresses[version], one.port, interface=source.interface)
        return before if evaluate(policy, packet).passes else FILTERED

    def _expected_of(self, policy: Policy, source: Source, other: Other, name: str, one: Try) -> str:
        if name == "host":
            judged = evaluate(policy, Packet("out", one.protocol, one.target, one.port, interface=other.interface))
        else:
            judged = evaluate_forwarded(
                policy, ForwardedPacket(one.protocol, one.target, one.port, source.interface, other.interface)
            )
        return self.before[name, one] if judged.passes else FILTERED

    @contextlib.contextmanager
    def _datagrams(self) -> Iterator[None]:
        """Have the container `web` answer datagrams meanwhile."""
        servers = Servers()
        try:
            servers.udp(self.docker.inner("web"), "0.0.0.0", 53, lambda _question: b"web 53")
            yield
        finally:
            servers.close()

    def boot(self) -> None:
        """Have the host boot, with all that ran on it."""
        self.host.boot()
        self.docker.wait()
        for netavark in self.netavark:
            netavark.set_up()
        self.cni.set_up()
        self.kube.set_up("iptables")

    def close(self) -> None:
        """Remove the host."""
        self.host.close()


def _published(ports: tuple[str, ...]) -> list[str]:
    return [f"--publish={port}" for port in ports]
