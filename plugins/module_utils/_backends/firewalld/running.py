# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The running state of our policies and ipsets in the kernel, and of our table beside them.

firewalld creates a set for each ipset and a few chains for each policy, in the table `inet firewalld`. The text of a
rule differs a little by version; differences that do not affect verdicts are removed here.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Callable

from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld import kept_files
from ansible_collections.hpc.ports.plugins.module_utils._backends.nft_listing import parse_listing
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables import running
from ansible_collections.hpc.ports.plugins.module_utils._linux import nft
from ansible_collections.hpc.ports.plugins.module_utils._linux.files import Places
from ansible_collections.hpc.ports.plugins.module_utils._model.names import PREFIX, PUBLISHED_TABLE
from ansible_collections.hpc.ports.plugins.module_utils._model.state import State

TABLE = "inet firewalld"
_CHAIN = re.compile(rf"chain filter_(IN|OUT)_policy_({PREFIX}\w+?)(?:_(pre|log|deny|allow|post))?")
_PARTS = ("pre", "log", "deny", "allow", "post")
_HOOKS = {"IN": "input", "OUT": "output"}
# firewalld before 1.0 repeats in each rule that it does not apply to replies.
_NEW_ONLY = re.compile(r" ct state (?:\{ )?new, ?untracked(?: \})?")
# It depends on the version which of the two it is.
_INTERFACE = re.compile(r"\. [io]ifname @")
_JUMP = re.compile(r"\b(?:jump|goto) (\S+)")


def running_state(
    listing: Callable[[str], str] = nft.listing, table: Callable[[str], State] = running.running_state
) -> State:
    """Return the state of our policies, ipsets and table in the kernel. Raises CommandError, ListingError."""
    policies = state_of(parse_listing(listing("table " + TABLE)))
    return {**policies, **named(table(PUBLISHED_TABLE))}


def all_or_nothing(places: Places) -> AbstractContextManager[None]:
    """Make the changes in the block atomic, also if the host crashes. Raises CommandError, OSError."""
    return kept_files.all_or_nothing(places)


def named(state: State) -> State:
    """Return the objects of our table by names that no other object of a State has."""
    return {"published " + name: lines for name, lines in state.items()}


def state_of(listing: State) -> State:
    """Return the state of our policies and ipsets from a listing of firewalld's table."""
    state = {
        "ipset " + name[len("set ") :]: tuple(sorted(map(_listed, filter(_is_element, lines))))
        for name, lines in listing.items()
        if name.startswith("set " + PREFIX)
    }
    hooks = {match[2]: match[1] for match in map(_CHAIN.fullmatch, listing) if match}
    state.update({"policy " + name: tuple(_chain_lines(listing, name, hook)) for name, hook in hooks.items()})
    return state


def _is_element(line: str) -> bool:
    return line.startswith("element ")


def _listed(line: str) -> str:
    """Return an element in the form of `_element`; nft 0.9.8 lists the last prefix as a range."""
    network, dot, rest = line[len("element ") :].partition(" . ")
    if dot:
        return "element {} . {}".format(network.partition("/")[0], rest)
    first, dash, last = network.partition("-")
    if not dash:
        return line
    networks = list(ipaddress.summarize_address_range(*map(ipaddress.ip_address, (first, last))))
    return f"element {networks[0]}" if len(networks) == 1 else line


def _chain_lines(listing: State, name: str, hook: str) -> Iterator[str]:
    chain = f"filter_{hook}_policy_{name}"
    inner = [f"{chain}_{part}" for part in _PARTS]
    allow = listing.get(f"chain {chain}_allow", ())
    yield from sorted(map(_plain, allow))
    for part, other in zip(_PARTS, inner):
        if part != "allow":
            yield from sorted(f"{part}: {_plain(line)}" for line in listing.get("chain " + other, ()))
    base = listing.get("chain " + chain, ())
    yield from (line for line in base if line not in ["jump " + other for other in inner])
    yield from ("no jump to " + other for other in inner if "jump " + other not in base)
    if chain not in _reached(listing, _HOOKS[hook]):
        yield "never reached"


def _plain(line: str) -> str:
    return _INTERFACE.sub(". ifname @", _NEW_ONLY.sub("", line))


def _reached(listing: State, hook: str) -> set[str]:
    """Return the chains that are reachable from a hook."""
    new = [name[len("chain ") :] for name, lines in listing.items() if any(f"hook {hook} " in line for line in lines)]
    reached: set[str] = set()
    while new:
        reached.update(new)
        jumps = {match for name in new for line in listing.get("chain " + name, ()) for match in _JUMP.findall(line)}
        new = sorted(jumps - reached)
    return reached
