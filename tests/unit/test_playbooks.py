# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks as a user calls them, as far as that goes without a host to connect to."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from ansible_collections.hpc.ports.tests.support.plays import ROOT, Ended, played

pytestmark = pytest.mark.slow

PLAYBOOKS = sorted(path.name for path in (ROOT / "playbooks").glob("*.yml"))
ONE_GROUP = "all: {hosts: {outsider: }, children: {pbs_execution: {hosts: {node1: , node2: }}}}"


def play(*arguments: str, inventory: Path | str = "inventories/example", real: bool = False) -> Ended:
    return played("-i", str(inventory), *arguments, real=real)


@pytest.fixture(name="one_group")
def fixture_one_group(tmp_path: Path) -> Path:
    path = tmp_path / "hosts.yml"
    path.write_text(ONE_GROUP, encoding="utf-8")
    return path


def hosts_by_play(output: str) -> dict[str, set[str]]:
    result: dict[str, set[str]] = {}
    for line in output.splitlines():
        if line.startswith("  play #"):
            hosts = result.setdefault(line.partition(": ")[2].partition("\t")[0], set())
        elif line.startswith("      "):
            hosts.add(line.strip())
    return result


def test_groups_that_the_inventory_lacks_disturb_nobody(one_group: Path) -> None:
    done = play("--list-hosts", *(f"playbooks/{name}" for name in PLAYBOOKS), inventory=one_group)
    assert done.code == 0, done.errors
    plays = hosts_by_play(done.printed)
    nodes = {"node1", "node2"}
    assert {name: hosts for name, hosts in plays.items() if hosts} == {
        # No host is named: the first host prints the message.
        "Compare the plans with and without the new hosts": {"outsider"},
        "Compare the plans with and without the old hosts": {"outsider"},
        "What is left to do": {"outsider"},
        "Audit": nodes,
        "Cloud": nodes,
        "Compile the plan": nodes,
        "Difference": nodes,
        "Explain": {"outsider"},
        "Give every managed host its firewall": nodes,
        "Import": nodes,
        "Init": {"localhost"},
        "Lint": nodes,
        "Matrix": nodes,
        "Observed": nodes,
        "PBS clusters": nodes,
        "Prepare PBS clusters": nodes,
        "Remove the firewall": nodes,
        "Render": nodes,
        "Verify": {*nodes, "outsider"},
    }


def test_an_inventory_without_managed_hosts_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "hosts.yml"
    path.write_text("all: {hosts: {outsider: }}", encoding="utf-8")
    done = play("playbooks/site.yml", inventory=path)
    assert done.code != 0
    assert "got an inventory without managed hosts, " in done.errors


def test_lint_finds_nothing_in_the_example() -> None:
    done = play("playbooks/lint.yml", real=True)
    assert (done.code, "No problems found." in done.printed) == (0, True), done.printed + done.errors


def test_lint_fails_where_it_finds_something() -> None:
    flows = {"firewall_flows": {"workbench_docker_plain": {"enabled": True, "from": ["workspace"]}}}
    done = play("playbooks/lint.yml", "-e", json.dumps(flows))
    assert done.code != 0
    assert "warning docker-without-encryption: firewall_flows.workbench_docker_plain." in done.printed
    assert "problems to fix, listed above." in done.errors + done.printed


def test_a_note_of_lint_is_shown_and_fails_nothing() -> None:
    probe = {
        "from": ["admin_networks"],
        "to": ["control_plane"],
        "services": ["ntp"],
        "need": "recommended",
        "title": "T",
    }
    others: dict[str, object] = {name: {"enabled": False} for name in ("workbench_rdp", "workbench_vscode", "nfs_v3")}
    # An endpoint of the inventory that only a flow of the inventory names.
    others["mirror"] = {**probe, "to": ["package_mirror"], "enabled": False}
    done = play("playbooks/lint.yml", "-e", json.dumps({"firewall_flows": {"probe": probe, **others}}))
    assert done.code == 0, done.printed + done.errors
    assert "note udp-by-address: firewall_flows. Flows that accept UDP from whole networks: probe. " in done.printed


