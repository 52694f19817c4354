# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The difference of two states: objects, flows, ports and addresses."""

from __future__ import annotations

from ipaddress import collapse_addresses, ip_address, ip_network

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._model import state_diff
from ansible_collections.hpc.ports.plugins.module_utils._model.state import FlowView, changed_objects
from ansible_collections.hpc.ports.plugins.module_utils._model.state_diff import flow_changes
from hypothesis import given
from hypothesis import strategies as st

BEFORE = {"chain a": ("one", "two"), "chain b": ("same",), "set c": ("type x",)}
AFTER = {"chain a": ("two", "one"), "chain b": ("same",), "set d": ()}


def test_changed_objects() -> None:
    assert changed_objects(BEFORE, AFTER) == ["chain a", "set c", "set d"]
    assert changed_objects(BEFORE, BEFORE) == []


def test_the_diff_has_only_objects_that_differ() -> None:
    assert state_diff.state_diff(BEFORE, AFTER) == {
        "before": "chain a:\n    one\n    two\nset c:\n    type x\n",
        "after": "chain a:\n    two\n    one\nset d:\n",
    }
    assert state_diff.state_diff(BEFORE, BEFORE) == {"before": "", "after": ""}


def view(ports: set[str], addresses: set[str]) -> FlowView:
    return FlowView(frozenset(ports), frozenset(addresses))


def test_flows_added_and_removed() -> None:
    one = view({"22/tcp"}, {"10.0.0.1"})
    assert flow_changes({"in_a": one, "in_b": one}, {"in_b": one, "in_c": one, "out_a": one}) == {
        "flows_added": ["in_c", "out_a"],
        "flows_removed": ["in_a"],
        "ports_changed": {},
        "addresses_changed": {},
    }


def changes(before: set[str], after: set[str], key: str) -> dict[str, list[str]]:
    old, new = (view(found, {"any"}) if key == "ports_changed" else view({"1/tcp"}, found) for found in (before, after))
    found = flow_changes({"in_a": old}, {"in_a": new})
    assert [name for name, value in found.items() if value] in ([], [key])
    return found[key].get("in_a", {"added": [], "removed": []})


@pytest.mark.parametrize(
    "before, after, added, removed",
    [
        ({"22/tcp"}, {"22/tcp", "23/tcp"}, ["23/tcp"], []),
        ({"8192-60000/tcp"}, {"60001-63000/tcp"}, ["60001-63000/tcp"], ["8192-60000/tcp"]),
        ({"8192-60000/tcp"}, {"8192-50000/tcp"}, [], ["50001-60000/tcp"]),
        ({"8192-60000/tcp"}, {"8192-8999/tcp", "9001-60000/tcp"}, [], ["9000/tcp"]),
        ({"8192-8999/tcp", "9000-60000/tcp"}, {"8192-60000/tcp"}, [], []),
        ({"53/udp"}, {"53/tcp"}, ["53/tcp"], ["53/udp"]),
        (set(), {"4/ip", "5/ip", "3/ip"}, ["3-5/ip"], []),
        ({"112/ip"}, {"111/ip", "113/ip"}, ["111/ip", "113/ip"], ["112/ip"]),
        ({"22/tcp"}, {"22/tcp", '23 comment "x"/tcp'}, ['23 comment "x"/tcp'], []),
    ],
)
def test_ports_changed(before: set[str], after: set[str], added: list[str], removed: list[str]) -> None:
    assert changes(before, after, "ports_changed") == {"added": added, "removed": removed}


@pytest.mark.parametrize(
    "before, after, added, removed",
    [
        ({"10.0.0.8"}, {"10.0.0.8/31"}, ["10.0.0.9"], []),
        ({"10.0.0.0/30"}, {"10.0.0.0", "10.0.0.2/31"}, [], ["10.0.0.1"]),
        ({"10.0.0.0/24"}, {"10.0.0.0/25", "10.0.0.128/25"}, [], []),
        ({"10.0.0.0-10.0.0.9"}, {"10.0.0.0/28"}, ["10.0.0.10/31", "10.0.0.12/30"], []),
        ({"10.0.0.1", "fd00::1"}, {"fd00::/126"}, ["fd00::", "fd00::2/127"], ["10.0.0.1"]),
        ({"0.0.0.1"}, {"::1"}, ["::1"], ["0.0.0.1"]),
        ({"any"}, {"10.0.0.1"}, ["10.0.0.1"], ["any"]),
        ({"any IPv4", "fd00::1"}, {"any IPv4", "fd00::2"}, ["fd00::2"], ["fd00::1"]),
    ],
)
def test_addresses_changed(before: set[str], after: set[str], added: list[str], removed: list[str]) -> None:
    assert changes(before, after, "addresses_changed") == {"added": added, "removed": removed}


_BASE = int(ip_address("10.0.0.0"))
_PREFIXES = st.builds(
    lambda start, size: ip_network((_BASE + (start >> size << size), 32 - size)), st.integers(0, 255), st.integers(0, 4)
)
_SETS = st.lists(_PREFIXES, max_size=8).map(lambda found: list(collapse_addresses(found)))


@given(_SETS, _SETS)
def test_added_and_removed_addresses_turn_old_into_new(old: list, new: list) -> None:
    def addresses(networks: list) -> set[str]:
        return {str(address) for network in networks for address in network}

    found = changes(set(map(str, old)), set(map(str, new)), "addresses_changed")
    added, removed = (addresses(map(ip_network, found[key])) for key in ("added", "removed"))
    assert added == addresses(new) - addresses(old)
    assert removed == addresses(old) - addresses(new)


def test_ten_thousand_changed_addresses_take_linear_time() -> None:
    old, new = ({f"10.{side}.{number // 128}.{number % 128 * 2}" for number in range(10_000)} for side in (0, 1))
    assert len(changes(old, new, "addresses_changed")["added"]) == 10_000


def test_addresses_that_flows_share_are_compared_once(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []
    minus = state_diff._minus
    monkeypatch.setattr(state_diff, "_minus", lambda *spans: compared.append(spans) or minus(*spans))
    old, new = view({"1/tcp"}, {"10.0.0.1"}), view({"1/tcp"}, {"10.0.0.0/31"})
    flows = [f"in_{number}" for number in range(20)]
    found = flow_changes(dict.fromkeys(flows, old), dict.fromkeys(flows, new))["addresses_changed"]
    assert found == dict.fromkeys(flows, {"added": ["10.0.0.0"], "removed": []})
    assert len(compared) == len(["ports, in either way", "addresses added", "addresses removed"])
