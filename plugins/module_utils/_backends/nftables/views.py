# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""List the flows in a state of our table, with their ports and addresses."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable
from functools import cache

from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables.single import is_single
from ansible_collections.hpc.ports.plugins.module_utils._model.ports import PortRange
from ansible_collections.hpc.ports.plugins.module_utils._model.state import FlowView, FlowViews, State

_RULE_COUNTER = re.compile(r'counter name "((?:in|out)_[a-z0-9_]+)" accept')
_RULE_SET = re.compile(r"@(\S+)")


def flow_views(state: State) -> FlowViews:
    """Return the flows in a state, with their ports (segment by segment) and addresses."""
    ports: dict[str, set[str]] = {}
    peers: dict[str, set[str]] = {}
    chain_ports = _ports_by_chain(state)
    for name, lines in state.items():
        for line in lines if name.startswith("chain ") else ():
            counter = _RULE_COUNTER.search(line)
            if counter:
                ports.setdefault(counter[1], set()).update(chain_ports.get(name, ()))
                peers.setdefault(counter[1], set()).add(_peers(line))
    # Flows that look up the same sets share one list of addresses.
    addresses = cache(lambda names: _addresses(state, names))
    return {flow: FlowView(frozenset(ports[flow]), addresses(frozenset(peers[flow]))) for flow in ports}


def _ports_by_chain(state: State) -> dict[str, list[str]]:
    ports_by_chain: dict[str, list[str]] = {}
    # A map of single ports has nothing that the map behind it lacks.
    maps = [name for name in state if name.startswith("map ") and not is_single(name)]
    for name, lines in ((name, state[name]) for name in maps):
        for line in lines:
            if line.startswith("element "):
                key, _separator, target = line[len("element ") :].partition(" : jump ")
                ports_by_chain.setdefault("chain " + target, []).append(_as_written(key, name.rsplit("_", 1)[1]))
    return ports_by_chain


def _as_written(key: str, protocol: str) -> str:
    """Return ports in the form of the port file, protocols by number; an element of another form stays as it is."""
    try:
        return str(port_range(key, protocol))
    except (ValueError, OSError):
        return f"{key}/{protocol}"


def port_range(key: str, protocol: str) -> PortRange:
    """Return the ports of a map key. nft lists IP protocols by name if they are in /etc/protocols."""
    if protocol == "ip" and not key.isdigit():
        key = str(socket.getprotobyname(key))
    first, dash, last = key.partition("-")
    return PortRange(protocol, int(first), int(last or first))


def _peers(line: str) -> str:
    """Return the set of a rule's peers as a State names it, or `any` with the IP version if there is one."""
    match = _RULE_SET.search(line)
    if match:
        return "set " + match[1]
    return "any IPv4" if "ipv4" in line else "any IPv6" if "ipv6" in line else "any"


def _addresses(state: State, peers: Iterable[str]) -> frozenset[str]:
    listings = [state.get(name, ()) if name.startswith("set ") else ("element " + name,) for name in peers]
    return frozenset(line[len("element ") :] for lines in listings for line in lines if line.startswith("element "))
