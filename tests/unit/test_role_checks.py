# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks of roles for the ports in a configuration, with given contents in place of the files of a host."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.hpc.ports.tests.support.plays import ROOT, played

# Roles whose checks are data for one tasks file.
SHARED = {"workspace", "monitoring"}
GROUPS = "{slurm_controller: {hosts: {n1: }}, slurm_database: {hosts: {n1: }}, nfs_server: {hosts: {n1: }}}"


def _content(text: str) -> dict[str, str]:
    return {"content": base64.b64encode(text.encode()).decode()}


# What the other roles read, as the module preflight returns it.
READ: dict[str, dict[str, Any]] = {
    "slurm": {
        "slurm_preflight": {
            "files": {"config": _content("SrunPortRange=60001-63000")},
            "commands": {"database": {"rc": 0, "stdout": "DbdPort=6819"}},
        },
        "slurm_pin_srun_ports": False,
    },
    "pbs": {"pbs_preflight": {"files": {"config": _content("PBS_SERVER=head")}}, "pbs_pin_ports": True},
    "nfs": {"nfs_preflight": {"commands": {"rpcinfo": {"rc": 0, "stdout": ""}}}, "nfs_pin_ports": True},
}


RUNS_KUBELET = {"control_plane_preflight": {"commands": {"units": {"rc": 0, "stdout": "kubelet.service loaded"}}}}


def checks(role: str) -> dict[str, Any]:
    folder = ROOT / "roles" / role

    def loaded(path: str) -> Any:
        return yaml.safe_load((folder / path).read_text(encoding="utf-8"))

    if role in SHARED:
        tasks = loaded("../firewall/tasks/checks.yml")
    else:
        # The task of the role, without what it asks the host.
        (task,) = (task["hpc.ports.preflight"] for task in loaded("tasks/main.yml") if "hpc.ports.preflight" in task)
        # Two tasks, because one that finds a problem shows no notes.
        tasks = [{"hpc.ports.preflight": {name: task[name]}} for name in ("problems", "notes") if name in task]
    return {
        "hosts": "n1",
        "gather_facts": False,
        "tasks": [{**task, "ignore_errors": True} for task in tasks],
        "vars": {**loaded("defaults/main.yml"), **loaded("vars/main.yml"), **READ.get(role, {}), "role_name": role},
    }


@pytest.mark.parametrize(
    ("services", "said", "unsaid"),
    [
        # A key that the plan takes for nothing changes nothing, and srun has the range that the plan gives it.
        (
            {"slurmctld": {}, "srun": {"title": "Own"}, "pbs_server": {}},
            [],
            ["Change firewall_services", "nothing checks that"],
        ),
        (
            {"slurmctld": None, "rquotad": None},
            [
                "SlurmctldPort, not set in /etc/slurm/slurm.conf, is 6817/tcp, and nothing checks that: "
                "the port file has no service slurmctld.",
                "nfs_rquotad_port is 875/tcp, and nothing checks that",
            ],
            ["Change firewall_services"],
        ),
        (
            {"slurmd": {"ports": None}, "pbs_mom": {"ports": []}},
            [
                "SlurmdPort, not set in /etc/slurm/slurm.conf, is 6818/tcp, "
                "but service slurmd of the port file has no port. Change",
                "service pbs_mom of the port file has no port. Change",
            ],
            [],
        ),
    ],
)
def test_a_check_that_finds_no_port_says_so(
    tmp_path: Path, services: dict[str, Any], said: list[str], unsaid: list[str]
) -> None:
    line = checked(tmp_path, READ, firewall_services=services, firewall_srun_ports="60001-63000")
    assert [text for text in said if text not in line] == []
    assert [text for text in unsaid if text in line] == []


def checked(folder: Path, roles: Iterable[str], **variables: Any) -> str:
    """Return what the checks of these roles say."""
    (folder / "hosts.yml").write_text(GROUPS, encoding="utf-8")
    (folder / "play.yml").write_text(yaml.safe_dump(list(map(checks, roles))), encoding="utf-8")
    done = played("-i", str(folder / "hosts.yml"), str(folder / "play.yml"), "-e", json.dumps(variables))
    assert done.code == 0, done.line
    return done.line


