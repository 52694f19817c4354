# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Probes: outcomes, retries, pace and results."""

from __future__ import annotations

import errno
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._model.ports import PortRange
from ansible_collections.hpc.ports.plugins.module_utils._probe.icmp import SILENT, EchoResult, Notice
from ansible_collections.hpc.ports.plugins.module_utils._probe.outcomes import (
    SILENCE,
    Probe,
    ProbeOutcome,
    outcome_of_error,
)
from ansible_collections.hpc.ports.plugins.module_utils._probe.prober import (
    Pace,
    Prober,
    interleaved_probes,
    names_elsewhere,
    probe_all,
    results_by_address,
    source_address_to,
)
from ansible_collections.hpc.ports.plugins.module_utils._probe.protocol import greeting, question

TARGET, ROUTER = "10.0.0.1", "10.0.0.254"
KEY, NONCE = "0123456789abcdef", "fedcba9876543210"
TCP, UDP = (Probe(TARGET, PortRange(protocol, 443, 443)) for protocol in ("tcp", "udp"))
PORT_UNREACHABLE, HOST_UNREACHABLE, PROHIBITED = 3, 1, 13


def by(sender: str, code: int) -> Notice:
    return Notice(sender, 4, 3, code)


def rejected(sender: str, code: int) -> ProbeOutcome:
    return ProbeOutcome("filtered", f"Rejected by {sender} (ICMP type 3, code {code}).", True)


# ---- what an error means


@pytest.mark.parametrize(
    "probe,number,notice,outcome",
    [
        (TCP, 0, None, ProbeOutcome("open")),
        (TCP, errno.ECONNRESET, None, ProbeOutcome("open")),
        (TCP, errno.EPIPE, None, ProbeOutcome("open")),
        (UDP, 0, None, ProbeOutcome("open")),
        (TCP, errno.ECONNREFUSED, None, ProbeOutcome("refused")),
        (UDP, errno.ECONNREFUSED, by(TARGET, PORT_UNREACHABLE), ProbeOutcome("refused")),
        (UDP, errno.ECONNREFUSED, None, ProbeOutcome("refused")),
        (UDP, errno.ECONNREFUSED, by(ROUTER, PORT_UNREACHABLE), rejected(ROUTER, PORT_UNREACHABLE)),
        (TCP, errno.ECONNREFUSED, by(TARGET, PORT_UNREACHABLE), rejected(TARGET, PORT_UNREACHABLE)),
        (TCP, errno.ETIMEDOUT, None, SILENCE),
        (TCP, errno.EHOSTUNREACH, by(ROUTER, PROHIBITED), rejected(ROUTER, PROHIBITED)),
        (UDP, errno.EHOSTUNREACH, by(TARGET, PROHIBITED), rejected(TARGET, PROHIBITED)),
        (
            TCP,
            errno.EHOSTUNREACH,
            None,
            ProbeOutcome("filtered", "No route to host; the kernel does not report the sender."),
        ),
        (
            TCP,
            errno.EHOSTUNREACH,
            by(ROUTER, HOST_UNREACHABLE),
            ProbeOutcome("error", f"No route to host (reported by {ROUTER})."),
        ),
        (TCP, errno.ENETUNREACH, by(ROUTER, 9), rejected(ROUTER, 9)),
        (TCP, errno.ENETUNREACH, None, ProbeOutcome("error", "Network is unreachable.")),
        (
            UDP,
            errno.EPERM,
            None,
            ProbeOutcome("filtered", "Blocked by this host itself: Operation not permitted.", True),
        ),
        (TCP, errno.EACCES, None, ProbeOutcome("filtered", "Blocked by this host itself: Permission denied.", True)),
        (TCP, errno.EMFILE, None, ProbeOutcome("error", "Too many open files.")),
        (TCP, errno.EADDRNOTAVAIL, None, ProbeOutcome("error", "Cannot assign requested address.")),
        (TCP, errno.EAFNOSUPPORT, None, ProbeOutcome("error", "Address family not supported by protocol.")),
    ],
)
def test_outcomes_of_errors(probe: Probe, number: int, notice: Notice | None, outcome: ProbeOutcome) -> None:
    assert outcome_of_error(probe, number, notice) == outcome


def test_an_error_before_sending_is_not_filtered() -> None:
    assert outcome_of_error(TCP, errno.EHOSTUNREACH, None, at_once=True) == ProbeOutcome("error", "No route to host.")


# ---- the engine, on this host alone


@pytest.fixture(name="ports")
def _ports() -> Iterator[tuple[int, int]]:
    """Return an open and a closed port."""
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1], free.getsockname()[1]