# In inventories/small: a warning, and an error.
UNUSED = {"firewall_services": {"spare": {"ports": ["1/tcp"]}}}
OPEN_SSH = {"from": ["anywhere"], "to": ["nfs_server"]}
EXPOSED = {"firewall_flows": {"admin_ssh": OPEN_SSH}}
HARDENED = {"firewall_flows": {"admin_ssh": {**OPEN_SSH, "accept": {"ssh-known-sources": "hardened"}}}}


def lint(variables: dict[str, object], playbook: str = "lint.yml") -> Ended:
    return play(f"playbooks/{playbook}", "-e", json.dumps(variables), inventory="inventories/small")


def test_lint_passes_where_all_findings_are_accepted() -> None:
    done = lint(HARDENED)
    assert done.code == 0, done.line
    assert "accepted ssh-known-sources: firewall_flows.admin_ssh. Opens 22/tcp to 0.0.0.0/0, " in done.line
    assert "Accepted: 'hardened'" in done.line
    assert "No problems found. Findings that do not count: 1 (accepted)." in done.line
    # Other runs do not warn of them.
    assert "Opens 22/tcp" in lint(EXPOSED, "plan.yml").line
    assert "Opens 22/tcp" not in lint(HARDENED, "plan.yml").line


@pytest.mark.parametrize(
    ("least", "variables", "code", "text"),
    [
        ("warning", UNUSED, 2, "Found 1 problem to fix, listed above."),
        ("warning", UNUSED | EXPOSED, 2, "Found 2 problems to fix, listed above."),
        ("error", UNUSED, 0, "No problems found. Findings that do not count: 1 (warning)."),
        ("error", UNUSED | HARDENED, 0, "No problems found. Findings that do not count: 2 (accepted, warning)."),
        ("error", EXPOSED, 2, "Found 1 problem to fix, listed above."),
        ("note", {}, 2, "Invalid lint_fail_on: got 'note', expected error or warning."),
        ("", {}, 2, "Invalid lint_fail_on: got '', expected error or warning."),
        (["error"], {}, 2, "Invalid lint_fail_on: got '['error']', expected error or warning."),
    ],
)
def test_a_site_chooses_what_lint_fails_on(least: object, variables: dict[str, object], code: int, text: str) -> None:
    done = lint({**variables, "lint_fail_on": least})
    assert (done.code, text in done.line) == (code, True), done.line


@pytest.mark.parametrize(
    ("playbook", "options", "code", "text"),
    [
        (
            "matrix.yml",
            ("-e", "matrix_file=x.md"),
            2,
            "Unknown variable matrix_file: matrix has no such variable. Did you",
        ),
        ("matrix.yml", ("-e", '{"matrix_expect": "x.md"}'), 2, "Did you mean matrix_expected?"),
        ("lint.yml", ("-e", "@variables.yml"), 2, "Did you mean lint_fail_on?"),
        ("verify.yml", ("-e", "verify_qery=x"), 2, "Did you mean verify_query?"),
        ("site.yml", ("-e", "verify_qery=x", "--check"), 2, "Did you mean verify_query?"),
        ("init.yml", ("-e", "init_host=x"), 2, "Did you mean init_hosts?"),
        ("lint.yml", ("-e", "matrix_file=x.md"), 0, "No problems found."),
        ("matrix.yml", ("-e", "matrix_room=x"), 0, "The variable matrix_room is set, but matrix has no such variable"),
        ("matrix.yml", (), 0, "Open to networks outside the inventory"),
    ],
)
def test_a_misspelt_variable_ends_the_run_before_it_touches_a_host(
    tmp_path: Path, playbook: str, options: tuple[str, ...], code: int, text: str
) -> None:
    path = tmp_path / "hosts.yml"
    # A variable of the inventory may be anything.
    path.write_text(f"{ONE_SITE}    matrix_file: x\n", encoding="utf-8")
    (tmp_path / "variables.yml").write_text("lint_failon: error", encoding="utf-8")
    given = [option.replace("@", f"@{tmp_path}/") for option in options]
    done = play(f"playbooks/{playbook}", *given, inventory=path)
    assert (done.code, text in done.line, "unreachable=1" in done.line) == (code, True, False), done.line
    assert code == 2 or "Unknown variable" not in done.line


