# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `verify_judge` says of each connection on a host with real Docker, netavark, CNI and kube-proxy's rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from ansible_collections.hpc.ports.tests.containers.connections import FILTERED
from ansible_collections.hpc.ports.tests.containers.sites import Site, wanted

OUTSIDE = ("platform", "outsider")


def judged(site: Site) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return what each connection from outside gets, and what the host says of it.

    Without those that nobody answers even where the host has no firewall.
    """
    got = {key: outcome for key, outcome in site.measured(*OUTSIDE).items() if site.before[key] != FILTERED}
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


def _shown(trace: Mapping[str, Any]) -> list[Any]:
    return [trace.get(name) for name in ("verdict", "table", "chain", "rule", "unknown")]


@pytest.mark.parametrize("has_firewall", [True, False])
def test_the_host_says_what_happens_to_each_connection(site: Site, has_firewall: bool) -> None:
    if has_firewall:
        site.host.apply(wanted())
    found = judged(site)
    wrong = {
        about: (outcome, *_shown(judgement), *_shown(judgement.get("reply", {})))
        for about, (outcome, judgement) in found.items()
        if judgement["verdict"] != ("drop" if outcome == FILTERED else "accept")
        or outcome != FILTERED
        and judgement["reply"]["verdict"] != "accept"
    }
    assert not wrong, "\n".join(f"{about}: {what}" for about, what in wrong.items())
    assert {judgement["is_ours"] for _outcome, judgement in found.values() if judgement["verdict"] == "drop"} <= {True}
