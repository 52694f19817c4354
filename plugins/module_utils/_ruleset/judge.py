# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What this host would do with packets: its rules, its routes and who holds its ports, read once."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Mapping
from typing import Any, NamedTuple

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
from ansible_collections.hpc.ports.plugins.module_utils._ruleset import xt_matches
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.symbols import ACK, SYN, TCP, UDP
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.tables import parse_ruleset
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.walker import Judgement, Packet, Walker

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


class Asked(NamedTuple):
    """What is asked about one packet; `protocol` is a number, a source may be empty for what this host sends."""

    direction: str
    protocol: int
    source: str
    destination: str
    port: int
    source_port: int
    interface: str
    reply: bool


class Route(NamedTuple):
    """Where the kernel would send a packet: all empty but `error` where it would not."""

    interface: str = ""
    source: str = ""
    gateway: str = ""
    kind: str = ""
    error: str = ""


# ---- what is asked


def parse_asked(data: Mapping[str, Any]) -> Asked:
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
    return Asked(
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


class Host:
    """The rules, addresses and listeners of this host as they were when this was made.

    Raises RuntimeError where the rules cannot be read, NetlinkError and OSError.
    """

    def __init__(self, proc: str = "/proc", sysfs: str = "/sys") -> None:
        self._proc, self._sysfs = proc, sysfs
        self._addresses: Addresses = local_addresses()
        self._holders: Holders = holders(proc + "/net")
        self._walker = Walker(parse_ruleset(*rules_of_kernel()), _legacy(proc), self._addresses.interfaces)

    def judged(self, asked: Asked) -> dict[str, Any]:
        """Return what becomes of a packet, as plain data."""
        return self._arriving(asked) if asked.direction == "in" else self._leaving(asked)

    def _leaving(self, asked: Asked) -> dict[str, Any]:
        route = route_to(asked.destination, asked.source, asked.interface)
        source = asked.source or route.source
        if route.error or not source:
            text = route.error or "the route to it has no source address"
            found = Judgement("unknown", unknown=f"No packet is sent to {asked.destination}: {text}.")
            return {**_plain(found), "route": _plain_route(route)}
        packet = Packet(
            "out",
            asked.protocol,
            source,
            asked.destination,
            asked.port,
            asked.source_port,
            route.interface,
            devices=self._under(route.interface),
            is_bridged=self._is_bridged(route.interface),
        )
        result = {**_plain(self._walker.judge(packet)), "route": _plain_route(route)}
        if asked.reply:
            back = _returns(route_to(asked.destination, source), asked.destination, route.interface)
            result["reply"] = _plain(self._walker.judge(_reply_to(packet, "in", route.interface, back)))
        return result

    def _arriving(self, asked: Asked) -> dict[str, Any]:
        # The answer goes from the address that was asked, and so does the route.
        is_here = self._addresses.is_local(asked.destination)
        back = route_to(asked.source, asked.destination if is_here else "")
        interface = asked.interface or self._interface_of(asked, back)
        packet = Packet(
            "in",
            asked.protocol,
            asked.source,
            asked.destination,
            asked.port,
            asked.source_port,
            interface,
            source_kind=back.kind,
            returns=_returns(back, asked.source, interface),
            devices=self._under(interface),
            is_bridged=self._is_bridged(interface),
        )
        found = (
            self._walker.judge(packet)
            if is_here
            else Judgement("unknown", unknown=f"{asked.destination} is no address of this host.")
        )
        result = {
            **_plain(found),
            "interface": interface,
            "route": _plain_route(back),
            "reverse_path": self._reverse_path(
                asked.source, asked.interface or self._interface_with(asked, interface), back
            ),
            "listening": self._listening(asked),
        }
        if asked.reply and is_here:
            result["reply"] = self._answer(packet, back)
        return result

    def _answer(self, packet: Packet, back: Route) -> dict[str, Any]:
        """Return what becomes of the answer, which leaves over the route to the source."""
        if back.error:
            text = f"No answer is sent to {packet.source}: {back.error}."
            return _plain(Judgement("unknown", unknown=text))
        return _plain(
            self._walker.judge(
                _reply_to(packet, "out", back.interface, None)._replace(
                    devices=self._under(back.interface), is_bridged=self._is_bridged(back.interface)
                )
            )
        )

    def _interface_with(self, asked: Asked, other: str) -> str:
        """Return the interface that has the address which was asked: over it comes what goes back by another way."""
        return min(self._addresses.interfaces.get(asked.destination, {other}))

    def _interface_of(self, asked: Asked, back: Route) -> str:
        """Return over which interface a packet comes, as far as that can be told.

        By the route to its source; where there is none, the one that has the address.
        """
        if back.interface:
            return back.interface
        return self._interface_with(asked, "")

    def _reverse_path(self, source: str, interface: str, back: Route) -> dict[str, Any]:
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

    def _listening(self, asked: Asked) -> list[str]:
        """Return the addresses that take the packet, of those that somebody listens at on its port."""
        name = next((name for name, known in PROTOCOLS.items() if known == asked.protocol), "")
        here = self._holders.get((name, asked.port), set())
        wildcards = {"::"} if ":" in asked.destination else {"0.0.0.0", "::"}
        return sorted(here & ({asked.destination} | wildcards))

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


def _reply_to(packet: Packet, direction: str, interface: str, returns: bool | None) -> Packet:
    """Return what answers a packet: to connection tracking, of a connection that it knows."""
    return Packet(
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


def _returns(back: Route, peer: str, interface: str) -> bool | None:
    """Tell whether the route to a peer is over the interface; of an address of one link, it is that link's."""
    if interface == "lo":
        return None
    if ipaddress.ip_address(peer).is_link_local and ":" in peer:
        return True
    return not back.error and back.interface == interface


def _plain(found: Judgement) -> dict[str, Any]:
    return {**found._asdict(), "notes": list(found.notes)}


def _plain_route(route: Route) -> dict[str, str]:
    return dict(route._asdict())


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
    return listing, xt_matches.told(text, xt_matches.of_kernel)


def _listed() -> tuple[str, str]:
    try:
        return libnftables.ruleset()
    except libnftables.ListingError as exc:
        if find_program("nft") is None:
            raise RuntimeError(f"{exc} Or install the package nftables.") from exc
    return run(["nft", "-j", "-p", "list", "ruleset"]), run(["nft", "-a", "-s", "-t", "-p", "list", "ruleset"])


# ---- routes


def route_to(address: str, source: str = "", interface: str = "") -> Route:
    """Return where the kernel would send a packet for the address."""
    try:
        found = _route_in(route(address, source, interface))
        return found if found.source else found._replace(source=source)
    except NetlinkError as exc:
        return Route(error=f"no route ({exc})")
    except OSError as exc:
        return Route(error=f"no interface {interface} ({exc.strerror})")


def _route_in(answer: bytes) -> Route:
    found = route_attributes(answer)
    kind = _TYPES.get(number("=B", answer, TYPE_AT), "")
    if kind in ("blackhole", "unreachable", "prohibit"):
        return Route(error=f"no route ({kind})")
    interface = socket.if_indextoname(number("=I", found[INTERFACE])) if INTERFACE in found else ""
    return Route(
        "lo" if kind == "local" else interface, _text(found.get(_PREFERRED, b"")), _text(found.get(_GATEWAY, b"")), kind
    )


def _text(raw: bytes) -> str:
    return address_text(raw) if raw else ""
