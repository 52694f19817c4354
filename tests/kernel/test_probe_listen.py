# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Probes and listeners against a real kernel: a source, a router and a target, each a network namespace of our own.

The namespaces are joined to each other and to nothing else. Needs root.
"""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables import kernel
from ansible_collections.hpc.ports.plugins.module_utils._linux import conntrack
from ansible_collections.hpc.ports.plugins.module_utils._linux.netlink import NetlinkError
from ansible_collections.hpc.ports.plugins.modules.verify_judge import PACKET
from ansible_collections.hpc.ports.plugins.plugin_utils._expectations.expected import Expectation
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.answers import parsed
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.cells import Run
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.diagnosis import Clues, PacketJudgement, diagnosis_of
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.evidence import COUNTERS, Origin, Results
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.suspects import (
    Judgements,
    as_options,
    judgements_of,
    packets_at_ends,
    packets_of,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.verdicts import Verdict, verdicts_of
from ansible_collections.hpc.ports.tests.support.namespaces import COLLECTIONS, Space
from ansible_collections.hpc.ports.tests.support.run import SLOWNESS, scaled
from ansible_collections.hpc.ports.tests.support.runs import ForkedServer
from ansible_collections.hpc.ports.tests.support.signs import wait_until
from ansible_collections.hpc.ports.tests.support.sites import make_plan
from ansible_collections.hpc.ports.tests.support.ufw import UFW

SOURCE = {4: "10.77.1.2", 6: "fd77:1::2"}
ROUTER = {4: "10.77.1.1", 6: "fd77:1::1"}
TARGET = {4: "10.77.2.2", 6: "fd77:2::2"}
SECOND = {4: "10.77.2.3", 6: "fd77:2::3"}
PUBLIC = {4: "203.0.113.9", 6: "2001:db8:9::9"}  # of nobody, until a test translates it
PORT = {"tcp": "7001/tcp", "udp": "7001/udp"}
VERSIONS = pytest.mark.parametrize("version", [4, 6])
PROTOCOLS = pytest.mark.parametrize("protocol", ["tcp", "udp"])

NOT_ALIVE = {"alive": False, "listening": {}, "in_use": {}, "not_held": {}, "own": {}, "not_counted": "", "counts": {}}
_IMPORTS = (
    "from ansible_collections.hpc.ports.plugins.module_utils._probe import listener, listener_process, prober, sockets"
)
KEY, NONCE = "0011223344556677", "8899aabbccddeeff"

# An end of the row, its link, its address and the way to the other side. Absent neighbours are given up soon.
_END = """
echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad
ip link set lo up
ip link add {link} type veth peer name {link} netns {router}
echo 50 > /proc/sys/net/ipv4/neigh/{link}/retrans_time_ms
echo 50 > /proc/sys/net/ipv6/neigh/{link}/retrans_time_ms
ip link set {link} up
ip address add 10.77.{net}.2/24 dev {link}
ip address add 10.77.{net}.3/24 dev {link}
ip address add fd77:{net}::3/64 dev {link} nodad
ip address add fd77:{net}::2/64 dev {link} nodad
ip route add 10.77.{other}.0/24 via 10.77.{net}.1
ip route add fd77:{other}::/64 via fd77:{net}::1 src fd77:{net}::2
ip route add 203.0.113.0/24 via 10.77.{net}.1
ip route add 2001:db8:9::/64 via fd77:{net}::1 src fd77:{net}::2
"""
_ROUTER = """
echo 1 > /proc/sys/net/ipv4/ip_forward
echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
for net in 1 2; do
  echo 0 > /proc/sys/net/ipv6/conf/link$net/accept_dad
  ip link set link$net up
  ip address add 10.77.$net.1/24 dev link$net
  ip address add fd77:$net::1/64 dev link$net nodad
done
"""
# A real service, with a socket for each argument such as `tcp 127.0.0.1 7003`; `::` is both families.
_SERVICE = """
import socket, sys, time
kept = []
for text in sys.argv[1:]:
    kind, address, port = text.split()
    family = socket.AF_INET6 if ':' in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM if kind == 'tcp' else socket.SOCK_DGRAM)
    sock.bind((address, int(port)))
    if kind == 'tcp':
        sock.listen()
    kept.append(sock)
