# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What opens and closes on hosts, in words, from results of the module firewall."""

from __future__ import annotations

from typing import Any

from ansible_collections.hpc.ports.plugins.module_utils._model.shown import shown
from ansible_collections.hpc.ports.plugins.plugin_utils._report.changes import change_lines, host_changes
from ansible_collections.hpc.ports.tests.support.sites import make_plan
from hypothesis import given
from hypothesis import strategies as st

PORT_FILE = {
    "services": {"grafana": {"ports": ["3000/tcp"]}, "mirror": {"ports": ["443/tcp", "80/tcp"]}},
    "endpoints": {"users": {"cidrs": ["10.9.0.0/16"]}, "mirrors": {"cidrs": ["203.0.113.0/24"]}},
    "flows": {
        "grafana": {
            "from": ["monitoring", "users"],
            "to": ["slurm_compute"],
            "services": ["grafana"],
            "need": "required",
        },
        "mirror": {"from": ["slurm_compute"], "to": ["mirrors"], "services": ["mirror"], "need": "required"},
    },
}
HOSTS = {
    "mon": {"groups": ["monitoring"], "addresses": ["10.0.0.9"]},
    "desk": {"groups": ["desks"], "addresses": ["10.0.0.8"]},
    **{
        f"c{number}": {"groups": ["slurm_compute"], "addresses": [f"10.0.1.{number}"], "egress": "restricted"}
        for number in range(1, 4)
    },
}
PLAN = make_plan(PORT_FILE, HOSTS)


def told(changed: bool = True, hosts: str = "c1 c2 c3", **changes: Any) -> list[str]:
    """Return the lines for equal changes of some hosts."""
    results = {host: {"changed": changed, "changes": changes} for host in hosts.split()}
    return change_lines(host_changes(PLAN, results), PLAN.inventory.groups)


def test_a_flow_that_is_added_says_who_may_connect_to_what() -> None:
    assert told(flows_added=["in_grafana", "out_mirror"], objects=["chain in_tcp"]) == [
        "c1, c2, c3: in_grafana: mon, users (10.9.0.0/16) may now connect to 3000/tcp",
        "c1, c2, c3: out_mirror: may now connect to 80/tcp, 443/tcp of mirrors (203.0.113.0/24)",
    ]
    assert told(flows_removed=["in_old"]) == ["c1, c2, c3: in_old is removed, so its connections are closed"]


def test_addresses_have_the_names_of_hosts_and_endpoints() -> None:
    added = ["10.0.0.8/31", "10.9.3.0/24", "10.0.1.0/30"]  # the last has an address of no host
    assert told(addresses_changed={"in_grafana": {"added": added, "removed": ["10.0.0.9"]}}) == [
        "c1, c2, c3: in_grafana: desk, mon, users (10.9.3.0/24, 10.0.1.0/30) may now connect to 3000/tcp",
        "c1, c2, c3: in_grafana: mon may no longer connect to 3000/tcp",
    ]
    assert told(ports_changed={"in_grafana": {"added": ["3000/tcp"], "removed": ["1/udp", "2/udp"]}}) == [
        "c1, c2, c3: in_grafana: mon, users (10.9.0.0/16) may now connect to 3000/tcp",
        "c1, c2, c3: in_grafana: mon, users (10.9.0.0/16) may no longer connect to 1/udp, 2/udp",
    ]


def test_equal_changes_of_hosts_are_one_line_and_hosts_without_changes_none() -> None:
    change = {"flows_added": ["in_grafana"]}
    results = {
        "c1": {"changed": True, "changes": {**change, "flows_removed": ["in_old"]}},
        "c2": {"changed": True, "changes": change},
        "c3": {"changed": False, "changes": change},
        "desk": {"changed": True, "changes": change},  # has no policy
    }
    assert [(one.hosts, one.text.split(":")[0]) for one in host_changes(PLAN, results)] == [
        (("c1", "c2"), "in_grafana"),
        (("c1",), "in_old is removed, so its connections are closed"),
    ]


def test_ephemeral_ports_that_were_fixed_are_named() -> None:
    now = {"ephemeral_ports": "32768-60999", "reserved_ports": "32768", "changed": True, "changes": {}}
    results = {"c1": {**now, "ports_fixed": ["a"]}, "c2": {**now, "ports_fixed": ["b"]}, "c3": now}
    lines = change_lines(host_changes(PLAN, results), PLAN.inventory.groups)
    assert lines == ["c1, c2: ephemeral ports: 32768-60999; reserved: 32768"]


def test_the_first_rules_close_all_the_rest() -> None:
    assert told(hosts="mon", flows_added=["in_management_ssh"], objects=["chain input"]) == [
        "mon: first rules; all other connections are closed",
        "mon: in_management_ssh: controllers (192.0.2.1/32) may connect to 22/tcp",
    ]
    observed = make_plan(PORT_FILE, {**HOSTS, "mon": {**HOSTS["mon"], "mode": "observe"}})
    [first, _ssh] = host_changes(
        observed, {"mon": {"changed": True, "changes": {"flows_added": ["in_management_ssh"]}}}
    )
    assert first.text == "first rules; all other connections are only counted"


def test_without_rules_all_ports_are_open() -> None:
    assert told(flows_removed=["in_grafana", "in_management_ssh"]) == [
        "c1, c2, c3: the rules are removed, so all ports are open"
    ]


def test_other_objects_are_named_if_no_flow_changes() -> None:
    assert told(hosts="c1", objects=["chain input", "file /etc/x"]) == [
        "c1: no flow changes, but chain input, file /etc/x"
    ]


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.sampled_from(["in_grafana", "out_mirror"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)
KEYS = ["flows_added", "flows_removed", "addresses_changed", "ports_changed", "objects"]


@given(st.dictionaries(st.sampled_from(KEYS), ANYTHING), ANYTHING)
def test_any_answer_of_a_host_is_read(changes: dict[str, Any], member: Any) -> None:
    nested = {"in_grafana": {"added": member, "removed": member}}
    results = {"c1": {"changed": True, "changes": changes}, "c2": member}
    results["c3"] = {"changed": True, "changes": {"ports_changed": nested, "addresses_changed": nested}}
    for one in host_changes(PLAN, results):
        assert shown(one.text) == one.text and set(one.hosts) <= {"c1", "c2", "c3"}
