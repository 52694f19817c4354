# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""slurm.conf in the forms that sites and tools write."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils._draft.slurm_conf import SlurmConf, read_slurm_conf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


def conf(folder: Path, text: str, **others: str) -> SlurmConf:
    (folder / "slurm.conf").write_text(text, encoding="utf-8")
    for name, content in others.items():
        (folder / f"{name}.conf").write_text(content, encoding="utf-8")
    return read_slurm_conf(folder / "slurm.conf")


MODERN = """
# Two controllers, as since Slurm 18.08
ClusterName=Blue
SlurmctldHost=mgmt1(10.1.0.1) # primary
slurmctldhost=mgmt2(10.1.0.2)
SlurmctldParameters=enable_configless
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=mgmt2.example.org
SlurmctldPort=6820-6830
SrunPortRange=60001-63000
MailProg="/usr/bin/mail # not read"
NodeName=DEFAULT CPUs=64 State=UNKNOWN
NodeName=n[001-002],gpu1 \\
    NodeAddr=10.1.1.[1-3] Port=7000 Gres=gpu:2
NodeName=old1 NodeHostname=old1.example.org
NodeName=mgmt1
PartitionName=all Nodes=ALL SlurmctldPort=1 AllocNodes=login1
"""


def test_a_cluster_with_two_controllers(tmp_path: Path) -> None:
    found = conf(tmp_path, MODERN)
    assert found.cluster == "blue"
    assert found.controllers == {"mgmt1": "10.1.0.1", "mgmt2": "10.1.0.2"}
    assert found.databases == {"mgmt2": "10.1.0.2"}
    assert found.nodes == {
        "n001": "10.1.1.1",
        "n002": "10.1.1.2",
        "gpu1": "10.1.1.3",
        "old1": "old1.example.org",
        "mgmt1": "",
    }
    assert found.ports == {"slurmctld": "6820-6830"}
    assert found.srun_ports == "60001-63000"


@pytest.mark.parametrize(
    "text,controllers",
    [
        ("ControlMachine=lx0   ControlAddr=elx0\nBackupController=lx1 BackupAddr=elx1", {"lx0": "elx0", "lx1": "elx1"}),
        ("ControlMachine = lx0\nControlAddr=\n#BackupController=lx1", {"lx0": ""}),
        ("SlurmctldHost=a\nControlMachine=b", {"a": ""}),
        ("SlurmctldHost=a\nSlurmctldAddr=10.0.0.9", {"a": "10.0.0.9"}),
        ("SlurmctldHost=a(10.0.0.1)\nSlurmctldAddr=10.0.0.9", {"a": "10.0.0.1"}),
        ("SlurmctldHost=a\nSlurmctldHost=b\nSlurmctldAddr=10.0.0.9", {"a": "", "b": ""}),
    ],
)
def test_controllers(tmp_path: Path, text: str, controllers: dict[str, str]) -> None:
    assert conf(tmp_path, text).controllers == controllers


@pytest.mark.parametrize(
    "text,databases",
    [
        ("", {}),
        ("AccountingStorageType=accounting_storage/none\nAccountingStorageHost=db", {}),
        ("AccountingStorageType=accounting_storage/slurmdbd", {"a": "10.0.0.1"}),
        ("AccountingStorageHost=LOCALHOST", {"a": "10.0.0.1"}),
        ("AccountingStorageHost=127.0.0.1", {"a": "10.0.0.1"}),
        ("AccountingStorageHost=10.0.0.1", {"a": "10.0.0.1"}),
        ("AccountingStorageHost=a.example.org", {"a": "10.0.0.1"}),
        ("AccountingStorageHost=n1", {"n1": "10.0.0.7"}),
        ("AccountingStorageHost=db\nAccountingStorageBackupHost=db2", {"db": "", "db2": ""}),
    ],
)
def test_databases(tmp_path: Path, text: str, databases: dict[str, str]) -> None:
    found = conf(tmp_path, f"SlurmctldHost=a(10.0.0.1)\nNodeName=n1 NodeAddr=10.0.0.7\n{text}")
    assert found.databases == databases


