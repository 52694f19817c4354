# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ephemeral ports of a host, against what services need of them: what clashes, and settings that do not."""

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
# A host with fewer ports for its own connections soon fails to make any.
FEWEST = 1024


class Demand(NamedTuple):
    """Ports and who needs them: to listen on, or to have every ephemeral port among them."""

    what: str
    ports: PortRange

    def __str__(self) -> str:
        """Return both as a message has them."""
        return f"{self.what} ({span(self.ports)})"


class Demands(NamedTuple):
    """What the services of a host need; `declared` is what its firewall_ephemeral_ports says, if that is known."""

    reserved: tuple[Demand, ...] = ()
    within: tuple[Demand, ...] = ()
    declared: PortRange | None = None


class Settings(NamedTuple):
    """Both settings. None is a line that a file does not have; the kernel has both."""

    range: PortRange | None
    reserved: tuple[PortRange, ...] | None


class Running(NamedTuple):
    """What the kernel has: the range of ephemeral ports, and those that it gives to nobody who did not ask for them."""

    range: PortRange
    reserved: tuple[PortRange, ...]


def any_ports(first: int, last: int) -> PortRange:
    """Return ports of any protocol: these settings know none, so all ranges here have the same."""
    return PortRange("tcp", first, last)


def parsed_demands(
    reserved: Iterable[dict[str, str]] = (), within: Iterable[dict[str, str]] = (), declared: str | None = None
) -> Demands:
    """Return demands of `what` and `ports` each, and of a range FIRST-LAST. Raises ValueError that names the list."""
    try:
        name = "reserved"
        listened = tuple(demanded(**item) for item in reserved)
        name = "within"
        taken = tuple(demanded(**item) for item in within)
        name = "declared"
        return Demands(listened, taken, demanded(name, declared + "/tcp").ports if declared else None)
    except ValueError as exc:
        raise ValueError(f"Invalid {name}: {exc}") from exc


def demanded(what: str, ports: str) -> Demand:
    """Return the demand for ports such as `60001-63000/tcp`. Raises ValueError."""
    parsed = parse_ports(ports)
    if parsed.protocol == "ip":
        raise ValueError(f"got {ports!r}, expected ports of tcp or udp")
    return Demand(what, any_ports(parsed.first, parsed.last))


def span(ports: PortRange) -> str:
    """Return ports as the kernel writes them: `32768-60999`, or one alone."""
    return str(ports).partition("/")[0]


def spans(ports: Iterable[PortRange]) -> str:
    """Return ranges as the kernel writes them, with commas."""
    return ",".join(map(span, ports))


# ---- What clashes ----------------------------------------------------------------------------------------------------

_TAKEABLE = (
    "{what} needs {ports}, but the kernel gives {bad} to any connection as an ephemeral port "
    "(ip_local_port_range is {range}). Reserve it in ip_local_reserved_ports."
)
_OUTSIDE = (
    "{what} takes ephemeral ports, of which {ports} is open, but the kernel also gives {bad} "
    "(ip_local_port_range is {range}). Narrow ip_local_port_range to what is open."
)
_UNLIKE = (
    "firewall_ephemeral_ports is {ports}, but ip_local_port_range of this host is {range}, so lint judges by "
    "other ports. Set firewall_ephemeral_ports of this host to '{range}'."
)


def clashes(running: Running, demands: Demands) -> list[str]:
    """Return a sentence for each demand that the host does not meet, with what to do."""
    found = [(_TAKEABLE, demand, common_ports([demand.ports], [running.range])) for demand in demands.reserved]
    found += [(_OUTSIDE, demand, without([running.range], [demand.ports])) for demand in demands.within]
    result = []
    for text, demand, ports in found:
        bad = without(ports, running.reserved)
        if bad:
            result.append(
                text.format(what=demand.what, ports=span(demand.ports), bad=spans(bad), range=span(running.range))
            )
    if demands.declared and demands.declared != running.range:
        result.append(_UNLIKE.format(ports=span(demands.declared), range=span(running.range)))
    return result


# ---- What would not clash --------------------------------------------------------------------------------------------


def fitting(running: Running, saved: Settings, demands: Demands) -> tuple[Running, Settings]:
    """Return the settings that meet all demands, for the kernel and for the file with what was `saved` before.

    What others reserved stays reserved, and what the file says holds: it may come from another role. A line comes into
    the file where it is needed. Raises ValueError where too few ephemeral ports would be left.
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
    saved_range = [Demand("what is saved", saved.range)] if saved.range else []
    for demand in (*saved_range, *within):
        left = common_ports([ports], [demand.ports])
        if not left:
            raise ValueError(f"{RANGE} {span(ports)} has no port of {demand}. Set {RANGE} to ports of that range")
        ports = left[0]
    return ports


# ---- As texts --------------------------------------------------------------------------------------------------------


def parsed_running(range_text: str, reserved_text: str) -> Running:
    """Return what the kernel's files say, such as `32768\t60999` and `8080,32765-32768`. Raises ValueError."""
    try:
        first, last = map(int, range_text.split())
    except ValueError:
        raise ValueError(f"got {range_text!r} for {RANGE}, expected two ports") from None
    return Running(any_ports(first, last), parsed_reserved(reserved_text))


def parsed_reserved(text: str) -> tuple[PortRange, ...]:
    """Return the ranges of a list with commas, which may be empty. Raises ValueError."""
    result = []
    for item in text.replace("\n", ",").split(","):
        if item.strip():
            result.append(_parsed_span(item.strip()))
    return tuple(merged(result))


def _parsed_span(text: str) -> PortRange:
    first, dash, last = text.partition("-")
    if not (first.isdecimal() and (last.isdecimal() or not dash)):
        raise ValueError(f"got {text!r} in {RESERVED}, expected a port or FIRST-LAST")
    return any_ports(int(first), int(last or first))


def described(running: Running) -> dict[str, str]:
    """Return the settings as results of modules have them, and `parsed_described` reads them."""
    return {"ephemeral_ports": span(running.range), "reserved_ports": spans(running.reserved)}


def parsed_described(ephemeral_ports: str, reserved_ports: str) -> Running:
    """Return what `described` has written. Raises ValueError."""
    return Running(_parsed_span(ephemeral_ports), parsed_reserved(reserved_ports))


def range_text(running: Running) -> str:
    """Return the range as the kernel takes it."""
    return f"{running.range.first} {running.range.last}"


def saved_text(saved: Settings) -> str:
    """Return the lines of a file of sysctl; empty without any."""
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
    """Return what a file of `saved_text` says. Raises ValueError for other values."""
    lines = [line.split("#")[0].partition("=") for line in text.splitlines()]
    values = {key.strip().replace("/", "."): value for key, sign, value in lines if sign}
    ports, reserved = values.get(PREFIX + RANGE), values.get(PREFIX + RESERVED)
    return Settings(
        parsed_running(ports, "").range if ports else None, None if reserved is None else parsed_reserved(reserved)
    )
