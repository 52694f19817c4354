# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The answers of explain, from rules, from a probe, and as text."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils._explain.answer import Answer, answer_of
from ansible_collections.hpc.ports.plugins.plugin_utils._explain.codes import code_of
from ansible_collections.hpc.ports.plugins.plugin_utils._explain.inquiry import Inquiry, inquiry_of
from ansible_collections.hpc.ports.plugins.plugin_utils._explain.text import answer_line, lines
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.host_arguments import host_of
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.suspects import SuspectPacket
from ansible_collections.hpc.ports.tests.support.explained_site import HOSTS, plan_of
from ansible_collections.hpc.ports.tests.support.sites import make_plan
from hypothesis import given
from hypothesis import strategies as st

PLAN = plan_of()
GROUPS = {"all": ["login1", "head", "ctl"], "logins": ["login1"], "slurm": ["head", "login1"], "empty": []}
FOREIGN = {"table": "inet site", "chain": "c", "rule": "tcp dport 6817 drop"}
PLACE = "table inet site, chain c, `tcp dport 6817 drop`"


def said(verdict: str = "accept", reply: str = "accept", **more: Any) -> dict[str, Any]:
    """Return what `judge` says of one packet; what stops it is a rule of others."""
    return {
        "verdict": verdict,
        "reply": {"verdict": reply, **(FOREIGN if reply == "drop" else {})},
        "route": {"source": "", "interface": "eth0", "error": ""},
        **(FOREIGN if verdict == "drop" else {}),
        **more,
    }


def asked(
    inquiry: Inquiry, out: dict[str, Any] | None, inward: dict[str, Any] | None, used: str = ""
) -> dict[str, dict[str, Any]]:
    """Return what both hosts registered, the same for each packet; `used` is the address that the source takes."""
    source, target = inquiry.reasons.source, inquiry.reasons.target
    own = {packet.destination: packet for packet in inquiry.packets.get(source, ())}
    froms = {pair.target_address: pair.source_address for pair in inquiry.reasons.pairs}
    judged = {
        source: [
            {**out, "route": {**out["route"], "source": "" if out["route"]["error"] else used or froms[address]}}
            for address in own
        ]
        if out
        else None,
        target: [inward for packet in inquiry.packets.get(target, ())] if inward else None,
    }
    return {
        host: {"judged": {} if found is None else {"judgements": found}, "probed": {}, "stopped": {}}
        for host, found in judged.items()
    }


def answered(
    source: str,
    target: str,
    port: str,
    out: dict[str, Any] | None,
    inward: dict[str, Any] | None,
    plan: Plan = PLAN,
    used: str = "",
) -> Answer:
    inquiry = inquiry_of(plan, source, target, port)
    found = asked(inquiry, out, inward, used)
    return answer_of(plan, inquiry, found, {host: "it was away." for host in found if not found[host]["judged"]})


# ---- names


@pytest.mark.parametrize(
    "name,host,note",
    [
        ("head", "head", ""),
        ("logins", "login1", "logins is a group. Its only host is login1."),
        ("slurm", "head", "slurm is a group of 2 hosts. Only its first host, head, is examined."),
    ],
)
def test_an_end_is_a_host_or_the_first_of_a_group(name: str, host: str, note: str) -> None:
    assert host_of("from", name, GROUPS) == (host, note)


@pytest.mark.parametrize(
    "key,name,text",
    [
        (
            "from",
            "logn1",
            "Invalid from: got 'logn1', expected an inventory host, or a group with hosts. Did you mean 'login1'?",
        ),
        ("to", "empty", "Invalid to: got 'empty', expected an inventory host, or a group with hosts."),
        ("to", "", "Invalid to: got '', expected an inventory host, or a group with hosts."),
        ("to", ["head"], "Invalid to: got ['head'], expected an inventory host, or a group with hosts."),
    ],
)
def test_other_ends_are_refused(key: str, name: Any, text: str) -> None:
    with pytest.raises(PortFileError) as caught:
        host_of(key, name, GROUPS)
    assert str(caught.value) == text


# ---- what is asked


