# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of firewalld while nobody has confirmed them, in a folder that stands for the host's."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ansible_collections.hpc.ports.plugins.module_utils import firewalld_files
from ansible_collections.hpc.ports.plugins.module_utils.files import Item, Items
from ansible_collections.hpc.ports.plugins.module_utils.firewalld import Abilities, config_of
from ansible_collections.hpc.ports.plugins.module_utils.firewalld_state import flow_names
from ansible_collections.hpc.ports.plugins.module_utils.policy import parse_policy
from ansible_collections.hpc.ports.tests.support.samples import SAMPLE

PLACES = {"POLICIES": "firewalld/policies", "IPSETS": "firewalld/ipsets", "_HOME": "hpc-ports", "_KEPT": "hpc-ports/undo",
          "UNDO": "hpc-ports/undo/run", "_UNIT": "systemd/undo.service", "_LINK": "systemd/wants/undo.service"}
OLD = {"firewalld/policies/hpc_ports_in.xml": "old policy\n", "firewalld/ipsets/hpc_ports_a.xml": "old ipset\n",
       "firewalld/zones/public.xml": "not ours\n"}
NEW = {"firewalld/policies/hpc_ports_in.xml": "new policy\n", "firewalld/ipsets/hpc_ports_b.xml": "new ipset\n"}


@pytest.fixture(name="folder")
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, path in PLACES.items():
        monkeypatch.setattr(firewalld_files, name, str(tmp_path / path))
    for path, text in OLD.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    return tmp_path


def found(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text(encoding="utf-8")
            for path in folder.rglob("*") if path.is_file()}


def items(folder: Path) -> Items:
    return {str(folder / path): Item(text) for path, text in NEW.items()}


def test_new_files_are_there_only_while_the_block_runs(folder: Path) -> None:
    with firewalld_files.in_place(items(folder)):
        now = found(folder)
        assert {path: text for path, text in now.items() if path.startswith("firewalld/")} == {
            **NEW, "firewalld/zones/public.xml": "not ours\n"}
    assert found(folder) == OLD
    assert not (folder / "hpc-ports").exists()


@pytest.mark.parametrize("done", ["nothing", "one file", "all"])
def test_the_script_puts_back_what_was_there_and_can_run_twice(folder: Path, done: str) -> None:
    new = items(folder)
    firewalld_files._keep(new)
    script = (folder / PLACES["UNDO"]).read_text(encoding="utf-8")
    for path, item in list(new.items())[:{"nothing": 0, "one file": 1, "all": 2}[done]]:
        Path(path).write_text(item.text, encoding="utf-8")
    # Killed before its last line, and run again.
    half = "".join(line for line in script.splitlines(keepends=True) if "rm -rf" not in line and "rmdir" not in line)
    for text in (half, script):
        subprocess.run(["sh", "-c", text], check=True)
    assert found(folder) == OLD


def test_what_a_crash_left_is_put_back_before_anything_is_kept(folder: Path) -> None:
    firewalld_files._keep(items(folder))
    for path, item in items(folder).items():
        Path(path).write_text(item.text, encoding="utf-8")
    with firewalld_files.in_place({}):
        pass
    assert found(folder) == OLD


def test_a_failure_in_the_block_puts_the_old_files_back(folder: Path) -> None:
    with pytest.raises(RuntimeError, match="reload"), firewalld_files.in_place(items(folder)):
        raise RuntimeError("reload")
    assert found(folder) == OLD


def test_the_files_name_the_flows(folder: Path) -> None:
    config = config_of(parse_policy(SAMPLE), Abilities(False, False, False))
    with firewalld_files.in_place(firewalld_files.items_of(config)):
        names = firewalld_files.flow_names(firewalld_files.present_state())
    assert {key: flow for key, flow in flow_names(config).items() if flow and "@" not in key} == names


def test_ipsets_come_before_the_policies_that_name_them(folder: Path) -> None:
    order = [path.split("/")[-2] for path in firewalld_files.items_of(config_of(parse_policy(SAMPLE), Abilities(
        True, True, True)))]
    assert order == sorted(order)
