# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which living connections of containers are cut: those that the policy does not allow to be opened again."""

from __future__ import annotations

import itertools
import os
import random
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._apply.cut_connections import (
    CutResult,
    KernelCalls,
    cut_connections,
)
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables.ruleset import (
    ruleset_beside_firewalld,
    ruleset_of,
    script_of,
)
from ansible_collections.hpc.ports.plugins.module_utils._linux.conntrack import TCP, ConntrackTuple
from ansible_collections.hpc.ports.plugins.module_utils._linux.namespaces import close_in_namespaces, other_namespaces
from ansible_collections.hpc.ports.plugins.module_utils._model.evaluate import ForwardedPacket, evaluate_forwarded
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import parse_policy
from ansible_collections.hpc.ports.tests.kernel.connections import Connections, Living, living
from ansible_collections.hpc.ports.tests.support.machine import Machine
from ansible_collections.hpc.ports.tests.support.namespaces import HOST, Space
from ansible_collections.hpc.ports.tests.support.published import CONTAINER, with_container
from ansible_collections.hpc.ports.tests.support.run import SLOWNESS
from ansible_collections.hpc.ports.tests.support.samples import ANYWHERE, SSH, policy, random_policies

GOOD = {4: "10.64.9.9", 6: "fd64::9"}
BAD = {4: "10.66.0.1", 6: "fd66::1"}
BOTH = ("10.64.0.0/16", "fd64::/16")
EVERYTHING = policy(("in", "all", ["1-65535/tcp", "1-65535/udp"], ANYWHERE))
USED = ("out", "used", ["6000/tcp", "6000/udp"], BOTH)
RESTRICTED = policy(SSH, USED, egress="restricted", filtered=("back*",))
FIRST = pytest.mark.parametrize("first", ["server", "client"])
NOTHING = CutResult((), "")
PAUSE = 0.3 * SLOWNESS
# IPv4 of containers is masqueraded, IPv6 is routed.
NAT = """
table ip nat {
  chain pre { type nat hook prerouting priority dstnat; ip daddr 192.0.2.1 tcp dport 8080 dnat to 198.51.100.2:6000; }
  chain post { type nat hook postrouting priority srcnat; ip saddr 198.51.100.0/24 oifname "eth0" masquerade; }
}
"""
ROUTES = f"ip route add {CONTAINER[4]} via {HOST[4]}; ip route add {CONTAINER[6]} via {HOST[6]}"


class Ends(NamedTuple):
    """A container in place of the host."""

    host: Space
    peer: Space


@pytest.fixture(name="inside")
def _inside(machine: Machine) -> Iterator[Space]:
    """A container of a machine where everything passes."""
    machine.nft(script_of(ruleset_of(parse_policy(EVERYTHING))))
    machine.nft(NAT)
    machine.pair.peer.shell(ROUTES)
    with with_container(machine.pair) as found:
        yield found


@pytest.fixture(name="links")
def _links(machine: Machine, inside: Space) -> Iterator[Connections]:
    """The connections of the container."""
    with Connections(Ends(inside, machine.pair.peer)) as found:
        yield found


def cut(machine: Machine, inside: Space | None, data: Mapping[str, Any], render: Any = ruleset_of) -> CutResult:
    """Load the policy, and cut what it does not allow; without a container, what a guest has, whose sockets are its."""
    ruleset = render(parse_policy(data))
    machine.nft(f"table inet hpc_ports\ndelete table inet hpc_ports\n{script_of(ruleset)}")
    with machine.host.entered():
        calls = KernelCalls(namespaces=lambda: [inside.network] if inside else [])
        return cut_connections(parse_policy(data), calls, PAUSE)


def names(*connections: Living) -> tuple[str, ...]:
    return tuple(sorted(item.name for item in connections))


def opened(links: Connections) -> Iterator[Living]:
    """Yield connections from and to a container, with a good and with a bad peer."""
    for version, protocol, peers in itertools.product((4, 6), ("tcp", "udp"), (GOOD, BAD)):
        yield links.opened("out", protocol, CONTAINER[version], peers[version], 6000)
        yield links.opened("in", protocol, peers[version], CONTAINER[version], 6000)