def test_both_hosts_are_asked_about_each_address() -> None:
    found = inquiry_of(PLAN, "login", "head", "6817/tcp")
    assert found.packets == {
        "login": [SuspectPacket("out", "tcp", "", "10.1.0.1", 6817), SuspectPacket("out", "tcp", "", "fd01::1", 6817)],
        "head": [
            SuspectPacket("in", "tcp", "10.1.0.2", "10.1.0.1", 6817),
            SuspectPacket("in", "tcp", "fd01::2", "fd01::1", 6817),
        ],
    }
    assert found.parts["head"]["listen"] == ["6817/tcp"]
    assert found.parts["login"]["probes"] == [
        {"address": address, "ports": ["6817/tcp"], "names": []} for address in ("10.1.0.1", "fd01::1")
    ]


def test_a_protocol_without_ports_is_judged_by_number_and_not_tried() -> None:
    found = inquiry_of(PLAN, "login", "head", "112/ip")
    assert found.packets["login"][0] == SuspectPacket("out", "112", "", "10.1.0.1", 0)
    assert found.parts == {}


SHARED = {"shared_addresses": ["10.1.0.1"]}


@pytest.mark.parametrize(
    "source,target,changes",
    [
        ("login", "login", {}),
        ("six", "other", {}),
        ("other", "head", {"other": {"addresses": ["10.1.0.1"], **SHARED}, "head": SHARED}),
    ],
)
def test_where_nothing_can_be_asked_the_plan_answers_alone(source: str, target: str, changes: dict[str, Any]) -> None:
    plan = plan_of(changes)
    inquiry = inquiry_of(plan, source, target, "6817/tcp")
    assert (inquiry.packets, inquiry.parts) == ({}, {})
    assert answer_of(plan, inquiry, {}, {}).code == ("yes" if source == target else "should_not")


# ---- the answer by the rules


@pytest.mark.parametrize(
    "source,out,inward,code,text",
    [
        ("login", said(), said(), "yes", "login can connect to 6817/tcp of head by flow control."),
        ("other", said(), said("drop"), "no", "other cannot connect to 6817/tcp of head: no flow allows it on head."),
        (
            "login",
            said(),
            said("drop"),
            "should_but_does_not",
            f"Rules of another program on head drop packets from 10.1.0.2 to 6817/tcp: {PLACE}; flow control allows "
            "them.",
        ),
        (
            "login",
            said("drop"),
            said(),
            "should_but_does_not",
            f"Rules of another program on login drop packets to 10.1.0.1 6817/tcp: {PLACE}; flow control allows them.",
        ),
        (
            "login",
            said(),
            said(reply="drop"),
            "should_but_does_not",
            f"head accepted the packet, but its answer was not sent: {PLACE} drops it.",
        ),
        (
            "login",
            said(reply="drop"),
            said(),
            "should_but_does_not",
            f"The answer of head arrived at login, but its rules drop the answer: {PLACE}.",
        ),
        (
            "login",
            said("unknown", route={"error": "no route (unreachable)", "source": ""}),
            said(),
            "should_but_does_not",
            "login sends nothing to 10.1.0.1: no route (unreachable).",
        ),
        (
            "login",
            said(),
            said(reverse_path={"is_dropped": True}),
            "should_but_does_not",
            "head drops packets from 10.1.0.2 that arrive on this interface",
        ),
        (
            "other",
            said(),
            said(),
            "should_not_but_does",
            "No flow allows other to connect to 6817/tcp of head, but head accepts the connection.",
        ),
        ("login", None, said(), "should", "login may connect to 6817/tcp of head by flow control."),
        ("login", said(), said("unknown"), "should", "login may connect to 6817/tcp of head by flow control."),
        ("other", said(), None, "should_not", "other may not connect to 6817/tcp of head: no flow allows it on head."),
        (
            "login",
            None,
            said("drop"),
            "should_but_does_not",
            f"Rules of another program on head drop packets from 10.1.0.2 to 6817/tcp: {PLACE}; flow control allows "
            "them.",
        ),
    ],
)
def test_the_answer(
    source: str, out: dict[str, Any] | None, inward: dict[str, Any] | None, code: str, text: str
) -> None:
    found = answered(source, "head", "6817/tcp", out, inward)
    assert found.code == code and found.ways[0].text.startswith(text)


