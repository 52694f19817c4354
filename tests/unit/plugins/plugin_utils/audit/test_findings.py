# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What hosts do now, compared with the plan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils._audit.answers import Answer, answer_of
from ansible_collections.hpc.ports.plugins.plugin_utils._audit.findings import Unreached, Unserved, Unused, findings_of
from ansible_collections.hpc.ports.plugins.plugin_utils._audit.words import seen_text
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan
from ansible_collections.hpc.ports.tests.support.sites import CONTROLLER, make_plan

PORT_FILE = {
    "services": {
        "web": {"ports": ["443/tcp"]},
        "slurmctld": {"ports": ["6817/tcp"]},
        "high": {"ports": ["1024-65535/tcp"], "broad": True},
    },
    "endpoints": {"users": {"cidrs": ["10.9.0.0/16"]}},
    "flows": {
        "portal": {"from": ["users"], "to": ["control_plane"], "services": ["web"], "need": "required"},
        "control": {"from": ["slurm_compute"], "to": ["control_plane"], "services": ["slurmctld"], "need": "required"},
        "jobs": {"from": ["slurm_compute"], "to": ["slurm_compute"], "services": ["high"], "need": "required"},
    },
}


@pytest.fixture(name="plan")
def _plan() -> Plan:
    nodes = {
        f"n{number}": {"groups": ["slurm_compute"], "addresses": [f"10.0.1.{number}"], "egress": "restricted"}
        for number in (1, 2)
    }
    return make_plan(PORT_FILE, {"ctl": {"groups": ["control_plane"], "addresses": ["10.0.0.1"]}, **nodes})


def listener(port: int, process: str = "", unit: str = "", address: str = "0.0.0.0", protocol: str = "tcp") -> Any:
    return {"protocol": protocol, "address": address, "port": port, "process": process, "unit": unit}


def connection(direction: str, peer: str, port: int, count: int = 1, protocol: str = "tcp") -> Any:
    return {"direction": direction, "peer": peer, "protocol": protocol, "port": port, "count": count}


def result(**values: Any) -> dict[str, Any]:
    """Return what a host says, with these values."""
    empty: dict[str, Any] = {name: [] for name in ("listeners", "published", "connections", "problems")}
    return {**empty, "connections_left_out": 0, "counters": None, "ansible_from": "", **values}


def answer(listeners: Sequence[Any] = (), connections: Sequence[Any] = (), **values: Any) -> Answer:
    return answer_of(result(listeners=list(listeners), connections=list(connections), **values))


def publication(first: int, last: int = 0, protocol: str = "tcp") -> Any:
    return {"protocol": protocol, "first": first, "last": last or first, "by": "Docker"}


def test_what_the_plan_would_close(plan: Plan) -> None:
    gmond = listener(8649, "gmond", "gmond.service", protocol="udp")
    found = findings_of(
        plan,
        {
            "ctl": answer(
                [listener(22, "sshd"), gmond],
                [
                    connection("in", CONTROLLER, 22),
                    connection("in", "10.0.1.1", 8649, 3, "udp"),
                    connection("in", "10.0.1.2", 8649, 4, "udp"),
                    connection("in", "10.0.1.2", 6817),
                    connection("out", "198.51.100.1", 443),
                ],
            ),
            # Whoever listens on n1 has nothing to do with what n1 opens elsewhere.
            "n1": answer(
                [gmond, listener(22)],
                [connection("out", "10.0.0.1", 8649, 3, "udp"), connection("out", "10.0.0.1", 6817)],
            ),
        },
    )
    assert [seen_text(item, "connection") for item in found.denied] == [
        "slurm_compute to control_plane 8649/udp, 2 hosts, 7 connections; gmond (gmond.service) listens"
    ]
    assert found.unreached == [Unreached(("ctl", "n1"), "8649/udp", "gmond (gmond.service)")]


def test_what_is_always_accepted_is_not_denied(plan: Plan) -> None:
    answers_of_dhcp = connection("in", "fe80::1", 546, protocol="udp")
    multicast = connection("in", "10.0.0.9", 112, protocol="ip")
    found = findings_of(plan, {"ctl": answer([], [answers_of_dhcp, connection("in", "fe80::1", 547), multicast])})
    assert [str(ports) for item in found.denied for ports in item.ports] == ["112/ip", "547/tcp"]


@pytest.mark.parametrize("peer", ["224.0.0.1", "::ffff:10.0.1.1", "127.0.0.1", "240.0.0.1"])
def test_a_source_that_no_host_can_have_is_not_denied(plan: Plan, peer: str) -> None:
    seen = [connection("in", peer, 8649), connection("in", "192.0.2.9", 8649)]
    [item] = findings_of(plan, {"ctl": answer([], seen)}).denied
    assert item.sources.addresses == ("192.0.2.9",)


