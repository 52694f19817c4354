# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `verify_judge` says of each connection on a host with real Docker, netavark, CNI and kube-proxy's rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from ansible_collections.hpc.ports.tests.containers.connections import FILTERED
from ansible_collections.hpc.ports.tests.containers.publishers import KUBE_MODES
from ansible_collections.hpc.ports.tests.containers.sites import Site, wanted

OUTSIDE = ("platform", "outsider")


def judged(site: Site) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return what each connection from outside to the host gets, and what the host says of it.

    Without those that nobody answers even where the host has no firewall.
    """
    straight = {address for one in site.containers for address in one.addresses.values()}
    got = {
        key: outcome
        for key, outcome in site.measured(*OUTSIDE).items()
        if site.before[key] != FILTERED and key[1].target not in straight
    }
    sources = site.sources
    packets = [
        {
            "direction": "in",
            "protocol": one.protocol,
            "source": sources[name].addresses[6 if ":" in one.target else 4],
            "destination": one.target,
            "port": one.port,
            "interface": "eth0",
            "reply": True,
        }
        for name, one in got
    ]
    result = site.host.module("verify_judge", packets=packets)
    return {
        f"{name} {one}": (outcome, judgement)
        for ((name, one), outcome), judgement in zip(got.items(), result["judgements"])
    }


def is_right(outcome: str, judgement: Mapping[str, Any]) -> bool:
    """Return whether the host says what happens; where iptables-legacy has tables, it cannot say what is accepted."""
    if outcome == FILTERED:
        return judgement["verdict"] == "drop" and judgement["is_ours"]
    return all(
        trace["verdict"] == "accept" or trace["verdict"] == "unknown" and "tables-legacy" in trace["unknown"]
        for trace in (judgement, judgement.get("reply", judgement))
    )


def check(site: Site) -> None:
    """See that the host says what happens to each connection from outside."""
    wrong = {about: found for about, found in judged(site).items() if not is_right(*found)}
    assert not wrong, "\n".join(f"{about}: {outcome}, {judgement}" for about, (outcome, judgement) in wrong.items())


@pytest.mark.parametrize("has_firewall", [True, False])
def test_the_host_says_what_happens_to_each_connection(site: Site, has_firewall: bool) -> None:
    if has_firewall:
        site.host.apply(wanted())
    check(site)


@pytest.mark.parametrize("mode", KUBE_MODES[1:])
def test_services_of_a_cluster_are_followed_in_each_mode(site: Site, mode: str) -> None:
    site.kube.clear(KUBE_MODES[0])
    site.kube.set_up(mode)
    try:
        site.host.apply(wanted())
        check(site)
    finally:
        site.kube.clear(mode)
        site.kube.set_up(KUBE_MODES[0])
