# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plain data that the modules verify_probe, verify_listen and verify_judge return, and the controller reads.

A port is text such as `22/tcp`, an address is text in its normal form. Keys that modules add to their result, such as
`changed`, are not part of these types.
"""

from __future__ import annotations

from typing import Optional, TypedDict

# Ports by the local address that they are bound to, such as {"0.0.0.0": ["22/tcp"]}.
PortsByAddress = dict[str, list[str]]

# Ports by counting point, own address, peer and number of packets, such as
# {"arrived": {"10.0.0.1": {"10.0.0.7": {"2": ["22/tcp"]}}}}. None: more than the kernel set can hold.
Counts = dict[str, Optional[dict[str, dict[str, dict[str, list[str]]]]]]

# Begins a note of a judgement; the address follows to which rules of the host redirect the packet.
TRANSLATED = "the destination is changed to "
# The same, where the packet is dropped before these rules.
WOULD_BE_TRANSLATED = "the destination would be changed to "

# From how many containers of a host verify_probe tries connections.
MOST_CONTAINERS = 4


class PortResults(TypedDict):
    """The outcome of each port of one probed address.

    reachable  whether the address answered an echo; None: the echo could not be sent
    open, refused, filtered, error  ports by outcome
    rejected   the filtered ports for which a host or router sent an administrative reject
    details    explanation by port, or by `path` for the echo
    nonces     ports by the nonce that a listener sent
    seconds    time until the outcome, by port
    attempts   number of attempts by port, only where more than one
    """

    address: str
    reachable: bool | None
    open: list[str]
    refused: list[str]
    filtered: list[str]
    error: list[str]
    rejected: list[str]
    details: dict[str, str]
    nonces: dict[str, list[str]]
    seconds: dict[str, float]
    attempts: dict[str, int]


class ProbeResult(PortResults):
    """One entry of `results` of the module verify_probe.

    source     the address of the probing host that connections to this address come from; empty without a route
    elsewhere  the names of the target that resolve to other addresses, and these
    """

    source: str
    elsewhere: dict[str, list[str]]


class ContainerResult(TypedDict):
    """One entry of `containers` of the module verify_probe: what a container of the host reaches.

    address    the address of the container
    interface  the interface of the host that leads to it, such as docker0
    """

    address: str
    interface: str
    results: list[ProbeResult]


class ListenerFacts(TypedDict):
    """What a listener process holds. It reports the same facts at its start and at its end.

    listening    ports that the process holds
    in_use       ports that a service holds
    not_held     ports that nobody holds, with the reason
    own          whether each requested address is an address of this host
    not_counted  why packets are not counted; empty if they are
    """

    id: str
    listening: PortsByAddress
    in_use: PortsByAddress
    not_held: dict[str, dict[str, str]]
    own: dict[str, bool]
    not_counted: str


class StoppedListener(TypedDict):
    """What stopping a listener returns: the keys of `ListenerFacts` without the id, as of now, and the counters.

    alive   whether the listener that was started still ran; all other values are empty if not
    """

    alive: bool
    listening: PortsByAddress
    in_use: PortsByAddress
    not_held: dict[str, dict[str, str]]
    own: dict[str, bool]
    not_counted: str
    counts: Counts


class ListenResult(StoppedListener):
    """The result of the module verify_listen with state=stopped.

    dead_ends  where a container proxy forwards connections to that the host cannot connect to, and why, by port
    """

    dead_ends: dict[str, str]


class TraceData(TypedDict):
    """What the rules of a host do with one packet.

    verdict  `accept`, `drop`, `reject` or `unknown`
    table, chain, rule  the rule that decides, or that may decide
    is_ours  whether this rule belongs to hpc.ports
    unknown  why the verdict is unknown, or empty
    notes    changes and limits that rules apply to the packet
    """

    verdict: str
    table: str
    chain: str
    rule: str
    is_ours: bool
    unknown: str
    notes: list[str]


class RouteData(TypedDict):
    """The route of the kernel to an address; only `error` is set where there is none."""

    interface: str
    source: str
    gateway: str
    kind: str
    error: str


class ReversePathData(TypedDict):
    """The setting rp_filter of an interface, and whether the kernel drops the packet because of it."""

    mode: int
    is_dropped: bool


class JudgementData(TraceData, total=False):
    """One entry of `judgements` of the module verify_judge.

    route         to the destination of an outgoing packet, to the source of others
    reply         the same for the answer, where requested; not of a packet that goes through the host
    interface     not of an outgoing packet
    reverse_path, listening  only of an incoming packet; `listening`: local addresses that take it
    """

    route: RouteData
    reply: TraceData
    interface: str
    reverse_path: ReversePathData
    listening: list[str]