@pytest.mark.parametrize(
    "source,text",
    [
        ("login", "login may connect to 6817/tcp of head by flow control."),
        ("other", "other may not connect to 6817/tcp of head: no flow allows it on head."),
    ],
)
def test_a_published_port_is_said_to_be_forwarded(source: str, text: str) -> None:
    found = answered(
        source,
        "head",
        "6817/tcp",
        said(),
        said(
            "unknown",
            unknown="it is sent on",
            notes=["the destination is changed to 172.17.0.2 port 80 (table ip nat)"],
        ),
    )
    assert found.ways[0].text == (
        text
        + " head publishes the port: connections that its rules accept are forwarded to 172.17.0.2 port 80 (table ip "
        "nat)."
    )


OURS = {"table": "inet hpc_ports", "is_ours": True}
TO_CONTAINER = "172.17.0.2 port 80 (table ip nat, chain DOCKER: dnat)"
FORWARDED = f" head publishes the port: connections that its rules accept are forwarded to {TO_CONTAINER}."


@pytest.mark.parametrize(
    "source,inward,code,text",
    [
        (
            "login",
            said(**OURS, chain="in_control", rule="accept", notes=[f"the destination is changed to {TO_CONTAINER}"]),
            "yes",
            f"login can connect to 6817/tcp of head by flow control.{FORWARDED}",
        ),
        (
            "other",
            {
                **said("drop"),
                **OURS,
                "chain": "arriving",
                "rule": "drop",
                "notes": [f"the destination would be changed to {TO_CONTAINER}"],
            },
            "no",
            f"other cannot connect to 6817/tcp of head: no flow allows it on head.{FORWARDED}",
        ),
        (
            "login",
            said("drop", notes=[f"the destination is changed to {TO_CONTAINER}"]),
            "should_but_does_not",
            f"Rules of another program on head drop packets from 10.1.0.2 to 6817/tcp: {PLACE}; flow control allows "
            "them.",
        ),
        (
            "other",
            said(notes=[f"the destination is changed to {TO_CONTAINER}"]),
            "should_not_but_does",
            "head publishes 6817/tcp, and no rule of hpc.ports judges it: rules of another program forward it to "
            f"{TO_CONTAINER}.",
        ),
    ],
)
def test_a_published_port_is_explained_as_a_port_of_the_host(
    source: str, inward: dict[str, Any], code: str, text: str
) -> None:
    """Of a forwarded packet the host does not tell who listens."""
    found = answered(source, "head", "6817/tcp", said(), inward)
    assert (found.code, found.ways[0].text, found.ways[0].listening) == (code, text, None)
    assert "listens" not in "\n".join(lines(found, [], "None."))


def test_an_address_that_the_plan_does_not_know() -> None:
    found = answered("login", "head", "6817/tcp", said(), said(), used="10.1.0.77")
    assert [(way.code, way.diagnosis.code if way.diagnosis else "") for way in found.ways] == [
        ("should_but_does_not", "wrong_source")
    ] * 2
    assert found.ways[0].text == "head sees login as 10.1.0.77, but the plan expects 10.1.0.2, fd01::2."


@pytest.mark.parametrize(
    "inward,code,text",
    [
        (said(), "yes", "login can connect to 6817/tcp of head by flow control."),
        (
            said("drop"),
            "should_but_does_not",
            f"Rules of another program on head drop packets from 192.0.2.39 to 6817/tcp: {PLACE}; flow control allows "
            "them.",
        ),
    ],
)
def test_an_address_behind_nat_is_judged_as_the_target_sees_it(inward: dict[str, Any], code: str, text: str) -> None:
    plan = plan_of({"login": {"source_addresses": ["192.0.2.39"]}})
    way = answered("login", "head", "6817/tcp", said(), inward, plan, used="10.1.0.2").ways[0]
    assert (way.sources, way.code, way.text) == (("192.0.2.39",), code, text)


def test_it_does_not_matter_where_the_flow_knows_it_all_the_same() -> None:
    found = answered("other", "ctl", "443/tcp", said(), said(), used="10.2.0.99")
    assert (found.code, found.ways[0].compiled) == ("should", None)


def test_restricted_egress_is_said() -> None:
    plan = plan_of({"login": {"egress": "restricted"}})
    found = answered("login", "ctl", "443/tcp", said("drop"), said(), plan)
    assert found.ways[0].code == "no"
    assert found.ways[0].text == (
        "login cannot connect to 443/tcp of ctl: login has restricted egress, and no flow allows it to open this "
        "connection."
    )


