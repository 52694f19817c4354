# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which living connections are cut when a policy closes something: exactly those that it does not allow."""

from __future__ import annotations

import errno
import itertools
import random
import socket
import struct
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._apply.cut_connections import (
    CutResult,
    KernelCalls,
    cut_connections,
)
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables.ruleset import ruleset_of, script_of
from ansible_collections.hpc.ports.plugins.module_utils._linux import sock_diag
from ansible_collections.hpc.ports.plugins.module_utils._linux.conntrack import entries, is_tracking
from ansible_collections.hpc.ports.plugins.module_utils._linux.netlink import NetlinkError
from ansible_collections.hpc.ports.plugins.module_utils._model.evaluate import evaluate
from ansible_collections.hpc.ports.plugins.module_utils._model.names import TABLE
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import parse_policy
from ansible_collections.hpc.ports.plugins.module_utils._probe.icmp import echo
from ansible_collections.hpc.ports.tests.kernel.connections import DUAL_PORT, Connections, Living, living, passing
from ansible_collections.hpc.ports.tests.support.machine import Machine
from ansible_collections.hpc.ports.tests.support.namespaces import HOST, PEER, Space
from ansible_collections.hpc.ports.tests.support.run import SLOWNESS
from ansible_collections.hpc.ports.tests.support.samples import ANYWHERE, SSH, policy, random_policies

GOOD = {4: "10.64.9.9", 6: "fd64::9"}
BAD = {4: "10.66.0.1", 6: "fd66::1"}
BOTH = ("10.64.0.0/16", "fd64::/16")
EVERYTHING = policy(("in", "all", ["1-65535/tcp", "1-65535/udp", "112/ip"], ANYWHERE))
CLOSED = policy(SSH)
FIRST = pytest.mark.parametrize("first", ["server", "client"])
NOTHING = CutResult((), "")
PAUSE = 0.3 * SLOWNESS  # seconds; a connection that the host continues is tracked again by then


@pytest.fixture(name="links")
def _links(machine: Machine) -> Iterator[Connections]:
    """The connections of a machine where everything passes."""
    load(machine, EVERYTHING)
    with Connections(machine.pair) as found:
        yield found


def load(machine: Machine, data: Mapping[str, Any]) -> None:
    """Have the kernel run a policy, as the module would; that takes ten times as long."""
    new = f"add table {TABLE}\ndelete table {TABLE}\n"
    machine.nft(new + script_of(ruleset_of(parse_policy(data))))


def cut(machine: Machine, data: Mapping[str, Any], calls: KernelCalls = KernelCalls()) -> CutResult:
    """Load the policy, and cut what it does not allow."""
    load(machine, data)
    with machine.host.entered():
        return cut_connections(parse_policy(data), calls, PAUSE)


def names(*connections: Living) -> tuple[str, ...]:
    return tuple(sorted(item.name for item in connections))


def targets(links: Connections, version: int) -> Iterator[tuple[str, str, str]]:
    """Yield direction, source and target of connections with a good and with a bad peer."""
    for peers in (GOOD, BAD):
        yield "in", peers[version], HOST[version]
        yield "out", HOST[version], peers[version]


@FIRST
def test_exactly_what_is_not_allowed_dies(machine: Machine, links: Connections, first: str) -> None:
    found = [
        links.opened(direction, protocol, source, target, 6000)
        for version, protocol in itertools.product((4, 6), ("tcp", "udp"))
        for direction, source, target in targets(links, version)
    ]
    allowed = policy(
        SSH,
        ("in", "served", ["6000/tcp", "6000/udp"], BOTH),
        ("out", "used", ["6000/tcp", "6000/udp"], BOTH),
        egress="restricted",
    )
    good = {item.name for item in found if item.packet.peer in GOOD.values()}
    assert len(found) == 2 * len(good) == 16
    assert cut(machine, allowed) == CutResult(tuple(sorted({item.name for item in found} - good)), "")
    assert living(found, first) == good
    assert cut(machine, allowed) == NOTHING


@FIRST
def test_connections_older_than_the_first_rules_go_on(machine: Machine, first: str) -> None:
    """Nothing tracked them. The end that speaks first seems to open a connection, which no flow allows."""
    with Connections(machine.pair) as links:
        found = [
            links.opened(direction, "tcp", source, target, 6000)
            for version in (4, 6)
            for direction, source, target in targets(links, version)
        ]
        found.append(links.opened("in", "tcp", GOOD[4], HOST[4], DUAL_PORT, listen="::"))
        with machine.host.entered():
            assert not is_tracking()
        machine.apply(policy(SSH, egress="restricted"))
        assert living(found, first) == set(names(*found))
        with machine.host.entered():
            assert {str(entry.there) for entry in entries()} >= set(names(*found))


