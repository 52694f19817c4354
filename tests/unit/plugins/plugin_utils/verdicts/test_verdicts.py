# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verdicts: every combination of expectation and result."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.evidence import Results
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.verdicts import verdicts_of
from ansible_collections.hpc.ports.tests.support.reported import (
    DEAD,
    DIED,
    LEFT,
    NOBODY,
    NONCES,
    OTHER,
    SOURCE,
    TARGET,
    expectation,
    held,
    result,
)
from hypothesis import event, given
from hypothesis import strategies as st

PROTOCOLS = pytest.mark.parametrize("protocol", ["tcp", "udp"])
EXPECTED = pytest.mark.parametrize("expected", ["open", "filtered"])
NO_LISTENER = "The packet was accepted, and then refused because nothing listens on the port."


def judged(
    expected: str,
    outcome: str,
    said: dict[str, Any] | None,
    protocol: str = "tcp",
    *,
    passive: bool = False,
    flow: str = "web",
    **values: Any,
) -> tuple[str, str]:
    [verdict] = verdicts_of(
        [expectation(expected, protocol, flow=flow)],
        Results(
            {"source": [result(outcome, protocol, **values)]}, {} if said is None else {"target": said}, NONCES, passive
        ),
        ["user_ports"],
    )
    return verdict.verdict, verdict.why


# ---- the table: what was expected, what came of it, who had the port until the end


@PROTOCOLS
@pytest.mark.parametrize("said", [held("listener"), held("listener", "udp"), held("service"), NOBODY, DEAD, None])
def test_the_targets_own_nonce_is_proof_whoever_held_the_port(protocol: str, said: dict[str, Any] | None) -> None:
    assert judged("open", "open", said, protocol, nonce=NONCES["target"]) == ("right", "")
    assert judged("filtered", "open", said, protocol, nonce=NONCES["target"]) == ("wrong", "The probe got an answer.")


@PROTOCOLS
@EXPECTED
@pytest.mark.parametrize("by", ["listener", "service", "nobody"])
@pytest.mark.parametrize("host", ["other", "source"])
def test_an_answer_of_another_host_is_wrong(protocol: str, expected: str, by: str, host: str) -> None:
    said = held(by, protocol, answered=1, passed=1, arrived=1)
    assert judged(expected, "open", said, protocol, nonce=NONCES[host]) == ("wrong", f"The answer came from {host}.")


@PROTOCOLS
def test_where_a_listener_is_its_answer_is_wanted(protocol: str) -> None:
    wrong = ("wrong", "The answer did not come from the listener on target.")
    assert judged("open", "open", held("listener", protocol), protocol) == wrong
    assert judged("open", "open", held("listener", protocol), protocol, nonce="of nobody") == wrong
    assert judged("open", "open", held("listener", protocol, arrived=1, passed=1), protocol) == wrong
    # The nonce may be lost; that the answer left is counted.
    assert judged("open", "open", held("listener", protocol, answered=1), protocol) == ("right", "")


@PROTOCOLS
def test_a_service_says_no_nonce(protocol: str) -> None:
    assert judged("open", "open", held("service", protocol), protocol) == ("right", "")
    assert judged("filtered", "open", held("service", protocol), protocol) == ("wrong", "The probe got an answer.")


@PROTOCOLS
@pytest.mark.parametrize("said,reason", [(DEAD, DIED), (None, DIED), (NOBODY, LEFT)])
def test_an_answer_where_nobody_was_proves_nothing(protocol: str, said: dict[str, Any] | None, reason: str) -> None:
    assert judged("open", "open", said, protocol) == ("unknown", f"The probe got an answer, but {reason}.")
    assert judged("filtered", "open", said, protocol) == ("wrong", "The probe got an answer.")


@PROTOCOLS
@pytest.mark.parametrize("said,reason", [(DEAD, DIED), (None, DIED), (NOBODY, LEFT)])
def test_a_refusal_where_nobody_listened(protocol: str, said: dict[str, Any] | None, reason: str) -> None:
    assert judged("open", "refused", said, protocol) == ("unknown", f"The connection was refused, and {reason}.")
    assert judged("filtered", "refused", said, protocol) == ("wrong", NO_LISTENER)


