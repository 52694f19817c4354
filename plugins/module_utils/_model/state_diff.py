# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The difference of two states of a firewall: object by object, and flow by flow."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, Callable, NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._model.ports import PortRange, merged, parse_policy_ports
from ansible_collections.hpc.ports.plugins.module_utils._model.shown import shown
from ansible_collections.hpc.ports.plugins.module_utils._model.state import FlowViews, State, changed_objects


def state_diff(before: State, after: State) -> dict[str, str]:
    """Return Ansible's `diff` of two states, with only the objects that differ, sorted."""
    names = changed_objects(before, after)
    return {"before": _text(before, names), "after": _text(after, names)}


def _text(state: State, names: list[str]) -> str:
    blocks = [[shown(name) + ":"] + ["    " + shown(line) for line in state[name]] for name in names if name in state]
    return "".join(line + "\n" for block in blocks for line in block)


class _Span(NamedTuple):
    """Ports or addresses from `first` to `last`, as numbers; `kind` is the protocol or the address family."""

    kind: str
    first: int
    last: int


def flow_changes(before: FlowViews, after: FlowViews) -> dict[str, Any]:
    """Return the change as flows that were added or removed, and flows whose ports or addresses changed."""
    both = sorted(set(before) & set(after))
    return {
        "flows_added": sorted(set(after) - set(before)),
        "flows_removed": sorted(set(before) - set(after)),
        "ports_changed": _members({name: (before[name].ports, after[name].ports) for name in both}, _gained_ports),
        "addresses_changed": _members(
            {name: (before[name].addresses, after[name].addresses) for name in both}, _gained_addresses
        ),
    }


def _members(
    pairs: dict[str, tuple[frozenset[str], frozenset[str]]],
    gained: Callable[[frozenset[str], frozenset[str]], list[str]],
) -> dict[str, dict[str, list[str]]]:
    # Flows share their peers, so each pair of lists is compared once.
    compared = cache(gained)
    changes = {name: {"added": compared(new, old), "removed": compared(old, new)} for name, (old, new) in pairs.items()}
    return {name: change for name, change in changes.items() if change["added"] or change["removed"]}


def _gained_ports(new: frozenset[str], old: frozenset[str]) -> list[str]:
    """Return the ports that are in `new` and not in `old`; both may write the same ports as different ranges."""
    try:
        gained = _minus(
            [_Span(*parse_policy_ports(text)) for text in new - old],
            [_Span(*parse_policy_ports(text)) for text in old - new],
        )
    except ValueError:
        return sorted(new - old)
    return [str(ports) for ports in merged(PortRange(*span) for span in gained)]


def _gained_addresses(new: frozenset[str], old: frozenset[str]) -> list[str]:
    """Return the addresses in `new` and not in `old`; both may write the same addresses as different prefixes."""
    try:
        gained = _minus(list(map(_address_span, new - old)), list(map(_address_span, old - new)))
    except ValueError:  # `any`
        return sorted(new - old)
    return [prefix for span in gained for prefix in _prefixes(span)]


def _address_span(text: str) -> _Span:
    first, dash, last = text.partition("-")
    network = ipaddress.ip_network(first)
    end = ipaddress.ip_address(last) if dash else network.broadcast_address
    return _Span(f"ipv{network.version}", int(network.network_address), int(end))


def _prefixes(span: _Span) -> list[str]:
    address = ipaddress.IPv4Address if span.kind == "ipv4" else ipaddress.IPv6Address
    networks = ipaddress.summarize_address_range(address(span.first), address(span.last))
    return [str(network.network_address if network.num_addresses == 1 else network) for network in networks]


def _minus(spans: Sequence[_Span], taken: Sequence[_Span]) -> Iterator[_Span]:
    """Yield what `spans` cover and `taken` does not, in order; neither may have spans that overlap each other."""
    holes = sorted(taken)
    next_hole = 0
    for kind, first, last in sorted(spans):
        while next_hole < len(holes) and (holes[next_hole].kind, holes[next_hole].last) < (kind, first):
            next_hole += 1
        for hole in _overlapping(holes, next_hole, kind, last):
            if hole.first > first:
                yield _Span(kind, first, hole.first - 1)
            first = hole.last + 1
        if first <= last:
            yield _Span(kind, first, last)


def _overlapping(holes: Sequence[_Span], start: int, kind: str, last: int) -> Iterator[_Span]:
    for number in range(start, len(holes)):
        if (holes[number].kind, holes[number].first) > (kind, last):
            return
        yield holes[number]