def test_the_host_does_not_bring_back_what_was_cut(machine: Machine, links: Connections) -> None:
    """With open egress it may send what it likes; the kernel would track that as a connection of its own."""
    found = [
        links.opened("in", protocol, BAD[version], HOST[version], 6000)
        for version, protocol in itertools.product((4, 6), ("tcp", "udp"))
    ]
    assert cut(machine, CLOSED) == CutResult(names(*found), "")
    assert living(found, "server") == set()


def test_a_server_of_both_families_on_one_socket(machine: Machine, links: Connections) -> None:
    found = [links.opened("in", "tcp", peers[4], HOST[4], DUAL_PORT, listen="::") for peers in (GOOD, BAD)]
    assert cut(machine, policy(("in", "served", [f"{DUAL_PORT}/tcp"], BOTH))) == CutResult(names(found[1]), "")
    assert living(found, "server") == {found[0].name}


def test_what_the_host_opened_goes_on_with_open_egress(machine: Machine, links: Connections) -> None:
    found = [links.opened("out", protocol, HOST[4], PEER[4], 6000) for protocol in ("tcp", "udp")]
    assert cut(machine, CLOSED) == NOTHING
    assert living(found, "server") == set(names(*found))


def test_observe_mode_cuts_nothing(machine: Machine, links: Connections) -> None:
    found = links.opened("in", "tcp", BAD[4], HOST[4], 6000)
    assert cut(machine, policy(SSH, mode="observe")) == NOTHING
    assert living([found], "client") == {found.name}


def test_the_service_goes_on_listening(machine: Machine, links: Connections) -> None:
    links.opened("in", "tcp", BAD[4], HOST[4], 6000)
    links.opened("in", "udp", BAD[4], HOST[4], 6000, is_connected=False)
    assert len(cut(machine, policy(("in", "served", ["6000/tcp", "6000/udp"], BOTH))).connections) == 2
    new = links.opened("in", "tcp", GOOD[4], HOST[4], 6000)
    assert living([new], "server") == {new.name}


def test_a_service_whose_connection_has_just_ended_goes_on_listening(machine: Machine, links: Connections) -> None:
    """The kernel still tracks the connection, and would find the listening socket where it looks for that one's."""
    found = links.opened("in", "tcp", BAD[4], HOST[4], 6000)
    with machine.host.entered():
        (sock,) = [sock for sock in sock_diag.sockets(6) if sock.peer == BAD[4]]
    machine.nft("table inet mute { chain output { type filter hook output priority -500; tcp flags rst drop; }; }")
    found.server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    found.server.close()
    with machine.host.entered(), pytest.raises(NetlinkError) as caught:
        sock_diag.destroy(sock)
    assert caught.value.code == errno.ENOENT
    assert cut(machine, policy(("in", "served", ["6000/tcp"], BOTH))) == CutResult(names(found), "")
    new = links.opened("in", "tcp", GOOD[4], HOST[4], 6000)
    assert living([new], "server") == {new.name}


# ---- what is not ours to cut


def test_what_stays_within_the_host_goes_on(machine: Machine, links: Connections) -> None:
    with machine.host.entered():
        pairs = [(socket.create_server((address, 6001)), address) for address in ("127.0.0.1", HOST[4])]
        clients = [socket.create_connection((address, 6001)) for listener, address in pairs]
    servers = [listener.accept()[0] for listener, address in pairs]
    assert cut(machine, policy(egress="restricted")) == NOTHING
    assert all(passing([*zip(clients, servers), *zip(servers, clients)]))
    for sock in (*clients, *servers, *(listener for listener, address in pairs)):
        sock.close()