@PROTOCOLS
@pytest.mark.parametrize("by", ["listener", "service"])
@EXPECTED
def test_a_refusal_where_somebody_listened_is_not_ours(protocol: str, by: str, expected: str) -> None:
    assert judged(expected, "refused", held(by, protocol), protocol) == (
        "wrong",
        f"The connection was refused although a {by} has the port: something other than the rules of hpc.ports rejects "
        "it.",
    )


@PROTOCOLS
@pytest.mark.parametrize("by", ["listener", "service", "nobody"])
def test_a_refusal_that_the_target_made_before_it_let_in_is_as_good_as_silence(protocol: str, by: str) -> None:
    assert judged("filtered", "refused", held(by, protocol, arrived=1), protocol) == ("right", "")
    assert judged("filtered", "refused", held(by, protocol, arrived=1, passed=1), protocol)[0] == "wrong"
    # Under this address nothing came: something on the way refuses, or translates.
    assert judged("filtered", "refused", held(by, protocol, arrived=0), protocol)[0] == "wrong"
    assert judged("open", "refused", held(by, protocol, arrived=1), protocol)[0] != "right"


@EXPECTED
def test_a_probe_that_failed_says_nothing(expected: str) -> None:
    assert judged(expected, "error", held("listener"), detail="Network is unreachable.") == (
        "unknown",
        "The probe failed: Network is unreachable.",
    )


@EXPECTED
def test_a_source_that_reported_nothing(expected: str) -> None:
    [verdict] = verdicts_of([expectation(expected)], Results({}, {"target": held("listener")}))
    assert (verdict.verdict, verdict.why, verdict.seen.outcome) == (
        "unknown",
        "source reported no results: Ansible did not reach it, or its module failed.",
        "missing",
    )


# ---- silence


@pytest.mark.parametrize("protocol,by", [("tcp", "listener"), ("udp", "listener"), ("tcp", "service")])
def test_silence_where_somebody_would_have_answered(protocol: str, by: str) -> None:
    assert judged("filtered", "filtered", held(by, protocol), protocol) == ("right", "")
    assert judged("open", "filtered", held(by, protocol), protocol) == (
        "wrong",
        "No answer, although the host answers echoes.",
    )


@PROTOCOLS
@pytest.mark.parametrize("reachable", [False, None])
def test_silence_without_a_path(protocol: str, reachable: bool | None) -> None:
    for said in (held("listener", protocol), held("listener", protocol, arrived=0)):
        for path, shown in (("No echo reply.", "No echo reply."), ("", "the path to the target is unknown.")):
            assert judged("filtered", "filtered", said, protocol, reachable=reachable, path=path) == (
                "unknown",
                f"The missing answer proves nothing without a path to the target: {shown}",
            )
            assert judged("open", "filtered", said, protocol, reachable=reachable, path=path) == (
                "unknown",
                f"No answer, and no answer to an echo either: {shown}",
            )


@PROTOCOLS
@pytest.mark.parametrize("by", ["listener", "service", "nobody"])
@pytest.mark.parametrize("reachable", [True, False, None])
def test_what_the_target_counted_is_better_than_silence(protocol: str, by: str, reachable: bool | None) -> None:
    kept_out = held(by, protocol, arrived=2)
    assert judged("filtered", "filtered", kept_out, protocol, reachable=reachable) == ("right", "")
    let_in = held(by, protocol, arrived=2, passed=2)
    assert judged("filtered", "filtered", let_in, protocol, reachable=reachable) == (
        "wrong",
        "The packet was accepted, although nothing answered in time.",
    )


@PROTOCOLS
@pytest.mark.parametrize("said,reason", [(DEAD, DIED), (None, DIED), (NOBODY, LEFT)])
def test_silence_where_nobody_listened(protocol: str, said: dict[str, Any] | None, reason: str) -> None:
    assert judged("filtered", "filtered", said, protocol) == (
        "unknown",
        f"The missing answer proves nothing: {reason}.",
    )


