# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each cloud does with the packets of random plans what `evaluate` says, if it is given what is written for it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils._cloud.clouds import CLOUDS, export
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError
from ansible_collections.hpc.ports.tests.support.clouds import SIMULATORS, expected, wires
from ansible_collections.hpc.ports.tests.support.random_sites import SITES, SITES_OF_GROUPS, Site
from ansible_collections.hpc.ports.tests.support.run import examples
from hypothesis import event, given, reject, settings
from hypothesis import strategies as st

# IP protocols and whole ranges, which random sites lack.
_PORTS = (["any/ip"], ["112/ip"], ["50-51/ip", "7/tcp"], ["1-65535/tcp"], ["1-30/udp"])


# Networks that hosts fill, some of them with a part of their addresses only.
_FILLED = st.lists(
    st.sampled_from(["10.0.0.2/31", "10.0.0.4/31", "10.0.0.1/32", "10.0.0.104/31", "fd00::2/127"]),
    min_size=1,
    max_size=2,
)


def more(site: Site, ports: list[str] | None, networks: list[str]) -> Site:
    """Return a site with other ports, and with flows from and to networks of hosts."""
    services = {**site.services, "s2": {"ports": ports}} if ports else site.services
    flow = {"services": ["s1"], "need": "recommended"}
    flows = {
        "inward": {**flow, "from": ["filled"], "to": ["slurm_compute", "control_plane"]},
        "outward": {**flow, "from": ["slurm_compute", "control_plane"], "to": ["filled"]},
    }
    endpoints = {**site.endpoints, "filled": {"cidrs": networks}}
    return replace(site, services=services, endpoints=endpoints, flows={**site.flows, **flows})


CLOUD_SITES = st.builds(more, st.one_of(SITES, SITES_OF_GROUPS), st.one_of(st.none(), st.sampled_from(_PORTS)), _FILLED)


@pytest.mark.parametrize("cloud", CLOUDS)
@settings(max_examples=examples(60))
@given(
    site=CLOUD_SITES,
    seed=st.integers(0, 2**32),
    part=st.booleans(),
    references=st.sampled_from([True, True, True, False]),
)
def test_the_cloud_gives_the_verdicts_of_the_plan(
    cloud: str, site: Site, seed: int, part: bool, references: bool
) -> None:
    try:
        plan = site.plan()
    except PortFileError:  # `any/ip` from everyone
        reject()
    hosts = sorted(plan.hosts)[:: 2 if part else 1]
    if not hosts:
        return
    written = export(plan, cloud, hosts, "hpc", references)
    simulator = SIMULATORS[cloud](plan, written.text, hosts)
    simulator.use(written.groups)
    sent = set(wires(plan, hosts, seed, 150))
    for wire in sent:
        if simulator.can_say(wire):
            assert simulator.passes(wire) == expected(plan, wire), wire
    event(f"{len(set(simulator.group_of.values()))} groups")