@pytest.mark.parametrize("ports, lives", [("8080/tcp", True), ("6000/tcp", False)])
def test_what_is_forwarded_goes_on_unless_it_came_to_a_port_of_the_host(
    machine: Machine, links: Connections, ports: str, lives: bool
) -> None:
    """A third machine behind the host, which is reached by its own address, and by one of the host."""
    behind = Space()
    machine.host.shell(
        f"ip link add back0 type veth peer name back0 netns {behind.holder.pid}\n"
        "ip link set back0 up; ip address add 198.51.100.1/24 dev back0\n"
        "echo 1 > /proc/sys/net/ipv4/ip_forward"
    )
    behind.shell(
        "ip link set back0 up; ip address add 198.51.100.2/24 dev back0\nip route add default via 198.51.100.1"
    )
    machine.pair.peer.shell("ip route add 198.51.100.0/24 via 192.0.2.1")
    machine.nft(
        "table ip nat { chain pre { type nat hook prerouting priority dstnat; "
        "ip daddr 192.0.2.1 tcp dport 8080 dnat to 198.51.100.2:6000; }; }"
    )
    listener = links.bound(behind, "tcp", "0.0.0.0", 6000)
    listener.listen()
    clients = [links.bound(machine.pair.peer, "tcp", PEER[4], 0) for target in range(2)]
    for client, target in zip(clients, [("198.51.100.2", 6000), (HOST[4], 8080)]):
        client.connect(target)
    servers = [listener.accept()[0] for client in clients]
    name = f"tcp {PEER[4]}:{clients[1].getsockname()[1]} -> {HOST[4]}:8080"
    done = cut(machine, policy(("in", "served", [ports], (f"{PEER[4]}/32",)), egress="restricted"))
    assert done == (NOTHING if lives else CutResult((name,), ""))
    assert [*passing([*zip(clients, servers), *zip(servers, clients)])] == [True, lives, True, lives]
    for server in servers:
        server.close()
    behind.close()


def test_what_comes_over_a_trusted_interface_goes_on(machine: Machine, links: Connections) -> None:
    ends = [(PEER[4], HOST[4]), ("192.0.3.2", "192.0.3.1"), ("2001:db8:1::2", "2001:db8:1::1"), (PEER[6], HOST[6])]
    found = [
        links.opened("in", protocol, source, target, 6000) for protocol in ("tcp", "udp") for source, target in ends
    ]
    found += [
        links.opened("out", protocol, target, source, 7000) for protocol in ("tcp", "udp") for source, target in ends
    ]
    trusted = [item for item in found if ":1::" in item.name or "192.0.3." in item.name]
    closed = policy(egress="restricted", interfaces=("fab*",))
    assert cut(machine, closed) == CutResult(tuple(sorted(set(names(*found)) - set(names(*trusted)))), "")
    assert living(found, "server") == set(names(*trusted))


def test_what_the_host_sent_to_its_containers_goes_on(machine: Machine, links: Connections) -> None:
    inward = links.opened("in", "tcp", "192.0.3.2", "192.0.3.1", 6000)
    outward = links.opened("out", "tcp", "192.0.3.1", "192.0.3.2", 7000)
    assert cut(machine, policy(egress="restricted", containers=("fab*",))) == CutResult(names(inward), "")
    assert living([inward, outward], "server") == set(names(outward))


def test_an_address_of_a_trusted_interface_is_never_cut(machine: Machine, links: Connections) -> None:
    """It came over the other interface, perhaps: that cannot be told from here."""
    found = links.opened("in", "tcp", PEER[4], "192.0.3.1", 6000)
    assert cut(machine, policy(interfaces=("fab0",))) == NOTHING
    assert cut(machine, policy(interfaces=("ib0",))) == CutResult(names(found), "")


def test_a_link_local_peer(machine: Machine, links: Connections) -> None:
    with machine.host.entered():
        listener = socket.create_server(("::", 6000), family=socket.AF_INET6)
        scope = socket.if_nametoindex("eth0")
    with machine.pair.peer.entered():
        client = socket.socket(socket.AF_INET6)
        client.connect((HOST["link"], 6000, 0, socket.if_nametoindex("eth0")))
    server = listener.accept()[0]
    assert scope and cut(machine, policy(interfaces=("eth0",))) == NOTHING
    assert all(passing([(server, client), (client, server)]))
    assert len(cut(machine, policy(interfaces=("fab0",))).connections) == 1
    assert not any(passing([(server, client), (client, server)]))
    for sock in (server, client, listener):
        sock.close()


# ---- NAT