ONE_SITE = """
slurm_compute: {hosts: {n1: {ansible_host: 10.0.0.1}, n2: {ansible_host: 10.0.0.2}}}
all:
  vars:
    firewall_endpoints: {controllers: {cidrs: [10.0.0.9/32]}}
"""
WITH_STRANGERS = """
slurm_compute: {hosts: {n1: {ansible_host: 10.0.0.1}, n2: {ansible_host: 10.0.0.2}}}
lab: {hosts: {jhub: {ansible_host: 10.0.0.3}}}
all: {vars: {firewall_endpoints: {controllers: {cidrs: [10.0.0.9/32]}}}}
"""
# In check mode, verify fails on the controller before it asks a host.
NO_HOST = ("--check", "-e", "verify_query='['")


@pytest.mark.parametrize(
    ("playbook", "options", "times"),
    [
        ("plan.yml", (), 1),
        ("lint.yml", (), 1),
        ("verify.yml", NO_HOST, 1),
        ("verify.yml", (*NO_HOST, "-e", "verify_show_managed=false"), 0),
    ],
)
def test_a_run_shows_once_who_gets_a_firewall(
    tmp_path: Path, playbook: str, options: tuple[str, ...], times: int
) -> None:
    path = tmp_path / "hosts.yml"
    path.write_text(WITH_STRANGERS, encoding="utf-8")
    done = play(f"playbooks/{playbook}", *options, inventory=path)
    assert ("changed=0" in done.line, "unreachable=1" in done.line) == (True, False), done.line
    text = "2 hosts get a firewall, 1 does not: jhub (in no group of hpc.ports)."
    parts = done.printed.split("TASK [")
    shown = [part.count("ok: [") for part in parts if text in part]
    assert shown == [1] * times, done.line  # one task, for all hosts together


def test_site_does_not_show_it_again() -> None:
    plays = yaml.safe_load((ROOT / "playbooks" / "site.yml").read_text(encoding="utf-8"))
    assert [play["import_playbook"] for play in plays if "import_playbook" in play][::2] == ["plan.yml", "verify.yml"]
    assert plays[-1]["vars"] == {"verify_show_managed": False}


BAD_VALUES = {
    "control_plane": "{control_plane_kubelet_units: {kubelet: true}}",
    "firewall": "{firewall_confirm_within: soon}",
    "monitoring": "{monitoring_apart_from: {web_portal: true}}",
    "nfs": "{nfs_port: https}",
    "pbs": "{pbs_pin_ports: maybe}",
    "slurm": "{slurm_pin_daemon_ports: maybe}",
    "workspace": "{workspace_require_platform: maybe}",
}


@pytest.mark.parametrize("role", BAD_VALUES)
def test_a_bad_value_of_a_role_ends_the_run_before_any_host_is_touched(role: str) -> None:
    done = play("--skip-tags=verify", "playbooks/site.yml", "-e", BAD_VALUES[role])
    name = BAD_VALUES[role][1:].partition(":")[0]
    assert re.search(rf"Invalid {name} of host [\w-]+: got ", done.line), done.line
    assert (done.code, tasks(done.printed, "TASK [")) == (2, [PLAN])


KINDS = ("control_plane", "slurm", "pbs", "nfs", "workspace", "monitoring", "web_portal", "workbench")
PLAN = "Compile the plan for the whole inventory"
READ = "slurm : Check the configuration against the port file"
# In place of READ in a run without it.
RECORD = "slurm : Record the ports that must not be ephemeral ports"
GIVE = "firewall : Give the host its firewall"
TRY = "verify : Try the connections from each host"


def tasks(output: str, before: str) -> list[str]:
    """Return the tasks that Ansible prints, without those that check the arguments of a role."""
    found = [line.partition(before)[2] for line in output.splitlines() if line.startswith(before)]
    names = [re.split(r"\t|\] \*", name)[0].removeprefix("hpc.ports.") for name in found]
    return [name for name in names if "Validating arguments" not in name]