print('ready', flush=True)
time.sleep(600)
"""


class Host:
    """One namespace, and our modules' work in it."""

    def __init__(self, run: Path) -> None:
        self.space = Space(f"mount --bind {run} /run")
        self.server = ForkedServer(self.space)

    def call(self, program: str, *arguments: Any, user: int = 0, **named: Any) -> Any:
        """Run Python that sets `result` from `arguments`, as a module runs on a host: in a process of its own."""
        return self.server.ask(program=f"{_IMPORTS}\n{program}", user=user, arguments=named or arguments)["result"]

    def call_started(self, program: str, **named: Any) -> Any:
        """Do the same with a Python that is started for it, and waited for until nobody has its pipes any more."""
        text = (
            f"import json, sys\n{_IMPORTS}\narguments = json.loads(sys.stdin.read())\n{program}\n"
            "print(json.dumps(result))"
        )
        done = self.space.run(sys.executable, "-c", text, text=json.dumps(named), PYTHONPATH=str(COLLECTIONS))
        return json.loads(done.stdout)

    def start(self, *ports: str, is_started: bool = False, **orders: Any) -> dict[str, Any]:
        """Start a listener; `is_started`: by a Python that is started for it."""
        call = self.call_started if is_started else self.call
        return call(
            "ports = {name: [sockets.single_port(text) for text in arguments.pop(name)]"
            " for name in ('ports', 'counted')}\n"
            "result = listener.start(listener.Orders(**ports, **arguments))",
            ports=ports,
            **{"lifetime": 600, "key": KEY, "nonce": NONCE, "counted": [], **orders},
        )

    def stop(self, identity: str = "") -> dict[str, Any]:
        said = self.call("result = listener.stop(*arguments)", identity)
        assert parsed("stopped", said) == said
        return said

    def probe(self, address: str, *ports: str, user: int = 0, names: Sequence[str] = (), **pace: Any) -> dict[str, Any]:
        said = self.call(
            "result = prober.probe_all(arguments[0], prober.Pace(**arguments[1]))",
            [{"address": address, "ports": ports, "names": names}],
            {"timeout": 0.5 * SLOWNESS, "key": KEY, **pace},
            user=user,
        )
        assert parsed("probed", {"results": said}) == {"results": said}
        return said[0]

    @contextmanager
    def running(self, program: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """Have a Python program run here that says when it is ready."""
        command = [*self.space.prefix, sys.executable, "-c", program, *arguments]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout and process.stdout.readline() == "ready\n"
                yield process
            finally:
                process.kill()

    def rules(self, hook: str, *rules: str) -> None:
        self.space.nft(
            "".join(
                line + "\n"
                for line in (
                    "add table inet t",
                    f"add chain inet t c {{ type filter hook {hook} priority 0; }}",
                    *(f"add rule inet t c {rule}" for rule in rules),
                )
            )
        )

    def listeners(self) -> list[int]:
        """The processes here that are listeners."""
        return [pid for pid, place in _listeners().items() if place == _network_of(self.space.pid)]

    def listener(self) -> int:
        """The process that has just been started as a listener; it takes its name a moment later."""
        wait_until(lambda: bool(self.listeners()))
        [pid] = self.listeners()
        return pid


def _listeners() -> dict[int, int]:
    """All processes of the machine that are listeners, and the network that each is in."""
    found = {}
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        with suppress(OSError):  # It has just ended.
            with open(f"/proc/{pid}/comm", "rb", buffering=0) as file:
                is_listener = file.read() == b"hpc-ports\n"
            if is_listener:
                found[pid] = _network_of(pid)
    return found


def _network_of(pid: int) -> int:
    return os.stat(f"/proc/{pid}/ns/net").st_ino


class Net:
    """Three hosts in a row; `run` is the /run that they share, as network namespaces of one machine do."""

    def __init__(self, run: Path) -> None:
        self.run = run
        self.source, self.router, self.target = self.hosts = Host(run), Host(run), Host(run)
        for net, end in ((1, self.source), (2, self.target)):
            end.space.shell(_END.format(link=f"link{net}", router=self.router.space.holder.pid, net=net, other=3 - net))
        self.router.space.shell(_ROUTER)

    def clean(self) -> None:
        """End listeners, remove rules, and forget connections, whose ends the kernel did not see without these rules.

        A later connection with the same ports would pass as an established one.
        """
        wait_until(lambda: not self._ended_listeners())
        for host in self.hosts:
            with host.space.entered():
                kernel.load("flush ruleset\n")
                for entry in list(conntrack.entries()):
                    with suppress(NetlinkError):  # It has just ended.
                        conntrack.delete(entry)

    def _ended_listeners(self) -> list[int]:
        """End the listeners that there are, those included that started a moment ago, and return them."""
        places = {_network_of(host.space.pid) for host in self.hosts}
        found = [pid for pid, place in _listeners().items() if place in places]
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return found

    def close(self) -> None:
        """Let all go."""
        for host in self.hosts:
            host.server.close()
            host.space.close()


@pytest.fixture(name="wires", scope="module")
def _wires(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Net]:
    assert os.geteuid() == 0, "These tests make network namespaces: run them as root."
    run = tmp_path_factory.mktemp("run")
    run.chmod(0o755)
    net = Net(run)
    yield net
    net.close()


@pytest.fixture(name="net")
def _net(wires: Net) -> Iterator[Net]:
    yield wires
    wires.clean()


def _outcome(result: dict[str, Any], port: str) -> str:
    return next(name for name in ("open", "refused", "filtered", "error") if port in result[name])


# ---- outcomes


@VERSIONS
def test_a_listener_is_open_and_a_port_without_one_refused(net: Net, version: int) -> None:
    net.target.start(*PORT.values())
    result = net.source.probe(TARGET[version], "7001/tcp", "7002/tcp", "7001/udp", "7002/udp")
    assert set(result.pop("seconds")) == {"7001/tcp", "7002/tcp", "7001/udp", "7002/udp"}
    assert result == {
        "address": TARGET[version],
        "reachable": True,
        "open": ["7001/tcp", "7001/udp"],
        "refused": ["7002/tcp", "7002/udp"],
        "filtered": [],
        "rejected": [],
        "error": [],
        "details": {},
        "nonces": {NONCE: ["7001/tcp", "7001/udp"]},
        "attempts": {},
        "source": SOURCE[version],
        "elsewhere": {},
    }


@VERSIONS
@PROTOCOLS
def test_a_drop_on_the_target_is_filtered_in_silence(net: Net, version: int, protocol: str) -> None:
    net.target.start(PORT[protocol])
    net.target.rules("input", f"{protocol} dport 7001 drop")
    result = net.source.probe(TARGET[version], PORT[protocol])
    assert (result["filtered"], result["rejected"], result["reachable"]) == ([PORT[protocol]], [], True)


@VERSIONS
@PROTOCOLS
@pytest.mark.parametrize("reject", ["admin-prohibited", "port-unreachable"])
def test_a_reject_on_the_way_is_filtered_and_tells_who(net: Net, version: int, protocol: str, reject: str) -> None:
    net.target.start(PORT[protocol])
    net.router.rules("forward", f"{protocol} dport 7001 reject with icmpx type {reject}")
    result = net.source.probe(TARGET[version], PORT[protocol])
    codes = {
        ("admin-prohibited", 4): (3, 13),
        ("admin-prohibited", 6): (1, 1),
        ("port-unreachable", 4): (3, 3),
        ("port-unreachable", 6): (1, 4),
    }
    kind, code = codes[reject, version]
    assert result["rejected"] == result["filtered"] == [PORT[protocol]]
    assert result["details"] == {PORT[protocol]: f"Rejected by {ROUTER[version]} (ICMP type {kind}, code {code})."}


@VERSIONS
@pytest.mark.parametrize("protocol,outcome", [("tcp", "filtered"), ("udp", "refused")])
def test_port_unreachable_from_the_target_means_a_reject_only_for_tcp(
    net: Net, version: int, protocol: str, outcome: str
) -> None:
    net.target.start(PORT[protocol])
    net.target.rules("input", f"{protocol} dport 7001 reject with icmpx type port-unreachable")
    assert _outcome(net.source.probe(TARGET[version], PORT[protocol]), PORT[protocol]) == outcome


@VERSIONS
def test_a_reset_on_the_way_is_refused(net: Net, version: int) -> None:
    net.target.start("7001/tcp")
    net.router.rules("forward", "tcp dport 7001 reject with tcp reset")
    assert net.source.probe(TARGET[version], "7001/tcp")["refused"] == ["7001/tcp"]


@VERSIONS
def test_a_drop_on_the_source_is_filtered(net: Net, version: int) -> None:
    net.target.start(*PORT.values())
    net.source.rules("output", "meta l4proto { tcp, udp } th dport 7001 drop")
    result = net.source.probe(TARGET[version], *PORT.values())
    assert result["filtered"] == ["7001/tcp", "7001/udp"]
    assert result["rejected"] == ["7001/udp"]  # the kernel tells of UDP at once, and of TCP never
    assert list(result["details"]) == ["7001/udp"] and "Operation not permitted" in result["details"]["7001/udp"]


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1"])
@PROTOCOLS
def test_no_route_is_an_error(net: Net, address: str, protocol: str) -> None:
    result = net.source.probe(address, PORT[protocol])
    assert result["error"] == [PORT[protocol]]
    assert result["details"] == {
        "path": "Sending an echo failed: Network is unreachable.",
        PORT[protocol]: "Network is unreachable.",
    }


@pytest.mark.parametrize("kind,outcome", [("unreachable", "error"), ("prohibit", "filtered")])
@pytest.mark.parametrize("far", ["198.51.100.1", "2001:db8:1::1"])
def test_a_route_may_say_unreachable_or_prohibited(net: Net, kind: str, outcome: str, far: str) -> None:
    net.source.space.run("ip", "route", "add", kind, far)
    try:
        result = net.source.probe(far, *PORT.values())
    finally:
        net.source.space.run("ip", "route", "delete", kind, far)
    assert (result[outcome], result["reachable"]) == (["7001/tcp", "7001/udp"], False)


@PROTOCOLS
@pytest.mark.parametrize("absent,me", [("10.77.1.99", SOURCE[4]), ("fd77:1::99", SOURCE[6])])
def test_a_host_that_is_not_there_is_an_error(net: Net, protocol: str, absent: str, me: str) -> None:
    """Once the kernel has given up asking for its address, here soon; before that only the missing echo tells."""
    result = net.source.probe(absent, PORT[protocol], timeout=scaled(1))
    assert (result["error"], result["reachable"]) == ([PORT[protocol]], False)
    assert result["details"][PORT[protocol]] == f"No route to host (reported by {me})."


@PROTOCOLS
def test_one_lost_packet_is_not_filtered(net: Net, protocol: str) -> None:
    net.target.start(PORT[protocol])
    net.target.rules("input", f"{protocol} dport 7001 ct state new numgen inc mod 2 == 0 drop")
    assert net.source.probe(TARGET[4], PORT[protocol])["open"] == [PORT[protocol]]
    # After a second the kernel sends a SYN again by itself.
    assert net.source.probe(TARGET[4], PORT[protocol], attempts=1, timeout=0.5)["filtered"] == [PORT[protocol]]


def test_without_an_answer_to_an_echo_the_path_is_not_proven(net: Net) -> None:
    net.router.rules("forward", "meta l4proto { icmp, ipv6-icmp } drop")
    for address in TARGET.values():
        result = net.source.probe(address, "7001/tcp")
        assert (result["reachable"], result["details"]) == (False, {"path": "No echo reply."})


def test_without_the_right_to_send_an_echo_the_path_is_unknown(net: Net) -> None:
    result = net.source.probe(TARGET[4], "7001/tcp", user=65534)
    assert (result["reachable"], result["refused"]) == (None, ["7001/tcp"])
    assert result["details"] == {"path": "Cannot send an echo: Operation not permitted."}


@VERSIONS
def test_thousands_at_once_keep_their_outcomes_and_leave_no_socket(net: Net, version: int) -> None:
    """More than the concurrency; one time-out each would take 25 minutes."""
    net.target.start(*(f"{port}/tcp" for port in range(7000, 7100)))
    net.target.rules("input", "tcp dport 7100-9999 drop")
    ports = [f"{port}/tcp" for port in range(7000, 10200)]
    result = net.source.probe(TARGET[version], *ports, rate=5000)
    assert (result["open"], result["filtered"], result["refused"]) == (ports[:100], ports[100:3000], ports[3000:])
    assert net.source.space.run("ss", "-Htan").stdout == ""


def test_a_connection_leaves_nothing_behind(net: Net) -> None:
    """A service that does not close first would leave it to us to wait for stray packets."""
    with net.target.running(_SERVICE, "tcp 0.0.0.0 7001"):
        assert net.source.probe(TARGET[4], "7001/tcp")["open"] == ["7001/tcp"]
        assert net.source.space.run("ss", "-Htan").stdout == ""


# ---- listeners


def test_a_listener_holds_both_families_and_lets_go_of_the_caller(net: Net) -> None:
    """That the call returned at all shows that the process holds none of its pipes."""
    started = net.target.start(*PORT.values(), is_started=True)
    ports = ["7001/tcp", "7001/udp"]
    assert started["listening"] == {"0.0.0.0": ports, "::": ports}
    assert (started["in_use"], started["not_held"], started["not_counted"]) == ({}, {}, "")
    pid = net.target.listener()
    files = [os.readlink(file) for file in Path(f"/proc/{pid}/fd").iterdir()]
    assert files.count("/dev/null") == 3
    assert {file for file in files if "socket:" not in file} == {"/dev/null", "anon_inode:[eventpoll]"}
    assert sum("socket:" in file for file in files) == 5  # two ports, two families, and the word to end
    state, parent, group, session = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[:4]
    assert session != str(os.getsid(0))
    assert net.target.stop(started["id"]) == {
        **NOT_ALIVE,
        "alive": True,
        "listening": started["listening"],
        "counts": dict.fromkeys(COUNTED, {}),
    }
    wait_until(lambda: net.target.listeners() == [])


def test_a_listener_ends_by_itself(net: Net) -> None:
    """Its ports are looked at first: it takes the name by which it is found a moment after it holds them."""
    started = net.target.start("7001/tcp", lifetime=1)
    wait_until(lambda: net.target.space.run("ss", "-Htln").stdout == "" and net.target.listeners() == [])
    assert net.target.stop(started["id"])["alive"] is False
    assert net.source.probe(TARGET[4], "7001/tcp")["refused"] == ["7001/tcp"]


def test_a_killed_listener_was_not_alive_until_the_end(net: Net) -> None:
    started = net.target.start("7001/tcp")
    os.kill(net.target.listener(), signal.SIGKILL)
    wait_until(lambda: net.target.listeners() == [])
    assert net.target.stop(started["id"]) == NOT_ALIVE
    assert net.target.start("7001/tcp")["listening"] == {"0.0.0.0": ["7001/tcp"], "::": ["7001/tcp"]}


def test_a_new_listener_takes_the_place_of_the_old_and_is_not_ended_for_it(net: Net) -> None:
    old = net.target.start("7001/tcp")
    new = net.target.start("7001/tcp", "7002/tcp")
    assert new["listening"]["0.0.0.0"] == ["7001/tcp", "7002/tcp"]
    assert net.target.stop(old["id"])["alive"] is False
    assert net.source.probe(TARGET[4], "7001/tcp", "7002/tcp")["open"] == ["7001/tcp", "7002/tcp"]
    assert net.target.stop(new["id"])["alive"] is True


def test_services_keep_their_ports_and_are_listened_beside(net: Net) -> None:
    binds = [
        "tcp 127.0.0.1 7003",
        "udp 127.0.0.1 7003",
        "tcp 0.0.0.0 7004",
        "udp 0.0.0.0 7004",
        "tcp :: 7005",
        f"tcp {TARGET[4]} 7006",
        f"tcp ::ffff:{TARGET[4]} 7007",
    ]
    ports = ["7003/tcp", "7003/udp", "7004/tcp", "7004/udp", "7005/tcp", "7006/tcp", "7007/tcp"]
    with net.target.running(_SERVICE, *binds):
        started = net.target.start(*ports, addresses=[TARGET[4], SECOND[4], TARGET[6]])
        result = net.source.probe(TARGET[4], *ports)
        stopped = net.target.stop()
    assert started["in_use"] == {
        "0.0.0.0": ["7004/tcp", "7004/udp", "7005/tcp"],
        "::": ["7005/tcp"],
        TARGET[4]: ["7006/tcp", "7007/tcp"],
    }
    assert started["listening"] == {
        "::": ["7003/tcp", "7003/udp", "7004/tcp", "7004/udp", "7006/tcp", "7007/tcp"],
        TARGET[4]: ["7003/tcp", "7003/udp"],
        SECOND[4]: ["7003/tcp", "7003/udp", "7006/tcp", "7007/tcp"],
    }
    assert started["not_held"] == {}
    assert (result["open"], result["filtered"]) == ([port for port in ports if port != "7004/udp"], ["7004/udp"])
    assert {name: stopped[name] for name in ("listening", "in_use", "not_held")} == {
        name: started[name] for name in ("listening", "in_use", "not_held")
    }


def test_a_service_that_went_away_is_not_in_use_until_the_end(net: Net) -> None:
    with net.target.running(_SERVICE, "tcp 0.0.0.0 7005"):
        with net.target.running(_SERVICE, "tcp 0.0.0.0 7004"):
            assert net.target.start("7004/tcp", "7005/tcp")["in_use"] == {"0.0.0.0": ["7004/tcp", "7005/tcp"]}
        assert net.target.stop()["in_use"] == {"0.0.0.0": ["7005/tcp"]}


def test_a_port_that_an_outgoing_connection_uses_is_no_service(net: Net) -> None:
    program = (
        "import socket, time\nsock = socket.socket()\nsock.bind(('', 7008))\n"
        f"sock.connect(('{SOURCE[4]}', 7001))\nprint('ready', flush=True)\ntime.sleep(600)"
    )
    with net.source.running(_SERVICE, "tcp 0.0.0.0 7001"), net.target.running(program):
        started = net.target.start("7008/tcp")
    assert started["in_use"] == {}
    assert started["not_held"] == {"0.0.0.0": {"7008/tcp": "Address already in use"}}
    assert started["listening"] == {"::": ["7008/tcp"]}


def test_a_port_is_bound_when_the_outgoing_connection_that_uses_it_ends(net: Net) -> None:
    """The connection ends when the listener holds another port; SO_LINGER leaves no state behind."""
    program = (
        "import socket, struct, time\nsock = socket.socket()\nsock.bind(('', 7008))\n"
        f"sock.connect(('{SOURCE[4]}', 7001))\nprint('ready', flush=True)\n"
        f"while socket.socket().connect_ex(('{TARGET[4]}', 7002)):\n  time.sleep(0.01)\n"
        "sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))\nsock.close()\ntime.sleep(600)"
    )
    with net.source.running(_SERVICE, "tcp 0.0.0.0 7001"), net.target.running(program):
        started = net.target.start("7002/tcp", "7008/tcp", addresses=[TARGET[4]])
        assert net.source.probe(TARGET[4], "7008/tcp")["open"] == ["7008/tcp"]
    assert started["not_held"] == {}
    assert "7008/tcp" in started["listening"].get(TARGET[4], []) + started["listening"].get("0.0.0.0", [])


@VERSIONS
def test_datagrams_are_answered_from_the_address_that_was_asked(net: Net, version: int) -> None:
    net.target.start("7001/udp")
    assert net.source.probe(SECOND[version], "7001/udp")["open"] == ["7001/udp"]


def test_strangers_get_no_answer(net: Net) -> None:
    net.target.start("7001/udp")
    questions = (
        "",
        "hpc.ports probe 0000000000000000",
        f"hpc.ports probe {KEY}0",
        f"hpc.ports {NONCE}",
        f"hpc.ports probe {KEY}",
    )
    with net.source.space.entered(), ExitStack() as stack:
        asking = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for question in questions]
        for sock, question in zip(asking, questions):
            sock.connect((TARGET[4], 7001))
            sock.send(question.encode())
        asking[-1].settimeout(scaled(30))
        assert asking[-1].recv(99).decode() == f"hpc.ports {NONCE}"
        # One after the other: what is answered at all was answered before the last.
        assert select.select(asking, [], [], 0)[0] == []


