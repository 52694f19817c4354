# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of the watch, and whether it runs. What it does is in tests/kernel/test_watch.py."""

from __future__ import annotations

import fcntl
import sys
from pathlib import Path

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._backends import watch as watching
from ansible_collections.hpc.ports.plugins.module_utils._backends import watch_program
from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld.persistence import PATHS
from ansible_collections.hpc.ports.plugins.module_utils._model.names import PREFIX, PUBLISHED_RULESET


def test_the_program_is_the_module_as_it_is_and_needs_nothing_of_ours() -> None:
    items = watching.wanted_items()
    assert items[watching.PROGRAM].text == Path(watch_program.__file__).read_text(encoding="utf-8")
    assert "import" in items[watching.PROGRAM].text and "ansible_collections" not in items[watching.PROGRAM].text


def test_the_unit_starts_it_with_what_it_has_to_look_at() -> None:
    unit = watching.wanted_items(python="/opt/python3")[watching.UNIT].text
    assert (
        "\nExecStart=/opt/python3 -I -S /etc/hpc-ports/watch.py /run/hpc-ports /etc/hpc-ports/ruleset.nft "
        "/etc/firewalld/policies/hpc_ports_in.xml /etc/hpc-ports/closed.nft /etc/hpc-ports/closed-firewalld.nft "
        "/etc/hpc-ports/published.nft\n"
    ) in unit
    for line in (
        "DefaultDependencies=no",
        "After=hpc-ports.service hpc-ports-published.service firewalld.service",
        "Type=notify",
        "Restart=always",
    ):
        assert f"\n{line}\n" in unit


@pytest.mark.parametrize(
    ("links", "wanted"),
    [
        ({"python3": "python3.11"}, "python3"),
        ({"python3": "python3.6", "platform-python": "platform-python3.6"}, sys.executable),
        ({"python3": "python3.8", "platform-python": "platform-python3.9"}, "platform-python"),
        ({"python3": ""}, "python3"),
        ({}, sys.executable),
    ],
)
def test_it_is_started_by_the_python_of_the_host_unless_that_is_too_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: dict[str, str], wanted: str
) -> None:
    monkeypatch.setattr(watching, "_PYTHONS", [str(tmp_path / name) for name in ("python3", "platform-python")])
    for name, target in links.items():
        (tmp_path / (target or name)).touch()
        if target:
            (tmp_path / name).symlink_to(tmp_path / target)
    assert f"\nExecStart={tmp_path / wanted} -I" in watching.wanted_items()[watching.UNIT].text


def test_it_looks_at_the_policy_that_the_other_backend_writes() -> None:
    assert f"{PATHS.policies}/{PREFIX}in.xml" == watching.POLICY
    assert PATHS.published.ruleset == PUBLISHED_RULESET
    assert PATHS.published.chain in {
        f"inet {table.decode()} {chain.decode()}" for table, chain in watch_program.PUBLISHED
    }
    assert watch_program.FIREWALLD[1][1].decode() == f"filter_IN_policy_{PREFIX}in"


def test_a_ruleset_for_when_firewalld_fails_is_there_where_it_is_wanted() -> None:
    assert watching.CLOSED not in watching.wanted_items()
    closed = watching.wanted_items(closed="add table inet hpc_ports\n")[watching.CLOSED]
    assert (closed.text, closed.mode) == ("add table inet hpc_ports\n", 0o600)


def test_it_runs_while_it_holds_its_file(tmp_path: Path) -> None:
    path = tmp_path / "watch"
    assert not watching.runs(str(path))
    with path.open("a") as file:
        assert not watching.runs(str(path))
        fcntl.flock(file, fcntl.LOCK_EX)
        assert watching.runs(str(path))
    assert not watching.runs(str(path))
