# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The variables of the playbooks are those that the playbooks use, and messages name them instead of the options."""

from __future__ import annotations

import re
from importlib import import_module

import pytest
import yaml
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.play_variables import (
    PLAYBOOKS,
    check_extra_variables,
    play_variables,
)
from ansible_collections.hpc.ports.tests.support.plays import ROOT

FOLDER = ROOT / "playbooks"


def used_by(playbook: str) -> set[str]:
    """Return the variables that begin with the name of a playbook, and for which it has a default."""
    text = (FOLDER / f"{playbook}.yml").read_text(encoding="utf-8")
    return set(re.findall(rf"\b({playbook}_\w+) \| default\(", text))


def test_each_playbook_uses_the_variables_that_are_known() -> None:
    used = {path.stem: used_by(path.stem) for path in FOLDER.glob("*.yml") if used_by(path.stem)}
    assert (used.pop("prepare"), used.pop("plan")) == (
        {"prepare_hosts"},
        {"plan_roles", "plan_variables_of"},
    )  # other playbooks set them
    assert used == {name: set(play_variables(name).values()) for name in PLAYBOOKS if name not in ("explain", "verify")}


def test_the_variables_of_verify_are_those_of_the_role() -> None:
    text = (ROOT / "roles/verify/meta/argument_specs.yml").read_text(encoding="utf-8")
    options = yaml.safe_load(text)["argument_specs"]["main"]["options"]
    assert sorted(play_variables("verify").values()) == sorted(options)


def test_the_manual_has_each_variable() -> None:
    pages = ("playbooks/README.md", "docs/cloud.md", "docs/nodes.md", "roles/verify/README.md")
    text = "".join((ROOT / page).read_text(encoding="utf-8") for page in pages)
    names = [variable for playbook in PLAYBOOKS for variable in play_variables(playbook).values()]
    assert [name for name in names if f"`{name}`" not in text] == []


@pytest.mark.parametrize("playbook", sorted({*PLAYBOOKS} - {"init", "verify"}))
def test_each_playbook_has_its_variables_checked_first(playbook: str) -> None:
    (play,) = yaml.safe_load((FOLDER / f"{playbook}.yml").read_text(encoding="utf-8"))
    tasks = [task for task in play["tasks"] if "ansible.builtin.assert" not in task]
    assert tasks[0]["hpc.ports.plan_info"]["variables_of"] == [playbook]


def test_a_module_knows_the_playbooks_whose_variables_it_checks() -> None:
    documentation = (ROOT / "plugins/modules/plan_info.py").read_text(encoding="utf-8")
    assert f"choices: [{', '.join(PLAYBOOKS)}]" in documentation


@pytest.mark.parametrize(
    ("playbook", "name", "meant"),
    [
        ("matrix", "matrix_file", "matrix_files"),
        ("matrix", "matrix_expect", "matrix_expected"),
        ("matrix", "matrix_to_port", "to_port"),
        ("lint", "lint_fail", "lint_fail_on"),
        ("render", "render_firewalld", "render_firewalld_version"),
        ("explain", "explain_from", "from"),
        ("verify", "verify_qery", "verify_query"),
        ("import", "import_interface", "import_interfaces"),
    ],
)
def test_a_misspelt_variable_is_refused(playbook: str, name: str, meant: str) -> None:
    with pytest.raises(PortFileError) as caught:
        check_extra_variables(playbook, ["other", name, *play_variables(playbook).values()])
    assert str(caught.value) == f"Unknown variable {name}: {playbook} has no such variable. Did you mean {meant}?"


@pytest.mark.parametrize("name", ["matrix_room", "matrix_server", "matrix_", "matrix_to_ports_of_a_chat"])
def test_a_variable_that_may_belong_to_another_role_is_a_warning(name: str) -> None:
    assert check_extra_variables("matrix", [name, "matrix_by", "difference_file", "matrixfiles"]) == [
        f"The variable {name} is set, but matrix has no such variable, so it has no effect. It has matrix_by, "
        "matrix_expected, matrix_files. If it belongs to another role, ignore this warning."
    ]
    (warning,) = check_extra_variables("explain", ["explain_x"])
    assert "It has none of this kind." in warning


@pytest.mark.parametrize(
    "playbook,module",
    [
        ("audit", "audit_report"),
        ("cloud", "cloud_info"),
        ("difference", "difference_info"),
        ("import", "import_info"),
        ("init", "init_site"),
        ("matrix", "matrix_info"),
        ("observed", "observed_report"),
        ("render", "render"),
    ],
)
def test_messages_name_the_variable_that_sets_an_option(playbook: str, module: str) -> None:
    text = (FOLDER / f"{playbook}.yml").read_text(encoding="utf-8")
    pairs = dict(re.findall(r'^ {8}(\w+): "\{\{ (\w+) \| default\(', text, re.MULTILINE))
    action = import_module(f"ansible_collections.hpc.ports.plugins.action.{module}").ActionModule
    kept = {name: name for name in ("from", "to", "to_port") if name in action.ARGUMENTS and playbook != "import"}
    assert {**kept, **action.VARIABLES} == pairs