@VERSIONS
def test_a_service_that_says_nothing_has_no_nonce(net: Net, version: int) -> None:
    with net.target.running(_SERVICE, "tcp :: 7004"):
        result = net.source.probe(TARGET[version], "7004/tcp")
    assert (result["open"], result["nonces"]) == (["7004/tcp"], {})


def test_in_passive_mode_nothing_is_held(net: Net) -> None:
    with net.target.running(_SERVICE, "tcp 0.0.0.0 7004", f"udp {TARGET[4]} 7001"):
        started = net.target.start(*PORT.values(), "7004/tcp", passive=True)
        result = net.source.probe(TARGET[4], *PORT.values(), "7004/tcp", key="")
        stopped = net.target.stop()
    assert started["listening"] == stopped["listening"] == {}
    assert started["in_use"] == stopped["in_use"] == {"0.0.0.0": ["7004/tcp"], TARGET[4]: ["7001/udp"]}
    assert (result["open"], result["refused"], result["filtered"]) == (["7004/tcp"], ["7001/tcp"], ["7001/udp"])


def test_a_name_that_means_something_else_here_is_said(net: Net) -> None:
    result = net.source.probe(TARGET[4], names=["localhost", "does-not-exist.invalid", TARGET[4]])
    assert result["elsewhere"] == {"localhost": ["127.0.0.1"]}


