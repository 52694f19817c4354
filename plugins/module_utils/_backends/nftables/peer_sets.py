# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sets with the peers of flows: all flows of a host that have the same addresses look them up in one set.

The name of a set is made of the names of these flows. As long as the same flows share a set, their peers change in
place. Where the peers of one flow begin to differ, or become the same, all concerned sets have new names: they are
filled before a rule looks them up, and the old set keeps its addresses as long as the old rules run (see `update.py`).
So a packet half way through the old rules never finds the peers of another flow.

Several single addresses have a set without intervals (see `single.py`). When a network joins them, the set is replaced
in the same way, as a set cannot change its type.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables.single import ending, size_for
from ansible_collections.hpc.ports.plugins.module_utils._model.names import digest
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import Network, Rule, label, network_text

# IP version, its keyword and its type of addresses.
FAMILIES = ((4, "ip", "ipv4_addr"), (6, "ip6", "ipv6_addr"))
# Of a set or chain. The kernel accepts 255, but long names make a listing hard to read.
LONGEST_NAME = 100
ANY = "any"


class PeerSets(NamedTuple):
    """Definition and elements of each set by name; and by label and IP version the set of a rule, or `any`."""

    sets: dict[str, tuple[str, tuple[str, ...]]]
    names: dict[str, dict[int, str]]

    def lookups(self, rule: Rule, rule_label: str) -> list[str]:
        """Return the rules of nft that accept the peers of a flow."""
        end = f'counter name "{rule.name}" accept'
        names = self.names[rule_label]
        if all(names.get(version) == ANY for version, _word, _kind in FAMILIES):
            return [end]
        side = "saddr" if rule.direction == "in" else "daddr"
        return [
            f"meta nfproto ipv{version} {end}" if names[version] == ANY else f"{word} {side} @{names[version]} {end}"
            for version, word, _kind in FAMILIES
            if version in names
        ]


def peer_sets(rules: Sequence[Rule], parted: set[str]) -> PeerSets:
    """Return the sets of these rules; `parted` is from `split_flows`."""
    found = PeerSets({}, {label(rule, parted): {} for rule in rules})
    for (version, elements), labels in same_peers(rules, parted).items():
        are_single = len(elements) > 1 and not any("/" in element for element in elements)
        size = size_for(len(elements)) if are_single else None
        name = ANY if elements == (ANY,) else _set_name(labels, version, size)
        for rule_label in labels:
            found.names[rule_label][version] = name
        if name != ANY:
            found.sets[name] = (definition(version, size), elements)
    return found


def definition(version: int, size: int | None = None) -> str:
    """Return the definition of a set of networks, or of single addresses with this size."""
    kinds = {family: kind for family, _word, kind in FAMILIES}
    return f"type {kinds[version]}; " + (f"size {size};" if size else "flags interval;")


def same_peers(rules: Sequence[Rule], parted: set[str]) -> dict[tuple[int, tuple[str, ...]], list[str]]:
    """Return the labels of the rules that have the same peers of an IP version, by the version and these peers."""
    # The rules of a policy share their lists of peers: each list is read once, not for each rule.
    lists = {id(rule.peers): rule.peers for rule in rules}
    sharing: dict[int, list[str]] = {key: [] for key in lists}
    for rule in rules:
        sharing[id(rule.peers)].append(label(rule, parted))
    found: dict[tuple[int, tuple[str, ...]], list[str]] = {}
    for key, peers in lists.items():
        for version, _word, _kind in FAMILIES:
            elements = _elements(peers, version)
            if elements:
                found.setdefault((version, elements), []).extend(sharing[key])
    return found


def _elements(peers: Sequence[Network], version: int) -> tuple[str, ...]:
    """Return the peers of an IP version as nft writes them, or `any` alone."""
    members = [network for network in peers if network.version == version]
    if any(network.prefixlen == 0 for network in members):
        return (ANY,)
    return tuple(map(network_text, members))


def _set_name(labels: Sequence[str], version: int, size: int | None) -> str:
    """Return the name of a set: `in_web_v4`, `in_data-in_web_v4`, `peers_of_9_flows.HASH_v4` or `in_web.single_16_v4`.

    A label contains no dash and begins with a direction, so the forms cannot collide.
    """
    names, end = sorted(labels), "{}_v{}".format(ending(size) if size else "", version)
    name = "-".join(names) + end
    return name if len(name) <= LONGEST_NAME else f"peers_of_{len(names)}_flows.{digest(names)}{end}"
