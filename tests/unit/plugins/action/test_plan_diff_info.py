# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans without a host, their differences, and the playbooks for nodes, run by Ansible without hosts."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from ansible_collections.hpc.ports.tests.support.plays import ROOT, played

pytestmark = pytest.mark.slow

PLAYBOOKS = ROOT / "playbooks"
# Nothing listens on this port, so that Ansible fails to connect at once.
HOSTS = """
all: {vars: {ansible_host: 127.0.0.1, ansible_port: 1, ansible_ssh_common_args: -oConnectTimeout=1}}
slurm_controller: {hosts: {head: {firewall_addresses: [192.0.2.21]}}}
slurm_compute: {hosts: {n1: {firewall_addresses: [192.0.2.22]}, n2: {firewall_addresses: [192.0.2.23]}}}
nfs_client: {hosts: {mover: {firewall_addresses: [192.0.2.70]}}}
monitoring: {hosts: {tape: {firewall_addresses: [192.0.2.90]}}}
ungrouped: {hosts: {stranger: {firewall_addresses: [192.0.2.99]}}}
"""
SITE = "firewall_endpoints: {controllers: {cidrs: [192.0.2.1/32]}}"
NETWORK = (
    '{"firewall_clusters": {"default": {"cidrs": ["192.0.2.0/24"]}}, '
    '"firewall_flows": {"monitoring_nodes": {"enabled": false}}}'
)
PLAY = """
- hosts: all
  gather_facts: false
  tasks:
    - hpc.ports.plan_info: {lint: true}
      register: whole
      run_once: true
    - hpc.ports.plan_info: {lint: true, without: "{{ away }}"}
      register: part
      run_once: true
    - hpc.ports.plan_diff_info: {before: "{{ whole.key }}", after: "{{ part.key }}", sample: true}
      register: compared
      run_once: true
    - ansible.builtin.debug: {msg: "FOUND={{ compared | to_json }}"}
      run_once: true
"""


def run(folder: Path, *options: str, play: str | Path = PLAY, hosts: str = HOSTS) -> tuple[int, str]:
    """Return how the play ended and what it printed, on one line."""
    (folder / "group_vars").mkdir(exist_ok=True)
    (folder / "group_vars" / "all.yml").write_text(SITE, encoding="utf-8")
    (folder / "hosts.yml").write_text(hosts, encoding="utf-8")
    if isinstance(play, str):
        (folder / "play.yml").write_text(play, encoding="utf-8")
        play = folder / "play.yml"
    done = played("-i", str(folder / "hosts.yml"), str(play), *options)
    return done.code, done.line


def tried(output: str) -> set[str]:
    """Return the hosts that Ansible tried to reach; all are unreachable."""
    return set(re.findall(r"(\w+) : ok=\d+ changed=\d+ unreachable=1", output))


# ---- plans without a host


def test_a_plan_without_a_host_equals_the_plan_of_an_inventory_without_it(tmp_path: Path) -> None:
    code, output = run(tmp_path, "-e", '{"away": ["n2"]}')
    assert code == 0, output
    match = re.search(r'"FOUND=(\{.*?\})" \}', output)
    assert match
    found = json.loads(match[1].replace('\\"', '"'))
    assert (found["hosts_removed"], found["hosts_added"]) == (["n2"], [])
    assert found["hosts_changed"] == ["head", "n1"]
    assert found["sample"] == ["head", "mover", "n1", "stranger", "tape"]
    assert found["changes"]["n1"]["addresses_changed"]["in_slurm_launch"] == {"added": [], "removed": ["192.0.2.23"]}
    assert (
        "n1: 192.0.2.23 is removed from in_cluster_node_ssh, in_cluster_user_traffic, in_slurm_launch, in_slurm_srun."
        in found["reasons"]
    )


@pytest.mark.parametrize(
    "away,message",
    [
        ('["n7"]', "Invalid without: got 'n7', "),
        (
            '["head", "n1", "n2", "mover", "tape", "stranger"]',
            "Invalid without: got ['head', 'n1', 'n2', 'mover', 'tape', 'stranger'], ",
        ),
    ],
)
def test_unknown_hosts_to_leave_out_are_refused(tmp_path: Path, away: str, message: str) -> None:
    code, output = run(tmp_path, "-e", f'{{"away": {away}}}')
    assert code != 0
    assert message in output


def test_an_error_names_the_hosts_that_the_plan_leaves_out(tmp_path: Path) -> None:
    needed = {"away": ["tape"], "firewall_flows": {"monitoring_nodes": {"need": "required"}}}
    code, output = run(tmp_path, "-e", json.dumps(needed))
    assert code != 0
    assert (
        "Without tape: Invalid firewall_endpoints.monitoring: got no address, expected at least one, because it is a "
        "source of the required flow monitoring_nodes."
    ) in output


# ---- add_node and remove_node


def test_add_node_reaches_the_node_and_exactly_the_hosts_that_change(tmp_path: Path) -> None:
    code, output = run(tmp_path, "-enew=n2", "--skip-tags=verify", play=PLAYBOOKS / "add_node.yml")
    assert code != 0
    assert "These hosts change as well: head, n1" in output
    # The node cannot be prepared, so no other host opens a port for it.
    assert tried(output) == {"n2"}
    pushed = '{"firewall_flows": {"monitoring_push": {"enabled": true}}}'
    code, output = run(tmp_path, "-enew=mover", "-e", pushed, "--skip-tags=verify", play=PLAYBOOKS / "add_node.yml")
    assert code != 0
    assert "These hosts change as well: tape" in output
    # No role prepares a client of NFS.
    assert tried(output) == {"mover", "tape"}


