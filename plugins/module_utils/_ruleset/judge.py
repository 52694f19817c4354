# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What this host would do with packets: its rules, its routes and who holds its ports, read once."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from ansible_collections.hpc.ports.plugins.module_utils._linux import libnftables
from ansible_collections.hpc.ports.plugins.module_utils._linux.bound_ports import Holders, holders
from ansible_collections.hpc.ports.plugins.module_utils._linux.command import find_program, run
from ansible_collections.hpc.ports.plugins.module_utils._linux.netlink import (
    NetlinkError,
    address_text,
    number,
)
from ansible_collections.hpc.ports.plugins.module_utils._linux.routes import (
    INTERFACE,
    TYPE_AT,
    Addresses,
    local_addresses,
    route,
    route_attributes,
)
from ansible_collections.hpc.ports.plugins.module_utils._model.wire import (
    JudgementData,
    ReversePathData,
    RouteData,
    TraceData,
)
from ansible_collections.hpc.ports.plugins.module_utils._ruleset import xt_matches
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.symbols import ACK, SYN, TCP, UDP
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.tables import parse_ruleset
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.walker import Trace, TracedPacket, Walker

PROTOCOLS = {"tcp": TCP, "udp": UDP}
_LEGACY = {4: ("iptables-legacy", "ip_tables_names"), 6: ("ip6tables-legacy", "ip6_tables_names")}
# rtnetlink(7)
_GATEWAY, _PREFERRED = 5, 7
_LOCAL = 2
_TYPES = {
    1: "unicast",
    2: "local",
    3: "broadcast",
    4: "anycast",
    5: "multicast",
    6: "blackhole",
    7: "unreachable",
    8: "prohibit",
}
_LOOSE = 2


class PacketQuery(NamedTuple):
    """What is asked about one packet; `protocol` is a number, a source may be empty for what this host sends."""

    direction: str
    protocol: int
    source: str
    destination: str
    port: int
    source_port: int
    interface: str
    reply: bool


class KernelRoute(NamedTuple):
    """Where the kernel would send a packet: all empty but `error` where it would not."""

    interface: str = ""
    source: str = ""
    gateway: str = ""
    kind: str = ""
    error: str = ""


# ---- what is asked


def parse_query(data: Mapping[str, Any]) -> PacketQuery:
    """Return what one entry of the option asks. Raises ValueError."""
    source = _address("source", data["source"]) if data["source"] or data["direction"] == "in" else ""
    destination = _address("destination", data["destination"])
    protocol = _protocol(data["protocol"])
    for key in ("port", "source_port"):
        first = 1 if protocol in PROTOCOLS.values() else 0
        if not first <= data[key] <= 65535:
            raise ValueError(f"got {key} {data[key]}, expected {first} to 65535")
    if source and (":" in source) != (":" in destination):
        raise ValueError(f"got {source!r} and {destination!r}, expected addresses of one family")
    return PacketQuery(
        data["direction"],
        protocol,
        source,
        destination,
        data["port"],
        data["source_port"],
        data["interface"],
        data["reply"],
    )


def _address(key: str, text: str) -> str:
    try:
        if "%" in text:
            raise ValueError
        return str(ipaddress.ip_address(text))
    except ValueError as exc:
        raise ValueError(f"got {key} {text!r}, expected an IPv4 or IPv6 address without a scope") from exc


def _protocol(text: str) -> int:
    if text in PROTOCOLS:
        return PROTOCOLS[text]
    if text.isdigit() and int(text) < 256:
        return int(text)
    raise ValueError(f"got protocol {text!r}, expected tcp, udp or a number from 0 to 255")


# ---- the host


