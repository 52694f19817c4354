# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers of the kernel about connections and sockets, and the connections that a policy denies."""

from __future__ import annotations

import errno
import ipaddress
import socket
import struct
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._apply import cut_connections as cutting
from ansible_collections.hpc.ports.plugins.module_utils._apply.cut_connections import (
    CutResult,
    KernelCalls,
    cut_connections,
)
from ansible_collections.hpc.ports.plugins.module_utils._apply.live_connections import (
    HostConnections,
    connections,
    denied_connections,
)
from ansible_collections.hpc.ports.plugins.module_utils._linux import netlink
from ansible_collections.hpc.ports.plugins.module_utils._linux.conntrack import (
    TCP,
    UDP,
    ConntrackEntry,
    ConntrackTuple,
    parse_entry,
)
from ansible_collections.hpc.ports.plugins.module_utils._linux.netlink import NetlinkError
from ansible_collections.hpc.ports.plugins.module_utils._linux.routes import Addresses
from ansible_collections.hpc.ports.plugins.module_utils._linux.sock_diag import Socket, parse_socket
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import Policy, Rule
from ansible_collections.hpc.ports.plugins.module_utils._model.ports import parse_ports
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.forwarded_connections import (
    ForwardedConnection,
    Routing,
)
from hypothesis import given
from hypothesis import strategies as st

# ---- messages, in the format of the kernel's headers


def encoded(kind: int, content: bytes) -> bytes:
    size = 4 + len(content)
    return struct.pack("=HH", size, kind) + content + bytes(-size % 4)


def encoded_way(way: ConntrackTuple) -> bytes:
    version = 6 if ":" in way.source else 4
    family = socket.AF_INET6 if version == 6 else socket.AF_INET
    kinds = (3, 4) if version == 6 else (1, 2)
    addresses = b"".join(
        encoded(kind, socket.inet_pton(family, address)) for kind, address in zip(kinds, (way.source, way.target))
    )
    protocol = encoded(1, bytes([way.protocol]))
    if way.protocol in (TCP, UDP):
        protocol += encoded(2, struct.pack("!H", way.source_port)) + encoded(3, struct.pack("!H", way.target_port))
    return encoded(0x8001, addresses) + encoded(0x8002, protocol)


def encoded_entry(entry: ConntrackEntry, state: int, flags: int) -> bytes:
    status = (1 if entry.is_related else 0) | 0x18E
    body = struct.pack("!BBH", entry.family, 0, 0) + encoded(0x8001, encoded_way(entry.there))
    body += encoded(0x8002, encoded_way(entry.back)) + encoded(3, struct.pack("!I", status))
    if entry.there.protocol == TCP:
        info = encoded(1, bytes([state])) + encoded(4, bytes([flags, 0])) + encoded(5, bytes([flags, 0]))
        body += encoded(0x8004, encoded(0x8001, info))
    if entry.master:
        body += encoded(0x800E, encoded_way(entry.master))
    return body + encoded(12, b"\x00\x00\x00\x07") + encoded(18, b"\x00\x05")


PORTS = st.integers(0, 65535)


@st.composite
def ways(draw: st.DrawFn) -> ConntrackTuple:
    address = st.ip_addresses(v=draw(st.sampled_from([4, 6]))).filter(lambda ip: not getattr(ip, "ipv4_mapped", None))
    protocol = draw(st.sampled_from([TCP, UDP, 112]))
    ports = draw(st.tuples(PORTS, PORTS)) if protocol != 112 else (0, 0)
    return ConntrackTuple(protocol, str(draw(address)), ports[0], str(draw(address)), ports[1])


@st.composite
def tracked(draw: st.DrawFn) -> tuple[ConntrackEntry, bytes]:
    there, state, flags = draw(ways()), draw(st.integers(0, 9)), draw(st.integers(0, 255))
    tcp, related = there.protocol == TCP, draw(st.booleans())
    entry = ConntrackEntry(
        there,
        draw(ways()),
        tcp and bool(flags & 8),
        tcp and state in (7, 8),
        related,
        draw(st.none() | ways()) if related else None,
        10 if ":" in there.source else 2,
        b"",
    )
    name = encoded(0x8001, encoded_way(there)) + encoded(18, b"\x00\x05") + encoded(12, b"\x00\x00\x00\x07")
    return entry._replace(name=name), encoded_entry(entry, state, flags)


@given(tracked())
def test_an_entry_is_read_as_the_kernel_writes_it(sample: tuple[ConntrackEntry, bytes]) -> None:
    entry, body = sample
    assert parse_entry(body) == entry


