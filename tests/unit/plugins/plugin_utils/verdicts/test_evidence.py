# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Evidence: results of hosts by expectation, counters and translated addresses."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.evidence import COUNTERS, Origin, Results, Seen
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
from ansible_collections.hpc.ports.tests.support.run import examples
from hypothesis import event, given, settings
from hypothesis import strategies as st

ITEM = expectation("open")


# ---- probes


def test_what_came_of_a_probe() -> None:
    found = result(
        "filtered",
        detail="Rejected.",
        rejected=True,
        path="No echo.",
        reachable=False,
        nonce="bbbb",
        elsewhere={"t.example.org": [OTHER]},
    )
    assert Results({"source": [found]}).seen(ITEM) == Seen(
        "filtered", "Rejected.", True, False, "No echo.", "bbbb", 0.25, 2, SOURCE, {"t.example.org": [OTHER]}
    )
    assert Results({"source": [result("open")]}).seen(ITEM).attempts == 1


def test_each_port_has_its_own_outcome_and_nonce() -> None:
    both = {**result("open", nonce="bbbb"), "filtered": ["443/udp"], "rejected": [], "attempts": {"443/udp": 3}}
    results = Results({"source": [both]})
    assert (results.seen(ITEM).outcome, results.seen(ITEM).nonce) == ("open", "bbbb")
    other = results.seen(expectation("open", "udp"))
    assert (other.outcome, other.nonce, other.seconds, other.attempts) == ("filtered", "", None, 3)


@pytest.mark.parametrize(
    "probed",
    [
        {},
        {"source": []},
        {"other": [result("open")]},
        {"source": [result("open", address=OTHER)]},
        {"source": [result("open", "udp")]},
    ],
)
def test_what_was_not_reported_is_missing(probed: dict[str, Any]) -> None:
    assert Results(probed).seen(ITEM) == Seen("missing")
    assert Results(probed).seen(ITEM).elsewhere == {}


# ---- who holds a port


@pytest.mark.parametrize("by", ["listener", "service"])
@pytest.mark.parametrize(
    "address,bound,is_held",
    [
        (TARGET, "0.0.0.0", True),
        (TARGET, TARGET, True),
        ("fd00::1", "::", True),
        ("fd00::1", "fd00::1", True),
        (TARGET, "::", False),
        ("fd00::1", "0.0.0.0", False),
        (TARGET, OTHER, False),
        (TARGET, "127.0.0.1", False),
    ],
)
def test_a_port_is_held_on_its_address_or_on_all(by: str, address: str, bound: str, is_held: bool) -> None:
    results = Results({}, {"target": held(by, address=bound)})
    assert results.holder(expectation("open", address=address)) == ((by, "") if is_held else ("nobody", LEFT))
    assert results.holder(expectation("open", "udp", address)) == ("nobody", LEFT)


@pytest.mark.parametrize("said", [None, {}, {"skipped": True}, {"failed": True, "msg": "Died."}, DEAD])
def test_who_did_not_live_until_the_end_held_nothing(said: dict[str, Any] | None) -> None:
    assert Results({}, {} if said is None else {"target": said}).holder(ITEM) == ("nobody", DIED)


def test_without_listeners_nobody_had_to_be_there() -> None:
    assert Results({}, {"target": NOBODY}, passive=True).holder(ITEM) == ("nobody", "nothing listens on the port")


def test_why_no_listener_could_be_put_there() -> None:
    said = {**NOBODY, "not_held": {"0.0.0.0": {"443/tcp": "Permission denied"}}}
    assert Results({}, {"target": said}).holder(ITEM) == (
        "nobody",
        "no listener could be started there (Permission denied)",
    )
    # At another address of the host somebody is.
    assert Results({}, {"target": {**said, "in_use": {TARGET: ["443/tcp"]}}}).holder(ITEM) == ("service", "")


# ---- who answered


def test_a_nonce_tells_the_host() -> None:
    results = Results(nonces=NONCES)
    assert [results.host_of(nonce) for nonce in ("bbbb", "cccc", "dddd", "")] == ["target", "other", "", ""]