class PacketJudge:
    """The rules, addresses and listeners of this host as they were when this was made.

    Raises RuntimeError where the rules cannot be read, NetlinkError and OSError.
    """

    def __init__(self, proc: str = "/proc", sysfs: str = "/sys") -> None:
        self._proc, self._sysfs = proc, sysfs
        self._addresses: Addresses = local_addresses()
        self._holders: Holders = holders(proc + "/net")
        self._walker = Walker(parse_ruleset(*rules_of_kernel()), _legacy(proc), self._addresses.interfaces)

    def judge(self, query: PacketQuery) -> JudgementData:
        """Return what becomes of a packet, as plain data."""
        return self._arriving(query) if query.direction == "in" else self._leaving(query)

    def _leaving(self, query: PacketQuery) -> JudgementData:
        route = route_to(query.destination, query.source, query.interface)
        source = query.source or route.source
        if route.error or not source:
            text = route.error or "its route has no source address"
            found = Trace("unknown", unknown=f"No packet is sent to {query.destination}: {text}.")
            return {**_trace_data(found), "route": _route_data(route)}
        packet = TracedPacket(
            "out",
            query.protocol,
            source,
            query.destination,
            query.port,
            query.source_port,
            route.interface,
            devices=self._under(route.interface),
            is_bridged=self._is_bridged(route.interface),
        )
        result: JudgementData = {**_trace_data(self._walker.trace(packet)), "route": _route_data(route)}
        if query.reply:
            back = _returns(route_to(query.destination, source), query.destination, route.interface)
            result["reply"] = _trace_data(self._walker.trace(_reply_to(packet, "in", route.interface, back)))
        return result

    def _arriving(self, query: PacketQuery) -> JudgementData:
        # The answer goes from the address that was query, and so does the route.
        is_here = self._addresses.is_local(query.destination)
        back = route_to(query.source, query.destination if is_here else "")
        interface = query.interface or self._interface_of(query, back)
        packet = TracedPacket(
            "in",
            query.protocol,
            query.source,
            query.destination,
            query.port,
            query.source_port,
            interface,
            source_kind=back.kind,
            returns=_returns(back, query.source, interface),
            devices=self._under(interface),
            is_bridged=self._is_bridged(interface),
        )
        found = (
            self._walker.trace(packet)
            if is_here
            else Trace("unknown", unknown=f"{query.destination} is not an address of this host.")
        )
        result: JudgementData = {
            **_trace_data(found),
            "interface": interface,
            "route": _route_data(back),
            "reverse_path": self._reverse_path(
                query.source, query.interface or self._interface_with(query, interface), back
            ),
            "listening": self._listening(query),
        }
        if query.reply and is_here:
            result["reply"] = self._answer(packet, back)
        return result

    def _answer(self, packet: TracedPacket, back: KernelRoute) -> TraceData:
        """Return what becomes of the answer, which leaves over the route to the source."""
        if back.error:
            text = f"No answer is sent to {packet.source}: {back.error}."
            return _trace_data(Trace("unknown", unknown=text))
        return _trace_data(
            self._walker.trace(
                _reply_to(packet, "out", back.interface, None)._replace(
                    devices=self._under(back.interface), is_bridged=self._is_bridged(back.interface)
                )
            )
        )

    def _interface_with(self, query: PacketQuery, other: str) -> str:
        """Return the interface that has the address which was query: over it comes what goes back by another way."""
        return min(self._addresses.interfaces.get(query.destination, {other}))

    def _interface_of(self, query: PacketQuery, back: KernelRoute) -> str:
        """Return over which interface a packet comes, as far as that can be told.

        By the route to its source; where there is none, the one that has the address.
        """
        if back.interface:
            return back.interface
        return self._interface_with(query, "")

    def _reverse_path(self, source: str, interface: str, back: KernelRoute) -> ReversePathData:
        """Return whether the filter of the kernel for spoofed sources lets it by (IPv4; nobody has it for IPv6)."""
        mode = (
            0
            if ":" in source or interface in ("", "lo")
            else max(self._number("all", "rp_filter"), self._number(interface, "rp_filter"))
        )
        is_stopped = mode > 0 and (bool(back.error) or mode != _LOOSE and back.interface != interface)
        return {"mode": mode, "is_dropped": is_stopped}

    def _number(self, interface: str, name: str) -> int:
        text = _words(f"{self._proc}/sys/net/ipv4/conf/{interface}/{name}")
        return int(text[0]) if text else 0

    def _listening(self, query: PacketQuery) -> list[str]:
        """Return the addresses that take the packet, of those that somebody listens at on its port."""
        name = next((name for name, known in PROTOCOLS.items() if known == query.protocol), "")
        here = self._holders.get((name, query.port), set())
        wildcards = {"::"} if ":" in query.destination else {"0.0.0.0", "::"}
        return sorted(here & ({query.destination} | wildcards))

    # ---- what is under an interface

    def _under(self, interface: str) -> frozenset[str]:
        """Return the devices that frames for an interface come over: of a VLAN, a bond or a bridge."""
        found: list[str] = []
        waiting = [interface]
        while waiting:
            lower = [name[len("lower_") :] for name in self._files(waiting.pop()) if name.startswith("lower_")]
            waiting += [name for name in lower if name not in found]
            found += lower
        return frozenset(found)

    def _is_bridged(self, interface: str) -> bool:
        return any("bridge" in self._files(name) for name in (interface, *self._under(interface)))

    def _files(self, interface: str) -> tuple[str, ...]:
        try:
            return tuple(os.listdir(f"{self._sysfs}/class/net/{interface}")) if interface else ()
        except OSError:
            return ()


