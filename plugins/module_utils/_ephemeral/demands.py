# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare the ephemeral ports of a host with the needs of services: conflicts, and settings without conflicts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._model.ports import (
    PortRange,
    common_ports,
    merged,
    parse_ports,
    without,
)

# The names of the settings, of the kernel's files and of lines for sysctl.
RANGE, RESERVED = "ip_local_port_range", "ip_local_reserved_ports"
NAMES = (RANGE, RESERVED)
PREFIX = "net.ipv4."
# A host with fewer ports soon cannot open connections.
FEWEST = 1024
# The options of a demand in an argument spec.
OPTIONS = {"what": {"type": "str", "required": True}, "ports": {"type": "str", "required": True}}


class Demand(NamedTuple):
    """The ports that a service needs: to listen on, or as the only ephemeral ports."""

    what: str
    ports: PortRange

    def __str__(self) -> str:
        """Return service and ports as in messages."""
        return f"{self.what} ({span(self.ports)})"


class Demands(NamedTuple):
    """The needs of a host's services; `declared` is its firewall_ephemeral_ports, if known."""

    reserved: tuple[Demand, ...] = ()
    within: tuple[Demand, ...] = ()
    declared: PortRange | None = None


class Settings(NamedTuple):
    """Both settings in a file; None if the file has no such line."""

    range: PortRange | None
    reserved: tuple[PortRange, ...] | None


class Running(NamedTuple):
    """The settings of the kernel: the range of ephemeral ports, and the reserved ports, which it does not assign."""

    range: PortRange
    reserved: tuple[PortRange, ...]


def any_ports(first: int, last: int) -> PortRange:
    """Return ports of any protocol: the settings have none, so all ranges here use the same."""
    return PortRange("tcp", first, last)


def parsed_demands(
    reserved: Iterable[dict[str, str]] = (), within: Iterable[dict[str, str]] = (), declared: str | None = None
) -> Demands:
    """Return the demands from lists of `what` and `ports`, and a range. Raise ValueError, which names the list."""
    try:
        name = "reserved"
        reserved_demands = tuple(demanded(**fields) for fields in reserved)
        name = "within"
        within_demands = tuple(demanded(**fields) for fields in within)
        name = "declared"
        return Demands(reserved_demands, within_demands, demanded(name, declared + "/tcp").ports if declared else None)
    except ValueError as exc:
        raise ValueError(f"Invalid {name}: {exc}") from exc


def demanded(what: str, ports: str) -> Demand:
    """Return the demand for ports such as `60001-63000/tcp`. Raise ValueError for invalid ports."""
    parsed = parse_ports(ports)
    if parsed.protocol == "ip":
        raise ValueError(f"got {ports!r}, expected ports of tcp or udp")
    return Demand(what, any_ports(parsed.first, parsed.last))


def span(ports: PortRange) -> str:
    """Return ports as the kernel writes them: `32768-60999`, or a single port."""
    return str(ports).partition("/")[0]


def spans(ports: Iterable[PortRange]) -> str:
    """Return ranges as the kernel writes them, separated by commas."""
    return ",".join(map(span, ports))


# ---- Conflicts ----

_TAKEABLE = (
    "{what} needs {ports}, but the kernel may use {bad} as an ephemeral port of any connection "
    "(ip_local_port_range is {range}). Reserve it in ip_local_reserved_ports."
)
_OUTSIDE = (
    "{what} uses ephemeral ports, of which {ports} is open, but the kernel also assigns {bad} "
    "(ip_local_port_range is {range}). Narrow ip_local_port_range to the open ports."
)
_UNLIKE = (
    "firewall_ephemeral_ports is {ports}, but ip_local_port_range of this host is {range}, so lint checks the "
    "wrong ports. Set firewall_ephemeral_ports of this host to '{range}'."
)


def clashes(running: Running, demands: Demands) -> list[str]:
    """Return a sentence for each demand that the host does not meet, with the remedy."""
    demands_with_ports = [
        (_TAKEABLE, demand, common_ports([demand.ports], [running.range])) for demand in demands.reserved
    ]
    demands_with_ports += [(_OUTSIDE, demand, without([running.range], [demand.ports])) for demand in demands.within]
    sentences = []
    for message, demand, ports in demands_with_ports:
        unmet = without(ports, running.reserved)
        if unmet:
            sentences.append(
                message.format(what=demand.what, ports=span(demand.ports), bad=spans(unmet), range=span(running.range))
            )
    if demands.declared and demands.declared != running.range:
        sentences.append(_UNLIKE.format(ports=span(demands.declared), range=span(running.range)))
    return sentences


