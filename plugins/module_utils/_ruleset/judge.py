# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge packets by the rules, routes and listening sockets of this host, which are read once."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from ansible_collections.hpc.ports.plugins.module_utils._linux import netlink, nft
from ansible_collections.hpc.ports.plugins.module_utils._linux.bound_ports import Holders, holders
from ansible_collections.hpc.ports.plugins.module_utils._linux.routes import (
    INTERFACE,
    TYPE_AT,
    Addresses,
    depends_on_marks,
    forwarding_route,
    local_addresses,
    route,
    route_attributes,
)
from ansible_collections.hpc.ports.plugins.module_utils._model.wire import (
    WOULD_BE_TRANSLATED,
    JudgementData,
    ReversePathData,
    RouteData,
    TraceData,
)
from ansible_collections.hpc.ports.plugins.module_utils._ruleset import xt_matches, xt_targets
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.expressions import View
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.symbols import ACK, SYN, TCP, UDP
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.tables import parse_ruleset
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.walker import Hop, Trace, TracedPacket, Walk, Walker

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
    """A packet to judge.

    protocol  number of the IP protocol
    source    may be empty for an outgoing packet
    reply     whether to judge the answer as well
    """

    direction: str
    protocol: int
    source: str
    destination: str
    port: int
    source_port: int
    interface: str
    reply: bool


class KernelRoute(NamedTuple):
    """Where the kernel would send a packet; only `error` is set if there is no route."""

    interface: str = ""
    source: str = ""
    gateway: str = ""
    kind: str = ""
    error: str = ""


# ---- queries


