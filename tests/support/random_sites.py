# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Random sites as plain data, of which plans are made: small enough to ask for each address and port."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan
from ansible_collections.hpc.ports.tests.support.sites import make_plan
from hypothesis import strategies as st

MANAGED_GROUPS = ("control_plane", "slurm_controller", "slurm_compute")
GROUPS = (*MANAGED_GROUPS, "desks")
CLUSTERS = ("default", "alpha", "beta")
PROTOCOLS = ("tcp", "udp")
# Names of hosts that the name service knows; the addresses are those that hosts have, too.
NAMES = {"a.example.org": ["10.0.0.1", "fd00::1"], "b.example.org": ["10.0.0.6"]}
PORTS = range(1, 31)


@dataclass
class Site:
    """All that a plan is made of, as plain data."""

    services: dict[str, Any]
    endpoints: dict[str, Any]
    flows: dict[str, Any]
    hosts: dict[str, Any]
    clusters: dict[str, Any] = field(default_factory=dict)
    tunnel: bool = False
    yields: bool = True

    def plan(self) -> Plan:
        port_file = {"services": self.services, "endpoints": self.endpoints, "flows": self.flows}
        return make_plan(
            port_file,
            self.hosts,
            NAMES,
            firewall_clusters=self.clusters,
            firewall_ssh_through_tunnel=self.tunnel,
            firewall_broad_yields=self.yields,
        )


def address(family: int, number: int) -> str:
    return f"10.0.0.{number}" if family == 4 else f"fd00::{number:x}"


def network(family: int, number: int, bits: int) -> str:
    """Return a network of 1 to 16 addresses, sixteen of which are those that hosts have."""
    first = number >> bits << bits
    return f"{address(family, first)}/{(32 if family == 4 else 128) - bits}"


FAMILIES = st.sampled_from([4, 6])
SMALL_NETWORKS = st.builds(network, FAMILIES, st.integers(0, 15), st.integers(0, 4))
NETWORKS = st.one_of(SMALL_NETWORKS, st.sampled_from(["0.0.0.0/0", "::/0"]))
RANGES = st.builds(
    lambda first, length, protocol: f"{first}-{min(first + length, 30)}/{protocol}",
    st.integers(1, 30),
    st.integers(0, 12),
    st.sampled_from(PROTOCOLS),
)
SERVICES = st.fixed_dictionaries(
    {
        name: st.fixed_dictionaries({"ports": st.lists(RANGES, min_size=1, max_size=2), "broad": st.just(broad)})
        for name, broad in [("s0", False), ("s1", False), ("s2", False), ("b0", True), ("b1", True)]
    }
)
GROUP_LISTS = st.lists(st.sampled_from([*GROUPS, "absent"]), unique=True, max_size=2)
EXCEPTED = st.lists(SMALL_NETWORKS, max_size=1)
ENDPOINTS = st.fixed_dictionaries(
    {
        "e0": st.fixed_dictionaries(
            {"groups": GROUP_LISTS, "cidrs": st.lists(NETWORKS, max_size=2)},
            optional={"except": EXCEPTED, "fallback_groups": GROUP_LISTS},
        ),
        "e1": st.fixed_dictionaries(
            {
                "groups": GROUP_LISTS,
                "cidrs": st.lists(NETWORKS, max_size=1),
                "hostnames": st.lists(st.sampled_from(sorted(NAMES)), max_size=1),
            }
        ),
        # Of groups only, so that flows within a cluster may name it.
        "e2": st.fixed_dictionaries(
            {"groups": GROUP_LISTS}, optional={"except": EXCEPTED, "fallback_groups": GROUP_LISTS}
        ),
    }
)
OF_GROUPS = ("e2", *GROUPS)


def flows(names: tuple[str, ...], within_cluster: bool) -> st.SearchStrategy[dict[str, Any]]:
    sides = st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True)
    return st.fixed_dictionaries(
        {
            "from": sides,
            "to": sides,
            "services": st.lists(st.sampled_from(["s0", "s1", "s2", "b0", "b1"]), min_size=1, max_size=2, unique=True),
            "need": st.sampled_from(["recommended", "recommended", "conditional", "optional"]),
            "within_cluster": st.just(within_cluster),
        },
        optional={"enabled": st.booleans(), "unless": st.just("firewall_ssh_through_tunnel")},
    )


FLOWS = st.lists(st.one_of(flows(("e0", "e1", *OF_GROUPS), False), flows(OF_GROUPS, True)), min_size=1, max_size=5).map(
    lambda flows: {f"f{number}": flow for number, flow in enumerate(flows)}
)
HOST = st.fixed_dictionaries(
    {
        "groups": st.lists(st.sampled_from(GROUPS), max_size=2, unique=True),
        "cluster": st.one_of(st.sampled_from(CLUSTERS), st.lists(st.sampled_from(CLUSTERS), min_size=1, max_size=2)),
        "egress": st.sampled_from(["open", "restricted"]),
        "mode": st.sampled_from(["enforce", "enforce", "observe"]),
    }
)
CLUSTER_NETWORKS = st.dictionaries(
    st.sampled_from(CLUSTERS), st.fixed_dictionaries({"cidrs": st.lists(SMALL_NETWORKS, max_size=2)}), max_size=2
)


@st.composite
def hosts(draw: st.DrawFn, apart: bool) -> dict[str, Any]:
    """Return hosts with addresses of their own; unless `apart`, some come from addresses other than their own."""
    result: dict[str, Any] = {"h0": {"groups": ["desks"], "cluster": "alpha", "addresses": [address(4, 7)]}}
    for number in range(1, draw(st.integers(2, 6)) + 1):
        host = draw(HOST)
        host["addresses"] = draw(
            st.sampled_from(
                [
                    [address(4, number)],
                    [address(6, number)],
                    [address(4, number), address(6, number)],
                    [address(4, number), address(4, number + 8)],
                ]
            )
        )
        if not apart and draw(st.integers(0, 3)) == 0:
            host["source_addresses"] = [address(4, number + 100)]
        result[f"h{number}"] = host
    return result


SITES = st.builds(
    Site,
    SERVICES,
    ENDPOINTS,
    FLOWS,
    hosts(apart=False),
    CLUSTER_NETWORKS,
    st.booleans(),
    st.sampled_from([True, True, False]),
)
# Without networks of any kind, and where every host comes from where it is.
SITES_OF_GROUPS = st.builds(
    Site,
    SERVICES,
    st.just({"e2": {"groups": ["slurm_compute", "desks"]}}),
    st.lists(st.one_of(flows(OF_GROUPS, False), flows(OF_GROUPS, True)), min_size=1, max_size=5).map(
        lambda flows: {f"f{number}": flow for number, flow in enumerate(flows)}
    ),
    hosts(apart=True),
    st.just({}),
    st.booleans(),
    st.booleans(),
)