@pytest.mark.parametrize("said,reason", [(DEAD, DIED), (NOBODY, LEFT)])
def test_silence_of_what_should_be_open_where_nobody_listened(said: dict[str, Any], reason: str) -> None:
    """A host refuses TCP where nobody listens; to UDP it may keep silent, because it refuses only so many a second."""
    assert judged("open", "filtered", said, "tcp") == ("wrong", "No answer, although the host answers echoes.")
    assert judged("open", "filtered", said, "udp") == ("unknown", f"No answer, and {reason}.")


def test_a_udp_service_may_keep_silent() -> None:
    said = held("service", "udp")
    assert judged("open", "filtered", said, "udp") == (
        "unknown",
        "No answer, but the service on the port need not answer a probe.",
    )
    assert judged("filtered", "filtered", said, "udp") == (
        "unknown",
        "The service on the port answered no probe at all, so the missing answer proves nothing.",
    )
    assert judged("filtered", "filtered", said, "udp", rejected=True, detail="Rejected by 10.0.0.1.") == ("right", "")


def test_a_question_to_a_silent_udp_service_that_was_let_in_is_counted() -> None:
    assert judged("open", "filtered", held("service", "udp", arrived=1, passed=1), "udp") == ("right", "")
    for by in ("service", "nobody"):
        assert judged("open", "filtered", held(by, "udp", arrived=1), "udp") == (
            "wrong",
            "No answer, and the rules did not accept the packet.",
        )
    assert judged("open", "filtered", held("nobody", "udp", arrived=1, passed=1), "udp") == (
        "unknown",
        f"No answer, and {LEFT}.",
    )


def test_a_udp_service_that_answers_others_is_silent_for_a_reason() -> None:
    allowed, denied = expectation("open", "udp", source="friend"), expectation("filtered", "udp")
    probed = {"friend": [result("open", "udp")], "source": [result("filtered", "udp")]}
    assert [
        item.verdict for item in verdicts_of([denied, allowed], Results(probed, {"target": held("service", "udp")}))
    ] == ["right", "right"]
    # It answers on its other address, which says nothing about this one.
    elsewhere = {"friend": [result("open", "udp", address=OTHER)], "source": [result("filtered", "udp")]}
    assert [
        item.verdict
        for item in verdicts_of(
            [denied, allowed._replace(address=OTHER)], Results(elsewhere, {"target": held("service", "udp")})
        )
    ] == ["unknown", "right"]


@pytest.mark.parametrize("passive", [False, True])
def test_a_reject_is_proof_that_something_is_blocked(passive: bool) -> None:
    why = "Rejected by 10.9.9.9 (ICMP type 3, code 13)."
    assert judged("open", "filtered", NOBODY, rejected=True, detail=why, passive=passive) == ("wrong", why)


# ---- without listeners


@PROTOCOLS
@pytest.mark.parametrize("said", [held("service"), NOBODY, None])
def test_passive_an_answer_is_believed(protocol: str, said: dict[str, Any] | None) -> None:
    assert judged("open", "open", said, protocol, passive=True) == ("right", "")
    assert judged("filtered", "open", said, protocol, passive=True) == ("wrong", "The probe got an answer.")


@PROTOCOLS
def test_passive_a_refusal_is_right_where_nobody_need_listen(protocol: str) -> None:
    """Broad ports are for users, who may listen there or not; of a named one somebody should."""
    assert judged("open", "refused", NOBODY, protocol, passive=True, flow="user_ports") == ("right", "")
    assert judged("open", "refused", NOBODY, protocol, passive=True) == ("wrong", NO_LISTENER)
    assert judged("filtered", "refused", NOBODY, protocol, passive=True) == ("wrong", NO_LISTENER)
    assert judged("open", "refused", held("service", protocol), protocol, passive=True, flow="user_ports")[0] == "wrong"


