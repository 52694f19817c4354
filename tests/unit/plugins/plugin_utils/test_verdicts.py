# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hpc.ports.plugins.plugin_utils.expectations import Expectation
from ansible_collections.hpc.ports.plugins.plugin_utils.verdicts import Results, Verdict, verdicts_of

NOBODY = {"alive": True, "listening": {}, "in_use": {}, "failed": {}}
DEAD = {"alive": False, "listening": {}, "in_use": {}, "failed": {}}
DIED = "the listener on target was not there until the end"
LEFT = "the service on target was not there until the end"


def expectation(expected: str, protocol: str = "tcp", address: str = "10.0.0.1", source: str = "source") -> Expectation:
    flow, denied_by = ("web", "") if expected == "open" else ("", "target")
    return Expectation(source, "target", address, protocol, 443, expected, flow, denied_by)


def result(outcome: str, protocol: str = "tcp", address: str = "10.0.0.1", reachable: bool | None = True,
           detail: str = "", rejected: bool = False, path: str = "") -> dict[str, Any]:
    port = f"443/{protocol}"
    details = {**({port: detail} if detail else {}), **({"path": path} if path else {})}
    lists = {name: [port] if name == outcome else [] for name in ("open", "refused", "filtered", "error")}
    return {"address": address, "reachable": reachable, **lists, "rejected": [port] if rejected else [],
            "details": details}


def held(by: str, protocol: str = "tcp", address: str = "0.0.0.0") -> dict[str, Any]:
    key = {"listener": "listening", "service": "in_use"}[by]
    return {**NOBODY, key: {address: [f"443/{protocol}"]}}


def judged(expected: str, outcome: str, said: dict[str, Any] | None, protocol: str = "tcp",
           **values: Any) -> tuple[str, str]:
    [verdict] = verdicts_of([expectation(expected, protocol)], Results(
        {"source": [result(outcome, protocol, **values)]}, {} if said is None else {"target": said}))
    return verdict.verdict, verdict.why


# ---- the table: what was expected, what came of it, who had the port until the end

@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize("said", [held("listener"), held("service"), NOBODY, DEAD, None])
def test_an_answer_is_proof_whoever_gave_it(protocol: str, said: dict[str, Any] | None) -> None:
    assert judged("open", "open", said, protocol) == ("right", "")
    assert judged("filtered", "open", said, protocol) == ("wrong", "It was answered.")


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize("said,reason", [(DEAD, DIED), (None, DIED), (NOBODY, LEFT)])
def test_a_refusal_where_nobody_listened(protocol: str, said: dict[str, Any] | None, reason: str) -> None:
    assert judged("open", "refused", said, protocol) == ("unknown", f"It was refused, and {reason}.")
    assert judged("filtered", "refused", said, protocol) == (
        "wrong", "It was let in, and refused because nobody listened.")


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize("by", ["listener", "service"])
@pytest.mark.parametrize("expected", ["open", "filtered"])
def test_a_refusal_where_somebody_listened_is_not_ours(protocol: str, by: str, expected: str) -> None:
    assert judged(expected, "refused", held(by, protocol), protocol) == (
        "wrong", f"It was refused, though a {by} was there: something else rejects, not our rules.")


@pytest.mark.parametrize("expected", ["open", "filtered"])
def test_a_probe_that_failed_says_nothing(expected: str) -> None:
    assert judged(expected, "error", held("listener"), detail="Network is unreachable.") == (
        "unknown", "The probe failed: Network is unreachable.")


@pytest.mark.parametrize("expected", ["open", "filtered"])
def test_a_source_that_reported_nothing(expected: str) -> None:
    [verdict] = verdicts_of([expectation(expected)], Results({}, {"target": held("listener")}))
    assert (verdict.verdict, verdict.why, verdict.seen.outcome) == (
        "unknown", "source reported nothing: it was not reached, or its module failed.", "missing")


def test_a_port_that_the_source_did_not_report() -> None:
    [verdict] = verdicts_of([expectation("open")], Results({"source": [result("open", address="10.0.0.2")]}, {}))
    assert verdict.verdict == "unknown"


@pytest.mark.parametrize("protocol,by", [("tcp", "listener"), ("udp", "listener"), ("tcp", "service")])
def test_silence_where_somebody_would_have_answered(protocol: str, by: str) -> None:
    assert judged("filtered", "filtered", held(by, protocol), protocol) == ("right", "")
    assert judged("open", "filtered", held(by, protocol), protocol) == (
        "wrong", "No answer, though the host answers echoes.")


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize("reachable", [False, None])
def test_silence_without_a_path(protocol: str, reachable: bool | None) -> None:
    said = held("listener", protocol)
    for path, shown in (("No answer to an echo.", "No answer to an echo."), ("", "the path is unknown.")):
        assert judged("filtered", "filtered", said, protocol, reachable=reachable, path=path) == (
            "unknown", f"Silence proves nothing without a path: {shown}")
        assert judged("open", "filtered", said, protocol, reachable=reachable, path=path) == (
            "unknown", f"No answer, and none to an echo either: {shown}")


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize("said,reason", [(DEAD, DIED), (None, DIED), (NOBODY, LEFT)])
def test_silence_where_nobody_listened(protocol: str, said: dict[str, Any] | None, reason: str) -> None:
    assert judged("filtered", "filtered", said, protocol) == ("unknown", f"Silence proves nothing: {reason}.")