# ---- how far packets came


def test_packets_are_counted_at_both_ends() -> None:
    probed = {"source": [result("open")]}
    here = {
        **NOBODY,
        "counts": {
            **counted(TARGET, own=SOURCE, left=2, returned=1),
            "arrived": {SOURCE: {TARGET: {"9": ["443/tcp"]}}},
        },
    }
    results = Results(probed, {"source": here, "target": held("listener", arrived=2, passed=1)})
    assert results.counters(ITEM) == {"left": 2, "arrived": 2, "passed": 1, "answered": 0, "returned": 1}
    assert set(results.counters(expectation("open", "udp")).values()) == {0}


@pytest.mark.parametrize(
    "source,target,counters",
    [
        (None, None, (None, None, None, None, None)),
        (None, {**NOBODY, "counts": counted(SOURCE, arrived=1)}, (None, 1, 0, 0, None)),
        ({**NOBODY, "counts": counted(TARGET, own=SOURCE, left=1)}, DEAD, (1, None, None, None, 0)),
        ({**NOBODY, "counts": {}}, {**NOBODY, "counts": counted(OTHER, arrived=1)}, (None, 0, 0, 0, None)),
    ],
)
def test_what_nobody_counted_is_not_known(source: Any, target: Any, counters: tuple[int | None, ...]) -> None:
    stopped = {host: said for host, said in (("source", source), ("target", target)) if said}
    found = Results({"source": [result("filtered")]}, stopped).counters(ITEM)
    assert tuple(found[name] for name in COUNTERS) == counters


def test_who_came_to_a_port() -> None:
    arrived = {
        "arrived": {
            TARGET: {SOURCE: {"1": ["443/tcp", "22/tcp"]}, OTHER: {"3": ["443/tcp"]}, "10.0.0.9": {"1": ["443/udp"]}},
            "10.0.0.4": {"10.0.0.10": {"1": ["443/tcp"]}},
            "fd00::1": {"fd00::9": {"1": ["443/tcp"]}},
        }
    }
    results = Results({}, {"target": {**NOBODY, "counts": arrived}})
    assert results.arrivals(ITEM) == {SOURCE, OTHER}
    assert results.arrivals(expectation("open", address="fd00::1")) == {"fd00::9"}
    assert Results().arrivals(ITEM) == set()


# ---- a source behind NAT

INNER, GATEWAY = SOURCE, "192.0.2.39"


def behind_nat(
    counts: dict[str, Any],
    is_configured: bool = True,
    addresses: tuple[str, ...] = ("2001:db8::39", GATEWAY),
    **more: Any,
) -> Results:
    """Return what both say of a probe that took the inner address, sent twice."""
    here = {**NOBODY, "counts": counted(TARGET, own=INNER, left=2)}
    return Results(
        {"source": [result("filtered")], **more.pop("probed", {})},
        {"source": here, "target": {**NOBODY, "own": {TARGET: True}, "counts": counts}, **more.pop("stopped", {})},
        NONCES,
        origins={"source": Origin(addresses, is_configured), **more},
    )


@pytest.mark.parametrize("is_configured", [True, False])
def test_packets_from_the_address_of_the_plan_are_those_of_a_source_behind_nat(is_configured: bool) -> None:
    results = behind_nat(counted(GATEWAY, arrived=2, passed=1), is_configured)
    assert (results.seen(ITEM).source, results.seen(ITEM).peer) == (INNER, GATEWAY)
    assert results.counters(ITEM) == {"left": 2, "arrived": 2, "passed": 1, "answered": 0, "returned": 0}


@pytest.mark.parametrize(
    "counts,is_configured,peer",
    [
        ({}, True, GATEWAY),
        ({}, False, INNER),  # nothing came: the inventory is believed, where it says so
        (counted(OTHER, arrived=2), True, GATEWAY),
        (counted(INNER, arrived=2), True, INNER),
        ({"arrived": {TARGET: {peer: {"1": ["443/tcp"]} for peer in (INNER, GATEWAY)}}}, True, INNER),
    ],
)
def test_an_address_that_is_not_the_plans_is_believed_where_it_arrives(
    counts: dict[str, Any], is_configured: bool, peer: str
) -> None:
    assert behind_nat(counts, is_configured).seen(ITEM).peer == peer