def test_passive_silence_of_tcp_is_believed_because_the_host_itself_would_refuse() -> None:
    for said in (NOBODY, held("service")):
        assert judged("filtered", "filtered", said, passive=True) == ("right", "")
        assert judged("filtered", "filtered", said, passive=True, reachable=False)[0] == "unknown"
        assert judged("open", "filtered", said, passive=True) == (
            "wrong",
            "No answer, although the host answers echoes.",
        )


def test_passive_silence_of_udp_is_unproven() -> None:
    assert judged("filtered", "filtered", NOBODY, "udp", passive=True) == (
        "unproven",
        "The missing answer proves nothing: nothing listens on the port.",
    )
    assert judged("open", "filtered", NOBODY, "udp", passive=True) == (
        "unproven",
        "No answer, and nothing listens on the port.",
    )
    assert judged("open", "filtered", held("service", "udp"), "udp", passive=True) == (
        "unproven",
        "No answer, but the service on the port need not answer a probe.",
    )
    assert judged("filtered", "filtered", held("service", "udp"), "udp", passive=True) == (
        "unproven",
        "The service on the port answered no probe at all, so the missing answer proves nothing.",
    )
    assert judged("open", "filtered", held("nobody", "udp", arrived=1), "udp", passive=True)[0] == "wrong"
    assert judged("filtered", "filtered", held("nobody", "udp", arrived=1), "udp", passive=True) == ("right", "")


# ---- proxies


def test_a_proxy_that_does_not_reach_its_container_is_no_service() -> None:
    dead = {**held("service"), "dead_ends": {"443/tcp": "172.17.0.2 port 80: no answer"}}
    assert judged("open", "open", dead) == (
        "wrong",
        "A container proxy accepts the connection but cannot reach the container: 172.17.0.2 port 80: no answer.",
    )
    assert judged("open", "open", {**dead, "dead_ends": {"80/tcp": "172.17.0.2 port 80: no answer"}})[0] == "right"
    assert judged("open", "open", dead, nonce=NONCES["target"])[0] == "right"


# ---- routes


@EXPECTED
def test_an_address_without_a_route_is_not_tested_where_another_is_reached(expected: str) -> None:
    second = expectation(expected)._replace(address=OTHER)
    results = Results(
        {"source": [result("open", nonce=NONCES["target"]), {**result("error", source=""), "address": OTHER}]},
        {"target": held("listener")},
        NONCES,
    )
    [first, found] = verdicts_of([expectation("open"), second], results)
    assert (first.verdict, found.verdict, found.why) == (
        "right",
        "unproven",
        f"source has no route to {OTHER}, but it reaches other addresses of target.",
    )
    sixth = second._replace(address="fd00::1")
    in_other = Results(
        {"source": [result("open", nonce=NONCES["target"]), {**result("error", source=""), "address": "fd00::1"}]},
        {"target": held("listener")},
        NONCES,
    )
    for alone in (verdicts_of([second], results), verdicts_of([expectation("open"), sixth], in_other)[1:]):
        assert [item.verdict for item in alone] == ["unknown"]


# ---- names


@EXPECTED
@pytest.mark.parametrize("outcome", ["open", "refused", "filtered", "error"])
def test_a_name_that_leads_elsewhere_is_wrong_whatever_the_address_does(expected: str, outcome: str) -> None:
    assert judged(
        expected,
        outcome,
        held("listener"),
        nonce=NONCES["target"] if outcome == "open" else "",
        elsewhere={"t.example.org": [OTHER, "10.0.0.4"]},
    ) == ("wrong", f"source resolves t.example.org to {OTHER}, 10.0.0.4, not to {TARGET}.")


# ---- all of it

BY = st.sampled_from(["listener", "service", "nobody"])
COUNTS = st.one_of(
    st.just({}), st.fixed_dictionaries({name: st.integers(0, 2) for name in ("arrived", "passed", "answered")})
)


