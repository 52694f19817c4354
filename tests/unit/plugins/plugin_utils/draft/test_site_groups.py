# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The groups of other inventories."""

from __future__ import annotations

import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils._draft.site_groups import checked, proposed, unmapped
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError


@pytest.mark.parametrize(
    "names,expected",
    [
        # As tools and sites call them.
        ("control login compute", "slurm_controller=control slurm_login=login slurm_compute=compute"),
        ("slurm_control slurm_login", "slurm_controller=slurm_control slurm_login=slurm_login"),
        (
            "slurm-master slurm-node nfs-server",
            "slurm_controller=slurm-master slurm_compute=slurm-node nfs_server=nfs-server",
        ),
        ("slurmservers slurmdbdservers", "slurm_controller=slurmservers slurm_database=slurmdbdservers"),
        ("slurmexechosts", "slurm_compute=slurmexechosts"),
        ("slurmctld slurmdbd slurmd", "slurm_controller=slurmctld slurm_database=slurmdbd slurm_compute=slurmd"),
        ("slurm_controllers slurm_workers", "slurm_controller=slurm_controllers slurm_compute=slurm_workers"),
        ("hpc_controllers hpc_compute_nodes", "slurm_controller=hpc_controllers slurm_compute=hpc_compute_nodes"),
        ("head_node Compute-Nodes", "slurm_controller=head_node slurm_compute=Compute-Nodes"),
        ("slurm_login_group", "slurm_login=slurm_login_group"),
        (
            "nfsservers pbs-servers controlplane",
            "control_plane=controlplane pbs_server=pbs-servers nfs_server=nfsservers",
        ),
        ("nodes compute", "slurm_compute=nodes,compute"),
        # A group of ours needs no other.
        ("slurm_compute nodes", "slurm_compute=slurm_compute"),
        ("master worker kube_node rack1 bastion db server", ""),
        ("all ungrouped", ""),
    ],
)
def test_a_map_by_names(names: str, expected: str) -> None:
    found = proposed({name: ["h"] for name in names.split()})
    wanted = dict(pair.split("=") for pair in expected.split())
    assert found == {group: words.split(",") for group, words in wanted.items()}


def test_groups_without_hosts_are_not_mapped() -> None:
    assert proposed({"login": [], "nodes": ["n1"]}) == {"slurm_compute": ["nodes"]}


GROUPS = {"all": ["a", "b", "c"], "ungrouped": [], "nodes": ["a"], "rack": ["a", "b"], "empty": [], "monitoring": ["c"]}


def test_groups_with_other_hosts_are_left() -> None:
    assert unmapped({"slurm_compute": ["nodes"]}, GROUPS) == ["rack"]
    assert unmapped({"slurm_compute": ["nodes"], "managed": ["rack"]}, GROUPS) == []


def test_a_map_of_a_user() -> None:
    assert checked({"slurm_compute": ["nodes", "rack"], "slurm_login": "rack"}, GROUPS) == {
        "slurm_compute": ["nodes", "rack"],
        "slurm_login": ["rack"],
    }


@pytest.mark.parametrize(
    "children,message",
    [
        (
            {"login": ["nodes"]},
            "Invalid init_groups: got 'login', expected a group of hpc.ports. Did you mean 'slurm_login'?",
        ),
        ({"x": ["nodes"]}, "Invalid init_groups: got 'x', expected a group of hpc.ports. They are control_plane, "),
        ({"slurm_compute": ["node"]}, "init_groups.slurm_compute: got 'node', .* inventory. Did you mean 'nodes'?"),
        ({"slurm_compute": ["xyz"]}, "got 'xyz', expected a group of the inventory. Name the inventory with -i."),
        ({"slurm_compute": [["nodes"]]}, "Invalid init_groups.slurm_compute: got "),
        ({"managed": ["all"]}, "got 'all', expected a group that can be part of another one. Name its groups: nodes, "),
        ({"slurm_compute": 1}, "Invalid init_groups.slurm_compute: got 1, expected a list of groups of the inventory"),
    ],
)
def test_a_wrong_map(children: dict[str, object], message: str) -> None:
    with pytest.raises(PortFileError, match=message.replace("?", r"\?")):
        checked(children, GROUPS)
