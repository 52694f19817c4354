# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of firewalld while nobody has confirmed them, in a folder that stands for the host's."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld import kept_files, persistence
from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld.config import Abilities, config_of
from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld.kept_files import FirewalldPaths
from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld.state import flow_names
from ansible_collections.hpc.ports.plugins.module_utils._linux.files import FileContent, FileContents
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import parse_policy
from ansible_collections.hpc.ports.tests.support.samples import SAMPLE

OLD = {
    "firewalld/policies/hpc_ports_in.xml": "old policy\n",
    "firewalld/ipsets/hpc_ports_a.xml": "old ipset\n",
    "firewalld/zones/public.xml": "not ours\n",
}
NEW = {"firewalld/policies/hpc_ports_in.xml": "new policy\n", "firewalld/ipsets/hpc_ports_b.xml": "new ipset\n"}


@pytest.fixture(name="paths")
def _paths(tmp_path: Path) -> FirewalldPaths:
    for path, text in OLD.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    return FirewalldPaths(str(tmp_path))


def found(paths: FirewalldPaths) -> dict[str, str]:
    return {
        str(path.relative_to(paths.etc)): path.read_text(encoding="utf-8")
        for path in Path(paths.etc).rglob("*")
        if path.is_file()
    }


def items(paths: FirewalldPaths) -> FileContents:
    return {f"{paths.etc}/{path}": FileContent(text) for path, text in NEW.items()}


def test_new_files_are_there_only_while_the_block_runs(paths: FirewalldPaths) -> None:
    with persistence.in_place(items(paths), paths):
        now = found(paths)
        assert {path: text for path, text in now.items() if path.startswith("firewalld/")} == {
            **NEW,
            "firewalld/zones/public.xml": "not ours\n",
        }
    assert found(paths) == OLD
    assert not Path(paths.home).exists()


@pytest.mark.parametrize("done", ["nothing", "one file", "all"])
def test_the_script_puts_back_what_was_there_and_can_run_twice(paths: FirewalldPaths, done: str) -> None:
    new = items(paths)
    kept_files.keep(new, paths)
    script = Path(paths.undo).read_text(encoding="utf-8")
    for path, item in list(new.items())[: {"nothing": 0, "one file": 1, "all": 2}[done]]:
        Path(path).write_text(item.text, encoding="utf-8")
    # Killed before its last line, and run again.
    half = "".join(line for line in script.splitlines(keepends=True) if "rm -rf" not in line and "rmdir" not in line)
    for text in (half, script):
        subprocess.run(["sh", "-c", text], check=True)
    assert found(paths) == OLD


def test_what_a_crash_left_is_put_back_before_anything_is_kept(paths: FirewalldPaths) -> None:
    kept_files.keep(items(paths), paths)
    for path, item in items(paths).items():
        Path(path).write_text(item.text, encoding="utf-8")
    with persistence.in_place({}, paths):
        pass
    assert found(paths) == OLD


def test_copies_that_a_crash_left_without_their_script_are_seen_and_go(paths: FirewalldPaths) -> None:
    kept_files.keep(items(paths), paths)
    for path in (paths.undo, paths.link, paths.unit):
        Path(path).unlink(missing_ok=True)
    assert [name for name in persistence.present_state(paths) if paths.kept in name]
    kept_files.put_back(paths)
    assert found(paths) == OLD


def test_a_failure_in_the_block_puts_the_old_files_back(paths: FirewalldPaths) -> None:
    with pytest.raises(RuntimeError, match="reload"), persistence.in_place(items(paths), paths):
        raise RuntimeError("reload")
    assert found(paths) == OLD


def test_the_files_name_the_flows(paths: FirewalldPaths) -> None:
    config = config_of(parse_policy(SAMPLE), Abilities(False, False, False))
    with persistence.in_place(persistence.items_of(config, paths), paths):
        names = persistence.flow_names(persistence.present_state(paths), paths)
    assert {key: flow for key, flow in flow_names(config).items() if flow and "@" not in key} == names


def test_ipsets_come_before_the_policies_that_name_them() -> None:
    order = [
        path.split("/")[-2]
        for path in persistence.items_of(config_of(parse_policy(SAMPLE), Abilities(True, True, True)))
    ]
    assert order == sorted(order)
