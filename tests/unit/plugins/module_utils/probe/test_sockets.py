# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Single ports and the limit of open files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._model.ports import PortRange
from ansible_collections.hpc.ports.plugins.module_utils._probe.sockets import single_port

COLLECTIONS = Path(__file__).parents[5] / ".collections"


def test_a_single_port() -> None:
    assert single_port("22/tcp") == PortRange("tcp", 22, 22)
    assert single_port("53/udp") == PortRange("udp", 53, 53)


@pytest.mark.parametrize("text", ["22-23/tcp", "112/ip"])
def test_more_or_less_than_a_port_is_refused(text: str) -> None:
    with pytest.raises(ValueError) as failed:
        single_port(text)
    assert str(failed.value) == f"got {text!r}, expected one port of tcp or udp, such as '22/tcp'"


@pytest.mark.parametrize(
    "soft,hard,wanted,reached,after",
    [(100, 200, 150, 150, 150), (100, 200, 500, 200, 200), (100, 200, 50, 50, 100), (200, 200, 500, 200, 200)],
)
def test_the_limit_of_open_files_is_raised_as_far_as_it_goes(
    soft: int, hard: int, wanted: int, reached: int, after: int
) -> None:
    program = (
        "import resource, sys\n"
        "from ansible_collections.hpc.ports.plugins.module_utils._probe.sockets import raise_file_limit\n"
        "soft, hard, wanted = map(int, sys.argv[1:])\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))\n"
        "print(raise_file_limit(wanted), *resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, (soft, hard, wanted))],
        check=True,
        text=True,
        capture_output=True,
        env={"PYTHONPATH": str(COLLECTIONS)},
    )
    assert done.stdout.split() == [str(reached), str(after), str(hard)]