@given(tracked(), st.data())
def test_a_truncated_entry_raises_one_clear_error(sample: tuple[ConntrackEntry, bytes], data: st.DataObject) -> None:
    body = sample[1][: data.draw(st.integers(0, len(sample[1]) - 1))]
    try:
        parse_entry(body)
    except NetlinkError as exc:
        assert str(exc).startswith("An answer of the kernel ")


@given(st.binary(max_size=200))
def test_any_bytes_raise_at_most_one_clear_error(body: bytes) -> None:
    for read in (parse_entry, lambda data: parse_socket(TCP, data), lambda data: list(netlink.messages(data))):
        try:
            read(body)
        except NetlinkError as exc:
            assert str(exc).startswith("An answer of the kernel ")


@given(ways(), st.integers(1, 12), st.binary(min_size=12, max_size=12), st.booleans())
def test_a_socket_is_read_as_the_kernel_writes_it(way: ConntrackTuple, state: int, rest: bytes, mapped: bool) -> None:
    raw = [ipaddress.ip_address(address).packed for address in (way.source, way.target)]
    family = 2 if len(raw[0]) == 4 else 10
    if mapped and family == 2:
        family, raw = 10, [bytes(10) + b"\xff\xff" + address for address in raw]
    name = struct.pack("!HH", way.source_port, way.target_port) + b"".join(item.ljust(16, b"\0") for item in raw) + rest
    body = struct.pack("BBBB", family, state, 0, 0) + name + bytes(20) + encoded(8, b"\0")
    assert parse_socket(way.protocol, body) == Socket(*way, state == 10, state == 2, family, name)
    for size in range(52):
        with pytest.raises(NetlinkError, match="^An answer of the kernel "):
            parse_socket(way.protocol, body[:size])


@given(st.lists(st.tuples(PORTS, st.binary(max_size=20))))
def test_messages_and_attributes_survive_a_round_trip(items: list[tuple[int, bytes]]) -> None:
    data = b"".join(
        struct.pack("=IHHII", 16 + len(body), kind, 0, 0, 0) + body + bytes(-len(body) % 4) for kind, body in items
    )
    assert list(netlink.messages(data)) == items
    kinds = [(kind & 0x3FFF, body) for kind, body in items]
    assert netlink.attributes(b"".join(netlink.attribute(kind, body) for kind, body in kinds)) == dict(kinds)


# ---- requests and answers


