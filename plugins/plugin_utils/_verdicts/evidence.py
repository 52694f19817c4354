# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look up the reports of hosts for an expectation."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._model.wire import Counts, ProbeResult
from ansible_collections.hpc.ports.plugins.plugin_utils._expectations.expected import (
    FILTERED,
    OPEN,
    Expectation,
    port_text,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.host_answers import ListenAnswer

REFUSED, ERROR, MISSING = "refused", "error", "missing"
LISTENER, SERVICE, NOBODY = "listener", "service", "nobody"
COUNTERS = ("left", "arrived", "passed", "answered", "returned")
_AT_SOURCE = ("left", "returned")
OUTCOMES = (OPEN, REFUSED, FILTERED, ERROR)
_WILDCARDS = {4: "0.0.0.0", 6: "::"}


class Seen(NamedTuple):
    """The result of one probe, or that it is unknown.

    `rejected`: a device answered that the connection is not allowed. `nonce` is the text of the answer. `source` is the
    address of the probe, and `translated` the address that the target sees instead, behind NAT. `elsewhere` has names
    of the target that the source resolves to other addresses.
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
    translated: str = ""

    @property
    def peer(self) -> str:
        """Return the source address that the target sees."""
        return self.translated or self.source


class Origin(NamedTuple):
    """The source addresses of a host in the plan; `is_configured`: the inventory says that they differ from its own."""

    addresses: Sequence[str] = ()
    is_configured: bool = False


_NO_ORIGIN = Origin()
# By bound address and port: the holder until the end, or the reason without one; None if the listener died.
_Holders = dict[tuple[str, str], tuple[str, str]]
# By counter, own address, peer and port: the number of packets; None if not counted.
_CountsByConnection = dict[str, "dict[tuple[str, str, str], int] | None"]


@dataclass(frozen=True)
class Results:
    """The reports by host: the `results` of the module `verify_probe`, and the result of `verify_listen` when stopped.

    A host without a report was not reached, for example, or its module failed. `nonces` has the nonce of each host,
    `origins` its source addresses; `passive`: there were no listeners. `containers` has the host of each container that
    is a source. A container is a source like a host behind NAT, but its host counts its packets.
    """

    probed: Mapping[str, list[ProbeResult]] = field(default_factory=dict)
    stopped: Mapping[str, ListenAnswer] = field(default_factory=dict)
    nonces: Mapping[str, str] = field(default_factory=dict)
    passive: bool = False
    origins: Mapping[str, Origin] = field(default_factory=dict)
    containers: Mapping[str, str] = field(default_factory=dict)

    def seen(self, expectation: Expectation) -> Seen:
        """Return the result of the probe."""
        seen = self._seen_by_source.get(expectation.source, {}).get(
            (expectation.address, port_text(expectation)), Seen(MISSING)
        )
        translated = self.translated(expectation, seen.source)
        return seen._replace(translated=translated) if translated else seen

    def translated(self, expectation: Expectation, source: str) -> str:
        """Return the address that the target sees instead of the source's own address; empty without NAT.

        There is NAT if packets arrived from an address of the plan and none from the source's own, or if the inventory
        says that the host uses other source addresses.
        """
        origin = self.origins.get(expectation.source, _NO_ORIGIN)
        if not source or not origin.addresses or source in origin.addresses:
            return ""
        key = (
            expectation.source,
            expectation.target,
            expectation.address,
            expectation.protocol,
            expectation.port,
            source,
        )
        if key not in self._translations:
            self._translations[key] = self._translation(expectation, source, origin)
        return self._translations[key]

    def _translation(self, expectation: Expectation, source: str, origin: Origin) -> str:
        version = ":" in expectation.address
        planned, arrived = [text for text in origin.addresses if (":" in text) == version], self.arrivals(expectation)
        if source in arrived:
            return ""
        return next(
            (text for text in planned if text in arrived), planned[0] if planned and origin.is_configured else ""
        )

    def holder(self, expectation: Expectation) -> tuple[str, str]:
        """Return who held the port of the address until the end, or `nobody` and the reason."""
        holders = self._holders.get(expectation.target)
        if holders is None:
            return NOBODY, f"the listener on {expectation.target} did not run until the end"
        wildcard = _WILDCARDS[6 if ":" in expectation.address else 4]
        unheld = f"the service on {expectation.target} did not run until the end"
        return (
            holders.get((expectation.address, port_text(expectation)))
            or holders.get((wildcard, port_text(expectation)))
            or (NOBODY, "nothing listens on the port" if self.passive else unheld)
        )

    def dead_end(self, expectation: Expectation) -> str:
        """Return the address behind a proxy on the target that the proxy cannot reach, or an empty text."""
        listener = self.stopped.get(expectation.target)
        return listener.get("dead_ends", {}).get(port_text(expectation), "") if listener else ""

    def host_of(self, nonce: str) -> str:
        """Return the host with this nonce, or an empty text."""
        return self._hosts.get(nonce, "")

    def counters(self, expectation: Expectation) -> dict[str, int | None]:
        """Return how far how many packets of the connection got; None if not counted or unclear.

        Counted are packets from the source's address to the tried address, and their answers.
        """
        others = list(self._mixed_expectations(expectation)) if expectation.target in self._counts else []
        return {
            name: self._at_source(expectation, name)
            if name in _AT_SOURCE
            else self._at_target(expectation, name, others)
            for name in COUNTERS
        }

    def _at_source(self, expectation: Expectation, name: str) -> int | None:
        counts = self._counts.get(self._counting_source(expectation), {}).get(name)
        if counts is None:
            return None
        return counts.get((self.seen(expectation).source, expectation.address, port_text(expectation)), 0)

    def reached_own_host(self, expectation: Expectation) -> int | None:
        """Return how many packets of a container came to its own host, which forwards them; None if not counted."""
        counts = self._counts.get(self._counting_source(expectation), {}).get("arrived")
        if counts is None:
            return None
        return counts.get((expectation.address, self.seen(expectation).source, port_text(expectation)), 0)

    def _counting_source(self, expectation: Expectation) -> str:
        """Return the host that counts the packets of the source."""
        return self.containers.get(expectation.source, expectation.source)

    def _at_target(self, expectation: Expectation, name: str, others: Sequence[Expectation]) -> int | None:
        """Return how many packets arrived, if they can be distinguished from those of other expectations.

        Translated packets may arrive at another tried address, or from an address that several sources share. As many
        packets as the others sent may be theirs; if the target answered, one belonged to this connection.
        """
        counts = self._counts.get(expectation.target, {}).get(name)
        if counts is None:
            return None
        peer, port = self.seen(expectation).peer, port_text(expectation)
        if not others and self._is_reached_at(expectation.target, expectation.address):
            return counts.get((expectation.address, peer, port), 0)
        counts_by_address = {
            address: counts.get((address, peer, port), 0) for address in self._arrival_addresses[expectation.target]
        }
        total = sum(counts_by_address.get(address, 0) for address in self._addresses_of_arrival(expectation))
        if not others and total:
            return total
        sent_by_others = [self._at_source(other, "left") for other in others]
        certainly_own = max(
            0 if None in sent_by_others else total - sum(number or 0 for number in sent_by_others),
            int(self._is_answered(expectation)),
        )
        answered_others = sum(map(self._is_answered, others)) if total == sum(counts_by_address.values()) else 0
        return certainly_own if certainly_own > 0 else None if total > answered_others else 0

    def _is_answered(self, expectation: Expectation) -> bool:
        """Return whether the target itself answered."""
        return self.host_of(self.seen(expectation).nonce) == expectation.target

    def _addresses_of_arrival(self, expectation: Expectation) -> Collection[str]:
        """Return where on the target packets to the address may come: there, or anywhere if they are translated."""
        is_reached = self._is_reached_at(expectation.target, expectation.address)
        return (expectation.address,) if is_reached else self._arrival_addresses.get(expectation.target, ())

    def _mixed_expectations(self, expectation: Expectation) -> Iterator[Expectation]:
        """Yield other expectations with the same source address at the target that may arrive at the same address."""
        peer = self.seen(expectation).peer
        for host in dict.fromkeys((expectation.source, *self._sharing.get(peer, ()))):
            for address in self._mixed_addresses(expectation):
                other = expectation._replace(source=host, address=address)
                if other != expectation and self.seen(other).peer == peer:
                    yield other

    def _mixed_addresses(self, expectation: Expectation) -> Iterator[str]:
        """Yield the address, and other addresses of the target where packets to it may arrive."""
        is_reached = self._is_reached_at(expectation.target, expectation.address)
        yield expectation.address
        for address in self._own_addresses(expectation.target):
            if address != expectation.address and not (is_reached and self._is_reached_at(expectation.target, address)):
                yield address

    def _is_reached_at(self, host: str, address: str) -> bool:
        """Return whether packets to the address reach the host: it is its own, or the host translates it."""
        is_own = self._own_addresses(host).get(address, True)
        return is_own or address in self._arrival_addresses.get(host, ())

    def _own_addresses(self, host: str) -> Mapping[str, bool]:
        """Return whether each address that is tried on a host is its own."""
        listener = self.stopped.get(host)
        return listener.get("own", {}) if listener else {}

    def arrivals(self, expectation: Expectation) -> set[str]:
        """Return the source addresses of first packets to this port of the target's address."""
        version, port = ":" in expectation.address, port_text(expectation)
        peers = self._peers.get(expectation.target, {})
        return {
            peer
            for address in self._addresses_of_arrival(expectation)
            for peer in peers.get((address, port), ())
            if (":" in peer) == version
        }

    @cached_property
    def _seen_by_source(self) -> dict[str, dict[tuple[str, str], Seen]]:
        return {source: _seen_by(results) for source, results in self.probed.items()}

    @cached_property
    def _translations(self) -> dict[tuple[str, str, str, str, int, str], str]:
        return {}

    @cached_property
    def _peers(self) -> dict[str, dict[tuple[str, str], set[str]]]:
        """The source addresses at each host, by its address and port."""
        peers: dict[str, dict[tuple[str, str], set[str]]] = defaultdict(lambda: defaultdict(set))
        for host, counts in self._counts.items():
            for address, peer, port in counts["arrived"] or ():
                peers[host][address, port].add(peer)
        return peers

    @cached_property
    def _sharing(self) -> dict[str, list[str]]:
        """The hosts that share a source address of the plan, by this address."""
        hosts_by_address: dict[str, list[str]] = defaultdict(list)
        for host in self.probed:
            for address in self.origins.get(host, _NO_ORIGIN).addresses:
                hosts_by_address[address].append(host)
        return {address: hosts for address, hosts in hosts_by_address.items() if len(hosts) > 1}

    @cached_property
    def _holders(self) -> dict[str, _Holders | None]:
        return {target: _holders_on(listener) for target, listener in self.stopped.items()}

    @cached_property
    def _hosts(self) -> dict[str, str]:
        return {nonce: host for host, nonce in self.nonces.items()}

    @cached_property
    def _counts(self) -> dict[str, _CountsByConnection]:
        return {
            host: _counts_by_connection(listener["counts"])
            for host, listener in self.stopped.items()
            if listener.get("counts")
        }

    @cached_property
    def _arrival_addresses(self) -> dict[str, set[str]]:
        """The addresses of each host at which packets arrived."""
        return {
            host: {address for name in COUNTERS if name not in _AT_SOURCE for address, peer, port in counts[name] or ()}
            for host, counts in self._counts.items()
        }


def _seen_by(results: Iterable[ProbeResult]) -> dict[tuple[str, str], Seen]:
    return {
        (result["address"], port): Seen(
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
        )
        for result in results
        for nonces in [_by_port(result["nonces"])]
        for outcome, ports in _ports_by_outcome(result)
        for port in ports
        for nonce in [nonces.get(port, "")]
    }


def _ports_by_outcome(result: ProbeResult) -> Iterator[tuple[str, list[str]]]:
    return zip(OUTCOMES, (result["open"], result["refused"], result["filtered"], result["error"]))


def _by_port(nonces: Mapping[str, list[str]]) -> dict[str, str]:
    return {port: nonce for nonce, ports in nonces.items() for port in ports}


def _holders_on(listener: ListenAnswer) -> _Holders | None:
    if not listener.get("alive"):
        return None
    not_held = {
        (address, port): (NOBODY, f"no listener could be started there ({reason})")
        for address, reasons in listener["not_held"].items()
        for port, reason in reasons.items()
    }
    listening = {(address, port): (LISTENER, "") for address, ports in listener["listening"].items() for port in ports}
    services = {(address, port): (SERVICE, "") for address, ports in listener["in_use"].items() for port in ports}
    return {**not_held, **listening, **services}


def _counts_by_connection(counts: Counts) -> _CountsByConnection:
    return {
        name: None
        if packets is None
        else {
            (own, peer, port): int(number)
            for own, peers in packets.items()
            for peer, by_number in peers.items()
            for number, ports in by_number.items()
            for port in ports
        }
        for name in COUNTERS
        for packets in [counts.get(name, {})]
    }
