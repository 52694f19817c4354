# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Diagnosis: each fault of a connection gets its code, sentence and advice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.diagnosis import (
    CODES,
    Clues,
    Diagnosis,
    PacketJudgement,
    diagnosis_of,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.evidence import COUNTERS, Results, Seen
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.verdicts import Verdict, verdicts_of
from ansible_collections.hpc.ports.tests.support.reported import (
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

STRANGE = "10.9.9.9"
OWNERS = {SOURCE: "source", TARGET: "target", OTHER: "other"}
ACCEPTED = PacketJudgement("accept", "inet hpc_ports", "input", "tcp dport 443 accept", True)
OURS = PacketJudgement("drop", "inet hpc_ports", "input", "policy drop", True)
THEIRS = PacketJudgement("drop", "inet site", "c", "tcp dport 443 drop")
REJECTS = PacketJudgement("reject", "inet site", "c", "tcp dport 443 reject with tcp reset")
UNREAD = PacketJudgement("unknown", unknown="nft does not list the rules of iptables-legacy (tables filter).")
SILENCE = "No answer, although the host answers echoes."
IF_ISOLATED = "If hosts outside its network must not reach it, add the network to firewall_isolated_networks."


def counts(*far: int | None) -> dict[str, int | None]:
    """Return the counters, in the order of the way; what is not given is 0."""
    return dict(zip(COUNTERS, (*far, *[0] * len(COUNTERS))))


NOT_COUNTED = counts(*[None] * 5)


def verdict(
    expected: str = "open",
    outcome: str = "filtered",
    by: str = "listener",
    word: str = "wrong",
    why: str = SILENCE,
    denied_by: str = "target",
    flow: str = "web",
    **values: Any,
) -> Verdict:
    return Verdict(
        expectation(expected, denied_by=denied_by, flow=flow),
        Seen(outcome, **{"source": SOURCE, **values}),
        by,
        word,
        why,
    )


def told(about: Verdict, counters: dict[str, int | None] | None = None, **clues: Any) -> Diagnosis:
    return diagnosis_of(
        Clues(about, counters or NOT_COUNTED, **{"sources": frozenset([SOURCE, "fd00::2"]), "owners": OWNERS, **clues})
    )


# ---- each link


def test_a_name_that_leads_elsewhere() -> None:
    found = told(verdict(elsewhere={"t.example.org": [OTHER, STRANGE]}), counts(1, 1, 1, 1, 1))
    assert found == Diagnosis(
        "elsewhere",
        f"source resolves t.example.org to {OTHER}, {STRANGE}, not to {TARGET} ({OTHER} is other, {STRANGE} is no host "
        "of the plan).",
        "Fix the name resolution on source: /etc/hosts, DNS, or search domains in /etc/resolv.conf.",
    )


@pytest.mark.parametrize(
    "nonce,said",
    [(NONCES["other"], "The answer came from other."), ("", "The answer did not come from the listener on target.")],
)
def test_an_address_that_leads_elsewhere(nonce: str, said: str) -> None:
    [about] = verdicts_of(
        [expectation("open")], Results({"source": [result("open", nonce=nonce)]}, {"target": held("listener")}, NONCES)
    )
    assert told(about) == Diagnosis(
        "elsewhere",
        f"From source, {TARGET} does not lead to target. {said}",
        f"Check whether another host uses {TARGET} (`arping`), or whether source, target or a device between them "
        "translates it (dnat, redirect, load balancer).",
    )


def test_a_source_that_was_not_asked() -> None:
    [about] = verdicts_of([expectation("open")], Results({}, {"target": held("listener")}))
    assert told(about) == Diagnosis(
        "unreachable",
        "source reported no results: Ansible did not reach it, or its module failed.",
        "See the messages of Ansible about source above.",
    )


@pytest.mark.parametrize(
    "values,why",
    [
        ({"detail": "Network is unreachable.", "path": "No route."}, "Network is unreachable."),
        ({"path": "No route."}, "No route."),
        ({}, "Nothing was sent."),
    ],
)
def test_a_source_without_a_route(values: dict[str, str], why: str) -> None:
    about = verdict(outcome="error", word="unknown", why="The probe failed.", source="", **values)
    assert told(about) == Diagnosis(
        "not_sent", f"source has no route to {TARGET}: {why}", f"Run `ip route get {TARGET}` on source. {IF_ISOLATED}"
    )


@pytest.mark.parametrize(
    "about",
    [
        verdict(
            "filtered",
            word="unknown",
            why="The missing answer proves nothing without a path to the target: No echo reply.",
            reachable=False,
        ),
        verdict(
            "open", word="unknown", why="No answer, and no answer to an echo either: No echo reply.", reachable=None
        ),
        verdict(
            "open", "refused", "nobody", "unknown", "The connection was refused, and the listener died.", reachable=True
        ),
        verdict("open", "open", "nobody", "unknown", "The probe got an answer, but the listener died.", reachable=True),
    ],
)
def test_what_is_not_proven(about: Verdict) -> None:
    assert told(about) == Diagnosis(
        "unreachable",
        about.why,
        f"Check that target runs, that Ansible can reach it until the end, and that `ping {TARGET}` on source gets an "
        f"answer; hpc.ports always accepts ICMP.{'' if about.seen.reachable else f' {IF_ISOLATED}'}",
    )


@pytest.mark.parametrize("expected", ["open", "filtered"])
def test_a_silent_service_proves_nothing(expected: str) -> None:
    about = verdict(expected, by="service", word="unknown", why="The service there may keep silent.", reachable=True)
    assert told(about) == Diagnosis(
        "unknown",
        "The service there may keep silent.",
        "Stop the service on 443/tcp of target during a run: a listener then answers instead.",
    )


@pytest.mark.parametrize(
    "counters,code",
    [
        (counts(0, 0), "not_sent"),
        (counts(2, 0), "not_arrived"),
        (counts(2, 2), "other_table"),
        (counts(2, None, None, None), "unreachable"),
        (NOT_COUNTED, "unreachable"),
        (counts(2, 2, 2), "reply_lost"),
        (counts(2, 2, 2, 2), "reply_lost"),
        (counts(2, 2, 2, 2, 2), "reply_lost"),
    ],
)
def test_counts_prove_even_where_no_echo_is_answered(counters: dict[str, int | None], code: str) -> None:
    about = verdict(word="unknown", why="No answer, and none to an echo either.", reachable=False)
    assert told(about, counters, inward=THEIRS).code == code
    probe_failed = verdict(
        outcome="error", word="unknown", why="The probe failed: No route to host (reported by 10.0.0.254)."
    )
    assert told(probe_failed, counters, inward=THEIRS).code == code
    if code == "reply_lost":  # a service may keep silent
        assert told(about._replace(held_by="service"), counters, inward=THEIRS).code == "unreachable"


def test_what_comes_from_another_address() -> None:
    for about in (verdict(source=STRANGE), verdict("filtered", "open", source=STRANGE)):
        for counters in (NOT_COUNTED, counts(1), counts(1, 1, 1, 1, 1)):
            assert told(about, counters) == Diagnosis(
                "wrong_source",
                f"target sees source as {STRANGE}, but the plan expects {SOURCE}, fd00::2.",
                "Add the address to firewall_source_addresses of source, or correct the source address (`ip route get "
                f"{TARGET}` on source; NAT between the two hosts).",
            )


def test_the_address_that_nat_gives_as_the_plan_says_is_not_wrong() -> None:
    for about in (
        verdict(source=STRANGE, translated=SOURCE),
        verdict("filtered", "open", source=STRANGE, translated=SOURCE),
    ):
        for counters, arrivals in ((NOT_COUNTED, []), (counts(1), []), (counts(1, 1), [SOURCE])):
            found = told(about, counters, arrivals=frozenset(arrivals), inward=OURS)
            assert found.code in ("ruleset_drops", "ruleset_allows", "not_arrived")
            assert STRANGE not in found.text
    assert (
        told(verdict(source="10.9.9.8", translated=SOURCE), counts(1), arrivals=frozenset([STRANGE])).code
        == "wrong_source"
    )


@pytest.mark.parametrize(
    "arrivals,counters,seen_as",
    [
        ([STRANGE], counts(1), STRANGE),
        ([STRANGE, "10.8.8.8"], counts(1), f"10.8.8.8, {STRANGE}"),
        (["10.0.0.22"], counts(1), "10.0.0.22"),  # another address of the source
        ([STRANGE, SOURCE], counts(1), STRANGE),
        ([STRANGE], counts(1, 1), ""),
        ([STRANGE], counts(0), ""),
        ([OTHER, SOURCE], counts(1), ""),
        ([], counts(1), ""),
        ([STRANGE], counts(1, None, None, None), ""),
    ],
)
def test_what_arrives_as_somebody_else(arrivals: list[str], counters: dict[str, int | None], seen_as: str) -> None:
    found = told(verdict(), counters, arrivals=frozenset(arrivals), owners={**OWNERS, "10.0.0.22": "source"})
    assert (found.text.split(", but the plan")[0] == f"target sees source as {seen_as}") == bool(seen_as)
    assert (found.code == "wrong_source") == bool(seen_as)


def test_behind_nat_it_is_what_arrives_that_the_target_sees() -> None:
    about = verdict(source="10.7.7.7")
    assert told(about, counts(1), arrivals=frozenset([STRANGE])).text.startswith(
        f"target sees source as {STRANGE}, but "
    )
    both = frozenset(["10.7.7.7", STRANGE])
    assert told(about, counts(1, 1), arrivals=both).text.startswith("target sees source as 10.7.7.7, but ")


def test_without_known_addresses_none_is_wrong() -> None:
    assert told(verdict(), counts(1), sources=frozenset()).code == "not_arrived"
    assert told(verdict(source=""), counts(0)).code == "not_sent"


@pytest.mark.parametrize(
    "denied_by,host,clues",
    [("target", "target", {"inward": ACCEPTED, "out": OURS}), ("source", "source", {"out": ACCEPTED, "inward": OURS})],
)
@pytest.mark.parametrize("outcome,by", [("open", "listener"), ("refused", "nobody"), ("filtered", "listener")])
def test_what_the_rules_let_through_against_the_plan(
    denied_by: str, host: str, clues: dict[str, PacketJudgement], outcome: str, by: str
) -> None:
    about = verdict("filtered", outcome, by, why="It was let in.", denied_by=denied_by)
    advice = (
        f"Run the playbook site on {host}: its rules are not loaded, or somebody changed them by hand. If the "
        "connection is wanted, add a flow."
    )
    assert told(about, **clues) == Diagnosis(
        "ruleset_allows",
        f"No flow allows source to connect to 443/tcp of target, but {host} accepts the connection: table inet "
        "hpc_ports, chain input, `tcp dport 443 accept`.",
        advice,
    )
    for other in ({}, {"inward": OURS, "out": OURS}, {"inward": UNREAD, "out": UNREAD}):
        assert told(about, **other) == Diagnosis(
            "ruleset_allows",
            f"No flow allows source to connect to 443/tcp of target, but {host} accepts the connection.",
            advice,
        )


def test_a_connection_that_opens_and_carries_nothing() -> None:
    why = "A container proxy accepts the connection but cannot reach the container: 172.17.0.2 port 80: no answer."
    found = told(verdict(outcome="open", by="service", why=why), counts(1, 1, 1, 1, 1))
    assert (found.code, found.text) == (
        "no_listener",
        f"443/tcp of target accepts connections but carries no data. {why}",
    )


SENT_ON = PacketJudgement(
    "unknown",
    "ip nat",
    "DOCKER",
    "dnat",
    unknown="it is sent on",
    translated="172.17.0.2 port 80 (table ip nat, chain DOCKER: dnat)",
)


PASSED_BY = PacketJudgement(
    "accept", "inet hpc_ports", "prerouting", "policy accept", True, translated=SENT_ON.translated
)


@pytest.mark.parametrize(
    "sent_on", [SENT_ON, SENT_ON.as_seen(True), SENT_ON._replace(verdict="accept", unknown=""), PASSED_BY]
)
def test_a_published_port_that_no_rule_of_ours_judges(sent_on: PacketJudgement) -> None:
    found = told(verdict("filtered", "open", why="The probe got an answer."), inward=sent_on)
    assert (found.code, found.text) == (
        "published",
        "target publishes 443/tcp, and no rule of hpc.ports judges it: rules of another program forward it to "
        "172.17.0.2 port 80 (table ip nat, chain DOCKER: dnat).",
    )
    assert found.advice.startswith("Run the playbook site on target: ")
    by_source = verdict("filtered", "open", why="The probe got an answer.", denied_by="source")
    assert told(by_source, inward=sent_on, out=ACCEPTED).code == "ruleset_allows"


def test_a_published_port_that_a_rule_of_ours_accepts_too_widely() -> None:
    accepted = ACCEPTED._replace(translated=SENT_ON.translated)
    found = told(verdict("filtered", "open", why="The probe got an answer."), inward=accepted)
    assert (found.code, found.text) == (
        "ruleset_allows",
        "No flow allows source to connect to 443/tcp of target, but target accepts the connection: table inet "
        "hpc_ports, chain input, `tcp dport 443 accept`.",
    )


def test_the_counters_decide_of_a_packet_that_rules_send_on() -> None:
    assert SENT_ON.as_seen(True) == PacketJudgement("accept", unknown="it is sent on", translated=SENT_ON.translated)
    # The rule that translates did not stop it.
    assert SENT_ON.as_seen(False) == SENT_ON


def test_a_published_port_that_a_rule_of_others_drops_as_it_is_forwarded() -> None:
    theirs = PacketJudgement("drop", "ip filter", "FORWARD", "policy drop", translated=SENT_ON.translated)
    found = told(verdict(), counts(1, 1), inward=theirs)
    assert (found.code, found.text) == (
        "other_table",
        f"Rules of another program on target drop packets from {SOURCE} to 443/tcp: table ip filter, chain FORWARD, "
        "`policy drop`; flow web allows them.",
    )


def test_who_refuses_for_somebody_who_listens() -> None:
    about = verdict("filtered", "refused", "service", why="It was refused.")
    advice = (
        "Look on source, on target and between them for rules that reject with a TCP reset or with port unreachable. "
        "The connection was not accepted."
    )
    text = "Something rejects connections from source to 443/tcp of target"
    reason = "the rules of hpc.ports drop without an answer."
    assert told(about) == Diagnosis("other_table", f"{text}; {reason}", advice)
    assert told(about, counts(1), inward=REJECTS, out=ACCEPTED) == Diagnosis(
        "other_table", f"{text} (table inet site, chain c, `tcp dport 443 reject with tcp reset`); {reason}", advice
    )
    assert told(about, counts(1, 1, 1)).code == "ruleset_allows"


def test_nobody_listens() -> None:
    """Also of broad ports, and where only the counts tell."""
    text = "Nothing listens on 443/tcp of target"
    for about, counters in (
        (verdict(outcome="refused", by="nobody"), NOT_COUNTED),
        (verdict(outcome="refused", by="nobody"), counts(1, 1, 1, 0, 0)),
        (verdict(by="nobody"), counts(1, 1, 1)),
    ):
        assert told(about, counters) == Diagnosis("no_listener", f"{text}.", "Check `ss -ltnup` on target.")
        assert told(about, counters, unit="nginx.service") == Diagnosis(
            "no_listener",
            f"{text}; nginx.service should.",
            "Check `systemctl status nginx.service` and `ss -ltnup` on target.",
        )
    for by, counters in (("listener", counts(1, 1, 1)), ("nobody", counts(1, 1, 1, 1)), ("nobody", counts(1))):
        assert told(verdict(by=by), counters).code != "no_listener"


@pytest.mark.parametrize(
    "values,why",
    [
        (
            {"detail": "Blocked by this host itself: Operation not permitted."},
            "Blocked by this host itself: Operation not permitted.",
        ),
        ({"path": "No echo reply."}, "No echo reply."),
        ({}, "the reason is unknown."),
    ],
)
def test_nothing_is_sent(values: dict[str, str], why: str) -> None:
    for out in (None, ACCEPTED, UNREAD):
        assert told(verdict(**values), counts(0), out=out, inward=THEIRS) == Diagnosis(
            "not_sent", f"source sends nothing to {TARGET}: {why}", f"Run `ip route get {TARGET}` on source."
        )


@pytest.mark.parametrize("counters", [counts(0), NOT_COUNTED])
def test_the_source_drops_what_it_sends(counters: dict[str, int | None]) -> None:
    assert told(verdict(), counters, out=OURS) == Diagnosis(
        "ruleset_drops",
        f"The rules of hpc.ports on source drop packets to {TARGET} 443/tcp (table inet hpc_ports, chain input, "
        "`policy drop`), but flow web allows them.",
        "Run the playbook site on source: its rules are older than the plan, or somebody changed them by hand.",
    )
    assert told(verdict(), counters, out=THEIRS) == Diagnosis(
        "other_table",
        f"Rules of another program on source drop packets to {TARGET} 443/tcp: table inet site, chain c, `tcp dport "
        "443 drop`; flow web allows them.",
        "Change that rule on source: an accept of hpc.ports does not override a drop of another table.",
    )


@pytest.mark.parametrize("left,number", [(2, "2"), (None, "an unknown number")])
def test_packets_that_do_not_arrive(left: int | None, number: str) -> None:
    text = f"Packets from source to {TARGET} 443/tcp did not arrive at target: {number} sent, 0 arrived."
    advice = "Check the network between the hosts: security groups, another firewall, routes, VLANs or the MTU."
    assert told(verdict(), counts(left), inward=THEIRS) == Diagnosis("not_arrived", text, advice)
    rejected = verdict(detail="Rejected by 10.0.0.254 (ICMP type 3, code 13).", rejected=True)
    found = told(rejected, counts(left))
    assert found.text == f"{text} Rejected by 10.0.0.254 (ICMP type 3, code 13)." if left else rejected.why


@pytest.mark.parametrize("counters", [counts(1, 1), counts(1, None, 0), NOT_COUNTED])
def test_the_target_drops_what_comes(counters: dict[str, int | None]) -> None:
    assert told(verdict(), counters, inward=OURS) == Diagnosis(
        "ruleset_drops",
        f"The rules of hpc.ports on target drop packets from {SOURCE} to 443/tcp (table inet hpc_ports, chain input, "
        "`policy drop`), but flow web allows them.",
        "Run the playbook site on target: its rules are older than the plan, or somebody changed them by hand.",
    )
    assert told(verdict(flow=""), counters, inward=REJECTS) == Diagnosis(
        "other_table",
        f"Rules of another program on target drop packets from {SOURCE} to 443/tcp: table inet site, chain c, `tcp "
        "dport 443 reject with tcp reset`; the plan allows them.",
        "Change that rule on target: an accept of hpc.ports does not override a drop of another table.",
    )


def test_a_rule_that_cannot_be_read_is_the_suspect_of_what_was_seen_dropped() -> None:
    doubtful = THEIRS._replace(verdict="unknown", unknown="It cannot be told whether x")
    assert told(verdict(), counts(1, 1), inward=doubtful.as_seen(False)) == Diagnosis(
        "other_table",
        f"Rules of another program on target seem to drop packets from {SOURCE} to 443/tcp: table inet site, chain c, "
        "`tcp dport 443 drop`; flow web allows them. Not certain: It cannot be told whether x.",
        "Change that rule on target: an accept of hpc.ports does not override a drop of another table.",
    )


def test_what_was_seen_tells_where_the_rules_do_not() -> None:
    doubtful = THEIRS._replace(verdict="unknown", unknown="why")
    assert [doubtful.as_seen(passed) for passed in (True, False, None)] == [
        PacketJudgement("accept", unknown="why"),
        doubtful._replace(verdict="drop"),
        doubtful,
    ]
    # Nobody is suspected where no rule is known that may stop it; what can be read is believed.
    assert [UNREAD.as_seen(passed) for passed in (True, False)] == [
        PacketJudgement("accept", unknown=UNREAD.unknown),
        UNREAD,
    ]
    # Which rule accepts is not known.
    assert told(verdict("filtered", "open"), inward=doubtful.as_seen(True)).text.endswith(
        "but target accepts the connection."
    )
    for certain in (ACCEPTED, OURS, REJECTS):
        assert certain.as_seen(True) == certain.as_seen(False) == certain


def test_what_is_dropped_as_it_comes_from_the_wire_was_not_lost_on_the_way() -> None:
    at_wire = THEIRS._replace(table="netdev site")
    assert told(verdict(), counts(1), inward=at_wire).text.startswith(
        f"Rules of another program on target drop packets from {SOURCE} to 443/tcp: table netdev site, chain c, "
    )
    for inward in (
        THEIRS,
        at_wire._replace(verdict="accept"),
        None,
    ):  # what would have come after counting did not do it
        assert told(verdict(), counts(1), inward=inward).code == "not_arrived"


def test_what_is_published_and_leads_nowhere() -> None:
    inward = UNREAD._replace(translated="10.88.0.2 port 80 (table ip nat, chain c: dnat to 10.88.0.2:80)")
    forwarded = ACCEPTED._replace(translated=inward.translated)
    refused = verdict(outcome="refused", why="It was refused.")
    nothing_answers = Diagnosis(
        "published",
        f"target publishes 443/tcp, but nothing answers: rules of another program forward it to {inward.translated}.",
        "Check on target that this container or host runs and listens, that net.ipv4.ip_forward is 1, and that no rule "
        "drops forwarded packets. If the port should not be published, remove the rule that forwards it and the flow.",
    )
    for found in (
        told(verdict(), counts(1, 1), inward=inward),
        told(verdict(), counts(1, 1, 1), inward=forwarded),
        told(verdict(), counts(1, 1, 1), inward=forwarded, reply=ACCEPTED),
        told(refused, counts(1, 1, 1), inward=forwarded),
    ):
        assert found == nothing_answers
    dropped = told(verdict(), counts(1, 1, 1), inward=forwarded, reply=THEIRS)
    assert (dropped.code, dropped.text) == (
        "reply_lost",
        "target accepted the packet, but its answer was not sent: table inet site, chain c, `tcp dport 443 drop` drops "
        "it.",
    )


def test_the_kernel_drops_what_comes_the_wrong_way() -> None:
    assert told(verdict(), counts(1, 1), inward=ACCEPTED._replace(is_dropped_by_rp_filter=True)) == Diagnosis(
        "wrong_source",
        f"target drops packets from {SOURCE} that arrive on this interface: the route back uses another interface, and "
        "the reverse path filter is strict.",
        f"Fix the route (`ip route get {SOURCE}` on target), or set rp_filter to 2.",
    )


@pytest.mark.parametrize(
    "inward,said",
    [(None, "Its rules could not be read."), (UNREAD, UNREAD.unknown), (ACCEPTED, "No known rule drops it.")],
)
def test_what_came_and_was_not_taken(inward: PacketJudgement | None, said: str) -> None:
    assert told(verdict(), counts(1, 1), inward=inward) == Diagnosis(
        "unknown",
        f"target received the packet but did not accept it. {said}",
        "On target, check `nft list ruleset`, iptables-legacy and the reverse path filter (rp_filter).",
    )


@pytest.mark.parametrize(
    "reply,by", [(None, ""), (ACCEPTED, ""), (THEIRS, ": table inet site, chain c, `tcp dport 443 drop` drops it")]
)
def test_an_answer_that_does_not_leave(reply: PacketJudgement | None, by: str) -> None:
    assert told(verdict(), counts(1, 1, 1), reply=reply, inward=ACCEPTED) == Diagnosis(
        "reply_lost",
        f"target accepted the packet, but its answer was not sent{by}.",
        f"On target, check the rules for outgoing packets and `ip route get {SOURCE}`.",
    )


def test_an_answer_that_does_not_come_back() -> None:
    assert told(verdict(), counts(1, 1, 1, 1)) == Diagnosis(
        "reply_lost",
        "target answered, but the answer did not arrive at source.",
        f"Check the route back: `ip route get {SOURCE}` on target, and firewalls between the hosts that see only one "
        "direction.",
    )


@pytest.mark.parametrize(
    "back,by",
    [
        (None, "but the host did not accept it"),
        (ACCEPTED, "but the host did not accept it"),
        (THEIRS, "but its rules drop the answer: table inet site, chain c, `tcp dport 443 drop`"),
    ],
)
def test_an_answer_that_the_source_does_not_take(back: PacketJudgement | None, by: str) -> None:
    assert told(verdict(), counts(1, 1, 1, 1, 1), back=back) == Diagnosis(
        "reply_lost",
        f"The answer of target arrived at source, {by}.",
        "On source, check `nft list ruleset` for rules of other programs that drop incoming packets.",
    )


def test_what_nothing_explains() -> None:
    for clues in ({}, {"inward": ACCEPTED, "out": ACCEPTED}, {"inward": UNREAD}):
        assert told(verdict(), **clues) == Diagnosis(
            "unknown", SILENCE, "Check on both hosts: `nft list ruleset`, `ip route get`, `ss -ltnup`."
        )


# ---- the words


@pytest.mark.parametrize(
    "judged,where",
    [
        (THEIRS, "table inet site, chain c, `tcp dport 443 drop`"),
        (UNREAD, UNREAD.unknown),
        (PacketJudgement("accept"), "its rules"),
    ],
)
def test_where_it_is_decided(judged: PacketJudgement, where: str) -> None:
    assert judged.where == where


def test_who_is_stopped() -> None:
    assert [PacketJudgement(word).is_stopped for word in ("accept", "drop", "reject", "unknown")] == [
        False,
        True,
        True,
        False,
    ]


# ---- all of it

JUDGED = st.sampled_from(
    [None, ACCEPTED, OURS, THEIRS, REJECTS, UNREAD, ACCEPTED._replace(is_dropped_by_rp_filter=True)]
)
ADDRESSES = st.sampled_from([SOURCE, OTHER, STRANGE, "10.0.0.22"])
CLUES = st.builds(
    Clues,
    verdict=st.builds(
        verdict,
        expected=st.sampled_from(["open", "filtered"]),
        denied_by=st.sampled_from(["source", "target"]),
        outcome=st.sampled_from(["open", "refused", "filtered", "error", "missing"]),
        by=st.sampled_from(["listener", "service", "nobody"]),
        word=st.sampled_from(["wrong", "unknown"]),
        reachable=st.sampled_from([True, False, None]),
        rejected=st.booleans(),
        detail=st.sampled_from(["", "Rejected."]),
        source=st.sampled_from([SOURCE, STRANGE, ""]),
        elsewhere=st.sampled_from([{}, {}, {"name": [OTHER]}]),
    ),
    counters=st.fixed_dictionaries({name: st.sampled_from([None, 0, 1]) for name in COUNTERS}),
    arrivals=st.frozensets(ADDRESSES),
    out=JUDGED,
    inward=JUDGED,
    reply=JUDGED,
    back=JUDGED,
    sources=st.sampled_from([frozenset(), frozenset([SOURCE])]),
    owners=st.sampled_from([{}, OWNERS]),
    unit=st.sampled_from(["", "nginx.service"]),
)


@given(CLUES)
def test_there_is_always_one_and_it_says_what_to_do(clues: Clues) -> None:
    found = diagnosis_of(clues)
    event(found.code)
    assert found.code in CODES
    assert found.text.endswith(".") and found.advice[0].isupper() and found.advice.endswith(".")
    assert "  " not in found.text and "None" not in found.text + found.advice


@given(CLUES)
def test_it_accuses_only_on_evidence(clues: Clues) -> None:
    found = diagnosis_of(clues)
    stopped = [judged for judged in (clues.out, clues.inward) if judged and judged.is_stopped]
    if found.code == "ruleset_drops":
        assert any(judged.is_ours for judged in stopped)
    if found.code == "other_table" and clues.expectation.expected == "open":
        assert any(not judged.is_ours for judged in stopped)
    if found.code == "no_listener":
        assert clues.verdict.held_by == "nobody"
    if found.code == "not_arrived":
        assert clues.counters["arrived"] == 0 and clues.counters["left"] != 0
    if found.code == "ruleset_allows":
        assert clues.expectation.expected == "filtered"
    if found.code == "elsewhere":
        assert clues.verdict.seen.elsewhere
    if found.code == "unreachable":
        assert clues.verdict.verdict == "unknown"


def test_the_schema_has_every_code() -> None:
    schema = json.loads(Path("roles/verify/files/report.schema.json").read_text(encoding="utf-8"))
    [options] = [
        option
        for option in schema["properties"]["cells"]["items"]["properties"]["diagnosis"]["anyOf"]
        if "properties" in option
    ]
    assert {option["const"] for option in options["properties"]["code"]["oneOf"]} == set(CODES)