def chosen(*options: str, playbooks: tuple[str, ...] = ("site",)) -> list[str]:
    done = play("--list-tasks", *options, *(f"playbooks/{name}.yml" for name in playbooks))
    assert done.code == 0, done.errors
    return tasks(done.printed, "      ")


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ("--tags=all", {PLAN, READ, GIVE, TRY}),
        ("--tags=plan", {PLAN}),
        ("--tags=prepare", {PLAN, READ, RECORD}),
        ("--tags=firewall", {PLAN, RECORD, GIVE}),
        ("--tags=verify", {PLAN, TRY}),
        ("--tags=prepare,firewall", {PLAN, READ, RECORD, GIVE}),
        ("--tags=firewall,verify", {PLAN, RECORD, GIVE, TRY}),
        ("--skip-tags=verify", {PLAN, READ, GIVE}),
        ("--skip-tags=plan", {READ, GIVE, TRY}),
        ("--skip-tags=prepare", {PLAN, GIVE, TRY}),
        ("--skip-tags=firewall", {PLAN, READ, TRY}),
    ],
)
def test_tags_choose_the_parts_of_a_run_and_what_they_need(options: str, parts: set[str]) -> None:
    listed = chosen(options)
    assert PLAN not in listed[1:]
    assert {PLAN, READ, RECORD, GIVE, TRY} & set(listed) == parts


def test_tags_choose_the_same_tasks_of_the_playbooks_for_one_kind_of_host() -> None:
    for tag in ("prepare", "firewall"):
        of_kinds = chosen(f"--tags={tag}", playbooks=KINDS)
        assert {*of_kinds} == {*chosen(f"--tags={tag}")}
        assert of_kinds.count(GIVE) == (len(KINDS) if tag == "firewall" else 0)


def test_tags_leave_out_no_part_that_add_node_needs() -> None:
    first = {"Find the hosts that change", "Record the hosts for the next plays"}
    for tag, parts in (("prepare", {READ, RECORD}), ("firewall", {RECORD, GIVE}), ("verify", {TRY})):
        listed = {*chosen(f"--tags={tag}", playbooks=("add_node",))}
        assert listed & {*first, READ, RECORD, GIVE, TRY} == first | parts


# A host whose Python ends at once, so that no module does anything there.
DEAD = {"ansible_connection": "local", "ansible_become": False, "ansible_python_interpreter": "/bin/false"}


def test_the_tag_firewall_prepares_nothing_and_knows_which_ports_must_not_be_ephemeral() -> None:
    variables = json.dumps({**DEAD, "slurm_pin_srun_ports": False})
    done = play("playbooks/site.yml", "--tags=firewall", "-v", "-e", variables, inventory="inventories/small")
    assert tasks(done.printed, "TASK [") == [
        PLAN,
        "Show which hosts get a firewall",
        RECORD,
        RECORD.replace("slurm", "nfs"),
        f"firewall : {PLAN}",
        GIVE,
    ]
    assert (done.printed.count('"what": "slurmctld"'), done.printed.count("failed=1 ")) == (2, 6), done.line


@pytest.mark.parametrize("what", [("site.yml", "--tags=firewall"), ("remove.yml",)])
def test_the_last_line_of_a_quiet_run_says_which_firewalls_failed(what: tuple[str, ...]) -> None:
    options = ("-i", "inventories/small", "--limit=login,node1", "-e", json.dumps(DEAD))
    done = played(f"playbooks/{what[0]}", *what[1:], *options, ANSIBLE_STDOUT_CALLBACK="hpc.ports.quiet")
    assert done.printed.endswith("\nFirewall: 2 hosts failed (login, node1).\n"), done.line


def test_bad_input_ends_before_any_host_is_touched() -> None:
    done = play("playbooks/site.yml", "-e", json.dumps({"firewall_egress": "closed"}))
    assert done.code != 0
    assert "PLAY [Prepare the control plane]" not in done.printed
    assert "Invalid firewall_egress of host alpha-controller: got 'closed', " in (done.errors + done.printed)