def test_nodes_without_an_address_of_their_own_are_left_out(tmp_path: Path) -> None:
    text = """SlurmctldHost=a
NodeName=burst[1-2] State=CLOUD
NodeName=DEFAULT State=FUTURE
NodeName=f1
NodeName=v[1-3] NodeHostname=n1 State=UNKNOWN Port=[17001-17003]
"""
    found = conf(tmp_path, text)
    assert (found.later, found.doubles, found.nodes) == (["burst1", "burst2", "f1"], ["v2", "v3"], {"v1": "n1"})
    assert found.own_ports == ["v1", "v2", "v3"]


def test_comments_may_be_in_another_encoding(tmp_path: Path) -> None:
    (tmp_path / "slurm.conf").write_bytes("SlurmctldHost=a\n# Müller\nNodeName=n1".encode("latin-1"))
    assert read_slurm_conf(tmp_path / "slurm.conf").nodes == {"n1": ""}


@pytest.mark.parametrize("port", ["0", "6820,6821", "x", ""])
def test_ports_of_another_form_are_not_read(tmp_path: Path, port: str) -> None:
    found = conf(tmp_path, f"SlurmctldHost=a\nSlurmdPort={port}\nSrunPortRange={port}\nSlurmctldPort=6817")
    assert (found.ports, found.srun_ports) == ({}, "")


def test_a_template_is_no_name_of_a_cluster(tmp_path: Path) -> None:
    assert conf(tmp_path, "ClusterName={{name}}\nSlurmctldHost=a").cluster == ""
    assert conf(tmp_path, 'ClusterName="my_C-1"\nSlurmctldHost=a').cluster == "my_c-1"


@pytest.mark.parametrize("kind,ports", [("slurmdbd", {"slurmdbd": "3306"}), ("mysql", {}), ("none", {})])
def test_the_port_of_an_sql_server_is_not_that_of_slurmdbd(tmp_path: Path, kind: str, ports: dict[str, str]) -> None:
    text = f"SlurmctldHost=a\nAccountingStorageType=accounting_storage/{kind}\nAccountingStoragePort=3306"
    assert conf(tmp_path, text).ports == ports


def test_included_files_beside_it_are_read_and_others_are_named(tmp_path: Path) -> None:
    (tmp_path / "hpc").mkdir()
    (tmp_path / "secret.conf").write_text("NodeName=outside", encoding="utf-8")
    text = """ClusterName=red
Include controllers.conf
include\t/etc/slurm/nodes.conf
INCLUDE %c_nodes.conf
Include /etc/slurm/conf.d/*.conf
Include ../secret.conf
Include missing.conf
"""
    more = {"controllers": "SlurmctldHost=a\nInclude slurm.conf", "nodes": "NodeName=n1", "red_nodes": "NodeName=r1"}
    found = conf(tmp_path / "hpc", text, **more)
    assert (found.controllers, found.nodes) == ({"a": ""}, {"n1": "", "r1": ""})
    assert found.unread == ["/etc/slurm/conf.d/*.conf", "../secret.conf", "missing.conf"]


@pytest.mark.parametrize(
    "text,message",
    [
        ("NodeName=n1", "got no SlurmctldHost, expected a slurm.conf"),
        ("Include x.conf", r"got no SlurmctldHost \(not read: x.conf\), expected a slurm.conf"),
        ("SlurmctldHost=localhost", "got the host localhost, expected the name by which other hosts reach it"),
        ("SlurmctldHost=a\nNodeName=127.0.0.1", "got the host 127.0.0.1, expected"),
        ("SlurmctldHost=a\nNodeName=n[1-3] NodeAddr=e[1-2]", r"got 2 addresses in 'e\[1-2\]', expected 3"),
        ("SlurmctldHost={{ host }}", "expected names of hosts"),
        ("SlurmctldHost=a\nAccountingStorageHost=$db", "expected names of hosts"),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        assert conf(tmp_path, text).databases


KEYS = ["SlurmctldHost", "NodeName", "NodeAddr", "ClusterName", "AccountingStorageHost", "Include", "State", "DEFAULT"]
WORDS = st.sampled_from(
    [*KEYS, "=", "a", "n[1-3]", "(10.0.0.1)", "10.0.0.[1-3]", "CLOUD", " ", "\n", "\\\n", "#", '"', "["]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(WORDS, max_size=30).map("".join))
def test_any_text_is_read_or_refused(tmp_path: Path, text: str) -> None:
    with suppress(ValueError):
        assert conf(tmp_path, text).controllers
