# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Probes: many real connection attempts at once, each with an outcome that a firewall can be judged by.

open: something answered. refused: the host answered that nobody listens. filtered: no answer, or an administrative
reject. error: the probe itself failed, which says nothing about a firewall.
"""

from __future__ import annotations

import errno
import ipaddress
import itertools
import os
import selectors
import socket
import time
from collections import deque
from dataclasses import dataclass
from typing import Any, Deque, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.hpc.ports.plugins.module_utils.datagrams import questions_for
from ansible_collections.hpc.ports.plugins.module_utils.icmp import Notice, Path, ask_for_notices, echo, notice_of
from ansible_collections.hpc.ports.plugins.module_utils.ports import PortRange
from ansible_collections.hpc.ports.plugins.module_utils.sockets import raise_file_limit, reset_on_close, single_port

OPEN, REFUSED, FILTERED, ERROR = "open", "refused", "filtered", "error"
_SPARE_FILES = 64
_ECHO_ATTEMPTS = 3
OUTCOMES = (OPEN, REFUSED, FILTERED, ERROR)


class Probe(NamedTuple):
    """One connection attempt: an address in its normal form, and one port of tcp or udp."""

    address: str
    port: PortRange


class Outcome(NamedTuple):
    """What came of a probe; `rejected` when filtered is more than silence: somebody said that it is not allowed."""

    outcome: str
    detail: str = ""
    rejected: bool = False


SILENCE = Outcome(FILTERED)


@dataclass
class _Attempt:
    index: int
    number: int
    sock: socket.socket
    deadline: float
    is_over: bool = False


class Prober:
    """Runs probes, at most `concurrency` at a time; silence is believed after `attempts` of `timeout` seconds each."""

    def __init__(self, probes: Sequence[Probe], timeout: float, attempts: int, concurrency: int) -> None:
        self._probes = probes
        self._timeout = timeout
        self._attempts = attempts
        self._concurrency = concurrency
        self._selector = selectors.DefaultSelector()
        self._waiting: Deque[Tuple[int, int]] = deque((index, 1) for index in range(len(probes)))
        # In the order of their deadlines, because the time-out is the same for all.
        self._running: Deque[_Attempt] = deque()
        self._active = 0
        self._outcomes: Dict[int, Outcome] = {}

    def run(self) -> List[Outcome]:
        """Return the outcomes in the order of the probes; every socket is closed by then."""
        with self._selector:
            while self._waiting or self._active:
                self._fill()
                for key, events in self._selector.select(self._time_left()):
                    self._hear(key.data)
                self._expire()
        return [self._outcomes[index] for index in range(len(self._probes))]

    def _fill(self) -> None:
        while self._waiting and self._active < self._concurrency:
            index, number = self._waiting.popleft()
            try:
                sock = _new_socket(self._probes[index])
            except OSError as exc:
                self._outcomes[index] = judged(self._probes[index], exc.errno or 0, None, at_once=True)
            else:
                self._start(_Attempt(index, number, sock, time.monotonic() + self._timeout))

    def _start(self, attempt: _Attempt) -> None:
        probe = self._probes[attempt.index]
        event = selectors.EVENT_WRITE if probe.port.protocol == "tcp" else selectors.EVENT_READ
        self._selector.register(attempt.sock, event, attempt)
        self._running.append(attempt)
        self._active += 1
        try:
            _send(attempt.sock, probe)
        except BlockingIOError:
            pass
        except OSError as exc:
            self._finish(attempt, judged(probe, exc.errno or 0, notice_of(attempt.sock), at_once=True))

    def _hear(self, attempt: _Attempt) -> None:
        probe, sock = self._probes[attempt.index], attempt.sock
        number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if not number and probe.port.protocol == "udp":
            try:
                sock.recv(512)
            except BlockingIOError:
                return  # woken for nothing
            except OSError as exc:
                number = exc.errno or 0
        self._finish(attempt, judged(probe, number, notice_of(sock)))

    def _finish(self, attempt: _Attempt, outcome: Outcome) -> None:
        if attempt.is_over:
            return
        attempt.is_over = True
        self._active -= 1
        self._selector.unregister(attempt.sock)
        attempt.sock.close()
        if outcome == SILENCE and attempt.number < self._attempts:
            self._waiting.append((attempt.index, attempt.number + 1))
        else:
            self._outcomes[attempt.index] = outcome

    def _expire(self) -> None:
        now = time.monotonic()
        while self._running and (self._running[0].is_over or self._running[0].deadline <= now):
            self._finish(self._running.popleft(), SILENCE)

    def _time_left(self) -> float:
        while self._running and self._running[0].is_over:
            self._running.popleft()
        return max(0.0, self._running[0].deadline - time.monotonic()) if self._running else 0.0


def _new_socket(probe: Probe) -> socket.socket:
    family = socket.AF_INET6 if ":" in probe.address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM if probe.port.protocol == "tcp" else socket.SOCK_DGRAM)
    sock.setblocking(False)
    ask_for_notices(sock)
    if probe.port.protocol == "tcp":
        reset_on_close(sock)
    return sock


def _send(sock: socket.socket, probe: Probe) -> None:
    sock.connect((probe.address, probe.port.first))
    if probe.port.protocol == "udp":
        for question in questions_for(probe.port.first):
            sock.send(question)


# ---- what an error means

def judged(probe: Probe, number: int, notice: Optional[Notice], at_once: bool = False) -> Outcome:
    """Return what an errno means (0: none), with the ICMP error behind it where the kernel tells.

    `at_once` when it came before anything was sent: then no router has said it.
    """
    # A reset after the handshake was done: somebody listens.
    if number in (0, errno.ECONNRESET, errno.EPIPE):
        return Outcome(OPEN)
    if number == errno.ETIMEDOUT:
        return SILENCE
    if notice and _is_reject(probe, notice):
        return Outcome(FILTERED, f"Rejected by {notice.sender} (ICMP type {notice.type}, code {notice.code}).", True)
    if number == errno.ECONNREFUSED:
        return Outcome(REFUSED)
    if number in (errno.EPERM, errno.EACCES):
        return Outcome(FILTERED, f"Not let out by this host itself: {os.strerror(number)}.", True)
    if number == errno.EHOSTUNREACH and not notice and not at_once:
        return Outcome(FILTERED, f"{os.strerror(number)}, and the kernel does not tell who says so.")
    said_by = f", says {notice.sender}" if notice else ""
    return Outcome(ERROR, f"{os.strerror(number)}{said_by}.")


def _is_reject(probe: Probe, notice: Notice) -> bool:
    """A host says `port unreachable` of UDP when nobody listens; of TCP only a firewall says it."""
    if notice.is_port_unreachable:
        return probe.port.protocol == "tcp" or notice.sender != probe.address
    return notice.is_prohibition


# ---- a whole call

def probe_all(groups: Sequence[Mapping[str, Any]], timeout: float, attempts: int, concurrency: int
              ) -> List[Dict[str, Any]]:
    """Probe `ports` of each `address` (groups of both) and return one result an address, as `report` has them.

    Each path is tried before and after: it has to stand all the time. Raises ValueError for a bad address or port.
    """
    probes = _interleaved([[_probe(group["address"], text) for text in group["ports"]] for group in groups])
    addresses = sorted({_normal(group["address"]) for group in groups})
    limit = raise_file_limit(concurrency + _SPARE_FILES) - _SPARE_FILES
    before = echo(addresses, timeout, _ECHO_ATTEMPTS)
    outcomes = Prober(probes, timeout, attempts, max(1, min(concurrency, limit))).run()
    after = echo([address for address in addresses if before[address].reachable], timeout, _ECHO_ATTEMPTS)
    return report(probes, outcomes, {**before, **after})


def _probe(address: str, text: str) -> Probe:
    return Probe(_normal(address), single_port(text))


def _normal(address: str) -> str:
    try:
        return str(ipaddress.ip_address(address))
    except ValueError as exc:
        raise ValueError(f"got {address!r}, expected an IPv4 or IPv6 address") from exc


def _interleaved(groups: Sequence[Sequence[Probe]]) -> List[Probe]:
    """Take one of each group in turn, so that no host is hit by all of its probes at once."""
    return [probe for row in itertools.zip_longest(*groups) for probe in row if probe]


def report(probes: Sequence[Probe], outcomes: Sequence[Outcome], paths: Dict[str, Path]) -> List[Dict[str, Any]]:
    """Return one dictionary an address: reachable, the ports by outcome, `rejected` among filtered, and details."""
    results: Dict[str, Dict[str, Any]] = {
        address: {"address": address, "reachable": path.reachable, **{name: [] for name in OUTCOMES}, "rejected": [],
                  "details": {"path": path.detail} if path.detail else {}}
        for address, path in paths.items()}
    for probe, outcome in zip(probes, outcomes):
        result = results[probe.address]
        result[outcome.outcome].append(str(probe.port))
        if outcome.rejected:
            result["rejected"].append(str(probe.port))
        if outcome.detail:
            result["details"][str(probe.port)] = outcome.detail
    return list(results.values())