def test_what_comes_by_a_trusted_interface_is_meant() -> None:
    plan = plan_of({"head": {"trusted_interfaces": ["ib*"]}})
    by = {
        name: answered("other", "head", "6817/tcp", said(), said(interface=name), plan).code for name in ("ib0", "eth0")
    }
    assert by == {"ib0": "yes", "eth0": "should_not_but_does"}


def test_of_a_host_that_is_not_managed_its_rules_say() -> None:
    codes = [
        answered("login", "laptop", "22/tcp", out, inward).code
        for out, inward in ((said(), said()), (said(), said("drop")), (said(), None))
    ]
    assert codes == ["yes", "no", "unknown"]
    assert answered("login", "laptop", "22/tcp", said(), said("drop")).ways[0].text == (
        f"Rules of another program on laptop drop packets from 10.1.0.2 to 22/tcp: {PLACE}; the plan allows them."
    )


def test_the_worst_address_answers_first() -> None:
    inquiry = inquiry_of(PLAN, "login", "head", "6817/tcp")
    found = asked(inquiry, said(), said())
    found["head"]["judged"]["judgements"][1] = said("drop")
    answer = answer_of(PLAN, inquiry, found, {})
    assert ([way.code for way in answer.ways], answer.code) == (["yes", "should_but_does_not"], "should_but_does_not")
    assert answer_line(answer).startswith("It should, but does not, to fd01::1: Rules of another program on head drop")
    assert answer_line(answer).endswith("Yes, to 10.1.0.1: login can connect to 6817/tcp of head by flow control.")


VERDICTS = st.sampled_from(["accept", "drop", "reject", "unknown"])
SAID = st.none() | st.builds(said, VERDICTS, VERDICTS, listening=st.sampled_from([[], ["0.0.0.0"]]))


@given(
    source=st.sampled_from(["login", "other", "laptop"]),
    target=st.sampled_from(["head", "laptop", "ctl"]),
    port=st.sampled_from(["6817/tcp", "443/tcp", "112/ip"]),
    out=SAID,
    inward=SAID,
)
def test_what_stops_it_anywhere_counts_and_only_all_of_it_lets_it_pass(
    source: str, target: str, port: str, out: dict[str, Any] | None, inward: dict[str, Any] | None
) -> None:
    found = answered(source, target, port, out, inward)
    verdicts = {item for side in (out, inward) if side for item in (side["verdict"], side["reply"]["verdict"])}
    passes = False if verdicts & {"drop", "reject"} else True if out and inward and verdicts == {"accept"} else None
    for way in found.ways:
        assert way.compiled is passes
        assert way.code == code_of(way.intended, passes)
        is_right = passes is None or passes is (way.intended is not False)
        assert (way.diagnosis is None) == is_right
        assert way.diagnosis is None or way.diagnosis.code != "unknown"
    assert json.dumps([way.as_data() for way in found.ways])
    shown = lines(found, [], "None.")
    assert answer_line(found) == shown[0] and "\n" not in "".join(shown)


# ---- the probe


def probed(
    inquiry: Inquiry, outcome: str, counters: dict[str, int] | None = None, alive: bool = True, **more: Any
) -> dict[str, dict[str, Any]]:
    """Return what both hosts registered of a probe on IPv4 that came to this, while a listener listened."""
    source, target, port = inquiry.reasons.source, inquiry.reasons.target, inquiry.reasons.port
    found = asked(inquiry, said(), said())
    pair = inquiry.reasons.pairs[0]
    results = {
        "address": pair.target_address,
        "reachable": True,
        "details": {},
        "rejected": [],
        "nonces": {},
        "seconds": {port: 0.0021},
        "attempts": {},
        "source": pair.source_address,
        "elsewhere": {},
        **{name: [port] if name == outcome else [] for name in ("open", "refused", "filtered", "error")},
        **more,
    }
    if outcome == "open" and alive:
        results["nonces"] = {inquiry.parts[target]["nonce"]: [port]}
    there = (pair.source_address, pair.target_address)
    counts = {
        name: {own: {peer: {str(count): [port]}}}
        for name, count in (counters or {}).items()
        if count
        for own, peer in [there if name in ("left", "returned") else there[::-1]]
    }
    found[source].update(
        probed={"results": [results]},
        stopped={"alive": True, "listening": {}, "in_use": {}, "not_held": {}, "counts": counts},
    )
    if alive:
        found[target]["stopped"] = {
            "alive": True,
            "listening": {"0.0.0.0": [port]},
            "in_use": {},
            "not_held": {},
            "counts": counts,
        }
    return found