@pytest.mark.parametrize("said,reason", [(DEAD, DIED), (NOBODY, LEFT)])
def test_silence_of_what_should_be_open_where_nobody_listened(said: dict[str, Any], reason: str) -> None:
    """A host refuses TCP where nobody listens; to UDP it may keep silent, because it refuses only so many a second."""
    assert judged("open", "filtered", said, "tcp") == ("wrong", "No answer, though the host answers echoes.")
    assert judged("open", "filtered", said, "udp") == ("unknown", f"No answer, and {reason}.")


def test_a_udp_service_may_keep_silent() -> None:
    said = held("service", "udp")
    assert judged("open", "filtered", said, "udp") == ("unknown", "No answer, but the service there may keep silent.")
    assert judged("filtered", "filtered", said, "udp") == (
        "unknown", "The service there answered nobody, so its silence proves nothing.")
    assert judged("filtered", "filtered", said, "udp", rejected=True, detail="Rejected by 10.0.0.1.") == ("right", "")


def test_a_udp_service_that_answers_others_is_silent_for_a_reason() -> None:
    allowed, denied = expectation("open", "udp", source="friend"), expectation("filtered", "udp")
    probed = {"friend": [result("open", "udp")], "source": [result("filtered", "udp")]}
    assert [item.verdict for item in verdicts_of(
        [denied, allowed], Results(probed, {"target": held("service", "udp")}))] == ["right", "right"]
    # It answers on its other address, which says nothing about this one.
    elsewhere = {"friend": [result("open", "udp", address="10.0.0.2")], "source": [result("filtered", "udp")]}
    assert [item.verdict for item in verdicts_of(
        [denied, allowed._replace(address="10.0.0.2")],
        Results(elsewhere, {"target": held("service", "udp")}))] == ["unknown", "right"]


def test_a_reject_is_proof_that_something_is_blocked() -> None:
    assert judged("open", "filtered", NOBODY, rejected=True, detail="Rejected by 10.9.9.9 (ICMP type 3, code 13).") == (
        "wrong", "Rejected by 10.9.9.9 (ICMP type 3, code 13).")


# ---- who holds a port

@pytest.mark.parametrize("address,bound,verdict", [
    ("10.0.0.1", "0.0.0.0", "right"), ("10.0.0.1", "10.0.0.1", "right"), ("fd00::1", "::", "right"),
    ("fd00::1", "fd00::1", "right"), ("10.0.0.1", "::", "unknown"), ("fd00::1", "0.0.0.0", "unknown"),
    ("10.0.0.1", "10.0.0.2", "unknown"), ("10.0.0.1", "127.0.0.1", "unknown"),
])
@pytest.mark.parametrize("by", ["listener", "service"])
def test_a_port_is_held_on_its_address_or_on_all(address: str, bound: str, verdict: str, by: str) -> None:
    [found] = verdicts_of([expectation("filtered", address=address)], Results(
        {"source": [result("filtered", address=address)]}, {"target": held(by, address=bound)}))
    assert (found.verdict, found.held_by) == (verdict, by if verdict == "right" else "nobody")


def test_the_protocols_are_told_apart() -> None:
    assert judged("filtered", "filtered", held("listener", "udp"), "tcp")[0] == "unknown"


def test_where_no_listener_could_be_put_is_said() -> None:
    said = {**NOBODY, "failed": {"0.0.0.0": {"443/tcp": "Permission denied"}}}
    assert judged("filtered", "filtered", said) == (
        "unknown", "Silence proves nothing: no listener could be put there (Permission denied).")


# ---- all of it

EXPECTED = st.sampled_from(["open", "filtered"])
OUTCOMES = st.sampled_from(["open", "refused", "filtered", "error"])
SAID = st.sampled_from([held("listener"), held("service"), held("listener", "udp"), held("service", "udp"), NOBODY,
                        DEAD, None])


@given(EXPECTED, OUTCOMES, SAID, st.sampled_from(["tcp", "udp"]), st.sampled_from([True, False, None]), st.booleans())
def test_right_needs_all_of_the_proof(expected: str, outcome: str, said: dict[str, Any] | None, protocol: str,
                                      reachable: bool | None, rejected: bool) -> None:
    rejected = rejected and outcome == "filtered"
    verdict, why = judged(expected, outcome, said, protocol, reachable=reachable, rejected=rejected,
                          detail="Rejected." if rejected else "")
    assert (verdict == "right") == (why == "")
    if verdict == "right":
        assert outcome == expected
        assert outcome == "open" or (reachable and said and said["alive"] and (said["listening"] or said["in_use"]))
    if verdict == "wrong":
        assert outcome in ("open", "refused", "filtered") and outcome != expected
    if outcome == "error":
        assert verdict == "unknown"


def test_verdicts_keep_their_order_and_become_plain_data() -> None:
    items = [expectation("open", address="fd00::1"), expectation("filtered")]
    found = verdicts_of(items, Results({"source": [result("open", address="fd00::1"), result("filtered")]},
                                       {"target": held("listener")}))
    assert [verdict.expectation for verdict in found] == items
    assert isinstance(found[0], Verdict) and found[1].as_data() == {
        "verdict": "right", "source": "source", "target": "target", "address": "10.0.0.1", "protocol": "tcp",
        "port": 443, "expected": "filtered", "flow": "", "denied_by": "target", "outcome": "filtered", "detail": "",
        "reachable": True, "held_by": "listener", "why": ""}
