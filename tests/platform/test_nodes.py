# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports pinned, nodes that come and go, and one that Ansible never sees: and jobs run. Run by `dev/test platform`."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hpc.ports.tests.platform.uses import USES, answering, errors_of, expect, output
from ansible_collections.hpc.ports.tests.support.hosts import LAB, Play, firewall, play, restart, table
from ansible_collections.hpc.ports.tests.support.run import scaled

_JOINING: dict[str, Any] = {
    "all": {"children": {group: {"hosts": {"node3": {}}} for group in ("slurm_compute", "alpha")}}
}
# Who has jobs to run.
_CLUSTER = ("head", "login1", "node1", "node2")
_BACKEND = os.environ.get("HPC_PORTS_BACKEND") or "nftables"


def srun_ports() -> str:
    """Return the SrunPortRange of the controller."""
    return output("head", "scontrol show config | sed -n 's/^SrunPortRange *= //p'").strip()


def test_the_ports_of_srun_are_those_of_the_port_file() -> None:
    assert srun_ports() == "60001-60100"


def test_another_hundred_ports_is_one_variable() -> None:
    used = [USES[name] for name in ("job_on_two_nodes", "interactive_job", "srun_in_a_batch_job", "queued_job_wakes")]
    try:
        done = play("slurm", "--limit", ",".join(_CLUSTER), "-e", "firewall_srun_ports=61001-61100")
        assert done.code == 0, done.output
        assert srun_ports() == "61001-61100"
        assert errors_of(used) == {}
    finally:
        restore_srun_ports()
    assert srun_ports() == "60001-60100"


def restore_srun_ports() -> None:
    """Open the hundred ports of before again, and have Slurm use them."""
    assert firewall("--limit", ",".join(_CLUSTER)).code == 0
    for host in _CLUSTER:
        output(host, "sed -i 's/^SrunPortRange=.*/SrunPortRange=60001-60100/' /etc/slurm/slurm.conf")
    output("head", "scontrol reconfigure")


def test_ganesha_has_the_ports_of_the_port_file() -> None:
    found = output("nfs1", "rpcinfo -p").split("\n")
    ports = {line.split()[4]: line.split()[3] for line in found[1:] if len(line.split()) == 5}
    assert {name: ports[name] for name in ("nfs", "mountd", "nlockmgr")} == {
        "nfs": "2049",
        "mountd": "20048",
        "nlockmgr": "32768",
    }


def test_the_daemons_of_nfs_utils_have_the_ports_of_the_port_file() -> None:
    """As they read them; statd, which alone of them needs no kernel that has NFS, also as it listens."""
    wanted = {
        "mountd port": "20048",
        "statd port": "32765",
        "statd outgoing-port": "32766",
        "lockd port": "32768",
        "lockd udp-port": "32768",
    }
    assert {key: output("nfs1", f"nfsconf --get {key}").strip() for key in wanted} == wanted
    found = output(
        "nfs1",
        "pidof rpc.statd > /dev/null || rpc.statd 2> /dev/null; until rpcinfo -p | grep status; do sleep 0.2; done",
    )
    assert {line.split()[3] for line in found.splitlines()} == {"32765"}


@pytest.mark.parametrize(("host", "ports"), [("login1", "60001-60100"), ("node1", "60001-60100"), ("nfs1", "32768")])
def test_no_ephemeral_port_is_in_the_way(host: str, ports: str) -> None:
    assert ports in output(host, "cat /proc/sys/net/ipv4/ip_local_reserved_ports").strip().split(",")


@pytest.fixture(name="joined", scope="module")
def _joined(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, ...]]:
    """The options of a playbook for the inventory in which node3 is a node of the cluster."""
    path = tmp_path_factory.mktemp("inventory") / "node3.yml"
    path.write_text(json.dumps(_JOINING), encoding="utf-8")
    yield "-i", os.environ["ANSIBLE_INVENTORY"], "-i", str(path)


def test_a_new_node_is_prepared_alone(joined: tuple[str, ...]) -> None:
    done = play("slurm", *joined, "--limit", "node3")
    assert done.code == 0, done.output
    assert set(done.changed) == {"node3"} and done.changed["node3"]
    assert answering("outsider", [("node3", 22)]) == set()
    expect(output("node3", "grep SrunPortRange /etc/slurm/slurm.conf"), "60001-60100")


@pytest.fixture(name="added", scope="module")
def _added() -> set[str]:
    """The hosts that changed as the node was added."""
    return set()


def changed_hosts(done: Play) -> set[str]:
    """Return the hosts that a playbook changed."""
    return {host for host, count in done.changed.items() if count}


def test_a_new_node_takes_a_job_once_it_is_added(joined: tuple[str, ...], added: set[str]) -> None:
    output("node3", "systemctl start slurmd")
    assert answering("node3", [("head", 6817)]) == set()
    done = play("add_node", *joined, "-e", "new=node3", "--skip-tags", "verify")
    assert done.code == 0, done.output
    added.update(changed_hosts(done))
    assert {"head", "login1", "node1", "node2", "accounting", "nfs1"} <= added
    assert not added & {"db1", "db2", "pbs1", "pbs2", "pbs3"}
    assert answering("node3", [("head", 6817)]) == {("head", 6817)}
    output("node3", "systemctl restart slurmd")
    job = "until srun --immediate=5 -N3 --nodelist=node1,node2,node3 hostname; do sleep 1; done"
    expect(output("login1", job, scaled(60)), "node1\n", "node2\n", "node3\n")


def test_what_only_a_node_needed_closes_as_it_leaves(joined: tuple[str, ...], added: set[str]) -> None:
    done = play("remove_node", *joined, "-e", "old=node3")
    assert done.code == 0, done.output
    assert answering("node3", [("head", 6817)]) == set()
    output("node3", "systemctl stop slurmd")
    # Whom neither of the two playbooks changed is as before.
    again = firewall("--limit", ",".join({*added, *changed_hosts(done)}))
    assert again.code == 0 and set(again.changed.values()) == {0}, again.output


def copied(folder: Path, host: str) -> None:
    """Put the files into the host's file system, as an image would have them."""
    subprocess.run(["podman", "cp", f"{folder}/.", f"{LAB}-{host}:/"], check=True, capture_output=True)


def rules_of_class(host: str) -> list[str]:
    """Return the rules of a host without its own addresses, which the files of a class lack.

    The rules that leave out packets to other hosts are one for each family where there are addresses.
    """
    own = ("@addresses_v", "fib daddr type != local return")
    return [
        "\n".join(line for line in rules.splitlines() if not any(text in line for text in own))
        for rules in table(host)
        if "addresses_v" not in rules or "\tchain " in rules
    ]


def test_a_node_that_ansible_never_sees_takes_jobs(tmp_path: Path) -> None:
    done = play("render", "-e", f"render_folder={tmp_path}")
    assert done.code == 0, done.output
    classes = json.loads((tmp_path / "classes.json").read_text(encoding="utf-8"))["classes"]
    [name] = [name for name, item in classes.items() if "node1" in item["hosts"]]
    copied(tmp_path / name / _BACKEND, "cloud1")
    restart("cloud1")
    assert rules_of_class("cloud1") == rules_of_class("node1")
    output("cloud1", "systemctl start munge slurmd")
    job = "until srun --immediate=5 -N2 --nodelist=node1,cloud1 hostname; do sleep 1; done"
    expect(output("login1", job, scaled(60)), "node1\n", "cloud1\n")
    assert answering("outsider", [("cloud1", 22), ("cloud1", 6818)]) == set()
    output("cloud1", "systemctl stop slurmd")
