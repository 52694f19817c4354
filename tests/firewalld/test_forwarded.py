# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packets of containers on a host with firewalld: those that the host forwards, and what they ask the host itself."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables.observed import observed
from ansible_collections.hpc.ports.plugins.module_utils._model.evaluate import (
    ForwardedPacket,
    Packet,
    evaluate,
    evaluate_forwarded,
)
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import parse_policy
from ansible_collections.hpc.ports.tests.firewalld.daemons import Daemon, call
from ansible_collections.hpc.ports.tests.firewalld.verdicts import applied
from ansible_collections.hpc.ports.tests.support.namespaces import HOST, Space, forget_connections
from ansible_collections.hpc.ports.tests.support.packets import Opening, Wire
from ansible_collections.hpc.ports.tests.support.samples import SSH, policy

# The addresses of two networks of containers, which end in 1 on the host and in 2 inside.
NETWORKS = ({4: "198.51.100.", 6: "2001:db8:5::"}, {4: "203.0.113.", 6: "2001:db8:6::"})
WEB = ("in", "web", ["8080/tcp"], ("10.64.0.1/32",))
DNS = ("out", "dns", ["53/udp", "53/tcp"], ("10.64.0.53/32", "fd64::53/128"))
RESTRICTED, OPEN = (
    policy(SSH, WEB, *out, egress=egress, containers=("back*", "veth*"), filtered=("back*",))
    for egress, out in (("restricted", [DNS]), ("open", []))
)
PUBLISH = """
table ip hand {
  chain pre {
    type nat hook prerouting priority dstnat;
    ip daddr 192.0.2.1 tcp dport { 8080, 9000 } dnat to 198.51.100.2:9999
  }
}
"""
# As netavark and Docker have firewalld accept what it forwards.
DEFAULT_ZONE = "trusted"


class Crossing(NamedTuple):
    """The first packet of a connection: `sender` is the number of a container, or None for the peer."""

    sender: int | None
    opening: Opening
    to_interface: str = ""

    @property
    def from_interface(self) -> str:
        """The interface by which the packet comes to the host."""
        return "eth0" if self.sender is None else f"back{self.sender}"

    def passes(self, wanted: dict[str, Any]) -> bool:
        """Return whether the policy lets it through; packets to the host have no second interface."""
        found, opening = parse_policy(wanted), self.opening
        if not self.to_interface:
            asked = Packet("in", opening.protocol, opening.source, opening.port, interface=self.from_interface)
            return evaluate(found, asked).passes
        interfaces = (self.from_interface, self.to_interface)
        return evaluate_forwarded(
            found, ForwardedPacket(opening.protocol, opening.target, opening.port, *interfaces)
        ).passes


def _from_container(number: int, protocol: str, target: str, port: int, to_interface: str = "") -> Crossing:
    source = f"{NETWORKS[number][6 if ':' in target else 4]}2"
    return Crossing(number, Opening(protocol, source, target, port, 20_000 + port), to_interface)


def _from_peer(source: str, target: str, port: int, to_interface: str = "") -> Crossing:
    # The last digit of the source tells answers to one port apart.
    return Crossing(None, Opening("tcp", source, target, port, 30_000 + port + int(source[-1])), to_interface)


FORWARDED = [
    *(
        _from_container(0, protocol, target, port, "eth0")
        for target in ("10.64.0.53", "10.64.0.54", "fd64::53", "fd64::54")
        for protocol, port in (("udp", 53), ("tcp", 53), ("udp", 54), ("ip", 58 if ":" in target else 1))
    ),
    *(_from_container(0, "tcp", f"{address}2", 9999, "back1") for address in NETWORKS[1].values()),
    *(_from_peer("10.64.0.1", f"{NETWORKS[0][4]}2", port, "back0") for port in (22, 8080, 9999)),
    _from_peer("fd64::1", f"{NETWORKS[0][6]}2", 9999, "back0"),
    # Published: judged before NAT.
    *(_from_peer(source, HOST[4], port) for source in ("10.64.0.1", "10.64.0.2") for port in (8080, 9000)),
]
TO_HOST = {
    number: [
        _from_container(number, protocol, f"{address}1", port)
        for address in network.values()
        for protocol, port in (("udp", 53), ("tcp", 53), ("udp", 54), ("tcp", 22))
    ]
    for number, network in enumerate(NETWORKS)
}
ANSWERED_NAMES = {number: {found for found in TO_HOST[number] if found.opening.port == 53} for number in TO_HOST}