# ---- counting

COUNTED = ("arrived", "returned", "passed", "left", "answered")


@VERSIONS
def test_it_is_counted_how_far_packets_come(net: Net, version: int) -> None:
    net.target.start(*PORT.values())
    net.source.start(counted=["7001/tcp", "7001/udp"])
    assert net.source.probe(TARGET[version], *PORT.values())["open"] == list(PORT.values())
    ports = {"1": ["7001/tcp", "7001/udp"]}
    here, there = net.source.stop()["counts"], net.target.stop()["counts"]
    assert _in_order(here) == {
        **dict.fromkeys(COUNTED, {}),
        **{name: {SOURCE[version]: {TARGET[version]: ports}} for name in ("left", "returned")},
    }
    assert _in_order(there) == {
        **dict.fromkeys(COUNTED, {}),
        **{name: {TARGET[version]: {SOURCE[version]: ports}} for name in ("arrived", "passed", "answered")},
    }


def _in_order(counts: Any) -> Any:
    return sorted(counts) if isinstance(counts, list) else {name: _in_order(found) for name, found in counts.items()}


@PROTOCOLS
@pytest.mark.parametrize(
    "host,hook,side,last",
    [
        ("source", "output", "dport", ""),
        ("router", "forward", "dport", "left"),
        ("target", "input", "dport", "arrived"),
        ("target", "output", "sport", "passed"),
        ("router", "forward", "sport", "answered"),
        ("source", "input", "sport", "returned"),
    ],
)
def test_where_a_packet_was_lost_can_be_told(
    net: Net, protocol: str, host: str, hook: str, side: str, last: str
) -> None:
    port = PORT[protocol]
    net.target.start(port)
    net.source.start(counted=[port])
    getattr(net, host).rules(hook, f"{protocol} {side} 7001 drop")
    assert net.source.probe(TARGET[4], port)["filtered"] == [port]
    counts = [net.source.stop()["counts"], net.target.stop()["counts"]]
    there, back = (0, SOURCE[4], TARGET[4]), (1, TARGET[4], SOURCE[4])
    way = {"left": there, "arrived": back, "passed": back, "answered": back, "returned": there}
    reached = [name for name, (side_of, own, peer) in way.items() if counts[side_of][name].get(own, {}).get(peer)]
    assert reached == list(way)[: list(way).index(last) + 1 if last else 0]


