# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Probes: open many real connections at once, and return for each port an outcome that tests a firewall.

open: something answered. refused: the host answered that the port is closed. filtered: no answer, or an administrative
reject. error: the probe itself failed, which proves nothing about a firewall. The nonce of a listener proves which host
answered.
"""

from __future__ import annotations

import contextlib
import ipaddress
import itertools
import selectors
import socket
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Callable, NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._model.wire import PortResults, ProbeResult
from ansible_collections.hpc.ports.plugins.module_utils._probe.icmp import EchoResult, ask_for_notices, echo, notice_of
from ansible_collections.hpc.ports.plugins.module_utils._probe.outcomes import (
    OPEN,
    SILENCE,
    Probe,
    ProbeOutcome,
    outcome_of_error,
)
from ansible_collections.hpc.ports.plugins.module_utils._probe.protocol import nonce_in, questions_for
from ansible_collections.hpc.ports.plugins.module_utils._probe.sockets import (
    raise_file_limit,
    reset_on_close,
    single_port,
)

_SPARE_FILES = 64
_ECHO_ATTEMPTS = 3
_CATCH_UP = 0.1  # seconds of missed starts that are caught up at once


class Pace(NamedTuple):
    """How probes are sent.

    timeout      seconds to wait for an answer
    attempts     how many times a connection is tried before silence counts as filtered
    concurrency  maximum number of connections at a time
    rate         new connections per second; a low rate does not look like an attack
    key          key of the run that UDP listeners expect; empty: no listeners, so do not wait for a nonce
    """

    timeout: float = 1.0
    attempts: int = 2
    concurrency: int = 1000
    rate: float = 300.0
    key: str = ""


@dataclass
class _Attempt:
    index: int
    number: int
    sock: socket.socket
    started: float
    deadline: float
    is_connected: bool = False
    is_over: bool = False


def probe_socket(probe: Probe) -> socket.socket:
    """Return a non-blocking socket for a probe. Raises OSError."""
    family = socket.AF_INET6 if ":" in probe.address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM if probe.port.protocol == "tcp" else socket.SOCK_DGRAM)
    sock.setblocking(False)
    ask_for_notices(sock)
    if probe.port.protocol == "tcp":
        reset_on_close(sock)
    return sock


class Prober:
    """Runs probes at a given pace."""

    def __init__(
        self, probes: Sequence[Probe], pace: Pace, socket_of: Callable[[Probe], socket.socket] = probe_socket
    ) -> None:
        self._probes = probes
        self._pace = pace
        self._socket_of = socket_of
        self._selector = selectors.DefaultSelector()
        self._waiting: deque[tuple[int, int]] = deque((index, 1) for index in range(len(probes)))
        # Ordered by deadline, because all attempts have the same timeout.
        self._running: deque[_Attempt] = deque()
        self._active = 0
        self._next_start = 0.0
        self._outcomes: dict[int, ProbeOutcome] = {}

    def run(self) -> list[ProbeOutcome]:
        """Run all probes, close all sockets, and return the outcomes in the order of the probes."""
        with self._selector:
            while self._waiting or self._active:
                self._start_waiting()
                for key, _events in self._selector.select(self._time_left()):
                    self._handle_event(key.data)
                self._expire()
        return [self._outcomes[index] for index in range(len(self._probes))]

    def _start_waiting(self) -> None:
        now = time.monotonic()
        self._next_start = max(self._next_start, now - _CATCH_UP)
        while self._waiting and self._active < self._pace.concurrency and self._next_start <= now:
            self._next_start += 1 / self._pace.rate
            index, number = self._waiting.popleft()
            try:
                sock = self._socket_of(self._probes[index])
            except OSError as exc:
                self._outcomes[index] = outcome_of_error(self._probes[index], exc.errno or 0, None, at_once=True)
            else:
                started = time.monotonic()
                self._start(_Attempt(index, number, sock, started, started + self._pace.timeout))

    def _start(self, attempt: _Attempt) -> None:
        probe = self._probes[attempt.index]
        event = selectors.EVENT_WRITE if probe.port.protocol == "tcp" else selectors.EVENT_READ
        self._selector.register(attempt.sock, event, attempt)
        self._running.append(attempt)
        self._active += 1
        try:
            _send(attempt.sock, probe, self._pace.key)
        except BlockingIOError:
            pass
        except OSError as exc:
            self._finish(attempt, outcome_of_error(probe, exc.errno or 0, notice_of(attempt.sock), at_once=True))

    def _handle_event(self, attempt: _Attempt) -> None:
        probe, sock = self._probes[attempt.index], attempt.sock
        if attempt.is_connected:
            self._finish(attempt, ProbeOutcome(OPEN, nonce=_nonce_from(sock)))
            return
        number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        nonce = ""
        if not number and probe.port.protocol == "udp":
            try:
                nonce = nonce_in(sock.recv(512))
            except BlockingIOError:
                return  # spurious wakeup
            except OSError as exc:
                number = exc.errno or 0
        outcome = outcome_of_error(probe, number, notice_of(sock))
        if outcome.outcome == OPEN and not number and probe.port.protocol == "tcp" and self._pace.key:
            self._await_nonce(attempt)
        else:
            self._finish(attempt, outcome._replace(nonce=nonce))

    def _await_nonce(self, attempt: _Attempt) -> None:
        """Wait for the nonce that our listener sends on connect; a service may send nothing."""
        attempt.is_over = True
        waiting = replace(attempt, deadline=time.monotonic() + self._pace.timeout, is_connected=True, is_over=False)
        self._selector.modify(attempt.sock, selectors.EVENT_READ, waiting)
        self._running.append(waiting)

    def _finish(self, attempt: _Attempt, outcome: ProbeOutcome) -> None:
        if attempt.is_over:
            return
        attempt.is_over = True
        self._active -= 1
        self._selector.unregister(attempt.sock)
        attempt.sock.close()
        if outcome == SILENCE and attempt.number < self._pace.attempts:
            self._waiting.append((attempt.index, attempt.number + 1))
        else:
            seconds = round(time.monotonic() - attempt.started, 4)
            self._outcomes[attempt.index] = outcome._replace(seconds=seconds, attempts=attempt.number)

    def _expire(self) -> None:
        now = time.monotonic()
        while self._running and (self._running[0].is_over or self._running[0].deadline <= now):
            attempt = self._running.popleft()
            self._finish(attempt, ProbeOutcome(OPEN) if attempt.is_connected else SILENCE)

    def _time_left(self) -> float:
        while self._running and self._running[0].is_over:
            self._running.popleft()
        times = [self._running[0].deadline] if self._running else []
        if self._waiting and self._active < self._pace.concurrency:
            times.append(self._next_start)
        return max(0.0, min(times, default=0.0) - time.monotonic())


def _nonce_from(sock: socket.socket) -> str:
    try:
        return nonce_in(sock.recv(512))
    except OSError:
        return ""


def _send(sock: socket.socket, probe: Probe, key: str) -> None:
    sock.connect((probe.address, probe.port.first))
    if probe.port.protocol == "udp":
        for question in questions_for(probe.port.first, key):
            sock.send(question)


# ---- a whole call


def probe_all(
    groups: Sequence[Mapping[str, Any]],
    pace: Pace,
    echoes: Callable[[Sequence[str], float, int], dict[str, EchoResult]] = echo,
) -> list[ProbeResult]:
    """Probe the `ports` of each `address` in the groups, and return one result per address.

    An echo request is sent to each address before and after the probes: silence proves a firewall only if the host was
    reachable throughout. If a group has `names`, the result lists those that this host resolves to other addresses.
    Raises ValueError for an invalid address or port.
    """
    probes = interleaved_probes(groups)
    addresses = sorted({_normal_address(group["address"]) for group in groups})
    limit = raise_file_limit(pace.concurrency + _SPARE_FILES) - _SPARE_FILES
    before = echoes(addresses, pace.timeout, _ECHO_ATTEMPTS)
    outcomes = Prober(probes, pace._replace(concurrency=max(1, min(pace.concurrency, limit)))).run()
    after = echoes([address for address in addresses if before[address].reachable], pace.timeout, _ECHO_ATTEMPTS)
    named = {
        _normal_address(group["address"]): names_elsewhere(group.get("names") or (), _normal_address(group["address"]))
        for group in groups
    }
    return [
        {**result, "source": source_address_to(result["address"]), "elsewhere": named[result["address"]]}
        for result in results_by_address(probes, outcomes, {**before, **after})
    ]


def source_address_to(address: str, socket_of: Callable[[int, int], socket.socket] = socket.socket) -> str:
    """Return the source address of connections from this host to an address; empty without a route."""
    with socket_of(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect((address, 9))  # connecting a datagram socket sends nothing
        except OSError:
            return ""
        return str(sock.getsockname()[0])


def names_elsewhere(
    names: Sequence[str], address: str, lookup: Callable[..., Sequence[Any]] = socket.getaddrinfo
) -> dict[str, list[str]]:
    """Return the names that this host resolves to other addresses than `address`, with these addresses."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    resolved = {}
    for name in names:
        with contextlib.suppress(OSError, UnicodeError):
            addresses = sorted({str(entry[4][0]) for entry in lookup(name, None, family)})
            if addresses and address not in addresses:
                resolved[name] = addresses
    return resolved


