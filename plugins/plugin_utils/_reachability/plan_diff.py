# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare two plans of one site: which hosts get another policy, and what changes in it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._model.ports import PortRange, merged, parse_policy_ports
from ansible_collections.hpc.ports.plugins.module_utils._model.state import FlowView, FlowViews
from ansible_collections.hpc.ports.plugins.module_utils._model.state_diff import flow_changes
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.networks import collapsed, parse_network
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.connections import Connections
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.host_classes import classes_of

if TYPE_CHECKING:
    from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan

# How many addresses, ports or hosts a sentence names.
_SHOWN = 5
_SETTINGS = ("mode", "egress", "trusted_interfaces", "container_interfaces", "filtered_containers")


class Difference(NamedTuple):
    """Hosts with equal changes. `changes` has the keys of the result of the module `firewall`, and `settings`."""

    hosts: tuple[str, ...]
    changes: Mapping[str, Any]


class Comparison(NamedTuple):
    """The differences of two plans: managed hosts that only one of them has, and changes of hosts of both."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    differences: tuple[Difference, ...]

    @property
    def changed(self) -> list[str]:
        """Return the hosts of both plans whose policies differ, sorted."""
        return sorted(host for difference in self.differences for host in difference.hosts)


def comparison_of(before: Plan, after: Plan) -> Comparison:
    """Return the differences. Hosts with equal policies before and after are compared once."""
    alike = defaultdict(list)
    for host in sorted(set(before.hosts) & set(after.hosts)):
        if before.hosts[host] != after.hosts[host]:
            alike[before.hosts[host], after.hosts[host]].append(host)
    return Comparison(
        added=tuple(sorted(set(after.hosts) - set(before.hosts))),
        removed=tuple(sorted(set(before.hosts) - set(after.hosts))),
        differences=tuple(
            Difference(tuple(hosts), _changes(before.policies[old], after.policies[new]))
            for (old, new), hosts in alike.items()
        ),
    )


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **flow_changes(_views(before), _views(after)),
        "settings": [name for name in _SETTINGS if before[name] != after[name]],
    }


def _views(policy: Mapping[str, Any]) -> FlowViews:
    """Return the flows of a policy, with all ports and addresses of each. Ports of broad egress differ by target."""
    ports: dict[str, list[PortRange]] = defaultdict(list)
    peers: dict[str, set[str]] = defaultdict(set)
    for rule in policy["rules"]:
        name = f"{rule['direction']}_{rule['flow']}"
        ports[name] += map(parse_policy_ports, rule["ports"])
        peers[name].update(policy["networks"][rule["peers"]])
    return {
        name: FlowView(frozenset(map(str, merged(port_ranges))), frozenset(collapsed(map(parse_network, peers[name]))))
        for name, port_ranges in ports.items()
    }


def sample_of(plan: Plan, but: Collection[str]) -> list[str]:
    """Return one host of each class as a sample of all hosts, without the hosts in `but`."""
    classes = [
        [host for host in host_class.members if host not in but]
        for host_class in classes_of(Connections(plan, sorted(plan.inventory.hosts)))
    ]
    return [members[0] for members in classes if members]


# ---- for people


def sentences(comparison: Comparison) -> list[str]:
    """Return the changes, one sentence for hosts with equal changes: `n1, n2: 10.0.0.7 is added to in_nfs.`."""
    return [
        f"{shortened(difference.hosts)}: {'; '.join(_phrases(difference.changes)) or 'broad egress by target'}."
        for difference in comparison.differences
    ]


def _phrases(changes: Mapping[str, Any]) -> list[str]:
    """Return the changes of a policy. Flows have the names of their counters; equal changes are one phrase."""
    phrases = [f"flow {name} is added" for name in changes["flows_added"]]
    phrases += [f"flow {name} is removed" for name in changes["flows_removed"]]
    alike = defaultdict(list)
    for key in ("addresses_changed", "ports_changed"):
        for name, members in changes[key].items():
            for which, does in (("added", "added to"), ("removed", "removed from")):
                if members[which]:
                    verb = "are" if len(members[which]) > 1 else "is"
                    alike[f"{shortened(members[which])} {verb} {does}"].append(name)
    phrases += [f"{does} {', '.join(names)}" for does, names in alike.items()]
    return phrases + [f"{name} changes" for name in changes["settings"]]


def shortened(names: Sequence[str]) -> str:
    """Return the first few names, and how many more there are."""
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