@pytest.mark.parametrize("ports, lives", [("8080/tcp", True), ("6000/tcp", False)])
def test_the_port_that_the_peer_used_counts(machine: Machine, links: Connections, ports: str, lives: bool) -> None:
    machine.nft(
        "table ip nat { "
        "chain pre { type nat hook prerouting priority dstnat; tcp dport 8080 redirect to :6000; }; "
        "chain in { type nat hook input priority 100; tcp dport 6000 snat to 10.1.1.1; }; }"
    )
    listener = links.bound(machine.host, "tcp", "0.0.0.0", 6000)
    listener.listen()
    client = links.bound(machine.pair.peer, "tcp", GOOD[4], 0)
    client.connect((HOST[4], 8080))
    server, seen = listener.accept()
    assert seen[0] == "10.1.1.1"
    name = f"tcp {GOOD[4]}:{client.getsockname()[1]} -> {HOST[4]}:8080"
    assert cut(machine, policy(("in", "served", [ports], BOTH))) == (NOTHING if lives else CutResult((name,), ""))
    if not lives:
        with pytest.raises(ConnectionResetError):  # It came from the port that the client knows.
            client.recv(1)
    assert [*passing([(server, client)]), *passing([(client, server)])] == [lives, lives]
    server.close()


@pytest.mark.parametrize("peer, lives", [(PEER[4], True), ("10.99.0.1", False)])
def test_the_peer_that_is_really_reached_counts(machine: Machine, links: Connections, peer: str, lives: bool) -> None:
    machine.nft(
        "table ip nat { chain out { type nat hook output priority -100; "
        "ip daddr 10.99.0.1 tcp dport 6000 dnat to 192.0.2.2:5000; }; "
        "chain post { type nat hook postrouting priority 100; oifname eth0 snat to 192.0.2.77; }; }"
    )
    machine.pair.peer.shell("ip neighbour replace 192.0.2.77 lladdr 02:00:00:00:00:01 dev eth0 nud permanent")
    machine.host.shell("ip address add 192.0.2.77/24 dev eth0")
    listener = links.bound(machine.pair.peer, "tcp", "0.0.0.0", 5000)
    listener.listen()
    client = links.bound(machine.host, "tcp", HOST[4], 0)
    client.connect(("10.99.0.1", 6000))
    server = listener.accept()[0]
    closed = policy(("out", "used", ["5000-6000/tcp"], (f"{peer}/32",)), egress="restricted")
    name = f"tcp {HOST[4]}:{client.getsockname()[1]} -> {PEER[4]}:5000"
    assert cut(machine, closed) == (NOTHING if lives else CutResult((name,), ""))
    assert [*passing([(client, server)]), *passing([(server, client)])] == [lives, lives]
    server.close()


# ---- connections older than their tracking


@pytest.mark.parametrize("egress", ["open", "restricted"])
@pytest.mark.parametrize("earlier", ["", "server", "client"])
def test_connections_older_than_all_rules(machine: Machine, earlier: str, egress: str) -> None:
    """The kernel tracks none at first, and then takes the first to speak for who opened it."""
    with Connections(machine.pair) as links:
        found = [
            links.opened("in", "tcp", peers[version], HOST[version], 22) for peers in (GOOD, BAD) for version in (4, 6)
        ]
        if earlier:
            load(machine, EVERYTHING)
            assert len(living(found, earlier)) == 4
        assert cut(machine, policy(SSH, egress=egress)) == CutResult(names(*found[2:]), "")
        assert living(found, "server") == set(names(*found[:2]))


@FIRST
def test_connections_of_the_host_older_than_all_rules(machine: Machine, first: str) -> None:
    with Connections(machine.pair) as links:
        found = [links.opened("out", "tcp", HOST[4], peers[4], 5000) for peers in (GOOD, BAD)]
        load(machine, EVERYTHING)
        assert len(living(found, first)) == 2
        closed = policy(SSH, ("out", "used", ["5000/tcp"], BOTH), egress="restricted")
        assert cut(machine, policy(SSH)) == NOTHING
        assert cut(machine, closed) == CutResult(names(found[1]), "")
        assert living(found, first) == {found[0].name}


# ---- other protocols, and connections that others announce


def test_an_ip_protocol(machine: Machine, links: Connections) -> None:
    with machine.host.entered():
        server = socket.socket(socket.AF_INET, socket.SOCK_RAW, 112)
    with machine.pair.peer.entered():
        client = socket.socket(socket.AF_INET, socket.SOCK_RAW, 112)
    with server, client:
        client.bind((BAD[4], 0))
        client.sendto(b"opening", (HOST[4], 0))
        assert cut(machine, CLOSED) == CutResult((f"ip/112 {BAD[4]} -> {HOST[4]}",), "")
        assert cut(machine, CLOSED) == NOTHING


def test_an_echo_is_left(machine: Machine, links: Connections) -> None:
    with machine.host.entered():
        assert all(path.reachable for path in echo([PEER[4], PEER[6]], 5, 1).values())
    assert cut(machine, policy(egress="restricted")) == NOTHING


