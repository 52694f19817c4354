# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is verify red for exactly what was broken, with the right diagnosis, and green again after the repair?"""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hpc.ports.tests.lab.faults import BRIDGE, DRIFTED, FAULTS, Fault
from ansible_collections.hpc.ports.tests.support.hosts import LAB, Play, on, play, restoring

# The plan knows this host by name, which the controller resolves by a file of its own.
_NAMED = "pbs-exec: {firewall_addresses: [exec.example.org, 'fd00:203::42']}"
_HOSTS_FILE = "127.0.0.1 localhost\n10.203.0.42 exec.example.org\n"


class Verified:
    """One run of verify: how the play ended, and its report."""

    def __init__(self, folder: Path, *options: str) -> None:
        (folder / "hosts").write_text(_HOSTS_FILE, encoding="utf-8")
        (folder / "named.yml").write_text(f"all: {{hosts: {{{_NAMED}}}}}", encoding="utf-8")
        report = folder / "report.json"
        self.play: Play = play(
            "verify", "-i", "extensions/molecule/inventory", "-i", str(folder / "named.yml"),
            f"-everify_report={report}", f"-everify_page={folder}/page.html", f"-everify_junit={folder}/junit.xml", *options,
            before=("unshare", "--mount", "sh", "-c", f'mount --bind {folder}/hosts /etc/hosts && exec "$@"', "sh"))
        assert report.exists(), self.play.output
        self.data: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))

    @property
    def red(self) -> dict[str, dict[str, Any]]:
        """The connections that are not right, by what they are called."""
        return {_name(cell): cell for cell in self.data["cells"] if cell["verdict"] != "right"}


def _name(cell: dict[str, Any]) -> str:
    return f"{cell['source']} -> {cell['target']} {cell['address']} {cell['port']}/{cell['protocol']}"


def _run(host: str, command: str) -> None:
    if host != BRIDGE:
        on(host, command)
        return
    here, lab = (os.stat(path).st_ino for path in ("/proc/self/ns/net", f"/run/netns/{LAB}"))
    assert here == lab, "This would load rules into the machine's own namespace."
    subprocess.run(["sh", "-ec", command], check=True, timeout=60)


@contextmanager
def _broken(faults: Sequence[Fault]) -> Iterator[None]:
    """Break the lab, and repair it."""
    with restoring(*DRIFTED), ExitStack() as repairs:
        for fault in faults:
            _run(fault.host, fault.do)
            if fault.undo:
                repairs.callback(_run, fault.host, fault.undo)
        yield


@pytest.fixture(name="red", scope="module")
def _red(tmp_path_factory: pytest.TempPathFactory) -> Verified:
    with _broken(FAULTS):
        return Verified(tmp_path_factory.mktemp("red"))


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_each_fault_is_diagnosed(red: Verified, fault: Fault) -> None:
    cells = [cell for cell in red.data["cells"] if fault.cells(cell)]
    assert cells, "No connection shows this fault."
    found = Counter((cell["verdict"] != "right", (cell["diagnosis"] or {}).get("code")) for cell in cells)
    texts = sorted({(cell["diagnosis"] or {}).get("text", "") for cell in cells})
    assert set(found) == {(True, fault.code)}, (found, texts[:3])
    assert all(fault.says in text for text in texts), texts[:3]


def test_nothing_else_is_red(red: Verified) -> None:
    others = [name for name, cell in red.red.items() if not any(fault.cells(cell) for fault in FAULTS)]
    assert others == []
    assert red.data["summary"]["not_running_policy"] == DRIFTED
    assert red.play.code != 0


def test_it_is_green_after_the_repair(red: Verified, tmp_path: Path) -> None:
    green = Verified(tmp_path)
    assert (green.play.code, list(green.red)) == (0, []), green.play.output
    assert green.data["summary"]["not_running_policy"] == []
    connections = len(green.data["cells"])
    assert f"verify: 17 of 17 hosts are done, {connections} of {connections} connections tried" in green.play.output
    assert {cell["compiled"] == cell["intended"] for cell in green.data["cells"]} == {True}