def local(port: int, protocol: str = "tcp") -> Probe:
    return Probe("127.0.0.1", PortRange(protocol, port, port))


@pytest.mark.parametrize("concurrency", [1, 7, 1000])
def test_outcomes_come_in_the_order_of_the_probes(ports: tuple[int, int], concurrency: int) -> None:
    probes = [local(ports[number % 2]) for number in range(40)]
    outcomes = Prober(probes, Pace(5.0, 1, concurrency)).run()
    assert [outcome._replace(seconds=0.0) for outcome in outcomes] == [
        ProbeOutcome("open"),
        ProbeOutcome("refused"),
    ] * 20
    assert all(0 <= outcome.seconds < 5 for outcome in outcomes)


def test_no_more_than_the_concurrency_at_a_time(ports: tuple[int, int]) -> None:
    alive, most = set(), []

    class Counted(socket.socket):
        def close(self) -> None:
            alive.discard(id(self))
            super().close()

    def counted(probe: Probe) -> socket.socket:
        sock = Counted(socket.AF_INET, socket.SOCK_STREAM)
        sock.setblocking(False)
        alive.add(id(sock))
        most.append(len(alive))
        return sock

    Prober([local(ports[1])] * 30, Pace(5.0, 1, 4), counted).run()
    assert (max(most), alive) == (4, set())


def test_a_socket_that_cannot_be_made_is_an_error() -> None:
    def full(probe: Probe) -> socket.socket:
        raise OSError(errno.EMFILE, "Too many open files")

    assert (
        Prober([local(9), local(10)], Pace(1.0, 2, 10), full).run()
        == [ProbeOutcome("error", "Too many open files.")] * 2
    )