def test_a_data_connection_of_ftp_goes_with_its_control_connection(machine: Machine, links: Connections) -> None:
    machine.nft(
        'table inet ftp { ct helper ftp { type "ftp" protocol tcp; }; chain pre { type filter hook prerouting '
        'priority 0; tcp dport 21 ct helper set "ftp"; }; }'
    )
    control = links.opened("in", "tcp", GOOD[4], HOST[4], 21)
    only_control = policy(("in", "ftp", ["21/tcp"], BOTH))
    load(machine, only_control)
    control.server.send(b"220 Ready\r\n")
    assert control.client.recv(64).startswith(b"220")
    control.server.send(b"227 Entering Passive Mode (192,0,2,1,200,10)\r\n")
    assert control.client.recv(64).startswith(b"227")
    data = links.opened("in", "tcp", GOOD[4], HOST[4], 200 * 256 + 10)
    assert cut(machine, only_control) == NOTHING
    assert living([data], "client") == {data.name}
    assert cut(machine, CLOSED) == CutResult(names(control, data), "")
    assert living([control, data], "server") == set()


# ---- what cannot be done is said


def test_a_server_of_udp_that_goes_on_sending(machine: Machine, links: Connections) -> None:
    """Its socket serves other peers as well, and open egress lets it send to any address."""
    found = links.opened("in", "udp", BAD[4], HOST[4], 6000, is_connected=False)
    ended = threading.Event()

    def send() -> None:
        while not ended.wait(0.05):
            found.server.sendto(b"more", found.client.getsockname())

    thread = threading.Thread(target=send)
    thread.start()
    result = cut(machine, CLOSED)
    ended.set()
    thread.join()
    assert result == CutResult((), f"Not cut, because this host continues to send: {found.name}.")


def refusing(code: int) -> Any:
    def refuse(*arguments: object) -> Any:
        raise NetlinkError("no", code)

    return refuse


def test_a_kernel_that_closes_no_sockets(machine: Machine, links: Connections) -> None:
    found = [links.opened("in", protocol, BAD[4], HOST[4], 6000, is_connected=False) for protocol in ("tcp", "udp")]
    assert cut(machine, CLOSED, KernelCalls(destroy=refusing(errno.EOPNOTSUPP))) == CutResult(
        names(found[1]), f"Not cut, because the kernel did not close the socket: no: {found[0].name}."
    )


def test_a_kernel_that_does_not_list_what_it_tracks(machine: Machine, links: Connections) -> None:
    found = [links.opened("in", protocol, BAD[4], HOST[4], 6000) for protocol in ("tcp", "udp")]
    result = cut(machine, CLOSED, KernelCalls(entries=refusing(errno.EPROTONOSUPPORT)))
    assert result.connections == names(found[0]) and "Load the kernel module nf_conntrack_netlink." in result.not_done
    assert living(found[:1], "client") == set()


def test_an_entry_that_the_kernel_keeps(machine: Machine, links: Connections) -> None:
    found = links.opened("in", "udp", BAD[4], HOST[4], 6000)
    assert cut(machine, CLOSED, KernelCalls(delete=refusing(errno.EPERM))) == CutResult(
        (), f"Not cut, because the kernel did not delete the conntrack entry: no: {found.name}."
    )


# ---- any connections, any policy


@pytest.mark.parametrize("seed", range(4))
def test_exactly_those_that_the_policy_denies_die(machine: Machine, links: Connections, seed: int) -> None:
    randomness = random.Random(seed)
    data = next(itertools.islice(random_policies(40), 10 * seed + 3, None))
    found = [random_connection(links, randomness) for number in range(80)]
    wanted = parse_policy(data)
    allowed = {item.name for item in found if evaluate(wanted, item.packet).passes}
    assert cut(machine, data) == CutResult(tuple(sorted({item.name for item in found} - allowed)), "")
    assert living(found, randomness.choice(["server", "client"])) == allowed
    assert len(allowed) > 0 and (wanted.mode == "observe" or len(allowed) < 80)


def random_connection(links: Connections, randomness: random.Random) -> Living:
    """Return one of those that random policies are about."""
    direction, protocol = randomness.choice(["in", "out"]), randomness.choice(["tcp", "udp"])
    version, number = randomness.choice([4, 6]), randomness.randrange(1, 64)
    peer = f"10.0.0.{number}" if version == 4 else f"fd64::{number:x}"
    ends = (peer, HOST[version]) if direction == "in" else (HOST[version], peer)
    return links.opened(direction, protocol, *ends, randomness.randrange(1, 50))
