# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What init writes is a site of which lint finds nothing, for each way of naming the hosts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from ansible_collections.hpc.ports.tests.support.plays import Ended, played

pytestmark = pytest.mark.slow

SLURM = """ClusterName=Red
SlurmctldHost=head(10.0.0.1)
AccountingStorageType=accounting_storage/slurmdbd
SlurmctldPort=6820-6823
Include nodes.conf
Include missing.conf
"""
NODES = "NodeName=n[01-03] NodeAddr=10.0.1.[1-3]\nNodeName=burst[1-2] State=CLOUD\n"
DB = "SlurmctldHost=a\nAccountingStorageHost=$db"
LOGIN = {"slurm_login": {"login1": "10.0.0.2"}, "nfs_server": {"nfs1": "fd00::3"}}
OTHER_ADDRESS = {"slurm_compute": {"n02": "10.0.9.2"}}
PBS = {"pbs_server": {"p1": "10.0.0.1"}, "pbs_execution": {"n[1-4]": "10.0.1.[1-4]"}, "monitoring": {"m1": "10.0.0.9"}}
OLD = """
control: {hosts: {c1: {ansible_host: 10.0.0.1}}}
login: {hosts: {l1: {ansible_host: 10.0.0.2}}}
nodes: {hosts: {n1: {ansible_host: 10.0.1.1}}, children: {gpu: {hosts: {g1: {ansible_host: 10.0.2.1}}}}}
lab: {hosts: {jhub: {ansible_host: 10.0.3.1}}}
"""


@pytest.fixture(name="folder")
def fixture_folder(tmp_path: Path) -> Path:
    for name, text in {"slurm.conf": SLURM, "nodes.conf": NODES, "old.yml": OLD, "db.conf": DB}.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def init(folder: Path, variables: dict[str, object], *options: str) -> Ended:
    # The machine of the tests may have no route to the hosts.
    known = {"init_folder": str(folder / "my cluster"), "init_controllers": ["192.0.2.1"]}
    return played("playbooks/init.yml", "-e", json.dumps({**known, **variables}), *options)


def linted(folder: Path, *inventories: str) -> tuple[int, bool, str]:
    sources = [word for name in (*inventories, "my cluster") for word in ("-i", str(folder / name))]
    done = played(*sources, "playbooks/lint.yml")
    return done.code, "No problems found." in done.line, done.line


@pytest.mark.parametrize(
    "variables,managed,groups",
    [
        ({"slurm": True}, "All 4 hosts get a firewall.", "slurm_controller slurm_database slurm_compute"),
        (
            {"slurm": True, "init_hosts": LOGIN | OTHER_ADDRESS},
            "All 6 hosts get a firewall.",
            "slurm_controller slurm_database slurm_login slurm_compute nfs_server",
        ),
        ({"init_hosts": PBS}, "All 6 hosts get a firewall.", "pbs_server pbs_execution monitoring"),
    ],
)
def test_lint_finds_nothing(folder: Path, variables: dict[str, object], managed: str, groups: str) -> None:
    slurm = {"init_slurm_conf": str(folder / "slurm.conf")} if variables.pop("slurm", None) else {}
    done = init(folder, {**variables, **slurm})
    assert done.code == 0, done.line
    assert f"Check the files: ansible-playbook -i '{folder}/my cluster' hpc.ports.lint" in done.line
    code, is_clean, line = linted(folder)
    assert (code, is_clean, managed in line) == (0, True, True), line
    inventory = yaml.safe_load((folder / "my cluster/hosts.yml").read_text(encoding="utf-8"))["all"]
    assert list(inventory["children"]) == groups.split()
    nodes = inventory["children"].get("slurm_compute", {"hosts": {}})["hosts"]
    assert (nodes.get("n02") == {"ansible_host": "10.0.9.2"}) == ("slurm_login" in groups)
    assert ("Include missing.conf." in done.line, "burst1, burst2." in done.line) == (bool(slurm), bool(slurm))


@pytest.mark.parametrize(
    "variables,managed,texts",
    [
        (
            {},
            "4 hosts get a firewall, 1 does not: jhub",
            [
                "chosen by their names: slurm_controller is control, slurm_login is login, slurm_compute is nodes.",
                "in no group of hpc.ports and get no firewall: lab.",
            ],
        ),
        (
            {"init_groups": {"slurm_controller": "control", "slurm_login": ["login", "lab"], "slurm_compute": ["gpu"]}},
            "4 hosts get a firewall, 1 does not: n1",
            ["in no group of hpc.ports and get no firewall: nodes."],
        ),
    ],
)
def test_lint_finds_nothing_beside_the_inventory_whose_groups_are_mapped(
    folder: Path, variables: dict[str, object], managed: str, texts: list[str]
) -> None:
    done = init(folder, variables, "-i", str(folder / "old.yml"))
    assert done.code == 0, done.line
    assert f"ansible-playbook -i {folder}/old.yml -i '{folder}/my cluster' hpc.ports.lint" in done.line
    assert [text for text in texts if text not in done.line] == [], done.line
    assert ("chosen by their names" in done.line, "Set ansible_host" in done.line) == (not variables, False)
    code, is_clean, line = linted(folder, "old.yml")
    assert (code, is_clean, managed in line) == (0, True, True), line