# ---- several addresses of one host, and translation

NONCES = {"source": NONCE[::-1], "target": NONCE}
TRANSLATED = pytest.mark.parametrize("translated", ["to an address that is not tried", "to one that is", "by the host"])
FAMILIES = {4: "ip", 6: "ip6"}


def _base(host: Host, hook: str, priority: int, *rules: str, kind: str = "filter") -> None:
    """Load a chain of another program; the table has the name of its place."""
    host.space.nft(
        f"table inet {kind}_{hook} {{\nchain c {{ type {kind} hook {hook} priority {priority}; policy accept;\n"
        + "\n".join(rules)
        + "\n}\n}\n"
    )


def _translate(net: Net, translated: str) -> None:
    """Translate the public addresses of the target on the way; the host itself translates the ports as well."""
    rules = []
    for version, family in FAMILIES.items():
        public, second = f"{family} daddr {PUBLIC[version]}", SECOND[version]
        to = TARGET[version] if translated == "to one that is" else second
        to_port = f"[{second}]:7002" if version == 6 else f"{second}:7002"
        if translated == "by the host":
            net.router.space.run("ip", "route", "replace", PUBLIC[version], "via", TARGET[version])
            rules += [f"{public} {protocol} dport 7001 dnat {family} to {to_port}" for protocol in PORT]
        rules.append(f"{public} dnat {family} to {to}")
    _base(net.target if translated == "by the host" else net.router, "prerouting", -100, *rules, kind="nat")


def _closed(addresses: dict[int, str]) -> list[str]:
    """Rules that drop what is tried at these addresses."""
    return [
        f"{family} daddr {addresses[version]} meta l4proto {{ tcp, udp }} drop" for version, family in FAMILIES.items()
    ]


def _tried(net: Net, *tried: dict[int, str]) -> Results:
    """Try both ports at these addresses of the target, and return what both hosts report."""
    ports, addresses = [*PORT.values()], [address for both in tried for address in both.values()]
    net.target.start(*ports, "7002/tcp", "7002/udp", addresses=addresses)
    net.source.start(counted=ports, nonce=NONCES["source"])
    probed = net.source.call(
        "result = prober.probe_all(arguments[0], prober.Pace(**arguments[1]))",
        [{"address": address, "ports": ports, "names": []} for address in addresses],
        {"timeout": 0.5 * SLOWNESS, "key": KEY},
    )
    stopped = {"source": net.source.stop(), "target": net.target.stop()}
    assert [said["not_counted"] for said in stopped.values()] == ["", ""]
    return Results({"source": probed}, stopped, NONCES)


def _item(address: str, protocol: str, expected: str = "open") -> Expectation:
    is_open = expected == "open"
    return Expectation(
        "source", "target", address, protocol, 7001, expected, "f" if is_open else "", "" if is_open else "target"
    )


def _verdict(results: Results, address: str, protocol: str, expected: str) -> tuple[str, str]:
    """The verdict on one connection, and the code of what is wrong. The rules of the target are said to drop."""
    item = _item(address, protocol, expected)
    [found] = verdicts_of([item], results)
    clues = Clues(
        found,
        results.counters(item),
        frozenset(results.arrivals(item)),
        inward=PacketJudgement("drop", "inet t", "c", "r"),
        sources=frozenset([results.seen(item).source]),
    )
    return found.verdict, "" if found.verdict == "right" else diagnosis_of(clues).code


def _far(results: Results, address: str, protocol: str) -> str:
    """How far packets to an address came."""
    found = results.counters(_item(address, protocol))
    assert None not in found.values()
    return [name for name in COUNTERS if found[name]][-1]


def _check(results: Results, closed: dict[int, str], far: str, blocked: tuple[str, str]) -> None:
    """See that what is closed at one address and open at the other is found so, and how far packets came."""
    for version, protocol in itertools.product(FAMILIES, PORT):
        at, other = closed[version], (PUBLIC if closed == TARGET else TARGET)[version]
        assert (_far(results, other, protocol), _far(results, at, protocol)) == ("returned", far)
        assert (
            _verdict(results, other, protocol, "open") == _verdict(results, at, protocol, "filtered") == ("right", "")
        )
        assert _verdict(results, other, protocol, "filtered") == ("wrong", "ruleset_allows")
        assert _verdict(results, at, protocol, "open") == blocked


CLOSED = pytest.mark.parametrize("closed", [TARGET, PUBLIC], ids=["own", "public"])


@TRANSLATED
@CLOSED
def test_an_address_that_is_closed_on_the_way_is_not_vouched_for_by_another(
    net: Net, translated: str, closed: dict[int, str]
) -> None:
    _translate(net, translated)
    _base(net.router, "prerouting", -300, *_closed(closed))
    _check(_tried(net, TARGET, PUBLIC), closed, "left", ("wrong", "not_arrived"))


@pytest.mark.parametrize("translated", ["to an address that is not tried", "by the host"])
@CLOSED
def test_an_address_that_the_host_closes_is_not_vouched_for_by_another(
    net: Net, translated: str, closed: dict[int, str]
) -> None:
    _translate(net, translated)
    _base(net.target, "input", 0, *_closed(TARGET if closed == TARGET else SECOND))
    _check(_tried(net, TARGET, PUBLIC), closed, "arrived", ("wrong", "other_table"))


@TRANSLATED
@CLOSED
def test_an_answer_that_is_lost_is_not_vouched_for_by_one_from_another_address(
    net: Net, translated: str, closed: dict[int, str]
) -> None:
    _translate(net, translated)
    net.router.rules(
        "forward",
        *(
            f"ct direction reply ct original {family} daddr {closed[version]} meta l4proto {{ tcp, udp }} drop"
            for version, family in FAMILIES.items()
        ),
    )
    results = _tried(net, TARGET, PUBLIC)
    for version, protocol in itertools.product(FAMILIES, PORT):
        lost, other = closed[version], (PUBLIC if closed == TARGET else TARGET)[version]
        assert (_far(results, other, protocol), _far(results, lost, protocol)) == ("returned", "answered")
        assert _verdict(results, other, protocol, "open") == ("right", "")
        assert _verdict(results, lost, protocol, "open") == ("wrong", "reply_lost")


def test_where_the_packets_of_two_addresses_cannot_be_told_apart_none_are_believed(net: Net) -> None:
    """Probes to the public address go to the host's own address, which is blocked on the way; none is answered."""
    _translate(net, "to one that is")
    net.router.rules("forward", "meta l4proto { icmp, ipv6-icmp } drop")
    _base(net.router, "prerouting", -300, *_closed(TARGET))
    _base(net.target, "output", 0, "tcp sport 7001 drop", "udp sport 7001 drop")
    results = _tried(net, TARGET, PUBLIC)
    for address, protocol in itertools.product([*TARGET.values(), *PUBLIC.values()], PORT):
        left, *others = results.counters(_item(address, protocol)).values()
        # The kernel sends again where the probe waits for long.
        assert (left or 0) >= 2 and others == [None, None, 0, 0]
        assert _verdict(results, address, protocol, "filtered") == ("unknown", "unreachable")


