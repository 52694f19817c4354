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
from typing import Any, NamedTuple

from ansible_collections.hpc.ports.plugins.plugin_utils._expectations.expected import (
    FILTERED,
    OPEN,
    Expectation,
    port_text,
)

REFUSED, ERROR, MISSING = "refused", "error", "missing"
LISTENER, SERVICE, NOBODY = "listener", "service", "nobody"
COUNTERS = ("left", "arrived", "passed", "answered", "returned")
_AT_SOURCE = ("left", "returned")
OUTCOMES = (OPEN, REFUSED, FILTERED, ERROR)
_ANY = {4: "0.0.0.0", 6: "::"}


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
    """The source addresses of a host in the plan; `is_told`: the inventory says that they differ from its own."""

    addresses: Sequence[str] = ()
    is_told: bool = False


_NOWHERE = Origin()
# By bound address and port: the holder until the end, or the reason without one; None if the listener died.
_Held = dict[tuple[str, str], tuple[str, str]]
# By counter, own address, peer and port: the number of packets; None if not counted.
_Counted = dict[str, "dict[tuple[str, str, str], int] | None"]


@dataclass(frozen=True)
class Results:
    """The reports by host: the `results` of the module `verify_probe`, and the result of `verify_listen` when stopped.

    A host without a report was not reached, for example, or its module failed. `nonces` has the nonce of each host,
    `origins` its source addresses; `passive`: there were no listeners.
    """

    probed: Mapping[str, list[Mapping[str, Any]]] = field(default_factory=dict)
    stopped: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    nonces: Mapping[str, str] = field(default_factory=dict)
    passive: bool = False
    origins: Mapping[str, Origin] = field(default_factory=dict)

    def seen(self, item: Expectation) -> Seen:
        """Return the result of the probe."""
        found = self._seen.get(item.source, {}).get((item.address, port_text(item)), Seen(MISSING))
        translated = self.translated(item, found.source)
        return found._replace(translated=translated) if translated else found

    def translated(self, item: Expectation, source: str) -> str:
        """Return the address that the target sees instead of the source's own address; empty without NAT.

        There is NAT if packets arrived from an address of the plan and none from the source's own, or if the inventory
        says that the host uses other source addresses.
        """
        origin = self.origins.get(item.source, _NOWHERE)
        if not source or not origin.addresses or source in origin.addresses:
            return ""
        key = item.source, item.target, item.address, item.protocol, item.port, source
        if key not in self._translations:
            self._translations[key] = self._translation(item, source, origin)
        return self._translations[key]

    def _translation(self, item: Expectation, source: str, origin: Origin) -> str:
        version = ":" in item.address
        known, arrived = [text for text in origin.addresses if (":" in text) == version], self.arrivals(item)
        if source in arrived:
            return ""
        return next((text for text in known if text in arrived), known[0] if known and origin.is_told else "")

    def holder(self, item: Expectation) -> tuple[str, str]:
        """Return who held the port of the address until the end, or `nobody` and the reason."""
        held = self._held.get(item.target)
        if held is None:
            return NOBODY, f"the listener on {item.target} did not run until the end"
        wildcard = _ANY[6 if ":" in item.address else 4]
        left = f"the service on {item.target} did not run until the end"
        return (
            held.get((item.address, port_text(item)))
            or held.get((wildcard, port_text(item)))
            or (NOBODY, "nothing listens on the port" if self.passive else left)
        )

    def dead_end(self, item: Expectation) -> str:
        """Return the address behind a proxy on the target that the proxy cannot reach, or an empty text."""
        said: Mapping[str, str] = self.stopped.get(item.target, {}).get("dead_ends", {})
        return said.get(port_text(item), "")

    def host_of(self, nonce: str) -> str:
        """Return the host with this nonce, or an empty text."""
        return self._hosts.get(nonce, "")

    def counters(self, item: Expectation) -> dict[str, int | None]:
        """Return how far how many packets of the connection got; None if not counted or unclear.

        Counted are packets from the source's address to the tried address, and their answers.
        """
        others = list(self._others(item)) if item.target in self._counts else []
        return {
            name: self._at_source(item, name) if name in _AT_SOURCE else self._at_target(item, name, others)
            for name in COUNTERS
        }

    def _at_source(self, item: Expectation, name: str) -> int | None:
        counted = self._counts.get(item.source, {}).get(name)
        return None if counted is None else counted.get((self.seen(item).source, item.address, port_text(item)), 0)

    def _at_target(self, item: Expectation, name: str, others: Sequence[Expectation]) -> int | None:
        """Return how many packets arrived, if they can be distinguished from those of other expectations.

        Translated packets may arrive at another tried address, or from an address that several sources share. As many
        packets as the others sent may be theirs; if the target answered, one belonged to this connection.
        """
        counted = self._counts.get(item.target, {}).get(name)
        if counted is None:
            return None
        peer, port = self.seen(item).peer, port_text(item)
        if not others and self._is_here(item.target, item.address):
            return counted.get((item.address, peer, port), 0)
        anywhere = {place: counted.get((place, peer, port), 0) for place in self._arrived[item.target]}
        total = sum(anywhere.get(place, 0) for place in self._places(item))
        if not others and total:
            return total
        sent = [self._at_source(other, "left") for other in others]
        certain = max(0 if None in sent else total - sum(number or 0 for number in sent), int(self._is_answered(item)))
        theirs = sum(map(self._is_answered, others)) if total == sum(anywhere.values()) else 0
        return certain if certain > 0 else None if total > theirs else 0

    def _is_answered(self, item: Expectation) -> bool:
        """Return whether the target itself answered."""
        return self.host_of(self.seen(item).nonce) == item.target

    def _places(self, item: Expectation) -> Collection[str]:
        """Return where on the target packets to the address may come: there, or anywhere if they are translated."""
        is_here = self._is_here(item.target, item.address)
        return (item.address,) if is_here else self._arrived.get(item.target, ())

    def _others(self, item: Expectation) -> Iterator[Expectation]:
        """Yield other expectations with the same source address at the target that may arrive at the same address."""
        peer = self.seen(item).peer
        for host in dict.fromkeys((item.source, *self._sharing.get(peer, ()))):
            for address in self._mixed(item):
                other = item._replace(source=host, address=address)
                if other != item and self.seen(other).peer == peer:
                    yield other

    def _mixed(self, item: Expectation) -> Iterator[str]:
        """Yield the address, and other addresses of the target where packets to it may arrive."""
        is_here = self._is_here(item.target, item.address)
        yield item.address
        for address in self.stopped.get(item.target, {}).get("own", {}):
            if address != item.address and not (is_here and self._is_here(item.target, address)):
                yield address

    def _is_here(self, host: str, address: str) -> bool:
        """Return whether packets to the address reach the host: it is its own, or the host translates it."""
        return self.stopped.get(host, {}).get("own", {}).get(address, True) or address in self._arrived.get(host, ())

    def arrivals(self, item: Expectation) -> set[str]:
        """Return the source addresses of first packets to this port of the target's address."""
        version, port, peers = ":" in item.address, port_text(item), self._peers.get(item.target, {})
        return {
            peer for place in self._places(item) for peer in peers.get((place, port), ()) if (":" in peer) == version
        }

    @cached_property
    def _seen(self) -> dict[str, dict[tuple[str, str], Seen]]:
        return {source: _seen_by(found) for source, found in self.probed.items()}

    @cached_property
    def _translations(self) -> dict[tuple[str, str, str, str, int, str], str]:
        return {}

    @cached_property
    def _peers(self) -> dict[str, dict[tuple[str, str], set[str]]]:
        """The source addresses at each host, by its address and port."""
        found: dict[str, dict[tuple[str, str], set[str]]] = defaultdict(lambda: defaultdict(set))
        for host, counts in self._counts.items():
            for place, peer, port in counts["arrived"] or ():
                found[host][place, port].add(peer)
        return found

    @cached_property
    def _sharing(self) -> dict[str, list[str]]:
        """The hosts that share a source address of the plan, by this address."""
        found: dict[str, list[str]] = defaultdict(list)
        for host in self.probed:
            for address in self.origins.get(host, _NOWHERE).addresses:
                found[address].append(host)
        return {address: hosts for address, hosts in found.items() if len(hosts) > 1}

    @cached_property
    def _held(self) -> dict[str, _Held | None]:
        return {target: _held_on(said) for target, said in self.stopped.items()}

    @cached_property
    def _hosts(self) -> dict[str, str]:
        return {nonce: host for host, nonce in self.nonces.items()}

    @cached_property
    def _counts(self) -> dict[str, _Counted]:
        return {host: _counted(said["counts"]) for host, said in self.stopped.items() if said.get("counts")}

    @cached_property
    def _arrived(self) -> dict[str, set[str]]:
        """The addresses of each host at which packets arrived."""
        return {
            host: {place for name in COUNTERS if name not in _AT_SOURCE for place, peer, port in counts[name] or ()}
            for host, counts in self._counts.items()
        }


