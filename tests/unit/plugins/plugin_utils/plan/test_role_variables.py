# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan refuses a bad value of each variable of each role: the playbooks run roles without Ansible's check."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleError
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.role_variables import ROLES, check_role_variables
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.site_plan import site_plan
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError
from ansible_collections.hpc.ports.tests.support.plays import ROOT

# By type. Ansible takes anything as a value of the type raw.
BAD = {"bool": "maybe", "dict": "a text", "int": "many", "list": {"a": 1}, "path": ["a"], "raw": 5, "str": ["a"]}
GROUPS = {"control_plane": "ctl", "slurm_compute": "n1", "pbs_server": "pbs", "nfs_server": "nfs1"}
GROUPS |= {"workspace": "ws", "monitoring": "mon"}


class HostVars(dict[str, Any]):
    """Variables by host, as Ansible has them: `raw_get` does not template."""

    def raw_get(self, host: str) -> Mapping[str, Any]:
        return self[host]


def variables(host: str = "", play: Mapping[str, Any] | None = None, **own: Any) -> dict[str, Any]:
    """Return variables of a task on the host ctl, of one host, or of all."""
    hosts = list(GROUPS.values())
    site = {"firewall_endpoints": {"controllers": {"cidrs": ["192.0.2.1/32"]}}}
    hostvars = HostVars(
        {
            name: {**site, "ansible_host": f"192.0.2.{number}", **(own if host in ("", name) else {})}
            for number, name in enumerate(hosts, 10)
        }
    )
    groups = {"all": hosts, "other": hosts, **{group: [name] for group, name in GROUPS.items()}}
    return {**hostvars["ctl"], "inventory_hostname": "ctl", "hostvars": hostvars, "groups": groups, **(play or {})}


def check(task_vars: Mapping[str, Any], *roles: str) -> None:
    site_plan(task_vars)
    check_role_variables(roles or ROLES, task_vars, lambda value: value)


def options() -> Iterator[tuple[str, str, Any]]:
    for role in ROLES:
        text = (ROOT / "roles" / role / "meta/argument_specs.yml").read_text(encoding="utf-8")
        for name, option in yaml.safe_load(text)["argument_specs"]["main"]["options"].items():
            yield role, name, "neither" if "choices" in option else BAD[option["type"]]


@pytest.mark.parametrize(("role", "name", "bad"), list(options()))
def test_a_bad_value_of_each_variable_is_refused_by_its_name(role: str, name: str, bad: Any) -> None:
    with pytest.raises(PortFileError) as caught:
        check(variables(**{name: bad}), role)
    assert re.match(rf"Invalid {name}( of host \w+)?: got {re.escape(repr(bad))}, expected .", str(caught.value))


def test_the_host_is_named_and_a_similar_value() -> None:
    with pytest.raises(PortFileError) as caught:
        check(variables("n1", firewall_state="preset"))
    assert str(caught.value) == (
        "Invalid firewall_state of host n1: got 'preset', expected present or absent. Did you mean 'present'?"
    )


def test_a_role_is_checked_only_on_its_hosts() -> None:
    """Another role may have a variable of this name on other hosts."""
    check(variables("ctl", nfs_port="https"))
    check(variables("nfs1", nfs_port="https"), "firewall", "slurm")
    with pytest.raises(PortFileError, match="Invalid nfs_port of host nfs1: got 'https', expected an integer"):
        check(variables("nfs1", nfs_port="https"))


def test_a_value_of_the_play_counts_instead_of_those_of_hosts() -> None:
    task_vars = variables(play={"slurm_pin_daemon_ports": "maybe"}, slurm_pin_daemon_ports=True)
    with pytest.raises(PortFileError, match="Invalid slurm_pin_daemon_ports: got 'maybe', expected true or false"):
        check(task_vars)
    check(variables(play={"slurm_pin_daemon_ports": "yes"}, slurm_pin_daemon_ports="maybe"))
    check(variables(play={"slurm_nodes": "of another role"}))


def test_a_template_of_what_exists_only_later_is_no_error() -> None:
    def fails(_value: Any) -> Any:
        raise AnsibleError("undefined")

    task_vars = variables(play={"slurm_pin_daemon_ports": "{{ later }}"})
    check_role_variables(ROLES, task_vars, fails)


def patterns(path: str) -> dict[str, tuple[str, ...]]:
    """Return the roles that a playbook runs without Ansible's check, with the arguments of host_pattern in `hosts`."""
    found = {}
    for play in yaml.safe_load((ROOT / "playbooks" / path).read_text(encoding="utf-8")):
        for task in play.get("tasks", ()):
            imported = task.get("ansible.builtin.import_role", {})
            if imported.get("rolespec_validate") is False:
                found[imported["name"].removeprefix("hpc.ports.")] = tuple(re.findall(r"'([a-z_*]+)'", play["hosts"]))
    return found


def test_the_hosts_of_a_role_are_those_of_its_play() -> None:
    found = {**patterns("prepare.yml"), **patterns("site.yml")}
    assert {role: hosts or ("*",) for role, hosts in found.items()} == ROLES


def checked_roles(path: str) -> set[str]:
    text = (ROOT / "playbooks" / path).read_text(encoding="utf-8")
    return set(re.findall(r"\w+", (re.search(r"(?:plan_roles|  roles): \[(.*)\]", text) or ["", "firewall"])[1]))


@pytest.mark.parametrize("path", sorted(path.name for path in (ROOT / "playbooks").glob("*.yml")))
def test_each_playbook_has_the_variables_of_its_roles_checked(path: str) -> None:
    text = (ROOT / "playbooks" / path).read_text(encoding="utf-8")
    prepared = patterns("prepare.yml") if "import_playbook: prepare.yml" in text else {}
    if path != "prepare.yml":
        assert {*patterns(path), *prepared} - {"firewall"} == checked_roles(path) - {"firewall"}