def test_silence_counts_as_filtered_after_the_last_attempt() -> None:
    """A socket that is bound and never answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        silent.setblocking(False)
        [outcome] = Prober([local(silent.getsockname()[1], "udp")], Pace(0.05, 3, 10, key=KEY)).run()
        received = []
        while True:
            try:
                received.append(silent.recv(99))
            except BlockingIOError:
                break
    assert received == [question(KEY)] * 3
    assert outcome._replace(seconds=0.0) == SILENCE._replace(attempts=3)
    assert 0.05 <= outcome.seconds < 1


def test_no_probes_no_outcomes() -> None:
    assert Prober([], Pace()).run() == []


# ---- a whole call


class Echoes:
    """Answers of echo requests, one for each call; `asked` has the addresses of each call."""

    def __init__(self, *answers: dict[str, EchoResult]) -> None:
        self._answers = iter(answers)
        self.asked: list[list[str]] = []

    def __call__(self, addresses: Sequence[str], timeout: float, attempts: int) -> dict[str, EchoResult]:
        self.asked.append(list(addresses))
        return next(self._answers)


def test_hosts_must_be_reachable_before_and_after() -> None:
    echoes = Echoes({"127.0.0.1": EchoResult(True), "127.0.0.2": SILENT}, {"127.0.0.1": SILENT})
    groups = [{"address": "127.0.0.2", "ports": []}, {"address": "127.0.0.1", "ports": []}]
    results = probe_all(groups, Pace(0.1, 1, 10), echoes)
    assert echoes.asked == [["127.0.0.1", "127.0.0.2"], ["127.0.0.1"]]
    assert [(item["address"], item["reachable"]) for item in results] == [("127.0.0.1", False), ("127.0.0.2", False)]


def test_addresses_are_normalized_and_joined(ports: tuple[int, int]) -> None:
    echoes = Echoes(*[{"::1": EchoResult(True), "127.0.0.1": EchoResult(True)}] * 2)
    groups = [
        {"address": "0:0::1", "ports": []},
        {"address": "127.0.0.1", "ports": [f"{ports[0]}/tcp"]},
        {"address": "127.0.0.1", "ports": [f"{ports[1]}/tcp"]},
    ]
    found = {item["address"]: (item["open"], item["refused"]) for item in probe_all(groups, Pace(1.0, 1, 10), echoes)}
    assert found == {"::1": ([], []), "127.0.0.1": ([f"{ports[0]}/tcp"], [f"{ports[1]}/tcp"])}


def test_hosts_are_probed_in_turn() -> None:
    probes = interleaved_probes(
        [{"address": "10.0.0.1", "ports": ["1/tcp", "2/tcp", "3/tcp"]}, {"address": "10.0.0.2", "ports": ["1/tcp"]}]
    )
    assert [(probe.port.first, probe.address[-1]) for probe in probes] == [(1, "1"), (1, "2"), (2, "1"), (3, "1")]


@pytest.mark.parametrize(
    "group,text",
    [
        ({"address": "ctl1", "ports": []}, "got 'ctl1', expected an IPv4 or IPv6 address"),
        (
            {"address": "10.0.0.1", "ports": ["1-2/tcp"]},
            "got '1-2/tcp', expected one port of tcp or udp, such as '22/tcp'",
        ),
    ],
)
def test_bad_probes_are_refused(group: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError) as failed:
        probe_all([group], Pace(1.0, 1, 10))
    assert str(failed.value) == text


def test_results_are_by_address_and_outcome() -> None:
    probes = [Probe(TARGET, PortRange("tcp", port, port)) for port in (1, 2, 3, 4, 5)]
    outcomes = [
        ProbeOutcome("open", nonce=NONCE, seconds=0.1),
        ProbeOutcome("refused"),
        SILENCE._replace(attempts=2),
        ProbeOutcome("filtered", "Rejected.", True),
        ProbeOutcome("error", "Failed."),
    ]
    nothing = {"rejected": [], "nonces": {}, "seconds": {}, "attempts": {}}
    assert results_by_address(probes, outcomes, {TARGET: EchoResult(True), ROUTER: EchoResult(None, "No right.")}) == [
        {
            "address": TARGET,
            "reachable": True,
            "open": ["1/tcp"],
            "refused": ["2/tcp"],
            "filtered": ["3/tcp", "4/tcp"],
            "error": ["5/tcp"],
            "rejected": ["4/tcp"],
            "details": {"4/tcp": "Rejected.", "5/tcp": "Failed."},
            "nonces": {NONCE: ["1/tcp"]},
            "attempts": {"3/tcp": 2},
            "seconds": {"1/tcp": 0.1, "2/tcp": 0.0, "3/tcp": 0.0, "4/tcp": 0.0, "5/tcp": 0.0},
        },
        {
            "address": ROUTER,
            "reachable": None,
            "open": [],
            "refused": [],
            "filtered": [],
            "error": [],
            **nothing,
            "details": {"path": "No right."},
        },
    ]


# ---- who answered


def test_the_nonce_of_a_listener_is_awaited() -> None:
    def speak(server: socket.socket) -> None:
        with server.accept()[0] as connection:
            time.sleep(0.05)
            connection.sendall(greeting(NONCE))
            with suppress(ConnectionResetError):
                connection.recv(1)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=speak, args=(server,))
        thread.start()
        [outcome] = Prober([local(server.getsockname()[1])], Pace(2.0, 1, 10, key=KEY)).run()
        thread.join()
    assert (outcome.outcome, outcome.nonce, outcome.seconds < 2) == ("open", NONCE, True)


def test_a_silent_service_is_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        probes = [local(server.getsockname()[1])]
        [waited] = Prober(probes, Pace(0.1, 1, 10, key=KEY)).run()
        [at_once] = Prober(probes, Pace(5.0, 1, 10)).run()
    assert (waited.outcome, waited.nonce, at_once.outcome, at_once.nonce) == ("open", "", "open", "")
    assert waited.seconds >= 0.1 and at_once.seconds < 2


def test_probes_start_at_the_given_rate(ports: tuple[int, int]) -> None:
    started = time.monotonic()
    Prober([local(ports[1])] * 40, Pace(5.0, 1, 1000, rate=100.0)).run()
    # Missed starts may be caught up at first.
    assert 0.25 < time.monotonic() - started < 5


# ---- what this host makes of its way there


def test_source_address_of_connections() -> None:
    assert source_address_to("127.0.0.1") == "127.0.0.1"


def test_there_is_no_source_address_without_a_route() -> None:
    def unreachable(*arguments: Any) -> None:
        raise OSError(errno.ENETUNREACH, "Network is unreachable")

    class Stuck(socket.socket):
        connect = unreachable

    assert source_address_to("10.0.0.1", Stuck) == ""


def test_names_that_resolve_to_other_addresses() -> None:
    known = {"same": ["10.0.0.1", "10.0.0.9"], "other": ["10.0.0.3", "10.0.0.2"]}

    def lookup(name: str, port: None, family: int) -> list[Any]:
        if name not in known or family == socket.AF_INET6:
            raise socket.gaierror("Name or service not known")
        return [(family, 0, 0, "", (address, 0)) for address in known[name] * 2]

    assert names_elsewhere(["same", "other", "unknown"], "10.0.0.1", lookup) == {"other": ["10.0.0.2", "10.0.0.3"]}
    assert names_elsewhere(["other"], "fd00::1", lookup) == {} == names_elsewhere([], "10.0.0.1", lookup)