def test_remove_node_reaches_exactly_the_hosts_that_change(tmp_path: Path) -> None:
    code, output = run(tmp_path, "-eold=n2", play=PLAYBOOKS / "remove_node.yml")
    assert code != 0
    assert "These hosts change: head, n1" in output
    assert tried(output) == {"head", "n1"}


def test_a_node_in_the_network_of_its_cluster_changes_no_other_host(tmp_path: Path) -> None:
    code, output = run(tmp_path, "-enew=n2", "-e", NETWORK, "--skip-tags=verify", play=PLAYBOOKS / "add_node.yml")
    assert code != 0
    assert ("No other host changes." in output, tried(output)) == (True, {"n2"}), output
    code, output = run(tmp_path, "-eold=n2", "-e", NETWORK, play=PLAYBOOKS / "remove_node.yml")
    assert (code, "No other host changes." in output, tried(output)) == (0, True, set()), output
    assert "Remove n2 from the inventory now: if they are still there, the next run of site.yml opens " in output


def test_a_host_in_no_canonical_group_gets_no_firewall(tmp_path: Path) -> None:
    code, output = run(tmp_path, "-enew=stranger", "--skip-tags=verify", play=PLAYBOOKS / "add_node.yml")
    assert code == 0, output
    assert "No other host changes." in output
    assert "stranger is in none of the groups of hpc.ports, so it gets no firewall." in output


def test_hosts_that_a_limit_leaves_out_are_named(tmp_path: Path) -> None:
    code, output = run(tmp_path, "-eold=n2", "--limit=n2,head", play=PLAYBOOKS / "remove_node.yml")
    assert code != 0
    assert (
        "--limit leaves out hosts whose policy changes. Run site.yml for them once the old hosts have left the "
        "inventory: n1"
    ) in output
    assert tried(output) == {"head"}


@pytest.mark.parametrize("name,variable", [("add_node", "new"), ("remove_node", "old")])
def test_a_missing_or_unknown_node_is_refused(tmp_path: Path, name: str, variable: str) -> None:
    code, output = run(tmp_path, play=PLAYBOOKS / f"{name}.yml")
    assert (code, tried(output)) == (2, set())
    assert f"Missing variable {variable}: give " in output
    code, output = run(tmp_path, f"-e{variable}=n1,n9", play=PLAYBOOKS / f"{name}.yml")
    assert code != 0 and "PLAY [" not in output
    assert f"Invalid {variable}: got 'n9', " in output


def test_slurm_with_a_limit_reaches_only_the_new_node(tmp_path: Path) -> None:
    code, output = run(tmp_path, "--limit=n2", play=PLAYBOOKS / "slurm.yml")
    assert (code, tried(output)) == (4, {"n2"}), output


# ---- render


def test_rulesets_are_written_and_no_host_is_reached(tmp_path: Path) -> None:
    folder = tmp_path / "rulesets"
    options = ("-e", f"render_folder={folder}", "--diff")
    code, checked = run(tmp_path, *options, "--check", play=PLAYBOOKS / "render.yml")
    assert (code, tried(checked), folder.exists()) == (0, set(), False), checked
    code, output = run(tmp_path, *options, play=PLAYBOOKS / "render.yml")
    assert (code, tried(output)) == (0, set()), output
    assert "head : ok=3 changed=1" in checked and checked == output
    assert f"{folder}/slurm_compute: n1, n2" in output
    assert sorted(path.name for path in folder.iterdir()) == [
        "classes.json",
        "monitoring",
        "nfs_client",
        "slurm_compute",
        "slurm_controller",
    ]
    code, output = run(tmp_path, *options, play=PLAYBOOKS / "render.yml")
    assert (code, "changed=0" in output) == (0, True)


def test_a_placeholder_in_a_second_inventory_gives_its_class_rulesets(tmp_path: Path) -> None:
    """The hosts of the site have the same rules with the placeholder and without it."""
    folder = tmp_path / "rulesets"
    more = tmp_path / "cloud.yml"
    more.write_text(
        "slurm_compute: {hosts: {cloud: {firewall_addresses: [192.0.2.200], firewall_egress: restricted}}}",
        encoding="utf-8",
    )
    options = ("-e", f"render_folder={folder}", "-e", NETWORK)
    classes = []
    for extra in ((), ("-i", str(more))):
        code, output = run(tmp_path, *options, *extra, play=PLAYBOOKS / "render.yml")
        assert code == 0, output
        data = json.loads((folder / "classes.json").read_text(encoding="utf-8"))
        classes.append({name: item["digest"] for name, item in data["classes"].items()})
    assert set(classes[1]) - set(classes[0]) == {"slurm_compute-restricted"}
    assert {**classes[1], **classes[0]} == classes[1]


@pytest.mark.parametrize(
    "variables,message",
    [
        (
            '{"render_backends": ["iptables"]}',
            "Invalid render_backends: got ['iptables'], expected a list of nftables or firewalld.",
        ),
        (
            '{"render_firewalld_version": "x"}',
            "Invalid render_firewalld_version: got 'x', expected a version such as '1.0'.",
        ),
        ('{"render_folder": "/proc/rulesets"}', "Cannot write /proc/rulesets"),
    ],
)
def test_invalid_settings_of_render_are_refused(tmp_path: Path, variables: str, message: str) -> None:
    code, output = run(
        tmp_path, "-e", f"render_folder={tmp_path}/rulesets", "-e", variables, play=PLAYBOOKS / "render.yml"
    )
    assert code != 0
    assert message in output
    assert not (tmp_path / "rulesets").exists()
