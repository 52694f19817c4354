# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The roles slurm, pbs and nfs on files of a temporary folder: what they pin, refuse and tell."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ansible_collections.hpc.ports.tests.support.plays import played

pytestmark = pytest.mark.slow

INVENTORY = """
all:
  vars:
    ansible_connection: local
    ansible_python_interpreter: "{{ ansible_playbook_python }}"
    at: "{{ inventory_dir }}/{{ inventory_hostname }}"
    slurm_config_path: "{{ at }}/slurm.conf"
    slurm_database_config_path: "{{ at }}/slurmdbd.conf"
    slurm_scontrol_path: "true"
    pbs_config_path: "{{ at }}/pbs.conf"
    nfs_ganesha_config_path: "{{ at }}/ganesha.conf"
  children:
    slurm_controller: {hosts: {ctl: }}
    slurm_database: {hosts: {ctl: }}
    slurm_login: {hosts: {login: }}
    pbs_server: {hosts: {login: }}
    nfs_server: {hosts: {login: }}
"""
# login has no slurm.conf. NFS runs in check mode only: what it writes beside ganesha.conf is the machine's.
PLAYBOOK = """
- {name: Slurm, hosts: "slurm_*", gather_facts: false, roles: [hpc.ports.slurm]}
- {name: PBS, hosts: "pbs_*", gather_facts: false, roles: [hpc.ports.pbs]}
- {name: NFS, hosts: "{{ 'nfs_*' if ansible_check_mode else [] }}", gather_facts: false, roles: [hpc.ports.nfs]}
"""
FILES = {
    "ctl/slurm.conf": "ClusterName=a\n",
    "ctl/slurmdbd.conf": "StoragePass=secret123\nDbdPort=7819\nStorageUser=slurm\n",
    "login/pbs.conf": "PBS_SERVER=pbs\nPBS_MOM_SERVICE_PORT=16002\n",
    "login/ganesha.conf": "NFS_CORE_PARAM {\n\tmnt_port = 0;\n}\n",
}
PINNED = {
    "ctl/slurm.conf": "ClusterName=a\nSrunPortRange=60001-60100\nSlurmctldPort=7817\nSlurmdPort=6818\n"
    "AccountingStoragePort=6819\n",
    "ctl/slurmdbd.conf": "StoragePass=secret123\nDbdPort=6819\nStorageUser=slurm\n",
    "login/pbs.conf": "PBS_SERVER=pbs\nPBS_MOM_SERVICE_PORT=15002\nPBS_BATCH_SERVICE_PORT=15001\n"
    "PBS_MANAGER_SERVICE_PORT=15003\nPBS_DATA_SERVICE_PORT=15007\n",
}
PINS = (
    "-e",
    '{"firewall_srun_ports": "60001-60100", "slurm_pin_daemon_ports": true, "pbs_pin_ports": true, '
    '"nfs_pin_ports": true, "firewall_services": {"slurmctld": {"ports": ["7817/tcp"]}}}',
)


@pytest.fixture(name="site")
def fixture_site(tmp_path: Path) -> Path:
    for name, text in {**FILES, "hosts.yml": INVENTORY, "play.yml": PLAYBOOK}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "ctl" / "slurmdbd.conf").chmod(0o600)
    return tmp_path


def play(site: Path, *arguments: str) -> str:
    done = played("-i", str(site / "hosts.yml"), str(site / "play.yml"), *arguments)
    return done.printed + done.errors


def texts(site: Path, names: dict[str, str]) -> dict[str, str]:
    return {name: (site / name).read_text(encoding="utf-8") for name in names}


def changed(output: str) -> dict[str, int]:
    found = re.findall(r"^(\w+) +: ok=\d+ +changed=(\d+) .* failed=0 ", output, re.MULTILINE)
    return {host: int(count) for host, count in found}


def test_pins_are_written_once_and_promised_before(site: Path) -> None:
    promised = play(site, "--check", "--diff", *PINS)
    assert texts(site, FILES) == FILES
    assert changed(promised) == {"ctl": 3, "login": 2}
    assert "+SrunPortRange=60001-60100" in promised and "-\tmnt_port = 0;\n" in promised
    assert "+    NFS_Port = 2049;" in promised and "+\tmnt_port = 20048;" in promised
    done = play(site, "--diff", "-vvv", *PINS)
    assert texts(site, PINNED) == PINNED
    assert changed(done) == {"ctl": 4, "login": 1}
    assert "secret123" not in promised + done
    assert "SlurmctldPort, not set in" in done and "restart slurmdbd, slurmctld and slurmd" in done
    assert (site / "ctl" / "slurmdbd.conf").stat().st_mode & 0o7777 == 0o600
    assert changed(play(site, *PINS)) == {"ctl": 0, "login": 0}


def test_without_pins_what_is_not_opened_is_refused(site: Path) -> None:
    output = play(site, "--check")
    assert changed(output) == {}
    for said in (
        f"DbdPort of {site}/ctl/slurmdbd.conf is 7819/tcp, but service slurmdbd of the port file is 6819/tcp. ",
        f"PBS_MOM_SERVICE_PORT of {site}/login/pbs.conf is 16002/tcp, but service pbs_mom of the port file is "
        "15002-15003/tcp. ",
    ):
        assert said in output


@pytest.mark.parametrize("ports", ["8192-60999", "8192-60000"])
def test_the_shipped_and_the_documented_range_are_not_pinned(site: Path, ports: str) -> None:
    (site / "ctl" / "slurmdbd.conf").unlink()
    assert changed(play(site, "--limit", "ctl", "-e", f"firewall_srun_ports={ports}")) == {"ctl": 0}
    assert (site / "ctl" / "slurm.conf").read_text(encoding="utf-8") == FILES["ctl/slurm.conf"]