class Host(NamedTuple):
    """A host with containers, and the ends of the wires by the number of a container, or None for the peer."""

    daemon: Daemon
    spaces: dict[int, Space]
    wires: dict[int | None, Wire]
    stack: ExitStack

    def add_container(self) -> None:
        """Have one more container, in a network of its own."""
        number = len(self.spaces)
        space, network = Space(), NETWORKS[number]
        self.stack.callback(space.close)
        self.daemon.host.arrange(
            f"ip link add back{number} type veth peer name eth0 netns {space.pid}; ip link set back{number} up\n"
            + "".join(f"ip address add dev back{number} {text}\n" for text in _with_length(network, 1))
        )
        space.arrange(
            "ip link set lo up; ip link set eth0 up\n"
            + "".join(f"ip address add dev eth0 {text}\n" for text in _with_length(network, 2))
            + f"ip route add default via {network[4]}1; ip route add ::/0 via {network[6]}1\n"
            + "echo 0 > /proc/sys/net/ipv4/icmp_ratemask; echo 2 > /proc/sys/net/ipv6/icmp/ratemask"
        )
        self.daemon.peer.arrange(
            f"ip route replace {network[4]}0/24 via {HOST[4]}; ip route replace {network[6]}/64 via {HOST[6]}"
        )
        inside, outside = ({version: f"{start}{end}" for version, start in network.items()} for end in (2, 1))
        self.wires[number] = Wire(space, inside, outside, ["eth0"])
        self.stack.callback(self.wires[number].close)
        self.spaces[number] = space

    def passing(self, crossings: list[Crossing]) -> set[Crossing]:
        """Return those that were answered."""
        with self.daemon.host.entered():
            forget_connections()
        found = set()
        for sender in {crossing.sender for crossing in crossings}:
            sent = {crossing.opening: crossing for crossing in crossings if crossing.sender == sender}
            found |= {sent[opening] for opening in self.wires[sender].answered(list(sent))}
        return found

    def check(self, wanted: dict[str, Any], crossings: list[Crossing]) -> None:
        """See that exactly those pass that the policy lets through."""
        got = self.passing(crossings)
        assert {crossing for crossing in crossings if crossing.passes(wanted) != (crossing in got)} == set()


def _with_length(network: dict[int, str], last: int) -> list[str]:
    return [f"{network[4]}{last}/24", f"{network[6]}{last}/64 nodad"]


@pytest.fixture(name="host")
def _host(daemon: Daemon) -> Iterator[Host]:
    """A host with one container, where firewalld accepts all that it forwards."""
    switch = "echo {0} > /proc/sys/net/ipv4/ip_forward; echo {0} > /proc/sys/net/ipv6/conf/all/forwarding"
    daemon.host.shell(call("setDefaultZone", "s", DEFAULT_ZONE))
    daemon.host.arrange(switch.format(1))
    with ExitStack() as stack:
        found = Host(daemon, {}, {None: daemon.wires.inward}, stack)
        found.add_container()
        daemon.host.nft(PUBLISH)
        yield found
        daemon.host.nft("delete table ip hand")
    # A connection that a failed test left keeps the namespace of a container, and with it the link.
    gone = "for name in back0 back1; do ip link delete $name 2> /dev/null || :; done"
    daemon.host.arrange(f"{switch.format(0)}; {gone}")
    daemon.host.shell(call("setDefaultZone", "s", "public"))


