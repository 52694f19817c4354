# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Evidence: what the hosts reported of a run, found again by expectation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any, NamedTuple

from ansible_collections.hpc.ports.plugins.plugin_utils.expectations import FILTERED, OPEN, Expectation, port_text

REFUSED, ERROR, MISSING = "refused", "error", "missing"
LISTENER, SERVICE, NOBODY = "listener", "service", "nobody"
COUNTERS = ("left", "arrived", "passed", "answered", "returned")
_OUTCOMES = (OPEN, REFUSED, FILTERED, ERROR)
_ANY = {4: "0.0.0.0", 6: "::"}


class Seen(NamedTuple):
    """What came of one probe, or that nothing is known of it.

    `rejected` when somebody said that it is not allowed; `nonce` as it was said by who answered; `source` is the
    address that the probe came from; `elsewhere` has names of the target with what they mean to the source.
    """

    outcome: str
    detail: str = ""
    rejected: bool = False
    reachable: bool | None = None
    path: str = ""
    nonce: str = ""
    seconds: float | None = None
    attempts: int = 1
    source: str = ""
    elsewhere: Mapping[str, list[str]] = MappingProxyType({})


# By the address bound and the port: who had it until the end, or why nobody had it; None where the listener died.
_Held = dict[tuple[str, str], tuple[str, str]]
# By what was counted, peer and port: how many packets.
_Counted = dict[str, dict[tuple[str, str], int]]


@dataclass(frozen=True)
class Results:
    """What hosts reported, by host: of the module `probe` its `results`, of `listen` what it said when stopped.

    A host that is missing, or says nothing of the kind, was not reached, for example, or its module failed. `nonces`
    has the one of each host; `passive` when there were no listeners.
    """

    probed: Mapping[str, list[Mapping[str, Any]]] = field(default_factory=dict)
    stopped: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    nonces: Mapping[str, str] = field(default_factory=dict)
    passive: bool = False

    def seen(self, item: Expectation) -> Seen:
        """Return what came of the probe."""
        return self._seen.get(item.source, {}).get((item.address, port_text(item)), Seen(MISSING))

    def holder(self, item: Expectation) -> tuple[str, str]:
        """Return who held the port of the address until the end, or nobody with the reason."""
        held = self._held.get(item.target)
        if held is None:
            return NOBODY, f"the listener on {item.target} was not there until the end"
        wildcard = _ANY[6 if ":" in item.address else 4]
        left = f"the service on {item.target} was not there until the end"
        return held.get((item.address, port_text(item))) or held.get((wildcard, port_text(item))) or (
            NOBODY, "nobody listens there" if self.passive else left)

    def host_of(self, nonce: str) -> str:
        """Return the host that says this nonce, or nothing."""
        return self._hosts.get(nonce, "")

    def counters(self, item: Expectation) -> dict[str, int | None]:
        """Return how many packets of the connection came how far; None where nobody counted."""
        source, target = self._counts.get(item.source), self._counts.get(item.target)
        peer = self.seen(item).source
        here = {"left": (source, item.address), "returned": (source, item.address)}
        return {name: self._count(*here.get(name, (target, peer)), name, port_text(item)) for name in COUNTERS}

    @staticmethod
    def _count(counts: _Counted | None, peer: str, name: str, port: str) -> int | None:
        return None if counts is None else counts[name].get((peer, port), 0)

    def arrivals(self, item: Expectation) -> set[str]:
        """Return the addresses that opening packets to this port of the target came from."""
        counts = self._counts.get(item.target) or {"arrived": {}}
        version = ":" in item.address
        return {peer for peer, port in counts["arrived"] if port == port_text(item) and (":" in peer) == version}

    @cached_property
    def _seen(self) -> dict[str, dict[tuple[str, str], Seen]]:
        return {source: _seen_by(found) for source, found in self.probed.items()}

    @cached_property
    def _held(self) -> dict[str, _Held | None]:
        return {target: _held_on(said) for target, said in self.stopped.items()}

    @cached_property
    def _hosts(self) -> dict[str, str]:
        return {nonce: host for host, nonce in self.nonces.items()}

    @cached_property
    def _counts(self) -> dict[str, _Counted]:
        return {host: _counted(said["counts"]) for host, said in self.stopped.items() if said.get("counts")}


def _seen_by(found: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], Seen]:
    return {(result["address"], port): Seen(
        outcome=outcome,
        detail=result["details"].get(port, ""),
        rejected=port in result["rejected"],
        reachable=result["reachable"],
        path=result["details"].get("path", ""),
        nonce=nonce,
        seconds=result["seconds"].get(port),
        attempts=result["attempts"].get(port, 1),
        source=result["source"],
        elsewhere=result["elsewhere"],
    ) for result in found for nonces in [_by_port(result["nonces"])] for outcome in _OUTCOMES
        for port in result[outcome] for nonce in [nonces.get(port, "")]}


def _by_port(nonces: Mapping[str, list[str]]) -> dict[str, str]:
    return {port: nonce for nonce, ports in nonces.items() for port in ports}


def _held_on(said: Mapping[str, Any]) -> _Held | None:
    if not said.get("alive"):
        return None
    nobody = {(address, port): (NOBODY, f"no listener could be put there ({reason})")
              for address, reasons in said["not_held"].items() for port, reason in reasons.items()}
    ours = {(address, port): (LISTENER, "") for address, ports in said["listening"].items() for port in ports}
    services = {(address, port): (SERVICE, "") for address, ports in said["in_use"].items() for port in ports}
    return {**nobody, **ours, **services}


def _counted(counts: Mapping[str, Mapping[str, Mapping[str, list[str]]]]) -> _Counted:
    return {name: {(peer, port): int(number) for peer, by_number in counts.get(name, {}).items()
                   for number, ports in by_number.items() for port in ports} for name in COUNTERS}
