# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What roles say of the ports of a configuration: their checks, with what they would read from the host given to them."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.hpc.ports.tests.support.plays import ROOT, played

# Tasks that look at nothing but variables.
CHECKS = {"ansible.builtin.assert", "ansible.builtin.debug"}
GROUPS = "{slurm_controller: {hosts: {n1: }}, slurm_database: {hosts: {n1: }}, nfs_server: {hosts: {n1: }}}"
READ: dict[str, dict[str, Any]] = {
    "slurm": {"slurm_config": {"content": base64.b64encode(b"SrunPortRange=60001-63000").decode()},
              "slurm_pin_srun_ports": False, "slurm_database_config": {"rc": 0, "stdout": "DbdPort=6819"}},
    "pbs": {"pbs_config": {"content": base64.b64encode(b"PBS_SERVER=head").decode()}, "pbs_pin_ports": True},
    "nfs": {"nfs_pin_ports": True, "nfs_rpcinfo": {"stdout": ""}},
}


def checks(role: str) -> dict[str, Any]:
    folder = ROOT / "roles" / role

    def loaded(path: str) -> Any:
        return yaml.safe_load((folder / path).read_text(encoding="utf-8"))

    tasks = [{**task, "ignore_errors": True} for task in loaded("tasks/preflight.yml") if CHECKS & task.keys()]
    return {"hosts": "n1", "gather_facts": False, "tasks": tasks,
            "vars": {**loaded("defaults/main.yml"), **loaded("vars/main.yml"), **READ[role]}}


@pytest.mark.parametrize(("services", "said", "unsaid"), [
    # A key that the plan takes for nothing changes nothing, and srun has the range that the plan gives it.
    ({"slurmctld": {}, "srun": {"title": "Own"}, "pbs_server": {}}, [], ["Change firewall_services", "nothing checks that"]),
    ({"slurmctld": None, "rquotad": None},
     ["SlurmctldPort, not set in /etc/slurm/slurm.conf, is 6817/tcp, and nothing checks that: the port file has no service "
      "slurmctld.", "nfs_rquotad_port is 875/tcp, and nothing checks that"], ["Change firewall_services"]),
    ({"slurmd": {"ports": None}, "pbs_mom": {"ports": []}},
     ["SlurmdPort, not set in /etc/slurm/slurm.conf, is 6818/tcp, but service slurmd of the port file has no port. Change",
      "service pbs_mom of the port file has no port. Change"], []),
])
def test_a_check_that_finds_no_port_says_so(tmp_path: Path, services: dict[str, Any], said: list[str], unsaid: list[str]) -> None:
    (tmp_path / "hosts.yml").write_text(GROUPS, encoding="utf-8")
    (tmp_path / "play.yml").write_text(yaml.safe_dump(list(map(checks, READ))), encoding="utf-8")
    done = played("-i", str(tmp_path / "hosts.yml"), str(tmp_path / "play.yml"), "-e",
                  json.dumps({"firewall_services": services, "firewall_srun_ports": "60001-63000"}))
    assert done.code == 0, done.line
    assert [text for text in said if text not in done.line] == []
    assert [text for text in unsaid if text in done.line] == []