@pytest.mark.parametrize("render", [ruleset_of, ruleset_beside_firewalld])
@FIRST
def test_exactly_what_is_not_allowed_dies(
    machine: Machine, inside: Space, links: Connections, first: str, render: Any
) -> None:
    found = list(opened(links))
    good = {item.name for item in found if item.packet.peer in GOOD.values() and item.packet.direction == "out"}
    assert len(found) == 4 * len(good) == 16
    assert cut(machine, inside, RESTRICTED, render) == CutResult(
        tuple(sorted({item.name for item in found} - good)), ""
    )
    assert living(found, first) == good
    assert cut(machine, inside, RESTRICTED, render) == NOTHING


@pytest.mark.parametrize(
    "change", [{"filtered_containers": []}, {"trusted_interfaces": ["back0"]}, {"mode": "observe"}], ids=str
)
def test_what_the_policy_does_not_judge_goes_on(
    machine: Machine, inside: Space, links: Connections, change: dict[str, Any]
) -> None:
    found = list(opened(links))
    assert cut(machine, inside, {**RESTRICTED, **change}) == NOTHING
    assert living(found, "client") == set(names(*found))


def test_with_open_egress_what_a_container_opened_goes_on(machine: Machine, inside: Space, links: Connections) -> None:
    found = list(opened(links))
    outward = [item for item in found if item.packet.direction == "out"]
    inward = [item for item in found if item.packet.direction == "in"]
    assert cut(machine, inside, {**RESTRICTED, "egress": "open"}) == CutResult(names(*inward), "")
    # UDP has no connection that could be closed: a server that goes on sending opens one.
    left = [*outward, *(item for item in inward if item.packet.protocol == "tcp")]
    assert living(left, "server") == set(names(*outward))


@pytest.mark.parametrize("protocol, has_namespace", [("tcp", False), ("udp", True)])
def test_a_server_that_goes_on_sending_with_open_egress_is_named(
    machine: Machine, inside: Space, links: Connections, protocol: str, has_namespace: bool
) -> None:
    """With the same addresses: nothing translates them. Masqueraded packets are no part of the connection any more."""
    found = links.opened("in", protocol, GOOD[6], CONTAINER[6], 6000)
    ended = threading.Event()

    def send() -> None:
        while not ended.wait(0.05):
            found.server.send(b"more")

    thread = threading.Thread(target=send)
    thread.start()
    result = cut(machine, inside if has_namespace else None, {**RESTRICTED, "egress": "open"})
    ended.set()
    thread.join()
    assert result == CutResult((), f"Not cut, because a container or guest continues to send: {found.name}.")


@pytest.mark.parametrize("port, lives", [(8080, True), (6000, False)])
def test_a_published_port_is_judged_as_a_port_of_the_host(
    machine: Machine, inside: Space, links: Connections, port: int, lives: bool
) -> None:
    """It goes to the same port of the container as what is routed straight to it, which dies."""
    straight = links.opened("in", "tcp", GOOD[4], CONTAINER[4], 6000)
    client = links.bound(machine.pair.peer, "tcp", GOOD[4], 0)
    client.connect((HOST[4], 8080))
    name = f"tcp {GOOD[4]}:{client.getsockname()[1]} -> {HOST[4]}:8080"
    served = policy(("in", "served", [f"{port}/tcp"], BOTH), egress="restricted", filtered=("back*",))
    gone = {straight.name, *(() if lives else (name,))}
    assert cut(machine, inside, served) == CutResult(tuple(sorted(gone)), "")


@pytest.mark.parametrize("interface, lives", [("back1", True), ("fabric", False)])
def test_a_connection_between_containers_goes_on(machine: Machine, inside: Space, interface: str, lives: bool) -> None:
    """They are in two networks of the host. A network of others is none of its containers."""
    other = Space()
    machine.host.shell(
        f"ip link add {interface} type veth peer name eth0 netns {other.pid}\n"
        f"ip link set {interface} up; ip address add 203.0.113.1/24 dev {interface}"
    )
    other.shell("ip link set eth0 up; ip address add 203.0.113.2/24 dev eth0; ip route add default via 203.0.113.1")
    with Connections(Ends(inside, other)) as links:
        found = links.opened("out", "tcp", CONTAINER[4], "203.0.113.2", 7000)
        assert cut(machine, inside, RESTRICTED) == (NOTHING if lives else CutResult(names(found), ""))
        assert living([found], "server") == ({found.name} if lives else set())
    other.close()