def test_nothing_is_translated_that_the_plan_knows() -> None:
    assert behind_nat({}, addresses=(INNER, GATEWAY)).seen(ITEM).translated == ""
    assert behind_nat({}, addresses=("2001:db8::39",)).seen(ITEM).translated == ""
    assert behind_nat({}).translated(ITEM, "") == ""


@pytest.mark.parametrize(
    "sent,answered,counters",
    [
        (2, "", [2, 2]),
        (4, "", [None, None]),
        (None, "", [None, None]),
        (4, "source", [1, 1]),
        (4, "other", [None, None]),
    ],
)
def test_of_several_hosts_behind_one_address_only_what_is_certain_is_told(
    sent: int | None, answered: str, counters: list[int | None]
) -> None:
    """Four packets came, and `sent` of them may be the other host's."""
    probed = [result("filtered", source=OTHER)]
    others = {
        "probed": {"other": probed},
        "stopped": {} if sent is None else {"other": {**NOBODY, "counts": counted(TARGET, own=OTHER, left=sent)}},
        "other": Origin((GATEWAY,), True),
    }
    results = behind_nat(counted(GATEWAY, arrived=4, passed=4), **others)
    if answered:
        outcome = result("open", nonce=NONCES["target"], source=INNER if answered == "source" else OTHER)
        results.probed[answered][0].update(outcome)  # type: ignore[attr-defined]
    assert [results.counters(ITEM)[name] for name in ("arrived", "passed")] == counters


# ---- several addresses of one host

SECOND, PUBLIC, FOURTH = "10.0.0.4", "198.51.100.1", "198.51.100.2"
OWN = {TARGET: True, SECOND: True, PUBLIC: False, FOURTH: False}
_FAR = ("arrived", "passed", "answered")


def reports(
    sent: dict[str, tuple[str, int, int]], own: dict[str, bool] | None = None, is_counted: bool = True
) -> Results:
    """Return the reports of both hosts: by tried address, where packets arrived, how many, and how far they got."""
    probed = [
        result("open" if far == 4 else "filtered", address=address, nonce=NONCES["target"] if far == 4 else "")
        for address, (place, number, far) in sent.items()
    ]
    here: dict[str, Any] = {"left": {SOURCE: {}}}
    there: dict[str, Any] = {name: {} for name in _FAR}
    for address, (place, number, far) in sent.items():
        here["left"][SOURCE][address] = {str(number): ["443/tcp"]}
        for name in _FAR[:far]:
            peers = there[name].setdefault(place, {SOURCE: {"0": ["443/tcp"]}})
            peers[SOURCE] = {str(int(next(iter(peers[SOURCE]))) + number): ["443/tcp"]}
    stopped = {"target": {**NOBODY, "own": own or OWN, "counts": there}}
    if is_counted:
        stopped["source"] = {**NOBODY, "counts": here}
    return Results({"source": probed}, stopped, NONCES)


def far(results: Results, address: str) -> list[int | None]:
    return [results.counters(expectation("open", address=address))[name] for name in _FAR]