@pytest.mark.parametrize("hook,rule", [("postrouting", "snat"), ("output", "dnat")])
def test_what_the_source_translates_is_counted_as_it_was_sent(net: Net, hook: str, rule: str) -> None:
    """It leaves from another address, or for another; the answer comes back to that."""
    tried, to = (PUBLIC, TARGET) if rule == "dnat" else (TARGET, {4: "10.77.1.3", 6: "fd77:1::3"})
    _base(
        net.source,
        hook,
        100 if rule == "snat" else -100,
        *(f"{family} daddr {tried[version]} {rule} {family} to {to[version]}" for version, family in FAMILIES.items()),
        kind="nat",
    )
    results = _tried(net, tried)
    for version, protocol in itertools.product(FAMILIES, PORT):
        item = _item(tried[version], protocol)
        assert [results.counters(item)[name] for name in ("left", "returned")] == [1, 1]
        # Where it comes from, as the target sees it.
        assert results.arrivals(item) == {(to if rule == "snat" else SOURCE)[version]}


@pytest.mark.parametrize("origin", [ROUTER, SECOND], ids=["the router's", "another"])
def test_a_source_behind_nat_is_judged_by_the_address_that_arrives(net: Net, origin: dict[int, str]) -> None:
    """The router translates it to an address of its own; the plan knows that, or expects another."""
    at_target = {4: "10.77.2.1", 6: "fd77:2::1"}
    _base(net.router, "postrouting", 100, 'oifname "link2" masquerade', kind="nat")
    _base(
        net.target,
        "input",
        0,
        *(
            f"{family} saddr {at_target[version]} meta l4proto {{ tcp, udp }} drop"
            for version, family in FAMILIES.items()
        ),
    )
    known = tuple((at_target if origin == ROUTER else origin).values())
    results = replace(_tried(net, TARGET), origins={"source": Origin(known, True)})
    verdicts = verdicts_of([_item(TARGET[version], protocol) for version in FAMILIES for protocol in PORT], results)
    judged = _judgements(net, verdicts, is_read=True)
    for found in verdicts:
        item, counters = found.expectation, results.counters(found.expectation)
        diagnosis = diagnosis_of(
            Clues(
                found,
                counters,
                frozenset(results.arrivals(item)),
                inward=judged[packets_at_ends(found)[1]].packet,
                sources=frozenset(known),
            )
        )
        version = 6 if ":" in item.address else 4
        assert (found.verdict, diagnosis.code) == ("wrong", "other_table" if origin == ROUTER else "wrong_source")
        assert at_target[version] in re.split(r"[ ,]+", diagnosis.text) and SOURCE[version] not in diagnosis.text
        assert [bool(counters[name]) for name in COUNTERS] == [True, origin == ROUTER, False, False, False]


def test_what_is_not_tracked_is_counted_where_others_are(net: Net) -> None:
    for host in (net.source, net.target):
        for hook in ("prerouting", "output"):
            _base(host, hook, -300, "tcp dport 7001 notrack", "tcp sport 7001 notrack")
        _base(host, "input", 0, "ct state established accept")
    results = _tried(net, TARGET)
    for address, protocol in itertools.product(TARGET.values(), PORT):
        assert set(results.counters(_item(address, protocol)).values()) == {1}


