# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel runs, as each version of firewalld makes it of one policy, against what it should run."""

from __future__ import annotations

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld.config import (
    Abilities,
    Config,
    abilities_of,
    config_of,
)
from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld.running import state_of
from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld.state import (
    accepts_replies_out,
    flow_names,
    flow_views,
    wanted_state,
)
from ansible_collections.hpc.ports.plugins.module_utils._backends.nft_listing import parse_listing
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import parse_policy
from ansible_collections.hpc.ports.plugins.module_utils._model.ports import EVERYTHING
from ansible_collections.hpc.ports.plugins.module_utils._model.state import FlowView, changed_objects
from ansible_collections.hpc.ports.tests.support.fake_firewalld import VERSIONS, listed_policy, listing
from ansible_collections.hpc.ports.tests.support.samples import policy

pytestmark = pytest.mark.parametrize("version", VERSIONS)


def config(version: str) -> Config:
    is_new = version != "0.9.3"
    return config_of(
        parse_policy(listed_policy(version)),
        Abilities(is_new, is_new, accepts_replies_out(parse_listing(listing(version)))),
    )


def test_what_runs_is_what_is_wanted(version: str) -> None:
    assert state_of(parse_listing(listing(version))) == wanted_state(config(version))


def test_who_accepts_replies_out(version: str) -> None:
    assert accepts_replies_out(parse_listing(listing(version))) == (version != "0.9.3")


@pytest.mark.parametrize(
    "old,new,name",
    [
        ("10.64.2.1 }", "10.64.2.2 }", "ipset hpc_ports_in_web_4a"),
        ("tcp dport 443 ", "tcp dport 444 ", "policy hpc_ports_in"),
        ("\t\tdrop\n", "", "policy hpc_ports_in"),
        ("\t\tjump filter_OUT_policy_hpc_ports_out_allow\n", "", "policy hpc_ports_out"),
        ("\t\tjump filter_IN_policy_hpc_ports_in\n", "", "policy hpc_ports_in"),
        (
            "chain filter_IN_policy_hpc_ports_in_pre {\n",
            "chain filter_IN_policy_hpc_ports_in_pre {\n\t\taccept\n",
            "policy hpc_ports_in",
        ),
    ],
)
def test_each_difference_is_seen(version: str, old: str, new: str, name: str) -> None:
    text = listing(version)
    assert old in text
    found = state_of(parse_listing(text.replace(old, new, 1)))
    assert changed_objects(found, wanted_state(config(version))) == [name]


def test_flows_are_told_by_name(version: str) -> None:
    state, wanted = state_of(parse_listing(listing(version))), config(version)
    assert flow_views(state, flow_names(wanted)) == {
        "in_web": FlowView(frozenset({"443/tcp", "1-9/udp"}), frozenset({"10.64.0.0/24", "10.64.2.1", "any IPv6"})),
        "out_dns": FlowView(frozenset({"53/udp"}), frozenset({"10.64.0.53"})),
    }


def test_a_rule_without_ports_opens_everything(version: str) -> None:
    assert version in VERSIONS
    wanted = config_of(
        parse_policy(policy(("in", "trust", list(map(str, EVERYTHING)), ("10.64.0.1/32",)))), abilities_of((1, 0, 0))
    )
    assert flow_views(wanted_state(wanted), flow_names(wanted)) == {
        "in_trust": FlowView(frozenset(map(str, EVERYTHING)), frozenset({"10.64.0.1"}))
    }