class Kernel:
    """A netlink socket with these answers."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)

    def __call__(self, *arguments: object) -> Kernel:
        return self

    __enter__ = __call__

    def __exit__(self, *arguments: object) -> None:
        pass

    def settimeout(self, seconds: float) -> None:
        pass

    def send(self, data: bytes) -> None:
        assert struct.unpack_from("=I", data)[0] == len(data)

    def recv(self, size: int) -> bytes:
        if not self.answers:
            raise TimeoutError("timed out")
        return self.answers.pop(0)


def message(kind: int, body: bytes) -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 0, 0) + body


END = message(3, bytes(4))


@pytest.mark.parametrize(
    "answers, bodies",
    [
        ([message(20, b"body"), message(20, b"more") + END], [b"body", b"more"]),
        ([END], []),
        ([message(3, b"")], []),
        ([message(2, bytes(20))], []),
    ],
)
def test_all_answers_are_read(answers: list[bytes], bodies: list[bytes]) -> None:
    assert list(netlink.ask(12, 1, netlink.ALL, b"", Kernel(*answers))) == bodies


@pytest.mark.parametrize(
    "answers, code, text",
    [
        ([message(2, struct.pack("=i", -errno.EPERM))], errno.EPERM, "Operation not permitted"),
        ([message(20, b"body") + message(3, struct.pack("=i", -errno.EINVAL))], errno.EINVAL, "Invalid argument"),
        ([message(20, b"body")], 0, "timed out"),
        ([message(20, b"body")[:-1]], 0, "An answer of the kernel is cut short: 19 bytes."),
    ],
)
def test_a_request_that_fails(answers: list[bytes], code: int, text: str) -> None:
    with pytest.raises(NetlinkError) as caught:
        list(netlink.ask(12, 1, netlink.ALL, b"", Kernel(*answers)))
    assert (caught.value.code, str(caught.value)) == (code, text)


# ---- the denied connections; tests/kernel uses real ones

HERE, PEER, VIRTUAL = "192.0.2.1", "10.0.0.1", "192.0.2.240"
ADDRESSES = Addresses({HERE: {"eth0"}, "fe80::1": {"eth0"}}, (ipaddress.ip_network("127.0.0.0/8"),))
IN_22 = Rule("in", "ssh", (parse_ports("22/tcp"),), (ipaddress.ip_network("10.0.0.0/8"),))


def entry(protocol: int, source: str, source_port: int, target: str, target_port: int, **more: Any) -> ConntrackEntry:
    found = ConntrackEntry(
        ConntrackTuple(protocol, source, source_port, target, target_port),
        ConntrackTuple(protocol, target, target_port, source, source_port),
        False,
        False,
        False,
        None,
        2,
        b"",
    )
    return found._replace(**more)


def held(port: int, peer: str = "0.0.0.0", peer_port: int = 0, local: str = HERE, **more: Any) -> Socket:
    return Socket(TCP, local, port, peer, peer_port, peer_port == 0, False, 2, b"")._replace(**more)


def nowhere(peer: str, local: str) -> str:
    raise AssertionError("No interface should have been asked for.")


def denied(
    *items: ConntrackEntry | Socket,
    egress: str = "restricted",
    interfaces: tuple[str, ...] = (),
    towards: Callable[[str, str], str] = nowhere,
    addresses: tuple[str, ...] = (HERE,),
) -> list[str]:
    host = HostConnections(
        ADDRESSES.with_networks(map(ipaddress.ip_network, addresses)),
        tuple(item for item in items if isinstance(item, Socket)),
        tuple(item for item in items if isinstance(item, ConntrackEntry)),
    )
    return list(map(str, denied_connections(Policy("enforce", egress, interfaces, (IN_22,)), host, towards)))


def test_text_of_connections() -> None:
    host = HostConnections(
        ADDRESSES,
        (),
        (
            entry(UDP, PEER, 5, HERE, 6),
            entry(TCP, HERE, 5, PEER, 6),
            entry(47, PEER, 0, HERE, 0),
            entry(TCP, "fe80::2", 5, "fe80::1", 6),
            entry(50, "fe80::2", 0, "fe80::1", 0),
        ),
    )
    assert list(map(str, connections(host))) == [
        "udp 10.0.0.1:5 -> 192.0.2.1:6",
        "tcp 192.0.2.1:5 -> 10.0.0.1:6",
        "ip/47 10.0.0.1 -> 192.0.2.1",
        "tcp [fe80::2]:5 -> [fe80::1]:6",
        "ip/50 fe80::2 -> fe80::1",
    ]


def test_the_order_of_both_ends_matters() -> None:
    assert denied(entry(TCP, PEER, 999, HERE, 22)) == []
    assert denied(entry(TCP, PEER, 22, HERE, 999)) == ["tcp 10.0.0.1:22 -> 192.0.2.1:999"]
    assert denied(entry(TCP, HERE, 22, PEER, 999)) == ["tcp 192.0.2.1:22 -> 10.0.0.1:999"]
    assert denied(entry(TCP, HERE, 22, PEER, 999), egress="open") == []


def test_a_dhcp_client_keeps_its_connection() -> None:
    assert denied(entry(UDP, PEER, 67, HERE, 68), entry(UDP, HERE, 68, PEER, 67)) == []
    assert len(denied(entry(UDP, PEER, 1067, HERE, 68), entry(UDP, HERE, 1068, PEER, 67))) == 2


@pytest.mark.parametrize("listener", [HERE, "0.0.0.0", "::"])
def test_a_listening_host_did_not_open_the_connection(listener: str) -> None:
    """Tracking began in the middle, with a packet of the host."""
    found = entry(TCP, HERE, 23, PEER, 999, picked_up=True)
    assert denied(found, egress="open") == []
    assert denied(found, held(23, local=listener), egress="open") == ["tcp 10.0.0.1:999 -> 192.0.2.1:23"]
    assert denied(held(23, PEER, 999), held(23, local=listener)) == ["tcp 10.0.0.1:999 -> 192.0.2.1:23"]
    assert denied(found._replace(picked_up=False), held(23, local=listener), egress="open") == []


def test_a_connection_of_unknown_direction_stays_if_either_direction_is_allowed() -> None:
    assert denied(held(22, PEER, 999)) == denied(entry(TCP, HERE, 22, PEER, 999, picked_up=True)) == []
    assert denied(held(23, PEER, 999), held(23, local="127.0.0.1"), egress="open") == []
    assert denied(held(23, PEER, 999)) == ["tcp 192.0.2.1:23 -> 10.0.0.1:999"]


@pytest.mark.parametrize(
    "item",
    [
        entry(TCP, PEER, 9, "10.0.0.2", 9),  # forwarded
        entry(TCP, PEER, 9, "10.0.0.3", 9, back=ConntrackTuple(TCP, "10.0.0.2", 9, PEER, 9)),  # translated for another
        entry(TCP, "127.0.0.1", 9, "127.0.0.2", 9),
        entry(TCP, HERE, 9, "127.0.0.2", 9),
        entry(1, PEER, 0, HERE, 0),
        entry(TCP, PEER, 9, HERE, 9, is_over=True),
        entry(TCP, PEER, 9, HERE, 9, is_related=True),
        entry(TCP, PEER, 9, HERE, 9, is_related=True, master=ConntrackTuple(TCP, PEER, 9, HERE, 10)),
        held(9, PEER, 9, opens=True),
        held(9, PEER, 9, local="10.0.0.2"),
        held(9, "127.0.0.1", 9),
        held(9),
        held(9, PEER, 9, protocol=UDP),
    ],
    ids=str,
)
def test_connections_that_are_never_cut(item: ConntrackEntry | Socket) -> None:
    assert denied(item) == []


def test_a_socket_of_a_tracked_connection_is_not_judged_by_itself() -> None:
    """The socket shows neither which end opened the connection nor the addresses after NAT."""
    ended = entry(TCP, HERE, 999, PEER, 9, is_over=True)
    translated = entry(TCP, PEER, 999, HERE, 22, back=ConntrackTuple(TCP, HERE, 8022, "10.1.1.1", 998))
    assert denied(ended, held(999, PEER, 9), translated, held(8022, "10.1.1.1", 998), held(8022)) == []


CONTAINER = "172.17.0.2"


@pytest.mark.parametrize("port, lives", [(22, True), (23, False)])
@pytest.mark.parametrize("own", [(HERE,), (HERE, VIRTUAL)])
@pytest.mark.parametrize("target", [HERE, VIRTUAL])
def test_a_published_port_is_judged_at_the_address_and_port_that_the_peer_used(
    target: str, own: tuple[str, ...], port: int, lives: bool
) -> None:
    published = entry(TCP, PEER, 999, target, port, back=ConntrackTuple(TCP, CONTAINER, 22, PEER, 999))
    is_judged = target in own and not lives
    assert denied(published, addresses=own) == ([f"tcp {PEER}:999 -> {target}:{port}"] if is_judged else [])


def test_related_connections_are_denied_with_their_master() -> None:
    first, second, third = (entry(TCP, PEER, port, HERE, port) for port in (9, 10, 22))
    second = second._replace(is_related=True, master=first.there)
    third = third._replace(is_related=True, master=second.there)
    assert len(denied(third, second, first)) == 3


@pytest.mark.parametrize("towards, left", [("ib0", True), ("lo", True), ("eth0", False), ("", True)])
def test_a_connection_that_may_use_a_trusted_interface_stays(towards: str, left: bool) -> None:
    def interface_towards(peer: str, local: str) -> str:
        assert (peer, local) == (PEER, HERE)
        if not towards:
            raise NetlinkError("Network is unreachable")
        return towards

    assert (denied(entry(TCP, PEER, 9, HERE, 9), interfaces=("ib*",), towards=interface_towards) == []) == left


def test_a_link_local_peer_is_judged_by_the_interface_of_the_host_address() -> None:
    found, other = entry(TCP, "fe80::2", 9, "fe80::1", 9), entry(TCP, "fe80::2", 9, HERE, 9)
    assert (denied(found, interfaces=("eth0",)), len(denied(found, interfaces=("ib0",)))) == ([], 1)
    assert denied(other, interfaces=("ib0",)) == []


def test_forwarded_connections_are_denied_with_their_related_ones() -> None:
    """The data connection of ftp comes to the host, which sends it to the container."""
    control = entry(TCP, CONTAINER, 5, PEER, 21, back=ConntrackTuple(TCP, PEER, 21, HERE, 5))
    data = entry(TCP, PEER, 20, HERE, 60000, back=ConntrackTuple(TCP, CONTAINER, 6, PEER, 20))
    data = data._replace(is_related=True, master=control.there)
    more = entry(TCP, CONTAINER, 7, PEER, 61000, is_related=True, master=control.there)
    host = HostConnections(ADDRESSES, (), (data, more, control))
    routing = Routing(lambda address: "docker0" if address == CONTAINER else "eth0", lambda *arguments: "eth0")
    filtering = POLICY._replace(filtered_containers=("docker*",))
    found = denied_connections(filtering, host, nowhere, routing)
    assert [str(connection).split()[1] for connection in found] == [f"{CONTAINER}:5", f"{PEER}:20", f"{CONTAINER}:7"]
    assert denied_connections(filtering._replace(egress="open"), host, nowhere, routing) == []


@pytest.mark.parametrize("protocol, asked", [(TCP, 1), (UDP, 0)])
def test_only_for_tcp_the_namespaces_of_containers_are_looked_for(
    monkeypatch: pytest.MonkeyPatch, protocol: int, asked: int
) -> None:
    """If they cannot be listed, the entry is deleted all the same."""
    found: list[object] = []

    def refused() -> list[str]:
        found.append("asked")
        raise OSError("No such file or directory")

    control = entry(protocol, CONTAINER, 5, PEER, 21)
    monkeypatch.setattr(cutting, "denied_connections", lambda *arguments: [ForwardedConnection(control, "a", "b")])
    calls = KernelCalls(lambda: ADDRESSES, lambda kind: [], lambda: [], found.append, found.append, refused)
    assert cut_connections(POLICY, calls, pause=0) == CutResult((str(control.there),), "")
    assert found == ["asked"] * asked + [control]


# ---- messages about failures

POLICY = Policy("enforce", "restricted", (), (IN_22,))


def refusing(*arguments: object) -> Any:
    raise NetlinkError("Protocol not supported", errno.EPROTONOSUPPORT)


# A kernel that refuses all requests but the one for addresses.
REFUSES = KernelCalls(lambda: ADDRESSES, refusing, refusing, refusing, refusing)


def with_one(protocol: int, sock: Socket) -> Callable[[int], list[Socket]]:
    return lambda asked: [sock] if asked == protocol else []


def test_the_kernel_is_not_queried_in_observe_mode() -> None:
    def asked() -> Any:
        raise AssertionError("The kernel was asked.")

    assert cut_connections(POLICY._replace(mode="observe"), KernelCalls(addresses=asked)) == CutResult((), "")


def test_a_kernel_that_refuses_all_requests() -> None:
    found = cut_connections(POLICY, REFUSES)
    assert found.connections == ()
    for text in ("nf_conntrack_netlink", "tcp_diag", "udp_diag", "The kernel reports: Protocol not supported."):
        assert text in found.not_done
    assert cut_connections(POLICY, REFUSES._replace(addresses=refusing)).not_done.startswith(
        "Nothing was cut: cannot read the addresses"
    )


def test_a_connection_that_ends_meanwhile_counts_as_cut() -> None:
    left = [[entry(TCP, PEER, 10, HERE, 9)], []]

    def gone(item: object) -> None:
        raise NetlinkError("No such file or directory", errno.ENOENT)

    calls = KernelCalls(lambda: ADDRESSES, with_one(TCP, held(9, PEER, 10)), lambda: left.pop(0), gone, gone)
    assert cut_connections(POLICY, calls, pause=0) == CutResult(("tcp 10.0.0.1:10 -> 192.0.2.1:9",), "")


def test_many_failed_connections_are_counted() -> None:
    calls = REFUSES._replace(
        sockets=lambda protocol: [], entries=lambda: [entry(TCP, PEER, port, HERE, 9) for port in range(10, 17)]
    )
    text = "Not cut, because the kernel did not delete the conntrack entry: Protocol not supported: "
    assert cut_connections(POLICY, calls, pause=0) == CutResult(
        (), text + ", ".join(f"tcp 10.0.0.1:{port} -> 192.0.2.1:9" for port in range(10, 15)) + ", … (7 in all)."
    )


@pytest.mark.parametrize("port, closed", [(9, True), (40000, False)])
def test_the_socket_of_a_udp_client_is_not_closed(port: int, closed: bool) -> None:
    """The server sent first after a long silence; the policy allows the connections of the client."""
    ended: list[object] = []
    calls = KernelCalls(
        lambda: ADDRESSES,
        with_one(UDP, held(port, PEER, 10, protocol=UDP)),
        lambda: [entry(UDP, PEER, 10, HERE, port)] if not ended else [],
        ended.append,
        ended.append,
    )
    found = cut_connections(POLICY._replace(egress="open"), calls, pause=0)
    assert found.connections == (f"udp 10.0.0.1:10 -> 192.0.2.1:{port}",)
    assert [type(item) for item in ended] == ([Socket, ConntrackEntry] if closed else [ConntrackEntry])
