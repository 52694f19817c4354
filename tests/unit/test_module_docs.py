# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation of modules, filters and the callback: docs/modules.md, the action group, and what they declare."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
INTERNAL = "Internal: "


def documentation(kind: str) -> dict[str, dict[str, Any]]:
    """Return the documentation of each plugin in the folder `kind`, by name, without its fragments."""
    package = "ansible_collections.hpc.ports.plugins"
    names = sorted(path.stem for path in (ROOT / "plugins" / kind).glob("*.py"))
    return {name: yaml.safe_load(import_module(f"{package}.{kind}.{name}").DOCUMENTATION) for name in names}


MODULES = documentation("modules")
PLUGINS = {"modules": MODULES, "filter": documentation("filter"), "callback": documentation("callback")}


def listed(text: str) -> list[tuple[str, str, str]]:
    """Return the rows of the tables in docs/modules.md: folder, name and sentence."""
    return re.findall(r"^\| \[(?:\w+)\]\(\.\./plugins/(\w+)/(\w+)\.py\) \| (.+) \|$", text, re.MULTILINE)


def expected(is_internal: bool) -> list[tuple[str, str, str]]:
    """Return the rows that the tables of one section should have, in their order."""
    rows = []
    for kind, plugins in PLUGINS.items():
        for name, documented in plugins.items():
            text = documented["short_description"]
            if text.startswith(INTERNAL) is is_internal:
                text = text.removeprefix(INTERNAL)
                rows.append((kind, name, f"{text[0].upper()}{text[1:]}."))
    return rows


def test_each_plugin_is_listed_with_its_short_description() -> None:
    users, internal = (ROOT / "docs" / "modules.md").read_text(encoding="utf-8").split("\n## Internal\n")
    assert listed(users) == expected(is_internal=False)
    assert listed(internal) == expected(is_internal=True)


@pytest.mark.parametrize(
    "name,documented",
    [
        (name, documented)
        for plugins in PLUGINS.values()
        for name, documented in plugins.items()
        if documented["short_description"].startswith(INTERNAL)
    ],
)
def test_an_internal_plugin_says_first_who_uses_it(name: str, documented: dict[str, Any]) -> None:
    first = documented["description"][0]
    assert re.match(r"Internal\. The (action plugin|roles?|playbooks?) ", first), name


def test_the_documentation_links_to_modules_that_its_site_has() -> None:
    """The site is built without a network, so the modules of other collections have no page there."""
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "plugins").glob("*/*.py")]
    linked = {name for text in texts for name in re.findall(r"\bM\(([\w.]+)\)", text)}
    assert linked and linked <= {f"hpc.ports.{name}" for name in MODULES}


def released(release: dict[str, Any]) -> set[str]:
    """Return what a release in the changelog has as new."""
    plugins = [plugin for plugins in release.get("plugins", {}).values() for plugin in plugins]
    return {plugin["name"] for plugin in [*release.get("modules", []), *plugins]}


def test_what_no_release_has_yet_is_new_in_the_next() -> None:
    coming = yaml.safe_load((ROOT / "galaxy.yml").read_text(encoding="utf-8"))["version"]
    changelog = yaml.safe_load((ROOT / "changelogs" / "changelog.yaml").read_text(encoding="utf-8"))
    since = {name: version for version, release in changelog["releases"].items() for name in released(release)}
    added = {name: documented["version_added"] for plugins in PLUGINS.values() for name, documented in plugins.items()}
    assert added == {name: since.get(name, coming) for name in added}


def test_the_action_group_has_the_modules_with_the_option_plan() -> None:
    runtime = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text(encoding="utf-8"))
    fragments = {name: set(documented["extends_documentation_fragment"]) for name, documented in MODULES.items()}
    with_plan = [
        name
        for name, documented in MODULES.items()
        if "plan" in documented.get("options", {}) or "hpc.ports.plan" in fragments[name]
    ]
    assert runtime["action_groups"] == {"plan": with_plan}
    assert [name for name in MODULES if "hpc.ports.attributes.actiongroup_plan" in fragments[name]] == with_plan


@pytest.mark.parametrize("name", MODULES)
def test_each_module_has_the_requirements_of_where_it_runs(name: str) -> None:
    on_controller = "controller_action" in _action_plugin(name)
    place = "controller" if on_controller else "host"
    fragments = MODULES[name]["extends_documentation_fragment"]
    assert "hpc.ports.attributes" in fragments
    assert [text for text in fragments if text.endswith((".controller", ".host"))] == [f"hpc.ports.attributes.{place}"]


def _action_plugin(name: str) -> str:
    path = ROOT / "plugins" / "action" / f"{name}.py"
    return path.read_text(encoding="utf-8") if path.exists() else ""
