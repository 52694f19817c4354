# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.hpc.ports.plugins.plugin_utils.evidence import COUNTERS, Results, Seen
from ansible_collections.hpc.ports.tests.support.reported import (
    DEAD,
    DIED,
    LEFT,
    NOBODY,
    NONCES,
    OTHER,
    SOURCE,
    TARGET,
    counted,
    expectation,
    held,
    result,
)

ITEM = expectation("open")


# ---- probes

def test_what_came_of_a_probe() -> None:
    found = result("filtered", detail="Rejected.", rejected=True, path="No echo.", reachable=False, nonce="bbbb",
                   elsewhere={"t.example.org": [OTHER]})
    assert Results({"source": [found]}).seen(ITEM) == Seen(
        "filtered", "Rejected.", True, False, "No echo.", "bbbb", 0.25, 2, SOURCE, {"t.example.org": [OTHER]})
    assert Results({"source": [result("open")]}).seen(ITEM).attempts == 1


def test_each_port_has_its_own_outcome_and_nonce() -> None:
    both = {**result("open", nonce="bbbb"), "filtered": ["443/udp"], "rejected": [], "attempts": {"443/udp": 3}}
    results = Results({"source": [both]})
    assert (results.seen(ITEM).outcome, results.seen(ITEM).nonce) == ("open", "bbbb")
    other = results.seen(expectation("open", "udp"))
    assert (other.outcome, other.nonce, other.seconds, other.attempts) == ("filtered", "", None, 3)


@pytest.mark.parametrize("probed", [
    {}, {"source": []}, {"other": [result("open")]}, {"source": [result("open", address=OTHER)]},
    {"source": [result("open", "udp")]}])
def test_what_was_not_reported_is_missing(probed: dict[str, Any]) -> None:
    assert Results(probed).seen(ITEM) == Seen("missing")
    assert Results(probed).seen(ITEM).elsewhere == {}


# ---- who holds a port

@pytest.mark.parametrize("by", ["listener", "service"])
@pytest.mark.parametrize("address,bound,is_held", [
    (TARGET, "0.0.0.0", True), (TARGET, TARGET, True), ("fd00::1", "::", True), ("fd00::1", "fd00::1", True),
    (TARGET, "::", False), ("fd00::1", "0.0.0.0", False), (TARGET, OTHER, False), (TARGET, "127.0.0.1", False)])
def test_a_port_is_held_on_its_address_or_on_all(by: str, address: str, bound: str, is_held: bool) -> None:
    results = Results({}, {"target": held(by, address=bound)})
    assert results.holder(expectation("open", address=address)) == ((by, "") if is_held else ("nobody", LEFT))
    assert results.holder(expectation("open", "udp", address)) == ("nobody", LEFT)


@pytest.mark.parametrize("said", [None, {}, {"skipped": True}, {"failed": True, "msg": "Died."}, DEAD])
def test_who_did_not_live_until_the_end_held_nothing(said: dict[str, Any] | None) -> None:
    assert Results({}, {} if said is None else {"target": said}).holder(ITEM) == ("nobody", DIED)


def test_without_listeners_nobody_had_to_be_there() -> None:
    assert Results({}, {"target": NOBODY}, passive=True).holder(ITEM) == ("nobody", "nobody listens there")


def test_why_no_listener_could_be_put_there() -> None:
    said = {**NOBODY, "not_held": {"0.0.0.0": {"443/tcp": "Permission denied"}}}
    assert Results({}, {"target": said}).holder(ITEM) == (
        "nobody", "no listener could be put there (Permission denied)")
    # At another address of the host somebody is.
    assert Results({}, {"target": {**said, "in_use": {TARGET: ["443/tcp"]}}}).holder(ITEM) == ("service", "")


# ---- who answered

def test_a_nonce_tells_the_host() -> None:
    results = Results(nonces=NONCES)
    assert [results.host_of(nonce) for nonce in ("bbbb", "cccc", "dddd", "")] == ["target", "other", "", ""]


# ---- how far packets came

def test_packets_are_counted_at_both_ends() -> None:
    probed = {"source": [result("open")]}
    here = {**NOBODY, "counts": {**counted(TARGET, left=2, returned=1), "arrived": {TARGET: {"9": ["443/tcp"]}}}}
    results = Results(probed, {"source": here, "target": held("listener", arrived=2, passed=1)})
    assert results.counters(ITEM) == {"left": 2, "arrived": 2, "passed": 1, "answered": 0, "returned": 1}
    assert set(results.counters(expectation("open", "udp")).values()) == {0}


@pytest.mark.parametrize("source,target,counters", [
    (None, None, (None, None, None, None, None)),
    (None, {**NOBODY, "counts": counted(SOURCE, arrived=1)}, (None, 1, 0, 0, None)),
    ({**NOBODY, "counts": counted(TARGET, left=1)}, DEAD, (1, None, None, None, 0)),
    ({**NOBODY, "counts": {}}, {**NOBODY, "counts": counted(OTHER, arrived=1)}, (None, 0, 0, 0, None)),
])
def test_what_nobody_counted_is_not_known(source: Any, target: Any, counters: tuple[int | None, ...]) -> None:
    stopped = {host: said for host, said in (("source", source), ("target", target)) if said}
    found = Results({"source": [result("filtered")]}, stopped).counters(ITEM)
    assert tuple(found[name] for name in COUNTERS) == counters


def test_who_came_to_a_port() -> None:
    arrived = {"arrived": {SOURCE: {"1": ["443/tcp", "22/tcp"]}, OTHER: {"3": ["443/tcp"]},
                           "fd00::9": {"1": ["443/tcp"]}, "10.0.0.9": {"1": ["443/udp"]}}}
    results = Results({}, {"target": {**NOBODY, "counts": arrived}})
    assert results.arrivals(ITEM) == {SOURCE, OTHER}
    assert results.arrivals(expectation("open", address="fd00::1")) == {"fd00::9"}
    assert Results().arrivals(ITEM) == set()