def is_proven(case: dict[str, Any], target: dict[str, Any] | None) -> bool:
    """Tell whether what was expected is proven, as docs/ARCHITECTURE.md has it, by other words than the code."""
    counts = case["counts"] if target and case["by"] != "dead" else {}
    answered = case["outcome"] == "open"
    if case["nonce"] and case["nonce"] != NONCES["target"] and answered:
        return False
    if case["expected"] == "open":
        is_ours = case["nonce"] or case["by"] == "service" or case["passive"] or counts.get("answered")
        may_be_closed = (
            case["passive"]
            and case["flow"] == "user_ports"
            and case["outcome"] == "refused"
            and (case["by"] != "service")
        )
        let_in = counts.get("passed") and case["by"] == "service" and case["protocol"] == "udp" and not case["rejected"]
        return bool(answered and is_ours or may_be_closed or case["outcome"] == "filtered" and let_in)
    stopped = bool(counts.get("arrived")) and not counts.get("passed")
    would_answer = (
        case["by"] in ("listener", "service")
        and case["protocol"] == "tcp"
        or case["by"] == "listener"
        or (case["rejected"] and case["by"] == "service")
        or case["passive"]
        and case["protocol"] == "tcp"
    )
    silent = case["outcome"] == "filtered" and case["reachable"] and would_answer and not counts.get("passed")
    return bool(case["outcome"] in ("filtered", "refused") and stopped or silent)


@given(
    case=st.fixed_dictionaries(
        {
            "expected": st.sampled_from(["open", "filtered"]),
            "outcome": st.sampled_from(["open", "refused", "filtered", "error"]),
            "by": st.sampled_from(["listener", "service", "nobody", "dead", "unasked"]),
            "protocol": st.sampled_from(["tcp", "udp"]),
            "reachable": st.sampled_from([True, False, None]),
            "rejected": st.booleans(),
            "passive": st.booleans(),
            "flow": st.sampled_from(["web", "user_ports"]),
            "nonce": st.sampled_from(["", "", *NONCES.values()]),
            "counts": COUNTS,
            "source": st.sampled_from([SOURCE, OTHER, ""]),
        }
    )
)
def test_right_needs_proof_and_wrong_the_opposite(case: dict[str, Any]) -> None:
    case["rejected"] = case["rejected"] and case["outcome"] == "filtered"
    case["nonce"] = case["nonce"] if case["outcome"] == "open" and not case["passive"] else ""
    if case["passive"] and case["by"] == "listener":
        case["by"] = "service"
    target = {"dead": DEAD, "unasked": None}.get(
        case["by"],
        held(case["by"] if case["by"] in ("listener", "service") else "nobody", case["protocol"], **case["counts"]),
    )
    # Counts are those of another peer where the source has another address.
    case["counts"] = case["counts"] if case["source"] == SOURCE else dict.fromkeys(case["counts"], 0)
    verdict, why = judged(
        case["expected"],
        case["outcome"],
        target,
        **{name: case[name] for name in ("protocol", "reachable", "rejected", "passive", "flow", "nonce", "source")},
        detail="Rejected." if case["rejected"] else "",
    )
    event(verdict)
    assert (verdict == "right") == (why == "")
    if verdict == "right":
        assert is_proven(case, target)
    if verdict == "wrong":
        assert case["outcome"] in ("open", "refused", "filtered")
        assert not is_proven(case, target)
    if verdict == "unproven":
        assert case["passive"] and case["protocol"] == "udp" and case["outcome"] == "filtered"
    if case["outcome"] == "error":
        assert verdict == "unknown"


def test_verdicts_keep_their_order() -> None:
    items = [expectation("open", address="fd00::1"), expectation("filtered")]
    found = verdicts_of(
        items,
        Results(
            {"source": [result("open", address="fd00::1", nonce=NONCES["target"]), result("filtered")]},
            {"target": held("listener")},
            NONCES,
        ),
    )
    assert [verdict.expectation for verdict in found] == items
    assert [(verdict.verdict, verdict.held_by) for verdict in found] == [("right", "nobody"), ("right", "listener")]
