# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What hosts do now, compared with the plan."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils._audit.answers import Answer, answer_of
from ansible_collections.hpc.ports.plugins.plugin_utils._audit.findings import Denied, Unreached, Unserved, findings_of
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


def answer(listeners: list[Any] = [], connections: list[Any] = []) -> Answer:  # noqa: B006
    return answer_of({"listeners": listeners, "connections": connections, "connections_left_out": 0, "problems": []})


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
            "n1": answer([], [connection("out", "10.0.0.1", 8649, 3, "udp"), connection("out", "10.0.0.1", 6817)]),
        },
    )
    assert found.denied == [
        Denied(("ctl",), "in", "udp", 8649, ("10.0.1.1", "10.0.1.2"), 7, ("gmond (gmond.service)",)),
        Denied(("n1",), "out", "udp", 8649, ("10.0.0.1",), 3, ()),
    ]
    assert found.unreached == [Unreached(("ctl",), "udp", 8649, "gmond (gmond.service)")]


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
    ],
)
def test_an_answer_of_another_form_is_refused(change: dict[str, Any], text: str) -> None:
    data = {"listeners": [], "connections": [], "connections_left_out": 0, "problems": [], **change}
    with pytest.raises(ValueError, match=text.replace("[", r"\[")):
        answer_of(data)


def test_names_of_a_host_cannot_move_the_cursor() -> None:
    [item] = answer([listener(1, "a\x1b[2J", "b\u202e" + "c" * 99)]).listeners
    assert (item.process, len(item.unit) < 90) == ("a\\x1b[2J", True)