def _reply_to(packet: TracedPacket, direction: str, interface: str, returns: bool | None) -> TracedPacket:
    """Return what answers a packet: to connection tracking, of a connection that it knows."""
    return TracedPacket(
        direction,
        packet.protocol,
        packet.destination,
        packet.source,
        packet.source_port,
        packet.port,
        interface,
        state="established",
        flags=SYN | ACK,
        returns=returns,
    )


def _returns(back: KernelRoute, peer: str, interface: str) -> bool | None:
    """Tell whether the route to a peer is over the interface; of an address of one link, it is that link's."""
    if interface == "lo":
        return None
    if ipaddress.ip_address(peer).is_link_local and ":" in peer:
        return True
    return not back.error and back.interface == interface


def _trace_data(trace: Trace) -> TraceData:
    return cast(TraceData, {**trace._asdict(), "notes": list(trace.notes)})


def _route_data(route: KernelRoute) -> RouteData:
    return cast(RouteData, route._asdict())


def _legacy(proc: str) -> dict[int, str]:
    """Return by IP version the rules that nft does not list."""
    found = {version: (name, _words(f"{proc}/net/{file}")) for version, (name, file) in _LEGACY.items()}
    return {
        version: "nft does not list the rules of {} (tables {})".format(name, ", ".join(tables))
        for version, (name, tables) in found.items()
        if tables
    }


def _words(path: str) -> tuple[str, ...]:
    """Return the words of a file of the kernel; none where it has no such file."""
    try:
        with open(path, encoding="utf-8") as file:
            return tuple(file.read().split())
    except OSError:
        return ()


# ---- rules


def rules_of_kernel() -> tuple[str, str]:
    """Return all rules as JSON and as text with handles, see `libnftables.ruleset`. Raises RuntimeError.

    What nft lists of iptables by its name is written out in the text.
    """
    listing, text = _listed()
    return listing, xt_matches.write_out_matches(text, xt_matches.kernel_matches)


def _listed() -> tuple[str, str]:
    try:
        return libnftables.ruleset()
    except libnftables.ListingError as exc:
        if find_program("nft") is None:
            raise RuntimeError(f"{exc} Or install the package nftables.") from exc
    return run(["nft", "-j", "-p", "list", "ruleset"]), run(["nft", "-a", "-s", "-t", "-p", "list", "ruleset"])


# ---- routes


def route_to(address: str, source: str = "", interface: str = "") -> KernelRoute:
    """Return where the kernel would send a packet for the address."""
    try:
        found = _route_in(route(address, source, interface))
        return found if found.source else found._replace(source=source)
    except NetlinkError as exc:
        return KernelRoute(error=f"no route ({exc})")
    except OSError as exc:
        return KernelRoute(error=f"no interface {interface} ({exc.strerror})")


def _route_in(answer: bytes) -> KernelRoute:
    found = route_attributes(answer)
    kind = _TYPES.get(number("=B", answer, TYPE_AT), "")
    if kind in ("blackhole", "unreachable", "prohibit"):
        return KernelRoute(error=f"no route ({kind})")
    interface = socket.if_indextoname(number("=I", found[INTERFACE])) if INTERFACE in found else ""
    return KernelRoute(
        "lo" if kind == "local" else interface, _text(found.get(_PREFERRED, b"")), _text(found.get(_GATEWAY, b"")), kind
    )


def _text(raw: bytes) -> str:
    return address_text(raw) if raw else ""