COUNTED = {"left": 2, "arrived": 2, "passed": 2, "answered": 2, "returned": 2}


@pytest.mark.parametrize(
    "source,outcome,counters,code,diagnosis",
    [
        ("login", "open", COUNTED, "yes", None),
        ("other", "filtered", {"left": 2, "arrived": 2}, "no", None),
        ("login", "filtered", {"left": 2}, "should_but_does_not", "not_arrived"),
        ("login", "filtered", {**COUNTED, "returned": 0}, "should_but_does_not", "reply_lost"),
        ("other", "open", COUNTED, "should_not_but_does", "ruleset_allows"),
    ],
)
def test_a_probe_is_believed_before_the_rules(
    source: str, outcome: str, counters: dict[str, int], code: str, diagnosis: str | None
) -> None:
    inquiry = inquiry_of(PLAN, source, "head", "6817/tcp")
    way = answer_of(PLAN, inquiry, probed(inquiry, outcome, counters), {}).ways[0]
    assert (way.code, way.diagnosis.code if way.diagnosis else None) == (code, diagnosis)
    assert way.cell is not None and way.cell["counters"] == {**dict.fromkeys(COUNTED, 0), **counters}


@pytest.mark.parametrize(
    "arrives_as,sources,diagnosis",
    [
        ("192.0.2.40", ("192.0.2.40",), "other_table"),
        ("10.1.0.2", ("10.1.0.2",), "wrong_source"),
        ("192.0.2.99", ("192.0.2.39", "192.0.2.40"), "wrong_source"),
    ],
)
def test_of_a_probe_behind_nat_the_address_counts_that_arrives(
    arrives_as: str, sources: tuple[str, ...], diagnosis: str
) -> None:
    plan = plan_of({"login": {"source_addresses": ["192.0.2.39", "192.0.2.40"]}})
    inquiry = inquiry_of(plan, "login", "head", "6817/tcp")
    found = probed(inquiry, "filtered", {"left": 2}, source="10.1.0.2")
    found["head"]["judged"]["judgements"] = [said("drop")] * len(inquiry.packets["head"])
    found["login"]["stopped"]["counts"] = {"left": {"10.1.0.2": {"10.1.0.1": {"2": ["6817/tcp"]}}}}
    found["head"]["stopped"]["counts"] = {"arrived": {"10.1.0.1": {arrives_as: {"2": ["6817/tcp"]}}}}
    way = answer_of(plan, inquiry, found, {}).ways[0]
    assert (way.sources, way.diagnosis.code if way.diagnosis else "") == (sources, diagnosis)


def test_a_probe_that_proves_nothing_leaves_it_to_the_rules() -> None:
    inquiry = inquiry_of(PLAN, "login", "head", "6817/tcp")
    answer = answer_of(PLAN, inquiry, probed(inquiry, "error", details={"6817/tcp": "No buffer."}), {})
    assert answer.ways[0].code == "yes"
    assert "    [unreachable] The probe failed: No buffer." in lines(answer, [], "")


@pytest.mark.parametrize(
    "outcome,code,text",
    [
        ("open", "yes", "login can connect to 22/tcp of laptop."),
        ("refused", "no", "Nothing listens on 22/tcp of laptop."),
    ],
)
def test_a_target_where_nobody_can_listen_for_us(outcome: str, code: str, text: str) -> None:
    plan = plan_of({"laptop": {"addresses": ["10.9.0.7"]}})
    inquiry = inquiry_of(plan, "login", "laptop", "22/tcp")
    found = probed(inquiry, outcome, alive=False)
    found["laptop"]["judged"] = {}
    way = answer_of(plan, inquiry, found, {"laptop": "it was away."}).ways[0]
    assert (way.code, way.text) == (code, text)


