# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From where this machine reaches hosts."""

from __future__ import annotations

import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils._draft import own_addresses
from ansible_collections.hpc.ports.plugins.plugin_utils._draft.own_addresses import looked_up

NAMES = {"n1": ["10.0.0.1"], "n2": ["10.1.0.1", "fd00::1"], "me": ["127.0.1.1"]}
ROUTES = {"10.0.0.1": "10.0.0.9", "10.0.0.2": "10.0.0.9", "10.1.0.1": "10.1.0.9", "fd00::1": ""}


def lookup(name: str) -> list[str]:
    if name not in NAMES:
        raise OSError("Name or service not known")
    return NAMES[name]


@pytest.fixture(name="_routes")
def fixture_routes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_addresses, "_own", ROUTES.__getitem__)


@pytest.mark.usefixtures("_routes")
def test_the_addresses_towards_all_hosts() -> None:
    hosts = {"n1": ["n1"], "n2": ["n2"], "n3": ["10.0.0.2"]}
    assert looked_up(hosts, lookup) == (["10.0.0.9", "10.1.0.9"], [])


@pytest.mark.usefixtures("_routes")
def test_hosts_without_an_address_that_others_reach() -> None:
    assert looked_up({"me": ["me"], "n1": ["10.0.0.2", "x"], "n4": ["gone"]}, lookup) == ([], ["me", "n1", "n4"])


@pytest.mark.usefixtures("_routes")
def test_a_slow_resolver_ends_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([0.0, 9.0, 11.0])
    monkeypatch.setattr(own_addresses, "monotonic", lambda: next(times))
    assert looked_up({name: [name] for name in ("x", "y", "z")}, lookup) == ([], ["x", "y"])


def test_a_route_of_the_machine() -> None:
    assert own_addresses._own("127.0.0.1") == "127.0.0.1"
    assert own_addresses._own("::ffff:0.0.0.0:") == ""