def _seen_by(found: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], Seen]:
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
        for result in found
        for nonces in [_by_port(result["nonces"])]
        for outcome in OUTCOMES
        for port in result[outcome]
        for nonce in [nonces.get(port, "")]
    }


def _by_port(nonces: Mapping[str, list[str]]) -> dict[str, str]:
    return {port: nonce for nonce, ports in nonces.items() for port in ports}


def _held_on(said: Mapping[str, Any]) -> _Held | None:
    if not said.get("alive"):
        return None
    nobody = {
        (address, port): (NOBODY, f"no listener could be started there ({reason})")
        for address, reasons in said["not_held"].items()
        for port, reason in reasons.items()
    }
    ours = {(address, port): (LISTENER, "") for address, ports in said["listening"].items() for port in ports}
    services = {(address, port): (SERVICE, "") for address, ports in said["in_use"].items() for port in ports}
    return {**nobody, **ours, **services}


def _counted(counts: Mapping[str, Mapping[str, Mapping[str, Mapping[str, list[str]]]] | None]) -> _Counted:
    return {
        name: None
        if found is None
        else {
            (own, peer, port): int(number)
            for own, peers in found.items()
            for peer, by_number in peers.items()
            for number, ports in by_number.items()
            for port in ports
        }
        for name in COUNTERS
        for found in [counts.get(name, {})]
    }