def test_what_the_plan_opens_for_nobody(plan: Plan) -> None:
    found = findings_of(
        plan,
        {
            "ctl": answer([listener(22), listener(443, address="127.0.0.1")]),
            "n1": answer([listener(22)]),
            "n2": answer([listener(22, address="::")]),
            "stranger": answer([listener(1)]),
        },
    )
    assert found.unserved == [Unserved(("ctl",), "control", ("6817/tcp",)), Unserved(("ctl",), "portal", ("443/tcp",))]
    assert found.unreached == []


def test_published_ports_are_like_listeners(plan: Plan) -> None:
    published = [publication(440, 450), publication(6817), publication(53, protocol="udp")]
    found = findings_of(
        plan,
        {"ctl": answer([], [connection("in", "10.0.1.1", 445)], published=published), "n1": answer([listener(22)])},
    )
    assert found.unreached == [
        Unreached(("ctl",), "440-442/tcp", "published by Docker"),
        Unreached(("ctl",), "444-450/tcp", "published by Docker"),
        Unreached(("ctl",), "53/udp", "published by Docker"),
    ]
    assert [item.flow for item in found.unserved] == ["management_ssh"]
    assert [item.listeners for item in found.denied] == [("published by Docker",)]


def counted(seconds: int, **packets: int) -> Any:
    return {"packets": packets, "seconds": seconds}


def test_flows_that_nobody_has_used(plan: Plan) -> None:
    found = findings_of(
        plan,
        {
            "ctl": answer(counters=counted(500, portal=0, control=0, management_ssh=1, removed=0)),
            "n1": answer(counters=counted(900, jobs=0, management_ssh=0)),
            "n2": answer(counters=counted(600, jobs=0, management_ssh=0)),
        },
    )
    assert found.unused == [
        Unused(("ctl",), "control", ("6817/tcp",), 500),
        Unused(("n1", "n2"), "jobs", ("1024-65535/tcp",), 600),
        Unused(("ctl",), "portal", ("443/tcp",), 500),
    ]


def test_a_flow_that_one_host_needs_is_used(plan: Plan) -> None:
    counters = [counted(500, jobs=number) for number in (0, 1)]
    found = findings_of(plan, {f"n{number}": answer(counters=counters[number - 1]) for number in (1, 2)})
    assert found.unused == []


@pytest.mark.parametrize(
    "peer,direction,port,unused",
    [
        ("10.0.1.1", "in", 6817, []),
        ("10.0.1.1", "out", 6817, ["control"]),
        ("10.0.1.1", "in", 6818, ["control"]),
        ("10.8.0.1", "in", 6817, ["control"]),
    ],
)
def test_a_flow_with_a_connection_older_than_the_counters_is_used(
    plan: Plan, peer: str, direction: str, port: int, unused: list[str]
) -> None:
    lives = answer([], [connection(direction, peer, port)], counters=counted(500, control=0))
    found = findings_of(plan, {"ctl": lives}).unused
    assert found is not None and [item.flow for item in found] == unused


def test_hosts_without_rules_of_ours_say_nothing_about_use(plan: Plan) -> None:
    assert findings_of(plan, {"ctl": answer()}).unused is None
    found = findings_of(plan, {"n1": answer(), "n2": answer(counters=counted(500, jobs=0))}).unused
    assert found == [Unused(("n2",), "jobs", ("1024-65535/tcp",), 500)]


@pytest.mark.parametrize(
    "change,text",
    [
        ({"listeners": None}, "listeners: got None, expected a list"),
        ({"listeners": ["x"]}, "listeners: got 'x', expected dictionaries"),
        ({"listeners": [listener(70000)]}, "port: got 70000, expected a number from 0 to 65535"),
        ({"listeners": [listener(True)]}, "port: got True"),
        ({"listeners": [listener(1, protocol="sctp")]}, "protocol: got 'sctp', expected one of tcp, udp, ip"),
        ({"connections": [connection("up", "10.0.0.1", 1)]}, "direction: got 'up'"),
        ({"connections": [connection("in", "host", 1)]}, "peer: got 'host', expected an address"),
        ({"connections_left_out": -1}, "connections_left_out: got -1"),
        ({"published": [publication(9, 8)]}, "last: got 8, expected a number from 9 to 65535"),
        ({"published": [publication(9, protocol="ip")]}, "protocol: got 'ip', expected one of tcp, udp"),
        ({"counters": []}, "counters: got [], expected packets by flow, or nothing"),
        ({"counters": {"packets": {"web": -1}, "seconds": 1}}, "web: got -1"),
        ({"counters": {"packets": {}, "seconds": "x"}}, "seconds: got 'x'"),
        ({"ansible_from": "host"}, "ansible_from: got 'host', expected an address"),
    ],
)
def test_an_answer_of_another_form_is_refused(change: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text.replace("[", r"\[")):
        answer_of(result(**change))


def test_names_of_a_host_cannot_move_the_cursor() -> None:
    [item] = answer([listener(1, "a\x1b[2J", "b\u202e" + "c" * 99)]).listeners
    assert (item.process, len(item.unit) < 90) == ("a\\x1b[2J", True)
