# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs run without a shell, with a fixed locale, and are found even if PATH lacks their folder."""

from __future__ import annotations

import subprocess
import sys

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._linux import command
from ansible_collections.hpc.ports.plugins.module_utils._linux.command import CommandError, find_program, run


def test_run_returns_the_output() -> None:
    assert run(["sh", "-c", "cat; echo seen >&2"], "text") == "text"


def test_run_sets_the_locale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    assert run(["sh", "-c", "echo $LC_ALL"]) == "C\n"


def test_arguments_do_not_reach_a_shell() -> None:
    assert run(["echo", "$(id); `id` | cat"]) == "$(id); `id` | cat\n"


def test_a_failure_has_the_command_the_code_and_the_output() -> None:
    with pytest.raises(CommandError) as caught:
        run(["sh", "-c", "echo lost; echo why >&2; exit 3"])
    assert str(caught.value) == "'sh -c echo lost; echo why >&2; exit 3' failed with exit code 3: why"
    assert (caught.value.code, caught.value.output) == (3, "why")


def test_a_missing_program_is_a_command_error() -> None:
    with pytest.raises(CommandError) as caught:
        run(["no-such-program", "-x"])
    assert str(caught.value) == "'no-such-program -x' failed with exit code 127: no-such-program: not found"


def test_output_that_is_not_utf_8_is_no_error() -> None:
    assert run(["printf", "\\377"]) == "\ufffd"


def test_sbin_is_searched() -> None:
    program = f"from {command.__name__} import run; print(run(['printenv', 'PATH']), end='')"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PATH": "/nowhere", "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "/nowhere:/usr/sbin:/sbin:/usr/bin:/bin\n"


def test_find_program() -> None:
    assert find_program("sh") in ("/bin/sh", "/usr/bin/sh")
    assert find_program("no-such-program-anywhere") is None
