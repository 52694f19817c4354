# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every role says the same about its variables in its defaults and in its argument_specs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.variables import (
    HOST_DEFAULTS,
    OTHER_SETTINGS,
    SITE_DEFAULTS,
    unknown_variables,
)

ROLES = Path(__file__).parents[2] / "roles"
NAMES = sorted(path.name for path in ROLES.iterdir() if path.is_dir())


def loaded(role: str, path: str) -> Any:
    return yaml.safe_load((ROLES / role / path).read_text(encoding="utf-8"))


def options(role: str) -> dict[str, Any]:
    return loaded(role, "meta/argument_specs.yml")["argument_specs"]["main"]["options"]


def test_the_roles_are_those_of_the_design() -> None:
    assert {"control_plane", "firewall", "monitoring", "nfs", "pbs", "slurm", "workspace"} <= set(NAMES)


@pytest.mark.parametrize("role", NAMES)
def test_argument_specs_equal_defaults(role: str) -> None:
    defaults = loaded(role, "defaults/main.yml")
    # A template is no boolean: the description says what it depends on.
    computed = {
        name: defaults[name]
        for name, option in options(role).items()
        if option["type"] == "bool" and isinstance(defaults[name], str)
    }
    described = {name: option["default"] for name, option in options(role).items() if name not in computed}
    assert {**described, **computed} == defaults
    assert not any("default" in options(role)[name] for name in computed)


@pytest.mark.parametrize("role", NAMES)
def test_every_option_is_described_and_typed(role: str) -> None:
    assert [name for name, option in options(role).items() if not (option["description"] and option["type"])] == []


@pytest.mark.parametrize("role", NAMES)
def test_variables_begin_with_the_name_of_the_role(role: str) -> None:
    assert [name for name in options(role) if not name.startswith(f"{role}_")] == []


@pytest.mark.parametrize("role", NAMES)
def test_the_readme_names_every_variable(role: str) -> None:
    readme = (ROLES / role / "README.md").read_text(encoding="utf-8")
    assert [name for name in options(role) if f"`{name}`" not in readme] == []


@pytest.mark.parametrize("role", NAMES)
def test_a_role_is_described_for_galaxy(role: str) -> None:
    about = loaded(role, "meta/main.yml")
    assert about["galaxy_info"]["license"] == "GPL-3.0-or-later"
    assert about["galaxy_info"]["min_ansible_version"] == "2.16"
    assert about["dependencies"] == []
    # The systems that docs/README.md claims.
    assert {item["name"]: item["versions"] for item in about["galaxy_info"]["platforms"]} == {
        "Debian": ["bullseye", "bookworm", "trixie"],
        "EL": ["8", "9"],
    }


def test_the_defaults_of_the_role_firewall_are_those_of_the_plan() -> None:
    of_the_role = {
        "firewall_state": "present",
        "firewall_confirm_within": 30,
        "firewall_lockout_guard": True,
        "firewall_cut_established": False,
        "firewall_watch": True,
        "firewall_boot_failure": "open",
        "firewall_without": [],
        "firewall_port_needs": {},
    }
    assert {**SITE_DEFAULTS, **HOST_DEFAULTS, **of_the_role} == loaded("firewall", "defaults/main.yml")
    assert of_the_role.keys() <= set(OTHER_SETTINGS)


def test_lint_knows_every_variable_of_roles_and_playbooks() -> None:
    """Lint reports variables that begin with `firewall_` and are not ours, so its list has to be complete."""
    files = [path for folder in (ROLES, ROLES.parent / "playbooks") for path in folder.rglob("*.yml")]
    used = {name for path in files for name in re.findall(r"(?<![\w.])firewall_\w+", path.read_text(encoding="utf-8"))}
    assert {"firewall_serial", "firewall_remove_hosts", "firewall_result"} <= used
    assert set(unknown_variables(used)) <= {"firewall_confirm"}  # a module