@contextmanager
def _connected(client: Space, server: Space, address: tuple[str, int]) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Have a connection from a client to a server."""
    with ExitStack() as stack:
        with server.entered():
            listener = stack.enter_context(socket.create_server(address))
        with client.entered():
            near = stack.enter_context(socket.create_connection(address, timeout=30))
        far = stack.enter_context(listener.accept()[0])
        far.settimeout(30)
        yield near, far


def _talk(*connections: tuple[socket.socket, socket.socket]) -> None:
    for near, far in connections:
        for sender, receiver in ((near, far), (far, near)):
            sender.sendall(b"x")
            assert receiver.recv(1) == b"x"


def test_forwarded_packets_of_containers_are_judged_by_the_table(host: Host) -> None:
    """And connections that live go on."""
    daemon, inside = host.daemon, f"{NETWORKS[0][4]}2"
    host.add_container()
    assert host.passing(FORWARDED) == set(FORWARDED)
    with (
        _connected(host.spaces[0], daemon.peer, ("10.64.0.9", 9001)) as leaving,
        _connected(daemon.peer, host.spaces[0], (inside, 9001)) as entering,
    ):
        applied(daemon.runs, RESTRICTED)
        _talk(leaving, entering)
    everything = [*FORWARDED, *TO_HOST[0], *TO_HOST[1]]
    host.check(RESTRICTED, everything)
    applied(daemon.runs, OPEN)
    host.check(OPEN, everything)


@pytest.mark.takes_turns
def test_the_table_judges_forwarded_packets_until_it_is_removed(host: Host) -> None:
    daemon = host.daemon
    host.add_container()
    applied(daemon.runs, RESTRICTED)
    for command in (call("reload"), "systemctl reset-failed firewalld; systemctl restart firewalld"):
        daemon.host.shell(command)
        daemon.wait_for_firewalld()
        host.check(RESTRICTED, FORWARDED)
    applied(daemon.runs, {**RESTRICTED, "mode": "observe"})
    assert host.passing(FORWARDED) == set(FORWARDED)
    with daemon.host.entered():
        assert "forward" in {record.direction for record in observed(100).records}
    assert daemon.module(state="absent")["changed"]
    assert host.passing(FORWARDED) == set(FORWARDED)
    assert "hpc_ports" not in daemon.host.shell("nft list tables")


def _hears(host: Host, sender: int | None, source: str) -> bool:
    """Return whether the DNS server of the first network hears a question that comes from there."""
    server = f"{NETWORKS[0][4]}1"
    with host.daemon.host.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind((server, 53))
        listener.setblocking(False)
        host.wires[sender].answered([Opening("udp", source, server, 53, 20_000)], tries=1)
        try:
            return bool(listener.recv(512))
        except BlockingIOError:
            return False


@pytest.mark.takes_turns
def test_a_new_network_of_containers_is_a_change_by_calls(host: Host) -> None:
    """Its containers ask the host for names after the next run."""
    daemon = host.daemon
    applied(daemon.runs, OPEN)
    inside = f"{NETWORKS[0][4]}2"
    assert (_hears(host, 0, inside), _hears(host, None, inside)) == (True, False)  # from outside, it is forged
    host.add_container()
    asking = [*TO_HOST[0], *TO_HOST[1]]
    assert host.passing(asking) == ANSWERED_NAMES[0]
    told = daemon.module(policy=OPEN, check=True)
    assert told["changes"] == {
        "flows_added": [],
        "flows_removed": [],
        "ports_changed": {},
        "addresses_changed": {},
        "objects": ["file /etc/firewalld/policies/hpc_ports_in.xml", "policy hpc_ports_in"],
    }
    assert host.passing(asking) == ANSWERED_NAMES[0]
    assert applied(daemon.runs, OPEN) is False
    assert host.passing(asking) == ANSWERED_NAMES[0] | ANSWERED_NAMES[1]
    rule = f'rule family="ipv4" source address="{NETWORKS[1][4]}0/24" port port="53" protocol="udp" accept'
    daemon.host.run("firewall-cmd", "--policy=hpc_ports_in", f"--remove-rich-rule={rule}")
    assert daemon.module(policy=OPEN, check=True)["changes"]["objects"] == ["policy hpc_ports_in"]
    assert applied(daemon.runs, OPEN) is False
    assert host.passing(asking) == ANSWERED_NAMES[0] | ANSWERED_NAMES[1]
    daemon.host.arrange("ip link delete back1")
    told = daemon.module(policy=OPEN, check=True)
    assert (told["changed"], told["changes"]["flows_removed"]) == (True, [])
    assert applied(daemon.runs, OPEN) is False