def test_tracking_is_not_begun_for_the_counts(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.space.run("ip", "link", "set", "lo", "up")
    for rules, is_tracked in (((), False), (("ct state established accept",), True)):
        _base(host, "input", 0, *rules)
        host.start("7001/tcp")
        assert (" ct original " in host.space.shell("nft list table inet hpc_ports_verify")) is is_tracked
        assert (host.space.shell("cat /proc/sys/net/netfilter/nf_conntrack_count") != "0\n") is is_tracked
        host.stop()
    host.server.close()
    host.space.close()


# ---- rules of others that nft may not be able to read

UFW_PORTS = ["22/tcp", "80/tcp", "443/tcp", "444/tcp", "7001/tcp", "53/udp", "137/udp", "7001/udp"]
UFW_OPEN = {"22/tcp", "80/tcp", "443/tcp", "53/udp"}


def _site(is_allowed: bool) -> Plan:
    """The source may connect to all ports of the target, or to none."""
    flow = {
        "from": ["slurm_login"],
        "to": ["slurm_controller"],
        "services": ["all"],
        "need": "required",
        "enabled": is_allowed,
    }
    return make_plan(
        {"services": {"all": {"ports": UFW_PORTS}}, "flows": {"f": flow}},
        {
            "source": {"groups": ["slurm_login"], "addresses": [*SOURCE.values()]},
            "target": {"groups": ["slurm_controller"], "addresses": [*TARGET.values()]},
        },
    )


def _judgements(net: Net, verdicts: Sequence[Verdict], is_read: bool) -> Judgements:
    """What the rules of both say of what is not right; `is_read`: with the library of iptables."""
    program = (
        "import os\nfrom ansible_collections.hpc.ports.plugins.module_utils._ruleset.judge import PacketJudge, "
        "parse_query\n"
        "if not arguments[1]:\n    os.environ['XTABLES_LIBDIR'] = '/nonexistent'\n"
        "result = [PacketJudge().judge(parse_query(packet)) for packet in arguments[0]]"
    )
    packets = packets_of(verdicts, [])
    defaults = {name: about.get("default") for name, about in PACKET.items()}
    return judgements_of(
        packets,
        {
            host: getattr(net, host).call(program, [{**defaults, **options} for options in as_options(wanted)], is_read)
            for host, wanted in packets.items()
        },
    )


@pytest.mark.parametrize("is_read", [True, False], ids=["read", "not read"])
def test_every_cell_behind_ufw_is_right(net: Net, is_read: bool) -> None:
    """ufw accepts established connections and drops the rest; only the library of iptables reads the first."""
    net.target.space.shell(UFW)
    net.target.start(*UFW_PORTS)
    net.source.start(counted=UFW_PORTS)
    probed = net.source.call(
        "result = prober.probe_all(arguments[0], prober.Pace(**arguments[1]))",
        [{"address": address, "ports": UFW_PORTS, "names": []} for address in TARGET.values()],
        {"timeout": 0.5 * SLOWNESS, "key": KEY},
    )
    results = Results({"source": probed}, {"source": net.source.stop(), "target": net.target.stop()}, {"target": NONCE})
    for is_allowed in (True, False):
        verdicts = verdicts_of(
            [_ufw_item(is_allowed, *about) for about in itertools.product(TARGET.values(), UFW_PORTS)], results
        )
        run = Run(_site(is_allowed), results, {}, _judgements(net, verdicts, is_read))
        for cell in map(run.cell, verdicts):
            port = f"{cell['port']}/{cell['protocol']}"
            is_open = port in UFW_OPEN
            diagnosis = "" if is_open == is_allowed else "other_table" if is_allowed else "ruleset_allows"
            assert (cell["verdict"], cell["compiled"], (cell["diagnosis"] or {}).get("code", "")) == (
                "wrong" if diagnosis else "right",
                "open" if is_open else "filtered",
                diagnosis,
            ), str(cell)  # as a text, pytest prints the whole of it
            if diagnosis == "other_table":
                place = {"137/udp": "chain ufw-skip-to-policy-input, `counter drop`"}.get(
                    port, "chain INPUT, `policy drop`"
                )
                assert (
                    f"table {FAMILIES[6 if ':' in cell['address'] else 4]} filter, {place}" in cell["diagnosis"]["text"]
                ), cell


def _ufw_item(is_allowed: bool, address: str, port: str) -> Expectation:
    number, protocol = port.split("/")
    expected = ("open", "f", "") if is_allowed else ("filtered", "", "target")
    return Expectation("source", "target", address, protocol, int(number), *expected)


def test_the_table_that_counts_goes_with_the_listener(net: Net) -> None:
    for end in (net.target.stop, lambda: os.kill(net.target.listener(), signal.SIGTERM)):
        net.target.start("7001/tcp")
        assert "table inet hpc_ports_verify" in net.target.space.run("nft", "list", "tables").stdout
        end()
        wait_until(lambda: net.target.space.run("nft", "list", "tables").stdout == "")
    net.target.start("7001/tcp", lifetime=1)
    wait_until(lambda: net.target.space.run("nft", "list", "tables").stdout == "")


def test_production_traffic_is_not_counted(net: Net) -> None:
    net.target.start("7001/udp")
    program = (
        "import socket\nsock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "result = sock.sendto(b'a reading of some sensor', (arguments[0], 7001))"
    )
    net.source.call(program, TARGET[4])
    assert net.target.stop()["counts"]["arrived"] == {}


def test_without_rights_a_low_port_is_said_to_have_failed(net: Net) -> None:
    net.target.space.shell("echo 1024 > /proc/sys/net/ipv4/ip_unprivileged_port_start")
    # Root without CAP_NET_BIND_SERVICE (10): drop it from the bounding set (24), and start a new program.
    dropped = (
        "import ctypes, os, sys\nctypes.CDLL(None).prctl(24, 10, 0, 0, 0)\n"
        "os.execv(sys.executable, [sys.executable, '-c', sys.argv[1]])"
    )
    program = (
        f"import json\n{_IMPORTS}\nprint(json.dumps(listener.start(listener.Orders("
        "[sockets.single_port('80/tcp')]))))\nlistener.stop()"
    )
    result = json.loads(
        net.target.space.run(sys.executable, "-c", dropped, program, PYTHONPATH=str(COLLECTIONS)).stdout
    )
    denied = {"80/tcp": "Permission denied"}
    assert (result["listening"], result["not_held"]) == ({}, {"0.0.0.0": denied, "::": denied})


# ---- who else is on the host

_ATTEMPT = "try:\n    result = listener.{0}\nexcept listener.ListenError as exc:\n    result = str(exc)"
_PLACE = "result = listener_process.socket_path()"


def test_another_user_cannot_be_in_the_way(net: Net) -> None:
    """It holds the name by which listeners were found once, and tries to have all that a listener needs."""
    place = net.target.call(_PLACE)
    program = (
        "import os, socket, sys\nos.setuid(65534)\nsock = socket.socket(socket.AF_UNIX)\n"
        "sock.bind('\\0hpc-ports-listen')\nsock.listen()\nmade = []\n"
        "for path in (sys.argv[1], os.path.dirname(sys.argv[1]), '/run/hpc-ports-listen'):\n"
        "    for make in (os.mkdir, lambda name: socket.socket(socket.AF_UNIX).bind(name), os.mkfifo):\n"
        "        try:\n            made.append(make(path) or path)\n        except OSError:\n            pass\n"
        "print('ready' if not made else made, flush=True)\nsock.accept()"
    )
    for is_first in (True, False):  # before there is a folder, and with one
        if is_first:
            net.target.space.shell("rm -rf /run/hpc-ports")
        with net.target.running(program, place):
            started = net.target.start("7001/tcp")
            assert net.target.stop(started["id"])["alive"] is True
    assert not os.path.lexists(f"{net.run}/{place[len('/run/') :]}")


def test_another_users_process_is_not_obeyed_or_believed(net: Net) -> None:
    """Where root itself has let it have the place."""
    program = (
        "import os, socket, sys\nos.makedirs('/run/hpc-ports', 0o700, exist_ok=True)\n"
        "sock = socket.socket(socket.AF_UNIX)\nsock.bind(sys.argv[1])\nos.setuid(65534)\nsock.listen()\n"
        "print('ready', flush=True)\n"
        "while True:\n    try:\n        sock.accept()[0].sendall(b'{}')\n    except OSError:\n        pass"
    )
    place = net.target.call(_PLACE)
    with net.target.running(program, place):
        for call in ("start(listener.Orders([]))", "stop()"):
            assert net.target.call(_ATTEMPT.format(call)) == (
                f"A process of uid 65534 answers at {place}, expected uid 0. End that process; `ss -xlp` shows it."
            )


def test_another_user_cannot_end_the_listener(net: Net) -> None:
    """Neither with the default permissions, nor when the folder and the socket are open to all."""
    started = net.target.start("7001/tcp")
    place = net.target.call(_PLACE)
    assert net.target.call(_ATTEMPT.format("stop()"), user=65534) == (
        f"Cannot use the control socket {place}: Permission denied. A listener needs root: set become."
    )
    net.target.space.shell(f"chmod 777 {place} /run/hpc-ports")
    try:
        assert "uid 0 answers" in net.target.call(_ATTEMPT.format("stop()"), user=65534)
        word = (
            "import socket\nsock = socket.socket(socket.AF_UNIX)\nsock.connect(arguments[0])\n"
            "try:\n    sock.sendall(b'end ')\n    result = sock.recv(99).decode()\n"
            "except ConnectionError:\n    result = ''"
        )
        assert net.target.call(word, place, user=65534) == ""
    finally:
        net.target.space.shell("chmod 700 /run/hpc-ports")
    assert net.target.stop(started["id"])["alive"] is True


def test_who_only_looks_does_not_end_the_listener(net: Net) -> None:
    started = net.target.start("7001/tcp")
    look = (
        "import socket\nwith socket.socket(socket.AF_UNIX) as sock:\n    sock.connect(listener_process.socket_path())\n"
        "    sock.shutdown(socket.SHUT_WR)\n    result = len(sock.recv(99))"
    )
    assert net.target.call(look) > 0
    assert net.target.stop(started["id"])["alive"] is True


@pytest.mark.parametrize("left", ["socket", "file"])
def test_what_was_left_at_the_place_is_not_in_the_way(net: Net, left: str) -> None:
    """By a process that was killed, or before a boot, where /run is a disk: the number of the network is the same."""
    make = {
        "file": "os.close(os.open(listener_process.socket_path(), os.O_CREAT))",
        "socket": (
            "sock = socket.socket(socket.AF_UNIX)\nsock.bind(listener_process.socket_path())\n"
            "sock.listen()\nsock.close()"
        ),
    }
    net.target.call(f"import os, socket\nos.makedirs('/run/hpc-ports', 0o700, exist_ok=True)\n{make[left]}\nresult = 0")
    assert net.target.stop() == NOT_ALIVE
    started = net.target.start("7001/tcp")
    assert net.target.stop(started["id"])["alive"] is True


def test_of_two_that_are_started_at_once_one_is_told(net: Net) -> None:
    """Both find what a killed one has left; the second must not take away the place of the first."""
    net.target.start("7001/tcp")
    os.kill(net.target.listener(), signal.SIGKILL)
    wait_until(lambda: net.target.listeners() == [])
    program = (
        f"import json\n{_IMPORTS}\n"
        "try:\n    result = listener.start(listener.Orders([sockets.single_port('7001/tcp')]))\n"
        "except listener.ListenError as exc:\n    result = str(exc)\nprint(json.dumps(result))"
    )
    with ExitStack() as stack:
        folder = os.open(net.run / "hpc-ports", os.O_RDONLY)
        stack.callback(os.close, folder)
        fcntl.flock(folder, fcntl.LOCK_EX)
        processes = [
            stack.enter_context(
                subprocess.Popen(
                    [*net.target.space.prefix, sys.executable, "-c", program],
                    stdout=subprocess.PIPE,
                    text=True,
                    env={**os.environ, "PYTHONPATH": str(COLLECTIONS)},
                )
            )
            for number in range(2)
        ]
        inode = f":{os.fstat(folder).st_ino} "
        wait_until(
            lambda: (
                sum(
                    "->" in line and inode in line
                    for line in Path("/proc/locks").read_text(encoding="ascii").splitlines()
                )
                == 2
            )
        )
        fcntl.flock(folder, fcntl.LOCK_UN)
        said = [json.loads(process.communicate(timeout=scaled(60))[0]) for process in processes]
    [told], [started] = ([item for item in said if isinstance(item, kind)] for kind in (str, dict))
    assert told == (
        "Cannot start the listener: another one is being started on this host. Run only one verify at a time."
    )
    assert net.target.stop(started["id"])["alive"] is True


def test_each_network_has_its_own(net: Net) -> None:
    started = [host.start("7001/tcp") for host in net.hosts]
    assert [host.stop(own["id"])["alive"] for host, own in zip(net.hosts, started)] == [True, True, True]


def test_a_listener_that_hangs_is_an_error(net: Net) -> None:
    net.target.start("7001/tcp")
    pid = net.target.listener()
    os.kill(pid, signal.SIGSTOP)
    program = (
        "try:\n    result = listener.start(listener.Orders([]), patience=1.0)\n"
        "except listener.ListenError as exc:\n    result = str(exc)"
    )
    try:
        assert net.target.call(program) == (
            "The listener on this host did not answer within 1 s. It ends by itself after its lifetime; "
            "`ss -xlp` shows its process."
        )
    finally:
        os.kill(pid, signal.SIGKILL)


def test_the_limit_of_open_files_is_raised_or_said_to_be_too_low(net: Net) -> None:
    program = (
        "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, tuple(arguments))\n"
        "ports = [sockets.single_port(f'{port}/tcp') for port in range(7000, 7300)]\n"
        "try:\n    result = len(listener.start(listener.Orders(ports))['listening']['::'])\n"
        "except listener.ListenError as exc:\n    result = str(exc)"
    )
    assert net.target.call(program, 64, 2000) == 300
    assert net.target.call(program, 64, 500) == (
        "Too many ports for the limit of open files: got 500, expected 664. Raise the hard limit (ulimit -Hn), or name "
        "fewer ports."
    )


# ---- published ports

CONTAINER = "198.51.100.2"
_CONTAINER = f"""
ip link set lo up
ip link set box up
ip address add {CONTAINER}/24 dev box
ip route add default via 198.51.100.1
"""
_TO_CONTAINER = f"tcp dport 7001 dnat ip to {CONTAINER}:80"
_NO_RULE, _DROPS = "no rule of hpc.ports judges it", "drop packets from 10.77.1.2 to 7001/tcp: table inet filter_"


@contextmanager
def _container(net: Net, serves: bool) -> Iterator[None]:
    """Have a container on the target, to which it publishes a port; `serves`: something listens there."""
    space = Space()
    try:
        net.target.space.shell(
            f"ip link add box type veth peer name box netns {space.holder.pid}; ip link set box up\n"
            "ip address add 198.51.100.1/24 dev box; echo 1 > /proc/sys/net/ipv4/ip_forward"
        )
        space.shell(_CONTAINER)
        _base(net.target, "prerouting", -100, _TO_CONTAINER, kind="nat")
        with ExitStack() as stack:
            if serves:
                program = [*space.prefix, sys.executable, "-c", _SERVICE, "tcp 0.0.0.0 80"]
                process = stack.enter_context(subprocess.Popen(program, stdout=subprocess.PIPE, text=True))
                stack.callback(process.kill)
                assert process.stdout and process.stdout.readline() == "ready\n"
            yield
    finally:
        net.target.space.shell("echo 0 > /proc/sys/net/ipv4/ip_forward; ip link delete box")
        space.close()


@pytest.mark.parametrize(
    "serves,drops,far,allowed,denied",
    [
        (True, "", "returned", "", _NO_RULE),
        # As our chain does.
        (True, "prerouting -110 tcp dport 7001 drop", "arrived", f"{_DROPS}prerouting, ", ""),
        (True, "forward 0 tcp dport 80 drop", "arrived", f"{_DROPS}forward, ", ""),
        (
            True,
            'forward 0 iifname "box" drop',
            "passed",
            "its answer was not sent: table inet filter_forward",
            _NO_RULE,
        ),
        (False, "", "passed", "publishes 7001/tcp, but nothing answers", _NO_RULE),
    ],
)
def test_a_published_port_has_the_verdict_of_its_port(
    net: Net, serves: bool, drops: str, far: str, allowed: str, denied: str
) -> None:
    """Whatever the plan expects, and with the diagnosis of the rules that the target runs."""
    if drops:
        hook, priority, rule = drops.split(" ", 2)
        _base(net.target, hook, int(priority), rule)
    with _container(net, serves):
        net.target.start("7001/tcp", addresses=[TARGET[4]])
        net.source.start(counted=["7001/tcp"], nonce=NONCES["source"])
        probed = net.source.probe(TARGET[4], "7001/tcp")
        stopped = {"source": net.source.stop(), "target": net.target.stop()}
        results = Results({"source": [probed]}, stopped, NONCES)
        for expected, said in (("open", allowed), ("filtered", denied)):
            item = _item(TARGET[4], "tcp", expected)
            [found] = verdicts_of([item], results)
            run = Run(_site(expected == "open"), results, {}, _judgements(net, [found], is_read=True))
            cell = run.cell(run.reconsidered(run.with_published(found)))
            text = cell["diagnosis"]["text"] if cell["diagnosis"] else ""
            assert (cell["verdict"] == "right", said in text) == (not said, True), cell
            assert (text == "") == (not said), cell
        assert _far(results, TARGET[4], "tcp") == far