def test_a_check_knows_nothing_of_what_is_shipped_where_the_site_does_without(tmp_path: Path) -> None:
    line = checked(tmp_path, READ, firewall_shipped=False, firewall_services={"slurmd": {"ports": ["1/tcp"]}})
    assert (
        "SlurmctldPort, not set in /etc/slurm/slurm.conf, is 6817/tcp, and nothing checks that: the port file has no"
        in line
    )
    assert (
        "SlurmdPort, not set in /etc/slurm/slurm.conf, is 6818/tcp, but service slurmd of the port file is 1/tcp"
        in line
    )
    assert "service slurmctld of the port file is" not in line and "NFS version 3 will hang" not in line


@pytest.mark.parametrize(
    "variables,said",
    [
        ({}, "Set firewall_flows.kubernetes_nodes.enabled to true."),
        ({"firewall_shipped": False}, "Write that flow, because firewall_shipped is false."),
        ({"firewall_flows": {"kubernetes_nodes": {"enabled": True}}}, "but none of the flows kubernetes_flannel"),
        # A flow that is on by its need.
        (
            {"firewall_flows": {"kubernetes_nodes": {"need": "required"}, "kubernetes_flannel": {"need": "required"}}},
            "",
        ),
    ],
)
def test_a_kubelet_needs_flows_that_are_on(tmp_path: Path, variables: dict[str, Any], said: str) -> None:
    line = checked(tmp_path, ["control_plane"], firewall_trusted_interfaces=["cni0"], **RUNS_KUBELET, **variables)
    assert said in line
    assert bool(said) == ("A kubelet runs on n1" in line)
    assert f"ignored={int(bool(said))}" in line


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({}, "Invalid firewall_endpoints.platform: got no address, expected the platform's, "),
        ({"workspace_require_platform": False}, ""),
        ({"firewall_endpoints": {"platform": {"cidrs": ["192.0.2.10/32"]}}}, ""),
        ({"firewall_endpoints": {"platform": {"groups": ["nfs_server"]}}}, ""),
    ],
)
def test_a_workspace_needs_a_platform(tmp_path: Path, variables: dict[str, Any], message: str) -> None:
    line = checked(tmp_path, ["workspace"], **variables)
    assert message in line
    assert bool(message) == ("Invalid firewall_endpoints.platform" in line)
    assert f"ignored={int(bool(message))}" in line


@pytest.mark.parametrize(
    ("apart_from", "message"),
    [
        (["nfs_server", "workbench"], "Host n1 is in monitoring and in nfs_server: an attacker who takes it over "),
        (["workbench"], ""),
        ([], ""),
    ],
)
def test_a_monitoring_server_is_not_open_to_many(tmp_path: Path, apart_from: list[str], message: str) -> None:
    line = checked(tmp_path, ["monitoring"], monitoring_apart_from=apart_from)
    assert message in line
    assert bool(message) == ("is in monitoring" in line)
    assert f"ignored={int(bool(message))}" in line


@pytest.mark.parametrize(("rc", "printed"), [(0, ""), (1, "Failed to list kubelet.service")])
def test_a_host_without_a_kubelet_needs_no_flow_but_an_answer(tmp_path: Path, rc: int, printed: str) -> None:
    units = {"commands": {"units": {"rc": rc, "stdout": printed}}}
    line = checked(tmp_path, ["control_plane"], control_plane_preflight=units)
    assert "A kubelet runs on" not in line
    assert (f"Cannot list the services of n1: {printed}" in line) == bool(rc)


def test_a_condition_and_a_message_behind_a_false_one_are_not_evaluated(tmp_path: Path) -> None:
    """Ansible evaluates each variable that a template names, even behind a condition: most of what a check cost."""
    never = "{{ undefined_variable }}"
    checks_of = [
        {"when": ["{{ false }}", never], "message": never},
        {"when": ["{{ true }}", "{{ 1 > 0 }}"], "message": "First."},
        {"when": ["{{ true }}", "{{ [] | length > 0 }}"], "message": never},
        {"when": [], "message": " {{ '' }} "},
        {"when": [], "message": "{{ 'Second.' }}"},
    ]
    play = {"hosts": "all", "gather_facts": False, "vars": {"own_checks": checks_of}}
    tasks = [{"hpc.ports.preflight": {name: ["own_checks"]}, "ignore_errors": True} for name in ("notes", "problems")]
    (tmp_path / "play.yml").write_text(yaml.safe_dump([{**play, "tasks": tasks}]), encoding="utf-8")
    done = played("-i", "n1,", str(tmp_path / "play.yml"))
    assert done.line.count('"msg": "First. Second."') == 2, done.line
    assert "ok=2" in done.line and "ignored=1" in done.line