# ---- Settings without conflicts ----


def fitting(running: Running, saved: Settings, demands: Demands) -> tuple[Running, Settings]:
    """Return the settings that meet all demands, for the kernel and for the file with what was `saved` before.

    Ports that other software reserved stay reserved, and lines in the file stay: they may come from another role. Lines
    are added only if needed. Raise ValueError if too few ephemeral ports would be left.
    """
    narrow = _narrowed(running.range, saved, demands.within)
    needed = [ports for demand in demands.reserved for ports in common_ports([demand.ports], [narrow])]
    reserved = tuple(merged([*running.reserved, *(saved.reserved or ()), *needed]))
    left = sum(ports.last - ports.first + 1 for ports in without([narrow], reserved))
    if left < FEWEST and (narrow, reserved) != running:
        settings = f"{RANGE} {span(narrow)} without {RESERVED} {spans(reserved)}"
        raise ValueError(
            f"{settings} would leave {left} ephemeral ports, expected at least {FEWEST}. Give services fewer ports, or "
            "ports outside of that range"
        )
    is_narrower = saved.range is not None or narrow != running.range
    has_reserved = saved.reserved is not None or bool(needed)
    return Running(narrow, reserved), Settings(narrow if is_narrower else None, reserved if has_reserved else None)


def _narrowed(ports: PortRange, saved: Settings, within: Sequence[Demand]) -> PortRange:
    saved_range = [Demand("the saved range", saved.range)] if saved.range else []
    for demand in (*saved_range, *within):
        left = common_ports([ports], [demand.ports])
        if not left:
            raise ValueError(f"{RANGE} {span(ports)} has no port of {demand}. Set {RANGE} to ports of that range")
        ports = left[0]
    return ports


# ---- Texts ----


def parsed_running(range_text: str, reserved_text: str) -> Running:
    """Return the settings in the kernel's files, such as `32768 60999` and `8080,32765-32768`. Raise ValueError."""
    try:
        first, last = map(int, range_text.split())
    except ValueError:
        raise ValueError(f"got {range_text!r} for {RANGE}, expected two ports") from None
    return Running(any_ports(first, last), parsed_reserved(reserved_text))


def parsed_reserved(text: str) -> tuple[PortRange, ...]:
    """Return the ranges in a list separated by commas, which may be empty. Raise ValueError."""
    ranges = []
    for port_text in text.replace("\n", ",").split(","):
        if port_text.strip():
            ranges.append(_parsed_span(port_text.strip()))
    return tuple(merged(ranges))


def _parsed_span(text: str) -> PortRange:
    first, dash, last = text.partition("-")
    if not (first.isdecimal() and (last.isdecimal() or not dash)):
        raise ValueError(f"got {text!r} in {RESERVED}, expected a port or FIRST-LAST")
    return any_ports(int(first), int(last or first))


def described(running: Running) -> dict[str, str]:
    """Return the settings as modules return them and `parsed_described` reads them."""
    return {"ephemeral_ports": span(running.range), "reserved_ports": spans(running.reserved)}


def parsed_described(ephemeral_ports: str, reserved_ports: str) -> Running:
    """Return the settings that `described` wrote. Raise ValueError."""
    return Running(_parsed_span(ephemeral_ports), parsed_reserved(reserved_ports))


def range_text(running: Running) -> str:
    """Return the range in the format of the kernel's file."""
    return f"{running.range.first} {running.range.last}"


def saved_text(saved: Settings) -> str:
    """Return the text of the sysctl file; empty without settings."""
    lines = []
    if saved.range:
        lines.append(f"{PREFIX}{RANGE} = {saved.range.first} {saved.range.last}\n")
    if saved.reserved is not None:
        lines.append(f"{PREFIX}{RESERVED} = {spans(saved.reserved)}\n")
    return _HEADER + "".join(lines) if lines else ""


_HEADER = """\
# Written by hpc.ports: ephemeral ports that leave services the ports which the port file says they have.
# What others had reserved is among them, as one list replaces another. Other lines here are not kept.
"""


def parsed_saved(text: str) -> Settings:
    """Return the settings in a file that `saved_text` wrote. Raise ValueError for other values."""
    lines = [line.split("#")[0].partition("=") for line in text.splitlines()]
    values = {key.strip().replace("/", "."): value for key, sign, value in lines if sign}
    ports, reserved = values.get(PREFIX + RANGE), values.get(PREFIX + RESERVED)
    return Settings(
        parsed_running(ports, "").range if ports else None, None if reserved is None else parsed_reserved(reserved)
    )
