# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The variables of the playbooks are those that the playbooks use, and messages name them instead of the options."""

from __future__ import annotations

import re
from importlib import import_module

import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.play_variables import PLAYBOOKS, play_variables
from ansible_collections.hpc.ports.tests.support.plays import ROOT

FOLDER = ROOT / "playbooks"


def used_by(playbook: str) -> set[str]:
    """Return the variables that begin with the name of a playbook, and for which it has a default."""
    text = (FOLDER / f"{playbook}.yml").read_text(encoding="utf-8")
    return set(re.findall(rf"\b({playbook}_\w+) \| default\(", text))


def test_each_playbook_uses_the_variables_that_are_known() -> None:
    used = {path.stem: used_by(path.stem) for path in FOLDER.glob("*.yml") if used_by(path.stem)}
    assert used.pop("prepare") == {"prepare_hosts"}  # add_node sets it
    assert used == {name: set(play_variables(name).values()) for name in PLAYBOOKS}


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