@pytest.mark.parametrize(
    "sent,address,counters",
    [
        # Each address of its own: one says nothing of the other.
        ({TARGET: (TARGET, 1, 4), SECOND: (SECOND, 2, 1)}, SECOND, [2, 0, 0]),
        ({TARGET: (TARGET, 1, 4), SECOND: (SECOND, 2, 0)}, SECOND, [0, 0, 0]),
        # Translated by the host itself: it came as to the public address.
        ({TARGET: (TARGET, 1, 4), PUBLIC: (PUBLIC, 2, 1)}, PUBLIC, [2, 0, 0]),
        # Translated on the way to one that is not tried; packets to the other one are known by what was sent.
        ({TARGET: (TARGET, 1, 4), PUBLIC: (SECOND, 2, 2)}, PUBLIC, [2, 2, 0]),
        ({SECOND: (SECOND, 1, 1), PUBLIC: (TARGET, 1, 4)}, SECOND, [None, 0, 0]),
        ({PUBLIC: (SECOND, 2, 2)}, PUBLIC, [2, 2, 0]),
        # To one that is tried: there may be less of one and more of the other.
        ({TARGET: (TARGET, 2, 1), PUBLIC: (TARGET, 2, 1)}, TARGET, [2, 0, 0]),
        ({TARGET: (TARGET, 2, 0), PUBLIC: (TARGET, 2, 2)}, TARGET, [None, None, 0]),
        ({TARGET: (TARGET, 2, 0), PUBLIC: (TARGET, 2, 2)}, PUBLIC, [None, None, 0]),
        ({TARGET: (TARGET, 2, 0), PUBLIC: (TARGET, 1, 4)}, TARGET, [0, 0, 0]),
        ({TARGET: (TARGET, 2, 0), PUBLIC: (TARGET, 1, 4)}, PUBLIC, [1, 1, 1]),
    ],
)
def test_what_comes_to_one_address_is_told_from_what_comes_to_another(
    sent: dict[str, tuple[str, int, int]], address: str, counters: list[int | None]
) -> None:
    assert far(reports(sent), address) == counters


def test_without_the_counts_of_the_source_less_can_be_told() -> None:
    sent = {TARGET: (TARGET, 2, 1), PUBLIC: (TARGET, 2, 1)}
    assert far(reports(sent, is_counted=False), TARGET) == [None, 0, 0]


def test_an_answer_proves_what_was_counted_at_another_port() -> None:
    """Something between translates the port as well."""
    for outcome, nonce, number in (("open", NONCES["target"], 1), ("open", NONCES["other"], 0), ("filtered", "", 0)):
        probed = {"source": [result(outcome, address=PUBLIC, nonce=nonce)]}
        results = Results(probed, {"target": {**NOBODY, "own": OWN, "counts": dict.fromkeys(COUNTERS, {})}}, NONCES)
        assert far(results, PUBLIC) == [number] * 3


def test_what_a_set_that_was_full_lacks_is_not_known() -> None:
    results = Results(
        {"source": [result("filtered")]},
        {"target": {**NOBODY, "counts": {**counted(SOURCE, arrived=1), "passed": None}}},
    )
    assert far(results, TARGET) == [1, None, 0]


def test_who_came_to_an_address_that_is_translated_on_the_way_came_anywhere() -> None:
    said = {
        **NOBODY,
        "own": OWN,
        "counts": {"arrived": {SECOND: {OTHER: {"1": ["443/tcp"]}}, TARGET: {"10.0.0.9": {"1": ["443/tcp"]}}}},
    }
    results = Results({}, {"target": said})
    assert {address: results.arrivals(expectation("open", address=address)) for address in OWN} == {
        TARGET: {"10.0.0.9"},
        SECOND: {OTHER},
        PUBLIC: {OTHER, "10.0.0.9"},
        FOURTH: {OTHER, "10.0.0.9"},
    }


@settings(max_examples=examples(300))
@given(
    st.dictionaries(
        st.sampled_from([*OWN]),
        st.tuples(
            st.sampled_from([TARGET, SECOND, PUBLIC, FOURTH]), st.integers(1, 2), st.sampled_from([0, 1, 2, 3, 4])
        ),
        min_size=1,
    ),
    st.booleans(),
)
def test_what_is_told_of_an_address_is_true(sent: dict[str, tuple[str, int, int]], is_counted: bool) -> None:
    """An own address is not translated; a public one is on the way, to an own one, or by the host."""
    sent = {
        address: (address if OWN[address] or not OWN[place] else place, number, how_far)
        for address, (place, number, how_far) in sent.items()
    }
    results = reports(sent, is_counted=is_counted)
    for address, (_place, number, how_far) in sent.items():
        for position, told in enumerate(far(results, address)):
            truth = number if how_far > position else 0
            event(f"told {told}")
            assert told is None or (told > 0) == (truth > 0), (address, _FAR[position])
            assert told is None or told <= truth or len(sent) == 1