def parse_query(data: Mapping[str, Any]) -> PacketQuery:
    """Return the query of one entry of the option `packets`. Raises ValueError."""
    source = _address("source", data["source"]) if data["source"] or data["direction"] != "out" else ""
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
    """Judges packets by the rules, addresses and listening sockets of this host as they were at its creation.

    Raises RuntimeError if the rules cannot be read, NetlinkError and OSError.
    """

    def __init__(self, proc: str = "/proc", sysfs: str = "/sys") -> None:
        self._proc, self._sysfs = proc, sysfs
        self._addresses: Addresses = local_addresses()
        self._holders: Holders = holders(proc + "/net")
        self._marks: dict[int, bool] = {}
        self._hops: dict[tuple[int | None, int | None, str | None, int | None], Hop] = {}
        self._walker = Walker(parse_ruleset(*rules_of_kernel()), _legacy(proc), self._hop_of)

    def judge(self, query: PacketQuery) -> JudgementData:
        """Return the judgement on a packet."""
        judges = {"in": self._judge_incoming, "out": self._judge_outgoing, "through": self._judge_forwarded}
        return judges[query.direction](query)

    def _judge_forwarded(self, query: PacketQuery) -> JudgementData:
        """Return the judgement on a packet that comes in, such as from a container, and is for another host."""
        back = route_to(query.source)
        interface = query.interface or back.interface
        packet = TracedPacket(
            "through",
            query.protocol,
            query.source,
            query.destination,
            query.port,
            query.source_port,
            interface,
            source_kind=back.kind,
            returns=_returns(back, query.source, interface),
            devices=self._devices_below(interface),
            is_bridged=self._is_bridged(interface),
        )
        return {**_trace_data(self._walker.trace(packet)), "interface": interface, "route": _route_data(back)}

    def _judge_outgoing(self, query: PacketQuery) -> JudgementData:
        route = route_to(query.destination, query.source, query.interface)
        source = query.source or route.source
        if route.error or not source:
            text = route.error or "its route has no source address"
            trace = Trace("unknown", unknown=f"No packet is sent to {query.destination}: {text}.")
            return {**_trace_data(trace), "route": _route_data(route)}
        packet = TracedPacket(
            "out",
            query.protocol,
            source,
            query.destination,
            query.port,
            query.source_port,
            route.interface,
            devices=self._devices_below(route.interface),
            is_bridged=self._is_bridged(route.interface),
        )
        result: JudgementData = {**_trace_data(self._walker.trace(packet)), "route": _route_data(route)}
        if query.reply:
            back = _returns(route_to(query.destination, source), query.destination, route.interface)
            result["reply"] = _trace_data(self._walker.trace(_reply_to(packet, "in", route.interface, back)))
        return result

    def _judge_incoming(self, query: PacketQuery) -> JudgementData:
        # The answer leaves from the destination address, so its route starts there as well.
        is_here = self._addresses.is_local(query.destination)
        back = route_to(query.source, query.destination if is_here else "")
        interface = query.interface or self._incoming_interface(query, back)
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
            devices=self._devices_below(interface),
            is_bridged=self._is_bridged(interface),
        )
        walk = self._walker.walk(packet)
        result: JudgementData = {
            **_trace_data(walk.trace),
            "interface": interface,
            "route": _route_data(back),
            "reverse_path": self._reverse_path(
                query.source, query.interface or self._interface_of_destination(query, interface), back
            ),
        }
        if not _is_sent_on(walk):
            result["listening"] = self._listening(query._replace(port=_port_here(walk) or query.port))
        if query.reply and (is_here or walk.passed):
            result["reply"] = self._judge_answer(packet, walk, back)
        return result

    def _judge_answer(self, packet: TracedPacket, walk: Walk, back: KernelRoute) -> TraceData:
        """Return the judgement on the answer, which leaves by the route to the source."""
        if back.error:
            text = f"No answer is sent to {packet.source}: {back.error}."
            return _trace_data(Trace("unknown", unknown=text))
        answer = _reply_to(packet, "out", back.interface, None)
        if _is_forwarded(walk):
            view = walk.passed[0]
            if view.outgoing is None:
                return _trace_data(Trace("unknown", unknown="It is unknown over which interface the answer comes."))
            return _trace_data(self._walker.trace(self._answer_of_container(answer, view, view.outgoing)))
        return _trace_data(
            self._walker.trace(
                answer._replace(
                    source_port=_port_here(walk) or answer.source_port,
                    devices=self._devices_below(back.interface),
                    is_bridged=self._is_bridged(back.interface),
                )
            )
        )

    def _answer_of_container(self, answer: TracedPacket, view: View, interface: str) -> TracedPacket:
        """Return the answer to a packet that rules have sent on: it comes in from there, and is forwarded."""
        return answer._replace(
            direction="through",
            source=_number_text(view.version, view.destination or 0),
            source_port=answer.source_port if view.port is None else view.port,
            interface=interface,
            devices=self._devices_below(interface),
            is_bridged=self._is_bridged(interface),
            source_kind="unicast",
            returns=True,
        )

    def _hop_of(self, view: View) -> Hop:
        """Return where the kernel sends a packet that came in, after rules have translated it."""
        key = view.source, view.destination, view.incoming, view.mark
        if key not in self._hops:
            self._hops[key] = self._looked_up_hop(view)
        return self._hops[key]

    def _looked_up_hop(self, view: View) -> Hop:
        destination = _number_text(view.version, view.destination or 0)
        if self._is_martian(destination, view.incoming or ""):
            return Hop("unicast", error=f"net.ipv4.conf.{view.incoming}.route_localnet is 0")
        if self._addresses.is_local(destination):
            return Hop("local", "lo", is_bridged=False)
        kind = route_to(destination).kind or "unicast"
        error = self._reason_not_forwarding(view)
        if error or view.source is None or view.mark is None and self._depends_on_marks(view.version):
            return Hop(kind, error=error)
        found = forwarded_to(destination, _number_text(view.version, view.source), view.incoming or "", view.mark or 0)
        interface = found.interface
        return Hop(kind, interface, self._devices_below(interface), self._is_bridged(interface), found.error)

    def _is_martian(self, destination: str, incoming: str) -> bool:
        """Return whether the kernel drops the packet, because it comes from outside to a loopback address (IPv4)."""
        is_loopback = ":" not in destination and ipaddress.ip_address(destination).is_loopback
        names = ("all", incoming) if is_loopback and incoming != "lo" else ()
        return bool(names) and not any(self._sysctl(name, "route_localnet") for name in names)

    def _depends_on_marks(self, version: int) -> bool:
        if version not in self._marks:
            self._marks[version] = depends_on_marks(version)
        return self._marks[version]

    def _reason_not_forwarding(self, view: View) -> str:
        """Return why this host forwards no packets of an interface, or an empty text."""
        name = "net.ipv4.ip_forward" if view.version == 4 else "net.ipv6.conf.all.forwarding"
        interface = view.incoming or "all"
        keys = (
            [f"ipv4/conf/{interface}/forwarding"]
            if view.version == 4
            else ["ipv6/conf/all/forwarding", f"ipv6/conf/{interface}/force_forwarding"]
        )
        is_on = any(_words(f"{self._proc}/sys/net/{key}") not in ((), ("0",)) for key in keys)
        return "" if is_on else f"{name} is 0"

    def _interface_of_destination(self, query: PacketQuery, other: str) -> str:
        """Return the interface with the destination address; packets that return by another route arrive there."""
        return min(self._addresses.interfaces.get(query.destination, {other}))

    def _incoming_interface(self, query: PacketQuery, back: KernelRoute) -> str:
        """Return the interface on which a packet probably arrives.

        This is the interface of the route to its source; without a route, the interface with the destination address.
        """
        if back.interface:
            return back.interface
        return self._interface_of_destination(query, "")

    def _reverse_path(self, source: str, interface: str, back: KernelRoute) -> ReversePathData:
        """Return the setting rp_filter and whether it drops the packet (IPv4 only; the kernel has none for IPv6)."""
        mode = (
            0
            if ":" in source or interface in ("", "lo")
            else max(self._sysctl("all", "rp_filter"), self._sysctl(interface, "rp_filter"))
        )
        is_stopped = mode > 0 and (bool(back.error) or mode != _LOOSE and back.interface != interface)
        return {"mode": mode, "is_dropped": is_stopped}

    def _sysctl(self, interface: str, name: str) -> int:
        text = _words(f"{self._proc}/sys/net/ipv4/conf/{interface}/{name}")
        return int(text[0]) if text else 0

    def _listening(self, query: PacketQuery) -> list[str]:
        """Return the local addresses with a listening socket for the packet."""
        name = next((name for name, known in PROTOCOLS.items() if known == query.protocol), "")
        here = self._holders.get((name, query.port), set())
        wildcards = {"::"} if ":" in query.destination else {"0.0.0.0", "::"}
        return sorted(here & ({query.destination} | wildcards))

    # ---- devices below an interface

    def _devices_below(self, interface: str) -> frozenset[str]:
        """Return the devices below an interface: of a VLAN, a bond or a bridge."""
        devices: list[str] = []
        waiting = [interface]
        while waiting:
            lower = [name[len("lower_") :] for name in self._files(waiting.pop()) if name.startswith("lower_")]
            waiting += [name for name in lower if name not in devices]
            devices += lower
        return frozenset(devices)

    def _is_bridged(self, interface: str) -> bool:
        return any("bridge" in self._files(name) for name in (interface, *self._devices_below(interface)))

    def _files(self, interface: str) -> tuple[str, ...]:
        try:
            return tuple(os.listdir(f"{self._sysfs}/class/net/{interface}")) if interface else ()
        except OSError:
            return ()