# ---- on the screen


def test_what_is_shown() -> None:
    inquiry = inquiry_of(PLAN, "other", "head", "6817/tcp")
    answer = answer_of(PLAN, inquiry, probed(inquiry, "filtered", {"left": 2, "arrived": 2}), {})
    assert lines(answer, ["A note."], "") == [
        "No: other cannot connect to 6817/tcp of head: no flow allows it on head.",
        "The answer covers the addresses in the plan: 10.2.0.2 of other; 10.1.0.1 of head.",
        "A note.",
        "",
        "Plan:",
        *(f"  {text}" for text in answer.reasons.sentences),
        "",
        "Rulesets:",
        "  10.2.0.2 to 10.1.0.1:",
        "    other sends it: accept, by no rule",
        "    head receives it from 10.2.0.2: accept, by no rule",
        "",
        "Probe:",
        "  10.1.0.1: filtered after 0.0021 s",
        "    Packets: 2 left, 2 arrived, 0 passed the rules, 0 answers left, 0 answers returned",
        "",
        "To change it:",
        *(f"  {text}" for text in answer.advice),
    ]
    assert len(answer.reasons.sentences) == 4 and len(answer.advice) == 1


@pytest.mark.parametrize(
    "out,inward,text",
    [
        (
            said(),
            said(listening=[]),
            "Yes: login can connect to 6817/tcp of head by flow control. But nothing listens on the port now.",
        ),
        (
            None,
            said(listening=[]),
            "It should: login may connect to 6817/tcp of head by flow control. The rules of login are unknown.",
        ),
        (
            said(),
            said("unknown"),
            "It should: login may connect to 6817/tcp of head by flow control. The rules of both hosts are unknown.",
        ),
    ],
)
def test_what_else_one_has_to_know_is_in_the_answer(
    out: dict[str, Any] | None, inward: dict[str, Any], text: str
) -> None:
    assert answer_line(answered("login", "head", "6817/tcp", out, inward)) == text


def test_why_a_rule_cannot_be_read_is_said() -> None:
    doubtful = {
        **said("unknown"),
        "table": "ip filter",
        "chain": "INPUT",
        "rule": "policy drop",
        "unknown": (
            "nft does not show the conditions of this iptables rule (xt conntrack): table ip filter, chain c: accept"
        ),
    }
    assert (
        "    head receives it from 10.1.0.2: unknown, table ip filter, chain INPUT, `policy drop`: "
        f"{doubtful['unknown']}"
    ) in lines(answered("login", "head", "6817/tcp", said(), doubtful), [], "")


def test_it_is_said_of_which_addresses_the_answer_speaks() -> None:
    assert lines(answered("login", "head", "6817/tcp", said(), said()), [], "")[1] == (
        "The answer covers the addresses in the plan: 10.1.0.2, fd01::2 of login; 10.1.0.1, fd01::1 of head."
    )
    assert lines(answered("login", "login", "6817/tcp", said(), said()), [], "")[1] == ""


def test_a_host_that_was_silent_is_named_with_the_reason() -> None:
    assert "  The rules of login are unknown: it was away." in lines(
        answered("login", "head", "6817/tcp", None, said()), [], ""
    )


@pytest.mark.parametrize("service,should", [("db", "; postgresql.service should"), ("everything", ""), ("wide", "")])
def test_a_unit_is_named_only_if_a_service_of_the_flow_is_its_own(service: str, should: str) -> None:
    plan = make_plan(
        {
            "services": {
                "db": {"ports": ["5432/tcp"], "unit": "postgresql.service"},
                "everything": {"ports": ["any/ip"]},
                "wide": {"ports": ["1024-65535/tcp"], "broad": True},
            },
            "flows": {
                "probe": {
                    "from": ["slurm_login"],
                    "to": ["slurm_controller"],
                    "services": [service],
                    "need": "recommended",
                }
            },
        },
        {name: HOSTS[name] for name in ("head", "login")},
    )
    answer = answered("login", "head", "5432/tcp", said(), said(listening=[]), plan)
    assert answer.code == "yes" and {way.unit for way in answer.ways} == {"postgresql.service" if should else ""}
    assert f"  Nothing listens on 5432/tcp of head now{should}." in lines(answer, [], "")