@pytest.mark.parametrize("slurm", [False, True])
def test_beside_an_inventory_with_a_port_file_no_second_one_is_written(folder: Path, slurm: bool) -> None:
    (folder / "old.yml").write_text(f"{OLD}all: {{vars: {{firewall_endpoints: {{}}}}}}", encoding="utf-8")
    variables = {"init_groups": {"slurm_login": ["login"]}}
    done = init(
        folder,
        {**variables, **({"init_slurm_conf": str(folder / "slurm.conf")} if slurm else {})},
        *("-i", str(folder / "old.yml")),
    )
    text = "No port file was written, because the inventory has one, which sets firewall_endpoints: of two files"
    assert (done.code, text in done.line, "Check the endpoint" in done.line) == (0, True, False), done.line
    added = 'Add to it what slurm.conf says: firewall_services.slurmctld.ports [\\"6820-6823/tcp\\"].'
    assert (added in done.line) == slurm, done.line
    assert [path.name for path in (folder / "my cluster").iterdir()] == ["hosts.yml"]


def test_files_that_are_there_stay(folder: Path) -> None:
    ports = folder / "my cluster/group_vars/all/ports.yml"
    ports.parent.mkdir(parents=True)
    ports.write_text("firewall_mode: observe", encoding="utf-8")
    for options in ((), ("--check",)):
        done = init(folder, {"init_hosts": PBS}, *options)
        assert (done.code, f"{ports} is there already. Nothing was written." in done.line) == (2, True), done.line
        assert "Errno" not in done.line
    assert ports.read_text(encoding="utf-8") == "firewall_mode: observe"
    assert not (folder / "my cluster/hosts.yml").exists()


def test_check_mode_shows_the_files_and_writes_none(folder: Path) -> None:
    done = init(folder, {"init_hosts": PBS}, "--check", "--diff")
    assert (done.code, "Would write: " in done.line, "+ n4: {ansible_host: 10.0.1.4}" in done.line) == (0, True, True)
    assert not (folder / "my cluster").exists()


def test_hosts_without_an_address_are_named(folder: Path) -> None:
    hosts = {"slurm_compute": ["n1.invalid", "n2.invalid"]}
    done = init(folder, {"init_hosts": hosts, "init_controllers": []})
    assert done.code == 0, done.line
    assert "Set ansible_host of these hosts: n1.invalid, n2.invalid. Here their names lead to no address" in done.line
    assert "Fill in the endpoint controllers" in done.line
    code, _output, line = linted(folder)
    assert (code, "Invalid firewall_endpoints.controllers" in line) == (2, True), line


EXAMPLES = ("-e init_slurm_conf=slurm.conf", """-e '{"init_hosts": {""", """-e '{"init_groups": {""")


@pytest.mark.parametrize("inventory", ["", "all: {hosts: {a: }}", "racks: {hosts: {a: }}"])
def test_without_hosts_the_error_shows_all_ways(folder: Path, inventory: str) -> None:
    (folder / "old.yml").write_text(inventory, encoding="utf-8")
    done = init(folder, {}, "-i", str(folder / "old.yml"))
    assert (done.code, [text in done.line for text in EXAMPLES]) == (2, [True] * 3), done.line
    text = "No group of the inventory has the name of a service: "
    assert (text in done.line, f"{text}racks." in done.line) == (("racks" in inventory),) * 2


@pytest.mark.parametrize(
    "variables,message",
    [
        ({"init_slurm_conf": "/nowhere/slurm.conf"}, "Cannot read /nowhere/slurm.conf: No such file or directory."),
        (
            {"init_slurm_conf": "{folder}/db.conf"},
            "/db.conf: got '$db', expected names of hosts such as n[01-16],login1.",
        ),
        ({"init_slurm_conf": "galaxy.yml"}, "Invalid galaxy.yml: got no SlurmctldHost, expected a slurm.conf."),
        ({"init_hosts": {"logins": ["l1"]}}, "Invalid init_hosts: got 'logins', expected a group of hpc.ports."),
        ({"init_hosts": {"slurm_login": ["l[3-1]"]}}, "Invalid init_hosts.slurm_login: got 'l[3-1]', expected ranges"),
        ({"init_hosts": {"slurm_login": {"l[1-2]": "10.0.0.1"}}}, "got '10.0.0.1', expected 2 addresses."),
        (
            {"init_hosts": {"slurm_login": {"l1": "10.0.0.300"}}},
            "Invalid init_hosts.slurm_login.l1: got '10.0.0.300', expected an address, or a name that resolves.",
        ),
        ({"init_hosts": {"slurm_login": "l1"}}, "got 'l1', expected a list of hosts, or a dictionary of hosts"),
        (
            {"init_hosts": PBS, "init_controllers": ["10.0.0.5/24"]},
            "Invalid init_controllers: got '10.0.0.5/24', expected",
        ),
        ({"init_hosts": "l1"}, "Invalid init_hosts: got 'l1', expected a dictionary."),
        ({"init_groups": {"slurm_login": ["x"]}}, "got 'x', expected a group of the inventory."),
        (
            {"init_hosts": PBS, "init_folder": "/proc/x"},
            "Cannot write /proc/x: No such file or directory. Set init_folder.",
        ),
    ],
)
def test_bad_input(folder: Path, variables: dict[str, object], message: str) -> None:
    done = init(folder, json.loads(json.dumps(variables).replace("{folder}", str(folder))))
    assert (done.code, message in done.line) == (2, True), done.line