def _reply_to(packet: TracedPacket, direction: str, interface: str, returns: bool | None) -> TracedPacket:
    """Return the answer to a packet; connection tracking knows its connection."""
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


def _is_forwarded(walk: Walk) -> bool:
    """Return whether rules send the packet to another host, such as a container, and nowhere else."""
    return bool(walk.passed) and all(view.outgoing != "" for view in walk.passed)


def _is_sent_on(walk: Walk) -> bool:
    """Return whether rules translate the packet, or would if it passed, so that no socket of its port takes it."""
    return _is_forwarded(walk) or any(note.startswith(WOULD_BE_TRANSLATED) for note in walk.trace.notes)


def _port_here(walk: Walk) -> int:
    """Return the port at which this host receives the packet, and from which it answers; 0 if it is unknown."""
    ports = {view.port for view in walk.passed}
    return (ports.pop() or 0) if len(ports) == 1 else 0


def _returns(back: KernelRoute, peer: str, interface: str) -> bool | None:
    """Return whether the route to a peer uses the interface; link-local peers are always on its link."""
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
    """Return by IP version a text about rules that nft does not list."""
    names = {version: (name, _words(f"{proc}/net/{file}")) for version, (name, file) in _LEGACY.items()}
    return {
        version: "nft does not list the rules of {} (tables {})".format(name, ", ".join(tables))
        for version, (name, tables) in names.items()
        if tables
    }


def _words(path: str) -> tuple[str, ...]:
    """Return the words of a file of the kernel; no words if the file does not exist."""
    try:
        with open(path, encoding="utf-8") as file:
            return tuple(file.read().split())
    except OSError:
        return ()


# ---- rules


def rules_of_kernel() -> tuple[str, str]:
    """Return all rules as JSON and as text with handles, see `nft.ruleset`. Raises RuntimeError.

    What nft does not show of iptables matches and NAT is written out in the text.
    """
    listing, text = nft.ruleset()
    text = xt_matches.write_out_matches(text, xt_matches.kernel_matches)
    return listing, xt_targets.write_out_targets(text, xt_targets.kernel_targets)


# ---- routes


def route_to(address: str, source: str = "", interface: str = "") -> KernelRoute:
    """Return where the kernel would send a packet to the address."""
    try:
        parsed = _parse_route(route(address, source, interface))
        return parsed if parsed.source else parsed._replace(source=source)
    except netlink.NetlinkError as exc:
        return KernelRoute(error=f"no route ({exc})")
    except OSError as exc:
        return KernelRoute(error=f"no interface {interface} ({exc.strerror})")


def forwarded_to(address: str, source: str, incoming: str, mark: int) -> KernelRoute:
    """Return where the kernel would send a packet that comes in on an interface."""
    try:
        return _parse_route(forwarding_route(address, source, incoming, mark))
    except netlink.NetlinkError as exc:
        return KernelRoute(error=f"there is no route ({exc})")
    except OSError as exc:
        return KernelRoute(error=f"there is no interface {incoming} ({exc.strerror})")


def _parse_route(answer: bytes) -> KernelRoute:
    attributes = route_attributes(answer)
    kind = _TYPES.get(netlink.number("=B", answer, TYPE_AT), "")
    if kind in ("blackhole", "unreachable", "prohibit"):
        return KernelRoute(error=f"no route ({kind})")
    interface = socket.if_indextoname(netlink.number("=I", attributes[INTERFACE])) if INTERFACE in attributes else ""
    return KernelRoute(
        "lo" if kind == "local" else interface,
        _text(attributes.get(_PREFERRED, b"")),
        _text(attributes.get(_GATEWAY, b"")),
        kind,
    )


def _number_text(version: int, number_of_address: int) -> str:
    address = ipaddress.IPv4Address if version == 4 else ipaddress.IPv6Address
    return str(address(number_of_address))


def _text(raw: bytes) -> str:
    return netlink.address_text(raw) if raw else ""