def _probe(address: str, text: str) -> Probe:
    return Probe(_normal_address(address), single_port(text))


def _normal_address(address: str) -> str:
    try:
        return str(ipaddress.ip_address(address))
    except ValueError as exc:
        raise ValueError(f"got {address!r}, expected an IPv4 or IPv6 address") from exc


def interleaved_probes(groups: Sequence[Mapping[str, Any]]) -> list[Probe]:
    """Return the probes of all groups, interleaved so that no host receives all of its probes at once."""
    probes = [[_probe(group["address"], text) for text in group["ports"]] for group in groups]
    return [probe for row in itertools.zip_longest(*probes) for probe in row if probe]


def results_by_address(
    probes: Sequence[Probe], outcomes: Sequence[ProbeOutcome], paths: dict[str, EchoResult]
) -> list[PortResults]:
    """Return the outcomes of all ports, one result per address; see `PortResults`."""
    results: dict[str, PortResults] = {
        address: {
            "address": address,
            "reachable": path.reachable,
            "open": [],
            "refused": [],
            "filtered": [],
            "error": [],
            "rejected": [],
            "details": {"path": path.detail} if path.detail else {},
            "nonces": {},
            "seconds": {},
            "attempts": {},
        }
        for address, path in paths.items()
    }
    for probe, outcome in zip(probes, outcomes):
        _note(results[probe.address], str(probe.port), outcome)
    return list(results.values())


def _note(result: PortResults, port: str, outcome: ProbeOutcome) -> None:
    result[outcome.outcome].append(port)
    result["seconds"][port] = outcome.seconds
    if outcome.rejected:
        result["rejected"].append(port)
    if outcome.detail:
        result["details"][port] = outcome.detail
    if outcome.nonce:
        result["nonces"].setdefault(outcome.nonce, []).append(port)
    if outcome.attempts > 1:
        result["attempts"][port] = outcome.attempts