@pytest.mark.parametrize("seed", range(4))
def test_exactly_those_that_the_policy_denies_die(
    machine: Machine, inside: Space, links: Connections, seed: int
) -> None:
    randomness = random.Random(seed)
    data = next(itertools.islice(random_policies(40), 10 * seed + 3, None))
    rules = [{**rule, "direction": "out"} for rule in data["rules"] if rule["direction"] == "in"]
    data = {**data, "egress": "restricted", "mode": "enforce", "filtered_containers": ["back*"], "rules": rules}
    found = [_random_connection(links, randomness) for number in range(60)]
    allowed = {item.name for item in found if evaluate_forwarded(parse_policy(data), _as_forwarded(item)).passes}
    assert cut(machine, inside, data) == CutResult(tuple(sorted({item.name for item in found} - allowed)), "")
    assert living(found, randomness.choice(["server", "client"])) == allowed
    assert 0 < len(allowed) < 60


def _random_connection(links: Connections, randomness: random.Random) -> Living:
    """Return one of those that random policies are about, most of them from the container."""
    direction, protocol = randomness.choice(["in", "out", "out"]), randomness.choice(["tcp", "udp"])
    version, number = randomness.choice([4, 6]), randomness.randrange(1, 64)
    peer = f"10.0.0.{number}" if version == 4 else f"fd64::{number:x}"
    ends = (peer, CONTAINER[version]) if direction == "in" else (CONTAINER[version], peer)
    return links.opened(direction, protocol, *ends, randomness.randrange(1, 50))


def _as_forwarded(item: Living) -> ForwardedPacket:
    packet = item.packet
    if packet.direction == "out":
        return ForwardedPacket(packet.protocol, packet.peer, packet.port, "back0", "eth0")
    target = CONTAINER[6 if ":" in packet.peer else 4]
    return ForwardedPacket(packet.protocol, target, packet.port, "eth0", "back0")


def _inodes(paths: Iterable[str]) -> set[int]:
    found = set()
    for path in paths:
        with suppress(FileNotFoundError):  # processes of other tests end meanwhile
            found.add(os.stat(path).st_ino)
    return found


def test_the_sockets_of_a_container_are_found_and_closed(inside: Space, links: Connections) -> None:
    """Among the namespaces of all processes; those with other ends stay open."""
    identity = os.stat(inside.network).st_ino
    assert identity in _inodes(other_namespaces())
    with inside.entered():
        assert identity not in _inodes(other_namespaces())
    found = [links.opened("out", "tcp", CONTAINER[4], GOOD[4], 6000) for number in range(2)]
    address, port = found[0].client.getsockname()
    gone = ConntrackTuple(TCP, address, port, GOOD[4], 6000)
    close_in_namespaces(["/proc/0/ns/net", inside.network], {gone})
    assert living(found, "client") == {found[1].name}


def warned(result: Mapping[str, Any]) -> list[str]:
    """Return the warnings of a run that are about containers."""
    assert "failed" not in result, result
    texts = [item if isinstance(item, str) else item["event"]["msg"] for item in result.get("warnings", [])]
    return [text for text in texts if re.match("Containers of this host|Other hosts have|Packets that this host", text)]


def test_who_uses_containers_is_named_while_the_rules_change(machine: Machine, links: Connections) -> None:
    """Before the first run, in it, and not again once the host filters."""
    links.opened("out", "tcp", CONTAINER[4], BAD[4], 6000)
    links.opened("out", "tcp", CONTAINER[4], GOOD[4], 6000)
    links.opened("in", "tcp", GOOD[6], CONTAINER[6], 6001)
    checked = machine.begin(RESTRICTED, check=True)
    first, second = warned(checked)
    assert checked["filtered_interfaces"] == ["back0"]
    assert f" no flow allows: back0 to 6000/tcp of {BAD[4]} (1 connection). They continue until they end" in first
    assert " from and to back0 were not filtered before" in first
    assert f" past published ports: back0 at 6001/tcp from {GOOD[6]} (1 connection). They" in second
    assert warned(machine.apply(RESTRICTED)) == [first, second]
    assert warned(machine.begin(RESTRICTED)) == []
    [text] = warned(machine.begin({**RESTRICTED, "egress": "open"}, check=True))
    assert text == second
    observed = warned(machine.begin({**RESTRICTED, "mode": "observe"}, check=True))
    assert len(observed) == 2 and all("In observe mode they are only counted" in text for text in observed)
    assert warned(machine.begin({**RESTRICTED, "filtered_containers": []}, check=True)) == []
